"""Pacing and cutting: when a record is due, and that polls decide nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.base.records import QUOTE, Records, empty
from tercel.market.feeds.base import REAL_TIME, UNLIMITED, Feed, Pace, PacedFeed, skip_rows

WALL_NS = 1_700_000_000_000_000_000


class Listed(PacedFeed):
    """A feed over given arrival times, in chunks of given sizes."""

    def __init__(self, arrivals_ns: list[int], sizes: list[int], pace: Pace) -> None:
        super().__init__("listed", (), pace)
        self.rows = quotes(arrivals_ns)
        self._sizes = sizes

    def _open(self, position: int) -> Iterator[Records]:
        return skip_rows(self._cut(), position)

    def _cut(self) -> Iterator[Records]:
        row = 0
        for size in self._sizes:
            yield self.rows[row : row + size]
            row += size
        yield self.rows[row:]


def quotes(arrivals_ns: list[int]) -> Records:
    """Quotes with these arrivals, numbered in `ref`."""
    rows = empty(len(arrivals_ns))
    rows["kind"] = QUOTE
    rows["ts_event"] = rows["ts_recv"] = arrivals_ns
    rows["ref"] = np.arange(len(rows))
    return rows


def drain(feed: Feed, now_ns: int, limit: int) -> list[int]:
    """Row numbers of all that is due."""
    found: list[int] = []
    while len(rows := feed.poll(now_ns, limit)):
        assert len(rows) <= limit
        found += rows["ref"].tolist()
    return found


def test_real_time_delivers_a_record_exactly_when_its_time_has_come() -> None:
    """The first record is due at the first poll, each later one as much later as it arrived later."""
    feed = Listed([1_000, 1_500, 1_500, 2_000], [2], REAL_TIME)
    assert feed.next_due_ns(WALL_NS) == WALL_NS
    assert drain(feed, WALL_NS, 10) == [0]
    assert feed.next_due_ns(WALL_NS) == WALL_NS + 500
    assert drain(feed, WALL_NS + 499, 10) == []
    assert drain(feed, WALL_NS + 500, 10) == [1, 2]
    assert feed.next_due_ns(WALL_NS + 5_000) == WALL_NS + 5_000
    assert not feed.done
    assert drain(feed, WALL_NS + 5_000, 10) == [3]
    assert feed.done
    assert feed.next_due_ns(WALL_NS + 5_000) is None


def test_a_poll_fills_its_limit_over_the_edges_of_chunks() -> None:
    """Fewer records than the limit mean that no more are due."""
    feed = Listed(list(range(10)), [1, 0, 2, 3], UNLIMITED)
    assert feed.poll(0, 5)["ref"].tolist() == [0, 1, 2, 3, 4]
    assert len(feed.poll(0, 0)) == 0
    assert len(feed.poll(0, -3)) == 0
    assert feed.position == 5
    assert feed.poll(0, 50)["ref"].tolist() == [5, 6, 7, 8, 9]


def test_what_a_poll_returned_belongs_to_the_caller() -> None:
    """Overwriting it changes neither the source nor a later poll."""
    feed = Listed([1, 2, 3], [], UNLIMITED)
    feed.poll(0, 2)["price"] = 99.0
    feed.seek(0)
    assert feed.poll(0, 3)["price"].tolist() == [0.0, 0.0, 0.0]


def test_unlimited_has_everything_due() -> None:
    """No clock is needed to read a recording as fast as possible; infinity says the same."""
    for pace in (UNLIMITED, Pace(math.inf)):
        assert drain(Listed([5, 10**15, 10**18], [1], pace), 0, 2) == [0, 1, 2]


def test_a_position_behind_the_end_leaves_the_feed_done() -> None:
    """Seeking further than there are records is no error; a negative position is."""
    feed = Listed([1, 2, 3], [1], UNLIMITED)
    feed.seek(7)
    assert feed.done
    assert len(feed.poll(0, 10)) == 0
    with pytest.raises(ConfigError, match="position"):
        feed.seek(-1)


def test_after_a_seek_the_next_record_is_due_at_the_next_poll() -> None:
    """A restart does not wait for the time the skipped records would have taken, and a jump back does not flood."""
    feed = Listed([1_000, 2_000, 3_000], [], REAL_TIME)
    feed.poll(WALL_NS, 1)
    for position in (2, 0):
        feed.seek(position)
        assert feed.next_due_ns(WALL_NS + 5_000) == WALL_NS + 5_000
        assert drain(feed, WALL_NS + 5_000, 10) == [position]


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, -math.inf])
def test_a_pace_that_never_arrives_is_refused(speed: float) -> None:
    """Zero, negative and not-a-number speeds are the operator's mistake."""
    with pytest.raises(ConfigError, match=r"pace\.speed"):
        Pace(speed)


@given(speed=st.floats(1e-3, 1e6), elapsed_ns=st.integers(0, 10**18))
def test_the_wall_time_of_a_source_time_is_the_first_that_reaches_it(speed: float, elapsed_ns: int) -> None:
    """Exact at any speed and any session length: due at that nanosecond, not one before."""
    pace = Pace(speed)
    wall_ns = pace.wall_elapsed_ns(elapsed_ns)
    assert pace.source_elapsed_ns(wall_ns) >= elapsed_ns
    assert wall_ns == 0 or pace.source_elapsed_ns(wall_ns - 1) < elapsed_ns


@given(
    gaps=st.lists(st.integers(0, 1_000), max_size=30),
    sizes=st.lists(st.integers(0, 5), max_size=10),
    polls=st.lists(st.tuples(st.integers(-100, 4_000), st.integers(0, 7)), max_size=30),
    speed=st.sampled_from([None, 0.5, 1.0, 7.3]),
    seek=st.none() | st.integers(0, 35),
)
def test_polls_only_cut_the_sequence(
    gaps: list[int], sizes: list[int], polls: list[tuple[int, int]], speed: float | None, seek: int | None
) -> None:
    """Whatever the clock and the limits do, records come once, in order, never early, and `position` counts them."""
    arrivals_ns = np.cumsum([1_000, *gaps]).tolist()
    feed = Listed(arrivals_ns, sizes, Pace(speed))
    taken = seek or 0
    if seek is not None:
        feed.seek(seek)
    waiting = arrivals_ns[taken:]
    now_ns = start_ns = WALL_NS
    expected = waiting[:1] if speed else waiting
    assert feed.poll(now_ns, 50)["ref"].tolist()[: len(expected)] == list(range(taken, taken + len(expected)))
    taken = feed.position
    for step_ns, limit in polls:
        now_ns += step_ns
        due = [arrival for arrival in waiting if speed is None or arrival - waiting[0] <= Fraction(speed) * (now_ns - start_ns)]
        expected = due[taken - (seek or 0) :][:limit]
        due_ns = feed.next_due_ns(now_ns)
        rows = feed.poll(now_ns, limit)
        assert rows["ts_recv"].tolist() == expected
        assert rows["ref"].tolist() == list(range(taken, taken + len(rows)))
        assert limit == 0 or (due_ns == now_ns) == (len(rows) > 0)
        taken += len(rows)
        assert feed.position == taken
    assert drain(feed, now_ns + 10**9, 4) == list(range(taken, len(arrivals_ns)))
    assert feed.done
