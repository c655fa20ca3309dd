"""What every feed offers, and how recorded time is mapped to wall time.

A feed is a cursor over one fixed sequence of records. How often and when it is polled decides only how the sequence is cut, never what is
in it: that is why a restart may `seek` to a count of records and go on as if nothing had happened. `PacedFeed` does this for any source
that can be opened as an iterator of record chunks in arrival order.

Pacing: the first record wanted is due at the first poll; from there on source time runs at `Pace.speed` times wall time.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.records import Records, empty
from tercel.base.time import NS_PER_S

if TYPE_CHECKING:
    from tercel.market.instruments import Instrument


class Pace(msgspec.Struct, frozen=True):
    """How fast a recording plays: 1.0 is real time, N is N times faster, None (or infinity) is as fast as possible.

    Conversions are exact integer arithmetic: no rounding builds up over a long session. Raises `ConfigError` on zero, negative, NaN.
    """

    speed: float | None = 1.0

    def __post_init__(self) -> None:
        if self.speed is not None and not self.speed > 0:
            raise ConfigError(f"pace.speed: expected a number above 0, or nothing for as fast as possible, found {self.speed!r}")

    @property
    def unlimited(self) -> bool:
        """True when every record is due at once."""
        return self.speed is None or math.isinf(self.speed)

    def source_elapsed_ns(self, wall_elapsed_ns: int) -> int:
        """Source nanoseconds that have passed `wall_elapsed_ns` after the start, rounded down; needs a limited pace."""
        up, down = self._ratio()
        return wall_elapsed_ns * up // down

    def wall_elapsed_ns(self, source_elapsed_ns: int) -> int:
        """The first wall nanosecond after the start at which `source_elapsed_ns` have passed; 0 when unlimited."""
        if self.unlimited:
            return 0
        up, down = self._ratio()
        return -(-source_elapsed_ns * down // up)

    def _ratio(self) -> tuple[int, int]:
        assert self.speed is not None, "an unlimited pace has no ratio; ask `unlimited` first"
        return self.speed.as_integer_ratio()


REAL_TIME = Pace(1.0)
UNLIMITED = Pace(None)


class FeedState(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed says about itself: a word for people, the age of its newest record, and counters since its start.

    `text` is "live", "connecting", "reconnecting" or "stale N s". `ended` and `failures` count why sockets were replaced and attempts
    failed; `problem` is the last of them in a sentence, "" while all is well.
    """

    text: str = "live"
    age_ns: int | None = None  # None: whoever polls knows as much
    messages: int = 0
    gaps: int = 0
    dropped: Mapping[str, int] = msgspec.field(default_factory=dict)
    reconnects: int = 0
    failures: Mapping[str, int] = msgspec.field(default_factory=dict)
    ended: Mapping[str, int] = msgspec.field(default_factory=dict)
    problem: str = ""


class Feed(Protocol):
    """A source of market records in arrival order; the shell polls it and hands what comes to the sequencer."""

    @property
    def name(self) -> str:
        """Short and stable: it names the feed in logs, metrics and the restart position."""

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Every instrument whose records may come."""

    @property
    def position(self) -> int:
        """Market records delivered since the beginning of the source, those skipped by `seek` included."""

    @property
    def done(self) -> bool:
        """True when nothing will ever come again."""

    def poll(self, now_ns: int, limit: int) -> Records:
        """At most `limit` records (dtype TICK, `ts_recv` = arrival) due at wall time `now_ns`, possibly none; the array is the caller's."""

    def seek(self, position: int) -> None:
        """Continue after `position` records, exactly as if they had been delivered."""

    def next_due_ns(self, now_ns: int) -> int | None:
        """Wall time at which the next record is due, `now_ns` when it already is; None when done."""

    def source_now_ns(self, now_ns: int) -> int:
        """Source time at wall time `now_ns`, when a poll at that time has just given nothing: what comes arrives later. 0: not known."""

    def wait(self, wait_ns: int) -> None:
        """Sleep for at most `wait_ns`; a feed that can tell wakes when records come."""

    def state(self, now_ns: int) -> FeedState:
        """What it says about itself."""

    def close(self) -> None:
        """Release what it holds; it is not polled again."""


