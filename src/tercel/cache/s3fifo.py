"""S3-FIFO: a small queue on probation, a main queue that gives second chances, and the hashes of what left the small one.

After Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023, section 4. A hit moves nothing:
it only counts to three, which is why it is cheap. What is seen once leaves by the small queue and cannot flush what is used.

The small queue has a tenth of what is held, as in the paper. Two differences: one hit on probation is enough for the main queue (the paper:
two), and shares are of entries or of bytes, whichever the cache is short of. Tried and left out: a twentieth or a fifth (a third of a point
better on some traces, as much worse on others), moving the border by ghost hits (worse where a loop barely fits), longer ghosts.

An entry removed from outside is only marked; its queue skips the mark. A queue with more marks than entries is swept.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from tercel.cache.entries import GONE, MAIN, SMALL, Entry

SMALL_SHARE: Final = 10  # the small queue has one of so many
SWEEP_MIN: Final = 64


class S3Fifo:
    """The default policy."""

    touch: Callable[[Entry], None] | None = None

    def __init__(self) -> None:
        self.ghost_hits = 0
        self._queues: tuple[deque[Entry], deque[Entry], deque[Entry]] = (deque(), deque(), deque())  # by place; the first stays empty
        self._counts = [0, 0, 0]
        self._bytes = [0, 0, 0]
        self._ghosts: OrderedDict[int, None] = OrderedDict()

    def add(self, entry: Entry) -> None:
        """On probation, or straight into the main queue when it left probation a short while ago or replaces one that is there."""
        ghost = hash(entry.key)
        if ghost in self._ghosts:
            del self._ghosts[ghost]
            self.ghost_hits += 1
            self._push(entry, MAIN)
        else:
            self._push(entry, entry.place or SMALL)

    def remove(self, entry: Entry) -> None:
        """Mark it; amortised O(1)."""
        place = entry.place
        if place != GONE:
            self._leave(entry)
            queue = self._queues[place]
            if len(queue) > 2 * self._counts[place] + SWEEP_MIN:
                kept = [each for each in queue if each.place == place]
                queue.clear()
                queue.extend(kept)

    def victim(self, by_bytes: bool) -> Entry | None:
        """The oldest on probation that was never hit, while probation is over its share; else the oldest in main without a chance left."""
        held = self._bytes if by_bytes else self._counts
        while self._counts[SMALL] or self._counts[MAIN]:
            probation = not self._counts[MAIN] or held[SMALL] * SMALL_SHARE > held[SMALL] + held[MAIN]
            place = SMALL if probation and self._counts[SMALL] else MAIN
            entry = self._queues[place].popleft()
            if entry.place != place:
                continue
            self._leave(entry)
            if not entry.seen:
                if place == SMALL:
                    self._remember(entry)
                return entry
            entry.seen = 0 if place == SMALL else entry.seen - 1
            self._push(entry, MAIN)
        return None

    def clear(self) -> None:
        """Forget entries and ghosts."""
        for queue in self._queues:
            for entry in queue:
                entry.place = GONE
            queue.clear()
        self._counts[:] = self._bytes[:] = (0, 0, 0)
        self._ghosts.clear()

    def _push(self, entry: Entry, place: int) -> None:
        entry.place = place
        self._queues[place].append(entry)
        self._counts[place] += 1
        self._bytes[place] += entry.weight

    def _leave(self, entry: Entry) -> None:
        self._counts[entry.place] -= 1
        self._bytes[entry.place] -= entry.weight
        entry.place = GONE

    def _remember(self, entry: Entry) -> None:
        ghosts = self._ghosts
        ghosts[hash(entry.key)] = None
        while len(ghosts) > max(1, self._counts[SMALL] + self._counts[MAIN]):
            ghosts.popitem(last=False)
