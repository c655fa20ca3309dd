"""Tardis.dev CSV: trades, quotes, incremental L2 book, snapshots of the first levels; recognised by their headers.

Columns as https://docs.tardis.dev/downloadable-csv-files describes them: `timestamp` is the exchange's time in µs UTC,
`local_timestamp` the recorder's. Rows of the incremental book with one `local_timestamp` are one message; when `is_snapshot` becomes true
the book is replaced. An empty cell is a side without an offer. The venue is the exchange; Binance's futures get the names they have
everywhere in the catalog. Snapshots of the first levels are no whole book and would damage one, so they are kept apart: `binance-top25`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from tercel.base.errors import DataError
from tercel.base.records import LAST, SNAPSHOT, Records
from tercel.market.importers.batch import Batch, Floats, Format, Options, Times, levels, quotes, refuse, trades
from tercel.market.importers.coins import epochs, perpetual, utc
from tercel.market.importers.compressed import open_plain
from tercel.market.importers.parquet_books import MessageEnds
from tercel.market.importers.textfile import Block, blocks, columns, numbers
from tercel.market.manifest import Kind

if TYPE_CHECKING:
    import pyarrow as pa

Cells = dict[str, "pa.Array"]
_FIRST: Final = ("exchange", "symbol", "timestamp", "local_timestamp")
TRADES: Final = (*_FIRST, "id", "side", "price", "amount")
QUOTES: Final = (*_FIRST, "ask_amount", "ask_price", "bid_price", "bid_amount")
UPDATES: Final = (*_FIRST, "is_snapshot", "side", "price", "amount")
LEVELS: Final = (5, 25)
PARTIAL: Final = "rows are of the first levels only: kept apart from whole books, as a venue of their own; --venue says another"
NO_IDS: Final = "trade ids that are no numbers: left out"
_US_DIGITS: Final = (16,)
_ID_DIGITS_MAX: Final = 18
_HEADER_BYTES_MAX: Final = 4_096
_BOM: Final = b"\xef\xbb\xbf"


def snapshot_columns(count: int) -> tuple[str, ...]:
    """The header of a file of the first `count` levels."""
    return (*_FIRST, *(f"{side}[{level}].{what}" for level in range(count) for side in ("asks", "bids") for what in ("price", "amount")))


class Rows(NamedTuple):
    """The records of a block with the place of the line of each, and what is worth a note."""

    records: Records
    lines: Times
    notes: dict[str, int]


def _trades(block: Block, cells: Cells, times: Times) -> Rows:
    ids = [int(text) if text.isdigit() and len(text) <= _ID_DIGITS_MAX else 0 for text in cells["id"].to_pylist()]
    side = _words(block, cells, "side", {b"buy": 1, b"sell": -1, b"unknown": 0})
    records = trades(times, numbers(block, "price", cells["price"]), numbers(block, "amount", cells["amount"]), side, np.array(ids))
    return Rows(records, np.arange(len(records)), {NO_IDS: ids.count(0)} if 0 in ids else {})


def _quotes(block: Block, cells: Cells, times: Times) -> Rows:
    values = [_or_empty(block, name, cells[name]) for name in ("bid_price", "ask_price", "bid_amount", "ask_amount")]
    return Rows(quotes(times, *values), np.arange(len(times)), {})


def _updates(block: Block, cells: Cells, times: Times) -> Rows:
    side = _words(block, cells, "side", {b"bid": 1, b"ask": -1})
    snapshot = _words(block, cells, "is_snapshot", {b"true": SNAPSHOT, b"false": 0})
    records = levels(times, numbers(block, "price", cells["price"]), numbers(block, "amount", cells["amount"]), side)
    records["flags"] = snapshot
    return Rows(records, np.arange(len(records)), {})


def _snapshots(block: Block, cells: Cells, times: Times) -> Rows:
    """Each line replaces the book: bids first, best first, empty levels left out."""
    names = list(cells)[len(_FIRST) :]
    offers = [name.removesuffix(".price") for name in names if name.endswith(".price")]
    ordered = sorted(offers, key=lambda name: name.startswith("asks"))  # stable: the levels stay in order
    price = np.stack([_or_empty(block, f"{name}.price", cells[f"{name}.price"]) for name in ordered], axis=1)
    size = np.stack([_or_empty(block, f"{name}.amount", cells[f"{name}.amount"]) for name in ordered], axis=1)
    side = np.array([-1 if name.startswith("asks") else 1 for name in ordered])
    there = ~np.isnan(price)
    if (there & np.isnan(size)).any() or (~there & ~np.isnan(size)).any():
        line, level = np.argwhere(np.isnan(price) != np.isnan(size))[0]
        refuse(block.path, block.first_row + int(line), ordered[level], "a price and an amount, or neither", "one of them")
    lines, place = np.nonzero(there)
    records = levels(times[lines], price[there], size[there], side[place])
    records["flags"] = SNAPSHOT | np.where(np.append(lines[1:] != lines[:-1], True)[: len(lines)], LAST, 0)
    return Rows(records, lines, {PARTIAL: len(records)})


def _words(block: Block, cells: Cells, column: str, meaning: dict[bytes, int]) -> Times:
    """A column of few words as numbers; another word is refused with its row."""
    encoded = cells[column].dictionary_encode()
    values = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy()
    for code, value in enumerate(values):
        if value not in meaning:
            expected, found = " or ".join(word.decode() for word in meaning), value[:60].decode("utf-8", "backslashreplace")
            refuse(block.path, block.first_row + int(np.argmax(codes == code)), column, expected, found)
    result: Times = np.array([meaning[value] for value in values], np.int64)[codes]
    return result


def _or_empty(block: Block, column: str, values: pa.Array) -> Floats:
    """A column of numbers where an empty cell is NaN."""
    import pyarrow.compute as pc

    empty = np.asarray(pc.binary_length(values)) == 0
    if not empty.any():
        return numbers(block, column, values)
    return np.where(empty, np.nan, numbers(block, column, pc.if_else(empty, b"0", values)))


class Layout(NamedTuple):
    """One of Tardis's kinds of files."""

    name: str
    title: str
    kind: Kind
    columns: tuple[str, ...]
    build: Callable[[Block, Cells, Times], Rows]

    @property
    def header(self) -> bytes:
        """The first line."""
        return ",".join(self.columns).encode()

    def format(self) -> Format:
        """The importer of such files."""
        return Format(self.name, self.title, lambda head: head.lines[:1] == (self.header,), partial(_read, self), clock=utc)


