"""The exact ledger: positions, cash and realised profit recomputed from fills in Python integers.

It reads nothing but fills, so it is a second opinion on the core's running sums; `reconcile` says where they differ, and they must not.
A fill counts once, by its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from tercel.base.errors import JournalError
from tercel.base.exact import exact_multiply_divide
from tercel.base.records import OUT_FILL, Records


@dataclass
class Account:
    """One instrument's running account. Money in micro-units of the quote currency, sizes in the instrument's integer units.

    Realised profit is by average cost, in integer price * size: a partial close takes its share of the cost of the open position, rounded
    to one price unit, and what rounding leaves stays with the open part, so realised and open always add up exactly.
    """

    mul: int
    div: int
    position: int = 0
    cash_micros: int = 0
    fees_micros: int = 0
    realised_units: int = 0
    open_cost_units: int = 0
    bought: int = 0
    sold: int = 0
    fills: int = 0
    trades: int = 0  # completed round trips
    wins: int = 0
    turnover_micros: int = 0
    _trip_units: int = 0
    _trip_fees_micros: int = 0

    @property
    def realised_micros(self) -> Fraction:
        """Realised profit before fees."""
        return Fraction(self.realised_units * self.mul, self.div)

    def fill(self, side: int, price: int, size: int, fee_micros: int) -> None:
        """Book one fill: cash exactly as the core rounds it, realised profit by average cost."""
        value = exact_multiply_divide(price, size * self.mul, self.div)
        self.cash_micros -= side * value
        self.fees_micros += fee_micros
        self.turnover_micros += value
        self.fills += 1
        if side > 0:
            self.bought += size
        else:
            self.sold += size
        before, held = self.position, abs(self.position)
        self.position += side * size
        self._trip_fees_micros += fee_micros
        closing = min(size, held) if before * side < 0 else 0
        if closing:
            cost = self.open_cost_units * closing // held
            gain = (price * closing - cost) * (1 if before > 0 else -1)
            self.open_cost_units -= cost
            self.realised_units += gain
            self._trip_units += gain
            if closing == held:
                self._close_trip()
        self.open_cost_units += price * (size - closing)

    def _close_trip(self) -> None:
        self.trades += 1
        self.wins += self._trip_units * self.mul > self._trip_fees_micros * self.div
        self._trip_units = self._trip_fees_micros = 0


class Book:
    """Accounts of several instruments, keyed by instrument id."""

    def __init__(self, ratios: Mapping[int, tuple[int, int]]) -> None:
        self.accounts = {instrument: Account(mul, div) for instrument, (mul, div) in ratios.items()}
        self._seen: set[tuple[int, int]] = set()

    def apply(self, outputs: Records) -> None:
        """Book every fill among `outputs` (dtype OUTPUT) that has not been booked. Raises `JournalError` when the core's cash differs."""
        fills = outputs[outputs["kind"] == OUT_FILL]
        columns = ("instrument", "execution", "side", "price", "size", "fee_micros", "cash_micros", "position")
        for instrument, number, side, price, size, fee, cash, position in zip(*(fills[name].tolist() for name in columns), strict=True):
            if (instrument, number) in self._seen:
                continue
            self._seen.add((instrument, number))
            account = self.accounts[instrument]
            before = account.cash_micros
            account.fill(side, price, size, fee)
            if account.cash_micros - before != cash or account.position != position:
                expected = f"cash {account.cash_micros - before} and position {account.position}"
                raise JournalError(
                    f"fill {number} of instrument {instrument}: expected {expected}, found {cash} and {position}; "
                    f"the ledger and the core disagree, stop trading"
                )

    def reconcile(self, core: Mapping[int, tuple[int, int, int]]) -> list[str]:
        """Differences from the core's (position, cash, fees) by instrument id; empty when they are equal."""
        wrong = []
        for instrument, account in self.accounts.items():
            mine, theirs = (account.position, account.cash_micros, account.fees_micros), core[instrument]
            if mine != theirs:
                wrong.append(f"instrument {instrument}: ledger (position, cash, fees) {mine}, core {theirs}")
        return wrong


def total_by_currency(values: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Sums of micro-units by currency."""
    totals: dict[str, int] = {}
    for currency, micros in values:
        totals[currency] = totals.get(currency, 0) + micros
    return totals
