"""Kraken's trade history: `1672531436,90.540000,1.10448420`, no header: time in s UTC, price, size. The pair is the file's name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tercel.market.importers.batch import Batch, Format, Head, Options, trades
from tercel.market.importers.coins import epochs, pair_of, utc
from tercel.market.importers.textfile import blocks, columns, numbers

_LINE: Final = re.compile(rb"\d{10},\d+(?:\.\d+)?,\d+(?:\.\d+)?")
_NAME: Final = re.compile(r"([A-Z0-9]{2,12}(?:USDT|USDC|USD|EUR|GBP|CAD|JPY|CHF|AUD|XBT|ETH))\.csv", re.IGNORECASE)


def recognises(head: Head) -> bool:
    """True when the first line and most of those after it are a time in seconds and two decimal numbers."""
    return (
        bool(head.lines)
        and _LINE.fullmatch(head.lines[0]) is not None
        and 2 * sum(_LINE.fullmatch(line) is not None for line in head.lines) > len(head.lines)
    )


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Trade batches; the file does not say who was the aggressor."""
    symbol = pair_of(path, _NAME, options).upper()
    for block in blocks(path):
        cells = columns(block, ("time", "price", "volume"), ",")
        times = epochs(block, "time", cells["time"], (10,))
        records = trades(times, numbers(block, "price", cells["price"]), numbers(block, "volume", cells["volume"]))
        rows = np.arange(block.first_row, block.first_row + len(records))
        yield Batch(symbol, "kraken", "trade", records, rows, block.fraction)


FORMATS = (Format("kraken-trades", "Kraken trade history CSV", recognises, read, clock=utc),)
