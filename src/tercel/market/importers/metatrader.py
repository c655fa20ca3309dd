"""MetaTrader exports: MT4 history (CSV without header) and MT5 bars (tab-separated, `<DATE>` header). Bars are of the bid.

Times are the broker's clock, which no file names. The default is UTC+3, the summer clock of most brokers; `--timezone` says another, and
the report repeats it. The bar interval is the commonest distance between the first bars. Volume is MetaTrader's tick count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tercel.base.errors import DataError
from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN, format_duration
from tercel.market.importers.batch import Batch, Format, Head, Options, Times, bars, refuse
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.compressed import open_plain
from tercel.market.importers.textfile import blocks, columns, instants, numbers
from tercel.market.importers.venues import symbol_of

ZONE: Final = "UTC+3"
ASSUMED: Final = "the broker's clock is not in the file and was taken as UTC+3; --timezone says another"
INTERVALS: Final = (
    *(minutes * NS_PER_MIN for minutes in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)), *(hours * NS_PER_H for hours in (1, 2, 3, 4, 6, 8, 12)),
    NS_PER_DAY, 7 * NS_PER_DAY,
)  # fmt: skip
_MT4: Final = re.compile(rb"\d{4}\.\d\d\.\d\d,\d\d:\d\d,[^,]*,[^,]*,[^,]*,[^,]*,[^,]*")
_MT5_NAMES: Final = {
    "<DATE>": "date", "<TIME>": "time", "<OPEN>": "open", "<HIGH>": "high", "<LOW>": "low", "<CLOSE>": "close", "<TICKVOL>": "volume",
    "<VOL>": "real volume", "<SPREAD>": "spread",
}  # fmt: skip
_MT5_NEEDED: Final = ("date", "open", "high", "low", "close", "volume")
_PRICES: Final = ("open", "high", "low", "close")


def recognises_mt4(head: Head) -> bool:
    """True when most of the first lines look like MT4. HistData, asked first, writes the same layout with a volume that is always 0."""
    return 2 * sum(_MT4.fullmatch(line) is not None for line in head.lines) > len(head.lines)


def recognises_mt5(head: Head) -> bool:
    """True for a header of MT5's column names with prices of bars."""
    return bool(head.lines) and head.lines[0].startswith(b"<DATE>\t") and b"\t<OPEN>\t" in head.lines[0]


def read_mt4(path: Path, options: Options) -> Iterator[Batch]:
    """Bars from `2022.09.29,13:43,105.572,105.591,105.572,105.581,64`."""
    return _read(path, options, ("date", "time", *_PRICES, "volume"), ",", 0)


def read_mt5(path: Path, options: Options) -> Iterator[Batch]:
    """Bars from the columns that the header names; real volume and spread are left out."""
    with open_plain(path) as file:
        header = file.readline(1_000).removeprefix(b"\xef\xbb\xbf").decode("ascii", "replace").strip()
    names = [_MT5_NAMES.get(cell, cell) for cell in header.split("\t")]
    missing = [name for name in _MT5_NEEDED if name not in names]
    ordered = names == [name for name in _MT5_NAMES.values() if name in names]
    if missing or not ordered:  # MT5 has one order: a damaged <TIME> would put every bar at midnight, <VOL> for <TICKVOL> its volume at 0
        raise DataError(f"{path.name}: row 1: expected the columns {', '.join(_MT5_NAMES)}, found {header[:200]!r}; nothing was imported")
    return _read(path, options, names, "\t", 1)


def _read(path: Path, options: Options, names: tuple[str, ...] | list[str], separator: str, skip_lines: int) -> Iterator[Batch]:
    clock, symbol, interval = Clock(parse_zone(options.timezone or ZONE)), symbol_of(path, options), options.interval_ns
    for block in blocks(path, skip_lines):
        cells = columns(block, names, separator)
        local = instants(block, "date", cells["date"], "YYYY.MM.DD")
        if "time" in names:
            template = "hh:mm:ss" if separator == "\t" else "hh:mm"
            local = local + instants(block, "time", cells["time"], template)
        interval = interval or interval_of(path, local)
        times, notes = clock.utc(local)
        volume = numbers(block, "volume", cells["volume"])
        for name in ("real volume", "spread"):
            if name in names:
                numbers(block, name, cells[name])
        records = bars(times, {name: numbers(block, name, cells[name]) for name in _PRICES}, volume)
        rows = np.arange(block.first_row, block.first_row + len(records))
        _check_grid(path, local, rows, interval)
        yield Batch(symbol, "metatrader", "bar", records, rows, block.fraction, interval, "bid", notes)


def interval_of(path: Path, local: Times) -> int:
    """The commonest distance between consecutive bars, ns. Raises `DataError` when MetaTrader has no such interval, or for a single bar."""
    steps = np.diff(local)
    lengths, counts = np.unique(steps[steps > 0], return_counts=True)
    found = int(lengths[np.argmax(counts)]) if len(lengths) else 0
    if found not in INTERVALS:
        text = format_duration(found) if found else "a single bar"
        raise DataError(
            f"{path.name}: expected bars of one of MetaTrader's intervals, found {text}; say it with --interval, for example --interval 1h"
        )
    return found


def _check_grid(path: Path, local: Times, rows: Times, interval: int) -> None:
    """Bars open on multiples of their interval (weeks excepted)."""
    off = local % min(interval, NS_PER_DAY) != 0
    if off.any():
        first = int(np.argmax(off))
        refuse(
            path,
            int(rows[first]),
            "time",
            f"a bar that opens on a multiple of {format_duration(interval)}",
            format_duration(int(local[first] % NS_PER_DAY)),
        )


FORMATS = (
    Format("mt4", "MetaTrader 4 history CSV", recognises_mt4, read_mt4, ZONE, ASSUMED),
    Format("mt5", "MetaTrader 5 bar export", recognises_mt5, read_mt5, ZONE, ASSUMED),
)
