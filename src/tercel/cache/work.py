"""The body of a flight: where a value is looked for, how it is made, and where it is kept."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tercel.base.time import NS_PER_MS, steady_ns
from tercel.cache.flight import Flight
from tercel.cache.level1 import Token
from tercel.cache.reading import HIT, UNKNOWN, Reading

if TYPE_CHECKING:
    from tercel.cache.cache import Cache

LEAST_MS: Final = 1

Compute = Callable[[], Any]


class Failed:
    """An error kept for a short while."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Work:
    """How the value of one key is found or made; the body of a flight."""

    __slots__ = ("cache", "compute", "full", "life", "tags")

    def __init__(self, cache: Cache, full: str, compute: Compute, life: Any, tags: tuple[str, ...]) -> None:
        self.cache, self.full, self.compute, self.life, self.tags = cache, full, compute, life, tags

    async def fetch(self, flight: Flight) -> Any:
        """From level 2 when it has it and it need not be refreshed, else made."""
        cache = self.cache
        if cache.level2 is None:
            return await self.make(flight, Reading(UNKNOWN), cache.level1.token(self.full, self.tags))
        token = cache.level1.token(self.full, self.tags)
        reading = await cache.level2.read(self.full, self.tags)
        if reading.state != HIT:
            return await self.make(flight, reading, token)
        cache.counts["level2"] += 1
        life = cache.life_of(self.life, reading.value)
        if not flight.detached:
            fresh_ns = min(life.level1_ns, reading.fresh_ns)
            cache.level1.put(
                self.full, reading.value, fresh_ns, life.stale_ns, tags=self.tags, made_ns=reading.made_ns, token=token, beta=cache.beta
            )
        return reading.value

    async def refresh(self, flight: Flight) -> Any:
        """Made anew, whatever the levels have."""
        cache = self.cache
        token = cache.level1.token(self.full, self.tags)
        reading = Reading(UNKNOWN) if cache.level2 is None else await cache.level2.read(self.full, self.tags)
        return await self.make(flight, reading, token)

    async def make(self, flight: Flight, reading: Reading, token: Token) -> Any:
        """Compute and keep."""
        cache, start = self.cache, steady_ns()
        try:
            async with asyncio.timeout(cache.compute_s_max):
                value = self.compute()
                if inspect.isawaitable(value):
                    value = await value
        except cache.errors as error:
            cache.counts["errors"] += 1
            if not flight.detached:
                cache.level1.put(self.full, Failed(error), cache.error_life.level1_ns, tags=self.tags, token=token)
            raise
        except Exception:
            cache.counts["errors"] += 1
            raise
        made_ns = steady_ns() - start
        cache.counts["computed"] += 1
        cache.made.record(made_ns)
        life = cache.life_of(self.life, value)
        if not flight.detached and life.level2_ns > 0:
            cache.level1.put(self.full, value, life.level1_ns, life.stale_ns, tags=self.tags, made_ns=made_ns, token=token, beta=cache.beta)
            if cache.level2 is not None:
                cache.level2.fill(self.full, value, max(LEAST_MS, life.level2_ns // NS_PER_MS), reading, made_ns, self.filled)
        return value

    def filled(self, kept: bool) -> None:
        """Level 2 refused a value that was changed meanwhile: level 1 must not keep it either."""
        if not kept:
            self.cache.level1.invalidate(self.full)
