"""Dukascopy bi5: LZMA of big-endian rows, an hour of ticks or a day of minute candles. Times are UTC.

A tick is milliseconds, ask, bid, ask size, bid size (20 bytes); a candle seconds, open, close, low, high, volume (24 bytes). Prices are
whole points, sizes 32-bit floats in millions of the base currency, read as the shortest decimal number they stand for. Rows have neither
symbol nor date: both come from the vendor's folders, `EURUSD/2019/01/04/10h_ticks.bi5`, in which months count from 00. Candles of minutes
without a tick are in the file with volume 0 and are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import Records
from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S
from tercel.market.definitions import CURRENCIES
from tercel.market.importers.batch import BATCH_ROWS, Batch, Floats, Format, Head, Options, Times, bars, quotes, refuse
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.compressed import open_plain

TICK_ROW: Final = np.dtype([("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_size", ">f4"), ("bid_size", ">f4")])
CANDLE_ROW: Final = np.dtype([("seconds", ">u4"), ("open", ">u4"), ("close", ">u4"), ("low", ">u4"), ("high", ">u4"), ("volume", ">f4")])
POINTS: Final = {"JPY": 3}  # decimals of a point by quote currency, where they are not 5
METALS: Final = {"XAU": 3, "XAG": 3}
_PLACE: Final = re.compile(
    r"(?P<symbol>[A-Za-z0-9]+)/(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d)/(?:(?P<hour>\d\d)h_ticks|(?P<side>BID|ASK)_candles_min_1)\.bi5"
)


class Place(NamedTuple):
    """What the folders say: the symbol, the start of hour or day in ns (UTC wall clock), and "bid" or "ask" for candles."""

    symbol: str
    start_ns: int
    basis: str


def recognises_ticks(head: Head) -> bool:
    """True for LZMA whose rows of 20 bytes are ticks of one hour in order of time."""
    rows = _rows(head, TICK_ROW)
    return rows is not None and _orderly(rows["ms"], NS_PER_H // NS_PER_MS) and bool((rows["ask"] > 0).all() and (rows["bid"] > 0).all())


def recognises_candles(head: Head) -> bool:
    """True for LZMA whose rows of 24 bytes are minutes of one day."""
    rows = _rows(head, CANDLE_ROW)
    if rows is None or not _orderly(rows["seconds"], NS_PER_DAY // NS_PER_S):
        return False
    return bool((rows["seconds"] % 60 == 0).all() and (rows["high"] >= rows["low"]).all() and (rows["low"] > 0).all())


def read_ticks(path: Path, options: Options) -> Iterator[Batch]:
    """Quote batches of an hour."""
    place = place_of(path, options)
    clock, decimals = Clock(parse_zone(options.timezone or "UTC")), point_decimals(path, place.symbol, options)
    for first_row, rows, fraction in _blocks(path, TICK_ROW):
        numbers = np.arange(first_row, first_row + len(rows))
        since = rows["ms"].astype(np.int64)
        _within(path, numbers, "time", since, NS_PER_H // NS_PER_MS, "milliseconds of an hour")
        times, notes = clock.utc(place.start_ns + since * NS_PER_MS)
        bid, ask = (_prices(rows[side], decimals) for side in ("bid", "ask"))
        records = quotes(times, bid, ask, _sizes(rows["bid_size"]), _sizes(rows["ask_size"]))
        yield Batch(place.symbol, "dukascopy", "quote", records, numbers, fraction, notes=notes)


def read_candles(path: Path, options: Options) -> Iterator[Batch]:
    """Minute bars of a day."""
    place = place_of(path, options)
    clock, decimals = Clock(parse_zone(options.timezone or "UTC")), point_decimals(path, place.symbol, options)
    for first_row, rows, fraction in _blocks(path, CANDLE_ROW):
        numbers = np.arange(first_row, first_row + len(rows))
        since = rows["seconds"].astype(np.int64)
        _within(path, numbers, "time", since, NS_PER_DAY // NS_PER_S, "seconds of a day")
        times, notes = clock.utc(place.start_ns + since * NS_PER_S)
        records: Records = bars(
            times, {name: _prices(rows[name], decimals) for name in ("open", "high", "low", "close")}, _sizes(rows["volume"])
        )
        yield Batch(place.symbol, "dukascopy", "bar", records, numbers, fraction, NS_PER_MIN, place.basis, notes)


def place_of(path: Path, options: Options) -> Place:
    """Symbol, start and basis from the vendor's folders; --symbol overrides the symbol. Raises `DataError` when they are not there."""
    match = _PLACE.fullmatch("/".join(path.absolute().parts[-5:]))
    try:
        assert match is not None
        day = date(int(match["year"]), int(match["month"]) + 1, int(match["day"]))
        hour = int(match["hour"] or 0)
        if not 1970 <= day.year < 2100 or hour > 23:
            raise ValueError
    except (AssertionError, ValueError):
        raise DataError(
            f"{path}: Dukascopy's rows have no date and no symbol; expected the vendor's folders with months from 00 to 11, "
            "such as EURUSD/2019/01/04/10h_ticks.bi5 or …/BID_candles_min_1.bi5; nothing was imported"
        ) from None
    start_ns = (day - date(1970, 1, 1)).days * NS_PER_DAY + hour * NS_PER_H
    return Place(options.symbol or match["symbol"].upper(), start_ns, (match["side"] or "").lower())


