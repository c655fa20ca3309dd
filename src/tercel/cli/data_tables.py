"""How `tercel data` shows what it found: tables for people, and a progress bar while they wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S, format_duration, format_instant

if TYPE_CHECKING:
    from tercel.market.catalog import Dataset
    from tercel.market.check import Checked
    from tercel.market.importers.report import ImportReport, SeriesReport
    from tercel.market.quality import Counts
    from tercel.market.writer import Progress as ShowProgress


@contextmanager
def progress(quiet: bool) -> Iterator[ShowProgress | None]:
    """A progress bar on stderr that names what is being done; None when quiet."""
    if quiet:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda text, share: bar.update(task, description=text, completed=share)


def print_import(report: ImportReport) -> None:
    """What an import did, file by file; what is odd stands under the table."""
    console = _console()
    for one in report.files:
        table = _table(f"{one.path} ({one.format}, times {one.timezone})", "Series", "Rows", "New", "First", "Last")
        for series in one.series:
            table.add_row(
                _name(series),
                f"{series.counts.rows:,}",
                f"{series.rows_added:,}",
                _date(series.counts.first_ns),
                _date(series.counts.last_ns),
            )
        console.print(table)
        for series in one.series:
            _say(console, _name(series), [*repaired(series), *findings(series.counts)])
        for note in one.notes:
            _say(console, "note", [note])
    if report.skipped:
        table = _table("Skipped files", "File", "Why")
        for skipped in report.skipped:
            table.add_row(skipped.path, skipped.reason)
        console.print(table)
    ending = f"{report.rows_added:,} new rows" if report.changed else "nothing new, no file was changed"
    console.print(f"{len(report.files):,} files, {report.rows:,} rows: {ending}.", markup=False, highlight=False)


def print_datasets(datasets: Sequence[Dataset]) -> None:
    """Every series of the catalog."""
    console = _console()
    if not datasets:
        console.print("The catalog is empty: tercel data import FILE", markup=False)
        return
    table = _table("", "Instrument", "Series", "Rows", "First", "Last", "Files")
    for data in datasets:
        table.add_row(
            data.instrument.name, data.key.what, f"{data.rows:,}", _date(data.first_ns), _date(data.last_ns), f"{len(data.dates):,}"
        )
    console.print(table)


def print_instrument(view: dict[str, Any]) -> None:
    """One instrument in full."""
    console, one = _console(), view["instrument"]
    table = _table(one.name, "Definition", "")
    for field in one.__struct_fields__:
        table.add_row(field, str(getattr(one, field)))
    console.print(table)
    print_datasets([item["dataset"] for item in view["series"]])
    for item in view["series"]:
        for source in item["sources"]:
            console.print(
                f"  {item['dataset'].key.what} from {source.name} ({source.format}, times {source.timezone})", markup=False, highlight=False
            )


def print_checks(results: Sequence[Checked]) -> None:
    """What a check found."""
    console = _console()
    table = _table("", "Series", "Rows", "Files")
    for one in results:
        table.add_row(_series(one.dataset), f"{one.counts.rows:,}", f"{len(one.damage)} DAMAGED" if one.damage else "good")
    console.print(table)
    for one in results:
        _say(console, _series(one.dataset), findings(one.counts))


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
    if counts.gaps:
        lines.append(f"{counts.gaps:,} gaps, the longest {_span(counts.gap_ns_max)} after {format_instant(counts.gap_at_ns, 0)}")
    return [line for line in lines if not line.startswith("0 ")]


def _name(series: SeriesReport) -> str:
    bars = f" {format_duration(series.interval_ns)} {series.basis}" if series.interval_ns else ""
    return f"{series.instrument} {series.kind}{bars}"


def _series(data: Dataset) -> str:
    return f"{data.instrument.name} {data.key.what}"


def _say(console: Console, about: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"  {about}: {'; '.join(lines)}", markup=False, highlight=False)


def _span(ns: int) -> str:
    """A length of time for people: "18 min", "2.5 h", "471 d"."""
    for unit_ns, name in ((NS_PER_DAY, "d"), (NS_PER_H, "h"), (NS_PER_MIN, "min")):
        if ns >= 2 * unit_ns:
            return f"{ns / unit_ns:.3g} {name}"
    return f"{ns / NS_PER_S:.3g} s"


def _date(ns: int) -> str:
    return format_instant(ns, 0)[:10]


def _console() -> Console:
    """Tables keep their width when the output is no terminal, so that they can be searched."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title or None, title_justify="left")
    for name in columns:
        table.add_column(name, justify="right" if name in ("Rows", "New") else "left", overflow="fold")
    return table
