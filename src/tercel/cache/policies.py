"""The other policies, for those who know that theirs is better: least recently used, least frequently used, and soonest to expire."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Final

from tercel.base.errors import ConfigError
from tercel.cache.entries import GONE, MAIN, Entry, Policy
from tercel.cache.s3fifo import S3Fifo


class Lru:
    """The entry whose last use is longest ago leaves first."""

    def __init__(self) -> None:
        self.ghost_hits = 0
        self.touch: Callable[[Entry], None] | None = self._touch
        self._order: OrderedDict[Entry, None] = OrderedDict()

    def _touch(self, entry: Entry) -> None:
        if entry.place:
            self._order.move_to_end(entry)

    def add(self, entry: Entry) -> None:
        """The newest."""
        entry.place = MAIN
        self._order[entry] = None

    def remove(self, entry: Entry) -> None:
        """Out of the order."""
        if entry.place:
            entry.place = GONE
            del self._order[entry]

    def victim(self, by_bytes: bool) -> Entry | None:
        """The oldest."""
        if not self._order:
            return None
        entry, _ = self._order.popitem(last=False)
        entry.place = GONE
        return entry

    def clear(self) -> None:
        """Forget all."""
        for entry in self._order:
            entry.place = GONE
        self._order.clear()


class Lfu:
    """The entry with the fewest uses leaves first, the oldest of equals; a use costs O(1) (Shah, Mitra, Matani 2010: lists by count)."""

    def __init__(self) -> None:
        self.ghost_hits = 0
        self.touch: Callable[[Entry], None] | None = self._touch
        self._lists: dict[int, OrderedDict[Entry, None]] = {}
        self._least = 1

    def _touch(self, entry: Entry) -> None:
        uses = entry.place
        if uses:
            self._take(entry)
            entry.place = uses + 1
            self._lists.setdefault(uses + 1, OrderedDict())[entry] = None
            if self._least == uses and uses not in self._lists:
                self._least = uses + 1

    def _take(self, entry: Entry) -> None:
        same = self._lists[entry.place]
        del same[entry]
        if not same:
            del self._lists[entry.place]

    def add(self, entry: Entry) -> None:
        """Used once, or as often as the one it replaces; here an entry's `place` is its number of uses."""
        entry.place = entry.place or 1
        self._least = min(self._least, entry.place)
        self._lists.setdefault(entry.place, OrderedDict())[entry] = None

    def remove(self, entry: Entry) -> None:
        """Out of its list."""
        if entry.place:
            self._take(entry)
            entry.place = GONE

    def victim(self, by_bytes: bool) -> Entry | None:
        """The least used; looks for the next count when the last of one has left from outside."""
        if not self._lists:
            return None
        if self._least not in self._lists:
            self._least = min(self._lists)
        entry = next(iter(self._lists[self._least]))
        self.remove(entry)
        return entry

    def clear(self) -> None:
        """Forget all."""
        for same in self._lists.values():
            for entry in same:
                entry.place = GONE
        self._lists.clear()


class SoonestToExpire:
    """Pure time to live: who would expire first leaves first. O(log n)."""

    touch: Callable[[Entry], None] | None = None

    def __init__(self) -> None:
        self.ghost_hits = 0
        self._heap: list[tuple[int, int, Entry]] = []
        self._number = count()
        self._held = 0

    def add(self, entry: Entry) -> None:
        """Into the heap."""
        entry.place = MAIN
        self._held += 1
        heapq.heappush(self._heap, (entry.stale_ns, next(self._number), entry))

    def remove(self, entry: Entry) -> None:
        """Mark it; the heap is rebuilt when most of it is marks."""
        if entry.place:
            entry.place = GONE
            self._held -= 1
            if len(self._heap) > 2 * self._held + 64:
                self._heap = [each for each in self._heap if each[2].place]
                heapq.heapify(self._heap)

    def victim(self, by_bytes: bool) -> Entry | None:
        """The soonest."""
        while self._heap:
            entry = heapq.heappop(self._heap)[2]
            if entry.place:
                entry.place = GONE
                self._held -= 1
                return entry
        return None

    def clear(self) -> None:
        """Forget all."""
        for _, _, entry in self._heap:
            entry.place = GONE
        self._heap.clear()
        self._held = 0


POLICIES: Final[dict[str, Callable[[], Policy]]] = {"s3fifo": S3Fifo, "lru": Lru, "lfu": Lfu, "ttl": SoonestToExpire}


def policy(name: str) -> Policy:
    """A new policy by its name in the settings. Raises `ConfigError` with the names there are."""
    made = POLICIES.get(name)
    if made is None:
        raise ConfigError(f"cache.policy: expected one of {', '.join(POLICIES)}, found {name!r}")
    return made()
