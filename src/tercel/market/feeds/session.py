"""The logical session behind a live feed: however many sockets it takes, each message once and in order, and every break said.

Messages are gathered as they come and decoded together in `flush`, which whoever runs the loop calls after each look at the sockets: so
compiled code is entered once for all that a read has brought, and a burst is read many times faster than one by one.

Three tasks of one group: one keeps a socket that delivers, one fetches the snapshots that the decoder wants, both told by the clock of
the loop. A socket is replaced when it ends, falls silent, grows old, or the venue announces that it will end it. Whenever the old one
still works the new one is opened beside it and its messages are held; after `care.overlap` seconds the old one is closed and the held ones
are decoded, in order, those already known dropped by their numbers. So nothing is lost, doubled or turned round at such a change. Only
when no socket is left the decoder is told that data is lost.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from picows import WSError, WSHandshakeError

from tercel.base.errors import TercelError
from tercel.base.records import Records
from tercel.market.book import Book
from tercel.market.feeds import https
from tercel.market.feeds.care import Backoff, Care, QuietWatch
from tercel.market.feeds.connection import Connection, Message, connect
from tercel.market.feeds.https import Address, Answer

LOOK_EVERY_S: Final = 0.1
GATHERED_MAX: Final = 1_024  # messages of one look; more are decoded in between
PAUSE_S: Final = 60.0  # when the venue says "too many requests" and not how long to wait
REFUSED: Final = (418, 429)
BUSY: Final = (500, 502, 503, 504)


class Decoder(Protocol):
    """The pure half of a venue: from messages to records, from numbers to gaps. See `tercel.market.feeds.binance`."""

    @property
    def streams(self) -> tuple[str, ...]:
        """What is subscribed to."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Messages that gave no record, by reason."""

    @property
    def gaps(self) -> Mapping[str, int]:
        """Gaps found, by instrument or reason."""

    closing: bool  # the venue has announced its end; whoever acts on it sets it back

    def path(self) -> str:
        """Path and query of the WebSocket."""

    def frames(self, payloads: list[bytes], recv_ns: int, step_ns: int) -> Records:
        """Records of messages that came together, the first at `recv_ns`, each of the others `step_ns` after the one before."""

    def wanted_snapshots(self) -> tuple[str, ...]:
        """Symbols whose book must be fetched."""

    def snapshot_path(self, symbol: str) -> str:
        """Path and query of a snapshot."""

    def snapshot(self, symbol: str, body: bytes, recv_ns: int) -> Records:
        """Records of a snapshot."""

    def disconnected(self, recv_ns: int) -> Records:
        """Gaps of everything."""

    def book(self, symbol: str) -> Book:
        """The book of a symbol."""


class Tape(Protocol):
    """What writes down a session as it came."""

    @property
    def wanted(self) -> AbstractSet[str]:
        """Symbols whose snapshot it wants, whether the book does or not."""

    def message(self, payload: Message, recv_ns: int) -> None:
        """A message of the socket, before it is decoded."""

    def snapshot(self, symbol: str, body: bytes, recv_ns: int) -> None:
        """A snapshot."""

    def disconnected(self, recv_ns: int) -> None:
        """From here on data is missing."""


