"""Candles of recorded market data, for eyes: a chart, a table. What trades is built by the core (`market.kernels`), tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tercel.base.records import BAR_VIEW, GAP, Records
from tercel.market.manifest import Kind

CANDLE: Final = ("time", "open", "high", "low", "close", "volume", "lost")
WHOLE, PARTLY, CUT_OFF = 0.0, 1.0, 2.0


def candles(records: Records, kind: Kind, interval_ns: int) -> npt.NDArray[np.float64]:
    """Candles as float64[n, 7]: open time (ms since 1970, UTC), open, high, low, close, volume, lost; none where no price is known.

    `records` are quotes (their mid price; no volume: NaN), trades or bars, sorted by `ts_event`. Ticks without a price count for nothing.
    `lost`: `PARTLY` for the candles on both sides of a hole, and for one with a hole in it: no price and no volume is known from in there.
    `CUT_OFF` when nothing came behind the hole: then the next candle, of whatever records follow, is `PARTLY`, see `joined`.
    """
    opened, high, low, closed, volume = _columns(records, kind)
    known = np.isfinite(opened) & np.isfinite(closed)
    spans = records["ts_event"][known] // interval_ns
    if not len(spans):
        return np.empty((0, len(CANDLE)))
    begins = np.diff(spans, prepend=spans[0] - 1) != 0
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(spans)) - 1
    return np.stack([
        spans[first] * (interval_ns / 1e6), opened[known][first], np.maximum.reduceat(high[known], first),
        np.minimum.reduceat(low[known], first), closed[known][last], np.add.reduceat(volume[known], first),
        _lost(records, known, np.cumsum(begins) - 1),
    ], axis=1)  # fmt: skip


def joined(parts: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Candles of records that follow each other as one array; a hole in which one part ends marks the first candle of the next."""
    rows = np.concatenate([np.empty((0, len(CANDLE))), *parts])
    lost = rows[:, CANDLE.index("lost")]
    lost[1:][(lost[:-1] == CUT_OFF) & (lost[1:] == WHOLE)] = PARTLY
    lost[lost == CUT_OFF] = PARTLY
    return rows


def _lost(records: Records, known: npt.NDArray[np.bool_], candle: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """`lost` of each candle; `candle[k]` is the number of the one that the k-th known record belongs to."""
    lost = np.full(int(candle[-1]) + 1, WHOLE)
    behind = np.cumsum(known)[records["kind"] == GAP]  # how many known records lie before each hole
    lost[candle[behind[behind > 0] - 1]] = PARTLY
    lost[candle[behind[behind < len(candle)]]] = PARTLY
    if len(behind) and behind[-1] == len(candle):
        lost[-1] = CUT_OFF
    return lost


def _columns(records: Records, kind: Kind) -> tuple[npt.NDArray[np.float64], ...]:
    if kind == "bar":
        bars = records.view(BAR_VIEW)
        return tuple(bars[name] for name in CANDLE[1:6])
    if kind == "quote":
        price = (records["price"] + records["price2"]) * 0.5
        return price, price, price, price, np.full(len(records), np.nan)
    return records["price"], records["price"], records["price"], records["price"], records["size"]
