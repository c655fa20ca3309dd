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
    """What an import did, file by file."""
    console = _console()
    for one in report.files:
        table = _table(f"{one.path} ({one.format}, times {one.timezone})", "Series", "Rows", "First", "Last", "Added", "Known", "Findings")
        for series in one.series:
            table.add_row(
                f"{series.instrument} {_what(series.kind, series.interval_ns, series.basis)}", f"{series.counts.rows:,}",
                _moment(series.counts.first_ns), _moment(series.counts.last_ns), f"{series.rows_added:,}", f"{series.rows_known:,}",
                "\n".join([*repaired(series), *findings(series.counts)]) or "-",
            )  # fmt: skip
        console.print(table)
        for note in one.notes:
            console.print(f"  note: {note}", markup=False, highlight=False)
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
            data.instrument.name, data.key.what, f"{data.rows:,}", _moment(data.first_ns), _moment(data.last_ns), f"{len(data.dates):,}"
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
    table = _table("", "Series", "Rows", "Files", "Findings")
    for one in results:
        damaged = f"{len(one.damage)} DAMAGED" if one.damage else "good"
        table.add_row(
            f"{one.dataset.instrument.name} {one.dataset.key.what}", f"{one.counts.rows:,}", damaged, "\n".join(findings(one.counts)) or "-"
        )
    _console().print(table)


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


def _what(kind: str, interval_ns: int, basis: str) -> str:
    return f"{kind} {format_duration(interval_ns)} {basis}" if interval_ns else kind


def _span(ns: int) -> str:
    """A length of time for people: "18 min", "2.5 h", "471 d"."""
    for unit_ns, name in ((NS_PER_DAY, "d"), (NS_PER_H, "h"), (NS_PER_MIN, "min")):
        if ns >= 2 * unit_ns:
            return f"{ns / unit_ns:.3g} {name}"
    return f"{ns / NS_PER_S:.3g} s"


def _moment(ns: int) -> str:
    return format_instant(ns, 0)


def _console() -> Console:
    """Tables keep their width when the output is no terminal, so that they can be searched."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title or None, title_justify="left")
    for name in columns:
        table.add_column(name, justify="right" if name in ("Rows", "Added", "Known", "Files") else "left", overflow="fold")
    return table
