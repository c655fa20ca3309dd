"""An import from beginning to end: find the files, read, check, define the instruments, merge, commit once, report.

All files of one call are one transaction: either every file is in the catalog afterwards or none is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tercel.base.errors import ConfigError, DataError
from tercel.base.time import format_duration
from tercel.market.importers import unknown
from tercel.market.importers.batch import Batch, Format, Head, NoRows, Options, Zone
from tercel.market.importers.clock import parse_zone
from tercel.market.importers.decimals import Decimals
from tercel.market.importers.detect import detect, named, read_head
from tercel.market.importers.headings import parse_mapping
from tercel.market.importers.report import FileReport, ImportReport, Skipped, series_report
from tercel.market.importers.times import ORDERS
from tercel.market.importers.validate import validate
from tercel.market.importers.venues import venue_of
from tercel.market.instruments import Instrument
from tercel.market.manifest import BASES, Key, Source
from tercel.market.spill import BUFFER_BYTES_MAX
from tercel.market.writer import Progress, Writer

TABLE: Final = "csv"  # the format of any table with a header
_HASH_BYTES: Final = 1 << 20


def import_files(
    given: Sequence[Path], options: Options, root: Path, progress: Progress | None = None, buffer_bytes_max: int = BUFFER_BYTES_MAX
) -> ImportReport:
    """Import files and folders into the catalog at `root` and say what happened. Holds about `buffer_bytes_max` bytes of rows in memory.

    Raises `ConfigError` for a missing file or option, `DataError` for a file that is refused: the catalog is then as it was.
    """
    _check(options)
    report = ImportReport()
    chosen = list(_choose(given, options, report))
    if not chosen:
        first = f"; {report.skipped[0].path}: {report.skipped[0].reason}" if report.skipped else f"; {unknown.FORMATS_SHOWN}"
        raise DataError(f"{', '.join(str(path) for path in given)}: found no file of a known format to import{first}")
    try:
        with Writer(root, buffer_bytes_max) as writer:
            for path, how in chosen:
                try:
                    report.files.append(_import_file(path, how, options, writer, progress))
                except NoRows as error:
                    if path in given:
                        raise
                    report.skipped.append(Skipped(str(path), str(error).removeprefix(f"{path}: ")))
            report.changed = writer.commit()
    except OSError as error:
        raise ConfigError(
            f"catalog {root}: an import needs room and the right to write there, found: {error}; nothing was imported"
        ) from error
    return report


def _check(options: Options) -> None:
    if options.format is not None:
        named(options.format)
    if options.timezone is not None:
        parse_zone(options.timezone)
    if options.basis is not None and options.basis not in BASES:
        raise ConfigError(f"--basis: expected one of {', '.join(BASES)}, found {options.basis!r}")
    if options.dates is not None and options.dates not in ORDERS:
        raise ConfigError(f"--dates: expected {' or '.join(ORDERS)}, found {options.dates!r}")
    parse_mapping(options.columns)


def _choose(given: Sequence[Path], options: Options, report: ImportReport) -> Iterator[tuple[Path, Format]]:
    """Every file to import with its format. A file that was named has to be known; in a folder an unknown one is skipped by name."""
    seen: set[Path] = set()
    for one in given:
        if not one.exists():
            raise ConfigError(f"{one}: there is no such file or folder")
        for path in _files_below(one) if one.is_dir() else [one]:
            if path.resolve() in seen:
                continue
            seen.add(path.resolve())
            try:
                head = read_head(path)
                found = _format(head, options)
                yield path, found
            except DataError as error:
                if not one.is_dir():
                    raise
                report.skipped.append(Skipped(str(path), str(error).removeprefix(f"{path}: ")))


def _format(head: Head, options: Options) -> Format:
    """The format the user says, else the one that knows the content. Columns are said of tables only."""
    name = options.format or (TABLE if options.columns else None)
    found = named(name) if name else detect(head)
    if found is None:
        raise DataError(f"{head.path}: {unknown.unknown_format(head, options)}")
    if found.left_out:
        raise DataError(f"{head.path}: {found.title} is not imported: {found.left_out}")
    if found.name == TABLE:
        unknown.check_table(head, options)
    return found


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(parent) / name


def _import_file(path: Path, how: Format, options: Options, writer: Writer, progress: Progress | None) -> FileReport:
    zone = _zone(path, how, options)
    report = FileReport(str(path), how.name, zone.name)
    decimals = Decimals(path, options.decimals)
    counts: dict[str, int] = {}
    keys: set[Key] = set()
    defined: dict[str, Instrument] = {}
    for batch in how.read(path, options):
        for text, count in batch.notes.items():
            counts[text] = counts.get(text, 0) + count
        defined.update({one.name: one for one in batch.instruments})
        if not len(batch.records):
            continue
        validate(path / batch.member, batch)
        venue = venue_of(path, batch, options)
        keys.add(key := _key(batch, venue))
        decimals.see(venue, batch)
        writer.add(key, batch.records)
        if progress is not None:
            progress(f"reading {path.name}", batch.fraction)
    if not keys and not defined:
        raise NoRows(f"{path}: expected rows, found none; nothing was imported")
    report.notes += [_define(one, writer) for one in defined.values()]
    for one in decimals.instruments(writer.manifest, report.notes):
        writer.define(one)
    source = Source(path.name, _digest(path), how.name, report.timezone)
    _check_clock(source, keys, writer)
    sealed = writer.seal(source, progress)
    report.series = [series_report(one) for one in sealed]
    assumed = [zone.assumed] if zone.assumed and options.timezone is None else []
    report.notes = [*assumed, *(f"{count:,} {text}" for text, count in counts.items()), *report.notes]
    return report


def _define(one: Instrument, writer: Writer) -> str:
    """Register a definition that a file gives, and say what it is."""
    writer.define(one)
    return (
        f"{one.name}: defined as {one.asset}, {one.price_decimals} price decimals, tick {one.price_increment / 10**one.price_decimals:g}, "
        f"{one.multiplier:,} {one.quote} a point"
    )


def _zone(path: Path, how: Format, options: Options) -> Zone:
    if how.clock is not None:
        return how.clock(path, options)
    return Zone("UTC" if how.name == "parquet" else options.timezone or how.timezone, how.assumed)


def _key(batch: Batch, venue: str) -> Key:
    key = Key(batch.symbol, venue, batch.kind, batch.interval_ns, batch.basis)
    assert (key.kind == "bar") == (key.interval_ns > 0), f"{key}: {format_duration(key.interval_ns)}"
    return key


def _check_clock(source: Source, keys: set[Key], writer: Writer) -> None:
    """Refuse the bytes of an earlier import read with another clock: the same rows would be there twice, hours apart."""
    for series in writer.manifest.series:
        for earlier in series.sources if series.key in keys else ():
            if earlier.digest == source.digest and earlier.timezone != source.timezone:
                raise ConfigError(
                    f"{source.name}: imported before with times {earlier.timezone}, now {source.timezone}; "
                    f"to read it anew: tercel data remove {series.key.name} {series.key.kind}"
                )


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()
