"""Recorded frames as a market of the local venue: the very bytes, in the order in which they came, to everybody who is connected.

The feed is for Binance, so two recordings are served: four perpetuals of `raw/websocket`, and a collector's of one, which has trades and a
snapshot. Other venues' frames (`FOREIGN`) have no decoder here; to this feed they are bad frames, and are sent as such.

The true books are built of the frames by `TrueBook`. Where the recording has a snapshot the venue answers with its bytes until something
changes. The other begins with nothing: the venue's book is then what has been said of it, and whole as far as it goes. Its best prices are
the market's once everything near the top has changed: `SETTLED` updates of each symbol, counted over the file.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tercel.market.feeds.binance import PERPETUAL
from tests.market.feeds.binance_frames import COLLECTOR, SNAPSHOT_START, WEBSOCKET, lines
from tests.market.feeds.venue_market import Said, TrueBook

RECORDINGS = {"websocket": f"{WEBSOCKET}/BINANCE_FUTURES.ws.1.0.gz", "collector": f"{COLLECTOR}/btcusdt_20240718.gz"}
FOREIGN = tuple(
    f"{WEBSOCKET}/{name}.gz"
    for name in ("BITSTAMP.ws.1.0", "BYBIT.ws.26.0", "COINBASE.ws.28.0", "DERIBIT.ws.1.0", "KRAKEN.ws.50.0", "OKX.ws.1.0")
)
SETTLED = 44


class RecordedFrames:
    """A recording by its path. `now_ns` is when the newest frame came: the clock of whoever listens."""

    def __init__(self, path: Path) -> None:
        self.frames: list[tuple[int, bytes, dict[str, Any]]] = []
        self.books: dict[str, TrueBook] = defaultdict(TrueBook)
        self.updates: Counter[str] = Counter()  # said so far, by symbol
        self._quotes: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
        snapshots: list[bytes] = []
        for recv_ns, payload, message in _read(path):
            if payload.startswith(SNAPSHOT_START):
                snapshots.append(payload)
                continue
            self.frames.append((recv_ns, payload, message))
            data, book = message["data"], self.books[message["data"]["s"] + PERPETUAL]
            if message["stream"].endswith("@bookTicker"):
                self._quotes[data["s"] + PERPETUAL].append((data["u"], float(data["b"]), float(data["a"])))
        self.symbols = tuple(self.books)
        self.settled = 0 if snapshots else SETTLED
        for payload in snapshots:  # one, of a recording of one symbol
            found = json.loads(payload)
            book.bids, book.asks, book.last_id, book.recorded = dict(found["bids"]), dict(found["asks"]), found["lastUpdateId"], payload
        self.now_ns = self.frames[0][0]

    def __iter__(self) -> Iterator[Said]:
        for recv_ns, frame, message in self.frames:
            self.now_ns = recv_ns
            if "@depth" in message["stream"]:
                data, symbol = message["data"], message["data"]["s"] + PERPETUAL
                self.updates[symbol] += 1
                if data["u"] > self.books[symbol].last_id:
                    self.books[symbol].apply(data)
            yield Said(message["stream"], {}, frame)

    def best(self, symbol: str, last_id: int) -> tuple[float, float]:
        """Best bid and ask by the recorded quote with the greatest id not above `last_id`: the oracle of the data's README."""
        quotes = self._quotes[symbol]
        return quotes[bisect_right(quotes, (last_id, float("inf"), float("inf"))) - 1][1:]


@cache
def _read(path: Path) -> tuple[tuple[int, bytes, dict[str, Any]], ...]:
    """Arrival in ns, bytes and meaning of everything in a recording, for all who play it."""
    return tuple((recv_ns, payload, json.loads(payload)) for recv_ns, payload in lines(path))


def foreign_frames(data_dir: Path, count: int) -> list[bytes]:
    """The first messages of each venue that the feed is not for."""
    return [payload for path in FOREIGN for _, (_, payload) in zip(range(count), lines(data_dir / path), strict=False)]
