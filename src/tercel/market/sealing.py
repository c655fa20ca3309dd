"""One partition at a time: its new rows, merged with what the catalog has of it, become a staged Parquet file.

A partition that has rows already is read twice: first to see whether anything changes, and only then to write. So importing the same rows
again reads and compares, and touches nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tercel.base.errors import DataError
from tercel.base.records import TICK, Records
from tercel.market import partitions
from tercel.market.manifest import Key, Part
from tercel.market.merge import FileRun, Merged, Run, in_order, one_bar_per_time, slices, union, union_bars
from tercel.market.quality import Counts, Quality
from tercel.market.spill import close_runs


class Sealed(msgspec.Struct):
    """What became of the rows of one series: counts over the rows that came, and how many of them the catalog took."""

    key: Key
    counts: Counts
    rows_added: int = 0
    rows_replaced: int = 0  # bars of the catalog that a newer bar of the same time replaced
    bars_dropped: int = 0  # exact repeats of a bar in the source
    rows_out_of_order: int = 0
    partitions_written: int = 0
    partitions_rebuilt: list[str] = []  # dates whose old file was damaged and now hold the rows of this source only


class Sealer:
    """Merges and stages the partitions of one transaction."""

    def __init__(self, root: Path, staging: Path) -> None:
        self._root, self._staging = root, staging

    def seal(self, key: Key, date: str, runs: list[Run], old: Part | None, sealed: Sealed, quality: Quality) -> Part | None:
        """The partition with the new rows in it, staged; None when they change nothing. Counts, and closes the runs."""
        stored = self._stored(old, key, sealed) if old is not None else None
        runs = [stored or _NOTHING, *runs]
        try:
            merged = self._counted(self._merged(key, date, runs, sealed, quality), sealed)
            if stored is None:
                return self._stage(key, date, merged)
            before = sealed.rows_added + sealed.rows_replaced
            for _ in merged:
                pass
            if sealed.rows_added + sealed.rows_replaced == before:
                return None
            return self._stage(key, date, (one.rows for one in self._merged(key, date, runs)))
        finally:
            close_runs(runs)

    def _merged(
        self, key: Key, date: str, runs: list[Run], sealed: Sealed | None = None, quality: Quality | None = None
    ) -> Iterator[Merged]:
        """The rows of the partition, old (the first run) and new together, in time order; counts the new ones when asked to."""
        for old, *pieces in slices(runs):
            new = in_order(pieces)
            if quality is not None:
                quality.add(new)
            if key.kind == "bar":
                single = one_bar_per_time(new, f"{key.name} {key.what} {date}")
                if sealed is not None:
                    sealed.bars_dropped += len(new) - len(single)
                yield union_bars(old, single)
            else:
                yield union(old, new)

    @staticmethod
    def _counted(merged: Iterator[Merged], sealed: Sealed) -> Iterator[Records]:
        for one in merged:
            sealed.rows_added += one.added
            sealed.rows_replaced += one.replaced
            yield one.rows

    def _stored(self, part: Part, key: Key, sealed: Sealed) -> FileRun | None:
        """A partition that exists, committed or staged, as raw records in the staging folder; None when it is damaged."""
        staged = self._staging / part.path
        raw = self._staging / "stored.rows"
        try:
            with raw.open("wb") as file:
                for rows in partitions.read(staged if staged.exists() else self._root / part.path, key):
                    file.write(rows.tobytes())
        except DataError:
            sealed.partitions_rebuilt.append(part.date)
            return None
        return FileRun(raw, 0, raw.stat().st_size // TICK.itemsize)

    def _stage(self, key: Key, date: str, blocks: Iterator[Records]) -> Part:
        """Write the rows to a Parquet file in the staging folder, durably, under the name it will have in the catalog."""
        raw = self._staging / "part.parquet"
        digest, rows, first_ns, last_ns = hashlib.blake2b(digest_size=16), 0, 0, 0
        view = partitions.dtype_of(key.kind)
        with partitions.PartWriter(raw, key.kind) as writer:
            for block in blocks:
                if not len(block):
                    continue
                body = np.ascontiguousarray(block)
                digest.update(body.view(np.uint8).data)
                writer.write(body.view(view))
                first_ns = first_ns if rows else int(body["ts_event"][0])
                rows, last_ns = rows + len(body), int(body["ts_event"][-1])
        fingerprint = digest.hexdigest()
        path = f"{key.folder}/date={date}/part-{fingerprint[:16]}.parquet"
        target = self._staging / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with raw.open("rb") as file:
            os.fsync(file.fileno())
        raw.replace(target)
        return Part(date, path, rows, first_ns, last_ns, target.stat().st_size, fingerprint)


class _Nothing:
    """A run without rows."""

    rows = 0

    def time_at(self, row: int) -> int:
        raise IndexError(row)

    def read(self, start: int, stop: int) -> Records:
        return np.empty(0, TICK)


_NOTHING: Final = _Nothing()
