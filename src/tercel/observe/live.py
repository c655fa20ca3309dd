"""The live view: what the trader shows, in memory that other processes map. The trader writes and never waits; readers copy and retry.

One file, `live.map` in the account's run folder: a header and the sections of `layout`. A sequence word guards them (a seqlock): the writer
makes it odd, writes, makes it even; a reader copies everything and keeps the copy only if the word was even and is unchanged. A reader
that finds no quiet moment before its deadline says `TornFrame`; it never shows half. Histograms are recorded in place, outside that guard,
so that a record costs no more than its own few words: each count is whole, the newest may be missing.

The order of plain stores and loads is what x86 guarantees; for other processors the lock in `_fence` is the barrier Python has to offer.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tercel.base.errors import DataError, NotRunning, TercelError
from tercel.base.histogram import Histogram
from tercel.base.records import OUTPUT_WORDS, Records
from tercel.base.time import NS_PER_S, clock_ns, wall_ns
from tercel.observe import layout as at
from tercel.observe.layout import CANDLES_MAX, HEADER_BYTES, OUTPUTS_MAX, Section, layout, views
from tercel.observe.mapped import memory_file
from tercel.observe.stages import STAGES, Stage

READ_TRIES_MAX: Final = 2_000
READ_PAUSE_S: Final = 50e-6


class TornFrame(TercelError):
    """No consistent copy before the deadline: the writer died in the middle, or is paused."""


class LiveInstrument(msgspec.Struct, frozen=True):
    """What the live view needs to know of an instrument; `id` as in the records, `lot` in 10^-size_decimals."""

    name: str
    id: int
    currency: str
    price_decimals: int
    size_decimals: int
    lot: int = 1


_barrier = threading.Lock()


def _fence() -> None:
    with _barrier:
        pass


class LiveWriter:
    """The one writer. Between `begin` and `end` write the sections; each is a view on shared memory, no copy.

    The caller writes `status` (1 row of `STATUS`), `instruments` (`INSTRUMENT`[n]) and `reasons` (int64[n, 64]), best a column at a time:
    `writer.instruments["bid"][:] = bids`. Candles and outputs go through `candle` and `push_outputs`. `histograms[stage].record(ns)` needs
    no `begin`.
    """

    def __init__(self, memory: Section, instruments: int, stages: int) -> None:
        found = views(memory, instruments, stages)
        self._header = memory[:HEADER_BYTES].view(np.int64)
        self._words = self._header.data
        self.status, self.instruments, self.candles = found["status"], found["instruments"], found["candles"]
        self.outputs, self.reasons = found["outputs"], found["reasons"]
        self._output_words = self.outputs.view(np.int64).reshape(-1, OUTPUT_WORDS)
        self.histograms = tuple(Histogram(row) for row in found["histograms"])
        self._reason_names, self._stages = found["reason_names"], found["stages"]
        self._candle_counts = [0] * instruments
        self._candle_newest = [-1] * instruments
        self._outputs = 0
        self._publishes = 0

    @classmethod
    def create(
        cls, path: Path, instruments: Sequence[LiveInstrument], stages: Sequence[Stage] = STAGES,
        reason_names: Mapping[int, str] | None = None, mode: str = "PAPER", *,
        account: str = "", feed: str = "", candle_ns: int = 60_000_000_000,
    ) -> LiveWriter:  # fmt: skip
        """A new view at `path`, replacing an older one at once.

        A slot is a position in `instruments`; `reason_names` maps code (0 to 63) to name; `candle_ns` is the width of a candle.
        """
        size = layout(len(instruments), len(stages))["end"][0]
        file, publish = memory_file(path, size)
        memory = np.frombuffer(mmap.mmap(file, size), np.uint8)
        os.close(file)
        writer = cls(memory, len(instruments), len(stages))
        writer._header[:5] = (at.MAGIC_WORD, at.LAYOUT_HASH, size, len(instruments), len(stages))
        for slot, instrument in enumerate(instruments):
            row = writer.instruments[slot : slot + 1]
            row["name"], row["currency"] = instrument.name.encode(), instrument.currency.encode()
            row["price_decimals"], row["size_decimals"] = instrument.price_decimals, instrument.size_decimals
            row["id"], row["lot"] = instrument.id, instrument.lot
        for name in ("bid", "ask", "bid_size", "ask_size", "mark"):
            writer.instruments[name] = np.nan
        for index, stage in enumerate(stages):
            writer._stages[index] = (stage.name.encode(), stage.budget_us, np.nan if stage.asked_ms is None else stage.asked_ms)
        for code, name in (reason_names or {}).items():
            writer._reason_names[code] = name.encode()
        status = writer.status
        status["started_ns"], status["wall_ns"], status["pid"], status["candle_ns"] = wall_ns(), wall_ns(), os.getpid(), candle_ns
        status["mode"], status["account"], status["feed"], status["state"] = mode.encode(), account.encode(), feed.encode(), b"starting"
        publish()
        return writer

    def begin(self) -> None:
        """Readers wait from here on, so compute first. A second `begin` without `end` is a bug."""
        words = self._words
        assert not words[at.SEQUENCE] & 1, "LiveWriter.begin: the last publication was not ended"
        words[at.SEQUENCE] += 1
        _fence()

    def end(self, wall: int | None = None) -> None:
        """The publication is whole; it bears the wall clock `wall` in ns, or now."""
        assert self._words[at.SEQUENCE] & 1, "LiveWriter.end: without begin"
        self._publishes += 1
        self.status["publishes"] = self._publishes
        self.status["wall_ns"] = wall_ns() if wall is None else wall
        _fence()
        self._words[at.SEQUENCE] += 1

    def candle(self, slot: int, ts_open: int, open_: float, high: float, low: float, close: float, volume: float) -> None:
        """Set the candle that opened at `ts_open` (ns): the newest is replaced, a later one appended, an earlier one ignored."""
        newest = self._candle_newest[slot]
        if ts_open < newest:
            return
        if ts_open > newest:
            self._candle_newest[slot] = ts_open
            self._candle_counts[slot] += 1
            self.instruments["candles"][slot] = self._candle_counts[slot]
        self.candles[slot, (self._candle_counts[slot] - 1) % CANDLES_MAX] = (ts_open, open_, high, low, close, volume)

    def push_outputs(self, records: Records) -> None:
        """Append `OUTPUT`[n] in order; of more than 1,024 at once the newest remain and the count says so."""
        kept = records[-OUTPUTS_MAX:]
        start = (self._outputs + len(records) - len(kept)) % OUTPUTS_MAX
        first = min(len(kept), OUTPUTS_MAX - start)
        # As words: a copy field by field takes ten times as long.
        words = np.ascontiguousarray(kept).view(np.int64).reshape(-1, OUTPUT_WORDS)
        self._output_words[start : start + first] = words[:first]
        self._output_words[: len(kept) - first] = words[first:]
        self._outputs += len(records)
        self.status["outputs"] = self._outputs


class LiveFrame:
    """One consistent copy. Sections as `LiveWriter` has them; `status` is a single row. Nothing in it changes any more."""

    def __init__(self, memory: Section, instruments: int, stages: int) -> None:
        found = views(memory, instruments, stages)
        self.status = found["status"][0]
        self.instruments, self.candles, self.outputs = found["instruments"], found["candles"], found["outputs"]
        self.reasons, self.stages, self.histogram_counts = found["reasons"], found["stages"], found["histograms"]
        self.reason_names = {code: name.decode() for code, name in enumerate(found["reason_names"].tolist()) if name}

    def candles_of(self, slot: int) -> Section:
        """`CANDLE`[m] of one instrument, oldest first, at most 256."""
        count = int(self.instruments["candles"][slot])
        ring = self.candles[slot]
        return ring[:count] if count <= CANDLES_MAX else np.roll(ring, -(count % CANDLES_MAX))

    def outputs_since(self, count: int) -> tuple[Section, int]:
        """(`OUTPUT`[m] after the first `count`, oldest first, how many of them the ring no longer holds)."""
        total = int(self.status["outputs"])
        held = min(total - count, OUTPUTS_MAX)
        if held <= 0:
            return self.outputs[:0], 0
        return self.outputs[np.arange(total - held, total) % OUTPUTS_MAX], total - count - held

    def histogram(self, stage: int) -> Histogram:
        """The histogram of the stage at that position in `stages`."""
        return Histogram(self.histogram_counts[stage])


class LiveReader:
    """Reads the view at `path`, also across restarts of the trader. Any number of them, in any process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = (-1, -1)
        self._memory: Section = np.empty(0, np.uint8)

    def read(self, timeout_s: float = 0.02) -> LiveFrame:
        """A consistent copy. NotRunning: no view was ever written. DataError: another version wrote it. TornFrame: none in time."""
        self._open_newest()
        words = self._memory[:HEADER_BYTES].view(np.int64)
        give_up = clock_ns() + int(timeout_s * NS_PER_S)
        for _ in range(READ_TRIES_MAX):
            before = int(words[at.SEQUENCE])
            if not before & 1:
                _fence()
                copy = self._memory.copy()
                _fence()
                if int(words[at.SEQUENCE]) == before:
                    return LiveFrame(copy, int(words[at.INSTRUMENTS]), int(words[at.STAGE_COUNT]))
            if clock_ns() >= give_up:
                break
            time.sleep(READ_PAUSE_S)
        waited = f"{timeout_s * 1e3:.0f} ms"
        raise TornFrame(f"live view {self.path}: no consistent copy within {waited}; the trader is paused or died while publishing")

    def _open_newest(self) -> None:
        try:
            file = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            raise NotRunning(f"live view: expected {self.path}, found nothing; start the trader with `tercel run`") from None
        try:
            stat = os.fstat(file)
            identity = (stat.st_dev, stat.st_ino)
            if identity != self._identity:
                self._memory = self._checked(file, stat.st_size)
                self._identity = identity
        finally:
            os.close(file)

    def _checked(self, file: int, size: int) -> Section:
        if size >= HEADER_BYTES:
            memory = np.frombuffer(mmap.mmap(file, size, access=mmap.ACCESS_READ), np.uint8)
            header = memory[:HEADER_BYTES].view(np.int64).tolist()
            if (header[at.MAGIC], header[at.LAYOUT], header[at.BYTES]) == (at.MAGIC_WORD, at.LAYOUT_HASH, size):
                return memory
        raise DataError(f"live view {self.path}: written by another version; restart the trader and the desk from the same one")
