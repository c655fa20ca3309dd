"""The Parquet layouts, and how their columns become records.

What has no field of its own is carried in `ref`: the update or trade id, the order id; where a source has neither but names the exchange by
a letter, `ref` = condition bits << 8 | the letter's ASCII code. A row flagged suspicious bears SUSPECT. A record ends its message (LAST)
except in a book, where a message has many rows; L2 snapshot rows bear SNAPSHOT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tercel.base.records import (
    BOOK,
    BOOK_CLEAR,
    LAST,
    ORDER_ADD,
    ORDER_CANCEL,
    ORDER_FILL,
    ORDER_MODIFY,
    SNAPSHOT,
    SUSPECT,
    TICK,
    TRADE,
    Records,
)
from tercel.base.time import NS_PER_S
from tercel.market.importers.batch import Batch, Options, Times, bars, quotes
from tercel.market.importers.parquet_books import ID_GAPS, IdChain, MessageEnds
from tercel.market.importers.parquet_columns import Columns
from tercel.market.manifest import BASES, Kind

ACTIONS: Final = {"A": ORDER_ADD, "C": ORDER_CANCEL, "M": ORDER_MODIFY, "T": TRADE, "F": ORDER_FILL, "R": BOOK_CLEAR}
_VENDOR_LAST, _VENDOR_SNAPSHOT = 128, 32
_COND_MAX: Final = 1 << 54


class Series(NamedTuple):
    """Which series a row belongs to."""

    symbol: str
    venue: str | None
    interval_ns: int
    basis: str


class Layout(msgspec.Struct, frozen=True):
    """A layout: any of `marks` betrays it, all of `needed` must be there, `also` may be."""

    title: str
    kind: Kind
    marks: tuple[str, ...]
    needed: tuple[str, ...]
    also: tuple[str, ...]
    records: Callable[[Columns], Records]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read."""
        return (*self.needed, *self.also)

    def reader(self, options: Options) -> Reader:
        """A reader for one file."""
        return Reader(self, options)


class Reader:
    """Turns the blocks of one file into batches."""

    def __init__(self, layout: Layout, options: Options) -> None:
        self._layout, self._options = layout, options
        self._ends: dict[Series, tuple[MessageEnds, IdChain]] = {}

    def batches(self, columns: Columns) -> Iterator[Batch]:
        """One batch per series of a block, rows in file order."""
        records, rows = self._layout.records(columns), columns.rows
        for series, index in split(columns, self._options):
            mine, numbers, notes = records[index], rows[index], dict[str, int]()
            if self._layout.kind == "book":
                ends, chain = self._ends.setdefault(series, (MessageEnds(), IdChain()))
                notes = {ID_GAPS: gaps} if (gaps := chain.gaps(mine, columns, index)) else {}
                mine, numbers = ends.add(mine, numbers, columns.ints("msg")[index])
            if len(mine) or notes:
                yield self._batch(series, mine, numbers, columns.fraction, notes)

    def end(self) -> Iterator[Batch]:
        """What was held back until it was known that nothing follows."""
        for series, (ends, _) in self._ends.items():
            records, rows = ends.end()
            yield self._batch(series, records, rows, 1.0, {})

    def _batch(self, series: Series, records: Records, rows: Times, fraction: float, notes: dict[str, int]) -> Batch:
        return Batch(series.symbol, series.venue, self._layout.kind, records, rows, fraction, series.interval_ns, series.basis, notes)


def split(columns: Columns, options: Options) -> Iterator[tuple[Series, Times]]:
    """The series in a block and the places of their rows, in file order."""
    symbols = columns.texts("symbol") if "symbol" in columns else None
    code = symbols.codes if symbols else np.zeros(columns.count, np.int64)
    sources = columns.texts("source") if "source" in columns else None
    bases = columns.texts("price_type") if "price_type" in columns else None
    intervals = columns.ints("interval_s") if "interval_s" in columns else None
    for texts in (sources, bases):
        code = code * len(texts.values) + texts.codes if texts else code
    if intervals is not None:
        distinct, place = np.unique(intervals, return_inverse=True)
        code = code * len(distinct) + place
    order = np.argsort(code, kind="stable") if (code[1:] < code[:-1]).any() else np.arange(len(code))
    edges = np.flatnonzero(np.diff(code[order])) + 1
    for index in np.split(order, edges):
        row = int(index[0])
        basis = bases.values[bases.codes[row]] if bases else ""
        if bases and basis not in BASES:
            columns.refuse(row, "price_type", f"one of {', '.join(BASES)}", basis)
        if intervals is not None and not 0 < intervals[row] <= 366 * 86_400:
            columns.refuse(row, "interval_s", "1 second to 366 days", int(intervals[row]))
        interval_ns = int(intervals[row]) * NS_PER_S if intervals is not None else (options.interval_ns or 0) if bases else 0
        symbol = symbols.values[symbols.codes[row]] if symbols else options.symbol or ""
        yield Series(symbol, sources.values[sources.codes[row]] if sources else None, interval_ns, basis), index


