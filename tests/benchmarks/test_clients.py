"""The dashboards of the latency benchmark behave as the page does."""

from __future__ import annotations

import asyncio
from collections import Counter

from benchmarks.clients import CLOSE, PING, PONG, TEXT, frame, masked, upgrade, watch


async def conversation() -> tuple[list[tuple[int, bytes]], Counter[str]]:
    """One client against a server that says hello, pings, sends a long message and closes; what each side saw."""
    heard: list[tuple[int, bytes]] = []
    long = b'{"v": 8, "text": "' + b"x" * 70_000 + b'"}'

    async def listen(reader: asyncio.StreamReader) -> None:
        head, second = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(second & 0x7F)
        heard.append((head & 0x0F, bytes(byte ^ mask[place & 3] for place, byte in enumerate(payload))))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        for message in (bytes([0x80 | TEXT, 8]) + b'{"v": 7}', bytes([0x80 | PING, 2]) + b"hi", b"\x81\x7f" + len(long).to_bytes(8) + long):
            writer.write(message)
            await listen(reader)
        writer.write(bytes([0x80 | CLOSE, 0]))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen: Counter[str] = Counter()
    async with server, asyncio.timeout(10):
        reader, writer = await upgrade("127.0.0.1", server.sockets[0].getsockname()[1], "/ws")
        await watch(reader, writer, seen)
        writer.close()
    return heard, seen


def test_a_client_answers_messages_with_their_version_and_pings_with_pongs() -> None:
    """What the server hears is 7, the ping's own text, and 8 for a message longer than 64 KiB; the close is counted."""
    heard, seen = asyncio.run(conversation())
    assert heard == [(TEXT, b"7"), (PONG, b"hi"), (TEXT, b"8")]
    assert seen["messages"] == 2
    assert seen["bytes"] > 70_000
    assert seen["closed"] == 1


def test_a_masked_frame_reads_back() -> None:
    """Masking is its own inverse; the lengths are where RFC 6455 puts them."""
    sent = masked(TEXT, b"123")
    assert (sent[0], sent[1]) == (0x81, 0x83)
    assert bytes(byte ^ sent[2 + place] for place, byte in enumerate(sent[6:])) == b"123"


def test_a_server_frame_of_medium_length_reads_back() -> None:
    """Lengths from 126 to 65,535 stand in two bytes."""

    async def read() -> tuple[int, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(b"\x81\x7e" + (300).to_bytes(2) + b"y" * 300)
        return await frame(reader)

    assert asyncio.run(read()) == (TEXT, b"y" * 300)
