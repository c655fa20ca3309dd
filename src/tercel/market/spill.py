"""Rows on their way into partitions: kept in memory up to a bound, beyond it appended to raw files, one per partition.

Each partition's rows become a few *runs* sorted by time. Rows that arrive in order make one run however often they were written out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tercel.base.errors import DataError
from tercel.base.records import RECORD_BYTES, Records
from tercel.market.manifest import Key
from tercel.market.merge import ArrayRun, FileRun, Run, in_order

BUFFER_BYTES_MAX: Final = 64 << 20
PILES_MAX: Final = 500_000  # partitions one file may touch

Slot = tuple[Key, int]  # a series and one of its partitions


class Segment(msgspec.Struct):
    """A sorted stretch of a raw file."""

    first_row: int
    rows: int
    last_ns: int


class Pile(msgspec.Struct):
    """Rows of one partition: blocks in memory, segments on disk."""

    blocks: list[Records] = []
    rows: int = 0
    path: Path | None = None
    segments: list[Segment] = []


class Spill:
    """Collects rows by partition within `bytes_max` of memory."""

    def __init__(self, folder: Path, bytes_max: int = BUFFER_BYTES_MAX) -> None:
        self._folder, self._bytes_max, self._bytes, self._files = folder, bytes_max, 0, 0
        self._piles: dict[Slot, Pile] = {}

    def add(self, slot: Slot, rows: Records) -> None:
        """Take rows (dtype TICK, whatever the kind; a copy nobody else writes to) for a partition."""
        pile = self._piles.get(slot)
        if pile is None:
            if len(self._piles) >= PILES_MAX:
                raise DataError(f"expected at most {PILES_MAX:,} partitions in one file, found more; the times or symbols look wrong")
            pile = self._piles[slot] = Pile()
        pile.blocks.append(rows)
        pile.rows += len(rows)
        self._bytes += len(rows) * RECORD_BYTES
        if self._bytes > self._bytes_max:
            self._write_out()

    def slots(self) -> Iterator[Slot]:
        """Every partition that has rows, series by series in time order."""
        yield from sorted(self._piles)

    def runs(self, slot: Slot) -> list[Run]:
        """The rows of a partition as sorted runs, oldest first; `close_runs` gives their files back."""
        pile = self._piles[slot]
        runs: list[Run] = [FileRun(pile.path, one.first_row, one.rows) for one in pile.segments] if pile.path else []
        if pile.blocks:
            runs.append(ArrayRun(in_order(pile.blocks)))
        return runs

    def drop(self, slot: Slot) -> None:
        """Forget a partition and its file."""
        pile = self._piles.pop(slot)
        self._bytes -= pile.rows * RECORD_BYTES
        if pile.path is not None:
            pile.path.unlink()

    def close(self) -> None:
        """Forget everything."""
        self._piles.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_out(self) -> None:
        """Write the largest piles to disk until half of the memory is free."""
        for pile in sorted(self._piles.values(), key=lambda pile: -pile.rows):
            if self._bytes <= self._bytes_max // 2:
                return
            self._bytes -= pile.rows * RECORD_BYTES
            self._append(pile, in_order(pile.blocks))
            pile.blocks, pile.rows = [], 0

    def _append(self, pile: Pile, rows: Records) -> None:
        if pile.path is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            pile.path = self._folder / f"{self._files:06d}.rows"
            self._files += 1
        with pile.path.open("ab") as file:
            file.write(np.ascontiguousarray(rows).tobytes())
        first_ns, last_ns = int(rows["ts_event"][0]), int(rows["ts_event"][-1])
        if pile.segments and pile.segments[-1].last_ns <= first_ns:
            pile.segments[-1].rows += len(rows)
            pile.segments[-1].last_ns = last_ns
        else:
            last = pile.segments[-1] if pile.segments else Segment(0, 0, 0)
            pile.segments.append(Segment(last.first_row + last.rows, len(rows), last_ns))


def close_runs(runs: list[Run]) -> None:
    """Give back the files of runs."""
    for run in runs:
        if isinstance(run, FileRun):
            run.close()
