"""How `tercel data` shows what it found: tables for people."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from tercel.base.text import console, table
from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S, format_duration, format_instant

if TYPE_CHECKING:
    from tercel.market.catalog import Dataset
    from tercel.market.check import Checked
    from tercel.market.importers.report import FileReport, ImportReport, SeriesReport, Skipped
    from tercel.market.quality import Counts

FOLDER_LEVELS: Final = 2  # of the files left out: deeper folders are counted together
FILE_NAME_MAX: Final = 30
_COUNTED: Final = re.compile(r"([\d,]+) (.+)")


def print_import(report: ImportReport) -> None:
    """What an import did: a row for each series of each file, what is odd under the table, the files left out, the sum."""
    out, names = console(), short_names({PurePath(one.path).name for one in report.files})
    rows = [
        (
            names[PurePath(one.path).name], _name(series), f"{series.counts.rows:,}", f"{series.rows_added:,}",
            _date(series.counts.first_ns), _date(series.counts.last_ns),
        )
        for one in report.files
        for series in one.series
    ]  # fmt: skip
    out.print(table("", ("file", "series", "rows", "new", "first", "last"), rows, left=(0, 1, 4, 5)))
    common = common_notes(report.files)
    for one in report.files:
        remarks = [(_name(series), [*repaired(series), *findings(series.counts)]) for series in one.series]
        notes = [note for note in one.notes if _counted(note)[1] not in common]
        if notes or any(lines for _, lines in remarks):
            _line(out, f"{one.path}: {one.format}, times {one.timezone}")
        for about, lines in [*remarks, *(("note", [note]) for note in notes)]:
            _say(out, about, lines)
    for text, (files, total) in common.items():
        _line(out, f"note on {files:,} files: {f'{total:,} ' if total else ''}{text}")
    if report.skipped:
        _line(out, "")
        out.print(table("Left out", ("folder", "ending", "files", "why"), left_out(report.skipped), left=(0, 1, 2, 3)))
        _line(out, "All of them with the whole reason: --json")
    ending = f"{report.rows_added:,} new rows" if report.changed else "nothing new, no file was changed"
    _line(out, f"{len(report.files):,} files, {report.rows:,} rows: {ending}.")


def common_notes(files: Sequence[FileReport]) -> dict[str, tuple[int, int]]:
    """The notes that several files share, without their counts: in how many files, and the sum of the counts (0 for a note without)."""
    found: dict[str, tuple[int, int]] = {}
    for one in files:
        for note in one.notes:
            count, text = _counted(note)
            number, total = found.get(text, (0, 0))
            found[text] = (number + 1, total + count)
    return {text: (number, total) for text, (number, total) in found.items() if number > 1}


def _counted(note: str) -> tuple[int, str]:
    """The count that a note begins with, 0 when it does not, and the rest."""
    match = _COUNTED.fullmatch(note)
    return (int(match[1].replace(",", "")), match[2]) if match else (0, note)


def short_names(names: set[str]) -> dict[str, str]:
    """Names that fit the table; where the middle alone tells long names apart, their ends are shown."""
    short = {name: _fit(name) for name in names}
    seen = Counter(short.values())
    return {name: f"…{name[1 - FILE_NAME_MAX :]}" if seen[fit] > 1 and len(name) > FILE_NAME_MAX else fit for name, fit in short.items()}


def left_out(skipped: Sequence[Skipped]) -> list[tuple[str, str, str, str]]:
    """(folder, ending, name or count, why) of the files an import left out, a row for all that are alike; folders to two levels."""
    root = PurePath(os.path.commonpath([PurePath(one.path).parent for one in skipped]))
    alike: dict[tuple[str, str, str], list[str]] = {}
    for one in skipped:
        path = PurePath(one.path)
        folder = root.joinpath(*path.parent.relative_to(root).parts[:FOLDER_LEVELS])
        alike.setdefault((str(folder), path.suffix, one.reason.partition(";")[0]), []).append(path.name)
    return [
        (folder, ending, names[0] if len(names) == 1 else f"{len(names):,} files", why) for (folder, ending, why), names in alike.items()
    ]


def print_formats(view: Sequence[dict[str, str]]) -> None:
    """The name of each format and what it is."""
    rows = [(one["format"], one["what"]) for one in view]
    console().print(table("Formats of tercel data import", ("--format", "what it is"), rows, left=(0, 1)))
    print("Each is recognised by its content. What each becomes stands in docs/reference/formats.md.")


def print_datasets(datasets: Sequence[Dataset]) -> None:
    """Every series of the catalog."""
    out = console()
    if not datasets:
        _line(out, "The catalog is empty: tercel data import FILE")
        return
    rows = [
        (data.instrument.name, data.key.what, f"{data.rows:,}", _date(data.first_ns), _date(data.last_ns), f"{len(data.dates):,}")
        for data in datasets
    ]
    out.print(table("", ("instrument", "series", "rows", "first", "last", "files"), rows, left=(0, 1, 3, 4)))


def print_instrument(view: dict[str, Any]) -> None:
    """One instrument in full."""
    out, one = console(), view["instrument"]
    _line(out, one.name)
    out.print(table("", ("definition", ""), [(field, str(getattr(one, field))) for field in one.__struct_fields__], left=(0, 1)))
    print_datasets([item["dataset"] for item in view["series"]])
    for item in view["series"]:
        for source in item["sources"]:
            _line(out, f"  {item['dataset'].key.what} from {source.name} ({source.format}, times {source.timezone})")


def print_checks(results: Sequence[Checked]) -> None:
    """What a check found."""
    out = console()
    rows = [(_series(one.dataset), f"{one.counts.rows:,}", f"{len(one.damage)} DAMAGED" if one.damage else "good") for one in results]
    out.print(table("", ("series", "rows", "files"), rows, left=(0, 2)))
    for one in results:
        _say(out, _series(one.dataset), findings(one.counts))


def repaired(series: SeriesReport) -> list[str]:
    """What was repaired in the rows of a file, or replaced in the catalog, for people."""
    lines = [
        (series.rows_out_of_order, "rows out of order: repaired, sorted by time"),
        (series.bars_dropped, "repeated bars: repaired, kept once"),
    ]
    lines.append((series.rows_replaced, "bars differ from the catalog's: replaced"))
    rebuilt = [f"{date}: the catalog's file was damaged and now holds the rows of this file only" for date in series.partitions_rebuilt]
    return [f"{count:,} {text}" for count, text in lines if count] + rebuilt


def findings(counts: Counts) -> list[str]:
    """What is odd in a series, for people; all of it is kept."""
    lines = [
        f"{counts.duplicates:,} repeated rows: kept", f"{counts.same_time:,} rows share a time", f"{counts.crossed:,} crossed quotes: kept",
        f"{counts.locked:,} locked quotes: kept", f"{counts.one_sided:,} one-sided quotes: kept", f"{counts.bars_absent:,} bars absent",
        f"{counts.days_absent:,} sessions without data",
    ]  # fmt: skip
    if counts.holes:
        lines.append(f"{counts.holes:,} holes that the recorder knew of, {_span(counts.holes_ns)} in all: kept as gaps")
    if counts.gaps:
        lines.append(f"{counts.gaps:,} gaps, the longest {_span(counts.gap_ns_max)} after {format_instant(counts.gap_at_ns, 0)}")
    return [line for line in lines if not line.startswith("0 ")]


def _name(series: SeriesReport) -> str:
    bars = f" {format_duration(series.interval_ns)} {series.basis}" if series.interval_ns else ""
    return f"{series.instrument} {series.kind}{bars}"


def _series(data: Dataset) -> str:
    return f"{data.instrument.name} {data.key.what}"


def _say(out: Console, about: str, lines: Sequence[str]) -> None:
    if lines:
        _line(out, f"  {about}: {'; '.join(lines)}")


def _line(out: Console, text: str) -> None:
    """Text as it is: no markup, not broken where the terminal ends."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _span(ns: int) -> str:
    """A length of time for people: "18 min", "2.5 h", "471 d"."""
    for unit_ns, name in ((NS_PER_DAY, "d"), (NS_PER_H, "h"), (NS_PER_MIN, "min")):
        if ns >= 2 * unit_ns:
            return f"{ns / unit_ns:.3g} {name}"
    return f"{ns / NS_PER_S:.3g} s"


def _fit(name: str) -> str:
    """A name that is too long keeps its beginning and its end."""
    return name if len(name) <= FILE_NAME_MAX else f"{name[: FILE_NAME_MAX - 13]}…{name[-12:]}"


def _date(ns: int) -> str:
    return format_instant(ns, 0)[:10]
