"""The WebSocket stream: who is told what changed, ten times a second at most, and never more than a client takes.

One loop refreshes the board and wakes the clients; each sends itself what changed since its own last message. A client answers every
message with its version number. Up to four may be unanswered; then it is skipped, and its next message brings it to the newest state at
once. Who answers nothing for five seconds is closed with 1013 ("try again later"). So no client costs more than four messages of memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from tercel.api.board import FRAME_NS, Board, encode
from tercel.base.time import NS_PER_S, clock_ns, wall_ns

IDLE_NS: Final = NS_PER_S  # nobody watches: look once a second; nothing changed: a heartbeat once a second
UNANSWERED_MAX: Final = 4
SILENT_NS_MAX: Final = 5 * NS_PER_S
CLIENTS_MAX: Final = 256
ANSWER_CHARS_MAX: Final = 20
TRY_AGAIN, POLICY = 1013, 1008


class _SilentError(Exception):
    """The client has answered nothing for too long."""


class Client:
    """What is known of one connection: the versions sent and not yet answered, and when it last answered."""

    def __init__(self, now_ns: int) -> None:
        self.since = 0
        self.unanswered: deque[int] = deque()
        self.answered_ns = now_ns
        self.sent_ns = now_ns

    def answer(self, text: str, now_ns: int) -> bool:
        """Take the client's answer, a version number; False when it is none."""
        if len(text) > ANSWER_CHARS_MAX or not text.isdecimal():
            return False
        while self.unanswered and self.unanswered[0] <= int(text):
            self.unanswered.popleft()
        self.answered_ns = now_ns
        return True

    def ready(self, now_ns: int) -> bool:
        """Whether it may be sent another message. Raises when it owes an answer for too long."""
        if not self.unanswered:
            self.answered_ns = now_ns
        elif now_ns - self.answered_ns > SILENT_NS_MAX:
            raise _SilentError
        return len(self.unanswered) < UNANSWERED_MAX


class Hub:
    """Owns the board's refreshes and the connected clients."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.clients: set[Client] = set()
        self._tick: asyncio.Event = asyncio.Event()

    async def run(self) -> None:
        """Refresh and wake until cancelled: every 100 ms while somebody watches, every second otherwise."""
        while True:
            started = clock_ns()
            self.board.refresh(wall_ns())
            tick, self._tick = self._tick, asyncio.Event()
            tick.set()
            spent = clock_ns() - started
            await asyncio.sleep(max((FRAME_NS if self.clients or self.board.behind else IDLE_NS) - spent, FRAME_NS // 10) / NS_PER_S)

    async def serve(self, socket: WebSocket) -> None:
        """What changed since the last message, until the connection ends; `tercel.api.stream` says how it is answered."""
        await socket.accept()
        if len(self.clients) >= CLIENTS_MAX:
            await socket.close(TRY_AGAIN, "too many watchers")
            return
        client = Client(clock_ns())
        self.clients.add(client)
        try:
            async with asyncio.TaskGroup() as group:
                sender = group.create_task(self._send(socket, client))
                await self._listen(socket, client)
                sender.cancel()
        except* _SilentError:
            await _close(socket, TRY_AGAIN, "no answer for 5 s")
        except* (WebSocketDisconnect, RuntimeError, OSError):
            pass  # it went away while we were sending
        finally:
            self.clients.discard(client)

    async def _send(self, socket: WebSocket, client: Client) -> None:
        while True:
            now = clock_ns()
            if client.ready(now):
                await self._send_newest(socket, client, now)
            try:
                async with asyncio.timeout(SILENT_NS_MAX / NS_PER_S):
                    await self._tick.wait()
            except TimeoutError:
                continue

    async def _send_newest(self, socket: WebSocket, client: Client, now: int) -> None:
        version = self.board.version
        message = self.board.delta(client.since, wall_ns())
        client.since = version
        if not message:
            if now - client.sent_ns < IDLE_NS:
                return
            message = encode({"v": version, "full": False, "now_ms": wall_ns() / 1e6})  # heartbeat: the desk is there, nothing is new
        client.sent_ns = now
        client.unanswered.append(version)
        try:
            async with asyncio.timeout(SILENT_NS_MAX / NS_PER_S):
                await socket.send({"type": "websocket.send", "text": message.decode()})
        except TimeoutError:
            raise _SilentError from None

    async def _listen(self, socket: WebSocket, client: Client) -> None:
        while True:
            event = await socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if not client.answer(event.get("text") or "", clock_ns()):
                await _close(socket, POLICY, "expected a version number")
                return


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(1):
            await socket.close(code, reason)
    except (TimeoutError, RuntimeError, OSError):
        return
