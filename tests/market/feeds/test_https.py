"""One GET: bodies in every form, bounds of time and size, refusals in words."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from tercel.base.errors import ConfigError, VenueUnavailable
from tercel.market.feeds.https import Address, Answer, BadAnswer, address_of, get, refuse, tls

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(folder: Path, answer: bytes, *, slowly_s: float = 0.0, bytes_max: int = 10_000, seconds: float = 5.0) -> Answer:
    """What a GET makes of these bytes, sent over TLS by a server that then closes."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in [answer[k : k + 7] for k in range(0, len(answer), 7)] if slowly_s else [answer]:
            writer.write(part)
            await asyncio.sleep(slowly_s)
        writer.close()

    async def run() -> Answer:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            address = Address("127.0.0.1", port, secure=True)
            return await get(address, "/x", tls(str(folder / "ca.pem")), seconds=seconds, bytes_max=bytes_max)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello",
    ],
)
@pytest.mark.parametrize("slowly_s", [0.0, 0.001])
def test_bodies_by_length_in_chunks_and_to_the_end(tmp_path: Path, answer: bytes, slowly_s: float) -> None:
    """RFC 9112 names three ways a body ends; each is read, at once or piece by piece."""
    found = ask(tmp_path, answer, slowly_s=slowly_s)
    assert (found.status, found.body) == (200, b"hello")


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\x00\x01\x02", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http_is_said_so(tmp_path: Path, answer: bytes) -> None:
    """Nothing half read is taken for an answer."""
    with pytest.raises((BadAnswer, OSError)):
        ask(tmp_path, answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2000\r\n" + b"x" * 0x2000 + b"\r\n7fffffff\r\n",
    ],
)
def test_a_body_above_the_bound_is_refused(tmp_path: Path, answer: bytes) -> None:
    """However its length is told, and before it is read."""
    with pytest.raises(BadAnswer, match="expected an answer of at most 10000 bytes"):
        ask(tmp_path, answer)


def test_an_answer_that_drips_is_given_up_in_time(tmp_path: Path) -> None:
    """The time is for all of it, not for each piece."""
    with pytest.raises(TimeoutError):
        ask(tmp_path, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b"x" * 900, slowly_s=0.05, seconds=0.3)


def test_statuses_say_what_to_do() -> None:
    """A place that is not served is for the operator, too many requests are for later, both in words."""
    address = Address("data-api.example", 443, secure=True)

    def said(status: int, **headers: str) -> str:
        found = refuse(Answer(status, headers, b"{}"), address, "books")
        assert found is not None
        assert isinstance(found, ConfigError if status in (403, 451) else VenueUnavailable)
        return str(found)

    assert refuse(Answer(200, {}, b"{}"), address, "books") is None
    assert "does not serve this place" in said(451)
    assert "does not serve this place" in said(403)
    assert "try again in 90 s" in said(429, **{"retry-after": "90"})
    assert "try again in 60 s" in said(418)
    assert "found 500" in said(500)


def test_addresses() -> None:
    """wss and https with a host; in the clear only this machine; nothing else."""
    assert address_of("wss://x.example") == Address("x.example", 443, secure=True)
    assert address_of("https://[::1]:9443/").netloc == "[::1]:9443"
    assert address_of("ws://127.0.0.1:80").netloc == "127.0.0.1"
    for wrong in ("x.example", "ftp://x", "wss://", "wss://x/path", "wss://x?y=1", "wss://u:p@x", "wss://x:99999", "ws://x.example"):
        with pytest.raises(ConfigError, match="endpoint"):
            address_of(wrong)
