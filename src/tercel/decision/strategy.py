"""Strategies written in Python: the same core calls them at every closed bar, in back-test, paper and live.

A strategy sees a `Context` and nothing else: no clock, no chance, no I/O. What it asks for goes through the same checks, in the same
order, as the compiled rule's orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tercel.base.codes import NOTHING_ASKED
from tercel.features.spec import Feature


class Bar(NamedTuple):
    """A closed bar: times ns UTC, prices in price units, bid and ask with their sizes as they stood at the close, NaN where the source does
    not say. `flow` is its order-flow imbalance, `signed_volume` what was bought less what was sold (see `tercel.market.kernels`)."""

    opened_ns: int
    closed_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    ticks: float
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    flow: float
    signed_volume: float


class Context(Protocol):
    """What a strategy may know and ask, for the instrument of the bar it is called with."""

    @property
    def instrument(self) -> str:
        """Name of the instrument, such as "EURUSD@oanda"."""

    @property
    def features(self) -> Mapping[str, float]:
        """The features of this bar by name; NaN while they warm up."""

    @property
    def time_ns(self) -> int:
        """Core time."""

    @property
    def bid(self) -> float:
        """Bid of the standing quote; NaN when there is none."""

    @property
    def ask(self) -> float:
        """Ask of the standing quote; NaN when there is none."""

    @property
    def quote_code(self) -> int:
        """0 while the standing quote can be traded on, else why not: NO_QUOTE, ONE_SIDED, CROSSED or STALE of `tercel.base.codes`."""

    @property
    def position(self) -> float:
        """Position in whole units (not lots), signed."""

    @property
    def open_orders(self) -> int:
        """Orders of this instrument that are still open."""

    @property
    def fee_rate(self) -> float:
        """Taker's fee as a share of the value."""

    @property
    def size_step(self) -> float:
        """Smallest step of a size, in units."""

    @property
    def size_min(self) -> float:
        """Smallest size of an order, in units."""

    @property
    def size_max(self) -> float:
        """Largest position the limits allow, in units."""

    def size_for(self, risk: float, volatility: float) -> float:
        """The largest size, in steps and at most `size_max`, whose profit and loss over one bar has a standard deviation of at most `risk`.

        `risk` in quote currency, `volatility` that of one-bar returns; units out, 0.0 while the market stands still or has no mid.
        """

    def target(self, units: float, *, score: float = 0.0, confidence: float = 0.0) -> None:
        """Ask for one market order from the position to `units`."""

    def buy(self, units: float, *, limit: float | None = None, immediate: bool = False) -> None:
        """Ask to buy at the market, or at `limit` or better; `immediate` cancels what does not trade at once."""

    def sell(self, units: float, *, limit: float | None = None, immediate: bool = False) -> None:
        """Ask to sell at the market, or at `limit` or better."""

    def cancel(self, order: int = 0) -> None:
        """Ask to cancel one order by its core number, or all of this instrument (0)."""

    def signal(self, direction: int, *, score: float = 0.0, confidence: float = 0.0) -> None:
        """Record a signal: +1, 0 or -1."""

    def no_order(self, code: int = NOTHING_ASKED) -> None:
        """Count why this evaluation ends without an order (a code of `tercel.base.codes`)."""


class Strategy:
    """Base of strategies written in Python. Override `features` and `on_bar`.

    >>> import tercel as tc
    >>> class BuyDips(tc.Strategy):
    ...     features = (tc.rsi(14),)
    ...
    ...     def on_bar(self, context, bar):
    ...         if context.features["rsi_14"] < 30 and context.position == 0:
    ...             context.buy(10_000)
    ...         elif context.features["rsi_14"] > 70 and context.position > 0:
    ...             context.target(0)
    >>> tc.backtest(tc.SimulatedHistory(seed=7, hours=1), decide=BuyDips()).orders > 0
    True
    """

    features: tuple[Feature, ...] = ()

    def on_start(self) -> None:
        """Called once before the first bar; a restart that rebuilds state calls it again and replays."""

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Called for every closed bar of every instrument, in the order (input, instrument)."""
        raise NotImplementedError
