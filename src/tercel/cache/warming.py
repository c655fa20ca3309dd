"""Warming: what will be asked is made before it is asked, on a schedule and by what was learned, behind a budget.

**On a schedule**: jobs name what to have, such as the features of active symbols for the last 100 periods every five minutes, or the likely
predictions every ten.

**By pattern**: which key's miss was followed by which other's, counted (a Markov chain of order one over misses, forgetting by halves).
When a miss has a likely successor, that is made too. How many of the values so made were used is the model's score; below a third it rests,
and tries again with one in sixteen.

The budget bounds both: so many computations a second and so many at once. What exceeds it is left out and counted, never queued.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from tercel.base.errors import TercelError
from tercel.base.time import NS_PER_S, steady_ns
from tercel.cache.cache import Cache
from tercel.cache.lives import Life

FEATURES_EVERY_S, PREDICTIONS_EVERY_S = 300.0, 600.0
PERIODS: Final = 100
KEYS_MAX: Final = 4_096
SUCCESSORS_MAX: Final = 8
SEEN_MIN, LIKELY = 3, 0.5
SCORE_MIN, SCORE_OVER, TRY_ONE_IN = 1 / 3, 32, 16
HALVE_AT: Final = 64


class Wanted(NamedTuple):
    """A value to have: its key, how to make it, its life and tags."""

    key: str
    compute: Callable[[], Any]
    life: Life | Callable[[Any], Life] | float | None = None
    tags: tuple[str, ...] = ()


class Budget:
    """At most `per_s` computations a second, a second's worth at once, and `at_once` under way."""

    def __init__(self, per_s: float = 50.0, at_once: int = 4, clock: Callable[[], int] = steady_ns) -> None:
        self.per_s, self.at_once, self._clock = per_s, at_once, clock
        self._left, self._at = per_s, clock()
        self.busy = 0

    def take(self) -> bool:
        """Whether one more may begin now; then `busy` counts it until the caller takes it off."""
        now = self._clock()
        self._left = min(self.per_s, self._left + (now - self._at) / NS_PER_S * self.per_s)
        self._at = now
        if self._left < 1.0 or self.busy >= self.at_once:
            return False
        self._left -= 1.0
        self.busy += 1
        return True


