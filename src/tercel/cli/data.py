"""`tercel data`: import, list, show, check and remove history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from tercel.base import paths
from tercel.base.errors import DataError
from tercel.base.time import parse_duration
from tercel.cli.show import Json, print_json

app = App(name="data", help="Import, list and inspect history.")


@app.command(name="import")
def import_(
    *files: Path,
    format: str | None = None,  # noqa: A002 (it is the option's name)
    venue: str | None = None,
    symbol: str | None = None,
    timezone: str | None = None,
    decimals: int | None = None,
    interval: str | None = None,
    columns: str | None = None,
    dates: str | None = None,
    basis: str | None = None,
    decimal_comma: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Import files and folders into the catalog: all of them, or none when one is refused.

    Example: tercel data import ticks.csv --venue oanda --timezone America/New_York

    Parameters
    ----------
    files
        Files to import, plain or compressed, recognised by content; in a folder, files of no known format are left out and counted.
    format
        The format, when it should not be recognised by content.
    venue
        The venue of the data, when neither rows nor file name say it, or say it wrong.
    symbol
        The symbol, for files that do not name it.
    timezone
        The clock of the file's times, such as America/New_York, UTC or UTC+3.
    decimals
        Price decimals of the instrument; a price that needs more is refused.
    interval
        The length of bars, such as 1m or 4h, when the file does not say it.
    columns
        The columns of a table by name or number, where their names are not the usual ones: "time=Zeit,bid=Geld,ask=Brief".
    dates
        The order of day and month in a table's dates, dmy or mdy, when the dates do not show it.
    basis
        The price that bars of a table are of: trade, bid, ask or mid.
    decimal_comma
        The comma of a table's numbers is the decimal sign, when the numbers do not show it.
    """
    from tercel.base.errors import ConfigError
    from tercel.cli import data_tables
    from tercel.cli.show import progress
    from tercel.market.importers.batch import Options
    from tercel.market.importers.run import import_files

    if not files:
        raise ConfigError("tercel data import: expected at least one file or folder")
    options = Options(
        format=format, venue=venue, symbol=symbol, timezone=timezone, decimals=decimals,
        interval_ns=parse_duration(interval) if interval else None, columns=columns, dates=dates, basis=basis, decimal_comma=decimal_comma,
    )  # fmt: skip
    with progress(quiet=json) as tell:
        report = import_files(files, options, paths.catalog_dir(), lambda text, share: tell(text, share, 1.0))
    _print(report, json, data_tables.print_import)


@app.command
def formats(*, json: Json = False) -> None:
    """List the formats that `tercel data import` reads: the names that --format takes.

    Example: tercel data formats
    """
    from tercel.cli import data_tables
    from tercel.market.importers import detect

    _print([{"format": one.name, "what": one.title} for one in detect.formats().values()], json, data_tables.print_formats)


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List every series of the catalog.

    Example: tercel data list
    """
    from tercel.cli import data_tables
    from tercel.market.catalog import Catalog

    _print(Catalog().datasets(), json, data_tables.print_datasets)


@app.command
def show(instrument: str, *, json: Json = False) -> None:
    """Show one instrument: its definition, its series and the files they came from.

    Example: tercel data show EURUSD@oanda

    Parameters
    ----------
    instrument
        SYMBOL@venue, or the symbol alone when only one venue has it.
    """
    from tercel.cli import data_tables
    from tercel.market.catalog import Catalog

    catalog = Catalog()
    one = catalog.resolve(instrument)
    mine = [data for data in catalog.datasets() if data.instrument.name == one.name]
    sources = {data.key: series.sources for data in mine if (series := catalog.manifest().find(data.key)) is not None}
    view = {"instrument": one, "series": [{"dataset": data, "sources": sources[data.key]} for data in mine]}
    _print(view, json, data_tables.print_instrument)


@app.command
def check(instrument: str | None = None, *, json: Json = False) -> None:
    """Read stored history again: is every file what was imported, and what is odd in it? Exit status 3 when a file is damaged.

    Example: tercel data check EURUSD@oanda

    Parameters
    ----------
    instrument
        Check one instrument only.
    """
    from tercel.cli import data_tables
    from tercel.cli.show import progress
    from tercel.market.catalog import Catalog
    from tercel.market.check import check as check_datasets

    catalog = Catalog()
    name = catalog.resolve(instrument).name if instrument else None
    chosen = [data for data in catalog.datasets() if name in (None, data.instrument.name)]
    with progress(quiet=json) as tell:
        results = check_datasets(catalog, chosen, lambda text, share: tell(text, share, 1.0))
    _print(results, json, data_tables.print_checks)
    damage = [text for one in results for text in one.damage]
    if damage:
        raise DataError(f"{len(damage)} of the catalog's files are damaged; the first: {damage[0]}")


@app.command
def remove(instrument: str, kind: str, *, interval: str | None = None, basis: str | None = None, json: Json = False) -> None:
    """Remove one series from the catalog, for example one that was imported with the wrong time zone.

    Example: tercel data remove EURUSD@oanda bar --interval 1m --basis bid

    Parameters
    ----------
    instrument
        SYMBOL@venue, or the symbol alone when only one venue has it.
    kind
        quote, trade, bar, book or order.
    interval
        The length of bars, when there are several.
    basis
        The price basis of bars (trade, bid, ask, mid), when there are several.
    """
    from tercel.market.catalog import Catalog
    from tercel.market.writer import Writer

    catalog = Catalog()
    key = catalog.dataset(instrument, kind, parse_duration(interval) if interval else None, basis).key
    with Writer(catalog.root) as writer:
        rows = writer.remove(key)
        writer.commit()
    _print({"instrument": key.name, "series": key.what, "rows": rows}, json, _print_removed)


def _print_removed(view: dict[str, Any]) -> None:
    print(f"removed {view['instrument']} {view['series']}: {view['rows']:,} rows")


def _print(view: Any, as_json: bool, table: Any) -> None:
    if as_json:
        print_json(view)
    else:
        table(view)
