"""Bringing rows together: many sorted runs into one order, and new rows into rows that are already there.

The rule of `union`: each distinct row occurs as often as in the side that has it most often. So a row that a source repeats stays repeated,
and importing the same rows again adds nothing. Two files that overlap meet in their common rows. (Two files that cut one instant in two
and have an equal row on both sides lose one of the two; the report counts it as known.) Bars have a key, their time: a later import
replaces a bar that differs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tercel.base.errors import DataError
from tercel.base.records import RECORD_BYTES, TICK, Records
from tercel.base.time import format_instant

SLICE_ROWS: Final = 1 << 18
INSTANT_ROWS_MAX: Final = 1 << 20  # more rows than this at one time are no recording, and would not fit into bounded memory
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)


class Run(Protocol):
    """Rows sorted by time that may be on disk."""

    rows: int

    def time_at(self, row: int) -> int:
        """`ts_event` of one row."""

    def read(self, start: int, stop: int) -> Records:
        """Rows from `start` to `stop`."""


class ArrayRun:
    """A run in memory."""

    def __init__(self, records: Records) -> None:
        self._records, self.rows = records, len(records)

    def time_at(self, row: int) -> int:
        """See `Run`."""
        return int(self._records["ts_event"][row])

    def read(self, start: int, stop: int) -> Records:
        """See `Run`."""
        return self._records[start:stop]


class FileRun:
    """A run in a file of raw records, read with plain reads: mapped pages would count as memory of the process."""

    def __init__(self, path: Path, first_row: int, rows: int) -> None:
        self._file, self._first, self.rows = path.open("rb", buffering=0), first_row, rows

    def time_at(self, row: int) -> int:
        """See `Run`."""
        self._file.seek((self._first + row) * RECORD_BYTES)
        return int.from_bytes(self._file.read(8), "little", signed=True)

    def read(self, start: int, stop: int) -> Records:
        """See `Run`."""
        self._file.seek((self._first + start) * RECORD_BYTES)
        return np.fromfile(self._file, TICK, max(0, stop - start))

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


def slices(runs: Sequence[Run], rows_max: int = SLICE_ROWS) -> Iterator[list[Records]]:
    """Cut sorted runs at common times: each item has one piece per run, no time is split, pieces come in time order.

    A slice has about `rows_max` rows in all. Raises `DataError` when more than `INSTANT_ROWS_MAX` rows share one time.
    """
    window = max(1, rows_max // max(1, len(runs)))
    places = [0] * len(runs)
    while any(place < run.rows for place, run in zip(places, runs, strict=True)):
        cut = min(run.time_at(min(place + window, run.rows) - 1) for place, run in zip(places, runs, strict=True) if place < run.rows)
        stops = [_stop(run, place, window, cut) for place, run in zip(places, runs, strict=True)]
        yield [run.read(place, stop) for run, place, stop in zip(runs, places, stops, strict=True)]
        places = stops


def _stop(run: Run, place: int, window: int, cut_ns: int) -> int:
    """The first row after `place` that is later than `cut_ns`."""
    end = min(place + window, run.rows)
    while end < run.rows and run.time_at(end) <= cut_ns:
        end = min(end + window, run.rows)
        if end - place > window + INSTANT_ROWS_MAX:
            raise DataError(
                f"expected at most {INSTANT_ROWS_MAX:,} rows at one time, found more at {format_instant(cut_ns, 9)}; the times look wrong"
            )
    return bisect_right(range(end), cut_ns, place, end, key=run.time_at)


def in_order(pieces: Sequence[Records]) -> Records:
    """The pieces, one after the other, stably sorted by time."""
    rows = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    times = np.ascontiguousarray(rows["ts_event"])
    if (times[1:] >= times[:-1]).all():
        return rows
    return rows[np.argsort(times, kind="stable")]


class Merged(NamedTuple):
    """Old and new rows together, how many came in, and how many old ones gave way."""

    rows: Records
    added: int
    replaced: int


def union(old: Records, new: Records) -> Merged:
    """Sorted rows of both; a row equal in every byte occurs as often as in the side that has more of it. Old ones first at equal times."""
    if not len(new) or (len(old) == len(new) and np.array_equal(_words(old), _words(new))):
        return Merged(old, 0, 0)
    if not len(old):
        return Merged(new, len(new), 0)
    both = np.concatenate([old, new])
    group = _identity(both)
    old_count = np.bincount(group[: len(old)], minlength=int(group.max()) + 1)
    rank = _rank_within(group)[len(old) :] - old_count[group[len(old) :]]  # which repeat of its row this is among the new ones, from 0
    added = new[rank >= old_count[group[len(old) :]]]
    return Merged(in_order([old, added]), len(added), 0)


def union_bars(old: Records, new: Records) -> Merged:
    """Bars of both, one per time; where both have a time and differ, the new bar replaces the old one."""
    at = np.searchsorted(old["ts_event"], new["ts_event"])
    inside = at < len(old)
    known = np.zeros(len(new), bool)
    known[inside] = old["ts_event"][at[inside]] == new["ts_event"][inside]
    place = at[known]
    differs = (_words(old[place]) != _words(new[known])).any(axis=1)
    added = new[~known]
    if not len(added) and not differs.any():
        return Merged(old, 0, 0)
    kept = np.array(old)
    kept[place[differs]] = new[known][differs]
    return Merged(in_order([kept, added]), len(added), int(differs.sum()))


def one_bar_per_time(rows: Records, where: str) -> Records:
    """Sorted bars without exact repeats. Raises `DataError` when two different bars open at one time: nobody can say which is right."""
    same = np.flatnonzero(rows["ts_event"][1:] == rows["ts_event"][:-1]) + 1
    if not len(same):
        return rows
    words = _words(rows)
    differs = (words[same] != words[same - 1]).any(axis=1)
    if differs.any():
        at = int(rows["ts_event"][same[differs][0]])
        raise DataError(f"{where}: expected one bar for {format_instant(at, 0)}, found two that differ; correct the file")
    return np.delete(rows, same)


def repeats(rows: Records) -> int:
    """How many rows equal an earlier row in every byte; rows are sorted by time."""
    times = np.ascontiguousarray(rows["ts_event"])
    equal = times[1:] == times[:-1]
    tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
    return len(tied) - int(_identity(rows[tied]).max() + 1) if len(tied) else 0


def _words(rows: Records) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(rows).view(np.uint64).reshape(len(rows), RECORD_BYTES // 8)


def _identity(rows: Records) -> npt.NDArray[np.int64]:
    """A number for each row, equal for rows equal in every byte."""
    words = _words(rows)
    mixed = np.zeros(len(rows), np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * _ODD
        mixed ^= mixed >> np.uint64(29)
    order = np.lexsort((mixed, words[:, 0]))
    ordered = words[order]
    group = np.empty(len(rows), np.int64)
    group[order] = np.append(0, np.cumsum((ordered[1:] != ordered[:-1]).any(axis=1)))
    return group


def _rank_within(group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each row how many earlier rows have its number."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.repeat(starts, np.diff(np.append(starts, len(group))))
    return rank
