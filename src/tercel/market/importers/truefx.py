"""TrueFX ticks: `EUR/USD,20130101 22:00:00.295,86.655,86.728`, no header, times in UTC, several pairs in one file allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tercel.market.importers.batch import Batch, Format, Head, Options, quotes
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.textfile import blocks, columns, instants, numbers

_LINE = re.compile(rb"[A-Z]{3}/[A-Z]{3},\d{8} \d\d:\d\d:\d\d\.\d{3},[^,]*,[^,]*")
PAIRS_MAX = 1_000


def recognises(head: Head) -> bool:
    """True when most of the first lines look like TrueFX."""
    return 2 * sum(_LINE.fullmatch(line) is not None for line in head.lines) > len(head.lines)


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Quote batches without sizes, one per pair and block."""
    clock = Clock(parse_zone(options.timezone or TRUEFX.timezone))
    for block in blocks(path):
        cells = columns(block, ("symbol", "time", "bid", "ask"), ",")
        times, notes = clock.utc(instants(block, "time", cells["time"], "YYYYMMDD hh:mm:ss.fff"))
        records = quotes(times, numbers(block, "bid", cells["bid"]), numbers(block, "ask", cells["ask"]))
        rows = np.arange(block.first_row, block.first_row + len(records))
        pairs = cells["symbol"].dictionary_encode()
        codes = pairs.indices.to_numpy()
        for code, pair in enumerate(pairs.dictionary.to_pylist()):
            mine = slice(None) if len(pairs.dictionary) == 1 else codes == code
            symbol = pair.decode("ascii", "backslashreplace").replace("/", "", 1)
            yield Batch(symbol, "truefx", "quote", records[mine], rows[mine], block.fraction, notes=notes if code == 0 else {})


TRUEFX = Format("truefx", "TrueFX tick CSV", recognises, read)
FORMATS = (TRUEFX,)
