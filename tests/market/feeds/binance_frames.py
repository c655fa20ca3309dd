"""Messages as Binance writes them, for tests: from plain values and from recorded tables."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tercel.market.definitions import definition
from tercel.market.feeds.binance import Binance, scanner
from tercel.market.instruments import Instrument

T0_NS = 1_700_000_000_000_000_000
HOUR_NS = 3_600 * 10**9
WEBSOCKET, COLLECTOR = "raw/websocket", "raw/binance/collector/usdm"  # folders of frames as they came, in the data
SNAPSHOT_START = b'{"lastUpdateId"'
Level = tuple[float, float]
Levels = list[Level]


def instrument(symbol: str, number: int = 7) -> Instrument:
    """A built-in instrument of the venue, registered under a number."""
    found = definition(symbol, "binance")
    assert found is not None
    return msgspec.structs.replace(found, id=number)


def framed(stream: str, data: dict[str, Any]) -> bytes:
    """A message in the envelope of a combined stream, without blanks, as the venue writes it."""
    return msgspec.json.encode({"stream": stream, "data": data})


def trade(
    number: int, price: float | str = 100.5, size: float | str = 2, *, maker: bool = False, symbol: str = "BTCUSDT", **more: Any
) -> bytes:
    """A trade; further fields replace its own."""
    stamp = T0_NS // 1_000
    data = {"e": "trade", "E": stamp, "s": symbol, "t": number, "p": str(price), "q": str(size), "T": stamp, "m": maker, "M": True}
    return framed(f"{symbol.lower()}@trade", data | more)


def ticker(number: int, bid: Level = (100.0, 1.0), ask: Level = (101.0, 2.0), *, symbol: str = "BTCUSDT", **more: Any) -> bytes:
    """A bookTicker of spot; further fields replace its own."""
    data = {"u": number, "s": symbol, "b": str(bid[0]), "B": str(bid[1]), "a": str(ask[0]), "A": str(ask[1])}
    return framed(f"{symbol.lower()}@bookTicker", data | more)


def update(first: int, last: int, bids: Levels = [], asks: Levels = [], *, symbol: str = "BTCUSDT", **more: Any) -> bytes:  # noqa: B006 - read only
    """A depth update; further fields replace its own."""
    data = {"e": "depthUpdate", "E": T0_NS // 1_000, "s": symbol, "U": first, "u": last, "b": texts(bids), "a": texts(asks)}
    return framed(f"{symbol.lower()}@depth@100ms", data | more)


def snapshot(last: int, bids: Levels, asks: Levels, **more: Any) -> bytes:
    """The answer of the REST call for a book."""
    return msgspec.json.encode({"lastUpdateId": last, "bids": texts(bids), "asks": texts(asks)} | more)


def texts(levels: Levels) -> list[list[str]]:
    """Levels as pairs of decimal texts."""
    return [[repr(price), repr(size)] for price, size in levels]


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Arrival in ns and payload of the lines that hold a message; the recorders write seconds with a colon behind, or ns."""
    with gzip.open(path, "rb") as file:
        for line in file:
            stamp, _, payload = line.strip().partition(b" ")
            if payload.startswith((b"{", b"[")):
                yield int(float(stamp[:-1]) * 1e9) if stamp.endswith(b":") else int(stamp), payload


def slow(decoder: Binance) -> Binance:
    """The decoder without its scanner: the judge."""
    decoder._scan = scanner._leave
    return decoder


def state(decoder: Binance) -> tuple[Any, ...]:
    """All that two decoders of the same frames must agree on."""
    books = [(line.book.last_id, line.book.valid, line.book.levels(99), len(line.held)) for line in decoder._lines.values()]
    return decoder._state.tolist(), decoder.received, decoder.dropped, decoder.gaps, decoder.delivered, decoder.closing, books


class Recorded(NamedTuple):
    """A recorded message of a book: what came over the wire, its last id, and when it came."""

    snapshot: bool
    payload: bytes
    last_id: int
    recv_ns: int


class Session(NamedTuple):
    """An unbroken recording of one book: its messages in order of arrival, and the best quotes of that time by update id."""

    symbol: str
    messages: list[Recorded]
    quote_ids: np.ndarray[Any, Any]
    quotes: np.ndarray[Any, Any]


def sessions(data_dir: Path) -> Iterator[Session]:
    """The recorded sessions as JSON again; the L2 table says how rows, messages and sessions hang together."""
    book = pq.read_table(data_dir / "book" / "crypto_binance_l2.parquet")
    quotes = pq.read_table(data_dir / "quotes" / "crypto_binance_bbo.parquet")
    for symbol in sorted(pc.unique(book["symbol"]).to_pylist()):
        rows = _of(book, symbol)
        best = _of(quotes, symbol)
        starts = np.flatnonzero(np.diff(rows["ts_event"], prepend=-HOUR_NS) >= HOUR_NS)
        ends = [*starts[1:], len(rows["ts_event"])]
        for start, end in zip(starts, ends, strict=True):
            part = {name: column[start:end] for name, column in rows.items()}
            near = (best["ts_event"] > part["ts_event"][0] - HOUR_NS) & (best["ts_event"] < part["ts_event"][-1] + HOUR_NS)
            ids = best["update_id"][near]
            order = np.argsort(ids, kind="stable")
            values = np.column_stack([best[name][near][order] for name in ("bid", "ask")])
            yield Session(symbol, list(_messages(symbol, part)), ids[order], values)


def _of(table: pa.Table, symbol: str) -> dict[str, np.ndarray[Any, Any]]:
    mine = table.filter(pc.equal(table["symbol"], symbol))
    return {name: pc.fill_null(mine[name], -1).to_numpy() for name in mine.column_names if name != "symbol"}


def _messages(symbol: str, rows: dict[str, np.ndarray[Any, Any]]) -> Iterator[Recorded]:
    order = np.argsort(rows["msg"], kind="stable")
    rows = {name: column[order] for name, column in rows.items()}
    starts = np.flatnonzero(np.diff(rows["msg"], prepend=-1))
    lists = {name: column.tolist() for name, column in rows.items()}
    wire_symbol = symbol.removesuffix("-PERP")
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        sides: tuple[Levels, Levels] = ([], [])
        for side, price, size in zip(*(lists[name][start:end] for name in ("side", "price", "size")), strict=True):
            sides[side < 0].append((price, size))
        last, recv_ns = lists["last_id"][start], lists["ts_recv"][start]
        if lists["kind"][start] == 0:
            yield Recorded(True, snapshot(last, *sides), last, recv_ns)
        else:
            more = {"E": lists["ts_event"][start] // 1_000_000} | ({"pu": lists["prev_id"][start]} if symbol.endswith("-PERP") else {})
            payload = update(lists["first_id"][start], last, *sides, symbol=wire_symbol, **more)
            yield Recorded(False, payload, last, recv_ns)
