"""Whatever is lost, repeated or reordered on the way: a valid book is the venue's, each message comes once, and the counts add up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.records import BOOK, GAP, LAST, QUOTE, SNAPSHOT, TRADE, Records
from tercel.market.book import LEVELS_MAX, Book
from tercel.market.feeds.binance import Binance
from tests.market.feeds.binance_frames import T0_NS, Level, instrument, snapshot, ticker, trade, update

SYMBOL = "BTCUSDT"
Side = dict[float, float]


class Change(NamedTuple):
    """An update of the venue's book: ids first to last, new totals, and the whole book after it."""

    first: int
    last: int
    bids: list[Level]
    asks: list[Level]
    book: tuple[Side, Side]


class Truth:
    """The venue: a walk of a small book, and its book at any id."""

    def __init__(self, seed: int, count: int) -> None:
        chance = np.random.default_rng(seed)
        middle, number = 1_000, 5
        sides: tuple[Side, Side] = ({9.9: 1.0}, {10.1: 1.0})
        self.changes = [Change(1, number, [], [], ({**sides[0]}, {**sides[1]}))]
        for _ in range(count):
            first, number = number + 1, number + int(chance.integers(1, 4))
            middle += int(chance.integers(-2, 3))
            moved: tuple[Side, Side] = ({}, {})
            for side, sign in enumerate((1, -1)):
                gone = {price: 0.0 for price in sides[side] if (price * 100 - middle) * sign >= 0}  # what the middle has passed
                fresh = {(middle - sign * int(step)) / 100: float(chance.integers(0, 9)) for step in chance.integers(1, 9, 3)}
                moved[side].update(gone | fresh)
                for price, size in moved[side].items():
                    sides[side][price] = size
                    if size == 0.0:
                        del sides[side][price]
            self.changes.append(Change(first, number, [*moved[0].items()], [*moved[1].items()], ({**sides[0]}, {**sides[1]})))
        self.at = {change.last: change.book for change in self.changes}

    def frame(self, place: int) -> bytes:
        """The update of one place."""
        change = self.changes[place]
        return update(change.first, change.last, change.bids, change.asks)

    def joined(self, place: int, count: int) -> bytes:
        """Several updates as another server may send them: in one."""
        changes = self.changes[place : place + count]
        bids, asks = {}, {}
        for change in changes:
            bids.update(change.bids)
            asks.update(change.asks)
        return update(changes[0].first, changes[-1].last, [*bids.items()], [*asks.items()])

    def snapshot(self, place: int) -> bytes:
        """The venue's answer after the update of one place."""
        change = self.changes[place]
        return snapshot(change.last, [*change.book[0].items()], [*change.book[1].items()])


def checked(decoder: Binance, truth: Truth, replayed: Book, rows: Records) -> None:
    """What holds after each step."""
    book = decoder.book(SYMBOL)
    replayed.apply(rows)
    assert (replayed.valid, replayed.levels(LEVELS_MAX)) == (book.valid, book.levels(LEVELS_MAX))
    if book.valid:
        bids, asks = truth.at[book.last_id]
        assert book.levels(LEVELS_MAX) == (sorted(bids.items(), reverse=True), sorted(asks.items()))
        best = book.best()
        assert (best.bid, best.ask) == (max(bids, default=best.bid), min(asks, default=best.ask)) or not bids or not asks
    assert decoder.received == sum(decoder.delivered.values()) + accounted(decoder) + decoder.held


def accounted(decoder: Binance) -> int:
    """Frames that were dropped; refused snapshots are counted beside them and are no frames."""
    return sum(count for reason, count in decoder.dropped.items() if not reason.startswith("snapshot_"))


STEP = st.one_of(
    st.tuples(st.just("next"), st.integers(1, 6)),
    st.tuples(st.just("joined"), st.integers(2, 4)),
    st.tuples(st.just("lose"), st.integers(1, 3)),
    st.tuples(st.just("repeat"), st.integers(1, 8)),
    st.tuples(st.just("ahead"), st.integers(1, 3)),
    st.tuples(st.just("snapshot"), st.integers(-6, 3)),
    st.tuples(st.just("disconnect"), st.just(0)),
    st.tuples(st.just("noise"), st.integers(0, 3)),
)
NOISE = [b"", b"{", b'{"stream":"btcusdt@depth@100ms","data":{}}', update(1, 2, [(-1.0, 1.0)])]


@settings(max_examples=150)
@given(st.integers(0, 2**32 - 1), st.lists(STEP, max_size=40))
def test_a_valid_book_is_the_venues(seed: int, steps: list[tuple[str, int]]) -> None:
    """Losses, repeats, reordering, other cuts, late, early and unasked snapshots, disconnects and noise, anywhere and in any number."""
    truth, decoder, replayed = Truth(seed, 120), Binance([instrument(SYMBOL)]), Book()
    place = 1
    for step, count in steps:
        if step == "snapshot":
            # also the venue's REST server may be ahead of the socket, or far behind
            rows = [decoder.snapshot(SYMBOL, truth.snapshot(min(max(place - 1 + count, 0), 120)), T0_NS)]
        elif step == "disconnect":
            rows = [decoder.disconnected(T0_NS)]
        elif step == "noise":
            rows = [decoder.frame(NOISE[count], T0_NS)]
        else:
            frames, place = delivery(truth, step, count, place)
            rows = [decoder.frame(frame, T0_NS) for frame in frames]
        for part in rows[:-1]:
            replayed.apply(part)
        checked(decoder, truth, replayed, rows[-1] if rows else decoder.frames([], T0_NS))


