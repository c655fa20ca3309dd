"""Recorded Binance streams: a line per message, `recv_ns {json}`, plain or in the envelope of a combined stream.

Read are `trade`, `bookTicker`, `depthUpdate` and the REST depth snapshot (`lastUpdateId`), of spot and of USD-M and COIN-M futures; other
messages are left out and counted. Futures messages are told by the fields only they have, and get the perpetual's name. `ts_recv` is the
recorder's clock; `ts_event` is the transaction time `T`, for a spot depth update its event time `E`; what bears no time (spot quotes and
snapshots) is dated by its arrival. Field names: https://developers.binance.com/docs (web socket market streams).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import numpy as np

from tercel.base.errors import DataError
from tercel.base.records import TICK, Records
from tercel.market.importers.batch import Batch, Floats, Format, Head, Options, quotes, refuse, trades
from tercel.market.importers.coins import perpetual, utc
from tercel.market.importers.json_books import JsonBook, Level
from tercel.market.importers.jsontext import decimals, decode, instant, json_lines, whole
from tercel.market.manifest import Kind

_START: Final = re.compile(rb'\d{19} \{"')
_ARRIVAL: Final = re.compile(rb"[1-9]\d{18}")
_SIDE: Final = re.compile(r"([a-z0-9_]+)@")
OTHERS: Final = "messages of kinds that are no trade, quote or book: left out"
LOST: Final = "interruptions of the recording: the book is wrong until the next snapshot"
NO_TRADE: Final = "trades without a price (settlements of the exchange, not of the market): left out"


class Data(msgspec.Struct, frozen=True):
    """The fields of every message that is read; which are there tells what it is."""

    e: str | None = None  # event type; spot quotes and snapshots have none
    s: str | None = None
    E: int | None = None  # event time
    T: int | None = None  # transaction time
    t: int | None = None  # trade id
    p: str | None = None
    q: str | None = None
    m: bool | None = None  # the buyer was the maker: the seller was the aggressor
    X: str | None = None  # futures only: what kind of trade
    u: int | None = None
    U: int | None = None
    pu: int | None = None  # futures only: the update before
    b: str | int | list[Level] | None = None
    a: str | int | list[Level] | None = None
    B: str | None = None
    A: str | None = None
    lastUpdateId: int | None = None  # noqa: N815 (the wire's name)
    bids: list[Level] | None = None
    asks: list[Level] | None = None
    tercel: str | None = None  # a line of the recorder itself: `{"tercel":"disconnected"}` where data was lost


class Message(Data, frozen=True):
    """A message, or the envelope of one."""

    stream: str | None = None
    data: Data | None = None


class Ticks:
    """Quotes or trades of one symbol: whole numbers by column, numbers in quotes as text."""

    def __init__(self, texts: int) -> None:
        self._texts = texts
        self.clear()

    def clear(self) -> None:
        """Forget what was gathered."""
        self.row, self.time, self.arrival, self.ref, self.side = (array("q") for _ in range(5))
        self.texts: list[list[str]] = [[] for _ in range(self._texts)]

    def add(self, row: int, time: int, arrival: int, ref: int, side: int, *texts: str) -> None:
        """One message."""
        for column, value in zip((self.row, self.time, self.arrival, self.ref, self.side), (row, time, arrival, ref, side), strict=True):
            column.append(value)
        for column_texts, text in zip(self.texts, texts, strict=True):
            column_texts.append(text)


class Series:
    """What one symbol's messages have become since the last batches."""

    def __init__(self) -> None:
        self.quotes, self.trades, self.book = Ticks(4), Ticks(2), JsonBook()

    def batches(self, path: Path, symbol: str, fraction: float) -> Iterator[Batch]:
        """A batch for each kind that has rows; forgets them."""
        if len(self.quotes.row):
            bid, bid_size, ask, ask_size = self._numbers(path, self.quotes, ("b", "B", "a", "A"))
            records = quotes(np.array(self.quotes.time), bid, ask, bid_size, ask_size)
            yield self._batch(symbol, "quote", self.quotes, records, fraction)
        if len(self.trades.row):
            price, size = self._numbers(path, self.trades, ("p", "q"))
            records = trades(np.array(self.trades.time), price, size, np.array(self.trades.side))
            yield self._batch(symbol, "trade", self.trades, records, fraction)
        if (batch := self.book.batch(path, symbol, "binance", fraction)) is not None:
            yield batch

    def _numbers(self, path: Path, ticks: Ticks, names: tuple[str, ...]) -> list[Floats]:
        return [decimals(path, name, texts, ticks.row.__getitem__) for name, texts in zip(names, ticks.texts, strict=True)]

    def _batch(self, symbol: str, kind: Kind, ticks: Ticks, records: Records, fraction: float) -> Batch:
        records["ts_recv"], records["ref"] = np.array(ticks.arrival), np.array(ticks.ref)
        batch = Batch(symbol, "binance", kind, records, np.array(ticks.row), fraction)
        ticks.clear()
        return batch


