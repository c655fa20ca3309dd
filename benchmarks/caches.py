"""Our side of the cache's figures: level 1 alone, the herd, and both levels before a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import OURS, Answer, InProcess
from benchmarks.peers import caches_load as load
from benchmarks.peers.worker import timed
from tercel.base.time import NS_PER_S
from tercel.cache.cache import Cache
from tercel.cache.codec import Codec
from tercel.cache.level1 import Level1
from tercel.cache.level2 import Level2
from tercel.cache.lives import Life
from tercel.cache.reading import HIT

LIFE_NS = 3_600 * NS_PER_S
TAG = "symbol:EURUSD"


def hits_of(get: Any, keys: list[Any]) -> None:
    """Look up every key."""
    for key in keys:
        get(key)


def replay(level: Level1, keys: list[int]) -> float:
    """Share of looks that hit when every miss is followed by a put."""
    hits, get, put = 0, level.get, level.put
    for key in keys:
        if get(key) is not None:
            hits += 1
        else:
            put(key, 1, LIFE_NS, weight=8)
    return hits / len(keys)


def full(names: list[str]) -> Level1:
    """A level with every feature on: life, tag, weight, the cost that early refresh goes by."""
    level = Level1(entries_max=len(names), life_ns_max=LIFE_NS)
    for name in names:
        level.put(name, name, LIFE_NS, tags=(TAG,), made_ns=1_000_000)
    return level


def bytes_per_entry(names: list[str]) -> float:
    """Traced bytes of Python memory per entry, keys and values not counted."""
    import gc
    import tracemalloc

    gc.collect()
    tracemalloc.start()
    level = full(names)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del level
    return used / len(names)


@contextlib.contextmanager
def level1(path: Path) -> Iterator[InProcess]:
    """The engine of hits, ratios and memory."""
    content = json.loads(path.read_text())
    names, asked = content["names"], content["asked"]
    ratios = {
        trace["name"]: {
            OURS: replay(Level1(entries_max=trace["held_max"], bytes_max=1 << 40, life_ns_max=LIFE_NS), trace["keys"]),
            "tercel lru": replay(
                Level1(entries_max=trace["held_max"], bytes_max=1 << 40, life_ns_max=LIFE_NS, policy="lru"), trace["keys"]
            ),
        }
        for trace in content["traces"]
    }
    memory = {OURS: bytes_per_entry(names)}
    level = full(names)
    level.invalidate_tag("another")  # every entry is checked once against its tags, then hits are plain again
    hits_of(level.get, names)

    face = Cache("features", level1=Level1(entries_max=len(names), life_ns_max=LIFE_NS))
    for name in names:
        face.keep(name, lambda: 1, life=Life(3_600.0, 3_600.0), tags=(TAG,))

    def repeat() -> Answer:
        doors = {OURS: level.get, "tercel Cache.get, with its prefix": face.get}
        return {label: timed(partial(hits_of, get, asked)).seconds / len(asked) * 1e9 for label, get in doors.items()}

    yield InProcess({"ratios": ratios, "memory": memory}, repeat)


@contextlib.contextmanager
def herd(options: Answer) -> Iterator[InProcess]:
    """The engine of many tasks that miss one key at once."""

    async def run() -> int:
        cache, computed = Cache("herd"), 0

        async def slow() -> int:
            nonlocal computed
            computed += 1
            await asyncio.sleep(options["seconds"])
            return 1

        await asyncio.gather(*(cache.get_or_compute("k", slow) for _ in range(options["tasks"])))
        return computed

    def repeat() -> Answer:
        one = timed(lambda: asyncio.run(run()))
        return {OURS: {"ms": one.seconds * 1e3, "computed": one.result}}

    yield InProcess({}, repeat)


@contextlib.contextmanager
def level2(options: Answer) -> Iterator[InProcess]:
    """The engine before a real Redis: paced gets, a hundred gets in one turn, arrays."""

    async def run() -> Answer:
        async with Level2(options["url"], prefix="ours:", codec=Codec(compression="none")) as second:
            assert await second.wait_up(5), "Redis did not answer"
            small, array = load.values()
            for number in range(load.KEYS):
                await second.write(f"k{number}", small, 3_600_000)

            async def get(number: int) -> Any:
                reading = await second.read(f"k{number % load.KEYS}")
                assert reading.state == HIT
                return reading.value

            async def put_array(number: int) -> Any:
                assert await second.write(f"a{number}", array, 3_600_000)

            async def get_array(number: int) -> Any:
                reading = await second.read(f"a{number}")
                assert reading.value.shape == array.shape

            return await load.all_of(options, get, put_array, get_array)

    yield InProcess({}, lambda: {OURS: asyncio.run(run())})


if __name__ == "__main__":
    with level2(json.loads(sys.argv[1])) as engine:
        print(json.dumps(engine.repeat()))
