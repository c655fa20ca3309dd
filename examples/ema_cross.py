"""The built-in rule written out by hand: a strategy in Python that does, to the bit, what `tercel.EmaCross` does compiled.

Run it over history with

    tercel backtest --strategy examples.ema_cross:EmaCrossStrategy

or copy it and change `on_bar`. It sees a context and nothing else: no clock, no chance, no network. Whatever it asks for passes the same
checks as every order, and the same code runs in back-test and on paper.
"""

from __future__ import annotations

import math

from tercel import Strategy, ema, volatility
from tercel.base.codes import AT_TARGET, NO_SIGNAL, SIZE_BELOW_MIN, WARMING
from tercel.decision.strategy import Bar, Context


class EmaCrossStrategy(Strategy):
    """Trade the gap between a fast and a slow moving average where it pays for its cost; size by volatility.

    The gap is read as the expected move. A side is taken when it exceeds `enter` times the cost of a round trip and kept until it falls
    below `leave` times that cost. The size gives a profit and loss of one standard deviation of `risk_per_bar`, in quote currency.
    """

    def __init__(
        self,
        fast: int = 20,
        slow: int = 50,
        volatility_rows: int = 50,
        enter: float = 1.0,
        leave: float = 0.0,
        risk_per_bar: float = 10.0,
    ) -> None:
        self.fast, self.slow, self.swing = ema(fast), ema(slow), volatility(volatility_rows)
        self.features = (self.fast, self.slow, self.swing)
        self.enter, self.leave, self.risk_per_bar = enter, leave, risk_per_bar

    def on_start(self) -> None:
        """Forget everything: a restart calls this and then replays every bar."""
        self.held: dict[str, int] = {}  # side by instrument: +1, 0 or -1

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Decide on one closed bar: say the signal when the side changes, then ask for one order or say why there is none."""
        score = context.features[self.fast.name] - context.features[self.slow.name]
        swing = context.features[self.swing.name]
        if math.isnan(score) or math.isnan(swing):
            return context.no_order(WARMING)
        if context.quote_code:
            return context.no_order(context.quote_code)

        mid = (context.bid + context.ask) * 0.5
        cost = context.ask - context.bid + 2.0 * context.fee_rate * mid  # the spread once, the fee twice
        side = self.side(score, cost, self.held.get(context.instrument, 0))
        sure = confidence(score, cost)
        if side != self.held.get(context.instrument, 0):
            context.signal(side, score=score, confidence=sure)
        self.held[context.instrument] = side

        if side == 0 and context.position == 0.0:
            return context.no_order(NO_SIGNAL)
        if side * context.position > 0.0:
            return context.no_order(AT_TARGET)
        size = context.size_for(self.risk_per_bar, swing) if side else 0.0
        if size < context.size_min and context.position == 0.0:
            return context.no_order(SIZE_BELOW_MIN)
        return context.target(side * size, score=score, confidence=sure)

    def side(self, score: float, cost: float, held: int) -> int:
        """+1, 0 or -1: enter where the move pays, stay while it still pays a little, else be out."""
        if abs(score) >= self.enter * cost and score != 0.0:
            return 1 if score > 0.0 else -1
        return held if held * score > self.leave * cost else 0


def confidence(score: float, cost: float) -> float:
    """How far the expected move exceeds its cost, from 0 to 1."""
    move = abs(score)
    if cost <= 0.0:
        return 1.0 if move > 0.0 else 0.0
    return move / (move + cost)
