"""The round trips of a back-test: from the fill that leaves flat to the fill that comes back to it, by the exact ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.frames import instants
from tercel.base.records import Records
from tercel.core.setup import MICROS, value_ratio
from tercel.ledger.book import Account
from tercel.market.instruments import Instrument

COLUMNS: Final = ("instrument", "side", "opened", "closed", "size", "entry", "exit", "gross", "fees", "net", "currency")


class Trip(NamedTuple):
    """One completed round trip. Times ns UTC, size in units, prices averaged over its fills, money in `currency`; net = gross - fees."""

    instrument: str
    side: str
    opened_ns: int
    closed_ns: int
    size: float
    entry: float
    exit: float
    gross: float
    fees: float
    net: float
    currency: str


class _Side:
    """Size and value of the fills that open a trip, or close it, in integers."""

    def __init__(self) -> None:
        self.size = self.value = 0

    def add(self, size: int, price: int) -> None:
        self.size += size
        self.value += size * price

    def mean(self, decimals: int) -> float:
        return float(self.value / self.size / 10**decimals)


def round_trips(instruments: Sequence[Instrument], fills: Records) -> list[Trip]:
    """Every completed trip, in the order in which they ended. A fill that turns a position ends one trip, with its
    fee, and begins the next.

    A position that is still open at the end is no trip. Counts and gains are those of `ledger.book`.
    """
    found: list[Trip] = []
    for one in instruments:
        found += _of(one, fills[fills["instrument"] == one.id])
    return sorted(found, key=lambda trip: trip.closed_ns)


def _of(instrument: Instrument, fills: Records) -> list[Trip]:
    mul, div = value_ratio(instrument)
    account, found = Account(mul, div), list[Trip]()
    opening, closing, opened_ns, units, fees = _Side(), _Side(), 0, 0, 0
    columns = ("time", "side", "price", "size", "fee_micros")
    for time_ns, side, price, size, fee in zip(*(fills[name].tolist() for name in columns), strict=True):
        before, trades, gained = account.position, account.trades, account.realised_units
        account.fill(side, price, size, fee)
        fees += fee
        units += account.realised_units - gained
        reducing = min(size, abs(before)) if before * side < 0 else 0
        if reducing:
            closing.add(reducing, price)
        if account.trades > trades:
            gross, paid = units * mul / div / MICROS, fees / MICROS
            found.append(
                Trip(
                    instrument.name, "long" if before > 0 else "short", opened_ns, time_ns, closing.size / 10**instrument.size_decimals,
                    opening.mean(instrument.price_decimals), closing.mean(instrument.price_decimals), gross, paid, gross - paid,
                    instrument.quote,
                )
            )  # fmt: skip
            opening, closing, units, fees = _Side(), _Side(), 0, 0
        if size > reducing:
            opened_ns = time_ns if not opening.size else opened_ns
            opening.add(size - reducing, price)
    return found


def trip_columns(trips: Sequence[Trip]) -> dict[str, npt.NDArray[Any]]:
    """The trips as columns; times as datetime64[ns]."""
    kinds = ("U", "U", "i8", "i8", *("f8",) * 6, "U")
    table = {name: np.array([trip[place] for trip in trips], kinds[place]) for place, name in enumerate(COLUMNS)}
    return table | {name: instants(table[name]) for name in ("opened", "closed")}


def equity_columns(curves: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, npt.NDArray[Any]]:
    """Net equity of every currency over time, one after the other: time, currency, equity, drawdown (0 or less)."""
    parts = [(np.full(curve.shape[1], currency), curve[0], curve[1], -drawdown(curve[1])) for currency, curve in curves.items()]
    if not parts:
        return {"time": instants(np.zeros(0)), "currency": np.zeros(0, "U3"), "equity": np.zeros(0), "drawdown": np.zeros(0)}
    currency, times, equity, below = (np.concatenate(column) for column in zip(*parts, strict=True))
    return {"time": instants(np.rint(times / 1e3) * 1e3), "currency": currency, "equity": equity, "drawdown": below}


def drawdown(equity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far each value lies below the highest before it, nothing (0.0) among them."""
    below: npt.NDArray[np.float64] = np.maximum.accumulate(np.concatenate([[0.0], equity]))[1:] - equity
    return below
