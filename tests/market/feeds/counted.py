"""A feed on a venue that plays recorded frames, with every count told beforehand, and what is done to it on the way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from picows import WSMsgType

from tercel.base.records import BOOK, GAP, LAST, QUOTE, SNAPSHOT, TRADE
from tests.market.feeds.frame_account import Account
from tests.market.feeds.sessions import Watched
from tests.market.feeds.venue_frames import RecordedFrames
from tests.market.feeds.venue_market import wire_symbol
from tests.market.feeds.venue_server import Venue

HEALED_AFTER_MAX = 600  # frames; the rarest symbol has an update among every 60 or so
STEP = 20
KINDS = {"trade": TRADE, "bookTicker": QUOTE, "depth": BOOK}


class Counted(Watched):
    """`Watched`, and `check` says whether everything that was sent to the feed is accounted for."""

    def __init__(self, venue: Venue, **care: Any) -> None:
        assert isinstance(venue.market, RecordedFrames)
        self.market = venue.market
        super().__init__(venue, clock=lambda: self.market.now_ns, **{"silence": 30.0} | care)
        self.account = Account(tuple(map(wire_symbol, self.market.symbols)))
        self.compared = 0

    def begin(self, opened: int = 0) -> None:
        """A connection above the number `opened`; the first message makes it serve."""
        self.until(lambda: self.venue.opened > opened)
        self.venue.say()
        self.until(lambda: self.feed.session.connected)
        self.check()

    def say(self, count: int) -> None:
        """The venue says so much; all of it arrives and is accounted for."""
        self.venue.say(count)
        self.check()

    def check(self) -> None:
        """Everything sent is delivered, dropped for its reason, or held; records are what was delivered; books are the market's."""
        self.settle()
        self._hear()
        decoder, account = self.feed.decoder, self.account
        found = {"delivered": decoder.delivered, "dropped": decoder.dropped, "gaps": decoder.gaps}
        for name, expected in {"delivered": account.delivered, "dropped": account.dropped, "gaps": account.gaps}.items():
            assert +Counter(found[name]) == +expected, f"{name}: expected {+expected}, found {+Counter(found[name])}"
        assert decoder.held == 0
        assert decoder.received == self.feed.session.messages == account.received == account.accounted
        assert self.feed.session.snapshots == account.snapshots
        self._records_are_what_was_delivered()
        for symbol in self.market.symbols:
            self._best_is_recorded(symbol)

    def heal(self) -> None:
        """Messages go on until every symbol has had an update: then every book is the venue's."""
        for _ in range(HEALED_AFTER_MAX // STEP):
            self.say(STEP)
            books = [(self.feed.decoder.book(symbol), true) for symbol, true in self.market.books.items()]
            if all(book.valid and book.last_id == true.last_id for book, true in books):
                break
        self.books_are_true()

    def lose(self, act: Callable[[], object]) -> None:
        """Something ends the socket; the next one serves."""
        losses, opened = self.account.gaps["connection"], self.venue.opened
        act()
        self.until(lambda: self.feed.decoder.gaps.get("connection", 0) > losses)
        self.account.lost()
        self.begin(opened)

    def change(self, count: int, act: Callable[[], object] = lambda: None) -> None:
        """The new socket is there; both say so many messages, then the old one goes: by itself, or because of `act`."""
        connects = self.feed.session.connects
        self.until(lambda: self.venue.count() == 2)
        self.venue.say(count)
        self.settle()
        act()
        self.until(lambda: self.venue.count() == 1 and self.feed.session.connects == connects + 1)
        self.check()

    def _hear(self) -> None:
        """A socket's successor is heard after it."""
        sent = sorted(self.venue.sent, key=lambda one: one[0])
        assert len(sent) < (self.venue.sent.maxlen or 0)
        self.venue.sent.clear()
        for _, frame in sent:
            self.account.hear(frame)
        for symbol in self.market.symbols:
            if self.account.held[wire_symbol(symbol)]:
                self.account.snapshot(wire_symbol(symbol), self.market.books[symbol].last_id)

    def _records_are_what_was_delivered(self) -> None:
        records = self.records
        ends = records[((records["flags"] & LAST) != 0) & ((records["flags"] & SNAPSHOT) == 0)]
        for instrument, symbol in zip(self.instruments, self.account.symbols, strict=True):
            for name, kind in KINDS.items():
                found = ends["ref"][(ends["instrument"] == instrument.id) & (ends["kind"] == kind)]
                assert found.tolist() == self.account.ids[symbol, name], (symbol, name)
        assert np.nansum(records["size"][records["kind"] == GAP]) == self.account.trades_missed

    def _best_is_recorded(self, symbol: str) -> None:
        book = self.feed.decoder.book(symbol)
        if book.valid and self.market.updates[symbol] >= self.market.settled:
            best = book.best()
            assert (best.bid, best.ask) == self.market.best(symbol, book.last_id), (symbol, book.last_id)
            self.compared += 1


# What is done to frames and sockets. Each takes the feed, some chance, and messages of other venues.

Fault = Callable[[Counted, random.Random, list[bytes]], None]
DAMAGES: tuple[Callable[[bytes], bytes], ...] = (
    lambda frame: frame[: len(frame) // 2],
    lambda frame: frame[:-1] + b"\xff",
    lambda frame: frame.replace(b'"s":"', b'"s":"X'),
    lambda frame: frame.replace(b'"u":', b'"u":-').replace(b'"t":', b'"t":-'),
)


def missing(feed: Counted, chance: random.Random, foreign: list[bytes]) -> None:
    """Messages that nobody hears."""
    count = chance.randint(1, 60)
    feed.venue.drop(count)
    feed.say(count)


def doubled(feed: Counted, chance: random.Random, foreign: list[bytes]) -> None:
    """Messages that come twice."""
    count = chance.randint(1, 60)
    feed.venue.twice(count)
    feed.say(count)


def turned_round(feed: Counted, chance: random.Random, foreign: list[bytes]) -> None:
    """Neighbours that change places."""
    for _ in range(chance.randint(5, 30)):
        feed.venue.swap()
        feed.venue.say(chance.randint(2, 4))
    feed.check()


def damaged(feed: Counted, chance: random.Random, foreign: list[bytes]) -> None:
    """Messages cut off, no text, of another symbol, with numbers that cannot be."""
    for how in DAMAGES:
        feed.venue.damage(chance.randint(1, 8), how)
        feed.say(8)


def not_ours(feed: Counted, chance: random.Random, foreign: list[bytes]) -> None:
    """Other venues' messages and a binary frame between ours."""
    strange = chance.sample(foreign, 30)
    binary = feed.feed.session.odd["binary"]
    feed.venue.garbage(*strange)
    feed.venue.garbage(strange[0], kind=WSMsgType.BINARY)
    feed.say(STEP)
    assert feed.feed.session.odd["binary"] == binary + 1


def reset(feed: Counted, chance: random.Random, foreign: list[bytes]) -> None:
    """The connection is reset; the market goes on meanwhile."""
    feed.lose(lambda: (feed.venue.reset(), feed.venue.say(chance.randint(1, 60))))


def half_open(feed: Counted, chance: random.Random, foreign: list[bytes]) -> None:
    """The socket stays open and nothing comes; the market goes on."""
    mute = feed.state.ended.get("mute", 0)
    feed.lose(lambda: (feed.venue.mute(), feed.venue.say(chance.randint(1, 60))))
    assert feed.state.ended["mute"] == mute + 1


def announced(feed: Counted, chance: random.Random, foreign: list[bytes]) -> None:
    """The venue says that its day is over: make, then break."""
    feed.venue.announce()
    feed.change(chance.randint(20, 80))


FAULTS: dict[str, Fault] = {
    one.__name__: one for one in (missing, doubled, turned_round, damaged, not_ours, reset, half_open, announced)
}  # fmt: skip
