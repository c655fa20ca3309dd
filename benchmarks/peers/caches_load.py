"""The load put on every client of Redis, ours and others: standard library and NumPy only, since peers import it."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

KEYS = 1_000
TURN = 100
SHAPE = (10, 50, 60)

Call = Callable[[int], Awaitable[Any]]
Answer = dict[str, Any]


def values() -> tuple[dict[str, Any], Any]:
    """A prediction as a mapping, features as an array."""
    small = {"direction": "buy", "confidence": 0.75, "raw": 0.1234, "model": 7, "note": "x" * 40}
    return small, np.random.default_rng(20261124).random(SHAPE, np.float32)


async def all_of(options: Answer, get: Call, put_array: Call, get_array: Call) -> Answer:
    """Everything that is measured of a client."""
    for number in range(KEYS):
        await get(number)
    gc.collect()
    return {
        "paced": await paced(get, options["rate"], options["seconds"]),
        "turn": await turns(get, options["turns"]),
        "array set": await one_by_one(put_array, options["operations"]),
        "array get": await one_by_one(get_array, options["operations"]),
    }


async def paced(call: Call, rate: int, seconds: float) -> Answer:
    """So many calls a second whatever becomes of those before; the time of each from its issue to its value. A tick is a millisecond.

    `p99_second_us` is the median of the p99 of every second: what a second is like when the machine has other things to do now and then.
    """
    took: list[float] = []
    by_second: dict[int, list[float]] = {}
    errors = 0

    async def one(number: int) -> None:
        nonlocal errors
        start = time.perf_counter()
        try:
            await call(number)
        except Exception:
            errors += 1
        spent = time.perf_counter() - start
        took.append(spent)
        by_second.setdefault(int(start - begun), []).append(spent)

    begun, sent = time.perf_counter(), 0
    async with asyncio.TaskGroup() as group:
        while (elapsed := time.perf_counter() - begun) < seconds:
            due = int(elapsed * rate)
            for number in range(sent, due):
                group.create_task(one(number))
            sent = max(sent, due)
            await asyncio.sleep(0.0005)
    each = sorted(summary(part)["p99_us"] for part in by_second.values())
    return {**summary(took), "p99_second_us": each[len(each) // 2], "rate": sent / seconds, "errors": errors}


async def turns(call: Call, count: int) -> Answer:
    """A hundred calls at once: the time until the last has its value."""
    took = []
    for _ in range(count):
        start = time.perf_counter()
        await asyncio.gather(*(call(number) for number in range(TURN)))
        took.append(time.perf_counter() - start)
    return summary(took)


async def one_by_one(call: Call, count: int) -> Answer:
    """Each call alone."""
    took = []
    for number in range(count):
        start = time.perf_counter()
        await call(number)
        took.append(time.perf_counter() - start)
    return summary(took)


def summary(seconds: list[float]) -> Answer:
    """Mean and percentiles in microseconds."""
    ordered = sorted(seconds)
    at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e6  # noqa: E731
    return {"count": len(ordered), "mean_us": sum(ordered) / len(ordered) * 1e6, "p50_us": at(0.5), "p95_us": at(0.95), "p99_us": at(0.99)}
