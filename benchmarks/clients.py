"""Dashboards for the latency benchmark, in a process of their own: `python -m benchmarks.clients URL WS_PATH COUNT`.

Each opens one WebSocket, reads every message and answers it with its version number, as the page does; beside them the page itself is
loaded once a second. Written on bare asyncio so that the load is the server's, not a client library's. Prints one JSON line when all are
connected and one at the end, which comes when its standard input closes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections import Counter
from urllib.parse import urlsplit

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
CONNECT_S_MAX = 20.0
PAGE_EVERY_S = 1.0


async def frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The opcode and payload of the next frame of a server, which never masks."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2))
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8))
    return first & 0x0F, await reader.readexactly(size)


async def upgrade(host: str, port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An open WebSocket. ConnectionError with the server's first line when it refuses."""
    reader, writer = await asyncio.open_connection(host, port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise ConnectionError(f"WebSocket {path}: {head.splitlines()[0].decode()}")
    return reader, writer


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client: at most 125 bytes of payload."""
    mask = os.urandom(4)
    body = bytes(byte ^ mask[place & 3] for place, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + body


async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Counter[str]) -> None:
    """Read and answer until the server closes; count what came."""
    while True:
        try:
            opcode, payload = await frame(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            opcode, payload = CLOSE, b""
        if opcode == CLOSE:
            seen["closed"] += 1
            return
        if opcode == PING:
            writer.write(masked(PONG, payload))
            continue
        seen["messages"] += 1
        seen["bytes"] += len(payload)
        writer.write(masked(TEXT, str(json.loads(payload)["v"]).encode()))


async def reload(host: str, port: int, seen: Counter[str]) -> None:
    """Load the page again and again, each time on a new connection."""
    while True:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        seen["page_bytes"] += len(await reader.read(-1))
        writer.close()
        seen["pages"] += 1
        await asyncio.sleep(PAGE_EVERY_S)


async def main(url: str, path: str, count: int) -> None:
    """Connect, say so, watch until standard input closes, say what was seen."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    seen: Counter[str] = Counter()
    async with asyncio.timeout(CONNECT_S_MAX):
        sockets = [await upgrade(host, port, path) for _ in range(count)]
    print(json.dumps({"connected": len(sockets)}), flush=True)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watch(reader, writer, seen)) for reader, writer in sockets]
        tasks.append(group.create_task(reload(host, port, seen)))
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
    print(json.dumps(dict(seen)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
