"""zipline csvdir: one share's day bars, `date,open,high,low,close,volume,dividend,split`, the symbol in the file's name.

Day bars start at New York's midnight, as everywhere in the catalog. Prices in such files are often adjusted for splits while the other
columns keep the events, and nothing in the file says so: the venue is therefore "csvdir" and never the venue of unadjusted history, unless
--venue says it. Dividends and splits are counted and left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_DAY
from tercel.market.importers.batch import Batch, Format, Head, Options, bars
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.compressed import open_plain
from tercel.market.importers.textfile import blocks, columns, instants, numbers
from tercel.market.importers.venues import symbol_of

ZONE: Final = "America/New_York"
ASSUMED: Final = "day bars start at New York's midnight; prices may be adjusted for splits, which the file does not say"
EVENTS: Final = {"dividend": (0.0, "dividends: left out, the catalog has no place for them"),
                 "split": (1.0, "splits: left out, the catalog has no place for them")}  # fmt: skip
_HEADER: Final = b"date,open,high,low,close,volume,dividend,split"
_OHLC: Final = ("open", "high", "low", "close")


def recognises(head: Head) -> bool:
    """True for the header of csvdir."""
    return bool(head.lines) and head.lines[0].strip().lower() == _HEADER


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Day bars."""
    clock, symbol = Clock(parse_zone(options.timezone or ZONE)), _symbol(path, options)
    for block in blocks(path, 1):
        cells = columns(block, _HEADER.decode().split(","), ",")
        times, notes = clock.utc(instants(block, "date", cells["date"], "YYYY-MM-DD"))
        prices = {name: numbers(block, name, cells[name]) for name in _OHLC}
        made = bars(times, prices, numbers(block, "volume", cells["volume"]))
        for name, (usual, text) in EVENTS.items():
            if count := int((numbers(block, name, cells[name]) != usual).sum()):
                notes[text] = count
        rows = np.arange(block.first_row, block.first_row + len(made))
        yield Batch(symbol, "csvdir", "bar", made, rows, block.fraction, options.interval_ns or NS_PER_DAY, "trade", notes)


def _symbol(path: Path, options: Options) -> str:
    """The option, a known symbol in the name, or the name itself: csvdir calls a file by its symbol."""
    try:
        return symbol_of(path, options)
    except ConfigError:
        with open_plain(path) as plain:
            return Path(plain.inner).stem.upper()


FORMATS = (Format("csvdir", "zipline csvdir, day bars", recognises, read, ZONE, ASSUMED),)
