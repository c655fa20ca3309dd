"""LOBSTER: the message file gives the orders of an L3 book, the order book file its best levels as an L2 book.

A message is `34200.004241176,1,16113575,18,5853300,1`: seconds after midnight in New York, event, order id, size, price in ten-thousandths
of a dollar, side of the resting order. An execution of a visible order becomes three rows of one event, as exchanges send it: the trade
(aggressor's side), the fill and the cancel of what was filled; one of a hidden order or a cross is a trade alone. Orders that rested before
the file begins are cancelled or filled without having been added: counted, kept. Trading halts are counted and left out.

The order book file has no times: row n is the book after message n, so the message file has to lie beside it. Symbol and date come from the
file's name, `AAPL_2012-06-21_34200000_57600000_message_10.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import LAST, ORDER_ADD, ORDER_CANCEL, ORDER_FILL, TICK, TRADE, Records
from tercel.base.time import NS_PER_DAY, NS_PER_S, parse_instant
from tercel.market.importers.batch import Batch, Floats, Format, Head, Options, Times, refuse
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.depth import Best, Depth
from tercel.market.importers.textfile import Block, blocks, columns, numbers

ZONE: Final = "America/New_York"
SCALE: Final = 10_000
ABSENT: Final = 9_999_999_999  # the price of a level that is not there
ADD, REDUCE, DELETE, EXECUTE, EXECUTE_HIDDEN, CROSS, HALT = 1, 2, 3, 4, 5, 6, 7
HALTS: Final = "trading halts and their ends: left out"
UNKNOWN: Final = "cancels and fills of orders that rested before the file begins: kept"
ORDERS_MAX: Final = 5_000_000  # resting at one time
_NAMES: Final = ("time", "event", "order_id", "size", "price", "side")
_MESSAGE: Final = re.compile(rb"\d{1,5}(?:\.\d{1,9})?,[1-7],\d+,\d+,-?\d+,-?1")
_LEVEL: Final = rb"-?\d+,\d+,-?\d+,\d+"
_BOOK: Final = re.compile(_LEVEL + rb"(?:," + _LEVEL + rb"){0,199}")
_NAME: Final = re.compile(r"(?P<symbol>[A-Za-z0-9.-]+)_(?P<date>\d{4}-\d\d-\d\d)_\d+_\d+_(?P<kind>message|orderbook)_\d+\.csv.*")


class Named(NamedTuple):
    """What a file's name says: the symbol, and local midnight of its date in ns."""

    symbol: str
    day_ns: int


def recognises_messages(head: Head) -> bool:
    """True when the first lines are messages, of which some fall within a second."""
    timed = any(b"." in line.partition(b",")[0] for line in head.lines)
    return timed and all(_MESSAGE.fullmatch(line) for line in head.lines)


def recognises_books(head: Head) -> bool:
    """True when the first lines are levels with asks that rise and bids that fall, ask above bid; one level needs LOBSTER's name, too."""
    deep = bool(head.lines) and (head.lines[0].count(b",") > 3 or _NAME.fullmatch(head.path.name) is not None)
    return deep and all(_BOOK.fullmatch(line) and _is_book(line) for line in head.lines)


def _is_book(line: bytes) -> bool:
    values = [int(cell) for cell in line.split(b",")]
    asks, bids = values[0::4], values[2::4]
    return asks == sorted(asks) and bids == sorted(bids, reverse=True) and asks[0] > bids[0]


def read_messages(path: Path, options: Options) -> Iterator[Batch]:
    """Batches of order events."""
    named, clock = _named(path, options), Clock(parse_zone(options.timezone or ZONE))
    resting: dict[int, int] = {}
    for block in blocks(path):
        cells = _cells(block)
        times, notes = clock.utc(named.day_ns + cells["time"])
        made, source, halts = _events(block, cells, times)
        unknown = _count_unknown(cells, resting)
        notes |= {text: count for text, count in ((HALTS, halts), (UNKNOWN, unknown)) if count}
        if len(resting) > ORDERS_MAX:
            raise DataError(f"{path.name}: expected at most {ORDERS_MAX:,} resting orders, found more; nothing was imported")
        yield Batch(named.symbol, "nasdaq", "order", made, block.first_row + source, block.fraction, notes=notes)


def read_books(path: Path, options: Options) -> Iterator[Batch]:
    """Batches of the rows that change the book. Raises `ConfigError` when the message file does not lie beside the order book file."""
    named, clock, follow = _named(path, options), Clock(parse_zone(options.timezone or ZONE)), Depth()
    messages = path.with_name(path.name.replace("_orderbook_", "_message_", 1))
    if messages == path or not messages.is_file():
        raise ConfigError(f"{path.name}: the order book file has no times; expected its message file beside it, {messages.name}")
    times_of, levels = _Times(messages), 0
    for block in blocks(path):
        levels = levels or (block.data.split(b"\n", 1)[0].count(b",") + 1) // 4
        names = [f"{what}_{level}" for level in range(1, levels + 1) for what in ("ask", "ask_size", "bid", "bid_size")]
        cells = columns(block, names, ",")
        table = {name: numbers(block, name, cells[name]) for name in names}
        count = len(table["ask_1"])
        local = times_of.next(count, path, block.first_row)
        times, notes = clock.utc(named.day_ns + local)
        bid, ask = (_best(table, side, levels) for side in ("bid", "ask"))
        unknown = np.zeros(count, np.int64)
        changed = follow.changes(times, unknown, unknown, bid, ask)
        yield Batch(named.symbol, "nasdaq", "book", changed.records, block.first_row + changed.events, block.fraction, notes=notes)
    times_of.end(path)


