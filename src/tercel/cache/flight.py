"""Single flight: for many tasks that miss the same key, one computation.

A flight is a task of its own that belongs to `Flights`. Whoever waits for it may be cancelled or run out of time; the flight goes on for
the others. An invalidation *detaches* it: those who wait get its result, which answers what they asked before the invalidation, but it is
not kept, and whoever asks from then on starts another flight. Errors go to everybody who waits and are not kept here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final

from tercel.base.errors import TercelError

FLIGHTS_MAX: Final = 10_000


class Overloaded(TercelError):
    """More computations are under way than allowed: do less, or raise the bound."""


class Flight:
    """One computation under way. `detached` is true when its result must not be kept."""

    __slots__ = ("detached", "key", "tags", "task")

    def __init__(self, key: Hashable, tags: tuple[str, ...]) -> None:
        self.key, self.tags = key, tags
        self.detached = False
        self.task: asyncio.Task[Any] | None = None


class Flights:
    """All computations of one cache; at most `flights_max`, beyond it a new key raises `Overloaded`. Belongs to one event loop."""

    def __init__(self, flights_max: int = FLIGHTS_MAX) -> None:
        self.flights_max = flights_max
        self.joined = 0
        """How many waits were spared a computation."""
        self._by_key: dict[Hashable, Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def swamped(self) -> bool:
        """Whether a new key would be refused."""
        return len(self._tasks) >= self.flights_max

    def under_way(self, key: Hashable) -> bool:
        """Whether a flight that still counts is under way for the key."""
        return key in self._by_key

    def start(self, key: Hashable, work: Callable[[Flight], Awaitable[Any]], tags: tuple[str, ...] = ()) -> Flight:
        """The flight of the key: the one under way, or a new one. Raises `Overloaded`."""
        flight = self._by_key.get(key)
        if flight is not None:
            self.joined += 1
            return flight
        if self.swamped:
            raise Overloaded(f"cache: {self.flights_max} computations are under way; raise flights_max or ask for less at once")
        flight = Flight(key, tags)
        self._by_key[key] = flight
        task = flight.task = asyncio.get_running_loop().create_task(self._fly(flight, work))
        self._tasks.add(task)
        task.add_done_callback(self._landed)
        return flight

    async def _fly(self, flight: Flight, work: Callable[[Flight], Awaitable[Any]]) -> Any:
        try:
            return await work(flight)
        finally:
            self._forget(flight)

    def _forget(self, flight: Flight) -> None:
        if self._by_key.get(flight.key) is flight:
            del self._by_key[flight.key]

    def _landed(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: a flight nobody waits for may fail without a complaint of the loop; the cache counts it

    async def run(self, key: Hashable, work: Callable[[Flight], Awaitable[Any]], tags: tuple[str, ...] = ()) -> Any:
        """The result of the key's flight. Cancelling the wait leaves the flight to the others."""
        task = self.start(key, work, tags).task
        assert task is not None
        await asyncio.wait((task,))
        if task.cancelled():
            raise Overloaded("cache: it was closed while this value was being made")
        return task.result()

    def detach(self, key: Hashable) -> None:
        """Let the flight of the key finish for those who wait; its result must not be kept and nobody joins it any more."""
        flight = self._by_key.pop(key, None)
        if flight is not None:
            flight.detached = True

    def detach_where(self, concerned: Callable[[Flight], bool]) -> None:
        """Detach every flight that is concerned."""
        for flight in [flight for flight in self._by_key.values() if concerned(flight)]:
            self.detach(flight.key)

    async def aclose(self) -> None:
        """Cancel what is under way and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
