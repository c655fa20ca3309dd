"""The simulated book agrees with the quotes, whatever is done to the feed that carries it."""

from __future__ import annotations

import numpy as np
import pytest

from tercel.base.errors import ConfigError
from tercel.base.records import BOOK, BOOK_CLEAR, LAST, QUOTE, SNAPSHOT, TRADE, Records, empty
from tercel.base.time import NS_PER_H, NS_PER_MIN, parse_instant
from tercel.decision.rules import EmaCross
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import SimulatedHistory
from tercel.drivers.session import Plan
from tercel.market.feeds.base import UNLIMITED
from tercel.market.feeds.simulator import Simulator
from tercel.market.instruments import on_grid

START_NS = parse_instant("2024-05-14T12:59:21.5")
LEVELS = 10
UNIT = 1.0  # of EURUSD: its size increment
BOTH = (1, -1)


def simulator(depth: int = LEVELS, minutes: int = 4) -> Simulator:
    """Some minutes that begin within one."""
    return Simulator(seed=11, start_ns=START_NS, duration_ns=minutes * NS_PER_MIN, pace=UNLIMITED, depth=depth)


def whole(feed: Simulator, limit: int = 1_000_000) -> Records:
    """Everything the feed still has."""
    parts = [empty(0)]
    while not feed.done:
        parts.append(feed.poll(0, limit))
    return np.concatenate(parts)


ROWS = whole(simulator())


class Book:
    """A book as any reader of records would keep it."""

    def __init__(self) -> None:
        self.sides: dict[int, dict[float, float]] = {1: {}, -1: {}}

    def apply(self, row: np.void) -> None:
        """Take in one record; a level that is deleted must be there."""
        if row["kind"] == BOOK_CLEAR:
            self.sides = {1: {}, -1: {}}
        elif row["kind"] == BOOK and row["size"] == 0.0:
            del self.sides[int(row["side"])][float(row["price"])]
        elif row["kind"] == BOOK:
            self.sides[int(row["side"])][float(row["price"])] = float(row["size"])

    @property
    def best(self) -> tuple[float, float, float, float]:
        """Bid, its size, ask, its size."""
        bid, ask = max(self.sides[1]), min(self.sides[-1])
        return bid, self.sides[1][bid], ask, self.sides[-1][ask]


def test_every_message_ends_with_the_book_as_it_is_quoted() -> None:
    """Best prices and sizes are the quote's to the bit, ten levels stand on each side, and the symbols do not mix."""
    books: dict[int, Book] = {}
    messages = 0
    for row in ROWS:
        book = books.setdefault(int(row["instrument"]), Book())
        book.apply(row)
        if row["flags"] & LAST and row["kind"] == QUOTE:
            messages += 1
            assert book.best == (row["price"], row["size"], row["price2"], row["size2"])
            assert [len(book.sides[side]) for side in BOTH] == [LEVELS, LEVELS]
    assert len(books) == 5
    assert messages > 2_000


def test_a_message_is_the_records_of_one_reference() -> None:
    """References of a symbol rise by one, every message has one `LAST`, at its end, and each level of a message is named once."""
    for number in range(1, 6):
        rows = ROWS[ROWS["instrument"] == number]
        starts = np.flatnonzero(np.diff(rows["ref"], prepend=rows["ref"][0] - 1))
        ends = np.append(starts[1:], len(rows)) - 1
        assert (np.diff(rows["ref"][starts]) == 1).all()
        assert np.flatnonzero(rows["flags"] & LAST).tolist() == ends.tolist()
        assert (np.diff(rows["ts_event"]) >= 0).all()
        levels = rows[(rows["kind"] == BOOK) & (rows["size"] > 0)]
        named = np.stack([levels["ref"], levels["side"], np.rint(levels["price"] * 1e6)], axis=1)
        assert len(np.unique(named, axis=0)) == len(named)


