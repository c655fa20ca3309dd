"""What the tests of live feeds share: a feed on the local venue, turns until something is so, and the comparison with the true books."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tercel.base.records import GAP, Records, empty
from tercel.base.time import wall_ns
from tercel.market.feeds import live_venues
from tercel.market.feeds.binance import Binance
from tercel.market.feeds.care import Care
from tercel.market.feeds.live import LiveFeed
from tercel.market.feeds.recording import LOST, read
from tercel.market.instruments import Instrument
from tests.market.feeds.venue_server import Venue

# Everything that takes seconds at a venue takes a fraction of one here.
QUICK: dict[str, Any] = {
    "connect": 2.0, "silence": 0.6, "quiet": 60.0, "stale": 0.3, "overlap": 0.15, "wait_first": 0.02, "wait_max": 0.1, "request": 1.0,
    "request_every": 0.02,
}  # fmt: skip
TURN_NS = 2_000_000
LEVELS = 500


class Watched:
    """A live feed on a venue with everything it has given so far."""

    def __init__(
        self, venue: Venue, *, depth: bool = True, tape: Any = None, rest: str | None = None, endpoint: str = "",
        clock: Callable[[], int] = wall_ns, **care: Any,
    ) -> None:  # fmt: skip
        self.venue, self.clock = venue, clock
        source = live_venues.Source(
            venue="binance", symbols=tuple(venue.market.symbols), endpoint=endpoint or venue.url, rest=rest,
            authority=str(venue.authority), care=Care(**{**QUICK, **care}),
        )  # fmt: skip
        self.instruments = numbered(venue)
        self.feed: LiveFeed = live_venues.open_feed(source, self.instruments, clock=clock, chance=random.Random(7), depth=depth, tape=tape)
        self.got: list[Records] = []

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self.feed.close()

    @property
    def records(self) -> Records:
        """Everything so far, in order."""
        return np.concatenate([empty(0), *self.got])

    def turn(self) -> None:
        """One turn, as the trader takes it."""
        records = self.feed.poll(self.clock(), 100_000)
        if len(records):
            self.got.append(records)
        else:
            self.feed.wait(TURN_NS)

    def turns(self, seconds: float) -> None:
        """Turns for some time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn()

    def until(self, so: Callable[[], object], seconds: float = 10.0) -> None:
        """Turns until something is so; fails when it does not come to be."""
        until = time.monotonic() + seconds
        while not so():
            assert time.monotonic() < until, f"still not so after {seconds} s: {self.state}"
            self.turn()

    @property
    def state(self) -> Any:
        """What the feed says about itself."""
        return self.feed.state(self.clock())

    def connected(self, sockets: int = 1) -> None:
        """Connect, and let one message pass: without one nothing is known to work. The message is no matter of the test."""
        opened = self.venue.opened
        while self.venue.opened == opened or not self.feed.session.connected:
            self.turns(0.05)
            if self.venue.count():
                self.venue.say()
        self.settle()

    def say(self, count: int) -> None:
        """The venue says so much, and all of it arrives."""
        self.venue.say(count)
        self.settle()

    def settle(self) -> None:
        """Turns until nothing has come for a moment and no snapshot is wanted."""
        deadline = time.monotonic() + 10.0
        quiet_since, seen = time.monotonic(), -1
        while time.monotonic() - quiet_since < 0.08:
            assert time.monotonic() < deadline, f"it does not come to rest: {self.state}"
            self.turn()
            now = self.feed.session.messages + len(self.feed.decoder.wanted_snapshots())
            if now != seen or self.feed.decoder.wanted_snapshots():
                seen, quiet_since = now, time.monotonic()

    def gaps(self) -> int:
        """How many gap records have come."""
        return int(np.count_nonzero(self.records["kind"] == GAP))

    def books_are_true(self) -> None:
        """Every book is valid and equal to the venue's own, level by level."""
        for symbol, true in self.venue.market.books.items():
            book = self.feed.decoder.book(symbol)
            assert book.valid, f"{symbol}: {self.state}"
            assert book.last_id == true.last_id, symbol
            bids, asks = true.levels(LEVELS)
            found = book.levels(LEVELS)
            assert found == ([(float(p), float(s)) for p, s in bids], [(float(p), float(s)) for p, s in asks]), symbol


def numbered(venue: Venue) -> tuple[Instrument, ...]:
    """The venue's instruments, asked for as any user would, with ids of their own."""
    source = live_venues.Source(venue="binance", symbols=tuple(venue.market.symbols), endpoint=venue.url, authority=str(venue.authority))
    return tuple(msgspec.structs.replace(one, id=number) for number, one in enumerate(live_venues.define(source), 1))


def replayed(files: Sequence[Path], decoder: Binance) -> Records:
    """A recording, decoded anew: messages, snapshots and losses in the order in which they came."""
    parts, lost_ns = [empty(0)], 0
    for stamp, name, payload in read(files):
        if payload == LOST:
            if stamp != lost_ns:  # it stands once in the file of every symbol
                parts.append(decoder.disconnected(stamp))
            lost_ns = stamp
        elif payload.startswith(b'{"lastUpdateId"'):
            parts.append(decoder.snapshot(name.upper(), payload, stamp))
        else:
            parts.append(decoder.frame(payload, stamp))
    return np.concatenate(parts)