class _Times:
    """The times of the messages, as many as are asked for."""

    def __init__(self, path: Path) -> None:
        self._path, self._blocks, self._held = path, blocks(path), np.empty(0, np.int64)

    def next(self, count: int, book: Path, first_row: int) -> Times:
        parts, missing = [self._held], count - len(self._held)
        while missing > 0:
            block = next(self._blocks, None)
            if block is None:
                refuse(book, first_row + count - missing, "time", f"a message for each row in {self._path.name}", "none")
            parts.append(_cells(block)["time"])
            missing -= len(parts[-1])
        together = np.concatenate(parts)
        self._held = together[count:]
        return together[:count]

    def end(self, book: Path) -> None:
        left = len(self._held) + sum(block.data.count(b"\n") for block in self._blocks)
        if left:
            raise DataError(
                f"{book.name}: expected a row for each message in {self._path.name}, found {left:,} fewer; nothing was imported"
            )


def _named(path: Path, options: Options) -> Named:
    match = _NAME.fullmatch(path.name)
    try:
        if match is None:
            raise ConfigError("")
        day_ns = parse_instant(match["date"])
    except ConfigError:
        raise DataError(
            f"{path.name}: LOBSTER's rows have no date; expected a name such as AAPL_2012-06-21_34200000_57600000_message_10.csv; "
            "nothing was imported"
        ) from None
    return Named(options.symbol or match["symbol"].upper(), day_ns)


def _cells(block: Block) -> dict[str, npt.NDArray[np.int64]]:
    """The columns of messages as integers, `time` in ns since midnight."""
    cells = columns(block, _NAMES, ",")
    found: dict[str, Any] = {name: _whole(block, name, numbers(block, name, cells[name])) for name in _NAMES[1:]}
    seconds = numbers(block, "time", cells["time"])
    _expect(block, "time", (seconds >= 0) & (seconds < NS_PER_DAY // NS_PER_S), "seconds of a day, 0 to below 86,400", seconds)
    found["time"] = np.rint(seconds * NS_PER_S).astype(np.int64)
    event, side = found["event"], found["side"]
    _expect(block, "event", (event >= ADD) & (event <= HALT), "an event from 1 to 7", event)
    _expect(block, "side", np.abs(side) == 1, "1 (bid) or -1 (ask)", side)
    _expect(block, "size", (found["size"] > 0) | (event == HALT), "a size above 0", found["size"])
    return found


def _whole(block: Block, column: str, values: Floats) -> Times:
    _expect(block, column, (values == np.rint(values)) & (np.abs(values) < 2.0**53), "a whole number", values)
    return values.astype(np.int64)


def _expect(block: Block, column: str, good: npt.NDArray[np.bool_], expected: str, values: npt.NDArray[Any]) -> None:
    if not good.all():
        first = int(np.argmin(good))
        refuse(block.path, block.first_row + first, column, expected, values[first].item())


def _events(block: Block, cells: dict[str, npt.NDArray[np.int64]], times: Times) -> tuple[Records, Times, int]:
    """The records of some messages, the place of the message each comes from, and the count of halts."""
    event = cells["event"]
    traded, filled = np.isin(event, (EXECUTE, EXECUTE_HIDDEN, CROSS)), event == EXECUTE
    parts = (  # kind, which messages, side by the resting order's, whether it names the order: in the order of an exchange's own rows
        (ORDER_ADD, event == ADD, 1, True),
        (TRADE, traded, -1, False),
        (ORDER_FILL, filled, 1, True),
        (ORDER_CANCEL, np.isin(event, (REDUCE, DELETE, EXECUTE)), 1, True),
    )
    found = []
    for kind, chosen, sign, has_order in parts:
        place = np.flatnonzero(chosen)
        made = np.zeros(len(place), TICK)
        made["ts_event"], made["kind"], made["side"] = times[place], kind, sign * cells["side"][place]
        made["price"], made["size"] = cells["price"][place] / SCALE, cells["size"][place]
        made["ref"] = cells["order_id"][place] if has_order else 0
        made["price2"] = made["size2"] = np.nan
        made["side"][event[place] == CROSS] = 0
        found.append((made, place))
    records, place = (np.concatenate([part[column] for part in found]) for column in (0, 1))
    order = np.argsort(place, kind="stable")
    records, place = records[order], place[order]
    records["flags"] = np.where(np.append(place[1:] != place[:-1], True), LAST, 0)[: len(place)]
    return records, place, int((event == HALT).sum())


def _count_unknown(cells: dict[str, npt.NDArray[np.int64]], resting: dict[int, int]) -> int:
    """Messages about orders that the file did not add; `resting` has what is left of the others and is brought up to date."""
    unknown = 0
    for event, order, size in zip(*(cells[name].tolist() for name in ("event", "order_id", "size")), strict=True):
        if event == ADD:
            resting[order] = size
        elif event in (REDUCE, DELETE, EXECUTE):
            left = resting.pop(order, None)
            if left is None:
                unknown += 1
            elif event != DELETE and left > size:
                resting[order] = left - size
    return unknown


def _best(table: dict[str, Floats], side: str, levels: int) -> Best:
    prices = np.stack([table[f"{side}_{level}"] for level in range(1, levels + 1)], axis=1)
    sizes = np.stack([table[f"{side}_size_{level}"] for level in range(1, levels + 1)], axis=1)
    there = (np.abs(prices) != ABSENT) & (sizes > 0)
    return Best(np.where(there, prices / SCALE, np.nan), np.where(there, sizes, np.nan))


ASSUMED: Final = "LOBSTER's times are read as New York's, as the vendor documents; --timezone says another"
FORMATS = (
    Format("lobster-messages", "LOBSTER messages", recognises_messages, read_messages, ZONE, ASSUMED),
    Format("lobster-books", "LOBSTER order book", recognises_books, read_books, ZONE, ASSUMED),
)
