"""Bybit's order book archive: a JSON message per line, `{"topic":"orderbook.500.XRPUSDT","type":"snapshot","ts":…,"data":{…},"cts":…}`.

A snapshot replaces the book, a delta changes levels (size 0 deletes), each update's `u` is one more than the one before
(https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook). The time is `cts`, when the matching engine made the message, else
`ts`, when the server sent it; nobody's arrival is recorded. Only derivatives have 500 levels, so those pairs are perpetuals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

from tercel.market.importers.batch import Batch, Format, Head, Options, refuse
from tercel.market.importers.coins import PERPETUAL, SPOT, perpetual, utc
from tercel.market.importers.json_books import JsonBook, Level
from tercel.market.importers.jsontext import decode, instant, json_lines, whole

_START: Final = re.compile(rb'\{"topic":\s*"orderbook\.\d+\.')
_TOPIC: Final = re.compile(r"orderbook\.(\d+)\.([A-Za-z0-9-]+)")
DERIVATIVES_LEVELS: Final = 500


class Depth(msgspec.Struct, frozen=True):
    """Changed levels of a symbol after update `u`."""

    s: str
    b: list[Level]
    a: list[Level]
    u: int


class Message(msgspec.Struct, frozen=True):
    """A line of the archive."""

    topic: str
    type: Literal["snapshot", "delta"]
    ts: int
    data: Depth
    cts: int = 0


def recognises(head: Head) -> bool:
    """True when the file begins with a book message."""
    return _START.match(head.data) is not None


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Book batches, a series for each symbol."""
    decoder, books = msgspec.json.Decoder(Message), dict[tuple[str, str], JsonBook]()
    for block in json_lines(path):
        for row, line in enumerate(block.texts, block.first_row):
            message: Message = decode(path, row, decoder, line, "a book message of Bybit")
            depth, update = message.data, whole(path, row, "u", message.data.u)
            time = instant(path, row, "cts", message.cts) if message.cts else instant(path, row, "ts", message.ts)
            series = _series(path, row, message)
            if options.symbol and books and series not in books:
                refuse(path, row, "topic", "one symbol for --symbol to stand for", message.topic[:60])
            follows = None if message.type == "snapshot" else update - 1
            books.setdefault(series, JsonBook()).add(row, time, 0, update, depth.b, depth.a, follows)
        for (symbol, note), book in books.items():
            if (batch := book.batch(path, options.symbol or symbol, "bybit", block.fraction)) is not None:
                batch.notes |= {note: len(batch.records)} if note and not options.symbol else {}
                yield batch


def _series(path: Path, row: int, message: Message) -> tuple[str, str]:
    """Symbol of a message, and the note on how its market was found."""
    match = _TOPIC.fullmatch(message.topic)
    if match is None or match[2] != message.data.s:
        refuse(path, row, "topic", f"orderbook.LEVELS.{message.data.s[:32]}", message.topic[:60])
    if int(match[1]) != DERIVATIVES_LEVELS:
        return match[2], SPOT
    symbol = perpetual(match[2]) if match[2].endswith(("USDT", "USD")) else match[2]
    return symbol, PERPETUAL if symbol != match[2] else ""


FORMATS = (Format("bybit-book", "Bybit order book archive, JSON lines", recognises, read, clock=utc),)
