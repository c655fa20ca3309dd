"""What a back-test says: exact profit and loss per currency, costs, drawdown, and why it did not trade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.codes import REASONS
from tercel.base.frames import Kind, frame
from tercel.base.records import OUT_FILL, Records
from tercel.base.time import format_instant
from tercel.core.setup import MICROS, value_ratio
from tercel.ledger.book import Account, Book
from tercel.market.instruments import Instrument

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class CurrencyResult(msgspec.Struct, frozen=True):
    """Money of one quote currency. `net` = realised + open - fees; `drawdown` is the deepest fall of net equity from its peak.

    `spread_cost` is what trading at bid and ask rather than at the mid has cost; it is already inside `realised` and `open`.
    """

    currency: str
    net: float
    realised: float
    open: float
    fees: float
    spread_cost: float
    drawdown: float
    turnover: float


class InstrumentResult(msgspec.Struct, frozen=True):
    """One instrument. Sizes in whole units, money in the quote currency."""

    name: str
    currency: str
    fills: int
    trades: int
    wins: int
    net: float
    fees: float
    position: float


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a back-test: what `show` prints, `trades` and `equity_frame` hand out and `plot` draws.

    >>> import tercel as tc
    >>> result = tc.backtest(tc.SimulatedHistory(seed=7, hours=1))
    >>> len(result.trades(as_="arrow")) == sum(one.trades for one in result.by_instrument)
    True
    """

    title: str
    instruments: Sequence[Instrument]
    ticks: int
    inputs: int
    bars: int
    seconds: float
    core_seconds: float
    first_ns: int
    last_ns: int
    orders: int
    outputs: Records
    by_currency: Sequence[CurrencyResult]
    by_instrument: Sequence[InstrumentResult]
    reasons: Mapping[str, int]
    dropped: Mapping[str, int]
    state_hash: str
    equity: Mapping[str, npt.NDArray[np.float64]] = field(repr=False)  # currency -> float64[2, n]: time ns, net equity
    notes: Sequence[str] = ()  # what a reader must know before the figures, such as that they are in sample
    closes: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)  # instrument -> float64[2, n]: time ns, close of its bars

    @property
    def ticks_per_second(self) -> float:
        """Market records through the core per second, loading included."""
        return self.ticks / self.seconds if self.seconds else 0.0

    @property
    def fills(self) -> Records:
        """The fills among the outputs."""
        fills: Records = self.outputs[self.outputs["kind"] == OUT_FILL]
        return fills

    def summary(self) -> dict[str, object]:
        """Everything but the arrays, ready for JSON."""
        return {
            "title": self.title, "notes": list(self.notes),
            "ticks": self.ticks, "inputs": self.inputs, "bars": self.bars, "seconds": self.seconds,
            "core_seconds": self.core_seconds, "ticks_per_second": self.ticks_per_second, "first": format_instant(self.first_ns),
            "last": format_instant(self.last_ns), "orders": self.orders, "fills": len(self.fills),
            "by_currency": msgspec.to_builtins(self.by_currency), "by_instrument": msgspec.to_builtins(self.by_instrument),
            "reasons": dict(self.reasons), "dropped": dict(self.dropped), "state_hash": self.state_hash,
        }  # fmt: skip

    def show(self) -> None:
        """Print the report to the terminal."""
        from tercel.drivers.report import show

        show(self)

    def trades(self, *, as_: Kind = "pandas") -> Any:
        """Every completed round trip, in the order in which they ended, as "pandas" (needs `tercel[pandas]`), "arrow" or "numpy".

        Columns: instrument, side, opened, closed (UTC), size in units, entry and exit (mean prices), gross, fees, net, currency. A position
        that is still open at the end is no trip.
        """
        from tercel.drivers.trades import round_trips, trip_columns

        return frame(trip_columns(round_trips(self.instruments, self.fills)), as_)

    def equity_frame(self, *, as_: Kind = "pandas") -> Any:
        """Net equity after fees at the closed bars, currency after currency: time (UTC), currency, equity, drawdown (0 or less).

        As "pandas" (needs `tercel[pandas]`), "arrow" or "numpy".
        """
        from tercel.drivers.trades import equity_columns

        return frame(equity_columns(self.equity), as_)

    def plot(self, instrument: str | None = None) -> Figure:
        """Equity and drawdown in the quote currency of an instrument, and its price with the trades, as a Matplotlib figure.

        `instrument` is a name or symbol (default: the one with most fills). Nothing is shown; a notebook displays what comes back. Raises
        `MissingExtra` without `tercel[plots]`, `ConfigError` for an instrument that is not there.
        """
        from tercel.drivers.plots import result_figure

        return result_figure(self, instrument)

    def __repr__(self) -> str:
        net = ", ".join(f"{one.net:+,.2f} {one.currency}" for one in self.by_currency)
        stamp = "".join(", IN SAMPLE" for note in self.notes if note.startswith("IN SAMPLE"))
        return f"<Result: net {net or 'nothing'}; {len(self.fills):,} fills, {self.bars:,} bars, {self.ticks:,} ticks{stamp}>"

    def _repr_html_(self) -> str:
        from tercel.drivers.report import cell

        return cell(self)