def _quotes(columns: Columns) -> Records:
    records = quotes(columns.times("ts_event"), *(columns.floats(name) for name in ("bid", "ask", "bid_size", "ask_size")))
    return _extras(columns, records, "update_id")


def _trades(columns: Columns) -> Records:
    records = _ticks(columns, np.uint8(TRADE))
    records["flags"] = LAST
    return _extras(columns, records, "trade_id")


def _bars(columns: Columns) -> Records:
    prices = {name: columns.floats(name) for name in ("open", "high", "low", "close")}
    return bars(columns.times("ts_event"), prices, columns.floats("volume"))


def _book(columns: Columns) -> Records:
    records = _ticks(columns, np.uint8(BOOK))
    kind = columns.ints("kind")
    if not ((kind == 0) | (kind == 1)).all():
        first = int(np.argmax((kind != 0) & (kind != 1)))
        columns.refuse(first, "kind", "0 (snapshot) or 1 (update)", int(kind[first]))
    records["flags"] = np.where(kind == 0, SNAPSHOT, 0)
    records["ref"] = columns.ints("last_id", null=0) if "last_id" in columns else 0
    return _extras(columns, records, "")


def _orders(columns: Columns) -> Records:
    actions = columns.texts("action")
    known = np.array([ACTIONS.get(value, 0) for value in actions.values], np.uint8)[actions.codes]
    if not known.all():
        first = int(np.argmin(known))
        columns.refuse(first, "action", f"one of {', '.join(ACTIONS)}", actions.values[actions.codes[first]])
    records = _ticks(columns, known)
    flags = columns.ints("flags") if "flags" in columns else np.full(columns.count, _VENDOR_LAST)
    records["flags"] = np.where(flags & _VENDOR_LAST, LAST, 0) | np.where(flags & _VENDOR_SNAPSHOT, SNAPSHOT, 0)
    return _extras(columns, records, "order_id")


def _ticks(columns: Columns, kind: np.uint8 | np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Records:
    records = np.zeros(columns.count, TICK)
    records["ts_event"], records["kind"] = columns.times("ts_event"), kind
    side = columns.ints("side", null=0) if "side" in columns else np.zeros(columns.count, np.int64)
    if (np.abs(side) > 1).any():
        first = int(np.argmax(np.abs(side) > 1))
        columns.refuse(first, "side", "1, -1 or 0", int(side[first]))
    records["side"], records["price"], records["size"] = side, columns.floats("price"), columns.floats("size")
    records["price2"] = records["size2"] = np.nan
    return records


def _extras(columns: Columns, records: Records, id_column: str) -> Records:
    if "ts_recv" in columns:
        records["ts_recv"] = columns.times("ts_recv")
    if "suspicious" in columns:
        records["flags"] |= np.where(columns.ints("suspicious", null=0) != 0, SUSPECT, 0).astype(np.uint16)
    if id_column and id_column in columns:
        records["ref"] = columns.ints(id_column, null=0)
    elif "exchange" in columns:
        letters = columns.texts("exchange")
        codes = np.array([ord(value) if len(value) == 1 and value.isascii() else 0 for value in letters.values], np.int64)[letters.codes]
        conditions = columns.ints("cond", null=0) if "cond" in columns else np.zeros(columns.count, np.int64)
        if not ((conditions >= 0) & (conditions < _COND_MAX)).all():
            columns.refuse(int(np.argmin((conditions >= 0) & (conditions < _COND_MAX))), "cond", "condition bits below 2^54", "others")
        records["ref"] = conditions << 8 | codes
    return records


_TIME: Final = ("ts_event", "symbol")
_EXTRAS: Final = ("ts_recv", "exchange", "cond", "suspicious", "source")
_IDS: Final = ("first_id", "last_id", "prev_id")
_PRICES: Final = ("open", "high", "low", "close")
LAYOUTS: Final = (
    Layout(
        "L3 book", "order", ("action", "order_id"), (*_TIME, "action", "side", "price", "size", "order_id"), ("flags", *_EXTRAS), _orders
    ),
    Layout("L2 book", "book", ("msg", "last_id"), (*_TIME, "kind", "side", "price", "size", "msg"), (*_IDS, *_EXTRAS), _book),
    Layout("bars", "bar", _PRICES, (*_TIME, "interval_s", *_PRICES, "price_type"), ("volume", "source"), _bars),
    Layout("quotes", "quote", ("bid", "ask"), (*_TIME, "bid", "ask"), ("bid_size", "ask_size", "update_id", *_EXTRAS), _quotes),
    Layout("trades", "trade", ("price", "size"), (*_TIME, "price", "size"), ("side", "trade_id", *_EXTRAS), _trades),
)
