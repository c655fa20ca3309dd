"""A market for the local venue: messages as Binance writes them, and the true books beside them, which are the oracle of every test.

A book here is two plain dictionaries from price text to size text: nothing of the decoder's is used. Messages are dated when they are sent.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq


class Said(NamedTuple):
    """One message: its stream and its data without a time, or the recorded frame itself, which everybody hears."""

    stream: str
    data: dict[str, Any]
    frame: bytes = b""


@dataclass
class TrueBook:
    """What a symbol's book is after everything the venue has said, whether or not anybody heard it."""

    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    last_id: int = 0
    recorded: bytes = b""  # the recorded answer, as long as it is the newest state

    def apply(self, data: dict[str, Any]) -> None:
        """One depth update."""
        self.recorded = b""
        for side, levels in ((self.bids, data["b"]), (self.asks, data["a"])):
            for price, size in levels:
                if float(size) == 0.0:
                    side.pop(price, None)
                else:
                    side[price] = size
        self.last_id = data["u"]

    def levels(self, limit: int = 1_000) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks, best first, as the venue answers them."""
        bids = sorted(self.bids.items(), key=lambda one: -float(one[0]))[:limit]
        asks = sorted(self.asks.items(), key=lambda one: float(one[0]))[:limit]
        return [list(one) for one in bids], [list(one) for one in asks]

    def snapshot(self) -> bytes:
        """The answer to a call for the book."""
        if self.recorded:
            return self.recorded
        bids, asks = self.levels()
        return json.dumps({"lastUpdateId": self.last_id, "bids": bids, "asks": asks}).encode()


class MadeMarket:
    """A seeded market of some symbols: mostly quotes, depth updates that follow them, some trades. Prices have two decimals, sizes five.

    Symbols are ours ("BTCUSDT-PERP"); the messages have the venue's.
    """

    def __init__(self, symbols: Sequence[str], seed: int) -> None:
        self._chance = random.Random(seed)
        self.symbols = tuple(symbols)
        self.books = {symbol: TrueBook() for symbol in symbols}
        self._mids = dict.fromkeys(symbols, 3_000_000)
        self._quote_id = 10_000
        self._ids = dict.fromkeys(symbols, 1_000)
        self._trades = dict.fromkeys(symbols, 50)
        for symbol in self.symbols:
            for _ in range(30):
                self.books[symbol].apply(self._depth(symbol))

    def __iter__(self) -> Iterator[Said]:
        while True:
            symbol = self._chance.choice(self.symbols)
            streams = wire_symbol(symbol).lower()
            kind = self._chance.random()
            if kind < 0.3:
                data = self._depth(symbol)
                self.books[symbol].apply(data)
                yield Said(f"{streams}@depth@100ms", data)
            elif kind < 0.8:
                yield Said(f"{streams}@bookTicker", self._ticker(symbol))
            else:
                yield Said(f"{streams}@trade", self._trade(symbol))

    def _depth(self, symbol: str) -> dict[str, Any]:
        chance, mid, book = self._chance, self._mids[symbol], self.books[symbol]
        mid += chance.randint(-3, 3)
        self._mids[symbol] = mid
        first = self._ids[symbol] + 1
        self._ids[symbol] += chance.randint(1, 5)
        bids = {f"{(mid - chance.randint(1, 40)) / 100:.2f}": f"{chance.randint(0, 900) / 100:.5f}" for _ in range(6)}
        asks = {f"{(mid + chance.randint(1, 40)) / 100:.2f}": f"{chance.randint(0, 900) / 100:.5f}" for _ in range(6)}
        bids |= {price: "0.00000" for price in book.bids if float(price) * 100 > mid - 0.5}
        asks |= {price: "0.00000" for price in book.asks if float(price) * 100 < mid + 0.5}
        return {
            "e": "depthUpdate", "s": wire_symbol(symbol), "U": first, "u": self._ids[symbol], "pu": first - 1,
            "b": [list(one) for one in bids.items()], "a": [list(one) for one in asks.items()],
        }  # fmt: skip

    def _ticker(self, symbol: str) -> dict[str, Any]:
        chance, mid = self._chance, self._mids[symbol]
        self._quote_id += 1
        half = chance.randint(1, 3)
        return {
            "u": self._quote_id, "s": wire_symbol(symbol), "b": f"{(mid - half) / 100:.2f}", "B": f"{chance.randint(1, 900) / 100:.5f}",
            "a": f"{(mid + half) / 100:.2f}", "A": f"{chance.randint(1, 900) / 100:.5f}",
        }  # fmt: skip

    def _trade(self, symbol: str) -> dict[str, Any]:
        self._trades[symbol] += 1
        price = f"{(self._mids[symbol] + self._chance.choice((-1, 1))) / 100:.2f}"
        size = f"{self._chance.randint(1, 99) / 1000:.5f}"
        return {
            "e": "trade",
            "s": wire_symbol(symbol),
            "t": self._trades[symbol],
            "p": price,
            "q": size,
            "m": self._chance.random() < 0.5,
            "M": True,
        }


class RecordedMarket:
    """BTCUSDT spot as it was recorded: the first `count` messages behind the snapshot, in the order in which they arrived."""

    symbols = ("BTCUSDT",)

    def __init__(self, data_dir: Path, count: int) -> None:
        book, self._messages = TrueBook(), []
        rows = _table(data_dir / "book" / "crypto_binance_l2.parquet")
        start = int(np.argmax(rows["kind"] == 0))
        number = rows["msg"][start]
        taken = rows["msg"] == number
        bids, asks = (_levels(rows, np.flatnonzero(taken & (rows["side"] == side))) for side in (1, -1))
        book.apply({"b": bids, "a": asks, "u": int(rows["last_id"][start])})
        cuts = np.flatnonzero(np.diff(rows["msg"], prepend=-1))
        for first, last in zip(cuts, [*cuts[1:], len(rows["msg"])], strict=True):
            if rows["kind"][first] != 1 or rows["last_id"][first] <= book.last_id:
                continue
            places = np.arange(first, last)
            data = {
                "e": "depthUpdate", "s": "BTCUSDT", "U": int(rows["first_id"][first]), "u": int(rows["last_id"][first]),
                "b": _levels(rows, places[rows["side"][places] == 1]), "a": _levels(rows, places[rows["side"][places] == -1]),
            }  # fmt: skip
            self._messages.append((int(rows["ts_recv"][first]), Said("btcusdt@depth@100ms", data)))
        since = self._messages[0][0]
        quotes = _table(data_dir / "quotes" / "crypto_binance_bbo.parquet")
        for k in np.flatnonzero(quotes["ts_recv"] >= since)[:count]:
            data = {
                "u": int(quotes["update_id"][k]), "s": "BTCUSDT", "b": f"{quotes['bid'][k]:.8f}", "B": f"{quotes['bid_size'][k]:.8f}",
                "a": f"{quotes['ask'][k]:.8f}", "A": f"{quotes['ask_size'][k]:.8f}",
            }  # fmt: skip
            self._messages.append((int(quotes["ts_recv"][k]), Said("btcusdt@bookTicker", data)))
        trades = _table(data_dir / "trades" / "crypto_binance_tick.parquet")
        for k in np.flatnonzero(trades["ts_recv"] >= since)[:count]:
            data = {
                "e": "trade", "s": "BTCUSDT", "t": int(trades["trade_id"][k]), "p": f"{trades['price'][k]:.8f}",
                "q": f"{trades['size'][k]:.8f}", "m": bool(trades["side"][k] < 0), "M": True,
            }  # fmt: skip
            self._messages.append((int(trades["ts_recv"][k]), Said("btcusdt@trade", data)))
        self._messages.sort(key=lambda one: one[0])
        del self._messages[count:]
        self.books = {"BTCUSDT": book}

    def __iter__(self) -> Iterator[Said]:
        for _, said in self._messages:
            if "U" in said.data:
                self.books["BTCUSDT"].apply(said.data)
            yield said


def _table(path: Path) -> dict[str, Any]:
    """The columns of BTCUSDT spot in a file, in the order in which they came."""
    table = pq.read_table(path)
    table = table.filter(pc.equal(pc.cast(table["symbol"], "string"), "BTCUSDT"))
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names if name != "symbol"}


def _levels(rows: dict[str, Any], places: Any) -> list[list[str]]:
    return [[f"{rows['price'][k]:.8f}", f"{rows['size'][k]:.8f}"] for k in places]


def wire_symbol(symbol: str) -> str:
    """As the venue calls it."""
    return symbol.removesuffix("-PERP")


def exchange_info(symbols: Sequence[str]) -> bytes:
    """The answer to /api/v3/exchangeInfo, or of futures."""
    described = [
        {
            "symbol": wire_symbol(symbol), "status": "TRADING", "baseAsset": symbol[:3], "quoteAsset": "USDT",
            **({"contractType": "PERPETUAL"} if symbol.endswith("-PERP") else {}),
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
            ],
        }
        for symbol in symbols
    ]  # fmt: skip
    return json.dumps({"timezone": "UTC", "serverTime": 0, "rateLimits": [], "symbols": described}).encode()
