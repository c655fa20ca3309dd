"""Bitfinex candles as its REST interface answers: one JSON array of `[ms, open, CLOSE, high, low, volume]`; mind the order.

Source: https://docs.bitfinex.com/reference/rest-public-candles. Other exchanges answer with open, high, low, close in the same shape: so a
file is Bitfinex's only when the fourth number is the highest and the fifth the lowest of each of its first rows. Symbol and interval are
in the file's name, as in BTCUSD_1m_….json; bars are of trades, times are when they open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tercel.base.errors import DataError
from tercel.market.importers.batch import Batch, Format, Head, Options, bars
from tercel.market.importers.coins import check_grid, interval_ns, pair_of, utc
from tercel.market.importers.jsontext import instants_ms, json_rows

COLUMNS: Final = ("time", "open", "close", "high", "low", "volume")
Row = tuple[int, float, float, float, float, float]
_START: Final = re.compile(rb"\s*\[\s*\[\s*\d{13}\s*,")
_ROW: Final = re.compile(rb"\[\s*\d{13}\s*((?:,\s*[0-9.eE+-]+\s*){5})\]")
_NAME: Final = re.compile(r"t?([A-Z0-9]{3,}(?:USD|EUR|GBP|JPY|BTC|ETH|UST|USDT|XAUT))_(?=\d{1,2}[mhDW])")
_INTERVAL: Final = re.compile(r"(?:_|\b)(\d{1,2}[mhDW])(?=_|\b)")
_ROWS_MAX: Final = 100


def recognises(head: Head) -> bool:
    """True for an array of six numbers a row whose first rows hold high and low where Bitfinex has them, and not all prices equal."""
    if _START.match(head.data) is None:
        return False
    rows = [_numbers(match[1]) for match, _ in zip(_ROW.finditer(head.data), range(_ROWS_MAX), strict=False)]
    prices = [row[:4] for row in rows if len(row) == 5]
    fits = all(high == max(one) and low == min(one) for one in prices for high, low in [one[2:]])
    return bool(prices) and len(prices) == len(rows) and fits and any(max(one) > min(one) for one in prices)


def _numbers(text: bytes) -> list[float]:
    try:
        return [float(part) for part in text.strip(b", ").split(b",")]
    except ValueError:
        return []


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Bar batches. Raises `DataError` when neither the name nor --interval says how long a bar is, and for one off that grid."""
    symbol, interval = pair_of(path, _NAME, options), options.interval_ns or _interval(path)
    for block in json_rows(path, Row, COLUMNS):
        times = instants_ms(path, "time", [row[0] for row in block.values], block.first_row)
        table = np.array([row[1:] for row in block.values])
        rows = np.arange(block.first_row, block.first_row + len(times))
        check_grid(path, times, rows, interval)
        prices = {name: table[:, place - 1] for place, name in enumerate(COLUMNS) if name in ("open", "high", "low", "close")}
        yield Batch(symbol, "bitfinex", "bar", bars(times, prices, table[:, 4]), rows, block.fraction, interval, "trade")


def _interval(path: Path) -> int:
    match = _INTERVAL.search(path.name)
    if match is None or not (found := interval_ns(match[1].lower())):
        raise DataError(
            f"{path.name}: expected the interval in the name, as in BTCUSD_1m.json; say it with --interval, for example --interval 1m"
        )
    return found


FORMATS = (Format("bitfinex-candles", "Bitfinex candles JSON", recognises, read, clock=utc),)
