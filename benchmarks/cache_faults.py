"""A cluster under load and faults: four caches as four processes would have them, one truth, everything recorded."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

from benchmarks.chaos import Proxy
from benchmarks.histories import History, Read
from benchmarks.redis_servers import Server, alive, primary_of
from tercel.base.time import NS_PER_S, steady_ns
from tercel.cache.cache import Cache
from tercel.cache.level2 import Level2
from tercel.cache.lives import Life
from tercel.cache.node import Link
from tercel.cache.reading import Unavailable

KEYS = 60
READERS = 3
TAGS = 6
LIFE = Life(8.0, 20.0)
SLOTS_MOVED = 40

Fault = Callable[["World"], Awaitable[None]]


class World:
    """Servers, caches behind proxies, the truth and the history."""

    def __init__(self, servers: list[Server], seed: int) -> None:
        self.servers, self.draw, self.history = servers, Random(seed), History()
        self.truth = {f"k{number}": 1 for number in range(KEYS)}
        for key in self.truth:
            self.history.changed(key, 1, 0)
        self.caches: list[Cache] = []
        self.proxies: list[dict[tuple[str, int], Proxy]] = []
        self.counts: Counter[str] = Counter()
        self.lag_ns = 0
        self.stop = False
        self.notes: list[str] = []

    @property
    def contract_ns(self) -> int:
        """What the caches promise, and the longest the one loop they share stood still."""
        level2 = self.caches[0].level2
        assert level2 is not None
        return int(level2.contract_s * NS_PER_S) + self.lag_ns

    async def read(self, name: str, cache: Cache) -> None:
        """One look at a random key, recorded; nothing may be raised."""
        key = f"k{min(int(self.draw.paretovariate(0.7)) - 1, KEYS - 1)}"
        start = steady_ns()

        async def compute() -> int:
            self.counts["computed"] += 1
            version = self.truth[key]
            await asyncio.sleep(self.draw.random() * 0.01)
            return version

        version = await cache.get_or_compute(key, compute, tags=(f"t{int(key[1:]) % TAGS}",))
        self.history.reads.append(Read(name, key, start, steady_ns(), version))

    async def write(self, cache: Cache) -> None:
        """One change of the truth, made known in one of three ways."""
        draw = self.draw.random()
        if draw < 0.1:
            tag = self.draw.randrange(TAGS)
            keys = [key for key in self.truth if int(key[1:]) % TAGS == tag]
        else:
            keys = [f"k{self.draw.randrange(KEYS)}"]
        versions = {}
        for key in keys:
            self.truth[key] += 1
            versions[key] = self.truth[key]
            self.history.changed(key, versions[key], steady_ns())
        if draw < 0.1:
            done = await cache.invalidate_tag(f"t{tag}")
        elif draw < 0.2:
            done = await cache.set(keys[0], versions[keys[0]], tags=(f"t{int(keys[0][1:]) % TAGS}",))
        else:
            done = await cache.invalidate(keys[0])
        self.counts["acknowledged" if done else "owed"] += 1
        if done:
            for key, version in versions.items():
                self.history.acknowledged(key, version, steady_ns())

    async def keep_reading(self, number: int) -> None:
        """A reader's life; now and then an impatient one is cancelled."""
        while not self.stop:
            looks = [asyncio.ensure_future(self.read(f"r{number}", self.caches[number])) for _ in range(4)]
            if self.draw.random() < 0.05:
                await asyncio.sleep(0)
                looks[0].cancel()
            done = await asyncio.gather(*looks, return_exceptions=True)
            for error in done:
                if isinstance(error, Exception):
                    raise error
            await asyncio.sleep(0.002)

    async def keep_writing(self) -> None:
        """The writer's life."""
        while not self.stop:
            await self.write(self.caches[-1])
            await asyncio.sleep(0.01)

    async def keep_time(self) -> None:
        """How long the loop stood still at worst: all four caches share it, a pause of it is a pause of all."""
        while not self.stop:
            start = steady_ns()
            await asyncio.sleep(0.005)
            self.lag_ns = max(self.lag_ns, steady_ns() - start - 5_000_000)


@contextlib.asynccontextmanager
async def world(servers: list[Server], seed: int) -> AsyncIterator[World]:
    """Caches connected through proxies of their own, filled on a first round, reading and writing until the block ends."""
    made = World(servers, seed)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(READERS + 1):
            proxies = {server.address: await stack.enter_async_context(Proxy(server.address)) for server in servers}
            made.proxies.append(proxies)
            link = Link("", whole=False, heartbeat_s=0.2, wait_s_max=0.1, timeout_s=0.5, connect_s=0.3)
            seeds = ",".join(f"127.0.0.1:{proxy.address[1]}" for proxy in proxies.values())
            level2 = Level2(
                f"redis://{seeds}", cluster=True, prefix=f"w{seed}:", link=link,
                remap=lambda address, proxies=proxies: proxies[address].address if address in proxies else address,
            )  # fmt: skip
            made.caches.append(await stack.enter_async_context(Cache("c", level2=level2, life=LIFE)))
        for cache in made.caches:
            assert cache.level2 is not None
            assert await cache.level2.wait_up(10), "level 2 did not come up"
        async with asyncio.TaskGroup() as group:
            for number in range(READERS):
                group.create_task(made.keep_reading(number))
            group.create_task(made.keep_writing())
            group.create_task(made.keep_time())
            try:
                yield made
            finally:
                made.stop = True