def point_decimals(path: Path, symbol: str, options: Options) -> int:
    """How many decimals a point has. Raises `ConfigError` for instruments whose point only the user can know."""
    if options.decimals is not None:
        return options.decimals
    base, quote = symbol[:3], symbol[3:]
    if base in METALS and quote in CURRENCIES:
        return METALS[base]
    if base in CURRENCIES and quote in CURRENCIES:
        return POINTS.get(quote, 5)
    raise ConfigError(
        f"{path.name}: how many decimals a point of {symbol} has is not known; say it with --decimals, for example --decimals 3"
    )


def _rows(head: Head, row: np.dtype[np.void]) -> npt.NDArray[np.void] | None:
    if head.packing != "lzma" or len(head.data) < row.itemsize:
        return None
    whole = len(head.data) % row.itemsize == 0 or len(head.data) >= 1 << 16
    return np.frombuffer(head.data, row, len(head.data) // row.itemsize) if whole else None


def _orderly(since: npt.NDArray[np.uint32], end: int) -> bool:
    return bool((since < end).all() and (since[1:] >= since[:-1]).all())


def _blocks(path: Path, row: np.dtype[np.void]) -> Iterator[tuple[int, npt.NDArray[np.void], float]]:
    """(number of the first row, rows, share of the file) of a bi5 file. Raises `DataError` when it ends within a row."""
    done = 0
    with open_plain(path) as plain:
        while data := plain.read(BATCH_ROWS * row.itemsize):
            if len(data) % row.itemsize:
                number = done + len(data) // row.itemsize + 1
                left = len(data) % row.itemsize
                raise DataError(f"{path.name}: row {number:,}: expected {row.itemsize} bytes, found {left}; nothing was imported")
            rows = np.frombuffer(data, row)
            yield done + 1, rows, plain.fraction()
            done += len(rows)


def _within(path: Path, rows: Times, column: str, since: Times, end: int, what: str) -> None:
    if (since >= end).any():
        first = int(np.argmax(since >= end))
        refuse(path, int(rows[first]), column, f"{what}, 0 to {end - 1:,}", int(since[first]))


def _prices(points: npt.NDArray[np.uint32], decimals: int) -> Floats:
    result: Floats = points.astype(np.float64) / 10.0**decimals
    return result


def _sizes(values: npt.NDArray[np.float32]) -> Floats:
    """The nearest doubles to the shortest decimal numbers that the 32-bit floats stand for: 1.01, not 1.00999999."""
    distinct, place = np.unique(values, return_inverse=True)
    result: Floats = np.array([float(str(value)) for value in distinct.astype(np.float32)], np.float64)[place]
    return result


FORMATS = (
    Format("dukascopy-ticks", "Dukascopy ticks, bi5", recognises_ticks, read_ticks),
    Format("dukascopy-candles", "Dukascopy minute candles, bi5", recognises_candles, read_candles),
)
