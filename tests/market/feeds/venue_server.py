"""A venue on this machine: a real TLS WebSocket and HTTPS server (picows) that speaks as Binance does, and misbehaves on request.

It runs on a thread of its own with its own loop; every method here may be called from the test's thread. It has one market: `say` sends the
next messages to whoever subscribed to their streams. What a test asks of it (`drop`, `twice`, `swap`, `mute`, `garbage`, `reset` …) does
not change what has happened in the market: that is how a client's book can be compared with the true one.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import trustme
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, WSUpgradeResponse, ws_create_server
from picows.common import WSUpgradeResponseWithListener

from tests.market.feeds.venue_frames import RecordedFrames
from tests.market.feeds.venue_market import MadeMarket, RecordedMarket, Said, exchange_info

Market = MadeMarket | RecordedMarket | RecordedFrames
Result = TypeVar("Result")
ANSWER_S_MAX = 10.0
BURST_MAX = 20
SENT_MAX = 1 << 14  # whoever counts them takes them away in time


class Client(WSListener):
    """One connection of a client."""

    def __init__(self, venue: Venue, streams: frozenset[str]) -> None:
        self.venue, self.streams = venue, streams
        self.transport: WSTransport | None = None
        self.number = 0  # of the venue's connections
        self.mute = False
        self.lag = 0
        self._late: deque[bytes] = deque()  # messages on their way, when it lags

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.venue.clients.append(self)
        self.venue.opened += 1
        self.number = self.venue.opened

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PONG:
            self.venue.pongs += 1
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self in self.venue.clients:
            self.venue.clients.remove(self)

    def send(self, text: str | bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        if self.mute or self.transport is None:
            return
        data = text.encode() if isinstance(text, str) else text
        if kind == WSMsgType.TEXT and self.lag:
            self._late.append(data)
            if len(self._late) <= self.lag:
                return
            data = self._late.popleft()
        if kind == WSMsgType.TEXT:
            self.venue.sent.append((self.number, data))
        self.transport.send(kind, data)


class Venue:
    """The server; use it as a context. `port` serves both the WebSocket and the REST calls."""

    def __init__(self, market: Market, folder: Path) -> None:
        self.market = market
        self._messages: Iterator[Said] = iter(market)
        self.clients: list[Client] = []
        self.opened = self.pongs = self.said = 0
        self.sent: deque[tuple[int, bytes]] = deque(maxlen=SENT_MAX)  # the newest texts, with the number of the connection
        self.asked: Counter[str] = Counter()  # REST calls by path
        self.answers: deque[tuple[int, dict[str, str]]] = deque()  # statuses that the next depth calls get instead
        self.refuse: deque[int] = deque()  # statuses that the next handshakes get instead
        self.mute_new = False  # sockets that open from here on are never sent anything
        self._drop = self._twice = 0
        self._held: tuple[Said, bytes] | None = None
        self._swap = False
        self._damaged = 0
        self._damage: Callable[[bytes], bytes] = bytes
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(self._context)
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="venue", daemon=True)
        self._ready = threading.Event()
        self._player: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"wss://127.0.0.1:{self.port}"

    def __enter__(self) -> Venue:
        self._thread.start()
        assert self._ready.wait(ANSWER_S_MAX)
        return self

    def __exit__(self, *error: object) -> None:
        self._call(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_S_MAX)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(self._serve(0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, port: int) -> asyncio.Server:
        return await ws_create_server(self._accept, "127.0.0.1", port, ssl=self._context)

    def _close(self) -> None:
        if self._player is not None:
            self._player.cancel()
        self._server.close()
        for client in list(self.clients):
            assert client.transport is not None
            client.transport.disconnect(False)

    def _call(self, what: Callable[[], Result]) -> Result:
        """Run something on the server's thread and wait for it."""
        done: list[Any] = []
        event = threading.Event()

        def act() -> None:
            try:
                done.append(what())
            except Exception as error:
                done.append(error)
            event.set()

        self._loop.call_soon_threadsafe(act)
        assert event.wait(ANSWER_S_MAX)
        if isinstance(done[0], Exception):
            raise done[0]
        result: Result = done[0]
        return result

    # REST and handshakes.

    def _accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        parts = urlsplit(request.path.decode())
        if parts.path in ("/stream", "/public/stream"):
            if self.refuse:
                return _answer(self.refuse.popleft(), b"{}", {})
            client = Client(self, frozenset(parse_qs(parts.query)["streams"][0].split("/")))
            client.mute = self.mute_new
            return client
        self.asked[parts.path] += 1
        query = parse_qs(parts.query)
        if parts.path in ("/api/v3/depth", "/fapi/v1/depth"):
            if self.answers:
                status, headers = self.answers.popleft()
                return _answer(status, b'{"code":-1003,"msg":"Too many requests."}', headers)
            symbol = query["symbol"][0] + ("-PERP" if parts.path.startswith("/fapi") else "")
            return _answer(200, self.market.books[symbol].snapshot(), {})
        if parts.path == "/api/v3/exchangeInfo":
            wanted = json.loads(query["symbols"][0])
            if any(symbol not in self.market.symbols for symbol in wanted):
                return _answer(400, b'{"code":-1121,"msg":"Invalid symbol."}', {})
            return _answer(200, exchange_info(wanted), {})
        if parts.path == "/fapi/v1/exchangeInfo":
            return _answer(200, exchange_info(self.market.symbols), {})
        if parts.path == "/api/v3/ticker/price":
            return _answer(200, json.dumps([{"symbol": one, "price": "1.0"} for one in self.market.symbols]).encode(), {})
        return _answer(404, b"{}", {})

    # The market.

    def say(self, count: int = 1) -> None:
        """Let so many messages happen and send them."""

        def act() -> None:
            for _ in range(count):
                self._say_next()

        self._call(act)

    def play(self, per_s: float) -> None:
        """Go on saying messages by itself."""

        def act() -> None:
            self._player = self._loop.create_task(self._play(per_s))

        self._call(act)

    def pause(self) -> None:
        """No message by itself any more."""

        def act() -> None:
            if self._player is not None:
                self._player.cancel()
                self._player = None

        self._call(act)

    async def _play(self, per_s: float) -> None:
        started, said = time.perf_counter(), 0
        while True:
            await asyncio.sleep(0.005)
            due = int((time.perf_counter() - started) * per_s)
            said = max(said, due - BURST_MAX)  # a machine that cannot keep up says less, and still listens
            while said < due:
                if not self._say_next():
                    return
                said += 1

    def _say_next(self) -> bool:
        said = next(self._messages, None)
        if said is None:
            return False
        self.said += 1
        text = said.frame or _dated(said)
        if self._drop:
            self._drop -= 1
            return True
        if self._damaged:
            self._damaged -= 1
            text = self._damage(text)
        if self._swap and self._held is None:
            self._held = said, text
            return True
        copies = 2 if self._twice else 1
        self._twice -= 1 if self._twice else 0
        for _ in range(copies):
            self._send(said, text)
        if self._held is not None:
            self._send(*self._held)
            self._held, self._swap = None, False
        return True

    def _send(self, said: Said, text: bytes) -> None:
        for client in self.clients:
            if said.frame or said.stream in client.streams:
                client.send(text)

    # Misbehaviour.

    def drop(self, count: int) -> None:
        """The next messages happen and are sent to nobody."""
        self._drop = count

    def twice(self, count: int) -> None:
        """The next messages are sent twice."""
        self._twice = count

    def swap(self) -> None:
        """The next message is sent behind the one after it."""
        self._swap = True

    def damage(self, count: int, how: Callable[[bytes], bytes]) -> None:
        """The next messages arrive as `how` leaves them."""
        self._damaged, self._damage = count, how

    def mute(self) -> None:
        """Every socket stays open and says nothing more, pings excepted."""
        self._call(lambda: [setattr(client, "mute", True) for client in self.clients])

    def lag(self, count: int) -> None:
        """Whoever is connected hears each message only after so many others: another way through the network than that of later ones."""
        self._call(lambda: [setattr(client, "lag", count) for client in self.clients])

    def garbage(self, *frames: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        """Frames that are no messages, to everybody."""
        self._call(lambda: [client.send(frame, kind) for frame in frames for client in self.clients])

    def raw(self, data: bytes) -> None:
        """Bytes that are no frames of the library's, to everybody."""
        self._call(lambda: [client.transport.underlying_transport.write(data) for client in self.clients if client.transport])

    def parts(self, whole: bytes, cuts: int) -> None:
        """One message in several frames."""

        def act() -> None:
            step = -(-len(whole) // cuts)
            pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
            for client in self.clients:
                assert client.transport is not None
                for number, piece in enumerate(pieces):
                    kind = WSMsgType.CONTINUATION if number else WSMsgType.TEXT
                    client.transport.send(kind, piece, fin=number == len(pieces) - 1)

        self._call(act)

    def ping(self) -> None:
        """A ping to everybody."""
        self._call(lambda: [client.transport.send_ping(b"1732476000000") for client in self.clients if client.transport])

    def reset(self) -> None:
        """Every connection ends with a TCP reset, in the middle of whatever there was."""

        def act() -> None:
            for client in list(self.clients):
                assert client.transport is not None
                under = client.transport.underlying_transport
                under.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                under.abort()

        self._call(act)

    def close_all(self) -> None:
        """Every connection is closed in order, as after 24 hours."""

        def act() -> None:
            for client in list(self.clients):
                assert client.transport is not None
                client.transport.send_close()
                client.transport.disconnect()

        self._call(act)

    def announce(self) -> None:
        """The venue says that it will close."""
        event = {"e": "serverShutdown", "E": time.time_ns() // 1_000}
        self._call(lambda: [client.send(json.dumps({"stream": "", "data": event})) for client in self.clients])

    def count(self) -> int:
        """Connections that are open."""
        return self._call(lambda: len(self.clients))


def _dated(said: Said) -> bytes:
    """A made message with the time of now."""
    now_us = time.time_ns() // 1_000
    times = {"E": now_us} if "e" in said.data else {}
    times |= {"T": now_us} if said.data.get("e") == "trade" else {}
    return json.dumps({"stream": said.stream, "data": {**said.data, **times}}, separators=(",", ":")).encode()


def frame_of(text: bytes) -> bytes:
    """A whole text frame as bytes, unmasked as servers send it (RFC 6455, section 5.2)."""
    size = len(text)
    return b"\x81" + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)) + text


def _answer(status: int, body: bytes, headers: dict[str, str]) -> WSUpgradeResponseWithListener:
    response = WSUpgradeResponse()
    response.version, response.status = b"HTTP/1.1", HTTPStatus(status)
    made = (
        WSUpgradeResponse.create_ok_response(body, headers)
        if status == 200
        else WSUpgradeResponse.create_error_response(status, body, headers)
    )
    return WSUpgradeResponseWithListener(made, None)