class Reader:
    """One recording. A snapshot bears no symbol: it is that of its stream, else the only one of the recording."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path, self._given = path, options.symbol
        self._series: dict[str, Series] = {}
        self._symbols: set[str] = set()
        self._bare_snapshot = 0  # row of one that said nothing of its symbol
        self._decoder = msgspec.json.Decoder(Message)
        self._notes: dict[str, int] = {}

    def batches(self) -> Iterator[Batch]:
        """The batches of the file, a few for each block of lines."""
        for block in json_lines(self._path):
            messages = [self._message(row, line) for row, line in enumerate(block.texts, block.first_row)]
            self._symbols.update(data.s for _, _, _, data in messages if data.s)
            for row, arrival, stream, data in messages:
                self._take(row, arrival, stream, data)
            for symbol, series in self._series.items():
                yield from series.batches(self._path, symbol, block.fraction)
            if self._notes:
                yield Batch("", None, "quote", np.zeros(0, TICK), np.zeros(0, np.int64), block.fraction, notes=self._notes)
                self._notes = {}

    def _message(self, row: int, line: bytes) -> tuple[int, int, str, Data]:
        """Row, arrival, stream and content of a line."""
        arrival, _, text = line.partition(b" ")
        if _ARRIVAL.fullmatch(arrival) is None or int(arrival) >= 1 << 63:
            refuse(self._path, row, "recv_ns", "a time of arrival in ns (19 digits)", arrival[:60].decode("utf-8", "backslashreplace"))
        message: Message = decode(self._path, row, self._decoder, text, "a message of Binance")
        return row, int(arrival), message.stream or "", message.data or message

    def _take(self, row: int, arrival: int, stream: str, data: Data) -> None:
        if data.lastUpdateId is not None and data.bids is not None and data.asks is not None:
            self._snapshot(row, arrival, stream, data)
        elif data.e == "depthUpdate":
            self._depth(row, arrival, data)
        elif data.e == "trade":
            self._trade(row, arrival, data)
        elif data.e == "bookTicker" or (data.e is None and data.B is not None and data.A is not None):
            self._quote(row, arrival, data)
        else:
            self._count(LOST if data.tercel == "disconnected" else OTHERS)

    def _of(self, row: int, symbol: str | None, futures: bool) -> Series:
        if not symbol:
            refuse(self._path, row, "s", "a symbol", symbol)
        if len(self._symbols) > 1 and (self._bare_snapshot or self._given):
            self._refuse_several(row)
        name = self._given or (perpetual(symbol) if futures else symbol)
        return self._series.setdefault(name, Series())

    def _snapshot(self, row: int, arrival: int, stream: str, data: Data) -> None:
        symbol = data.s
        if symbol is None and (match := _SIDE.match(stream)):
            symbol = match[1].upper()
        if symbol is None:
            self._bare_snapshot = self._bare_snapshot or row
            if not self._symbols and not self._given:
                raise DataError(
                    f"{self._path.name}: row {row:,}: expected messages of one symbol around a snapshot, found none; say it with --symbol"
                )
            symbol = next(iter(self._symbols), self._given)
        series = self._of(row, symbol, data.T is not None)
        time = arrival if data.T is None else self._time(row, "T", data.T)
        assert data.bids is not None
        assert data.asks is not None
        series.book.add(row, time, arrival, self._id(row, "lastUpdateId", data.lastUpdateId), data.bids, data.asks, None)

    def _depth(self, row: int, arrival: int, data: Data) -> None:
        futures = data.pu is not None
        time = self._time(row, "T", data.T) if futures else self._time(row, "E", data.E)
        bids, asks = data.b, data.a
        if not isinstance(bids, list) or not isinstance(asks, list):
            refuse(self._path, row, "b", "levels of bids and asks", "none")
        follows = self._id(row, "pu", data.pu) if futures else self._id(row, "U", data.U) - 1
        self._of(row, data.s, futures).book.add(row, time, arrival, self._id(row, "u", data.u), bids, asks, follows)

    def _trade(self, row: int, arrival: int, data: Data) -> None:
        if data.p is None or data.q is None or data.m is None:
            refuse(self._path, row, "p", "a trade with p, q and m", "none")
        if data.X not in (None, "MARKET") and not data.p.strip("0."):
            self._count(NO_TRADE)
            return
        series = self._of(row, data.s, data.X is not None)
        series.trades.add(row, self._time(row, "T", data.T), arrival, self._id(row, "t", data.t), -1 if data.m else 1, data.p, data.q)

    def _quote(self, row: int, arrival: int, data: Data) -> None:
        if not isinstance(data.b, str) or not isinstance(data.a, str) or data.B is None or data.A is None:
            refuse(self._path, row, "b", "a quote with b, B, a and A", "none")
        series = self._of(row, data.s, data.T is not None)
        time = arrival if data.T is None else self._time(row, "T", data.T)
        series.quotes.add(row, time, arrival, self._id(row, "u", data.u), 0, data.b, data.B, data.a, data.A)

    def _time(self, row: int, column: str, value: int | None) -> int:
        return instant(self._path, row, column, value)

    def _id(self, row: int, column: str, value: int | None) -> int:
        return whole(self._path, row, column, value)

    def _count(self, text: str) -> None:
        self._notes[text] = self._notes.get(text, 0) + 1

    def _refuse_several(self, row: int) -> NoReturn:
        found = ", ".join(sorted(self._symbols)[:5])
        if self._given:
            refuse(self._path, row, "s", "one symbol for --symbol to stand for", found)
        refuse(self._path, self._bare_snapshot, "stream", "the stream of a snapshot, in a recording of several symbols", found)


def recognises(head: Head) -> bool:
    """True when the file begins with a time of arrival in ns and a JSON object, and most of the first lines do."""
    return _START.match(head.data) is not None and 2 * sum(_START.match(line) is not None for line in head.lines) >= len(head.lines)


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Quote, trade and book batches, of each symbol its own."""
    return Reader(path, options).batches()


FORMATS = (Format("binance-streams", "recorded Binance streams, JSON lines", recognises, read, clock=utc),)
