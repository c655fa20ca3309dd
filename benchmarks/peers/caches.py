"""Other caches in their own environment: `python -m benchmarks.peers.caches level1|herd|level2 OPTIONS` (see `worker`)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiocache
import cachebox
import cachetools
import cashews
import numpy as np
import redis.asyncio
import theine

from benchmarks.peers import caches_load as load
from benchmarks.peers.worker import Answer, serve, timed, versions

LIFE_S = 3_600


class Theine:
    """theine behind the two words the others have."""

    def __init__(self, held_max: int) -> None:
        self._cache = theine.Cache(held_max)
        self._get, self._set = self._cache.get, self._cache.set

    def get(self, key: str) -> Any:
        """The value or None."""
        return self._get(key)[0]

    def __setitem__(self, key: str, value: Any) -> None:
        from datetime import timedelta

        self._set(key, value, timedelta(seconds=LIFE_S))


BUILD: dict[str, Callable[[int], Any]] = {
    "cachetools TTLCache": lambda held: cachetools.TTLCache(held, LIFE_S),
    "cachetools LRUCache": cachetools.LRUCache,
    "cachetools LFUCache": cachetools.LFUCache,
    "cachebox TTLCache": lambda held: cachebox.TTLCache(held, LIFE_S),
    "cachebox LRUCache": cachebox.LRUCache,
    "cachebox LFUCache": cachebox.LFUCache,
    "theine": Theine,
}


def hits_of(get: Callable[[Any], Any], keys: list[Any]) -> None:
    """Look up every key."""
    for key in keys:
        get(key)


def replay(cache: Any, keys: list[int]) -> float:
    """Share of looks that hit when every miss is followed by a set."""
    hits, get = 0, cache.get
    for key in keys:
        if get(key) is not None:
            hits += 1
        else:
            cache[key] = 1
    return hits / len(keys)


def bytes_per_entry(build: Callable[[int], Any], names: list[str]) -> float:
    """Traced bytes of Python memory a full cache takes per entry, keys and values not counted; native memory is not seen."""
    gc.collect()
    tracemalloc.start()
    cache = build(len(names))
    for name in names:
        cache[name] = name
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del cache
    return used / len(names)


def level1(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """Cost of a hit over the same keys, hit ratio on every trace (once), memory per entry (once)."""
    traces = json.loads(Path(options["input"]).read_text())
    names, asked = traces["names"], traces["asked"]
    ratios = {
        trace["name"]: {
            name: replay(build(trace["held_max"]), trace["keys"]) for name, build in BUILD.items() if name not in {"cachebox TTLCache"}
        }
        for trace in traces["traces"]
    }
    memory = {name: bytes_per_entry(build, names) for name, build in BUILD.items()}
    filled = {}
    for label, build in BUILD.items():
        filled[label] = build(len(names))
        for name in names:
            filled[label][name] = name

    def repeat() -> Answer:
        return {label: timed(partial(hits_of, cache.get, asked)).seconds / len(asked) * 1e9 for label, cache in filled.items()}

    known = ("aiocache", "cachebox", "cachetools", "cashews", "theine")
    return {"versions": versions(*known), "ratios": ratios, "memory": memory}, repeat


def herd(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """So many tasks miss one key at once: computations and seconds, with each library's own decorator that promises one computation."""

    async def run_cashews() -> int:
        computed = 0
        cache = cashews.Cache()
        cache.setup("mem://")

        @cache(ttl="1m", key="k", lock=True)
        async def slow() -> int:
            nonlocal computed
            computed += 1
            await asyncio.sleep(options["seconds"])
            return 1

        await asyncio.gather(*(slow() for _ in range(options["tasks"])))
        return computed

    async def run_aiocache() -> int:
        computed = 0

        @aiocache.cached_stampede(lease=5, ttl=60, key="k")
        async def slow() -> int:
            nonlocal computed
            computed += 1
            await asyncio.sleep(options["seconds"])
            return 1

        await asyncio.gather(*(slow() for _ in range(options["tasks"])))
        return computed

    def repeat() -> Answer:
        answer: Answer = {}
        for label, run in {"cashews": run_cashews, "aiocache": run_aiocache}.items():
            with contextlib.suppress(Exception):
                one = timed(lambda run=run: asyncio.run(run()))
                answer[label] = {"ms": one.seconds * 1e3, "computed": one.result}
        return answer

    return {"versions": versions("cashews", "aiocache")}, repeat


def level2(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """redis-py alone, asynchronous: a GET a call, JSON for the mapping, raw bytes for the array; MGET is a row of its own."""

    async def run() -> Answer:
        client = redis.asyncio.Redis.from_url(options["url"], protocol=3, max_connections=64)
        small, array = load.values()
        await asyncio.gather(*(client.set(f"peer:k{number}", json.dumps(small)) for number in range(50)))
        for number in range(load.KEYS):
            await client.set(f"peer:k{number}", json.dumps(small))
        limit = asyncio.Semaphore(64)

        async def get(number: int) -> Any:
            async with limit:
                return json.loads(await client.get(f"peer:k{number % load.KEYS}"))

        async def put_array(number: int) -> None:
            await client.set(f"peer:a{number}", array.tobytes())

        async def get_array(number: int) -> None:
            assert np.frombuffer(await client.get(f"peer:a{number}"), np.float32).reshape(load.SHAPE).shape == load.SHAPE

        try:
            found = await load.all_of(options, get, put_array, get_array)
            names = [f"peer:k{number}" for number in range(load.TURN)]

            async def many(number: int) -> None:
                [json.loads(data) for data in await client.mget(names)]

            found["mget by hand"] = await load.one_by_one(many, options["turns"])
            return found
        finally:
            await client.aclose()

    return {"versions": versions("redis", "hiredis")}, lambda: {"redis-py": asyncio.run(run())}


if __name__ == "__main__":
    serve(partial({"level1": level1, "herd": herd, "level2": level2}[sys.argv[1]], json.loads(sys.argv[2])))