def delivery(truth: Truth, step: str, count: int, place: int) -> tuple[list[bytes], int]:
    """The updates that one step brings, and where the stream stands after it."""
    end = min(place + count, 121)
    if step == "next":
        return [truth.frame(at) for at in range(place, end)], end
    if step == "joined" and place < 121:
        return [truth.joined(max(place - 1, 1), count)], min(max(place - 1, 1) + count, 121)
    if step == "repeat":
        return [truth.frame(at) for at in range(max(1, place - count), place)], place
    if step == "ahead":
        return [truth.frame(at) for at in reversed(range(place, end))], end
    return [], end


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 119), max_size=6))
def test_a_book_that_lost_something_comes_back(seed: int, lost: list[int]) -> None:
    """With a snapshot whenever one is wanted, the book is valid and right in the end, and every loss in between was said."""
    truth, decoder = Truth(seed, 120), Binance([instrument(SYMBOL)])
    for place in range(1, 121):
        if place not in lost:
            decoder.frame(truth.frame(place), T0_NS)
        for symbol in decoder.wanted_snapshots():
            decoder.snapshot(symbol, truth.snapshot(place), T0_NS)
    decoder.frame(update(truth.changes[-1].last + 1, truth.changes[-1].last + 1), T0_NS)
    for symbol in decoder.wanted_snapshots():
        decoder.snapshot(symbol, truth.snapshot(120), T0_NS)
    assert decoder.book(SYMBOL).valid
    assert decoder.book(SYMBOL).levels(99) == tuple(
        sorted(side.items(), reverse=bids) for side, bids in zip(truth.changes[-1].book, (True, False), strict=True)
    )
    runs = sum(place in lost and place + 1 not in lost for place in range(2, 121) if any(at not in lost for at in range(1, place)))
    assert decoder.gaps["depth"] == runs


STREAM = [frame for number in range(1, 40) for frame in (trade(number), ticker(number * 3), update(number, number, [(9.0, float(number))]))]


@settings(max_examples=100)
@given(st.lists(st.booleans(), min_size=20, max_size=240), st.integers(0, 60), st.integers(60, len(STREAM)))
def test_two_sockets_that_overlap_deliver_each_message_once(turns: list[bool], begin: int, end: int) -> None:
    """One socket brings the stream up to `end`, the other from `begin` on, interleaved in any way: all messages, once, in order, no gap."""
    decoder = Binance([instrument(SYMBOL)])
    decoder.frame(update(0, 0), T0_NS)
    parts = [decoder.snapshot(SYMBOL, snapshot(0, [(9.0, 1.0)], [(10.0, 1.0)]), T0_NS)]
    first, second = 0, begin
    for old in [*turns, *[True] * end]:
        if old and first < end:
            parts.append(decoder.frame(STREAM[first], T0_NS))
            first += 1
        elif not old and second < first:  # a new socket is not ahead of the old by more than nothing
            parts.append(decoder.frame(STREAM[second], T0_NS))
            second += 1
    parts += [decoder.frame(frame, T0_NS) for frame in STREAM[second:]]
    rows = np.concatenate(parts)
    live = rows[((rows["flags"] & LAST) != 0) & ((rows["flags"] & SNAPSHOT) == 0)]
    assert live["ref"][live["kind"] == TRADE].tolist() == list(range(1, 40))
    assert live["ref"][live["kind"] == QUOTE].tolist() == list(range(3, 120, 3))
    assert live["ref"][live["kind"] == BOOK].tolist() == list(range(1, 40))
    assert not decoder.gaps
    assert decoder.received == sum(decoder.delivered.values()) + accounted(decoder)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from([trade, ticker]), st.integers(0, 12)), max_size=60))
def test_ids_rise_and_every_missing_trade_is_counted(sent: list[tuple[object, int]]) -> None:
    """In any order of arrival: ids delivered rise strictly, and the sizes of the gaps are what lies between the trades delivered."""
    decoder = Binance([instrument(SYMBOL)])
    rows = decoder.frames([make(number) for make, number in sent], T0_NS)  # type: ignore[operator]
    for kind in (TRADE, QUOTE):
        assert (np.diff(rows["ref"][rows["kind"] == kind]) > 0).all()
    trades = rows["ref"][rows["kind"] == TRADE]
    missing = int(trades[-1] - trades[0]) + 1 - len(trades) if len(trades) else 0
    assert rows["size"][rows["kind"] == GAP].sum() == missing
    assert decoder.gaps["trade"] == (rows["kind"] == GAP).sum()
    assert decoder.received == sum(decoder.delivered.values()) + accounted(decoder)
