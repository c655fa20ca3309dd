"""A seeded market as a feed: the same seed, symbols and start give the same records to the bit, however it is polled, cut or continued.

`simulated_market` says what is modelled and what is random. The simulator strings its minutes together, cuts them at the start and the
end, and keeps marks (position and state) so that going back to a position replays an hour at most, up to `MARKS_MAX` marks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.records import Records
from tercel.base.time import NS_PER_DAY, NS_PER_MS, format_instant
from tercel.market.feeds.base import REAL_TIME, Pace, PacedFeed, skip_rows
from tercel.market.feeds.simulated_depth import DEPTH_MAX, with_depth
from tercel.market.feeds.simulated_market import State, first_state, next_block
from tercel.market.feeds.simulated_symbols import BLOCK_NS, Market, SimulatedSymbol, default_symbols

LATENCY_NS: Final = NS_PER_MS
MARK_BLOCKS: Final = 60  # minutes between marks
MARKS_MAX: Final = 2_048  # when there are more, every second one is dropped


class _Mark(NamedTuple):
    """Where a block begins: records before it, and the state it starts from."""

    position: int
    state: State


class Simulator(PacedFeed):
    """Several correlated symbols with quotes and trades, from `start_ns` for `duration_ns`, or without end.

    `ts_recv` = `ts_event` + `LATENCY_NS`; both the start and the end bound `ts_event`. Simulated times follow `pace` and have nothing to do
    with the clock on the wall. With a `depth`, so many levels of the book a side come as `BOOK` records, too (`simulated_depth`). Raises
    `ConfigError` for a negative seed or start, a depth beyond `DEPTH_MAX`, or symbols that cannot be simulated.
    """

    def __init__(
        self, symbols: Sequence[SimulatedSymbol] | None = None, *, seed: int, start_ns: int, pace: Pace = REAL_TIME,
        duration_ns: int | None = None, name: str = "simulator", fast_until_ns: int = 0, depth: int = 0,
    ) -> None:  # fmt: skip
        if seed < 0 or start_ns < 0 or (duration_ns is not None and duration_ns <= 0):
            raise ConfigError(f"simulator: expected seed, start_ns >= 0 and duration_ns > 0, found {seed}, {start_ns}, {duration_ns}")
        if not 0 <= depth <= DEPTH_MAX:
            raise ConfigError(f"simulator: depth: expected 0 (no book) to {DEPTH_MAX} levels a side, found {depth}")
        self._market = Market(default_symbols() if symbols is None else symbols)
        super().__init__(name, tuple(symbol.instrument for symbol in self._market.symbols), pace, fast_until_ns)
        self._seed, self._start_ns, self._depth = seed, start_ns, depth
        self._end_ns = None if duration_ns is None else start_ns + duration_ns
        self._marks = [_Mark(0, first_state(self._market, seed, start_ns // BLOCK_NS))]

    def expected_rows(self, start_ns: int, end_ns: int) -> int:
        """About how many quotes and trades there are between two times (ns UTC), levels of the book not counted."""
        return round(self._market.expected_events(start_ns, end_ns))

    def records(self, start_ns: int, end_ns: int) -> Iterator[Records]:
        """The simulated market between two times (ns UTC, end not included), one array per UTC day; days without records are left out.

        The same records as the feed delivers, whatever it has delivered so far. Raises `ConfigError` for a start before the simulator's.
        """
        if start_ns < self._start_ns:
            raise ConfigError(f"simulator: it starts at {format_instant(self._start_ns)}, nothing is known from {format_instant(start_ns)}")
        parts: list[Records] = []
        day = start_ns // NS_PER_DAY
        for rows in self._blocks(self._mark(lambda mark: mark.state.block, start_ns // BLOCK_NS)):
            first_ns = int(rows["ts_event"][0])
            if parts and (first_ns // NS_PER_DAY > day or first_ns >= end_ns):
                yield np.concatenate(parts)
                parts = []
            if first_ns >= end_ns:
                return
            day = first_ns // NS_PER_DAY
            if len(rows := between(rows, start_ns, end_ns)):
                parts.append(rows)
        if parts:
            yield np.concatenate(parts)

    def _open(self, position: int) -> Iterator[Records]:
        mark = self._mark(lambda mark: mark.position, position)
        return skip_rows(self._blocks(mark), position - mark.position)

    def _mark(self, key: Callable[[_Mark], int], value: int) -> _Mark:
        """The last mark at or before a position or a block."""
        return self._marks[bisect_right(self._marks, value, key=key) - 1]

    def _blocks(self, mark: _Mark) -> Iterator[Records]:
        """The minutes from a mark on that have records, each cut to the simulator's start and end."""
        position, state = mark
        while self._end_ns is None or state.block * BLOCK_NS < self._end_ns:
            self._remember(_Mark(position, state))
            rows, state = next_block(self._market, self._seed, state)
            rows = between(rows, self._start_ns, self._end_ns)
            if len(rows):
                rows["ts_recv"] += LATENCY_NS
                rows = with_depth(rows, self._market, self._seed, self._depth) if self._depth else rows
                position += len(rows)
                yield rows

    def _remember(self, mark: _Mark) -> None:
        if mark.state.block < self._marks[-1].state.block + MARK_BLOCKS:
            return
        self._marks.append(mark)
        if len(self._marks) > MARKS_MAX:
            self._marks = self._marks[::2]


def between(rows: Records, start_ns: int, end_ns: int | None) -> Records:
    """The rows (in order of `ts_event`) that happened from `start_ns` to before `end_ns`; None is without end."""
    first, last = np.searchsorted(rows["ts_event"], (start_ns, np.iinfo(np.int64).max if end_ns is None else end_ns))
    return rows[first:last]
