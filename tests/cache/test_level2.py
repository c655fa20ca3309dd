"""Both levels before a real Redis: what one process changes, the others no longer serve."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.redis_servers import Server, free_ports, single
from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_MS, steady_ns
from tercel.cache.address import parse
from tercel.cache.cache import Cache
from tercel.cache.flight import Flights
from tercel.cache.level2 import Level2
from tercel.cache.reading import UNKNOWN

RUN_S_MAX = 60.0


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """One event loop, bounded."""

    async def bounded() -> Any:
        async with asyncio.timeout(RUN_S_MAX):
            return await main()

    return asyncio.run(bounded())


@asynccontextmanager
async def two(url: str, prefix: str, **options: Any) -> AsyncIterator[tuple[Cache, Cache]]:
    """Two caches as two processes would have them: separate levels 1, separate connections, one Redis."""
    level2 = [Level2(url, prefix=f"t-{prefix}:", **options) for _ in range(2)]
    async with Cache("c", level2=level2[0], life=20) as one, Cache("c", level2=level2[1], life=20) as other:
        assert await level2[0].wait_up(5)
        assert await level2[1].wait_up(5)
        yield one, other


async def eventually(true: Callable[[], bool], seconds: float = 3.0) -> bool:
    """Whether it becomes true in time."""
    until = steady_ns() + int(seconds * 1e9)
    while not true() and steady_ns() < until:
        await asyncio.sleep(0.005)
    return true()


class Source:
    """A truth that changes, and how often it was asked."""

    def __init__(self, value: Any = 1, seconds: float = 0.0) -> None:
        self.value, self.seconds, self.asked = value, seconds, 0

    async def __call__(self) -> Any:
        self.asked += 1
        value = self.value
        await asyncio.sleep(self.seconds)
        return value


async def settled(cache: Cache, filled: int) -> None:
    """Wait until so many values have reached level 2."""
    assert cache.level2 is not None
    counts = cache.level2.counts
    assert await eventually(lambda: counts["filled"] >= filled), counts


def test_what_one_process_made_another_finds(server: Server) -> None:
    """A value computed once is read from Redis by the next process, then from its own level 1."""

    async def main() -> None:
        source = Source(np.arange(6.0).reshape(2, 3))
        async with two(server.url, "shared") as (one, other):
            await one.get_or_compute("k", source)
            await settled(one, 1)
            found = await other.get_or_compute("k", source)
            assert np.array_equal(found, source.value)
            assert source.asked == 1
            assert other.counts["level2"] == 1
            assert np.array_equal(other.get("k"), source.value)

    run(main)


def test_an_invalidation_reaches_the_other_process(server: Server) -> None:
    """Key, tag and pattern: the other process asks its source again, within a fraction of a second, and sees the new value."""

    async def main() -> None:
        source = Source()
        async with two(server.url, "heard") as (one, other):

            async def both(key: str) -> set[int]:
                return {await cache.get_or_compute(key, source, tags=("fx",)) for cache in (one, other)}

            ways: list[Callable[[], Awaitable[Any]]] = [
                lambda: one.invalidate("k"), lambda: one.invalidate_tag("fx"), lambda: one.invalidate_matching("k*")
            ]  # fmt: skip
            for invalidate in ways:
                assert await both("k") == {source.value}
                await settled(one, one.level2.counts["filled"])  # type: ignore[union-attr]
                source.value += 1
                start = steady_ns()
                assert await invalidate()
                assert one.get("k") is None
                assert await eventually(lambda: other.get("k") is None)
                assert steady_ns() - start < 500 * NS_PER_MS
                assert await both("k") == {source.value}
                await asyncio.sleep(0.05)

    run(main)


def test_a_value_made_before_an_invalidation_is_not_kept(server: Server) -> None:
    """A slow computation that began on old data neither fills level 2 nor level 1 after the data was invalidated elsewhere."""

    async def main() -> None:
        for way in ("invalidate", "invalidate_tag"):
            old, new = Source("old", 0.2), Source("new")
            async with two(server.url, f"race-{way}") as (one, other):
                slow = asyncio.create_task(one.get_or_compute("k", old, tags=("t",)))
                await asyncio.sleep(0.05)
                assert await getattr(other, way)({"invalidate": "k", "invalidate_tag": "t"}[way])
                assert await slow == "old"  # whoever asked before gets what there was
                await asyncio.sleep(0.1)
                assert one.get("k") is None
                assert await other.get_or_compute("k", new, tags=("t",)) == "new"
                await asyncio.sleep(0.05)
                assert await one.get_or_compute("k", old, tags=("t",)) == "new"

    run(main)


def test_a_write_replaces_and_is_heard(server: Server) -> None:
    """`set` is the caller's truth: here at once, there as soon as it is heard."""

    async def main() -> None:
        async with two(server.url, "write") as (one, other):
            assert await other.get_or_compute("k", Source("old")) == "old"
            await settled(other, 1)
            await asyncio.sleep(0.1)  # until `one` has heard of that: heard during a write, it would rightly keep nothing
            assert await one.set("k", "new")
            assert one.get("k") == "new"
            assert await eventually(lambda: other.get("k") is None)
            assert await other.get_or_compute("k", Source("wrong")) == "new"

    run(main)


