"""The venue of `socket`, in a process of its own: `python -m benchmarks.venue COUNT PER_S` says its port, sends, and says when.

A plain WebSocket on loopback (picows). Whoever connects is sent bookTickers of BTCUSDT at fixed times, late or not: a listener that is slow
makes no quote later.
"""

from __future__ import annotations

import asyncio
import json
import sys

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks.peers.quotes import VENUE_S_MAX, bids, now_ns

SETTLE_S = 0.5  # between the connection and the first quote
REST_S = 1.0  # behind the last: the listener may still be writing


class Listener(WSListener):
    """The one connection."""

    def __init__(self, connected: asyncio.Future[WSTransport]) -> None:
        self._connected = connected

    def on_ws_connected(self, transport: WSTransport) -> None:
        if not self._connected.done():
            self._connected.set_result(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())


def framed(number: int, bid: float) -> bytes:
    """A bookTicker as the venue writes it."""
    return (
        f'{{"stream":"btcusdt@bookTicker","data":{{"u":{number + 1},"s":"BTCUSDT","b":"{bid:.8f}","B":"1.00000000",'
        f'"a":"{bid + 0.01:.8f}","A":"1.00000000"}}}}'
    ).encode()


async def serve(count: int, per_s: float) -> None:
    """Serve one listener and end."""
    connected: asyncio.Future[WSTransport] = asyncio.get_running_loop().create_future()

    def accept(request: WSUpgradeRequest) -> WSListener:
        return Listener(connected)

    server = await ws_create_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    transport = await asyncio.wait_for(connected, VENUE_S_MAX)
    await asyncio.sleep(SETTLE_S)
    frames = [framed(number, bid) for number, bid in enumerate(bids(count))]
    start_ns, sent_ns = now_ns(), []
    for number, frame in enumerate(frames):
        await asyncio.sleep(max(0.0, start_ns / 1e9 + number / per_s - now_ns() / 1e9))
        sent_ns.append(now_ns())
        transport.send(WSMsgType.TEXT, frame)
    await asyncio.sleep(REST_S)
    print(json.dumps(sent_ns), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