def _read(layout: Layout, path: Path, options: Options) -> Iterator[Batch]:
    """Batches of one exchange and symbol each. Raises `DataError` for another header, and for `--symbol` with several symbols."""
    with open_plain(path) as file:
        header = file.readline(_HEADER_BYTES_MAX).removeprefix(_BOM).rstrip(b"\r\n")
    if header != layout.header:
        found = header[:200].decode("utf-8", "backslashreplace")
        raise DataError(f"{path.name}: row 1: expected the columns {layout.header.decode()[:200]}, found {found!r}; nothing was imported")
    ends: dict[tuple[str, str], MessageEnds] = {}
    for block in blocks(path, 1):
        cells = columns(block, layout.columns, ",")
        times, arrivals = (epochs(block, name, cells[name], _US_DIGITS) for name in ("timestamp", "local_timestamp"))
        rows = layout.build(block, cells, times)
        rows.records["ts_recv"] = arrivals[rows.lines]
        notes = rows.notes
        for (venue, symbol), mine in _split(block, cells, rows.lines):
            if options.symbol and len(ends.keys() | {(venue, symbol)}) > 1:
                refuse(path, block.first_row + int(rows.lines[mine][0]), "symbol", "one symbol for --symbol to stand for", symbol)
            follower = ends.setdefault((venue, symbol), MessageEnds())
            records, numbered = rows.records[mine], block.first_row + rows.lines[mine]
            if layout.build is _updates:
                messages = arrivals[rows.lines[mine]] * 2 + (records["flags"] & SNAPSHOT != 0)
                records, numbered = follower.add(records, numbered, messages)
            apart = f"{venue}-top{_levels(layout)}" if layout.build is _snapshots else venue
            yield Batch(options.symbol or symbol, apart, layout.kind, records, numbered, block.fraction, notes=notes)
            notes = {}
    for (venue, symbol), follower in ends.items() if layout.build is _updates else ():
        records, numbered = follower.end()
        yield Batch(options.symbol or symbol, venue, layout.kind, records, numbered, 1.0)


def _levels(layout: Layout) -> int:
    """How many levels a side a file of snapshots has."""
    return (len(layout.columns) - len(_FIRST)) // 4


def _split(block: Block, cells: Cells, lines: Times) -> Iterator[tuple[tuple[str, str], Times]]:
    """Venue and symbol of the series in a block, and the places of their records."""
    exchanges, symbols = (cells[name].dictionary_encode() for name in ("exchange", "symbol"))
    code = exchanges.indices.to_numpy().astype(np.int64) * len(symbols.dictionary) + symbols.indices.to_numpy()
    names = [value.decode("utf-8", "backslashreplace") for value in exchanges.dictionary.to_pylist()]
    pairs = [value.decode("utf-8", "backslashreplace").replace("/", "", 1) for value in symbols.dictionary.to_pylist()]
    for one in np.unique(code):
        mine = np.flatnonzero(code[lines] == one)
        exchange, symbol = names[one // len(pairs)], pairs[one % len(pairs)]
        if len(mine):
            yield (("binance", perpetual(symbol)) if exchange == "binance-futures" else (exchange, symbol)), mine


LAYOUTS: Final = (
    Layout("tardis-trades", "Tardis trades CSV", "trade", TRADES, _trades),
    Layout("tardis-quotes", "Tardis quotes CSV", "quote", QUOTES, _quotes),
    Layout("tardis-book", "Tardis incremental L2 book CSV", "book", UPDATES, _updates),
    *(
        Layout(f"tardis-snapshot-{count}", f"Tardis book snapshots CSV, {count} levels", "book", snapshot_columns(count), _snapshots)
        for count in LEVELS
    ),
)
FORMATS = tuple(layout.format() for layout in LAYOUTS)
