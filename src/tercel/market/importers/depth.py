"""The best levels of a book after each event, turned into the rows of an L2 book: what changed and nothing else.

The first event of a series gives its levels as a snapshot. Each later one gives a row of size 0 for every level that is no longer among the
best and a row for every level that is new or has another size. A level that other orders push out of view is therefore deleted: beyond its
depth the book says nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tercel.base.records import BOOK, LAST, SNAPSHOT, TICK, Records
from tercel.market.importers.batch import Floats, Times

_CHUNK = 4_096


class Best(NamedTuple):
    """Prices and sizes of the best levels, float64 of shape (events, levels), best first; NaN where there is no such level."""

    prices: Floats
    sizes: Floats


class Changed(NamedTuple):
    """Book records in order, and for each the index of the event it comes from."""

    records: Records
    events: Times


class Depth:
    """Follows the best levels of one series through its file."""

    def __init__(self) -> None:
        self._bid = self._ask = Best(np.empty((1, 0)), np.empty((1, 0)))
        self._started = False

    def changes(self, times: Times, received: Times, refs: Times, bid: Best, ask: Best) -> Changed:
        """The rows that turn the book before the first event into the book after the last; `times` in ns, `received` 0 where unknown."""
        parts = []
        for start in range(0, len(times), _CHUNK):
            here = slice(start, start + _CHUNK)
            ours = self._chunk(Best(bid.prices[here], bid.sizes[here]), Best(ask.prices[here], ask.sizes[here]))
            parts.append((ours[0] + start, *ours[1:]))
        if not parts:
            return Changed(np.zeros(0, TICK), np.zeros(0, np.int64))
        events, sides, prices, sizes = (np.concatenate([part[column] for part in parts]) for column in range(4))
        records = np.zeros(len(events), TICK)
        records["ts_event"], records["ts_recv"], records["ref"] = times[events], received[events], refs[events]
        records["kind"], records["side"], records["price"], records["size"] = BOOK, sides, prices, sizes
        records["price2"] = records["size2"] = np.nan
        records["flags"] = np.where(np.append(events[1:] != events[:-1], True), LAST, 0)
        if not self._started:
            records["flags"][events == 0] |= np.uint16(SNAPSHOT)
        self._started = True
        return Changed(records, events.astype(np.int64))

    def _chunk(self, bid: Best, ask: Best) -> tuple[Times, Times, Floats, Floats]:
        found = [*_changed(self._bid, bid, 1), *_changed(self._ask, ask, -1)]
        self._bid, self._ask = (Best(best.prices[-1:].copy(), best.sizes[-1:].copy()) for best in (bid, ask))
        events, sides, prices, sizes = (np.concatenate([part[column] for part in found]) for column in range(4))
        order = np.argsort(events, kind="stable")
        return events[order], sides[order], prices[order], sizes[order]


def _changed(last: Best, now: Best, side: int) -> list[tuple[Times, Times, Floats, Floats]]:
    """(event, side, price, size) of the levels that went, then of those that came or have another size."""
    levels = now.prices.shape[1]
    first = [np.pad(part, ((0, 0), (0, levels - part.shape[1])), constant_values=np.nan) for part in last]
    prices, sizes = (np.concatenate([before, after[:-1]]) for before, after in zip(first, now, strict=True))
    alike = prices[:, :, None] == now.prices[:, None, :]
    gone = ~alike.any(axis=2) & ~np.isnan(prices)
    kept = (alike & (sizes[:, :, None] == now.sizes[:, None, :])).any(axis=1)
    fresh = ~kept & ~np.isnan(now.prices)
    return [
        (np.nonzero(chosen)[0], np.full(int(chosen.sum()), side), price[chosen], size[chosen])
        for chosen, price, size in ((gone, prices, np.zeros_like(prices)), (fresh, now.prices, now.sizes))
    ]