class PacedFeed(ABC):
    """The part of a feed that recordings and the simulator share: position, pacing, cutting chunks into polls.

    A subclass gives `_open(position)`: chunks of records (dtype TICK, `ts_recv` filled and never decreasing) after the first `position`
    ones. Holds one chunk at a time and opens the source on first use.
    """

    def __init__(self, name: str, instruments: tuple[Instrument, ...], pace: Pace, fast_until_ns: int = 0) -> None:
        """Records that arrived before `fast_until_ns` are due at once; the pace begins there."""
        self._name, self._instruments, self._pace, self._fast_until_ns = name, instruments, pace, fast_until_ns
        self._position = 0
        self._start: tuple[int, int] | None = None  # wall and source time of the first poll
        self._chunks: Iterator[Records] | None = None
        self._chunk, self._row = empty(0), 0

    @property
    def name(self) -> str:
        """See `Feed`."""
        return self._name

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """See `Feed`."""
        return self._instruments

    @property
    def position(self) -> int:
        """See `Feed`."""
        return self._position

    @property
    def done(self) -> bool:
        """See `Feed`; may read the next chunk of the source to know."""
        return not self._has_next()

    def poll(self, now_ns: int, limit: int) -> Records:
        """See `Feed`. A clock that steps back delays records and loses none."""
        parts: list[Records] = []
        missing = limit
        while missing > 0 and self._has_next():
            part = self._chunk[self._row : self._row + missing]
            part = part[: self._due_count(part, now_ns)]
            if not len(part):
                break
            parts.append(part)
            missing -= len(part)
            self._row += len(part)
        self._position += limit - missing if limit > 0 else 0
        return np.concatenate(parts) if parts else empty(0)

    def seek(self, position: int) -> None:
        """See `Feed`. Raises `ConfigError` for a negative position; a position behind the end leaves the feed done."""
        if position < 0:
            raise ConfigError(f"feed {self._name}: position to continue from: expected 0 or more, found {position}")
        self._chunks = self._open(position)
        self._chunk, self._row, self._position, self._start = empty(0), 0, position, None

    def next_due_ns(self, now_ns: int) -> int | None:
        """See `Feed`. Before the first poll the next record is due now."""
        if not self._has_next():
            return None
        arrival_ns = int(self._chunk["ts_recv"][self._row])
        if self._start is None or arrival_ns < self._fast_until_ns:
            return now_ns
        wall_ns, source_ns = self._start
        return max(now_ns, wall_ns + self._pace.wall_elapsed_ns(arrival_ns - source_ns))

    def source_now_ns(self, now_ns: int) -> int:
        """See `Feed`; not known before the first record, with an unlimited pace, and at the end."""
        if self._start is None or self._pace.unlimited or not self._has_next():
            return 0
        wall_ns, source_ns = self._start
        return source_ns + self._pace.source_elapsed_ns(now_ns - wall_ns)

    def wait(self, wait_ns: int) -> None:
        """See `Feed`: records are due by the clock, so this only sleeps."""
        time.sleep(max(0, wait_ns) / NS_PER_S)

    def state(self, now_ns: int) -> FeedState:
        """See `Feed`."""
        return FeedState()

    def close(self) -> None:
        """See `Feed`; nothing comes any more."""
        self._chunks, self._chunk, self._row = iter(()), empty(0), 0

    def _due_count(self, rows: Records, now_ns: int) -> int:
        """How many of `rows` (not empty) have arrived; the very first call starts the clock of the source."""
        if self._pace.unlimited:
            return len(rows)
        fast = int(np.searchsorted(rows["ts_recv"], self._fast_until_ns))
        if fast:
            return fast
        if self._start is None:
            self._start = (now_ns, int(rows["ts_recv"][0]))
        wall_ns, source_ns = self._start
        due_ns = source_ns + self._pace.source_elapsed_ns(now_ns - wall_ns)
        return int(np.searchsorted(rows["ts_recv"], due_ns, side="right"))

    def _has_next(self) -> bool:
        if self._chunks is None:
            self._chunks = self._open(self._position)
        while self._row >= len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._chunk, self._row = chunk, 0
        return True

    @abstractmethod
    def _open(self, position: int) -> Iterator[Records]:
        """Chunks of records in arrival order after the first `position` ones."""


def skip_rows(chunks: Iterator[Records], count: int) -> Iterator[Records]:
    """`chunks` without their first `count` rows; reads through them."""
    for chunk in chunks:
        if count < len(chunk):
            yield chunk[count:]
        count = max(0, count - len(chunk))