def test_many_reads_of_a_turn_are_one_command(server: Server) -> None:
    """A hundred tasks that miss level 1 in the same turn cost one MGET, not a hundred GETs."""

    async def main() -> None:
        async with two(server.url, "batch") as (one, other):
            for number in range(100):
                await one.set(f"k{number}", number)
            before = _calls(server)
            found = await asyncio.gather(*(other.get_or_compute(f"k{number}", Source(-1)) for number in range(100)))
            assert found == list(range(100))
            after = _calls(server)
            assert after.get("mget", 0) - before.get("mget", 0) == 1
            assert after.get("get", 0) == before.get("get", 0)

    run(main)


def _calls(server: Server) -> dict[str, int]:
    stats: Any = server.client.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(values["calls"]) for name, values in stats.items()}


def test_a_dead_redis_costs_nothing_but_misses(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a server every value is computed, at once and without an error; level 1 is closed; the server's return opens it."""
    with single(tmp_path_factory.mktemp("dead")) as server:

        async def main() -> None:
            async with two(server.url, "dead") as (one, _):
                assert await one.get_or_compute("k", Source(1)) == 1
                server.kill()
                assert await eventually(lambda: one.level1.closed)
                start = steady_ns()
                for number in range(100):
                    assert await one.get_or_compute("k", Source(number)) == number
                assert steady_ns() - start < 500 * NS_PER_MS
                assert not await one.invalidate("owed")
                server.start()
                assert await eventually(lambda: not one.level1.closed, 5)
                assert await one.get_or_compute("k", Source(7)) == 7
                assert one.get("k") == 7
                assert await eventually(lambda: not one.level2._voids.owed)  # type: ignore[union-attr]
                assert server.client.exists("t-dead:v:c:owed")

        run(main)


def test_a_frozen_redis_is_left_alone_by_the_breaker(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server that neither answers nor dies delays the first readers by at most the allowed wait; then nobody waits for it."""
    with single(tmp_path_factory.mktemp("frozen")) as server:

        async def main() -> None:
            async with two(server.url, "frozen") as (one, _):
                server.freeze()
                start = steady_ns()
                await asyncio.gather(*(one.get_or_compute(f"k{number}", Source(number)) for number in range(50)))
                assert steady_ns() - start < 800 * NS_PER_MS
                assert await eventually(lambda: one.level1.closed)
                start = steady_ns()
                for number in range(100):
                    await one.get_or_compute(f"k{number}", Source(number))
                assert steady_ns() - start < 500 * NS_PER_MS
                server.thaw()
                assert await eventually(lambda: not one.level1.closed, 6)

        run(main)


def test_a_full_redis_still_reads_and_forgets(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """At its memory limit the server refuses new values; reads, invalidations and computations go on."""
    with single(tmp_path_factory.mktemp("full"), "--maxmemory", "6mb", "--maxmemory-policy", "noeviction") as server:

        async def main() -> None:
            async with two(server.url, "full") as (one, other):
                assert await one.set("k", "old")
                piece = np.random.default_rng(1).random(25_000)
                full = 0
                while await one.set(f"big{full}", piece):
                    full += 1
                    assert full < 100
                assert await other.get_or_compute("k", Source("wrong")) == "old"
                assert await one.invalidate("k")
                assert await other.get_or_compute("k", Source("new")) == "new"
                assert await one.get_or_compute("more", Source(3)) == 3

        run(main)


def test_what_is_not_ours_is_a_miss(server: Server) -> None:
    """Foreign bytes, a cut entry and another version under our key are misses and are replaced; nothing raises."""

    async def main() -> None:
        for number, bytes_ in enumerate((b"", b"hello", b"TC\x01\x00" + b"\x00" * 10, b"TC\x02" + b"\x00" * 60, b"\x80\x04K\x01.")):
            async with two(server.url, f"alien{number}") as (one, _):
                server.client.set(f"t-alien{number}:v:c:k", bytes_)
                await asyncio.sleep(0.05)  # until that change was heard: a read under way meanwhile would rightly not be kept
                assert await one.get_or_compute("k", Source(5)) == 5
                await settled(one, 1)

    run(main)


def test_tenants_never_meet(server: Server) -> None:
    """Same key, same tag, two tenants: neither a value nor an invalidation crosses."""

    async def main() -> None:
        async with two(server.url, "tenants") as (one, other):
            left, right = one.tenant("left"), one.tenant("right")
            for tenant, value in ((left, "l"), (right, "r")):
                assert await tenant.get_or_compute("k", Source(value), tags=("t",)) == value
            await settled(one, 2)
            assert await other.tenant("right").get_or_compute("k", Source("wrong")) == "r"
            await left.invalidate_tag("t")
            await left.invalidate_matching("*")
            assert left.get("k") is None
            assert right.get("k") == "r"

    run(main)


def test_a_cancelled_read_gives_nobody_the_wrong_answer(server: Server) -> None:
    """Reads cancelled at any moment leave every other read with its own value."""

    async def main() -> None:
        async with two(server.url, "cancel") as (one, other):
            for number in range(40):
                await one.set(f"k{number}", number)
            level2 = other.level2
            assert level2 is not None
            for turn in range(150):
                tasks = [asyncio.create_task(level2.read(f"c:k{(turn + step) % 40}")) for step in range(8)]
                for _ in range(turn % 4):
                    await asyncio.sleep(0)
                for task in tasks[::2]:
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                for step, result in list(enumerate(results))[1::2]:
                    assert not isinstance(result, BaseException)
                    assert result.state == UNKNOWN or result.value == (turn + step) % 40

    run(main)


def test_a_restart_does_not_bring_back_what_was_invalid(redis_server: str, tmp_path: Path) -> None:
    """A server that comes back with an old snapshot has forgotten an acknowledged invalidation; what it still holds is not believed."""
    with single(tmp_path, "--appendonly", "no") as server:

        async def main() -> None:
            async with two(server.url, "snapshot") as (one, other):
                assert await one.set("k", "old")
                assert await one.set("later", "old")
                server.client.save()
                assert await one.invalidate("k")
                server.kill()
                assert await eventually(lambda: one.level1.closed and other.level1.closed)
                server.start()
                assert server.client.get("t-snapshot:v:c:k") is not None
                assert await eventually(lambda: not one.level1.closed and not other.level1.closed, 5)
                assert await other.get_or_compute("k", Source("new")) == "new"
                assert await one.get_or_compute("k", Source("new")) == "new"

        run(main)


CHILD = """
import asyncio, sys
from tercel.cache.cache import Cache
from tercel.cache.flight import Flights
from tercel.cache.level2 import Level2

async def main():
    level2 = Level2(sys.argv[1], prefix="t-child:")
    async with Cache("c", level2=level2, life=20) as cache:
        assert await level2.wait_up(5)
        before, until = None, asyncio.get_running_loop().time() + 20
        while before != "last" and asyncio.get_running_loop().time() < until:
            value = await cache.get_or_compute("k", lambda: "absent", tags=("t",))
            if value != before:
                print(value, flush=True)
            before = value
            await asyncio.sleep(0.001)

asyncio.run(main())
"""


def test_another_process_hears_what_this_one_changes(server: Server) -> None:
    """A child that holds a value in its level 1 sees every value this process writes, each within a fraction of a second."""
    with subprocess.Popen([sys.executable, "-c", CHILD, server.url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = child.stdout

        async def main() -> None:
            async with Cache("c", level2=Level2(server.url, prefix="t-child:"), life=20) as cache:
                assert await cache.level2.wait_up(5)  # type: ignore[union-attr]
                assert (await asyncio.to_thread(lines.readline)).strip() == "absent"
                for value in ("first", "second", "last"):
                    start = steady_ns()
                    assert await cache.set("k", value, tags=("t",))
                    assert (await asyncio.to_thread(lines.readline)).strip() == value
                    assert steady_ns() - start < 1_000 * NS_PER_MS

        try:
            run(main)
            assert child.wait(10) == 0
        finally:
            child.kill()


def test_one_level2_serves_one_cache_and_its_tenants() -> None:
    """A second cache that would hear nothing is refused; a tenant is not, and own flights change nothing about it."""
    level2 = Level2("redis://127.0.0.1:1")
    cache = Cache("c", level2=level2, flights=Flights(5))
    assert cache.level1.closed
    assert cache.tenant("t").level1 is cache.level1
    with pytest.raises(ConfigError, match="one Level2 serves one cache"):
        Cache("other", level2=level2)


def test_addresses_are_parsed_and_refused_by_what_is_wrong() -> None:
    """Login, database and seeds are read from the address; another scheme and a cluster's database are refused."""
    assert parse("redis://me:s%40cret@h:7000,h2:7001", True) == (
        [("h", 7_000), ("h2", 7_001)], {"username": "me", "password": "s@cret", "database": 0, "tls": None},
    )  # fmt: skip
    assert parse("rediss://h/3", False)[1]["tls"] is not None
    for wrong, cluster in (("http://h", False), ("redis://", False), ("redis://h:x", False), ("redis://h/1", True)):
        with pytest.raises(ConfigError, match=r"cache\.redis"):
            parse(wrong, cluster)


def test_a_password_is_asked_and_wrong_ones_are_misses(redis_server: str, tmp_path: Path) -> None:
    """With the right password level 2 comes up; with a wrong one the cache computes and nothing is raised."""
    with single(tmp_path) as server:
        server.client.config_set("requirepass", "secret")

        async def main() -> None:
            async with two(f"redis://:secret@127.0.0.1:{server.port}", "login") as (one, _):
                assert await one.set("k", 1)
            async with Cache("c", level2=Level2(f"redis://:wrong@127.0.0.1:{server.port}")) as cache:
                assert await cache.get_or_compute("k", Source(2)) == 2
                assert await eventually(lambda: "WRONGPASS" in cache.level2.trouble)  # type: ignore[union-attr]
                assert not cache.level2.up  # type: ignore[union-attr]

        run(main)


@pytest.mark.parametrize("turns", range(5))
def test_an_invalidation_that_is_cancelled_is_still_delivered(server: Server, turns: int) -> None:
    """Whoever gives up waiting, at whichever await, has invalidated all the same: the other process asks its source again."""

    async def main() -> None:
        source = Source("old")
        async with two(server.url, f"given-up{turns}") as (one, other):
            assert await other.get_or_compute("k", source) == "old"
            await settled(other, 1)
            source.value = "new"
            asked = asyncio.create_task(one.invalidate("k"))
            for _ in range(turns + 1):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            assert await eventually(lambda: other.get("k") is None)
            assert await eventually(lambda: not one.level2._voids.owed)  # type: ignore[union-attr]
            assert await other.get_or_compute("k", source) == "new"

    run(main)


def test_a_redis_behind_tls_is_reached(redis_server: str, tmp_path: Path) -> None:
    """With the server's certificate trusted both levels work over TLS; without, the cache computes."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl (Debian: apt-get install openssl)")
    crt, key = tmp_path / "server.crt", tmp_path / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", crt, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True,
    )  # fmt: skip
    (port,) = free_ports(1)
    options = ("--tls-port", str(port), "--tls-cert-file", str(crt), "--tls-key-file", str(key), "--tls-auth-clients", "no")
    with single(tmp_path / "redis", *options):

        async def main() -> None:
            trusted = ssl.create_default_context(cafile=str(crt))
            async with two(f"rediss://localhost:{port}", "tls", tls=trusted) as (one, other):
                assert await one.set("k", 1)
                assert await other.get_or_compute("k", Source(2)) == 1
            async with Cache("c", level2=Level2(f"rediss://localhost:{port}")) as cache:
                assert await cache.get_or_compute("k", Source(3)) == 3
                assert not cache.level2.up  # type: ignore[union-attr]

        run(main)