class Patterns:
    """Which key follows which, and whether acting on it paid."""

    def __init__(self) -> None:
        self._after: OrderedDict[str, Counter[str]] = OrderedDict()
        self._last = ""
        self._tries = 0
        self.used = self.unused = 0.0

    def saw(self, key: str) -> None:
        """A miss of the key, after that of the last one."""
        if self._last and self._last != key:
            counts = self._after.setdefault(self._last, Counter())
            self._after.move_to_end(self._last)
            counts[key] += 1
            if counts.total() >= HALVE_AT or len(counts) > SUCCESSORS_MAX:
                kept = counts.most_common(SUCCESSORS_MAX)
                counts.clear()
                counts.update({each: count // 2 for each, count in kept if count > 1})
            if len(self._after) > KEYS_MAX:
                self._after.popitem(last=False)
        self._last = key

    def likely(self, key: str) -> list[str]:
        """The keys that followed this one at least half of the time, at least three times; none while the model rests."""
        counts = self._after.get(key)
        if counts is None:
            return []
        total = counts.total()
        found = [each for each, count in counts.most_common(2) if count >= SEEN_MIN and count >= LIKELY * total]
        if found and self.score < SCORE_MIN:
            self._tries += 1
            return found if self._tries % TRY_ONE_IN == 0 else []
        return found

    def judge(self, used: bool) -> None:
        """One value made on a guess was used, or left unused."""
        self.used, self.unused = self.used + used, self.unused + (not used)
        if self.used + self.unused > SCORE_OVER:
            self.used, self.unused = self.used / 2, self.unused / 2

    @property
    def score(self) -> float:
        """Share of the guesses that were used; 1.0 before there were eight."""
        judged = self.used + self.unused
        return self.used / judged if judged >= 8 else 1.0


class Warmer:
    """Warms one cache. `run` is a task of the caller's; `warm_now` does every job at once."""

    def __init__(self, cache: Cache, budget: Budget | None = None, *, learn: bool = True, clock: Callable[[], int] = steady_ns) -> None:
        self.cache, self.budget, self.patterns, self._clock = cache, budget or Budget(), Patterns(), clock
        self.counts: Counter[str] = Counter()
        """warmed, had, failed, over_budget, guessed."""
        self._jobs: list[list[Any]] = []
        self._recipes: OrderedDict[str, Wanted] = OrderedDict()
        self._guesses: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        if learn:
            cache.missed = self._missed

    def every(self, seconds: float, job: Callable[[], Iterable[Wanted]]) -> None:
        """Have what `job()` names every so many seconds, the first time at once."""
        self._jobs.append([0, int(seconds * NS_PER_S), job])

    async def run(self, tick_s: float = 1.0) -> None:
        """Do the jobs when they are due, until cancelled."""
        try:
            while True:
                now = self._clock()
                for job in self._jobs:
                    if now >= job[0]:
                        job[0] = now + job[1]
                        await self._do(job[2])
                self._judge()
                await asyncio.sleep(tick_s)
        finally:
            for task in list(self._tasks):
                task.cancel()

    async def warm_now(self) -> int:
        """Do every job once; how many values were made."""
        before = self.counts["warmed"]
        for job in self._jobs:
            await self._do(job[2])
        return self.counts["warmed"] - before

    async def _do(self, job: Callable[[], Iterable[Wanted]]) -> None:
        """Within the budget: waits for its rate, not for more than the job."""
        async with asyncio.TaskGroup() as group:
            for wanted in job():
                if self.cache.has(wanted.key):
                    self.counts["had"] += 1
                    continue
                while not self.budget.take():
                    await asyncio.sleep(0.5 / self.budget.per_s)
                group.create_task(self._make(wanted))

    async def _make(self, wanted: Wanted) -> None:
        try:
            await self.cache.warm(wanted.key, wanted.compute, life=wanted.life, tags=wanted.tags)
            self.counts["warmed"] += 1
        except (TercelError, OSError, ArithmeticError, LookupError, ValueError, TimeoutError):
            self.counts["failed"] += 1
        finally:
            self.budget.busy -= 1

    def _missed(self, key: str, compute: Callable[[], Any], life: Any, tags: tuple[str, ...]) -> None:
        """Called by the cache at every miss of a reader: learn, and act on what is likely to follow."""
        self._recipes[key] = Wanted(key, compute, life, tags)
        self._recipes.move_to_end(key)
        if len(self._recipes) > KEYS_MAX:
            self._recipes.popitem(last=False)
        self.patterns.saw(key)
        for follower in self.patterns.likely(key):
            wanted = self._recipes.get(follower)
            if wanted is None or self.cache.under_way(follower) or self.cache.has(follower):
                continue
            self._judge_one(follower)
            if not self.budget.take():
                self.counts["over_budget"] += 1
                continue
            self.counts["guessed"] += 1
            self._guesses[follower] = None
            task = asyncio.get_running_loop().create_task(self._make(wanted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _judge(self) -> None:
        """See which guesses were used; those that left level 1 without a use were not."""
        for key in list(self._guesses):
            self._judge_one(key)
        while len(self._guesses) > KEYS_MAX:
            self._guesses.popitem(last=False)

    def _judge_one(self, key: str) -> None:
        if key in self._guesses and (uses := self.cache.uses(key)) != 0:
            self.patterns.judge(uses is not None)
            del self._guesses[key]


class Active:
    """Which symbols were asked for within a window."""

    def __init__(self, window_s: float = 900.0, symbols_max: int = 1_000, clock: Callable[[], int] = steady_ns) -> None:
        self._window_ns, self._max, self._clock = int(window_s * NS_PER_S), symbols_max, clock
        self._last: OrderedDict[str, int] = OrderedDict()

    def saw(self, symbol: str) -> None:
        """The symbol was asked for."""
        self._last[symbol] = self._clock()
        self._last.move_to_end(symbol)
        if len(self._last) > self._max:
            self._last.popitem(last=False)

    def symbols(self) -> list[str]:
        """The symbols of the window, the most recent first."""
        oldest = self._clock() - self._window_ns
        return [symbol for symbol, at in reversed(self._last.items()) if at >= oldest]