def meaning(reason: str) -> str:
    """What a reason means, for people."""
    return next(text for name, text, _ in REASONS.values() if name == reason)


def book_of(instruments: Sequence[Instrument]) -> Book:
    """An empty exact ledger for these instruments."""
    return Book({one.id: value_ratio(one) for one in instruments})


def instrument_result(instrument: Instrument, account: Account, mark: float) -> InstrumentResult:
    """One instrument's money, its open position at `mark`."""
    net = (account.cash_micros - account.fees_micros) / MICROS + mark_value(instrument, account.position, mark)
    return InstrumentResult(
        instrument.name, instrument.quote, account.fills, account.trades, account.wins, net, account.fees_micros / MICROS,
        account.position / 10**instrument.size_decimals,
    )  # fmt: skip


def mark_value(instrument: Instrument, position: int, mark: float) -> float:
    """Value in quote currency of a position at a price."""
    return 0.0 if position == 0 else position / 10**instrument.size_decimals * mark * instrument.multiplier


def currency_result(
    currency: str,
    parts: Sequence[tuple[Instrument, Account, float]],
    fills: Records,
    curve: npt.NDArray[np.float64],
) -> CurrencyResult:
    """Sums over the instruments of one currency."""
    net = sum(instrument_result(one, account, mark).net for one, account, mark in parts)
    realised = float(sum(account.realised_micros for _, account, _ in parts)) / MICROS
    fees = sum(account.fees_micros for _, account, _ in parts) / MICROS
    spread = 0.0
    for one, _, _ in parts:
        own = fills[fills["instrument"] == one.id]
        away = np.abs(own["price"] / 10.0**one.price_decimals - own["mid"])
        spread += float(np.nansum(away * own["size"])) * one.multiplier / 10.0**one.size_decimals
    drawdown = float(np.max(np.maximum.accumulate(np.concatenate([[0.0], curve[1]])) - np.concatenate([[0.0], curve[1]])))
    turnover = sum(account.turnover_micros for _, account, _ in parts) / MICROS
    return CurrencyResult(currency, net, realised, net + fees - realised, fees, spread, drawdown, turnover)


def equity_curve(
    instruments: Sequence[Instrument], fills: Records, rows: npt.NDArray[np.float64], slots: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Net equity of some slots over the closed bars: float64[2, n] of time and money. `rows` is float64[4, n]: input, slot, time, close."""
    changes = []
    for slot in slots:
        instrument = instruments[slot]
        mine = rows[:, (rows[1] == slot) & np.isfinite(rows[3])]
        own = fills[fills["instrument"] == instrument.id]
        at = np.searchsorted(own["input"], mine[0], side="right")
        cash = np.concatenate([[0.0], np.cumsum(own["cash_micros"] - own["fee_micros"])])[at] / MICROS
        position = np.concatenate([[0], own["position"]])[at] / 10**instrument.size_decimals
        equity = cash + position * mine[3] * instrument.multiplier
        changes.append(np.stack([mine[0], mine[2], np.diff(equity, prepend=0.0)]))
    together = np.concatenate(changes, axis=1) if changes else np.zeros((3, 0))
    together = together[:, np.argsort(together[0], kind="stable")]
    return np.stack([together[1], np.cumsum(together[2])])
