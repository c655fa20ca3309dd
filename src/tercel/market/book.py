"""The book of one instrument by price level (L2): the best prices, the levels behind them, and how far down it is known.

Bids and asks are two dictionaries price -> size beside two sorted lists of keys, the best last: bids by price, asks by minus price. To
change a size costs O(1), to add or to delete a level a bisection and a move of the keys that are better than it, which are few, because
books change near the top: an update of 100 levels takes some tens of microseconds.

What is certain. A source cuts its snapshots at so many rows a side (`rows_cut`). A side that came with fewer is known whole; of a longer
one, beyond its worst price, the horizon, only levels that have changed since are known: others may lie between them. Those are kept, since
a price that runs away from its snapshot meets levels that were set on the way, but only levels inside the horizon are `certain`. A side
that outgrows `LEVELS_MAX` forgets its worst levels and moves its horizon there. With few certain levels left on a side the book is `thin`:
its owner fetches a new snapshot before they run out. 1,000 levels of BTCUSDT are some 20 dollars, so that happens every few minutes.

A book is `valid` from a snapshot to the next clear. It knows neither clock nor venue; whether updates join up is judged by who calls, or,
for recorded rows (`apply`), was judged when they were recorded: a GAP row ends validity.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from math import isnan
from typing import Final, NamedTuple

import numpy as np

from tercel.base.records import BOOK, BOOK_CLEAR, GAP, LAST, SNAPSHOT, Records

LEVELS_MAX: Final = 10_000  # a side; the worst are forgotten
THIN_LEVELS: Final = 100  # fewer certain levels than this on a cut side: a new snapshot is due
ROWS_CUT: Final = 1_000  # what we ask of Binance, and what the recorded snapshots hold
NO_ID: Final = -1
NAN: Final = float("nan")
_EVERYTHING: Final = float("-inf")

Level = tuple[float, float]  # price, size


class Best(NamedTuple):
    """The top of a book; NaN where a side is empty or the book is not valid."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float


NOTHING: Final = Best(NAN, NAN, NAN, NAN)


class Book:
    """Sizes by price, kept by snapshots and updates. Prices are finite and above 0, sizes at least 0: the caller has checked them."""

    __slots__ = ("_asks", "_bids", "_rows", "_told", "last_id", "rows_cut", "valid")

    def __init__(self, rows_cut: int = ROWS_CUT) -> None:
        """`rows_cut`: a snapshot side of at least that many rows has been cut there by its source."""
        self.rows_cut = rows_cut
        self.valid = False
        self.last_id = NO_ID  # id of the newest message that is in the book
        self._bids, self._asks = _Side(1), _Side(-1)
        self._rows: tuple[list[Level], list[Level]] = ([], [])  # of a recorded message whose last row is still to come
        self._told: tuple[float, float] | None = None  # the horizons of the recorded snapshot that comes now

    def __len__(self) -> int:
        """Levels kept, both sides."""
        return len(self._bids.keys) + len(self._asks.keys)

    @property
    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask, which a venue's own book never is: something was lost or made up."""
        bids, asks = self._bids.keys, self._asks.keys
        return bool(bids and asks) and bids[-1] >= -asks[-1]

    @property
    def certain(self) -> tuple[int, int]:
        """How many levels of bids and asks, from the best, are the venue's without a doubt: none is missing among them."""
        return self._bids.certain, self._asks.certain

    @property
    def horizons(self) -> tuple[float, float]:
        """The worst certain bid and ask; NaN for a side that is known whole."""
        return self._bids.horizon_price, self._asks.horizon_price

    @property
    def thin(self) -> bool:
        """Whether a side that a snapshot had cut has few certain levels left: O(log levels)."""
        return self.valid and (self._bids.thin or self._asks.thin)

    def best(self) -> Best:
        """Best bid, its size, best ask, its size: O(1)."""
        if not self.valid:
            return NOTHING
        bid, ask = self._bids.best(), self._asks.best()
        return Best(bid[0], bid[1], ask[0], ask[1])

    def levels(self, count: int) -> tuple[list[Level], list[Level]]:
        """At most `count` levels of either side as (price, size), the best first: bids, asks. Empty while the book is not valid."""
        return (self._bids.levels(count), self._asks.levels(count)) if self.valid else ([], [])

    def replace(self, bids: Iterable[Level], asks: Iterable[Level], last_id: int, horizons: tuple[float, float] | None = None) -> None:
        """Start anew from a snapshot, in any order of levels; a size of 0 is no level. The book is valid after.

        `horizons` (as the property of that name) when the source tells them, else they follow from the number of rows.
        """
        bid_horizon, ask_horizon = horizons or (None, None)
        self._bids.replace(bids, self.rows_cut, bid_horizon)
        self._asks.replace(asks, self.rows_cut, ask_horizon)
        self.last_id, self.valid = last_id, True

    def take(self, other: Book) -> None:
        """Become what another book is; it must not be used any more."""
        self._bids, self._asks, self.last_id, self.valid = other._bids, other._asks, other.last_id, other.valid

    def update(self, bids: Iterable[Level], asks: Iterable[Level], last_id: int) -> None:
        """Set the total size at each price (0 deletes). An update of a level that is not there is normal."""
        self._bids.update(bids)
        self._asks.update(asks)
        self.last_id = last_id

    def clear(self) -> None:
        """Forget everything; not valid until the next snapshot. `last_id` stays, so that older messages are still known as such."""
        self._bids, self._asks = _Side(1), _Side(-1)
        self.valid, self._rows, self._told = False, ([], []), None

    def apply(self, records: Records) -> None:
        """Follow recorded rows of this instrument (dtype TICK): BOOK, BOOK_CLEAR, GAP; others are passed over.

        A message counts when its row with LAST comes, so rows may be cut anywhere between two calls. Updates before the first snapshot,
        and those that the book already holds (`ref` not above its own), change nothing. A BOOK_CLEAR before a snapshot may tell its
        horizons, the bids' in `price`, the asks' in `price2`; it then has no LAST.
        """
        ours = records[np.isin(records["kind"], (BOOK, BOOK_CLEAR, GAP))]
        columns = (ours[name].tolist() for name in ("kind", "flags", "side", "price", "size", "price2", "ref"))
        for kind, flags, side, price, size, price2, ref in zip(*columns, strict=True):
            if kind != BOOK:
                self.clear()
                if kind == BOOK_CLEAR and not flags & LAST:
                    self._told = (price, price2)
                continue
            self._rows[side < 0].append((price, size))
            if flags & LAST:
                bids, asks = self._rows
                if flags & SNAPSHOT:
                    self.replace(bids, asks, ref, self._told)
                elif self.valid and ref > self.last_id:
                    self.update(bids, asks, ref)
                self._rows, self._told = ([], []), None


