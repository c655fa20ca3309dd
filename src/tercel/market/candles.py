"""Candles of recorded market data, for eyes: a chart, a table. What trades is built by the core (`market.kernels`), tick by tick."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tercel.base.records import BAR_VIEW, Records
from tercel.market.manifest import Kind

CANDLE: Final = ("time", "open", "high", "low", "close", "volume")


def candles(records: Records, kind: Kind, interval_ns: int) -> npt.NDArray[np.float64]:
    """Candles as float64[n, 6]: open time (ms since 1970, UTC), open, high, low, close, volume; times rise, spans without data are absent.

    `records` are quotes (their mid price; no volume: NaN), trades or bars, sorted by `ts_event`. Ticks without a price count for nothing.
    """
    opened, high, low, closed, volume = _columns(records, kind)
    known = np.isfinite(opened) & np.isfinite(closed)
    spans = records["ts_event"][known] // interval_ns
    if not len(spans):
        return np.empty((0, len(CANDLE)))
    first = np.flatnonzero(np.diff(spans, prepend=spans[0] - 1))
    last = np.append(first[1:], len(spans)) - 1
    return np.stack([
        spans[first] * (interval_ns / 1e6), opened[known][first], np.maximum.reduceat(high[known], first),
        np.minimum.reduceat(low[known], first), closed[known][last], np.add.reduceat(volume[known], first),
    ], axis=1)  # fmt: skip


def _columns(records: Records, kind: Kind) -> tuple[npt.NDArray[np.float64], ...]:
    if kind == "bar":
        bars = records.view(BAR_VIEW)
        return tuple(bars[name] for name in CANDLE[1:])
    if kind == "quote":
        price = (records["price"] + records["price2"]) * 0.5
        return price, price, price, price, np.full(len(records), np.nan)
    return records["price"], records["price"], records["price"], records["price"], records["size"]
