"""The cache as its users see it: `get`, `get_or_compute`, `set`, `invalidate`, over level 1 and, when there is one, level 2.

A look goes: level 1 (a synchronous function) -> a flight for the key (one for all who miss) -> level 2 -> the computation. What was made is
kept in both levels unless it was invalidated meanwhile. A value that nears its end may be refreshed early by one of its readers; one past
its end may be served for its life's grace while one refresh runs. A computation that returns None says that there is nothing: that is kept
for `absent_s`. Errors named in `errors` are kept in level 1 for `error_s` and raised again.

While invalidations of other processes cannot be heard, level 1 is closed: every look goes to level 2 or is computed.
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
import secrets
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from random import Random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.histogram import Histogram
from tercel.base.time import NS_PER_MS, steady_ns
from tercel.cache import early, lives
from tercel.cache.entries import Entry
from tercel.cache.flight import Flights
from tercel.cache.level1 import MISSING, Level1
from tercel.cache.lives import Life
from tercel.cache.work import LEAST_MS, Compute, Failed, Work

if TYPE_CHECKING:
    from tercel.cache.level2 import Level2

BETA: Final = 1.0
ABSENT_S: Final = 1.0
ERROR_S: Final = 1.0
COMPUTE_S_MAX: Final = 30.0

_PREFIX: Final = re.compile(r"[A-Za-z0-9._/@+-]+")


class Cache:
    """Two levels under one name. Use inside `async with` when there is a level 2; one event loop.

    `life` is the default life. `beta` is how eagerly to refresh before the end (0: never); `absent_s` and `error_s` how long "nothing" and
    an error of a class in `errors` are kept; `compute_s_max` bounds every computation. `chance` draws for the early refresh.
    """

    def __init__(
        self, name: str, *, level1: Level1 | None = None, level2: Level2 | None = None, life: Life | float = lives.OTHER_S,
        beta: float = BETA, absent_s: float = ABSENT_S, errors: tuple[type[BaseException], ...] = (), error_s: float = ERROR_S,
        compute_s_max: float = COMPUTE_S_MAX, flights: Flights | None = None, chance: Random | None = None,
    ) -> None:  # fmt: skip
        if not _PREFIX.fullmatch(name):
            raise ConfigError(f"cache name: expected letters, digits and ._/@+-, found {name!r}")
        self.name, self.level2 = name, level2
        self.level1 = Level1() if level1 is None else level1  # an empty one is false
        self.life = lives.of(life) if isinstance(life, int | float) else life
        self.flights = Flights() if flights is None else flights
        self.counts: Counter[str] = Counter()
        """computed, errors, early, stale, level2 (hits there)."""
        self.made = Histogram(np.zeros(Histogram.SIZE, np.int64))
        """How long computations took."""
        self.missed: Callable[[str, Compute, Any, tuple[str, ...]], None] | None = None
        """Called at every miss of a reader, when set: `warming` learns from it."""
        self.beta, self._absent, self.errors, self.error_life = beta, _short(absent_s), errors, _short(error_s)
        self.compute_s_max = compute_s_max
        self._chance = chance or Random(secrets.randbits(64))  # noqa: S311 (spreads refreshes)
        self._prefix = f"{name}:"
        self._plain, self._look = self.level1.plain, self.level1.look
        if level2 is not None:
            self._attach(level2)

    def _attach(self, level2: Level2) -> None:
        """Hear what others change; closed until level 2 can be heard. Tenants share what is attached already."""
        if level2.level1 is self.level1:
            return
        if level2.level1 is not None:
            raise ConfigError("cache: one Level2 serves one cache and its tenants; make another Level2, or use tenant()")
        level2.level1 = self.level1
        level2.heard, level2.tag_heard, level2.pattern_heard = self._heard, self._tag_heard, self._pattern_heard
        level2.state, level2.moved = self._state, self._moved
        self._state(level2.up)

    async def __aenter__(self) -> Cache:
        if self.level2 is not None:
            await self.level2.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End computations under way, then level 2's connections."""
        await self.flights.aclose()
        if self.level2 is not None:
            await self.level2.aclose()

    def tenant(self, name: str, **changed: Any) -> Cache:
        """The same levels under another prefix: keys, tags and patterns of a tenant never meet those of another."""
        settings: dict[str, Any] = {
            "life": self.life, "beta": self.beta, "absent_s": self._absent.level2_s, "errors": self.errors,
            "error_s": self.error_life.level2_s, "compute_s_max": self.compute_s_max, "chance": self._chance,
        }  # fmt: skip
        return Cache(f"{self.name}/{name}", level1=self.level1, level2=self.level2, flights=self.flights, **settings | changed)

    def get(self, key: str, default: Any = None) -> Any:
        """The value in level 1 while it is good, else the default. Synchronous; asks nobody."""
        value = self.level1.get(self._prefix + key, MISSING)
        return default if value is MISSING or isinstance(value, Failed) else value

    def under_way(self, key: str) -> bool:
        """Whether the key is being read from level 2 or computed now."""
        return self.flights.under_way(self._prefix + key)

    def has(self, key: str) -> bool:
        """Whether level 1 has a good value of the key; not counted as a look."""
        entry = self.level1.look(self._prefix + key)
        return entry is not None and self.level1.clock() < entry.fresh_ns

    def uses(self, key: str) -> int | None:
        """How often a key in level 1 was used, counted to three; None when it is not there."""
        entry = self.level1.look(self._prefix + key)
        return None if entry is None else entry.seen

    async def get_or_compute(
        self, key: str, compute: Compute, *, life: Life | Callable[[Any], Life] | float | None = None, tags: Iterable[str] = (),
        deadline_s: float | None = None,
    ) -> Any:  # fmt: skip
        """The value of the key, from the nearest place that has it, computed (`compute()`, plain or awaitable) when none has.

        `life` may be a function of the value, as of a prediction's confidence. Raises what `compute` raises, and `TimeoutError` when the
        wait outlasts `deadline_s`; the computation then goes on for the others and for next time.
        """
        full = self._prefix + key
        value = self._plain(full)
        if value is MISSING:
            entry, tags = self._look(full), tuple(tags)
            work = Work(self, full, compute, life, tuple(self._prefix + tag for tag in tags))
            if entry is not None:
                value = self._near_the_end(entry, work)
            else:
                self.level1.misses += 1
                if self.missed is not None:
                    self.missed(key, compute, life, tags)
                if deadline_s is None:
                    value = await self.flights.run(full, work.fetch, work.tags)
                else:
                    async with asyncio.timeout(deadline_s):
                        value = await self.flights.run(full, work.fetch, work.tags)
        if isinstance(value, Failed):
            raise value.error.with_traceback(None)
        return value

    def _near_the_end(self, entry: Entry, work: Work) -> Any:
        """Serve an entry that is stale, or good but perhaps to be refreshed early; at most one refresh runs."""
        now = self.level1.clock()
        stale = now >= entry.fresh_ns
        refresh = stale or early.due(now, entry.fresh_ns, entry.made_ns, self.beta, 1.0 - self._chance.random())
        self.counts["stale"] += stale
        if refresh and not self.flights.under_way(work.full) and not self.flights.swamped:
            self.counts["early"] += not stale
            self.flights.start(work.full, work.refresh, work.tags)
        return self.level1.hit(entry)

    def keep(
        self, key: str, compute: Compute, *, life: Life | Callable[[Any], Life] | float | None = None, tags: Iterable[str] = ()
    ) -> Any:
        """Compute now, keep the value in level 1 and return it: the synchronous way, for values that no other process changes."""
        full = self._prefix + key
        marks = tuple(self._prefix + tag for tag in tags)
        token, start = self.level1.token(full, marks), steady_ns()
        value = compute()
        made_ns = steady_ns() - start
        self.counts["computed"] += 1
        self.made.record(made_ns)
        for_ = self.life_of(life, value)
        if for_.level1_ns > 0:
            self.level1.put(full, value, for_.level1_ns, for_.stale_ns, tags=marks, made_ns=made_ns, token=token, beta=self.beta)
        return value

    async def warm(
        self, key: str, compute: Compute, *, life: Life | Callable[[Any], Life] | float | None = None, tags: Iterable[str] = ()
    ) -> None:
        """Have a value before it is asked for: as `get_or_compute`, but counted neither as a look nor as a miss."""
        full = self._prefix + key
        if self._plain(full) is MISSING:
            work = Work(self, full, compute, life, tuple(self._prefix + tag for tag in tags))
            await self.flights.run(full, work.fetch, work.tags)

    async def set(self, key: str, value: Any, *, life: Life | float | None = None, tags: Iterable[str] = ()) -> bool:
        """Keep the caller's own truth in both levels, whatever was there; False when level 2 could not take it."""
        full, marks = self._prefix + key, tuple(self._prefix + tag for tag in tags)
        for_ = self.life_of(life, value)
        self._void(full)
        if self.level2 is None:
            self.level1.put(full, value, for_.level1_ns, for_.stale_ns, tags=marks)
            return True
        token = self.level1.token(full, marks)
        kept = await self.level2.write(full, value, max(LEAST_MS, for_.level2_ns // NS_PER_MS), marks)
        alone = token == self.level1.token(full, marks)
        self._void(full)  # what was read between the first and the acknowledgement
        if kept and alone:  # else somebody changed it after us, and was heard already
            self.level1.put(full, value, for_.level1_ns, for_.stale_ns, tags=marks)
        return kept

    async def invalidate(self, key: str) -> bool:
        """Forget a key everywhere. True once level 2 has acknowledged it: from then on, within the contract, nobody serves what was there
        before. False when it is owed."""
        full = self._prefix + key
        self._void(full)
        if self.level2 is None:
            return True
        try:
            return await self.level2.invalidate(full)
        finally:
            self._void(full)  # what was read between the first and the acknowledgement

    async def invalidate_tag(self, tag: str) -> bool:
        """Forget everything with the tag, everywhere; O(1). As for `invalidate`."""
        full = self._prefix + tag
        self._tag_heard(full)
        if self.level2 is None:
            return True
        try:
            return await self.level2.invalidate_tag(full)
        finally:
            self._tag_heard(full)

    async def invalidate_matching(self, pattern: str, seconds: float = 10.0) -> int:
        """Forget every key that a shell pattern matches, everywhere; walks the keys. How many were found in the larger level.

        Raises `Unavailable` or `TimeoutError` when level 2 could not be walked to its end within `seconds`.
        """
        full = self._prefix + pattern
        found = self._pattern_heard(full)
        if self.level2 is not None:
            found = max(found, await self.level2.invalidate_matching(full, seconds))
            self._pattern_heard(full)
        return found

    def life_of(self, life: Life | Callable[[Any], Life] | float | None, value: Any) -> Life:
        """The life of a value that was made: None says that there is nothing."""
        if value is None:
            return self._absent
        if life is None:
            return self.life
        if isinstance(life, int | float):
            return lives.of(life)
        return life if isinstance(life, Life) else life(value)

    def _void(self, full: Hashable) -> None:
        self.level1.invalidate(full)
        self.flights.detach(full)

    def _heard(self, keys: list[str] | None) -> None:
        """Others changed these keys, or everything."""
        if keys is None:
            self.level1.clear()
            self.flights.detach_where(lambda _: True)
            return
        for key in keys:
            self._void(key)

    def _tag_heard(self, tag: str) -> None:
        self.level1.invalidate_tag(tag)
        self.flights.detach_where(lambda flight: tag in flight.tags)

    def _pattern_heard(self, pattern: str) -> int:
        matches = re.compile(fnmatch.translate(pattern)).match
        self.flights.detach_where(lambda flight: bool(matches(str(flight.key))))
        return self.level1.invalidate_matching(pattern)

    def _state(self, up: bool) -> None:
        """Level 1 serves only while level 2 can be heard."""
        if up:
            self.level1.open()
        else:
            self.level1.close()
        self.flights.detach_where(lambda _: True)

    def _moved(self, concerned: Callable[[str], bool]) -> None:
        for key in self.level1:
            if isinstance(key, str) and concerned(key):
                self.level1.invalidate(key)
        self.flights.detach_where(lambda flight: concerned(str(flight.key)))


def _short(seconds: float) -> Life:
    """The life of "nothing" and of errors; 0 keeps neither."""
    if seconds < 0:
        raise ConfigError(f"cache life of nothing or of an error: expected 0 s or more, found {seconds}")
    return Life(min(seconds, lives.LEVEL1_S_MAX), seconds)