def test_quotes_and_trades_are_those_without_a_book() -> None:
    """The book is added: prices, trades and references stay; after a trade the quote is repeated with what is left."""
    plain = whole(simulator(depth=0))
    trades, quotes = ROWS[ROWS["kind"] == TRADE], ROWS[ROWS["kind"] == QUOTE]
    expected = plain[plain["kind"] == TRADE]
    for field in ("ts_event", "instrument", "side", "price", "size", "ref"):
        assert (trades[field] == expected[field]).all(), field
    traded = {(int(row["instrument"]), int(row["ref"])) for row in trades}
    own = quotes[[(int(row["instrument"]), int(row["ref"])) not in traded for row in quotes]]
    assert own.tobytes() == plain[plain["kind"] == QUOTE].tobytes()


def test_a_trade_takes_from_the_level_it_hits() -> None:
    """The bid shrinks when somebody sells and the ask when somebody buys, by the size of the trade, down to one unit."""
    shrunk = 0
    rows = ROWS[(ROWS["instrument"] == 1) & np.isin(ROWS["kind"], (QUOTE, TRADE))]
    for before, trade, after in zip(rows, rows[1:], rows[2:], strict=False):
        if before["kind"] == QUOTE and trade["kind"] == TRADE:
            taken, other = ("size", "size2") if trade["side"] < 0 else ("size2", "size")
            assert after["ref"] == trade["ref"]
            assert (after["price"], after["price2"], after[other]) == (before["price"], before["price2"], before[other])
            assert after[taken] == max(before[taken] - trade["size"], min(before[taken], UNIT))
            shrunk += 1
    assert shrunk > 100


def test_each_minute_begins_with_the_whole_book() -> None:
    """Whoever comes late waits a minute at most: a clear and all levels, flagged as a snapshot."""
    for number in range(1, 6):
        rows = ROWS[ROWS["instrument"] == number]
        clears = np.flatnonzero(rows["kind"] == BOOK_CLEAR)
        assert len(clears) == len(np.unique(rows["ts_event"][rows["kind"] == QUOTE] // NS_PER_MIN))
        for clear in clears:
            picture = rows[clear : clear + 1 + 2 * LEVELS]
            assert (picture["flags"] == SNAPSHOT).all()
            assert (picture["kind"][1:] == BOOK).all()


def test_levels_are_ones_a_venue_could_send() -> None:
    """Prices and sizes are on the instrument's grid, and no deeper level is better than the quote."""
    for instrument in simulator().instruments:
        levels = ROWS[(ROWS["instrument"] == instrument.id) & (ROWS["kind"] == BOOK)]
        assert levels["price"].min() > 0
        assert on_grid(levels["price"], instrument.price_decimals).all()
        assert on_grid(levels["size"], instrument.size_decimals).all()


@pytest.mark.parametrize("seek", [0, 1, 4_321, len(ROWS) - 1, len(ROWS)])
def test_neither_polls_nor_seeks_change_the_book(seek: int) -> None:
    """Any poll sizes and any jump give the same records to the bit, and so does another simulator of the same seed."""
    feed = simulator()
    feed.seek(seek)
    assert whole(feed, 777).tobytes() == ROWS[seek:].tobytes()
    feed.seek(0)
    assert feed.poll(0, 500).tobytes() == ROWS[:500].tobytes()


def test_a_market_with_a_book_is_traded() -> None:
    """The core takes the records in: a rule trades, and nothing is refused."""
    plan = Plan(decide=EmaCross(5, 20))
    market = SimulatedHistory(seed=5, hours=1.0, depth=5)
    result = Backtest(plan, market).run()
    assert len(result.fills)
    assert market.end_ns == market.start_ns + NS_PER_H


def test_a_depth_that_makes_no_sense_is_refused() -> None:
    """Levels are counted, and bounded."""
    for depth in (-1, 51):
        with pytest.raises(ConfigError, match="depth: expected 0"):
            simulator(depth=depth)