class _Side:
    """One side: sizes by key and the keys in order, where a key is the price times the sign, so that the best is the greatest."""

    __slots__ = ("horizon", "keys", "sign", "sizes")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.sizes: dict[float, float] = {}
        self.keys: list[float] = []
        self.horizon = _EVERYTHING  # the worst key that is known

    @property
    def certain(self) -> int:
        return len(self.keys) - bisect_left(self.keys, self.horizon)

    @property
    def thin(self) -> bool:
        return self.horizon != _EVERYTHING and self.certain < THIN_LEVELS

    def best(self) -> Level:
        if not self.keys:
            return NAN, NAN
        key = self.keys[-1]
        return key * self.sign, self.sizes[key]

    def levels(self, count: int) -> list[Level]:
        keys = self.keys[: -count - 1 : -1] if count > 0 else []
        return [(key * self.sign, self.sizes[key]) for key in keys]

    @property
    def horizon_price(self) -> float:
        return NAN if self.horizon == _EVERYTHING else self.horizon * self.sign

    def replace(self, levels: Iterable[Level], rows_cut: int, horizon: float | None) -> None:
        rows = list(levels)
        self.sizes = {price * self.sign: size for price, size in rows if size > 0.0}
        self.keys = sorted(self.sizes)
        if horizon is None:
            horizon = self.sign * min(price * self.sign for price, _ in rows) if len(rows) >= rows_cut else NAN
        self.horizon = _EVERYTHING if isnan(horizon) else horizon * self.sign
        self._bound()

    def update(self, levels: Iterable[Level]) -> None:
        sizes, keys, sign = self.sizes, self.keys, self.sign
        for price, size in levels:
            key = price * sign
            if size > 0.0:
                if key not in sizes:
                    keys.insert(bisect_left(keys, key), key)
                sizes[key] = size
            elif key in sizes:
                del sizes[key]
                del keys[bisect_left(keys, key)]
        if len(keys) > LEVELS_MAX:
            self._bound()

    def _bound(self) -> None:
        """Forget the worst levels above `LEVELS_MAX`."""
        extra = len(self.keys) - LEVELS_MAX
        if extra > 0:
            for key in self.keys[:extra]:
                del self.sizes[key]
            del self.keys[:extra]
            self.horizon = max(self.horizon, self.keys[0])
