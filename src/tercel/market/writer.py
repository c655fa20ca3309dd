"""The one way into the catalog: rows in, one atomic change out.

    with Writer(root) as writer:
        writer.define(instrument)
        writer.add(key, records)        # as often as needed, any order of times
        results = writer.seal(source)   # rows become staged partitions, merged with what the catalog has
        writer.commit()                 # staged partitions appear together; without it nothing happened

Staged files lie in one folder. `commit` moves them to their final names, which contain a hash of their content and so never replace other
content, and then replaces the manifest. A crash leaves files that no manifest names; the next writer removes them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec
import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.records import TICK, Records
from tercel.market import manifest as manifests
from tercel.market import mapped, partitions
from tercel.market.instruments import Instrument
from tercel.market.manifest import Key, Manifest, Series, Source
from tercel.market.quality import Quality
from tercel.market.sealing import Sealed, Sealer
from tercel.market.spill import BUFFER_BYTES_MAX, Slot, Spill

STAGING: Final = "staging"
Progress = Callable[[str, float], None]  # what is being done, and the share of it that is done, 0 to 1


class Writer:
    """One transaction on a catalog folder; holds the writer lock. Raises `ConfigError` when another writer is active for `wait_s`."""

    def __init__(self, root: Path, buffer_bytes_max: int = BUFFER_BYTES_MAX, wait_s: float = 0.0) -> None:
        self._root, self._staging, self._wait_s = root, root / STAGING, wait_s
        self._spill, self._sealer = Spill(self._staging / "rows", buffer_bytes_max), Sealer(root, self._staging)
        self._newest: dict[Key, int] = {}  # newest time seen so far
        self._late: dict[Key, int] = {}  # rows earlier than a row before them
        self._staged: set[str] = set()
        self._exit = ExitStack()

    def __enter__(self) -> Writer:
        self._exit.enter_context(manifests.exclusive(self._root, self._wait_s))
        try:
            self.manifest = manifests.load(self._root)
            if self._staging.exists():
                remove_leftovers(self._root, self.manifest)
            self._before = msgspec.json.encode(self.manifest)
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._spill.close()
        shutil.rmtree(self._staging, ignore_errors=True)
        self._exit.close()

    def define(self, instrument: Instrument) -> Instrument:
        """Register a definition and return it with its id: the one it has, or a new one when the name is new or its numbers changed."""
        return self.manifest.define(instrument)

    def add(self, key: Key, records: Records) -> None:
        """Take records (64 bytes each, the kind's view or `TICK`) of one series; times may be in any order."""
        if not len(records):
            return
        if records.dtype != partitions.dtype_of(key.kind):
            records = np.ascontiguousarray(records).view(partitions.dtype_of(key.kind))
        self._staging.mkdir(parents=True, exist_ok=True)
        rows = partitions.canonical(key, records).view(TICK)
        times = np.ascontiguousarray(rows["ts_event"])
        self._count_late(key, times)
        dates = partitions.dates(key, times)
        if (dates[1:] < dates[:-1]).any():  # bring each date together first
            order = np.argsort(dates, kind="stable")
            rows, dates = rows[order], dates[order]
        edges = np.flatnonzero(dates[1:] != dates[:-1]) + 1
        for date, part in zip(dates[np.append(0, edges)].tolist(), np.split(rows, edges), strict=True):
            self._spill.add((key, date), part)

    def seal(self, source: Source | None = None, progress: Progress | None = None) -> list[Sealed]:
        """Turn what was added into staged partitions and say what happened, one result per series in order of its key.

        Each series needs its instrument defined. Raises `DataError` when bars contradict each other; the transaction is then lost.
        """
        slots = list(self._spill.slots())
        results, done = [], 0
        for key, group in groupby(slots, key=lambda slot: slot[0]):
            members = list(group)
            results.append(self._seal_series(key, members, source))
            done += len(members)
            if progress is not None:
                progress(f"writing {key.name} {key.what}", done / len(slots))
        self._newest.clear()
        self._late.clear()
        return results

    def remove(self, key: Key) -> int:
        """Take a whole series out and return its rows; its instrument keeps its id."""
        series = self.manifest.find(key)
        if series is None:
            return 0
        self.manifest.series.remove(series)
        return sum(part.rows for part in series.parts)

    def commit(self) -> bool:
        """Make everything sealed visible in one step; False, and no file touched, when nothing changed."""
        if not self._staged and msgspec.json.encode(self.manifest) == self._before:
            return False
        named, old = _paths(self.manifest), msgspec.json.decode(self._before, type=Manifest)
        folders: set[Path] = set()
        for path in sorted(self._staged & named):
            target = self._root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            folders.update(folder for folder in target.parents if folder.is_relative_to(self._root))
            (self._staging / path).replace(target)
        for folder in sorted(folders):
            manifests.sync_folder(folder)
        manifests.save(self._root, self.manifest)
        self._forget(old, named)
        self._before = msgspec.json.encode(self.manifest)
        self._staged.clear()
        return True

    def _forget(self, old: Manifest, named: set[str]) -> None:
        """Delete the partitions nobody names any more, and what was mapped from them. A reader that has one open keeps it."""
        for series in old.series:
            for part in series.parts:
                if part.path not in named:
                    (self._root / part.path).unlink(missing_ok=True)
                    for copy in mapped.folder(series.key.venue, series.key.symbol).glob(f"*{part.fingerprint}*"):
                        copy.unlink(missing_ok=True)

    def _count_late(self, key: Key, times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        newest = np.maximum.accumulate(np.append(self._newest.get(key, int(times[0])), times))
        self._late[key] = self._late.get(key, 0) + int((times < newest[:-1]).sum())
        self._newest[key] = int(newest[-1])

    def _seal_series(self, key: Key, slots: list[Slot], source: Source | None) -> Sealed:
        instrument = self.manifest.instrument(key.name)
        if instrument is None:
            raise ConfigError(f"catalog: {key.name} has rows but no definition; define the instrument before its rows are sealed")
        quality = Quality(key, instrument)
        sealed = Sealed(key, quality.counts, rows_out_of_order=self._late.get(key, 0))
        series = self.manifest.find(key) or Series(key, [])
        parts = {part.date: part for part in series.parts}
        for slot in slots:
            date = partitions.date_text(key, slot[1])
            part = self._sealer.seal(key, date, self._spill.runs(slot), parts.get(date), sealed, quality)
            self._spill.drop(slot)
            if part is not None:
                parts[date] = part
                self._staged.add(part.path)
                sealed.partitions_written += 1
        if sealed.partitions_written:
            series.parts = sorted(parts.values(), key=lambda part: part.first_ns)
            if source is not None and source not in series.sources:
                series.sources = [*series.sources, source][-manifests.SOURCES_MAX :]
            if self.manifest.find(key) is None:
                self.manifest.series.append(series)
        return sealed


def remove_leftovers(root: Path, manifest: Manifest) -> None:
    """Delete what a crashed writer left: its staging folder and every partition file that the manifest does not name."""
    named = _paths(manifest)
    for path in root.glob("kind=*/**/*.parquet"):
        if path.relative_to(root).as_posix() not in named:
            path.unlink()
    shutil.rmtree(root / STAGING, ignore_errors=True)


def _paths(manifest: Manifest) -> set[str]:
    return {part.path for series in manifest.series for part in series.parts}
