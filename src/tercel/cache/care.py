"""The care a cache takes of itself while it runs: releases what expired, fits its size, tells how it is, hears what an operator asks."""

from __future__ import annotations

import asyncio
import os
import socket

import msgspec

from tercel.cache import sizing
from tercel.cache.cache import Cache
from tercel.cache.metrics import stats
from tercel.cache.reading import Unavailable
from tercel.cache.sizing import Size, Surroundings
from tercel.cache.warming import Warmer

EVERY_S = 10.0
TOLD_MS = 60_000


class Care:
    """`run` is a task of the caller's. `resize` False leaves the size alone; a `warmer` is asked when `tercel cache warm` is."""

    def __init__(self, cache: Cache, *, warmer: Warmer | None = None, resize: bool = True, every_s: float = EVERY_S) -> None:
        self.cache, self._warmer, self._resize, self._every_s = cache, warmer, resize, every_s
        self.size = Size(cache.level1.entries_max, "base")
        self._base = (cache.level1.entries_max, cache.level1.bytes_max)
        self._seen = (0, 0)
        self._asked = asyncio.Event()
        if cache.level2 is not None:
            cache.level2.asked = lambda word: self._asked.set()

    async def run(self) -> None:
        """Until cancelled."""
        sizing.cpu()
        while True:
            try:
                async with asyncio.timeout(self._every_s):
                    await self._asked.wait()
                self._asked.clear()
                if self._warmer is not None:
                    await self._warmer.warm_now()
            except TimeoutError:
                pass
            self.cache.level1.sweep()
            if self._resize:
                self.fit(sizing.free_bytes(), sizing.cpu())
            await self.tell()

    def fit(self, free_bytes: int, cpu: float) -> Size:
        """Judge and set the size of level 1, bytes in proportion to entries."""
        level1 = self.cache.level1
        looks, ghosts = level1.hits + level1.misses, level1.ghost_hits
        fill = max(len(level1) / level1.entries_max, level1.bytes / level1.bytes_max)
        around = Surroundings(free_bytes, cpu, looks - self._seen[0], ghosts - self._seen[1], fill)
        self._seen = (looks, ghosts)
        found = sizing.judge(self._base[0], level1.entries_max, around)
        if found.entries != level1.entries_max:
            level1.resize(found.entries, self._base[1] * found.entries // self._base[0])
            self.size = found
        return found

    async def tell(self) -> bool:
        """Leave the figures in level 2 for a minute, for `tercel cache stats`. False without one that takes them."""
        if self.cache.level2 is None:
            return False
        try:
            name = f"{socket.gethostname()}-{os.getpid()}-{self.cache.name}"
            await self.cache.level2.tell(name, msgspec.json.encode(stats(self.cache)), TOLD_MS)
        except Unavailable:
            return False
        return True
