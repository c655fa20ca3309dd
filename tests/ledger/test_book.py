"""The exact ledger against the core's running sums, and both against the definition of profit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import JournalError
from tercel.base.exact import OVERFLOW_MARK, exact_multiply_divide, multiply_divide
from tercel.base.kernel import entry
from tercel.base.records import OUT_CANCEL, OUT_FILL, OUTPUT, Records
from tercel.ledger.book import Account, Book, total_by_currency
from tercel.ledger.kernels import L_CASH, L_DIV, L_FEES, L_FILLS, L_MUL, L_POSITION, L_TURNOVER, LEDGER_WORDS, apply_fill

RATIOS = [(1, 1), (10, 1), (1, 10), (1, 1_000), (50, 100), (1_250, 100), (1, 10**10)]
FILL = st.tuples(st.sampled_from([1, -1]), st.integers(1, 200_000_000), st.integers(1, 10_000_000), st.integers(0, 10_000))
FILLS = st.lists(FILL, min_size=1, max_size=40)


def recorded(ratio: tuple[int, int], fills: list[tuple[int, int, int, int]]) -> Records:
    """The fills as the core would say them."""
    outputs = np.zeros(len(fills), OUTPUT)
    position = 0
    for number, (one, (side, price, size, fee)) in enumerate(zip(outputs, fills, strict=True), 1):
        position += side * size
        one["kind"], one["instrument"], one["execution"], one["side"] = OUT_FILL, 7, number, side
        one["price"], one["size"], one["fee_micros"], one["position"] = price, size, fee, position
        one["cash_micros"] = -side * exact_multiply_divide(price, size * ratio[0], ratio[1])
    return outputs


@given(st.sampled_from(RATIOS), FILLS)
def test_realised_and_open_always_add_up(ratio: tuple[int, int], fills: list[tuple[int, int, int, int]]) -> None:
    """At any mark, realised profit plus the gain of the open position is what buying and selling cost and brought, to the last unit."""
    account = Account(*ratio)
    flow = 0
    for side, price, size, fee in fills:
        account.fill(side, price, size, fee)
        flow -= side * price * size
        held = 1 if account.position > 0 else -1
        assert account.realised_units == flow + held * account.open_cost_units
        assert account.open_cost_units >= 0
        assert (account.open_cost_units == 0) == (account.position == 0)
    assert account.bought - account.sold == account.position == sum(side * size for side, _, size, _ in fills)
    assert account.fees_micros == sum(fee for *_, fee in fills)
    exact = sum((Fraction(-side * price * size * ratio[0], ratio[1]) for side, price, size, _ in fills), Fraction())
    assert abs(account.cash_micros - exact) <= Fraction(len(fills), 2)


@given(st.sampled_from(RATIOS), FILLS)
def test_cash_is_conserved_between_two_sides(ratio: tuple[int, int], fills: list[tuple[int, int, int, int]]) -> None:
    """Whoever takes the other side of every fill ends with the opposite position and cash."""
    mine, theirs = Account(*ratio), Account(*ratio)
    for side, price, size, _ in fills:
        mine.fill(side, price, size, 0)
        theirs.fill(-side, price, size, 0)
    assert mine.cash_micros + theirs.cash_micros == 0
    assert mine.position + theirs.position == 0
    assert mine.realised_units + theirs.realised_units in range(-len(fills), len(fills) + 1)  # each rounds its own average down
    assert mine.trades == theirs.trades


@given(st.sampled_from(RATIOS), FILLS)
def test_the_core_keeps_what_the_book_recounts(ratio: tuple[int, int], fills: list[tuple[int, int, int, int]]) -> None:
    """The compiled running sums and the recount in Python integers are equal after every fill."""
    memory = np.zeros(LEDGER_WORDS, np.int64)
    memory[L_MUL], memory[L_DIV] = ratio
    run = entry(apply_fill).bind(memory)
    account = Account(*ratio)
    for side, price, size, fee in fills:
        before = account.cash_micros
        account.fill(side, price, size, fee)
        assert run(0, side, price, size, fee) == account.cash_micros - before
        kept = [int(memory[word]) for word in (L_POSITION, L_CASH, L_FEES, L_FILLS, L_TURNOVER)]
        assert kept == [account.position, account.cash_micros, account.fees_micros, account.fills, account.turnover_micros]


@given(st.sampled_from(RATIOS), FILLS, st.data())
def test_a_fill_counts_once(ratio: tuple[int, int], fills: list[tuple[int, int, int, int]], data: st.DataObject) -> None:
    """However often fills are read again, and however the reading is cut, each counts once."""
    outputs = recorded(ratio, fills)
    once, often = Book({7: ratio}), Book({7: ratio})
    once.apply(outputs)
    cut = data.draw(st.integers(0, len(outputs)))
    for part in (outputs[:cut], outputs[: max(0, cut - 3)], outputs[max(0, cut - 2) :], outputs):
        often.apply(part)
    assert often.accounts == once.accounts


def test_a_round_trip_is_a_trade_and_a_win_pays_its_fees() -> None:
    """A trade ends when the position is back at zero or turns; it is a win only when it earned more than its fees."""
    account = Account(1, 1)
    account.fill(1, 100, 10, 5)
    account.fill(1, 110, 10, 0)
    account.fill(-1, 106, 15, 4)
    assert (account.trades, account.realised_units, account.open_cost_units) == (0, 15, 525)
    account.fill(-1, 103, 15, 0)  # five close the trade at -10, ten open a short
    assert (account.trades, account.wins, account.position, account.open_cost_units) == (1, 0, -10, 1030)
    account.fill(1, 102, 10, 9)
    assert (account.trades, account.wins, account.position, account.realised_units) == (2, 1, 0, 15)


def test_a_difference_between_core_and_book_stops_trading() -> None:
    """A fill whose cash or position the ledger does not find again is a journal error, and a reconciliation says where they differ."""
    outputs = recorded((10, 1), [(1, 110_000, 3, 1)])
    for column in ("cash_micros", "position"):
        wrong = outputs.copy()
        wrong[column] += 1
        with pytest.raises(JournalError, match="the ledger and the core disagree, stop trading"):
            Book({7: (10, 1)}).apply(wrong)
    book = Book({7: (10, 1)})
    book.apply(outputs)
    assert book.reconcile({7: (3, -3_300_000, 1)}) == []
    assert book.reconcile({7: (3, -3_300_000, 2)}) == [
        "instrument 7: ledger (position, cash, fees) (3, -3300000, 1), core (3, -3300000, 2)"
    ]


def test_only_fills_are_booked() -> None:
    """Other outputs change nothing."""
    outputs = recorded((1, 1), [(1, 5, 5, 0)])
    outputs["kind"] = OUT_CANCEL
    book = Book({7: (1, 1)})
    book.apply(outputs)
    assert book.accounts[7] == Account(1, 1)


def test_totals_are_kept_by_currency() -> None:
    """Amounts of different currencies are never added up."""
    assert total_by_currency([("USD", 3), ("JPY", 5), ("USD", -1)]) == {"USD": 2, "JPY": 5}


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-(2**63) + 1, 2**63 - 1), st.integers(0, 18))
def test_the_helper_for_money_is_exact_or_says_so(a: int, b: int, digits: int) -> None:
    """a * b / 10**digits is rounded half to even as Python integers do it, or marked as too large; it never wraps."""
    exact = exact_multiply_divide(a, b, 10**digits)
    assert exact == round(Fraction(a * b, 10**digits))
    found = entry(multiply_divide).bind()(a, b, 10**digits)
    assert found == (exact if abs(exact) < 2**63 else OVERFLOW_MARK)
