"""HistData: tick CSV, minute bars in ASCII (`;`) and minute bars in MetaTrader's layout. Bars are of the bid.

The vendor documents Eastern Standard Time without daylight saving. Its files say otherwise: on both sides of the clock change the week
ends at 16:58 or 16:59 on Friday and starts at 17:00 on Sunday, and the payrolls minute is 08:30. So the default is New York with daylight
saving; `--timezone -05:00` reads a file by the documentation. Volume is always 0: quotes get no size, bars keep the 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tercel.base.time import NS_PER_MIN
from tercel.market.importers.batch import Batch, Format, Head, Options, bars, quotes
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.textfile import blocks, columns, instants, numbers
from tercel.market.importers.venues import symbol_of

ZONE: Final = "America/New_York"
ASSUMED: Final = "HistData's times are read as New York with daylight saving, which its files show; --timezone says another"
_TICK: Final = re.compile(rb"\d{8} \d{9},[^,]*,[^,]*,[^,]*")
_BAR: Final = re.compile(rb"\d{8} \d{6};[^;]*;[^;]*;[^;]*;[^;]*;[^;]*")
_METATRADER: Final = re.compile(rb"\d{4}\.\d\d\.\d\d,\d\d:\d\d,[^,]*,[^,]*,[^,]*,[^,]*,0")
_PRICES: Final = ("open", "high", "low", "close")


def _most(head: Head, line: re.Pattern[bytes]) -> bool:
    return 2 * sum(line.fullmatch(one) is not None for one in head.lines) > len(head.lines)


def read_ticks(path: Path, options: Options) -> Iterator[Batch]:
    """Quote batches from `20200101 170000065,1.121200,1.121720,0`."""
    clock, symbol = Clock(parse_zone(options.timezone or ZONE)), symbol_of(path, options)
    for block in blocks(path):
        cells = columns(block, ("time", "bid", "ask", "volume"), ",")
        times, notes = clock.utc(instants(block, "time", cells["time"], "YYYYMMDD hhmmssfff"))
        numbers(block, "volume", cells["volume"])
        records = quotes(times, numbers(block, "bid", cells["bid"]), numbers(block, "ask", cells["ask"]))
        rows = np.arange(block.first_row, block.first_row + len(records))
        yield Batch(symbol, "histdata", "quote", records, rows, block.fraction, notes=notes)


def read_bars(path: Path, options: Options) -> Iterator[Batch]:
    """Minute bars from `20170301 000000;1.055220;1.055290;1.055210;1.055290;0`."""
    return _read_bars(path, options, ";", ("time",), ("YYYYMMDD hhmmss",))


def read_metatrader_bars(path: Path, options: Options) -> Iterator[Batch]:
    """Minute bars from `2020.06.01,00:00,1.113290,1.113450,1.113250,1.113440,0`."""
    return _read_bars(path, options, ",", ("date", "time"), ("YYYY.MM.DD", "hh:mm"))


def _read_bars(path: Path, options: Options, separator: str, names: tuple[str, ...], templates: tuple[str, ...]) -> Iterator[Batch]:
    clock, symbol = Clock(parse_zone(options.timezone or ZONE)), symbol_of(path, options)
    for block in blocks(path):
        cells = columns(block, (*names, *_PRICES, "volume"), separator)
        local = sum(instants(block, name, cells[name], template) for name, template in zip(names, templates, strict=True))
        times, notes = clock.utc(np.asarray(local))
        records = bars(times, {name: numbers(block, name, cells[name]) for name in _PRICES}, numbers(block, "volume", cells["volume"]))
        rows = np.arange(block.first_row, block.first_row + len(records))
        interval = options.interval_ns or NS_PER_MIN
        yield Batch(symbol, "histdata", "bar", records, rows, block.fraction, interval, "bid", notes)


FORMATS = (
    Format("histdata-ticks", "HistData tick CSV", lambda head: _most(head, _TICK), read_ticks, ZONE, ASSUMED),
    Format("histdata-bars", "HistData minute bars, ASCII", lambda head: _most(head, _BAR), read_bars, ZONE, ASSUMED),
    Format(
        "histdata-mt", "HistData minute bars, MetaTrader layout", lambda head: _most(head, _METATRADER), read_metatrader_bars, ZONE, ASSUMED
    ),
)
