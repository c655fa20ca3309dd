"""One WebSocket to a venue: picows calls back for each frame, whole messages go on; nothing is awaited on the way of the data.

Pings are answered by the library. Compression is never offered, so no frame may be compressed. Messages in several frames (RFC 6455,
section 5.4) are put together up to the bound of one frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tercel.base.errors import VenueUnavailable
from tercel.market.feeds.care import Care
from tercel.market.feeds.https import Address

# The library logs a traceback for every frame that breaks the protocol: why a socket ended is counted and said by the session instead.
_SILENT = logging.getLogger("picows.tercel")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

Message = memoryview | bytes
OnMessage = Callable[["Connection", Message], None]
OnOdd = Callable[[str], None]


class Connection(WSListener):
    """A socket that delivers whole text messages to `on_message`, what is none of them by name to `on_odd`; `closed` when it ends.

    `on_message` may be exchanged at any time. An error that it raises is kept in `error` and ends the socket: it is ours, not the venue's.
    """

    def __init__(self, on_message: OnMessage, on_odd: OnOdd, on_end: Callable[[Connection], None], bytes_max: int) -> None:
        self.on_message, self._on_odd, self._on_end, self._bytes_max = on_message, on_odd, on_end, bytes_max
        self.closed = asyncio.Event()
        self.first = asyncio.Event()  # set by its first message
        self.error: Exception | None = None
        self.heard_s = self.opened_s = asyncio.get_running_loop().time()
        self.messages = 0
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._parts = bytearray()
        self._unfinished = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See picows."""
        self._transport = transport
        self.heard_s = self.opened_s = self._loop.time()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See picows; the frame's memory is the library's and valid during the call only."""
        kind = frame.msg_type
        if kind == WSMsgType.TEXT and frame.fin and not frame.rsv1 and not self._unfinished:
            self._take(frame.get_payload_as_memoryview())
        elif kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif kind not in (WSMsgType.PING, WSMsgType.PONG):
            self._odd(frame, kind)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """See picows."""
        self.closed.set()
        self._on_end(self)

    def _odd(self, frame: WSFrame, kind: WSMsgType) -> None:
        continues = kind == WSMsgType.CONTINUATION
        if frame.rsv1 or kind == WSMsgType.BINARY or continues != self._unfinished:
            self._on_odd("compressed" if frame.rsv1 else "binary" if kind == WSMsgType.BINARY else "out_of_order_frame")
            self._unfinished = kind == WSMsgType.TEXT and not frame.fin and not frame.rsv1
            self._parts = bytearray(frame.get_payload_as_bytes() if self._unfinished else b"")
            return
        self._parts += frame.get_payload_as_memoryview()
        self._unfinished = not frame.fin
        if len(self._parts) > self._bytes_max:
            self._on_odd("oversized")
            self.abort()
        elif frame.fin:
            whole, self._parts = bytes(self._parts), bytearray()
            self._take(whole)

    def _take(self, message: Message) -> None:
        self.heard_s = self._loop.time()
        self.messages += 1
        try:
            self.on_message(self, message)
        except Exception as error:  # noqa: BLE001 - the library would log it and go on; whoever owns the session must see it
            self.error = error
            self.abort()
        if self.messages == 1:
            self.first.set()

    def close(self) -> None:
        """End it politely; `closed` follows."""
        if self._transport is not None and not self.closed.is_set():
            with contextlib.suppress(OSError):
                self._transport.send_close()
            self._transport.disconnect()

    def abort(self) -> None:
        """End it now: nothing in flight is read any more."""
        if self._transport is not None:
            self._transport.disconnect(False)


async def connect(
    address: Address, path: str, context: ssl.SSLContext, care: Care, on_message: OnMessage, on_odd: OnOdd,
    on_end: Callable[[Connection], None],
) -> Connection:  # fmt: skip
    """A socket that has shaken hands, within `care.connect` seconds. Raises `OSError`, `TimeoutError` or `picows.WSError`."""
    url = f"{'wss' if address.secure else 'ws'}://{address.netloc}{path}"
    made: list[Connection] = []

    def listener() -> Connection:
        made.append(Connection(on_message, on_odd, on_end, care.frame_bytes_max))
        return made[0]

    try:
        async with asyncio.timeout(care.connect):
            await ws_connect(
                listener, url, ssl_context=context if address.secure else None, max_frame_size=care.frame_bytes_max, max_redirects=0,
                websocket_handshake_timeout=care.connect, logger_name=_SILENT,
            )  # fmt: skip
    except asyncio.InvalidStateError as problem:
        raise VenueUnavailable(f"{address.netloc}: it ended during the handshake ({problem})") from None
    return made[0]
