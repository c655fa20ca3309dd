"""Which node holds which key: one server, or the 16,384 slots of a cluster, followed through fail-over and resharding.

A *floor* per slot says from when on a value of that slot is believed. A slot that changes its node, or whose server was restarted, may have
forgotten an invalidation that had been acknowledged (replication and saving lag behind), so what was written before the change was noticed,
plus an allowance for clocks that differ, is no longer believed. It costs misses, once.

The map is read again when a node comes or goes, when a server answers MOVED, and every ten seconds.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

from tercel.base.time import NS_PER_MS, wall_ns
from tercel.cache.address import Address
from tercel.cache.node import Link, Node, field
from tercel.cache.reading import Unavailable
from tercel.cache.wire import Refusal, Wire, connect

SLOTS: Final = 16_384
SCAN_COUNT: Final = 1_000
REFRESH_S, RETRY_S = 10.0, 0.15

try:
    from redis.crc import key_slot
except ImportError:
    from tercel.base.errors import MissingExtra

    raise MissingExtra("cache level 2: redis and hiredis are not installed; pip install 'tercel[redis]'") from None


class Slots:
    """The nodes of level 2. `heard(keys)` gets invalidated keys (None: all), `state(up)` whether every slot's node is up and heard,
    `moved(slots)` the slots whose values are in doubt. `remap` turns an announced address into one that can be reached."""

    def __init__(
        self, seeds: list[Address], link: Link, *, cluster: bool, skew_ms: int, heard: Callable[[list[bytes] | None], None],
        state: Callable[[bool], None], moved: Callable[[set[int]], None], remap: Callable[[Address], Address] | None = None,
    ) -> None:  # fmt: skip
        self.link, self.cluster = link, cluster
        self.nodes: dict[Address, Node] = {}
        self.floors = array("q", bytes(8 * (SLOTS if cluster else 1)))
        self.up = False
        self.moves = 0
        self.trouble = ""
        self._seeds, self._skew_ms, self._remap = seeds, skew_ms, remap or (lambda address: address)
        self._heard, self._state, self._moved = heard, state, moved
        self._owners: list[Node | None] = [None] * len(self.floors)
        self._known: dict[int, tuple[Address, str]] = {}  # slot -> the last node it was read from, and that server's run
        self._doubt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._epoch = 0

    def start(self) -> None:
        """Begin to connect; nothing is waited for."""
        if self.cluster:
            self._task = asyncio.get_running_loop().create_task(self._follow())
        else:
            self._adopt({self._seeds[0]: range(1)})

    async def aclose(self) -> None:
        """End every task and connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        for node in self.nodes.values():
            await node.aclose()
        if self._closing:
            await asyncio.wait(self._closing)

    def slot(self, key: str) -> int:
        """The slot of a key."""
        return key_slot(key.encode()) if self.cluster else 0

    def node(self, slot: int) -> Node:
        """The node of a slot. Raises `Unavailable` while nobody is known to hold it."""
        node = self._owners[slot]
        if node is None:
            raise Unavailable(f"cache level 2: no node is known for slot {slot}")
        return node

    def primaries(self) -> list[Node]:
        """The nodes that hold slots."""
        return list(self.nodes.values())

    def doubt(self) -> None:
        """Read the map again soon."""
        self._doubt.set()

    async def command(self, key: str, *parts: Any) -> Any:
        """A command to the node of a key, redirections followed. Raises `Unavailable`."""
        slot = self.slot(key)
        reply = await self.node(slot).ask(*parts)
        if isinstance(reply, Refusal):
            reply = await self.settle(slot, reply, *parts)
        return reply

    async def scan(self, node: Node, pattern: str) -> AsyncIterator[list[str]]:
        """The keys of a node, a page at a time."""
        cursor: Any = b"0"
        while True:
            reply = await node.ask("SCAN", cursor, "MATCH", pattern, "COUNT", str(SCAN_COUNT))
            if isinstance(reply, Refusal):
                raise Unavailable(f"cache level 2: {reply}")
            cursor, keys = reply
            if keys:
                yield [key.decode() for key in keys]
            if cursor == b"0":
                return

    async def settle(self, slot: int, refusal: Refusal, *parts: Any) -> Any:
        """What to do about a refusal: follow MOVED and ASK once, else raise `Unavailable` with it."""
        word, _, rest = str(refusal).partition(" ")
        if word in ("MOVED", "ASK") and self.cluster:
            host, _, port = rest.partition(" ")[2].rpartition(":")
            node = self.nodes.get(self._remap((host, int(port))))
            if word == "MOVED":
                self.doubt()
            if node is not None:
                reply = await (node.ask_both(("ASKING",), parts) if word == "ASK" else node.ask(*parts))
                if not isinstance(reply, Refusal):
                    return reply
                refusal = reply
        elif word in ("CLUSTERDOWN", "READONLY", "LOADING", "MASTERDOWN"):
            self.doubt()
        raise Unavailable(f"cache level 2: {refusal}")

    async def _follow(self) -> None:
        """Keep the map true."""
        while True:
            self._doubt.clear()
            try:
                owners = await self._ask_map()
            except (TypeError, ValueError, AttributeError) as error:  # an answer of another shape: no map
                owners, self.trouble = {}, repr(error)
            if owners:
                self._adopt(owners)
            whole = bool(owners) and self.up
            try:
                async with asyncio.timeout(REFRESH_S if whole else RETRY_S):
                    await self._doubt.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(0.02)  # several doubts at once are one

    async def _ask_map(self) -> dict[Address, list[int]]:
        """Slots by primary, from the first node that knows an owner for every slot, else from the one that knows most; {} from none.

        A node that was away and still lives in an older epoch of the cluster than one seen before is not believed.
        """
        best: dict[Address, list[int]] = {}
        most = 0
        for address in [*(node.address for node in self.nodes.values() if node.up), *self._seeds, *self.nodes]:
            node = self.nodes.get(address)
            try:
                if node is not None and node.up:
                    reply, info = await asyncio.gather(node.ask("CLUSTER", "SLOTS"), node.ask("CLUSTER", "INFO"))
                else:
                    reply, info = await self._ask_stranger(address)
            except Unavailable as error:
                self.trouble = str(error)
                continue
            epoch = int(field(info, "cluster_current_epoch") or 0) if isinstance(info, bytes | str) else 0
            if isinstance(reply, list) and reply and epoch >= self._epoch:
                self._epoch = epoch
                owners = self._owners_of(reply, address[0])
                known = sum(map(len, owners.values()))
                if known >= SLOTS:
                    return owners
                if known > most:
                    best, most = owners, known
        return best

    def _owners_of(self, reply: list[Any], asked: str) -> dict[Address, list[int]]:
        """Slots by primary of a CLUSTER SLOTS answer; a node that does not know its own host means the one that was asked."""
        owners: dict[Address, list[int]] = {}
        for first, last, (host, port, *_), *_ in reply:
            name = host.decode() if host not in (None, b"", b"?") else asked
            owners.setdefault(self._remap((name, port)), []).extend(range(first, last + 1))
        return owners

    async def _ask_stranger(self, address: Address) -> Any:
        """CLUSTER SLOTS and INFO over a connection of its own."""
        link, ended = self.link, asyncio.Event()

        def make() -> Wire:
            wait_ns = int(link.wait_s_max * 1e9)
            return Wire(
                wait_ns_max=wait_ns, timeout_ns=wait_ns, whole=False, heard=lambda _: None, lost=ended.set, judged=lambda good, bad: None
            )

        wire = await connect(make, *address, seconds=link.wait_s_max, tls=link.tls)
        try:
            if link.password is not None:
                await wire.ask("AUTH", link.username or "default", link.password)
            return await asyncio.gather(wire.ask("CLUSTER", "SLOTS"), wire.ask("CLUSTER", "INFO"))
        finally:
            wire.close()

    def _adopt(self, owners: dict[Address, Any]) -> None:
        """Open nodes that appeared, close those that went, and give every slot its node."""
        for address in owners.keys() - self.nodes.keys():
            node = self.nodes[address] = Node(address, self.link, changed=self._changed, heard=self._hear)
            node.start()
        for address in self.nodes.keys() - owners.keys():
            task = asyncio.get_running_loop().create_task(self.nodes.pop(address).aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        fresh: list[Node | None] = [None] * len(self._owners)
        for address, slots in owners.items():
            for slot in slots:
                fresh[slot] = self.nodes[address]
        self._owners = fresh
        self._check()

    def _changed(self, node: Node) -> None:
        if self.nodes.get(node.address) is node:
            if not node.up:
                self.doubt()
            self._check()

    def _check(self) -> None:
        """Raise the floors of slots that have another node or another run of it, then say whether everything is up."""
        moved: set[int] = set()
        for slot, node in enumerate(self._owners):
            if node is not None and node.up:
                now = (node.address, node.run_id)
                before = self._known.get(slot)
                if before != now:
                    self._known[slot] = now
                    if before is not None:
                        moved.add(slot)
        if moved:
            self.moves += 1
            floor = wall_ns() // NS_PER_MS + self._skew_ms
            for slot in moved:
                self.floors[slot] = floor
            self._moved(moved)
        up = all(node is not None and node.up for node in self._owners)
        if up != self.up:
            self.up = up
            self._state(up)

    def _hear(self, node: Node, keys: list[bytes] | None) -> None:
        if self.nodes.get(node.address) is node:
            self._heard(keys)

    def floor(self, slots: Iterable[int]) -> int:
        """The wall time in ms before which values of these slots are not believed."""
        return max(map(self.floors.__getitem__, slots))
