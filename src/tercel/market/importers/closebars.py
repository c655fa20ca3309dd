"""Minute bars of CME futures with the header `timestamp_utc,open,high,low,close,volume`, each stamped when it closes.

That the stamp is the close is not in the file: it shows in the data, where the jump of a figure published at 13:30:00 is in the bar
labelled 13:31 and the first bar of a session that opens at 23:00 is labelled 23:01. Every time is therefore moved back by the bar's length,
one minute unless --interval says another; the catalog names a bar by its opening.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tercel.base.time import NS_PER_MIN, format_duration
from tercel.market.importers.batch import Batch, Format, Head, Options, bars, refuse
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.textfile import blocks, columns, instants, numbers
from tercel.market.importers.venues import symbol_of

ASSUMED: Final = "each stamp is the close of its bar, which these files' data shows: times are moved back by the bar's length"
_HEADER: Final = b"timestamp_utc,open,high,low,close,volume"
_OHLC: Final = ("open", "high", "low", "close")


def recognises(head: Head) -> bool:
    """True for the header of these files."""
    return bool(head.lines) and head.lines[0].strip().lower() == _HEADER


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Bars named by their opening."""
    clock, symbol, interval = Clock(parse_zone(options.timezone or "UTC")), symbol_of(path, options), options.interval_ns or NS_PER_MIN
    for block in blocks(path, 1):
        cells = columns(block, ("timestamp_utc", *_OHLC, "volume"), ",")
        local = instants(block, "timestamp_utc", cells["timestamp_utc"], "YYYY-MM-DD hh:mm:ss")
        rows = np.arange(block.first_row, block.first_row + len(local))
        off = local % interval != 0
        if off.any():
            first = int(np.argmax(off))
            expected = f"the close of a bar of {format_duration(interval)} (--interval says another length)"
            refuse(path, int(rows[first]), "timestamp_utc", expected, cells["timestamp_utc"][first].as_py().decode("ascii", "replace"))
        times, notes = clock.utc(local)
        prices = {name: numbers(block, name, cells[name]) for name in _OHLC}
        made = bars(times - interval, prices, numbers(block, "volume", cells["volume"]))
        yield Batch(symbol, None, "bar", made, rows, block.fraction, interval, "trade", notes)


FORMATS = (Format("cme-bars", "CME minute bars stamped at the close", recognises, read, "UTC", ASSUMED),)
