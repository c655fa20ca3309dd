"""What a client must have counted that heard these frames: the venue's rules of numbering in plain Python, nothing of the decoder's."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

KINDS = {"trade": "trade", "bookTicker": "bookTicker", "depth@100ms": "depth", "depth@0ms": "depth"}


class Account:
    """Fill it with `hear`, `snapshot` and `lost`; every count is then what a feed of the `symbols` ("BTCUSDT") has to show."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self.symbols = symbols
        self.received = self.snapshots = 0
        self.trades_missed = 0
        self.delivered: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self.ids: dict[tuple[str, str], list[int]] = defaultdict(list)  # what was delivered, by symbol and kind, in order
        self.held: dict[str, list[int]] = {symbol: [] for symbol in symbols}  # updates that wait for a snapshot
        self._books: dict[str, int] = {}  # ids of the valid books
        self._newest: dict[tuple[str, str], int] = {}  # of trades and quotes
        self._fresh: set[tuple[str, str]] = set()  # that said something new over this connection

    @property
    def accounted(self) -> int:
        """Messages delivered or dropped: all, while none waits for a snapshot."""
        return sum(self.delivered.values()) + sum(self.dropped.values())

    def hear(self, frame: bytes) -> None:
        """One message, as it came over the wire."""
        self.received += 1
        reason = self._reason(frame)
        if reason:
            self.dropped[reason] += 1

    def snapshot(self, symbol: str, last: int) -> None:
        """A book that is newer than all that waits for it."""
        self.snapshots += 1
        assert max(self.held[symbol]) <= last
        self.dropped["in_snapshot"] += len(self.held[symbol])
        self._books[symbol] = last
        self.held[symbol].clear()

    def lost(self) -> None:
        """No socket is left."""
        self.gaps["connection"] += 1
        for held in self.held.values():
            self.dropped["disconnected"] += len(held)
            held.clear()
        self._books.clear()
        self._newest = {stream: number for stream, number in self._newest.items() if stream in self._fresh}
        self._fresh.clear()

    def _reason(self, frame: bytes) -> str:
        """Why a frame gives nothing, "" when it does or is held."""
        try:
            message = json.loads(frame)
        except ValueError:
            return "bad_json"
        if not isinstance(message, dict) or isinstance(message.get("data"), list):
            return "bad_shape"
        data = message.get("data", {})
        if data.get("e") == "serverShutdown":
            return "shutdown"
        if "stream" not in message:
            return "not_a_stream"
        wire_symbol, _, kind = message["stream"].partition("@")
        if kind not in KINDS:
            return "unknown_stream"
        if data["s"] != wire_symbol.upper() or data["s"] not in self.symbols:
            return "unknown_symbol"
        return (
            self._depth(data) if KINDS[kind] == "depth" else self._numbered(data["s"], KINDS[kind], data["t" if kind == "trade" else "u"])
        )

    def _numbered(self, symbol: str, kind: str, number: int) -> str:
        if number < 0:
            return "bad_id"
        stream = symbol, kind
        newest = self._newest.get(stream, number - 1)
        if number <= newest:
            return "stale" if kind == "bookTicker" and number < newest else "duplicate"
        if kind == "trade" and number > newest + 1:
            self.gaps["trade"] += 1
            self.trades_missed += number - newest - 1
        self._newest[stream] = number
        self._fresh.add(stream)
        self._deliver(symbol, kind, number)
        return ""

    def _depth(self, data: dict[str, Any]) -> str:
        symbol, number, before = data["s"], data["u"], data["pu"]
        if number < 0:
            return "bad_id"
        held = self.held[symbol]
        known = self._books.get(symbol, held[-1] if held else -1)
        if number <= known:
            return "duplicate"
        if symbol in self._books and before <= known:
            self._books[symbol] = number
            self._deliver(symbol, "depth", number, rows=len(data["b"]) + len(data["a"]))
            return ""
        if known >= 0 and before > known:
            self.gaps["depth"] += 1
            self.dropped["unjoined"] += len(held)
            held.clear()
            self._books.pop(symbol, None)
        held.append(number)
        return ""

    def _deliver(self, symbol: str, kind: str, number: int, rows: int = 1) -> None:
        self.delivered[kind] += 1
        if rows:
            self.ids[symbol, kind].append(number)
