"""Databento DBN, plain or zstd: every record of MBO, MBP-1, MBP-10, TBBO, BBO, trades and OHLCV; definitions become instruments.

MBO gives the orders of an L3 book, as in the Parquet layout; rows of a snapshot take the time of arrival, because their own is that of the
order. MBP-1 gives a quote for each record and a trade for each trade; TBBO both for each trade; BBO a quote at the end of each interval;
MBP-10 the changes of an L2 book of ten levels, and trades. `ref` is the order id or the vendor's sequence number. What the vendor leaves
undefined is NaN; quotes without either side are left out and counted. Symbols come from the header by number and date, from mapping records
in a live capture, or from --symbol when the file has one instrument. Status, statistics, imbalance and consolidated records are counted by
name and left out: the catalog has no place for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from tercel.base import records as kinds
from tercel.base.errors import DataError
from tercel.base.records import LAST, SNAPSHOT, TICK, Records
from tercel.base.time import NS_PER_S
from tercel.market.importers import dbn_layout as layout
from tercel.market.importers.batch import Batch, Floats, Format, Head, Mask, Options, Times, Zone, bars, quotes, refuse
from tercel.market.importers.compressed import Plain, open_plain
from tercel.market.importers.dbn_instruments import instruments_of
from tercel.market.importers.dbn_symbols import Symbols, venue_of
from tercel.market.importers.depth import Best, Depth
from tercel.market.manifest import Kind

BLOCK_BYTES: Final = 4 << 20
NO_SIDE: Final = "quotes without a bid and an ask: left out"
NO_ACTION: Final = "order records without an action: left out"
LEFT_OUT: Final = "records of the kind {}: left out, the catalog has no place for them"
UNKNOWN: Final = "records of unknown kind {}: left out"
_ACTIONS: Final = {
    b"A": kinds.ORDER_ADD, b"C": kinds.ORDER_CANCEL, b"M": kinds.ORDER_MODIFY, b"T": kinds.TRADE, b"F": kinds.ORDER_FILL,
    b"R": kinds.BOOK_CLEAR,
}  # fmt: skip
_SCHEMAS_LEFT_OUT: Final = ("statistics", "status", "imbalance")
_PRICE_EXACT_MAX: Final = 1 << 53

Rows = np.ndarray[tuple[int], np.dtype[Any]]


def recognises(head: Head) -> bool:
    """True for the first bytes of a DBN file, plain or in a zstd frame."""
    schema = layout.schema_of(head.data)
    return schema is not None and schema not in _SCHEMAS_LEFT_OUT


def _recognises_only(schema: str) -> Callable[[Head], bool]:
    return lambda head: layout.schema_of(head.data) == schema


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Batches of one instrument and kind each."""
    with open_plain(path) as plain:
        header = read_header(path, plain)
        reader = _Reader(path, options, header)
        for pieces in _blocks(path, plain, header.version):
            for batch in reader.batches(pieces):
                batch.fraction = plain.fraction()
                yield batch


def read_header(path: Path, plain: Plain) -> layout.Header:
    """The header of a file that is read from its beginning."""
    prefix = plain.read(layout.PREFIX_BYTES)
    length = layout.header_bytes(prefix, path.name)
    data = plain.read(length)
    if len(data) < length:
        raise DataError(f"{path.name}: expected {length:,} bytes of header, found {len(data):,}; nothing was imported")
    return layout.parse_header(prefix[3], data, path.name)


class _Pieces:
    """The records of one block by kind, in file order, and their numbers in the file from 1."""

    def __init__(self) -> None:
        self._found: dict[int, list[tuple[Rows, Times]]] = {}

    def add(self, rows: Rows, first_row: int) -> None:
        self._found.setdefault(int(rows["rtype"][0]), []).append((rows, np.arange(first_row, first_row + len(rows))))

    def by_kind(self) -> Iterator[tuple[int, Rows, Times]]:
        order = sorted(self._found, key=lambda rtype: (rtype != layout.SYMBOL_MAPPING, rtype))  # symbols first: rows need them
        for rtype in order:
            parts = self._found[rtype]
            yield rtype, np.concatenate([rows for rows, _ in parts]), np.concatenate([numbers for _, numbers in parts])


def _blocks(path: Path, plain: Plain, version: int) -> Iterator[_Pieces]:
    """The records of a file, a few megabytes at a time. Raises `DataError` for an impossible length and a record that is cut off."""
    rest, row = b"", 1
    while True:
        data = plain.read(BLOCK_BYTES)
        buffer, at, pieces, start = rest + data, 0, _Pieces(), row
        while len(buffer) - at >= layout.HEAD.itemsize:
            size = buffer[at] * 4
            if size < layout.HEAD.itemsize:
                refuse(path, row, "length", f"a record of at least {layout.HEAD.itemsize} bytes", size)
            whole = (len(buffer) - at) // size
            if not whole:
                break
            table = np.frombuffer(buffer, np.uint8, whole * size, at).reshape(whole, size)
            alike = (table[:, 0] == table[0, 0]) & (table[:, 1] == table[0, 1])
            count = whole if alike.all() else int(np.argmin(alike))
            pieces.add(_view(path, row, version, table[:count]), row)
            at, row = at + count * size, row + count
        rest = buffer[at:]
        if row > start:
            yield pieces
        if not data:
            if rest:
                refuse(path, row, "length", "a whole record", f"{len(rest)} bytes")
            return


