"""Binance klines as its archive ships them: CSV of 12 columns, with the header of the futures files or without any; often zipped.

`open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore`; times in ms or, for
spot from 2025 on, µs (https://github.com/binance/binance-public-data). Bars are of trades and open at `open_time`; `close_time` is the last
unit inside the bar, so its distance is the interval. Rows and name do not say the market: only futures files have the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tercel.base.errors import DataError
from tercel.base.time import NS_PER_DAY, NS_PER_MS, NS_PER_S, NS_PER_US, format_duration
from tercel.market.importers.batch import Batch, Floats, Format, Head, Options, Times, bars, refuse
from tercel.market.importers.coins import PERPETUAL, SPOT, check_grid, epochs, pair_of, perpetual, utc
from tercel.market.importers.compressed import open_plain
from tercel.market.importers.textfile import Block, blocks, columns, numbers

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS: Final = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count", "taker_buy_volume",
    "taker_buy_quote_volume", "ignore",
)  # fmt: skip
HEADER: Final = ",".join(COLUMNS).encode()
SHORT: Final = "bars that ended before their interval: kept"
_LINE: Final = re.compile(rb"(?:\d{13}|\d{16}),[^,]*,[^,]*,[^,]*,[^,]*,[^,]*,(?:\d{13}|\d{16}),[^,]*,\d+,[^,]*,[^,]*,[^,]*")
_NAME: Final = re.compile(r"([A-Z0-9]+(?:_[A-Z0-9]+)?)-\d{1,2}[smhdw]\b")
_PRICES: Final = ("open", "high", "low", "close")
MS_DIGITS, US_DIGITS = 13, 16
_BOM: Final = b"\xef\xbb\xbf"


def recognises(head: Head) -> bool:
    """True for the header of the futures files, and when most of the first lines have the 12 columns with two times."""
    return head.lines[:1] == (HEADER,) or 2 * sum(_LINE.fullmatch(line) is not None for line in head.lines) > len(head.lines)


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Bar batches. Raises `DataError` for a bar whose length is not that of the first, months included."""
    import pyarrow.compute as pc

    with open_plain(path) as file:
        futures = file.readline(len(HEADER) + 8).removeprefix(_BOM).rstrip(b"\r\n") == HEADER
    symbol = pair_of(path, _NAME, options)
    symbol = perpetual(symbol) if futures and options.symbol is None else symbol
    interval = options.interval_ns
    for block in blocks(path, int(futures)):
        cells = columns(block, COLUMNS, ",")
        rows = np.arange(block.first_row, block.first_row + len(cells["open"]))
        opens, closes = (epochs(block, name, cells[name], (MS_DIGITS, US_DIGITS)) for name in ("open_time", "close_time"))
        lengths = closes + np.where(np.asarray(pc.binary_length(cells["close_time"])) == MS_DIGITS, NS_PER_MS, NS_PER_US) - opens
        interval = interval or _interval(path, lengths)
        short = _check_lengths(path, lengths, rows, interval)
        check_grid(path, opens, rows, interval)
        values = _values(block, cells)
        records = bars(opens, {name: values[name] for name in _PRICES}, values["volume"])
        notes = ({} if options.symbol else {PERPETUAL if futures else SPOT: len(rows)}) | ({SHORT: short} if short else {})
        yield Batch(symbol, "binance", "bar", records, rows, block.fraction, interval, "trade", notes)


def _values(block: Block, cells: dict[str, pa.Array]) -> dict[str, Floats]:
    """Every column but the times as numbers, so that a damaged one is refused even where it is not imported."""
    return {name: numbers(block, name, cells[name]) for name in COLUMNS if name not in ("open_time", "close_time")}


def _interval(path: Path, lengths: Times) -> int:
    """The commonest length of the first bars, ns."""
    found, counts = np.unique(lengths, return_counts=True)
    interval = int(found[np.argmax(counts)])
    if not 0 < interval <= 7 * NS_PER_DAY or interval % NS_PER_S:
        raise DataError(
            f"{path.name}: row 1, column close_time: expected bars of whole seconds up to a week, found {interval:,} ns; "
            "nothing was imported"
        )
    return interval


def _check_lengths(path: Path, lengths: Times, rows: Times, interval: int) -> int:
    """How many bars are shorter than the interval; a longer one is refused."""
    wrong = (lengths > interval) | (lengths <= 0)
    if wrong.any():
        first = int(np.argmax(wrong))
        expected = f"the end of a bar of {format_duration(interval)}"
        refuse(path, int(rows[first]), "close_time", expected, f"one of {int(lengths[first]) / NS_PER_S:,} s")
    return int((lengths < interval).sum())


FORMATS = (Format("binance-klines", "Binance klines CSV", recognises, read, clock=utc),)