class Session:
    """One logical session. `run` never returns by itself; `deliver` is given records in order of arrival. `stamp(n)` is the wall clock in
    ns, after which none is told before n ns later: messages of one look are 1 ns apart. `wake` is called when there is something to flush.

    `symbols` maps instrument ids to symbols. Counters: `messages`, `odd` (frames that are no text messages, by reason), `ended` (why
    sockets were replaced), `failures` (attempts that failed, by reason), `snapshots`.
    """

    def __init__(
        self, decoder: Decoder, symbols: Mapping[int, str], stream: Address, rest: Address, context: ssl.SSLContext, care: Care,
        chance: random.Random, stamp: Callable[[int], int], deliver: Callable[[Records], None], wake: Callable[[], None],
        tape: Tape | None = None,
    ) -> None:  # fmt: skip
        self.decoder, self.care = decoder, care
        self._stream, self._rest, self._context = stream, rest, context
        self._chance, self._stamp, self._deliver, self._wake, self._tape = chance, stamp, deliver, wake, tape
        self._quiet = QuietWatch(symbols, care)
        self.messages = self.connects = self.snapshots = 0
        self.odd: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.problem = ""  # of the last failed attempt, for people; "" while it works
        self.heard_s: dict[int, float] = {}  # by instrument id
        self.paused_until_s = 0.0
        self._serving: Connection | None = None
        self._next: Connection | None = None  # waits for its turn
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._gathered: list[bytes] = []
        self._gathered_ns = 0  # when the first of them came
        self._heard_s = 0.0
        self.newest_ns = 0  # stamp of the newest message that said something

    @property
    def connected(self) -> bool:
        """Whether a socket delivers."""
        return self._serving is not None

    async def run(self) -> None:
        """Keep the session until cancelled. Raises what our own code raises, never for what venue or network do."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_connected())
            group.create_task(self._keep_books())

    def end(self) -> None:
        """Close what is open; for whoever cancelled `run`."""
        self.flush()
        for one in (self._serving, self._next):
            if one is not None:
                one.on_message = _ignore
                one.abort()
        self._serving = self._next = None

    # Sockets.

    async def _keep_connected(self) -> None:
        backoff = Backoff(self.care.wait_first, self.care.wait_max, self._chance)
        while True:
            fresh = await self._open(backoff)
            if not await self._go_over(fresh):
                self.failures["ended_early"] += 1
                await asyncio.sleep(backoff.wait_s())
                continue
            # Sessions that began together must not end together.
            why = await self._watch(fresh, self.care.life * (1.0 - 0.1 * self._chance.random()))
            self.ended[why.partition(" ")[0]] += 1
            self.problem = why
            if why.startswith("mute"):
                fresh.abort()
                self._lose(fresh)
            lived_s = _now_s() - fresh.opened_s
            if lived_s >= self.care.wait_max:
                backoff.reset()
            if self._serving is None or lived_s < self.care.wait_max:
                await asyncio.sleep(backoff.wait_s())

    async def _open(self, backoff: Backoff) -> Connection:
        """A socket with its first message held back; tries until there is one."""
        while True:
            self._held, self._held_bytes = [], 0
            try:
                fresh = await connect(self._stream, self.decoder.path(), self._context, self.care, self._hold, self._count_odd, self._lose)
                await self._first_message(fresh)
            except (OSError, TimeoutError, WSError, TercelError) as problem:
                self.failures[_reason(problem)] += 1
                self.problem = str(https.explain(_plain(problem), self._stream))
                await asyncio.sleep(backoff.wait_s())
                continue
            self.connects += 1
            self.problem = ""
            return fresh

    async def _first_message(self, fresh: Connection) -> None:
        try:
            async with asyncio.timeout(self.care.silence):
                await _either(fresh.first, fresh.closed)
        except TimeoutError:
            fresh.abort()
            raise
        if fresh.error is not None:
            raise fresh.error
        if fresh.closed.is_set():
            raise ConnectionError("the venue ended the connection at once")

    async def _go_over(self, fresh: Connection) -> bool:
        """Let `fresh` serve: at once when nothing else does, else when the old one had time to deliver all before. False when it ended.

        Should the old one end meanwhile, `fresh` takes over in that moment: it holds everything since, and the numbers say what is missing.
        """
        if self._serving is not None:
            self._next = fresh
            until_s = _now_s() + self.care.overlap
            while _now_s() < until_s and self._serving is not fresh and not fresh.closed.is_set():
                await asyncio.sleep(min(LOOK_EVERY_S, self.care.overlap))
            self._next = None
        if fresh.error is not None:
            raise fresh.error
        if fresh.closed.is_set() and self._serving is not fresh:
            return False
        if self._serving is not fresh:
            self._switch(fresh)
        return True

    def _hold(self, connection: Connection, message: Message) -> None:
        self._held.append(bytes(message))
        self._held_bytes += len(message)
        if self._held_bytes > self.care.held_bytes_max:
            self.ended["overlong"] += 1
            self._switch(connection)

    def _switch(self, fresh: Connection) -> None:
        """From here on `fresh` serves, first with what it held; the old socket is through."""
        self.flush()
        old, self._serving, self._next = self._serving, fresh, None
        fresh.on_message = self._message
        held, self._held, self._held_bytes = self._held, [], 0
        for message in held:
            self._message(fresh, message)
        if old is not None:
            old.on_message = _ignore
            old.close()

    async def _watch(self, serving: Connection, life_s: float) -> str:
        """Why the socket that serves is to be replaced: "closed", "mute", "old", "announced", "quiet SYMBOL"."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await serving.closed.wait()
            except TimeoutError:
                pass
            if serving.error is not None:
                raise serving.error
            if serving.closed.is_set():
                return "closed by the venue or the network"
            now_s = _now_s()
            if now_s - serving.heard_s > self.care.silence:
                return f"mute for {self.care.silence:g} s"
            if self.decoder.closing:
                self.decoder.closing = False
                return "announced by the venue"
            if now_s - serving.opened_s > life_s:
                return "old"
            if quiet := self._quiet.found(self.heard_s, now_s):
                return f"quiet {quiet}"

    def _lose(self, connection: Connection) -> None:
        """A socket has ended: when it was the one that served, data is missing from here on."""
        if connection is not self._serving:
            return
        if self._next is not None and not self._next.closed.is_set():
            self._switch(self._next)
            return
        self.flush()
        self._serving = None
        now_ns = self._stamp(1)
        if self._tape is not None:
            self._tape.disconnected(now_ns)
        self._deliver(self.decoder.disconnected(now_ns))

    def _count_odd(self, reason: str) -> None:
        self.odd[reason] += 1

    def _message(self, connection: Connection, message: Message) -> None:
        self.messages += 1
        self._heard_s = connection.heard_s
        self._gathered.append(bytes(message))
        if len(self._gathered) == 1:
            self._gathered_ns = self._stamp(GATHERED_MAX)
            self._wake()
        elif len(self._gathered) == GATHERED_MAX:
            self.flush()

    def flush(self) -> None:
        """Decode and deliver what was gathered."""
        gathered = self._gathered
        if not gathered:
            return
        self._gathered, now_ns = [], self._gathered_ns
        if self._tape is not None:
            for number, message in enumerate(gathered):
                self._tape.message(message, now_ns + number)
        records = self.decoder.frames(gathered, now_ns, 1)
        if len(records):
            self.newest_ns = now_ns
            self.heard_s.update(dict.fromkeys(records["instrument"].tolist(), self._heard_s))
            self._deliver(records)

    # Snapshots.

    async def _keep_books(self) -> None:
        """Fetch what the decoder wants, one at a time and never faster than `care.request_every`; refusals pause all of it."""
        retries: dict[str, Backoff] = {}
        due_s: dict[str, float] = {}
        while True:
            await asyncio.sleep(min(LOOK_EVERY_S, self.care.request_every))
            if not self.connected or _now_s() < self.paused_until_s:
                continue
            wanted = tuple(dict.fromkeys([*self.decoder.wanted_snapshots(), *(self._tape.wanted if self._tape is not None else ())]))
            for symbol in [known for known in retries if known not in wanted]:
                del retries[symbol]
                due_s.pop(symbol, None)
            due = [one for one in wanted if _now_s() >= due_s.get(one, 0.0)]
            if not due:
                continue
            symbol = due[0]
            retry = retries.setdefault(symbol, Backoff(self.care.request_every * 2.0, self.care.wait_max, self._chance))
            await self._fetch(symbol)
            due_s[symbol] = _now_s() + retry.wait_s()  # a snapshot may be older than what it is for, and wanted again
            await asyncio.sleep(self.care.request_every)

    async def _fetch(self, symbol: str) -> None:
        path = self.decoder.snapshot_path(symbol)
        try:
            answer = await https.get(self._rest, path, self._context, seconds=self.care.request, bytes_max=self.care.body_bytes_max)
        except (OSError, TimeoutError, TercelError) as problem:
            self.failures[f"snapshot_{_reason(problem)}"] += 1
            return
        if answer.status != 200:
            self.failures[f"snapshot_{answer.status}"] += 1
            self._pause(answer)
            return
        self.flush()
        now_ns = self._stamp(1)
        self.snapshots += 1
        if self._tape is not None:
            self._tape.snapshot(symbol, answer.body, now_ns)
        if symbol not in self.decoder.wanted_snapshots():
            return  # the tape alone wanted it
        records = self.decoder.snapshot(symbol, answer.body, now_ns)
        if len(records):
            self._deliver(records)

    def _pause(self, answer: Answer) -> None:
        if answer.status in REFUSED:
            self.paused_until_s = _now_s() + answer.retry_after_s(PAUSE_S if "retry-after" not in answer.headers else 1.0)
        elif answer.status in BUSY:
            self.paused_until_s = _now_s() + answer.retry_after_s(0.0)


def _ignore(connection: Connection, message: Message) -> None:
    """What still comes from a socket that was replaced: it is known already."""


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _plain(problem: BaseException) -> BaseException:
    """What a refused handshake means, in the words of its HTTP status; anything else as it is."""
    if isinstance(problem, WSHandshakeError) and problem.response is not None:
        return ConnectionError(f"the venue answered the handshake with HTTP {int(problem.response.status)}")
    return problem


def _reason(problem: BaseException) -> str:
    """A short stable word for a counter."""
    if isinstance(problem, WSHandshakeError) and problem.response is not None:
        return f"http_{int(problem.response.status)}"
    if isinstance(problem, ssl.SSLError):
        return "tls"
    if isinstance(problem, TimeoutError):
        return "timeout"
    if isinstance(problem, ConnectionRefusedError):
        return "refused"
    return "network" if isinstance(problem, OSError) else "protocol"


async def _either(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
