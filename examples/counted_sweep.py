"""Sweep the parameters of a strategy without fooling oneself: every trial counts, and the last third of the data is looked at once.

    python examples/counted_sweep.py

The best of twelve always looks good where it was chosen. Two questions put it right. Is it better than what the best of twelve gives by
luck (the deflated Sharpe ratio)? And what does it earn on data that had no say in the choice? The strategy fades a stretched price where
the spread allows it, sized by volatility, within limits; on a simulated market the honest answer is that there is nothing.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

import tercel as tc
from tercel.decision.strategy import Bar, Context
from tercel.models.training.significance import deflated_sharpe, moments

LIMITS = tc.Limits(position_lots=1, daily_loss=300)
STRETCHES, ROWS, LEAVES = (1.5, 2.0, 2.5), (30, 60), (0.0, 0.5)
SIGNIFICANT = 0.95


class Fade(tc.Strategy):
    """Take the other side of a price that is `stretch` deviations from its mean of `rows` bars; leave at `leave` deviations."""

    def __init__(self, stretch: float, rows: int, leave: float, risk_per_bar: float = 5.0) -> None:
        self.stretch, self.leave, self.risk_per_bar = stretch, leave, risk_per_bar
        self.away, self.swing = tc.zscore(rows), tc.volatility(50)
        self.features = (self.away, self.swing)

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Decide on one closed bar; NaN compares false, so nothing happens while the features warm up."""
        away, swing = context.features[self.away.name], context.features[self.swing.name]
        if context.position == 0.0:
            dear = (context.ask - context.bid) > 0.5 * swing * bar.close
            if abs(away) >= self.stretch and not dear:
                context.target(-np.sign(away) * context.size_for(self.risk_per_bar, swing), score=-away)
        elif context.position * away > -self.leave * abs(context.position):
            context.target(0.0)


class Trial(NamedTuple):
    """One set of parameters and the net of each of its trades, in dollars."""

    stretch: float
    rows: int
    leave: float
    net: np.ndarray

    @property
    def sharpe(self) -> float:
        """Of a trade; NaN with fewer than two."""
        return float(self.net.mean() / self.net.std(ddof=1)) if len(self.net) > 1 else float("nan")


def tried(history: object, stretch: float, rows: int, leave: float) -> Trial:
    """The trades of one set of parameters."""
    result = tc.backtest(history, tc.FeatureSet(tc.bars("30s"), []), Fade(stretch, rows, leave), limits=LIMITS)
    return Trial(stretch, rows, leave, result.trades(as_="numpy")["net"])


def part(quotes: dict[str, np.ndarray], mine: np.ndarray) -> object:
    """Some rows of a table of quotes as a history of their own."""
    return tc.from_frame({name: column[mine] for name, column in quotes.items()}, "EURUSD@mine")


def main() -> None:
    """Choose on the first two thirds, judge the choice, look at the last third once."""
    quotes = tc.SimulatedHistory(seed=11, hours=6).frame("quote", as_="numpy")
    euro = {name: column[quotes["instrument"] == "EURUSD@sim"] for name, column in quotes.items() if name != "instrument"}
    cut = euro["time"][0] + (euro["time"][-1] - euro["time"][0]) * 2 // 3
    seen, unseen = (part(euro, mine) for mine in (euro["time"] < cut, euro["time"] >= cut))

    trials = [tried(seen, *one) for one in itertools.product(STRETCHES, ROWS, LEAVES)]
    for one in trials:
        print(f"stretch {one.stretch}, {one.rows} bars, leave at {one.leave}: {len(one.net):3} trades, {one.net.sum():+9.2f} USD")
    best = max(trials, key=lambda one: (one.sharpe == one.sharpe, one.sharpe))
    sure = deflated_sharpe(moments(best.net), np.array([one.sharpe for one in trials]))
    print(f"\nthe best of {len(trials)}: stretch {best.stretch}, {best.rows} bars, leave at {best.leave}")
    print(f"more than the luck of {len(trials)} trials with probability {sure:.1%}; more than {SIGNIFICANT:.0%} is asked for")

    once = tried(unseen, best.stretch, best.rows, best.leave)
    print(f"on the last third, looked at once: {len(once.net)} trades, {once.net.sum():+.2f} USD")
    print("verdict:", "worth another look" if sure > SIGNIFICANT and once.net.sum() > 0.0 else "no edge")


if __name__ == "__main__":
    main()
