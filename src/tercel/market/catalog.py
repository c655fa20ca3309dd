"""Reading history: which instruments and series the catalog has, and their records as mapped arrays.

Records come from mapped files made once per partition from Parquet; their names contain the content's hash, so they never go stale. Any
number of processes may read while one writes: a reader sees the catalog as it was when its call began.
"""

from __future__ import annotations

import difflib
import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tercel.base import paths
from tercel.base.errors import ConfigError, DataError
from tercel.base.records import Records
from tercel.base.time import format_duration
from tercel.market import manifest as manifests
from tercel.market import mapped, partitions
from tercel.market.instruments import Instrument
from tercel.market.manifest import BASES, Key, Kind, Manifest, Part, Series, kind_of
from tercel.market.sealing import Sealed
from tercel.market.writer import Writer

REGISTER_S_MAX: Final = 30.0  # a trader that starts waits so long for an import that is writing
BASIS_TEXT: Final = {code: text for text, code in BASES.items()}


class Dataset(msgspec.Struct, frozen=True):
    """One series of the catalog. `interval_ns` is 0 and `basis` "" unless it is made of bars; `dates` are its partitions in time order."""

    instrument: Instrument
    kind: Kind
    interval_ns: int
    basis: str
    rows: int
    first_ns: int
    last_ns: int
    dates: tuple[str, ...]
    fingerprint: str

    @property
    def key(self) -> Key:
        """The key under which the catalog keeps it."""
        return Key(self.instrument.symbol, self.instrument.venue, self.kind, self.interval_ns, self.basis)


