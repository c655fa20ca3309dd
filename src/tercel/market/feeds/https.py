"""A venue's address, and one GET over TLS: verified, bounded in time and size.

A small client of its own, because a live session needs one request every few minutes and no more: HTTP/1.1, one connection a request, the
body by its length, in chunks or to the end (RFC 9112, sections 6 and 7).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from tercel.base.errors import ConfigError, TercelError, VenueUnavailable

HEAD_BYTES_MAX: Final = 32_768
_SCHEMES: Final = {"wss": True, "https": True, "ws": False, "http": False}
_PORTS: Final = {True: 443, False: 80}
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class Address(msgspec.Struct, frozen=True):
    """Where a venue is: host, port, and whether it speaks TLS."""

    host: str
    port: int
    secure: bool

    @property
    def netloc(self) -> str:
        """Host and port as a URL has them, the usual port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.secure] else f"{host}:{self.port}"


class Answer(msgspec.Struct, frozen=True):
    """What a server answered. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def retry_after_s(self, otherwise_s: float) -> float:
        """Seconds the server asks to wait (Retry-After in seconds), between `otherwise_s` and an hour."""
        asked = self.headers.get("retry-after", "")
        return min(3_600.0, max(otherwise_s, float(asked))) if asked.isdigit() else otherwise_s


class BadAnswer(VenueUnavailable):
    """Something that is no HTTP, or more of it than allowed."""


def address_of(url: str) -> Address:
    """An address from "wss://host:port" or "https://host". Raises `ConfigError`; without TLS only this very machine is reached."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in _SCHEMES or not host or parts.path not in ("", "/") or parts.query or parts.username:
        raise ConfigError(f"endpoint: expected wss://HOST, wss://HOST:PORT, or the same with https, found {url!r}")
    secure = _SCHEMES[parts.scheme]
    if not secure and host not in _LOOPBACK:
        raise ConfigError(f"endpoint {url!r}: expected wss:// or https://; without TLS only this very machine is reached")
    return Address(host, port or _PORTS[secure], secure)


def tls(authority: str | None) -> ssl.SSLContext:
    """A context that verifies name and chain, by the machine's trust store or by the authorities of a PEM file alone."""
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as problem:
        raise ConfigError(f"--ca {Path(authority or '').name}: expected a readable file of PEM certificates ({problem})") from None


async def get(address: Address, path: str, context: ssl.SSLContext, *, seconds: float, bytes_max: int) -> Answer:
    """The answer to GET `path`, all of it within `seconds`. Raises `OSError`, `TimeoutError` or `BadAnswer`."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=context if address.secure else None, limit=HEAD_BYTES_MAX
        )
        try:
            head = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nUser-Agent: tercel\r\nAccept: application/json\r\n"
            writer.write(f"{head}Accept-Encoding: identity\r\nConnection: close\r\n\r\n".encode("ascii"))
            return await _answer(reader, bytes_max)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as problem:
            raise BadAnswer(f"{address.netloc}: expected an answer in HTTP/1.1, found something else ({problem})") from None
        finally:
            writer.transport.abort()  # nothing more is wanted; a polite end of TLS could wait for ever


async def _answer(reader: asyncio.StreamReader, bytes_max: int) -> Answer:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, status, *_ = lines[0].split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"it began with {lines[0][:40]!r}")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    return Answer(int(status), headers, await _body(reader, headers, bytes_max))


async def _body(reader: asyncio.StreamReader, headers: dict[str, str], bytes_max: int) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = bytearray()
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(_bounded(len(body) + size, bytes_max) - len(body))
            await reader.readline()
        return bytes(body)
    if "content-length" in headers:
        return await reader.readexactly(_bounded(int(headers["content-length"]), bytes_max))
    body = bytearray()
    while part := await reader.read(65_536):
        body += part
        _bounded(len(body), bytes_max)
    return bytes(body)


def _bounded(size: int, bytes_max: int) -> int:
    if not 0 <= size <= bytes_max:
        raise BadAnswer(f"expected an answer of at most {bytes_max} bytes, found {size}")
    return size


def explain(problem: BaseException, address: Address) -> TercelError:
    """What a failed connection means for whoever started it, and what to do."""
    where = address.netloc
    if isinstance(problem, TercelError):
        return problem
    if isinstance(problem, ssl.SSLCertVerificationError):
        why = problem.verify_message or str(problem)
        return ConfigError(
            f"{where}: its certificate is not trusted ({why}); nothing was read. Where a proxy inspects the traffic, "
            f"give its authority with --ca FILE; never trust an unknown one for trading"
        )
    if isinstance(problem, ssl.SSLError):
        return VenueUnavailable(f"{where}: no TLS with it ({problem.reason or problem}); check address, port and proxies in between")
    if isinstance(problem, socket.gaierror):
        return VenueUnavailable(f"{where}: the name cannot be resolved ({problem.strerror}); check the network, DNS and the address")
    if isinstance(problem, TimeoutError):
        return VenueUnavailable(f"{where}: no answer in time; check the network and firewalls, then try again")
    return VenueUnavailable(f"{where}: no connection ({problem}); check the network and the address")


def refuse(answer: Answer, address: Address, what: str) -> TercelError | None:
    """None for a good answer, else what the status means and what to do."""
    where = f"{address.netloc}: {what}"
    if answer.status == 200:
        return None
    if answer.status in (403, 451):
        return ConfigError(
            f"{where}: the venue does not serve this place or network (HTTP {answer.status}); "
            f"use another network, or another of its addresses with --endpoint, as its terms allow"
        )
    if answer.status in (418, 429):
        wait_s = answer.retry_after_s(60.0)
        return VenueUnavailable(f"{where}: too many requests from this address (HTTP {answer.status}); try again in {wait_s:.0f} s")
    words = answer.body[:200].decode(errors="replace")
    return VenueUnavailable(f"{where}: expected HTTP 200, found {answer.status} {words!r}; try again later")
