"""freqtrade's data folder: bars as Feather (Arrow) and trades as one JSON array, gzipped. Content says which, the name says of what.

Bars `XRP_ETH-1m.feather` have the columns date, open, high, low, close, volume; `XRP_USDT_USDT-1h-futures.feather` is of the perpetual.
Trades `XRP_ETH-trades.json.gz` are rows `[ms, id, type, side, price, amount, cost]` (https://www.freqtrade.io/en/stable/data-download/).
The exchange is the name of the folder the file lies in, as freqtrade lays it out; a folder that is no venue leaves it at "freqtrade".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import Records
from tercel.market.importers.batch import BATCH_ROWS, Batch, Format, Head, Options, Times, bars, refuse, trades
from tercel.market.importers.coins import SUFFIX, check_grid, interval_ns, utc
from tercel.market.importers.jsontext import instants_ms, json_rows
from tercel.market.importers.parquet_columns import Columns
from tercel.market.importers.venues import ALIASES, VENUES
from tercel.market.manifest import Kind

MAGIC: Final = b"ARROW1\0\0"
BAR_COLUMNS: Final = ("date", "open", "high", "low", "close", "volume")
TRADE_COLUMNS: Final = ("time", "id", "type", "side", "price", "amount", "cost")
Trade = tuple[int, str | int | None, str | None, str, float, float, float | None]
NO_IDS: Final = "trade ids that are no numbers: left out"
NO_VENUE: Final = "rows from an exchange that neither file nor folder names: venue freqtrade; --venue says it"
_TRADES: Final = re.compile(rb'\s*\[\s*\[\s*\d{13}\s*,\s*(?:"[^"]*"|null|\d+)\s*,\s*(?:"[^"]*"|null)\s*,\s*"(?:buy|sell)"')
_NAME: Final = re.compile(r"([A-Za-z0-9]+)_([A-Za-z0-9]+)(_[A-Za-z0-9]+)?-(trades|\d{1,2}[smhdw])(-[a-z_]+)?\.")
_SIDES: Final = {"buy": 1, "sell": -1}


def recognises_bars(head: Head) -> bool:
    """True for an Arrow file whose schema, at its beginning, names the columns of bars."""
    return head.data.startswith(MAGIC) and not head.packing and all(name.encode() in head.data for name in BAR_COLUMNS)


def recognises_trades(head: Head) -> bool:
    """True for an array of rows that begin with a time, an id, a type and a side."""
    return _TRADES.match(head.data) is not None


def read_bars(path: Path, options: Options) -> Iterator[Batch]:
    """Bars of trades. Raises `DataError` for a damaged file, other columns or types, and candles that are not of trades (mark, funding)."""
    import pyarrow as pa

    symbol, word, kind = _named(path, options)
    interval = options.interval_ns or interval_ns(word)
    if not interval or kind not in (None, "-futures"):
        raise DataError(
            f"{path.name}: expected bars of trades of a pair and interval that the name says, as in XRP_ETH-1m.feather; "
            "nothing was imported"
        )
    try:
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
            if sorted(file.schema.names) != sorted(BAR_COLUMNS):
                found = ", ".join(file.schema.names)[:200]
                raise DataError(f"{path.name}: expected the columns {', '.join(BAR_COLUMNS)}, found {found}; nothing was imported")
            done, count = 0, file.num_record_batches
            for index in range(count):
                table = file.get_batch(index)
                table.validate(full=True)
                for start in range(0, table.num_rows, BATCH_ROWS):
                    columns = Columns(path, table.slice(start, BATCH_ROWS), done + 1, (index + 1) / count)
                    times = columns.times("date")
                    check_grid(path, times, columns.rows, interval)
                    records = bars(times, {name: columns.floats(name) for name in BAR_COLUMNS[1:5]}, columns.floats("volume"))
                    yield _batch(path, symbol, "bar", records, columns.rows, columns.fraction, interval)
                    done += columns.count
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{path.name}: expected a whole Feather file, found a truncated or damaged one ({reason}); nothing was imported"
        ) from error


def read_trades(path: Path, options: Options) -> Iterator[Batch]:
    """Trades with the aggressor's side; an id that is no number is left out and counted."""
    symbol, _, _ = _named(path, options)
    for block in json_rows(path, Trade, TRADE_COLUMNS):
        times = instants_ms(path, "time", [row[0] for row in block.values], block.first_row)
        sides = [_SIDES.get(row[3], 0) for row in block.values]
        if 0 in sides:
            refuse(path, block.first_row + sides.index(0), "side", "buy or sell", block.values[sides.index(0)][3][:60])
        ids = [_id(row[1]) for row in block.values]
        price, size = (np.array([row[place] for row in block.values], np.float64) for place in (4, 5))
        records = trades(times, price, size, np.array(sides), np.array(ids, np.int64))
        rows = np.arange(block.first_row, block.first_row + len(times))
        batch = _batch(path, symbol, "trade", records, rows, block.fraction)
        batch.notes |= {NO_IDS: ids.count(0)} if 0 in ids else {}
        yield batch


def _id(value: str | int | None) -> int:
    """A trade id below 2^63, 0 when it is none."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19 else value
    return number if isinstance(number, int) and 0 < number < 1 << 63 else 0


def _batch(path: Path, symbol: str, kind: Kind, records: Records, rows: Times, fraction: float, interval: int = 0) -> Batch:
    folder = ALIASES.get(path.resolve().parent.name.lower(), path.resolve().parent.name.lower())
    known = folder in VENUES
    notes = {} if known else {NO_VENUE: len(rows)}
    return Batch(symbol, folder if known else "freqtrade", kind, records, rows, fraction, interval, "trade" if interval else "", notes)


def _named(path: Path, options: Options) -> tuple[str, str, str | None]:
    """Symbol, "trades" or the interval, and the kind of candles, of a name as freqtrade writes it; --symbol goes before."""
    match = _NAME.match(path.name)
    if match is None:
        if options.symbol:
            return options.symbol, "", None
        raise ConfigError(
            f"{path.name}: expected a name as freqtrade writes it, such as XRP_ETH-1m.feather; else say the pair with --symbol"
        )
    base, quote, settled, word, kind = match.groups()
    return options.symbol or f"{base}{quote}{SUFFIX if settled else ''}", word, kind


FORMATS = (
    Format("freqtrade-bars", "freqtrade bars, Feather", recognises_bars, read_bars, clock=utc),
    Format("freqtrade-trades", "freqtrade trades, JSON", recognises_trades, read_trades, clock=utc),
)