async def healed(made: World, seconds: float = 20.0) -> bool:
    """Whether every cache hears every node again in time."""
    return all([await cache.level2.wait_up(seconds) for cache in made.caches if cache.level2 is not None])


async def fail_over(made: World) -> None:
    """A primary is killed under load; its replica takes over; it comes back as a replica."""
    victim = await asyncio.to_thread(primary_of, made.servers, made.draw.randrange(16_384))
    await asyncio.to_thread(victim.kill)
    await asyncio.sleep(3.0)
    victim.spawn()
    await asyncio.to_thread(victim.wait)


async def restart(made: World) -> None:
    """A primary is killed and is back before anybody took over, empty."""
    victim = await asyncio.to_thread(primary_of, made.servers, made.draw.randrange(16_384))
    await asyncio.to_thread(victim.kill)
    victim.spawn()
    await asyncio.to_thread(victim.wait)


async def slow_node(made: World) -> None:
    """Everything from and to one server takes 60 ms more."""
    victim = made.draw.choice(made.servers[:3])
    for proxies in made.proxies:
        proxies[victim.address].delay_s = 0.06
    await asyncio.sleep(1.5)
    for proxies in made.proxies:
        proxies[victim.address].delay_s = 0.0


async def partition(made: World) -> None:
    """One reader's packets vanish, for every server; its connections stay open and mute."""
    for proxy in made.proxies[0].values():
        proxy.swallow = True
    await asyncio.sleep(2.0)
    for proxy in made.proxies[0].values():
        proxy.swallow = False


async def half_partition(made: World) -> None:
    """One server is out of reach for one reader and for the writer."""
    victim = await asyncio.to_thread(primary_of, made.servers, made.draw.randrange(16_384))
    for number in (0, READERS):
        made.proxies[number][victim.address].swallow = True
    await asyncio.sleep(1.5)
    for number in (0, READERS):
        made.proxies[number][victim.address].swallow = False


async def cut(made: World) -> None:
    """Every connection ends at once."""
    for proxies in made.proxies:
        for proxy in proxies.values():
            proxy.cut()


async def freeze(made: World) -> None:
    """A primary stands still until its replica has taken over, then goes on, not knowing."""
    victim = await asyncio.to_thread(primary_of, made.servers, made.draw.randrange(16_384))
    victim.freeze()
    await asyncio.sleep(3.0)
    victim.thaw()


async def flush(made: World) -> None:
    """Everything is deleted on one primary."""
    victim = await asyncio.to_thread(primary_of, made.servers, made.draw.randrange(16_384))
    await asyncio.to_thread(victim.client.flushall)


async def full_memory(made: World) -> None:
    """The primaries may hold no more than they do."""
    for server in made.servers:
        if alive(server):
            await asyncio.to_thread(server.client.config_set, "maxmemory", "1mb")
    await asyncio.sleep(1.0)
    for server in made.servers:
        if alive(server):
            await asyncio.to_thread(server.client.config_set, "maxmemory", "0")


async def reshard(made: World) -> None:
    """Slots move from one primary to another while they are read."""
    await asyncio.to_thread(move_slots, made.servers, made.draw.randrange(16_384), SLOTS_MOVED)


def move_slots(servers: list[Server], first: int, count: int) -> int:
    """Move slots, one by one, as redis-cli does it: announce, migrate keys, assign. How many keys moved."""
    source = primary_of(servers, first)
    primaries = {primary_of(servers, slot).port: primary_of(servers, slot) for slot in (0, 8_000, 16_000)}
    target = next(server for port, server in primaries.items() if port != source.port)
    source_id, target_id = source.cluster("MYID").decode(), target.cluster("MYID").decode()
    moved = 0
    for slot in range(first, min(first + count, 16_384)):
        if primary_of(servers, slot).port != source.port:
            continue
        target.cluster("SETSLOT", slot, "IMPORTING", source_id)
        source.cluster("SETSLOT", slot, "MIGRATING", target_id)
        keys: Any = source.cluster("GETKEYSINSLOT", slot, 100)
        if keys:
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 2_000, "KEYS", *keys)
            moved += len(keys)
        for server in (target, source):
            server.cluster("SETSLOT", slot, "NODE", target_id)
    return moved


FAULTS: dict[str, Fault] = {
    "fail-over": fail_over, "partition": partition, "slow node": slow_node, "restart": restart, "full memory": full_memory,
    "reshard": reshard, "half partition": half_partition, "cut": cut, "freeze": freeze, "flush": flush,
}  # fmt: skip


async def run_faults(servers: list[Server], seed: int, seconds: float, names: list[str], quiet_s: float = 1.0) -> World:
    """Reads and writes for so long while the faults take turns, a quiet stretch after each."""
    until = steady_ns() + int(seconds * NS_PER_S)
    async with world(servers, seed) as made:
        await asyncio.sleep(quiet_s)
        turn = 0
        while steady_ns() < until or turn == 0:
            name = names[turn % len(names)]
            with contextlib.suppress(Unavailable):
                await FAULTS[name](made)
            made.counts[name] += 1
            turn += 1
            if not await healed(made):
                made.counts["not healed"] += 1
                made.notes += [f"after {name}: {cache.level2.breakers}" for cache in made.caches if cache.level2 and not cache.level2.up]
            await asyncio.sleep(quiet_s)
    return made
