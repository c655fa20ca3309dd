"""Level 2, Redis: what all processes share, read and written in batches, told apart by nonces, heard when it changes.

**Invalidation** writes a tombstone, it does not delete: the change is then heard by every process even where nothing was stored, and a
value whose making began before it finds the tombstone instead of the gap it saw, and is refused. To that end whoever fills says what was
seen, the first eight bytes of the entry: a gap is filled with SET NX, anything else by a script that compares. A plain `write` is the
caller's own truth and replaces everything.

**Tags** have a key each, with a nonce. A value carries its tags' nonces from before it was made; invalidating a tag gives it another nonce.
A tag without a key invalidates what has it, so losing the key is safe. Nonces are remembered here while changes are heard.

**Patterns** are announced by a key that contains them, then found with SCAN, never KEYS.

Nothing here raises for a Redis that is gone, slow or full: reads say `UNKNOWN`, writes say False. An invalidation that could not be
delivered also says False, is owed, and is delivered before the node is read again.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import numpy as np

from tercel.base.histogram import Histogram
from tercel.base.time import NS_PER_MS, steady_ns, wall_ns
from tercel.cache import envelope
from tercel.cache.address import Address, parse
from tercel.cache.codec import Codec, CodecError
from tercel.cache.envelope import VALUE
from tercel.cache.node import Link
from tercel.cache.reading import HIT, MISS, UNKNOWN, Marks, Reading, Unavailable
from tercel.cache.slots import Slots
from tercel.cache.voids import TOMBSTONE_MS, Voids
from tercel.cache.wire import Refusal

TAGS_KNOWN_MAX: Final = 65_536
WRITES_MAX: Final = 1_000
SKEW_MS: Final = 500
REPLACE: Final = "if redis.call('GETRANGE',KEYS[1],0,7)~=ARGV[1] then return 0 end redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1"

T = TypeVar("T")


class Level2:
    """Redis at `url` (redis:// or rediss://, a comma between several seeds), a cluster when `cluster`. Used inside `async with`.

    `prefix` begins every key, and only changes below it are heard. `heard`, `state` and `moved` are set by the cache above.
    """

    def __init__(
        self, url: str, *, cluster: bool = False, prefix: str = "tercel:", codec: Codec | None = None, link: Link | None = None,
        tls: ssl.SSLContext | None = None, skew_ms: int = SKEW_MS, remap: Callable[[Address], Address] | None = None,
    ) -> None:  # fmt: skip
        seeds, options = parse(url, cluster)
        said = {name: value for name, value in {**options, "tls": tls or options["tls"]}.items() if value}
        self.link = (link or Link(prefix, whole=not cluster))._replace(prefix=prefix, whole=not cluster, **said)
        self.codec = codec or Codec()
        self.latency = Histogram(np.zeros(Histogram.SIZE, np.int64))
        self.counts: Counter[str] = Counter()
        """hits, misses, unknown, filled, refused, dropped, undecodable, undelivered."""
        self.level1: object = None
        """The level that hears through this one; set by the cache above."""
        self.heard: Callable[[list[str] | None], None] = lambda keys: None
        self.tag_heard: Callable[[str], None] = lambda tag: None
        self.pattern_heard: Callable[[str], object] = lambda pattern: None
        self.asked: Callable[[str], object] = lambda word: None
        self.state: Callable[[bool], None] = lambda up: None
        self.moved: Callable[[Callable[[str], bool]], None] = lambda concerned: None
        self._slots = Slots(
            seeds, self.link, cluster=cluster, skew_ms=skew_ms, heard=self._hear, state=self._turn, moved=self._doubt_slots, remap=remap
        )
        self._tags: dict[str, int] = {}
        self._tags_epoch = 0
        self._work: set[asyncio.Task[Any]] = set()
        self._data, self._tag, self._pattern = f"{prefix}v:", f"{prefix}t:", f"{prefix}p:"
        self._voids = Voids(self._slots, self._tag, self.counts, self._own)
        self._asks, self._told = f"{prefix}a:", f"{prefix}s:"

    async def __aenter__(self) -> Level2:
        self._slots.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let writes under way end, within the time-out, then end the connections."""
        if self._work:
            await asyncio.wait(self._work, timeout=self.link.timeout_s)
        for task in list(self._work):
            task.cancel()
        await self._slots.aclose()

    @property
    def up(self) -> bool:
        """Whether every node is connected and heard."""
        return self._slots.up

    @property
    def breakers(self) -> dict[str, str]:
        """The state of the breaker before each node, "down" for one that is not connected."""
        return {f"{host}:{port}": node.breaker.state if node.up else "down" for (host, port), node in self._slots.nodes.items()}

    @property
    def trouble(self) -> str:
        """Why level 2 is not up, in a line; "" when it is."""
        return "" if self.up else next((node.trouble for node in self._slots.primaries() if node.trouble), self._slots.trouble)

    @property
    def contract_s(self) -> float:
        """How long after an acknowledged invalidation another process may at worst still serve the old value, once its loop runs again."""
        link = self.link
        return link.heartbeat_s + 1.25 * link.wait_s_max * link.wires + 0.1

    async def wait_up(self, seconds: float) -> bool:
        """Wait until every node is heard; False after `seconds`."""
        until = steady_ns() + int(seconds * 1e9)
        while not self.up and steady_ns() < until:
            await asyncio.sleep(0.005)
        return self.up

    async def read(self, key: str, tags: Iterable[str] = ()) -> Reading:
        """What is stored for a key, believed only when it is whole, in time, and all its tags are as they were. Never raises."""
        start = steady_ns()
        epoch = self._tags_epoch
        wanted = [tag for tag in tags if tag not in self._tags]
        try:
            full = self._data + key
            if full in self._voids.owed:
                raise Unavailable("cache level 2: an invalidation of this key is under way")
            slot = self._slots.slot(full)
            answers = [self._slots.node(slot).read(full)]
            for tag in wanted:
                tag_key = self._tag + tag
                answers.append(self._slots.node(self._slots.slot(tag_key)).read(tag_key))
            data = await answers[0]
            if isinstance(data, Refusal):
                data = await self._slots.settle(slot, data, "GET", full)
            for tag, answer in zip(wanted, answers[1:], strict=True):
                await self._learn(tag, await answer, epoch)
            marks = await self._marks(tags)
            reading = await self._believe(slot, data, marks) if data is not None else Reading(MISS, marks=marks)
        except Unavailable:
            self.counts["unknown"] += 1
            return Reading(UNKNOWN)
        self.counts["hits" if reading.state == HIT else "misses"] += 1
        self.latency.record(steady_ns() - start)
        return reading

    async def _believe(self, slot: int, data: bytes, marks: Marks | None) -> Reading:
        """The reading of stored bytes: a hit, or a miss that knows what it saw."""
        seen = bytes(data[: envelope.SEEN_BYTES])
        try:
            entry = envelope.unpack(data)
            now_ms = wall_ns() // NS_PER_MS
            good = entry.kind == VALUE and now_ms < entry.fresh_ms
            slots = [slot]
            if good and entry.marks:
                current = await self._marks([tag for tag, _ in entry.marks])
                good = current == entry.marks
                slots += [self._slots.slot(self._tag + tag) for tag, _ in entry.marks]
            if not good or entry.written_ms < self._slots.floor(slots):
                return Reading(MISS, seen=seen, marks=marks)
            value = self.codec.decode(entry.content)
        except CodecError:
            self.counts["undecodable"] += 1
            return Reading(MISS, seen=seen, marks=marks)
        return Reading(HIT, value, (entry.fresh_ms - now_ms) * NS_PER_MS, entry.made_ms * NS_PER_MS, seen, marks)

    async def _marks(self, tags: Iterable[str]) -> Marks | None:
        """The tags' nonces, read where they are not remembered; None when one is in doubt, and then nothing may be stored."""
        found = []
        for tag in tags:
            if self._tag + tag in self._voids.owed:
                return None
            mark = self._tags.get(tag)
            if mark is None:
                epoch, tag_key = self._tags_epoch, self._tag + tag
                slot = self._slots.slot(tag_key)
                reply = await self._slots.node(slot).read(tag_key)
                if isinstance(reply, Refusal):
                    reply = await self._slots.settle(slot, reply, "GET", tag_key)
                mark = await self._learn(tag, reply, epoch)
            if mark is None:
                return None
            found.append((tag, mark))
        return tuple(found)

    async def _learn(self, tag: str, reply: Any, epoch: int) -> int | None:
        """Remember a tag's nonce unless changes came meanwhile; a tag without one gets one."""
        if isinstance(reply, Refusal):
            return None
        if reply is None:
            tag_key, nonce = self._tag + tag, secrets.randbits(32)
            made = await self._slots.command(tag_key, "SET", tag_key, str(nonce), "NX")
            reply = str(nonce).encode() if made is not None else None  # somebody else was first: the next reader learns theirs
        if reply is None or not reply.isdigit() or epoch != self._tags_epoch:
            return None
        if self._slots.up:
            if len(self._tags) >= TAGS_KNOWN_MAX:
                self._tags.clear()
            self._tags[tag] = int(reply)
        return int(reply)

    def fill(self, key: str, value: Any, life_ms: int, reading: Reading, made_ns: int, done: Callable[[bool], None]) -> None:
        """Store a value that was made after `reading`, unless the key or a tag was changed since; `done(kept)` follows, once, later.

        At most 1,000 are under way; more are dropped and counted. Nothing is stored after a reading that is unknown or whose tags are in
        doubt.
        """
        if reading.state == UNKNOWN or reading.marks is None or made_ns > TOMBSTONE_MS * NS_PER_MS or len(self._work) >= WRITES_MAX:
            self.counts["dropped"] += 1
            return
        try:
            data = self._packed(value, life_ms, made_ns, reading.marks)
        except CodecError:
            self.counts["dropped"] += 1
            return
        self._own(self._fill(key, data, life_ms, reading.seen, done))

    def _packed(self, value: Any, life_ms: int, made_ns: int, marks: Marks) -> bytes:
        now_ms = wall_ns() // NS_PER_MS
        content = self.codec.encode(value)
        return envelope.pack(VALUE, secrets.randbits(32), now_ms, now_ms + life_ms, made_ns // NS_PER_MS, marks, content)

    async def _fill(self, key: str, data: bytes, life_ms: int, seen: bytes | None, done: Callable[[bool], None]) -> None:
        full = self._data + key
        try:
            if seen is not None:
                kept = bool(await self._slots.command(full, "EVAL", REPLACE, "1", full, seen, data, str(life_ms)))
            else:
                kept = await self._slots.command(full, "SET", full, data, "PX", str(life_ms), "NX") is not None
        except Unavailable:
            self.counts["dropped"] += 1
            return
        self.counts["filled" if kept else "refused"] += 1
        done(kept)

    async def write(self, key: str, value: Any, life_ms: int, tags: Iterable[str] = ()) -> bool:
        """Store the caller's own truth, whatever was there. False when it could not be stored; the old value is then invalidated.

        Raises `CodecError` for a value that cannot be encoded.
        """
        full = self._data + key
        try:
            marks = await self._marks(tags)
            if marks is not None:
                await self._slots.command(full, "SET", full, self._packed(value, life_ms, 0, marks), "PX", str(life_ms))
                self._voids.owed.pop(full, None)
                return True
        except Unavailable:
            pass
        await self.invalidate(key)
        return False

    async def invalidate(self, key: str) -> bool:
        """Put a tombstone over a key. False when it could not be delivered: it is owed then, and delivered as soon as the node is back."""
        return await self._voids.deliver(self._data + key)

    async def invalidate_tag(self, tag: str) -> bool:
        """Give a tag another nonce. False as for `invalidate`."""
        self._tags.pop(tag, None)
        self._tags_epoch += 1
        try:
            return await self._voids.deliver(self._tag + tag)
        finally:
            self._tags.pop(tag, None)
            self._tags_epoch += 1

    async def invalidate_matching(self, pattern: str, seconds: float = 10.0) -> int:
        """Announce a shell pattern, put tombstones over what SCAN finds. How many; raises `Unavailable` when not all nodes took part."""
        found = 0
        async with asyncio.timeout(seconds):
            announcement = self._pattern + pattern
            await self._slots.command(announcement, "SET", announcement, "1", "PX", "1000")
            for node in self._slots.primaries():
                async for keys in self._slots.scan(node, self._data + pattern.replace("[!", "[^")):  # Redis says "none of" with ^
                    if not all(await asyncio.gather(*map(self._voids.deliver, keys))):
                        raise Unavailable("cache level 2: a node went away during an invalidation by pattern; say it again")
                    found += len(keys)
        return found

    async def ask_all(self, word: str) -> None:
        """Let every process hear a word. Raises `Unavailable`."""
        full = self._asks + word
        await self._slots.command(full, "SET", full, str(secrets.randbits(32)), "PX", "1000")

    async def tell(self, name: str, data: bytes, life_ms: int) -> None:
        """Leave bytes under a name, for `told`. Raises `Unavailable`."""
        full = self._told + name
        await self._slots.command(full, "SET", full, data, "PX", str(life_ms))

    async def told(self) -> dict[str, bytes]:
        """What processes left by `tell`, by name. Raises `Unavailable`."""
        found = {}
        for node in self._slots.primaries():
            async for keys in self._slots.scan(node, self._told + "*"):
                for key in keys:
                    data = await node.read(key)
                    if isinstance(data, bytes):
                        found[key[len(self._told) :]] = data
        return found

    def _own(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    def _hear(self, keys: list[bytes] | None) -> None:
        """Changes made by others."""
        if keys is None:
            self._forget_tags()
            self.heard(None)
            return
        values = []
        for raw in keys:
            key = raw.decode("utf-8", "replace")
            if key.startswith(self._data):
                values.append(key[len(self._data) :])
            elif key.startswith(self._tag):
                tag = key[len(self._tag) :]
                self._tags.pop(tag, None)
                self._tags_epoch += 1
                self.tag_heard(tag)
            elif key.startswith(self._pattern):
                self.pattern_heard(key[len(self._pattern) :])
            elif key.startswith(self._asks):
                self.asked(key[len(self._asks) :])
        if values:
            self.heard(values)

    def _forget_tags(self) -> None:
        self._tags.clear()
        self._tags_epoch += 1

    def _turn(self, up: bool) -> None:
        self._forget_tags()
        self.state(up)

    def _doubt_slots(self, slots: set[int]) -> None:
        self._forget_tags()
        self.moved(lambda key: self._slots.slot(self._data + key) in slots)
