"""What one writes in an afternoon, in its own environment: websockets' client with its defaults, json.loads, the rule, a file and fsync."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from typing import IO, Any

import websockets

from benchmarks.peers.quotes import Intent, Rule, answer, now_ns, venue
from benchmarks.peers.worker import Answer, serve, versions


def socket(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """A message at a time: decoded, the newest id kept, the rule asked, an intent appended and fsynced."""

    async def trade(port: int, file: IO[str]) -> list[Intent]:
        rule, last, intents = Rule(), -1, []
        async with websockets.connect(f"ws://127.0.0.1:{port}/stream?streams=btcusdt@bookTicker") as connection:
            async for message in connection:
                data = json.loads(message)["data"]
                number = data["u"] - 1
                if number <= last:
                    continue
                last = number
                if rule.turns((float(data["b"]) + float(data["a"])) / 2.0):
                    line = json.dumps({"id": len(intents) + 1, "side": rule.side, "size": 0.02 if intents else 0.01, "cause": number})
                    written_ns = now_ns()
                    file.write(line + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                    intents.append(Intent(number, written_ns, now_ns()))
                if number == options["count"] - 1:
                    break
        return intents

    def repeat() -> Answer:
        with venue(options["python"], options["count"], options["per_s"]) as sender, tempfile.TemporaryFile("w+") as file:
            intents = asyncio.run(trade(sender.port, file))
            return answer(sender.sent_ns(), intents)

    return {"versions": versions("websockets")}, repeat


if __name__ == "__main__":
    serve(partial({"socket": socket}[sys.argv[1]], json.loads(sys.argv[2])))
