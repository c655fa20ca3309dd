"""Where the state of features begins, and how a run that starts later comes to it: from a checkpoint, and history from there on.

A program with an anchor has one state for each instant, whoever computes it. A run that starts after its anchor takes the newest
checkpoint that lies before its start, lets the market phase alone play history up to the start, and stores a checkpoint at each end of a
day on the way. The account begins at the start in any case. A checkpoint is a cache: it is named by all that made it (program, timing,
instruments, the very rows before it), and where none fits, history is played from the anchor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tercel.base import paths
from tercel.base.errors import ConfigError
from tercel.base.kernel import CACHE
from tercel.base.records import Records
from tercel.base.time import NS_PER_DAY, NS_PER_H, format_instant, parse_instant
from tercel.core.engine import Engine
from tercel.core.sequencer import S_MARKET, S_NUMBER, Sequencer
from tercel.drivers.history import FAR, History, Source
from tercel.features.spec import FeatureSet
from tercel.journal import snapshots

DELAY_MAX_NS: Final = NS_PER_H  # a record that arrives later than this after its time is missed at the seam of two stretches
KEPT: Final = 400  # checkpoints of one program, the newest days
Progress = Callable[[str, int, int], None]


def arrivals(history: History, latency_ns: int, first_ns: int, last_ns: int) -> Iterator[Records]:
    """Records of the whole history that arrive in [first_ns, last_ns), which is not the same as those that happened then."""
    if first_ns >= last_ns:
        return
    wide = replace(history, start_ns=first_ns - delay_max_ns(history), end_ns=min(last_ns + DELAY_MAX_NS, FAR))
    for records in wide.stream(latency_ns):
        begin, end = (int(place) for place in np.searchsorted(records["ts_recv"], [first_ns, last_ns]))
        if end > begin:
            yield records[begin:end]
        if end < len(records):
            return


def delay_max_ns(history: History) -> int:
    """How long after its time a record may arrive: a recorded bar does so when it closes."""
    return DELAY_MAX_NS + max(one.interval_ns for one in history.series)


def anchored(
    history: Source, features: FeatureSet, latency_ns: int, sequencer: Sequencer, engine: Engine, progress: Progress | None = None
) -> tuple[Iterator[Records], int]:
    """The records of a history for a run, and how many were played before to bring features with an anchor to its start."""
    if not features.anchor:
        return history.stream(latency_ns), 0
    warming = Warming(history, features.anchor, latency_ns, sequencer, engine)
    warming.run(progress)
    return arrivals(warming.history, latency_ns, warming.start_ns, warming.history.end_ns), warming.warmed


def start_of(history: History, anchor: str) -> int:
    """The instant at which a run over a history starts: the history's own start, the anchor when that is later."""
    return max(history.start_ns, parse_instant(anchor))


def content(history: History, first_ns: int, last_ns: int) -> str:
    """A hash over the kernels and the rows that may have arrived in [first_ns, last_ns): the fingerprints of their partitions."""
    manifest, earliest_ns = history.catalog.manifest(), first_ns - delay_max_ns(history)
    digest = hashlib.sha256(CACHE.name.encode())
    for one in history.series:
        series = manifest.find(one.key)
        parts = series.parts if series is not None else ()
        digest.update("".join(part.fingerprint for part in parts if earliest_ns <= part.last_ns and part.first_ns < last_ns).encode())
    return digest.hexdigest()[:32]


class Warming:
    """Brings the market state of an engine, and its sequencer, from the anchor to the start of a history."""

    def __init__(self, history: Source, anchor: str, latency_ns: int, sequencer: Sequencer, engine: Engine) -> None:
        if not isinstance(history, History):
            raise ConfigError(f"bars.anchor: expected history of the catalog, found {history.describe()}; leave the anchor out")
        self.history, self._latency_ns = history, latency_ns
        self._sequencer, self._engine = sequencer, engine
        self._anchor_ns = parse_instant(anchor)
        self.start_ns = start_of(history, anchor)
        self.from_ns = self._anchor_ns  # the checkpoint it began from, or the anchor
        self.warmed = 0  # records played before the start

    def run(self, progress: Progress | None = None) -> None:
        """Restore, play history up to the start, store checkpoints on the way."""
        self.from_ns = self._restore()
        total = sum(one.rows for one in self.history.series)
        day = (self.from_ns // NS_PER_DAY + 1) * NS_PER_DAY
        for records in arrivals(self.history, self._latency_ns, self.from_ns, self.start_ns):
            first = 0
            while int(records["ts_recv"][-1]) >= day:
                cut = int(np.searchsorted(records["ts_recv"], day))
                self._warm(records[first:cut])
                self._save(day)
                first, day = cut, (int(records["ts_recv"][cut]) // NS_PER_DAY + 1) * NS_PER_DAY
            self._warm(records[first:])
            if progress:
                progress("warming up", self.warmed, max(total, self.warmed))
        if self.warmed and not self.start_ns % NS_PER_DAY:
            self._save(self.start_ns)
        # The account begins here: its inputs count from one.
        self._sequencer.state[S_NUMBER] = self._sequencer.state[S_MARKET] = 0

    def _warm(self, records: Records) -> None:
        for part in self._sequencer.push(records) if len(records) else ():
            self._engine.warm(part)
        self.warmed += len(records)

    @property
    def _folder(self) -> Path:
        config = self._engine.config
        meaning = [config.program.hash, [one.id for one in config.instruments], self._latency_ns, self._sequencer.meaning]
        return paths.checkpoints_dir() / hashlib.sha256(msgspec.json.encode(meaning)).hexdigest()[:16]

    def _content(self, day: int) -> str:
        return hashlib.sha256(f"{self._engine.layout_hash} {content(self.history, self._anchor_ns, day)}".encode()).hexdigest()[:32]

    def _restore(self) -> int:
        """Take the newest checkpoint at or before the start; the instant from which history has to be played."""
        for path in sorted(self._folder.glob("*-*-*"), reverse=True):
            at = parse_instant(path.name)
            if not self._anchor_ns < at <= self.start_ns:
                continue
            found = snapshots.newest(path, self._content(at))
            if found is not None:
                self._engine.restore({"market": found.arrays["market"], "account": self._engine.account})
                self._sequencer.state[:] = found.arrays["sequencer"]
                return at
        return self._anchor_ns

    def _save(self, day: int) -> None:
        arrays = {"market": self._engine.market.copy(), "sequencer": self._sequencer.state.copy()}
        folder = self._folder / format_instant(day, 0)[:10]
        snapshots.save(folder, input_number=0, layout_hash=self._content(day), arrays=arrays, meta={"anchor": str(self._anchor_ns)})
        for old in sorted(self._folder.glob("*-*-*"))[:-KEPT]:
            for file in old.glob("*"):
                file.unlink(missing_ok=True)
            old.rmdir()
