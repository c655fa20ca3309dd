"""The cache's own benchmark: sets and gets of arrays and small values, each timed. Used by `tercel cache bench`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import numpy as np

from tercel.base.errors import TercelError
from tercel.base.histogram import Histogram
from tercel.base.time import steady_ns
from tercel.cache.cache import Cache
from tercel.cache.level1 import Level1
from tercel.cache.reading import HIT, Unavailable

ARRAY_SHAPE: Final = (10, 50, 60)
SEED: Final = 20261124
CONNECT_S_MAX: Final = 5.0
ARRAY_BYTES: Final = 130_000

Row = dict[str, Any]
Progress = Callable[[str, float, float], None]


def _silent(what: str, done: float, total: float) -> None:
    """Whoever does not ask is told nothing."""


def values(operations: int) -> dict[str, list[Any]]:
    """What is kept: features as float32 arrays, and a prediction as a mapping."""
    draw = np.random.default_rng(SEED)
    array = draw.random(ARRAY_SHAPE, np.float32)
    small = {"direction": "buy", "confidence": 0.75, "raw": 0.1234, "model": 7}
    return {f"{ARRAY_SHAPE} float32": [array] * operations, "small value": [small] * operations}


async def measure(address: str, cluster: bool, operations: int, progress: Progress = _silent) -> list[Row]:
    """A row per level, value and direction. Raises `Unavailable` when an address is given and nothing answers there.

    `progress` is told what is measured, how many of its operations are done, and how many there are.
    """
    rows: list[Row] = []
    roomy = Level1(entries_max=2 * operations, bytes_max=max(1 << 26, 3 * operations * ARRAY_BYTES))
    for what, items in values(operations).items():
        rows += await _both(f"level 1, {what}", items, Cache("bench", level1=roomy), progress)
    if not address:
        return rows
    from tercel.cache.level2 import Level2

    level2 = Level2(address, cluster=cluster, prefix=f"tercel-bench-{secrets.token_hex(4)}:")
    async with Cache("bench", level2=level2, life=60) as cache:
        if not await level2.wait_up(CONNECT_S_MAX):
            raise Unavailable(f"cache bench: no answer from Redis within {CONNECT_S_MAX:.0f} s; check the address and the server")
        try:
            for what, items in values(operations).items():
                rows += await _level2(f"level 2, {what}", items, cache, progress)
        finally:
            await cache.invalidate_matching("*")
    return rows


async def _both(what: str, items: list[Any], cache: Cache, progress: Progress) -> list[Row]:
    async def put(number: int) -> bool:
        return await cache.set(f"k{number}", items[number])

    async def get(number: int) -> bool:
        return cache.get(f"k{number}") is items[number]

    return [await _timed(f"{what}: set", len(items), put, progress), await _timed(f"{what}: get", len(items), get, progress)]


async def _level2(what: str, items: list[Any], cache: Cache, progress: Progress) -> list[Row]:
    level2 = cache.level2
    assert level2 is not None

    async def put(number: int) -> bool:
        return await level2.write(f"bench:k{number % 1_000}", items[number], 60_000)

    async def get(number: int) -> bool:
        return (await level2.read(f"bench:k{number % 1_000}")).state == HIT

    return [await _timed(f"{what}: set", len(items), put, progress), await _timed(f"{what}: get", len(items), get, progress)]


async def _timed(what: str, count: int, call: Callable[[int], Awaitable[bool]], progress: Progress) -> Row:
    """One by one; an answer that is wrong or raises is an error."""
    took, errors = Histogram(np.zeros(Histogram.SIZE, np.int64)), 0
    for number in range(count):
        start = steady_ns()
        try:
            good = await call(number)
        except TercelError:
            good = False
        took.record(steady_ns() - start)
        errors += not good
        if number % 100 == 0:
            progress(what, number, count)
            await asyncio.sleep(0)
    return {
        "what": what, "count": count, "mean_us": took.mean / 1e3, "p95_us": took.percentile(95) / 1e3,
        "p99_us": took.percentile(99) / 1e3, "errors": errors,
    }  # fmt: skip
