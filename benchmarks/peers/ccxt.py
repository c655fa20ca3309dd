"""ccxt in its own environment: `python -m benchmarks.peers.ccxt frames OPTIONS` (see `worker`); and the least that Python can do."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ccxt.pro

from benchmarks.peers.worker import Answer, serve, timed, versions

URL = "wss://stream.binance.com:9443/stream"
NO = dict.fromkeys(("margin", "swap", "future", "option", "contract", "linear", "inverse"), False)
MARKET = {
    "id": "BTCUSDT", "lowercaseId": "btcusdt", "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT",
    "type": "spot", "spot": True, **NO, "active": True, "precision": {"price": 0.01, "amount": 0.00001}, "limits": {}, "info": {},
}  # fmt: skip


def plain(lines: list[bytes]) -> list[float]:
    """`json.loads` into dictionaries, the numbers to floats, the ids compared: no more checks than that."""
    last: dict[str, int] = {}
    told = []
    for line in lines:
        message = json.loads(line)
        stream, data = message["stream"], message["data"]
        trade = stream.endswith("@trade")
        number = data["t"] if trade else data["u"]
        if number <= last.get(stream, -1):
            continue
        last[stream] = number
        if trade:
            told.append((data["T"], float(data["p"]), float(data["q"]), data["m"]))
        else:
            told.append((float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"])))
    return list(told[-1])


def frames(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """The client's own handler for text messages, which decodes (with orjson, since it is there) and calls the exchange's handlers."""
    doors = {name: Path(path).read_bytes().splitlines() for name, path in options["doors"].items()}

    async def client_of() -> tuple[Any, Any]:
        exchange = ccxt.pro.binance()
        exchange.set_markets([MARKET])
        return exchange, exchange.client(URL)

    loop = asyncio.new_event_loop()
    exchange, client = loop.run_until_complete(client_of())
    handle = client.handle_text_or_binary_message

    def handler(lines: list[str]) -> None:
        for line in lines:
            handle(line)

    def repeat() -> Answer:
        rates = {}
        for name, lines in doors.items():
            text = [line.decode() for line in lines]
            rates[name] = {
                "ccxt.pro": len(lines) / timed(partial(handler, text)).seconds,
                "json.loads": len(lines) / timed(partial(plain, lines)).seconds,
            }
        return {"rates": rates, "bid": exchange.bidsasks["BTC/USDT"]["bid"], "price": exchange.trades["BTC/USDT"][-1]["price"]}

    repeat()
    return {"versions": versions("ccxt", "orjson")}, repeat


if __name__ == "__main__":
    serve(partial({"frames": frames}[sys.argv[1]], json.loads(sys.argv[2])))
