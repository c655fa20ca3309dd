"""One connection to a Redis server, shared by every task: RESP3, pipelined, keep-alive, every wait bounded.

What is asked in one turn of the loop leaves in one write, at most 100 commands at a time; against a single server the reads among them
become one MGET. Answers come in order, so each is handed to the oldest question; a task that was cancelled meanwhile simply no longer wants
it, and nobody can get another's answer. A question waits `wait_ns_max`, then fails as `Slow`; when the server owes an answer for
`timeout_ns`, the connection is closed. Push messages go to `heard`.

redis-py gives the slots, the address parser and hiredis the protocol; its own asyncio connections take one task at a time and cost
six times as much (docs/decisions/0010-cache.md).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from tercel.base.errors import MissingExtra
from tercel.base.time import NS_PER_MS, NS_PER_S, steady_ns
from tercel.cache.reading import Slow, Unavailable

try:
    from hiredis import PushNotification, Reader, ReplyError, pack_command
except ImportError:
    raise MissingExtra("cache level 2: redis and hiredis are not installed; pip install 'tercel[redis]'") from None

BATCH_MAX: Final = 100
OWED_MAX: Final = 10_000
BUFFER_BYTES_MAX: Final = 32 << 20
KEEP_ALIVE: Final = (60, 30, 3)
"""Seconds of silence before a probe, between probes, and probes before the connection is given up."""

Answer = asyncio.Future[Any]
Refusal = ReplyError
"""What the server answers when it refuses a command; delivered as a value, not raised."""


class Wire(asyncio.Protocol):
    """A connection; made by `connect`. `lost` is called once, when it has ended for whatever reason."""

    def __init__(
        self, *, wait_ns_max: int, timeout_ns: int, whole: bool, heard: Callable[[Any], None], lost: Callable[[], None],
        judged: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self.open = False
        self._wait_ns_max, self._timeout_ns, self._whole = wait_ns_max, timeout_ns, whole
        self._heard, self._lost, self._judged = heard, lost, judged
        self._reader = Reader(notEnoughData=self)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reads: list[tuple[str, Answer]] = []
        self._commands: list[tuple[tuple[Any, ...], Answer]] = []
        self._owed: deque[tuple[int, Answer | list[Answer]]] = deque()
        self._turn = False
        self._watch: asyncio.TimerHandle | None = None
        self._watch_s = min(wait_ns_max, timeout_ns) / 4 / NS_PER_S

    @property
    def owed(self) -> int:
        """Questions without an answer yet, a batch of reads counted once."""
        return len(self._owed)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport  # type: ignore[assignment]
        self.open = True
        keep_alive(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: everything owed fails."""
        self.open = False
        if self._watch is not None:
            self._watch.cancel()
        error = Unavailable("cache level 2: the connection was lost")
        waiting = [answer for _, answer in self._reads] + [answer for _, answer in self._commands]
        for _, target in self._owed:
            waiting += target if isinstance(target, list) else [target]
        self._reads.clear()
        self._commands.clear()
        self._owed.clear()
        failed = 0
        for answer in waiting:
            if not answer.done():
                failed += 1
                answer.set_exception(error)
                answer.exception()  # seen: whoever waits raises it, and nobody has to
        if failed:
            self._judged(0, failed)
        self._lost()

    def close(self) -> None:
        """End it now; `lost` is called in a later turn of the loop."""
        if self._transport is not None:
            self._transport.abort()

    def read(self, key: str) -> Answer:
        """Bytes of a key or None, joined with the other reads of this turn. Raises `Unavailable` when closed or swamped."""
        answer = self._admit()
        self._reads.append((key, answer))
        return answer

    def ask(self, *parts: Any) -> Answer:
        """The answer to one command, a `Refusal` included. Raises `Unavailable` when closed or swamped."""
        answer = self._admit()
        self._commands.append((parts, answer))
        return answer

    def _admit(self) -> Answer:
        if not self.open or len(self._owed) >= OWED_MAX:
            raise Unavailable("cache level 2: not connected" if not self.open else f"cache level 2: {OWED_MAX} answers are owed")
        if not self._turn:
            self._turn = True
            self._loop.call_soon(self._flush)
        elif len(self._reads) + len(self._commands) >= BATCH_MAX:
            self._send()
        return self._loop.create_future()

    def _flush(self) -> None:
        self._turn = False
        self._send()

    def _send(self) -> None:
        """Write what was asked: commands first, in their order, then reads."""
        if self._transport is None or not self.open:
            return
        now = steady_ns()
        packed = []
        for parts, answer in self._commands:
            packed.append(pack_command(parts))
            self._owed.append((now, answer))
        if self._whole and len(self._reads) > 1:
            packed.append(pack_command(("MGET", *(key for key, _ in self._reads))))  # type: ignore[arg-type]
            self._owed.append((now, [answer for _, answer in self._reads]))
        else:
            for key, answer in self._reads:
                packed.append(pack_command(("GET", key)))  # type: ignore[arg-type]
                self._owed.append((now, answer))
        self._reads.clear()
        self._commands.clear()
        if packed:
            self._transport.write(b"".join(packed))
            if self._transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
                self.close()
            elif self._watch is None:
                self._watch = self._loop.call_later(self._watch_s, self._judge)

    def data_received(self, data: bytes) -> None:
        """Called by the loop: answers and push messages, in order."""
        reader, answered = self._reader, 0
        reader.feed(data)
        while (reply := reader.gets()) is not self:
            if isinstance(reply, PushNotification):
                self._heard(reply)
                continue
            if not self._owed:
                self.close()  # an answer to nothing: this stream cannot be trusted any more
                return
            target = self._owed.popleft()[1]
            answered += 1
            if isinstance(target, list):
                replies = reply if isinstance(reply, list) and len(reply) == len(target) else [reply] * len(target)
                for answer, value in zip(target, replies, strict=True):
                    if not answer.done():
                        answer.set_result(value)
            elif not target.done():
                target.set_result(reply)
        if answered:
            self._judged(answered, 0)

    def _judge(self) -> None:
        """Fail what has waited too long; close a connection whose server has owed an answer for longer than that."""
        self._watch = None
        now, slow = steady_ns(), 0
        if self._owed and now - self._owed[0][0] > self._timeout_ns:
            self.close()
            return
        for sent_ns, target in self._owed:
            if now - sent_ns <= self._wait_ns_max:
                break
            for answer in target if isinstance(target, list) else [target]:
                if not answer.done():
                    slow += 1
                    answer.set_exception(Slow(f"cache level 2: no answer within {self._wait_ns_max / NS_PER_MS:.0f} ms"))
                    answer.exception()
        if slow:
            self._judged(0, slow)
        if self._owed:
            self._watch = self._loop.call_later(self._watch_s, self._judge)


def keep_alive(raw: socket.socket | None) -> None:
    """No delay, and probes on an idle connection, where the socket is a TCP one."""
    if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), KEEP_ALIVE, strict=True):
            if hasattr(socket, option):
                raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


async def connect(make: Callable[[], Wire], host: str, port: int, *, seconds: float, tls: ssl.SSLContext | None) -> Wire:
    """A connected wire. Raises `Unavailable` after `seconds`, or when nothing listens there."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            _, wire = await loop.create_connection(make, host, port, ssl=tls)
    except (OSError, TimeoutError) as error:
        raise Unavailable(f"cache level 2: {host}:{port}: {str(error) or 'no answer'}") from None
    return wire
