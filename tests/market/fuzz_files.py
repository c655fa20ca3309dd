"""Damaged vendor files through detection, reader, validation and, now and then, the catalog.

    python -m tests.market.fuzz_files 10000                 # so many mutations of every raw file, with progress
    python -m tests.market.fuzz_files 1 --file kraken --seed 7 --first 4711      # one case again, with its traceback

A case may end in two ways: a refusal (a `TercelError` that names the file), or rows that are possible. Then no row may be wrong: a row
whose text the mutation left alone comes out as before, and the numbers of a changed one are the nearest doubles of numbers in its new text.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import lzma
import math
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from tercel.base.errors import TercelError
from tercel.base.records import BAR_VIEW, LAST, TICK, Records
from tercel.market import manifest
from tercel.market.importers import coins
from tercel.market.importers.batch import Batch, Format, Options
from tercel.market.importers.compressed import members, open_plain, packing, sole
from tercel.market.importers.detect import detect, read_head
from tercel.market.importers.run import import_files
from tercel.market.importers.validate import TIME_NS_MAX, validate
from tests.market.fuzz_mutations import OF_BYTES, OF_TEXT, mutate
from tests.market.history import picture

SAMPLE_ROWS: Final = 300
SAMPLE_BYTES: Final = 60_000
SECONDS_MAX: Final = 20  # of one case
MEMORY_BYTES_MAX: Final = 1 << 30  # by which all cases may raise the process
CATALOG_EVERY: Final = 50  # cases
FIXED_ROWS: Final = {"dukascopy-ticks": 20, "dukascopy-candles": 24}
ARRAYS: Final = ("bitfinex-candles", "freqtrade-trades")
WITHOUT_TEXT: Final = ("freqtrade-bars", "parquet", "dbn")  # rows have no text of their own: possible is all that can be asked
OF_NEIGHBOURS: Final = ("lobster-books",)  # rows follow from the lines around
BESIDE: Final = ("_orderbook_", "_message_")  # a LOBSTER book needs its messages beside it
SCALES: Final = {"lean": 10_000, "lobster-messages": 10_000}  # these write prices as whole numbers of 1/10,000
_NUMBER: Final = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ELEMENT: Final = re.compile(rb'\[(?:[^\[\]"]|"(?:[^"\\]|\\.)*")*\]')  # a text may hold brackets
_FIELDS: Final = {"bar": ("open", "high", "low", "close", "volume"), "quote": ("price", "price2", "size", "size2")}


class Sample(NamedTuple):
    """The beginning of a raw file: where it lies below its root, its format, how it is packed, and its plain bytes."""

    name: str
    format: Format
    packing: str
    member: str
    plain: bytes
    beside: tuple[str, bytes] | None = None


class Row(NamedTuple):
    """A record of 64 bytes and the series it is of. Which row ends its message depends on the rows around and is left out."""

    symbol: str
    basis: str
    kind: str
    record: bytes


class Seen(NamedTuple):
    """What a file became: rows by (table in a zip, row number), and the texts that the row numbers mean."""

    rows: dict[tuple[str, int], list[Row]]
    units: list[bytes]


class Wrong(AssertionError):
    """A case that ended as no case may."""


class Hung(BaseException):
    """A case took longer than `SECONDS_MAX`; no reader may mistake it for an error of its own."""


def samples(root: Path) -> Iterator[Sample]:
    """Every raw file that an importer takes, cut to its first rows."""
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        try:
            head = read_head(path)
            found = detect(head)
        except TercelError:
            continue
        if found is None or found.left_out:
            continue
        member = (sole(list(head.members)) or head.members[0]) if head.members else ""
        with open_plain(path, member or None) as plain:
            data = plain.read()
        sample = Sample(path.relative_to(root).as_posix(), found, head.packing, member, _cut(found.name, data))
        if BESIDE[0] in path.name:
            other = path.with_name(path.name.replace(*BESIDE))
            lines = other.read_bytes().split(b"\n")[: sample.plain.count(b"\n") + 1]
            sample = sample._replace(beside=(other.name, b"\n".join(lines)))
        yield sample


def _cut(name: str, data: bytes) -> bytes:
    """The first rows of a file, whole."""
    if name in FIXED_ROWS:
        return data[: FIXED_ROWS[name] * SAMPLE_ROWS]
    if name == "freqtrade-bars":
        import pyarrow.feather as feather

        out = io.BytesIO()
        feather.write_feather(feather.read_table(pa.BufferReader(data)).slice(0, SAMPLE_ROWS), out, "lz4")
        return out.getvalue()
    if name == "dbn":
        end = 8 + int.from_bytes(data[4:8], "little")
        while end < len(data) and end < SAMPLE_BYTES:
            end += 4 * data[end]  # each record begins with its length in words
        return data[:end]
    if name in ARRAYS:
        return b"[" + b",".join(one[0] for one, _ in zip(_ELEMENT.finditer(data), range(SAMPLE_ROWS), strict=False)) + b"]"
    lines, size = [], 0
    for line in data.split(b"\n")[:SAMPLE_ROWS]:
        if size + len(line) < SAMPLE_BYTES or len(lines) < 3:
            lines.append(line)
            size += len(line) + 1
    return b"\n".join(lines)


def pack(sample: Sample, plain: bytes) -> bytes:
    """The plain bytes, packed as the file was."""
    if sample.packing == "gzip":
        return gzip.compress(plain, 1, mtime=0)
    if sample.packing == "lzma":
        return lzma.compress(plain, format=lzma.FORMAT_ALONE, preset=0)
    if sample.packing == "zstd":
        return bytes(pa.Codec("zstd").compress(plain, asbytes=True))
    if sample.packing == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(zipfile.ZipInfo(sample.member), plain)
        return out.getvalue()
    return plain


class Fuzzer:
    """Cases on one sample in a folder of its own."""

    def __init__(self, sample: Sample, folder: Path) -> None:
        self.sample = sample
        self.path = folder / "files" / sample.name
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._catalog = folder / "catalog"
        self.outcomes: Counter[str] = Counter()
        if sample.beside:
            self.path.with_name(sample.beside[0]).write_bytes(sample.beside[1])
        self.path.write_bytes(pack(sample, sample.plain))
        outcome, seen = self._read()
        assert seen is not None, f"{sample.name}: the sample itself is refused: {outcome}"
        assert seen.rows or sample.format.name == "dbn", f"{sample.name}: the sample has no rows"  # definitions have none
        self._before = seen
        self._known: dict[bytes, list[Row]] = {}
        for (member, row), rows in seen.rows.items():
            if member in ("", sample.member) and seen.units:
                self._known[seen.units[row - 1]] = rows
        self._import()

    def case(self, seed: int, index: int) -> None:
        """One mutation and its judgement; raises `Wrong`, or whatever an importer raised that it must not."""
        chance = random.Random(f"{seed}:{self.sample.name}:{index}")
        self.path.write_bytes(self._damaged(chance))
        signal.alarm(SECONDS_MAX)
        try:
            outcome, seen = self._read()
            if seen is not None and seen.units:
                self._judge(seen)
            if index % CATALOG_EVERY == 0:
                self._through_catalog()
        finally:
            signal.alarm(0)
        self.outcomes[outcome] += 1

    def _damaged(self, chance: random.Random) -> bytes:
        binary = self.sample.format.name in WITHOUT_TEXT or self.sample.format.name in FIXED_ROWS
        if self.sample.packing and chance.random() < 0.25:
            return mutate(chance, pack(self.sample, self.sample.plain), OF_BYTES)
        return pack(self.sample, mutate(chance, self.sample.plain, OF_BYTES if binary else OF_TEXT))

    def _read(self) -> tuple[str, Seen | None]:
        """How the file ended, and its rows when it was read."""
        try:
            head = read_head(self.path)
            found = detect(head)
            if found is None:
                return "unknown", None
            if found.left_out:
                return "left out", None
            rows: dict[tuple[str, int], list[Row]] = {}
            for batch in found.read(self.path, Options()):
                if not len(batch.records):
                    continue
                validate(self.path / batch.member, batch)
                _possible(batch)
                records = batch.records.view(TICK).copy()
                records["flags"] &= ~np.uint16(LAST)
                for number, record in zip(batch.rows.tolist(), records, strict=True):
                    rows.setdefault((batch.member, number), []).append(Row(batch.symbol, batch.basis, batch.kind, record.tobytes()))
        except TercelError as error:
            if self.path.name not in str(error):
                raise Wrong(f"the refusal does not name the file: {error}") from error
            return "refused", None
        same = found.name == self.sample.format.name
        return ("read" if same else "read as another format"), Seen(rows, self._units(head.data if same else b""))

    def _units(self, beginning: bytes) -> list[bytes]:
        """The texts of the rows, in order of their numbers; none where a row has no text."""
        name = self.sample.format.name
        if name in WITHOUT_TEXT or name in OF_NEIGHBOURS or not beginning:
            return []
        names = members(self.path) if packing(self.path.read_bytes()[:8]) == "zip" else []
        with open_plain(self.path, (sole(names) or names[0]) if names else None) as plain:
            data = plain.read()
        if name in FIXED_ROWS:
            width = FIXED_ROWS[name]
            return [data[start : start + width] for start in range(0, len(data), width)]
        if name in ARRAYS:
            return _ELEMENT.findall(data)
        return [line.rstrip(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")]

    def _judge(self, seen: Seen) -> None:
        """No intact row is lost or changed; the numbers of a changed one are in its text."""
        same_start = seen.units[:1] == self._before.units[:1]
        for number, unit in enumerate(seen.units, 1):
            wanted = self._known.get(unit)
            found = seen.rows.get(("", number)) or seen.rows.get((self.sample.member, number)) or []
            if wanted is not None:
                skip = 0 if same_start else 1  # a damaged header may say another market
                if sorted(row[skip:] for row in wanted) != sorted(row[skip:] for row in found):
                    raise Wrong(f"row {number} is intact, {unit[:200]!r}, and became {_shown(found)}, before {_shown(wanted)}")
            elif found and self.sample.format.name not in FIXED_ROWS:
                self._check_numbers(number, unit, found)
        units = len(seen.units)
        if beyond := [row for member, row in seen.rows if row > units and member in ("", self.sample.member)]:
            raise Wrong(f"rows {beyond[:3]} of a file of {units}")

    def _check_numbers(self, number: int, unit: bytes, rows: list[Row]) -> None:
        texts = [text for text in _NUMBER.findall(unit) if len(text) < 4_000]
        values = {float(text) for text in texts}
        if scale := SCALES.get(self.sample.format.name):
            with contextlib.suppress(ArithmeticError):
                values |= {float(Decimal(text.decode()) / scale) for text in texts}
        whole = {int(text) * unit_ns for text in texts if text.isdigit() for unit_ns in (1, 1_000, 1_000_000, 1_000_000_000)}
        for row in rows:
            (record,) = _record(row)
            for field in _FIELDS.get(row.kind, ("price", "size")):
                value = float(record[field])
                if not math.isnan(value) and value not in values:
                    raise Wrong(f"row {number}: {field} {value!r} is no number of {unit[:200]!r}")
            if self.sample.format.clock is coins.utc and int(record["ts_event"]) not in whole:
                raise Wrong(f"row {number}: the time {record['ts_event']} is not in {unit[:200]!r}")

    def _through_catalog(self) -> None:
        """An import is whole or nothing."""
        before = picture(self._catalog) if self._catalog.exists() else {}
        try:
            import_files([self.path], Options(), self._catalog)
        except TercelError:
            if self._catalog.exists() and picture(self._catalog) != before and before:
                raise Wrong("a refused import changed the catalog") from None
        else:
            manifest.load(self._catalog)
            shutil.rmtree(self._catalog)  # each import starts from the rows of the whole file
            self.path.write_bytes(pack(self.sample, self.sample.plain))
            self._import()

    def _import(self) -> None:
        """Import the sample as it is, so that the catalog has something to lose."""
        if self._before.rows:
            import_files([self.path], Options(), self._catalog)


def _record(row: Row) -> Records:
    return np.frombuffer(row.record, BAR_VIEW if row.kind == "bar" else TICK)


def _shown(rows: list[Row]) -> str:
    return str([(row[:3], _record(row)[0]) for row in rows[:3]])


def _possible(batch: Batch) -> None:
    """What `validate` promises, said a second time in other words."""
    assert batch.records.dtype in (TICK, BAR_VIEW)
    assert len(batch.records) == len(batch.rows)
    rows = batch.records.view(BAR_VIEW if batch.kind == "bar" else TICK)
    good = (rows["ts_event"] > 0) & (rows["ts_event"] < TIME_NS_MAX) & (rows["ts_recv"] >= 0) & (rows["ts_recv"] < TIME_NS_MAX)
    if batch.kind == "bar":
        prices = np.sort([rows["open"], rows["close"]], axis=0)
        good &= (rows["low"] > 0) & (rows["low"] <= prices[0]) & (prices[1] <= rows["high"]) & (rows["high"] < np.inf)
        good &= ~(rows["volume"] < 0) & (rows["volume"] != np.inf)
    elif batch.kind == "quote":
        for side in ("price", "price2"):
            good &= np.isnan(rows[side]) | ((rows[side] > 0) & (rows[side] < np.inf))
        good &= ~(np.isnan(rows["price"]) & np.isnan(rows["price2"]))
        for size in ("size", "size2"):
            good &= np.isnan(rows[size]) | ((rows[size] >= 0) & (rows[size] < np.inf))
    elif batch.kind in ("trade", "book"):
        good &= (rows["price"] > 0) & (rows["price"] < np.inf) & (np.isnan(rows["size"]) | ((rows["size"] >= 0) & (rows["size"] < np.inf)))
    if not good.all():
        raise Wrong(f"an impossible row came out: {rows[~good][0]}")


def _too_long(_signal: int, _frame: object) -> None:
    raise Hung(f"longer than {SECONDS_MAX} s")


def fuzz(sample: Sample, count: int, seed: int, first: int = 0, progress: Any = None) -> tuple[Counter[str], list[str]]:
    """`count` cases of a sample from number `first` on: how they ended, and the failures with what repeats them."""
    failures: list[str] = []
    earlier = signal.signal(signal.SIGALRM, _too_long)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning would be on the user's terminal
            fuzzer = Fuzzer(sample, Path(folder))
            for index in range(first, first + count):
                try:
                    fuzzer.case(seed, index)
                except (Exception, Hung):
                    again = f"python -m tests.market.fuzz_files 1 --file {sample.name} --seed {seed} --first {index}"
                    failures.append(f"{sample.name}: {again}\n{traceback.format_exc()}")
                if progress is not None:
                    progress.value = index
    finally:
        signal.signal(signal.SIGALRM, earlier)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1_024
    if grown > MEMORY_BYTES_MAX:
        failures.append(f"{sample.name}: {count} cases from {first} with seed {seed} raised the process by {grown:,} bytes")
    return fuzzer.outcomes, failures


def _in_child(sample: Sample, count: int, seed: int, first: int, progress: Any, results: Any) -> None:
    results.put(fuzz(sample, count, seed, first, progress))


def main() -> int:
    """Every raw file, each in a process of its own, so that even a crash is a finding. The status is the number of failures, at most 99."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="mutations of each file")
    parser.add_argument("--file", default="", help="only files whose path contains this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TERCEL_TEST_DATA", "shared/data")) / "raw")
    given = parser.parse_args()
    context, failures, total = multiprocessing.get_context("fork"), 0, 0
    for sample in samples(given.data):
        if given.file not in sample.name:
            continue
        results, progress, started = context.SimpleQueue(), context.Value("q", given.first), time.monotonic()
        child = context.Process(target=_in_child, args=(sample, given.count, given.seed, given.first, progress, results))
        child.start()
        while child.is_alive() and results.empty():
            child.join(0.5)
            if sys.stderr.isatty():
                print(f"\r{sample.name}: {progress.value - given.first:,} of {given.count:,}", end="", file=sys.stderr)
        outcomes, found = Counter[str](), [f"{sample.name}: the process died at case {progress.value} with seed {given.seed}"]
        if not results.empty():
            outcomes, found = results.get()
        child.join()
        failures, total = failures + len(found), total + sum(outcomes.values())
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
        print(f"{sample.name} ({sample.format.name}): {counts}; {len(found)} failures; {time.monotonic() - started:.0f} s", flush=True)
        for failure in found[:5]:
            print(failure, flush=True)
    print(json.dumps({"cases": total, "failures": failures, "seed": given.seed}), flush=True)
    return min(failures, 99)


if __name__ == "__main__":
    sys.exit(main())