class Catalog:
    """History under one folder, by default that of `paths.catalog_dir()`."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or paths.catalog_dir()
        self._seen: tuple[tuple[int, int, int], Manifest] | None = None

    def manifest(self) -> Manifest:
        """What the catalog contains now; read again only when it has changed. Do not change it: a `Writer` does."""
        try:
            status = (self.root / manifests.FILE).stat()
        except FileNotFoundError:
            return Manifest()
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._seen is None or self._seen[0] != mark:
            self._seen = (mark, manifests.load(self.root))
        return self._seen[1]

    def instruments(self) -> list[Instrument]:
        """The valid definition of every registered instrument, in order of id."""
        latest = {one.name: one for one in self.manifest().instruments}
        return sorted(latest.values(), key=lambda one: one.id)

    def instrument(self, number: int) -> Instrument:
        """The definition with an id, also one that a newer definition has replaced; raises `ConfigError` for an id never given."""
        for one in self.manifest().instruments:
            if one.id == number:
                return one
        raise ConfigError(f"catalog {self.root}: there is no instrument with id {number}")

    def resolve(self, name: str) -> Instrument:
        """The instrument of "EURUSD@oanda", or of "EURUSD" when only one venue has it. Raises `ConfigError` with the choices otherwise."""
        filled = {series.key.name for series in self.manifest().series}
        known = sorted(self.instruments(), key=lambda one: one.name not in filled)  # those with data first
        found = [one for one in known if name == one.name] or [one for one in known if name == one.symbol]
        found = [one for one in found if one.name in filled] or found
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(
                f"instrument {name!r}: {len(found)} venues have it, say which: {', '.join(sorted(one.name for one in found))}"
            )
        if not known:
            raise ConfigError(f"instrument {name!r}: the catalog {self.root} is empty; import data first: tercel data import FILE")
        words = {word.lower(): one.name for one in known for word in (one.symbol, one.name)}
        near = list(dict.fromkeys(words[word] for word in difflib.get_close_matches(name.lower(), words, n=3)))
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(one.name for one in known[:10])}"
        raise ConfigError(f"instrument {name!r}: not in the catalog; {hint}")

    def datasets(self) -> list[Dataset]:
        """Every series, in order of symbol, venue, kind, interval and basis."""
        manifest = self.manifest()
        latest = {one.name: one for one in manifest.instruments}
        return [_dataset(series, latest[series.key.name]) for series in sorted(manifest.series, key=lambda series: series.key)]

    def dataset(self, instrument: Instrument | str, kind: str, interval_ns: int | None = None, basis: str | int | None = None) -> Dataset:
        """The one series meant; bars may leave out interval or basis when there is only one. Raises `ConfigError` with the choices."""
        one = self.resolve(instrument) if isinstance(instrument, str) else self.resolve(instrument.name)
        wanted = BASIS_TEXT.get(basis, str(basis)) if isinstance(basis, int) else basis
        mine = [data for data in self.datasets() if data.instrument.name == one.name]
        found = [
            data for data in mine
            if data.kind == kind_of(kind) and interval_ns in (None, 0, data.interval_ns) and wanted in (None, "", data.basis)
        ]  # fmt: skip
        if len(found) == 1:
            return found[0]
        have = "; ".join(data.key.what for data in found or mine) or "nothing"
        asked = " ".join([kind, *([format_duration(interval_ns)] if interval_ns else []), *([wanted] if wanted else [])])
        raise ConfigError(f"{one.name}: expected one series of {asked}, found {len(found)}; the catalog has: {have}")

    def records(
        self,
        instrument: Instrument | str,
        kind: str,
        start_ns: int | None = None,
        end_ns: int | None = None,
        interval_ns: int | None = None,
        basis: str | int | None = None,
    ) -> Iterator[Records]:
        """Read-only mapped arrays (`TICK`, bars `BAR_VIEW`), one per partition in time order, rows with start_ns <= ts_event < end_ns.

        `instrument` of each record is the instrument's id; `ts_recv` is 0 where there is no arrival time, open + interval for bars.
        Bars may leave out interval or basis when there is only one; `basis` is "bid" or `records.BASIS_BID` and so on. Raises `ConfigError`
        when there is no such series, `DataError` when a partition is damaged.
        """
        data = self.dataset(instrument, kind, interval_ns, basis)
        series = self.manifest().find(data.key)
        assert series is not None
        return self._windowed(series, data.instrument, start_ns, end_ns)

    def add(self, instrument: Instrument, kind: str, records: Records, interval_ns: int = 0, basis: str = "") -> Sealed:
        """Merge records of one series into the catalog in one atomic change and say what happened; for many series use `Writer`."""
        key = Key(instrument.symbol, instrument.venue, kind_of(kind), interval_ns, basis)
        if (key.kind == "bar") != (interval_ns > 0 and basis in BASES):
            raise ConfigError(f"{key.name}: bars need an interval above 0 and a basis of {', '.join(BASES)}; other kinds have neither")
        with Writer(self.root) as writer:
            writer.define(instrument)
            writer.add(key, records)
            results = writer.seal()
            writer.commit()
        if not results:
            raise ConfigError(f"{key.name}: there are no records to add")
        return results[0]

    def register(self, instrument: Instrument) -> Instrument:
        """Put a definition into the instrument table and return it with its id; one that is there already keeps its id."""
        found = self.manifest().instrument(instrument.name)
        if found is not None and msgspec.structs.replace(instrument, id=found.id) == found:
            return found
        with Writer(self.root, wait_s=REGISTER_S_MAX) as writer:
            registered = writer.define(instrument)
            writer.commit()
        return registered

    def _windowed(self, series: Series, instrument: Instrument, start_ns: int | None, end_ns: int | None) -> Iterator[Records]:
        for part in series.parts:
            if (end_ns is not None and part.first_ns >= end_ns) or (start_ns is not None and part.last_ns < start_ns):
                continue
            rows = self.open_part(series.key, part, instrument)
            times = rows["ts_event"]
            start = 0 if start_ns is None else bisect_left(times, start_ns)
            stop = len(rows) if end_ns is None else bisect_left(times, end_ns)
            if stop > start:
                yield rows[start:stop]

    def open_part(self, key: Key, part: Part, instrument: Instrument) -> Records:
        """The records of one partition, mapped; makes the mapped file when it is missing or does not verify."""
        name = f"{key.what.replace(' ', '-')}-{part.date}-{part.fingerprint}-{instrument.id}.rows"
        path = mapped.folder(key.venue, key.symbol) / name
        dtype, content = partitions.dtype_of(key.kind), bytes.fromhex(part.fingerprint)
        try:
            return mapped.open_records(path, dtype, content)
        except (FileNotFoundError, DataError):
            mapped.write(path, self._numbered(key, part, instrument.id), dtype, content)
            return mapped.open_records(path, dtype, content)

    def _numbered(self, key: Key, part: Part, number: int) -> Iterator[Records]:
        """The partition's rows with their instrument id; raises `DataError` when they are not those the manifest promises."""
        digest = hashlib.blake2b(digest_size=16)
        for rows in partitions.read(self.root / part.path, key):
            digest.update(rows.view(np.uint8).data)
            rows["instrument"] = number
            yield rows
        if digest.hexdigest() != part.fingerprint:
            raise DataError(
                f"{self.root / part.path}: the rows are not those that were imported; delete the file and import its source again"
            )


def _dataset(series: Series, instrument: Instrument) -> Dataset:
    key, parts = series.key, series.parts
    content = hashlib.blake2b("".join(part.fingerprint for part in parts).encode(), digest_size=16).hexdigest()
    return Dataset(
        instrument, key.kind, key.interval_ns, key.basis, sum(part.rows for part in parts), parts[0].first_ns, parts[-1].last_ns,
        tuple(part.date for part in parts), content,
    )  # fmt: skip