def _view(path: Path, row: int, version: int, table: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> Rows:
    """Bytes of records of one kind as their fields; a capture's 8 bytes at the end are left out."""
    rtype = int(table[0, 1])
    special = {layout.DEFINITION: layout.DEFINITIONS, layout.SYMBOL_MAPPING: layout.MAPPINGS}.get(rtype)
    dtype = special[version] if special else layout.DTYPES.get(rtype, layout.HEAD)
    if table.shape[1] not in (dtype.itemsize, dtype.itemsize + 8) and dtype is not layout.HEAD:
        refuse(path, row, "length", f"{dtype.itemsize} bytes for a record of kind {rtype}", table.shape[1])
    return np.ascontiguousarray(table[:, : dtype.itemsize]).view(dtype).reshape(-1)


class _Reader:
    """Turns the records of one file into batches."""

    def __init__(self, path: Path, options: Options, header: layout.Header) -> None:
        self._path, self._header = path, header
        self._symbols, self._venue = Symbols(path, header, options), venue_of(header.dataset)
        self._depths: dict[str, Depth] = {}

    def batches(self, pieces: _Pieces) -> Iterator[Batch]:
        for rtype, rows, numbers in pieces.by_kind():
            if rtype == layout.SYMBOL_MAPPING:
                self._symbols.learn(rows, numbers)
            elif rtype == layout.DEFINITION:
                yield self._definitions(rows, numbers)
            elif rtype in layout.DTYPES:
                received = "ts_event" if rtype in layout.OHLCV_SECONDS else "ts_recv"
                for symbol, index in self._symbols.split(rows, rows[received], numbers):
                    yield from self._series(rtype, symbol, rows[index], numbers[index])
            else:
                name = layout.NOT_IMPORTED.get(rtype)
                text = LEFT_OUT.format(name) if name else UNKNOWN.format(f"{rtype:#04x}")
                yield self._batch("", "trade", np.zeros(0, TICK), numbers[:0], {text: len(rows)})

    def _series(self, rtype: int, symbol: str, rows: Rows, numbers: Times) -> Iterator[Batch]:
        if rtype == layout.MBO:
            rows, numbers, notes = _acting(rows, numbers)
            yield self._batch(symbol, "order", _orders(self._path, rows, numbers), numbers, notes)
        elif rtype in layout.OHLCV_SECONDS:
            prices = {name: prices_of(rows[name]) for name in ("open", "high", "low", "close")}
            made = bars(_times(rows["ts_event"]), prices, rows["volume"].astype(np.float64))
            yield self._batch(symbol, "bar", made, numbers, interval_ns=layout.OHLCV_SECONDS[rtype] * NS_PER_S, basis="trade")
        elif rtype == layout.TRADES:
            yield self._batch(symbol, "trade", _trades(self._path, rows, numbers), numbers)
        elif rtype == layout.MBP_10:
            yield self._book(symbol, rows, numbers)
            yield from self._traded(symbol, rows, numbers)
        else:
            sampled = rtype in layout.BBO
            quoted = np.ones(len(rows), bool) if sampled or self._header.schema == "tbbo" else rows["action"] != b"T"
            yield self._quotes(symbol, rows[quoted], numbers[quoted], sampled)
            if not sampled:
                yield from self._traded(symbol, rows, numbers)

    def _traded(self, symbol: str, rows: Rows, numbers: Times) -> Iterator[Batch]:
        traded = rows["action"] == b"T"
        if traded.any():
            yield self._batch(symbol, "trade", _trades(self._path, rows[traded], numbers[traded]), numbers[traded])

    def _quotes(self, symbol: str, rows: Rows, numbers: Times, sampled: bool) -> Batch:
        levels = rows["levels"][:, 0]
        bid, ask = (best_of(levels[:, None], side) for side in ("bid", "ask"))
        times = _times(rows["ts_recv" if sampled else "ts_event"])
        made = quotes(times, bid.prices[:, 0], ask.prices[:, 0], bid.sizes[:, 0], ask.sizes[:, 0])
        made["ts_recv"], made["ref"] = _times(rows["ts_recv"]), rows["sequence"]
        there = ~(np.isnan(made["price"]) & np.isnan(made["price2"]))
        absent = int((~there).sum())
        return self._batch(symbol, "quote", made[there], numbers[there], {NO_SIDE: absent} if absent else {})

    def _book(self, symbol: str, rows: Rows, numbers: Times) -> Batch:
        bid, ask = (best_of(rows["levels"], side) for side in ("bid", "ask"))
        follow = self._depths.setdefault(symbol, Depth())
        received, refs = _times(rows["ts_recv"]), rows["sequence"].astype(np.int64)
        changed = follow.changes(_times(rows["ts_event"]), received, refs, bid, ask)
        return self._batch(symbol, "book", changed.records, numbers[changed.events])

    def _definitions(self, rows: Rows, numbers: Times) -> Batch:
        found, notes = instruments_of(self._path, rows, numbers, self._venue)
        batch = self._batch("", "trade", np.zeros(0, TICK), numbers[:0], notes)
        batch.instruments = found
        return batch

    def _batch(
        self, symbol: str, kind: Kind, made: Records, numbers: Times, notes: dict[str, int] | None = None, interval_ns: int = 0,
        basis: str = "",
    ) -> Batch:  # fmt: skip
        return Batch(symbol, self._venue, kind, made, numbers, 0.0, interval_ns, basis, notes or {})


def prices_of(values: Rows) -> Floats:
    """Multiples of 1e-9 as the nearest doubles, NaN where undefined."""
    result = values / 1e9
    for index in np.flatnonzero(np.abs(values) > _PRICE_EXACT_MAX):  # the integer itself is no double: divide it exactly
        result.flat[index] = int(values.flat[index]) / 10**9
    result[values == layout.UNDEFINED_PRICE] = np.nan
    return result


def best_of(levels: Rows, side: str) -> Best:
    """One side of the levels, NaN where there is no level."""
    prices = prices_of(np.ascontiguousarray(levels[side]))
    return Best(prices, np.where(np.isnan(prices), np.nan, levels[f"{side}_size"].astype(np.float64)))


def _acting(rows: Rows, numbers: Times) -> tuple[Rows, Times, dict[str, int]]:
    """The rows that do something; where one that does nothing ends its event, the row before ends it."""
    acts = rows["action"] != b"N"
    idle = np.flatnonzero(~acts)
    if not len(idle):
        return rows, numbers, {}
    rows = rows.copy()
    for index in idle[(rows["flags"][idle] & layout.LAST_OF_EVENT) > 0]:
        before = np.flatnonzero(acts[:index])[-1:]
        rows["flags"][before] |= np.uint8(layout.LAST_OF_EVENT)
    return rows[acts], numbers[acts], {NO_ACTION: len(idle)}


def _orders(path: Path, rows: Rows, numbers: Times) -> Records:
    made = _ticks(path, rows, numbers)
    made["kind"] = np.zeros(len(rows), np.uint8)
    for action, kind in _ACTIONS.items():
        made["kind"][rows["action"] == action] = kind
    _known(path, rows["action"], numbers, "action", made["kind"] != 0, f"one of {b', '.join(_ACTIONS).decode()}")
    snapshot = (rows["flags"] & layout.FROM_SNAPSHOT) > 0
    made["ts_event"] = np.where(snapshot, made["ts_recv"], made["ts_event"])
    made["flags"] = np.where(rows["flags"] & layout.LAST_OF_EVENT, LAST, 0) | np.where(snapshot, SNAPSHOT, 0)
    made["ref"] = rows["order"].astype(np.int64)
    return made


def _trades(path: Path, rows: Rows, numbers: Times) -> Records:
    made = _ticks(path, rows, numbers)
    made["kind"], made["flags"], made["ref"] = kinds.TRADE, LAST, rows["sequence"]
    return made


def _ticks(path: Path, rows: Rows, numbers: Times) -> Records:
    made = np.zeros(len(rows), TICK)
    made["ts_event"], made["ts_recv"] = _times(rows["ts_event"]), _times(rows["ts_recv"])
    made["side"] = np.where(rows["side"] == b"B", 1, np.where(rows["side"] == b"A", -1, 0))
    _known(path, rows["side"], numbers, "side", np.isin(rows["side"], (b"A", b"B", b"N", b"")), "one of A, B, N")
    made["price"], made["size"] = prices_of(rows["price"]), rows["size"]
    made["price2"] = made["size2"] = np.nan
    return made


def _known(path: Path, values: Rows, numbers: Times, column: str, good: Mask, expected: str) -> None:
    if not good.all():
        first = int(np.argmin(good))
        refuse(path, int(numbers[first]), column, expected, values[first].decode("ascii", "backslashreplace"))


def _times(values: Rows) -> Times:
    """Times in ns; undefined ones are 0, which no row may have as its time of event."""
    result: Times = np.where(values >= np.uint64(2**63), 0, values).astype(np.int64)
    return result


FORMATS = (
    *(
        Format(f"dbn-{schema}", f"Databento DBN of {schema}", _recognises_only(schema), read, left_out="the catalog has no place for it")
        for schema in _SCHEMAS_LEFT_OUT
    ),
    Format("dbn", "Databento DBN", recognises, read, clock=lambda path, options: Zone("UTC")),
)
