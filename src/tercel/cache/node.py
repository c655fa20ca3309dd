"""One Redis server as level 2 sees it: a pool of wires, kept connected, listening for invalidations, judged by a breaker.

The first wire tracks: it asks the server to tell of every change to a key with our prefix (CLIENT TRACKING BCAST), but not of changes made
on this same wire (NOLOOP), and so it carries the writes. The others carry reads. When any of them ends, the node is down as a whole until
all are back: a node that cannot be heard must not be read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

from tercel.base.time import NS_PER_S
from tercel.cache.address import Address
from tercel.cache.breaker import Breaker, BreakerSettings
from tercel.cache.reading import Unavailable
from tercel.cache.wire import Answer, Refusal, Wire, connect

BACKOFF_S, BACKOFF_S_MAX = 0.05, 1.0
JITTER_SEED: Final = 20261124


class Link(NamedTuple):
    """How every node is reached; seconds throughout."""

    prefix: str
    whole: bool  # a single server: reads of one turn may be one MGET
    username: str | None = None
    password: str | None = None
    database: int = 0
    tls: ssl.SSLContext | None = None
    connect_s: float = 1.0
    timeout_s: float = 1.0
    wait_s_max: float = 0.25
    heartbeat_s: float = 0.5
    wires: int = 2
    breaker: BreakerSettings = BreakerSettings()


class Node:
    """A primary at an address. `changed(node)` is called when it comes up and when it goes down, `heard(node, keys)` at invalidations."""

    def __init__(
        self, address: Address, link: Link, *, changed: Callable[[Node], None], heard: Callable[[Node, list[bytes] | None], None],
    ) -> None:  # fmt: skip
        self.address, self.link = address, link
        self.up = False
        self.run_id = ""
        """The server's own name of this run of it: another one after a restart."""
        self.breaker = Breaker(link.breaker)
        self.losses = 0
        self.trouble = ""
        """Why it is not up, in a line; "" when it is, or was never tried."""
        self._changed, self._heard_keys = changed, heard
        self._wires: list[Wire] = []
        self._down = asyncio.Event()
        self._chance = Random(JITTER_SEED + address[1])  # noqa: S311 (spreads reconnects)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect and stay connected, in a task that `aclose` ends."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def aclose(self) -> None:
        """End the task and the wires."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._drop()

    def read(self, key: str) -> Answer:
        """Bytes of a key or None. Raises `Unavailable` at once when the node is down or its breaker open."""
        self._admit()
        wires = self._wires
        return wires[1 + (len(wires) > 2 and wires[2].owed < wires[1].owed) if len(wires) > 1 else 0].read(key)

    def ask(self, *parts: Any) -> Answer:
        """The answer to a command on the tracking wire. Raises `Unavailable` at once when the node is down or its breaker open."""
        self._admit()
        return self._wires[0].ask(*parts)

    def ask_both(self, *commands: tuple[Any, ...]) -> Answer:
        """The answer to the last of several commands that leave together; raises as `ask`."""
        self._admit()
        for parts in commands[:-1]:
            self._wires[0].ask(*parts)
        return self._wires[0].ask(*commands[-1])

    def _admit(self) -> None:
        if not self.up:
            raise Unavailable(f"cache level 2: {self.address[0]}:{self.address[1]} is down")
        if not self.breaker.allow():
            raise Unavailable(f"cache level 2: the breaker of {self.address[0]}:{self.address[1]} is open")

    async def _keep(self) -> None:
        backoff = BACKOFF_S
        while True:
            self._down.clear()
            try:
                await self._connect()
                backoff, self.trouble = BACKOFF_S, ""
                self._turn(True)
                await self._listen()
            except Unavailable as error:
                self.trouble = str(error)
            except Exception as error:  # noqa: BLE001 (an unforeseen answer of a server must not end the task that would connect again)
                self.trouble = repr(error)
            finally:
                self._drop()
                self._turn(False)
            await asyncio.sleep(backoff * (0.5 + self._chance.random()))
            backoff = min(2 * backoff, BACKOFF_S_MAX)

    async def _connect(self) -> None:
        link = self.link
        for number in range(max(1, link.wires)):
            wire = await connect(self._make, *self.address, seconds=link.connect_s, tls=link.tls)
            self._wires.append(wire)
            login = ("AUTH", link.username or "default", link.password) if link.password is not None else ()
            await self._agree(wire, "HELLO", "3", *login)
            if link.database:
                await self._agree(wire, "SELECT", str(link.database))
            if number == 0:
                await self._agree(wire, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", link.prefix, "NOLOOP")
        self.run_id = field(await self._agree(self._wires[0], "INFO", "server"), "run_id")
        if field(await self._agree(self._wires[0], "INFO", "replication"), "role") != "master":
            raise Unavailable(f"cache level 2: {self.address[0]}:{self.address[1]} is a replica")

    async def _agree(self, wire: Wire, *parts: str) -> Any:
        """An answer that is no refusal."""
        reply = await wire.ask(*parts)
        if isinstance(reply, Refusal):
            raise Unavailable(f"cache level 2: {self.address[0]}:{self.address[1]} refuses {parts[0]}: {reply}")
        return reply

    async def _listen(self) -> None:
        """Until a wire is lost; a heartbeat on each finds a connection that is open and mute."""
        while True:
            try:
                async with asyncio.timeout(self.link.heartbeat_s):
                    await self._down.wait()
            except TimeoutError:
                for wire in self._wires:
                    await self._agree(wire, "PING")
            else:
                return

    def _make(self) -> Wire:
        link = self.link
        return Wire(
            wait_ns_max=int(link.wait_s_max * NS_PER_S), timeout_ns=int(link.timeout_s * NS_PER_S), whole=link.whole,
            heard=self._heard, lost=self._lost, judged=self._judged,
        )  # fmt: skip

    def _heard(self, message: list[Any]) -> None:
        if message and message[0] == b"invalidate":
            self._heard_keys(self, message[1])

    def _lost(self) -> None:
        self._down.set()
        if self.up:
            self._turn(False)

    def _judged(self, good: int, bad: int) -> None:
        if good:
            self.breaker.success(good)
        if bad:
            self.breaker.failure(bad)

    def _turn(self, up: bool) -> None:
        if self.up != up:
            self.up = up
            self.losses += not up
            if up:
                self.breaker.reset()
            self._changed(self)

    def _drop(self) -> None:
        wires, self._wires = self._wires, []
        for wire in wires:
            wire.close()


def field(info: bytes | str, name: str) -> str:
    """One field of an INFO answer; "" when it is not there."""
    text = info.decode() if isinstance(info, bytes) else info
    return next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(f"{name}:")), "")
