"""What is odd in a recording: gaps, repeats, crossed, locked and one-sided quotes. The import report and `data check` count with this.

Counting never changes a row. Feed the rows of one series in time order, in blocks that do not split rows of one time.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.records import BOOK_CLEAR, GAP, Records
from tercel.base.time import NS_PER_MIN
from tercel.market.instruments import Instrument
from tercel.market.manifest import Key
from tercel.market.merge import repeats
from tercel.market.sessions import windows

GAP_NS: Final = 5 * NS_PER_MIN  # silence inside the session that counts as a gap when the series is not made of bars


class Counts(msgspec.Struct):
    """Counts over one series. `gaps` are silences inside the session; `days_absent` are whole sessions without a row (holidays, too).

    `holes` are places between rows where the recorder says that something is missing (GAP rows), `holes_ns` is the time they last.
    """

    rows: int = 0
    first_ns: int = 0
    last_ns: int = 0
    gaps: int = 0
    gap_ns_max: int = 0
    gap_at_ns: int = 0  # last time before the longest gap
    bars_absent: int = 0
    days_absent: int = 0
    same_time: int = 0  # rows with the time of their predecessor
    duplicates: int = 0  # rows equal in every field to an earlier one of the same time
    crossed: int = 0
    locked: int = 0
    one_sided: int = 0
    holes: int = 0
    holes_ns: int = 0


class Quality:
    """Counts one series as its rows come by."""

    def __init__(self, key: Key, instrument: Instrument) -> None:
        self._key, self._session, self.counts = key, instrument.session, Counts()
        self._in_hole, self._told_ns = False, 0  # time of the newest row that is neither gap nor cleared book

    def add(self, rows: Records) -> None:
        """Count a block (the kind's view, sorted by time, after everything before it)."""
        if not len(rows):
            return
        counts, times = self.counts, np.ascontiguousarray(rows["ts_event"])
        before = counts.last_ns if counts.rows else int(times[0])
        self._count_gaps(np.concatenate([[before], times]))
        self._count_holes(times, rows["kind"])
        counts.same_time += int((times[1:] == times[:-1]).sum())
        counts.duplicates += repeats(rows)
        if self._key.kind == "quote":
            bid, ask = rows["price"], rows["price2"]
            counts.crossed += int((bid > ask).sum())
            counts.locked += int((bid == ask).sum())
            counts.one_sided += int((np.isnan(bid) != np.isnan(ask)).sum())
        counts.first_ns = counts.first_ns if counts.rows else int(times[0])
        counts.last_ns = int(times[-1])
        counts.rows += len(rows)

    def _count_holes(self, times: npt.NDArray[np.int64], kinds: npt.NDArray[np.uint8]) -> None:
        """A hole lasts from the last row before its gaps to the first one behind them; a cleared book is no row."""
        told = kinds != BOOK_CLEAR
        gap = kinds[told] == GAP
        after = np.append(self._in_hole, gap)
        self._in_hole = bool(after[-1])
        ends, times = after[:-1][~gap], times[told][~gap]
        if len(times):
            ends[0] &= self._told_ns > 0  # what is missing before the first row is no hole
            self.counts.holes += int(ends.sum())
            self.counts.holes_ns += int(np.diff(times, prepend=self._told_ns)[ends].sum())
            self._told_ns = int(times[-1])

    def _count_gaps(self, times: npt.NDArray[np.int64]) -> None:
        interval = self._key.interval_ns
        wide = np.flatnonzero(np.diff(times) > (interval or GAP_NS))
        if not len(wide):
            return
        starts, ends = times[wide] + interval, times[wide + 1]
        open_ns = ends - starts
        calendar = windows(self._session, int(starts[0]), int(ends[-1]))
        if calendar is not None:
            absent, absent_ns = calendar.whole_between(starts, ends)
            open_ns = calendar.open_ns_until(ends) - calendar.open_ns_until(starts) - absent_ns
            self.counts.days_absent += int(absent.sum())
        if interval:
            absent_bars = open_ns // interval
            self.counts.bars_absent += int(absent_bars.sum())
            self._count_longest(starts - interval, absent_bars * interval, absent_bars > 0)
        else:
            self._count_longest(starts, open_ns, open_ns > GAP_NS)

    def _count_longest(self, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]) -> None:
        self.counts.gaps += int(chosen.sum())
        longest = int(np.argmax(np.where(chosen, lengths, -1)))
        if chosen[longest] and lengths[longest] > self.counts.gap_ns_max:
            self.counts.gap_ns_max, self.counts.gap_at_ns = int(lengths[longest]), int(starts[longest])
