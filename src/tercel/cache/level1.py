"""Level 1, in this process: a dictionary, a policy, lives, tags and epochs.

A hit is one synchronous function, `Level1.get`: dictionary probe, epoch, clock, frequency. It is a closure, because names in cells cost
half of what attributes cost, and it is the one thing here that runs millions of times. The precise clock is read (a coarse one costs the
same from Python). One hit in 256 is timed.

**Epochs.** An entry carries the epoch in which it was last found valid. Invalidating a tag raises the level's epoch and the tag's version,
O(1); an entry of an older epoch is compared with its tags once, at its next use. `close` gives the level an epoch that no entry has: every
look is a miss until `open`, which also forgets everything.

**The race.** Whoever reads or computes a value elsewhere takes `token(key, tags)` before and gives it to `put`; `put` refuses when the key,
one of the tags or the whole level was invalidated since. Keys share 256 counts: a neighbour's invalidation may cost a put, never a wrong
one.

Threads may share a level: changes are under a lock, reads are not, but for the policies that move what is read. The lock is re-entrant and
values are released outside it, so that a value whose end calls back into the cache cannot freeze the process.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from fnmatch import translate
from re import compile as pattern_of
from threading import RLock
from typing import Any, Final

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.histogram import Histogram
from tercel.base.time import NS_PER_S, steady_ns
from tercel.cache.entries import MAX_SEEN, Entry
from tercel.cache.policies import policy as policy_named
from tercel.cache.weights import weigh

MISSING: Final = type("Missing", (), {"__repr__": lambda self: "MISSING", "__slots__": ()})()
"""What a look gives when there is nothing; None is a value like any other."""

LIFE_NS_MAX: Final = 30 * NS_PER_S
ENTRIES: Final = 5_000
BYTES: Final = 64 << 20
SHARDS: Final = 256
TAGS_MAX: Final = 65_536
MARKS_MAX: Final = 4_096
TIMED_EVERY: Final = 256
CLOSED: Final = -1
ENTRY_BYTES: Final = 256  # measured by `python -m benchmarks cache`: entry, its times, dictionary and queue slots
SAMPLED: Final = 20  # a hit further from expiry than so many times its making draws no chance: below e**-20 = 2e-9


Marks = tuple[tuple[str, int], ...]
"""Tags, each with its version."""

Token = tuple[int, Marks]
"""How often a key's shard and the whole level were invalidated, and the tags' versions."""


class Level1:
    """At most `entries_max` entries and `bytes_max` estimated bytes; nothing lives longer than `life_ns_max`.

    `get(key, default=None)` is the hit. `policy` is a name of `policies.POLICIES`. `clock` gives ns and never goes back.
    """

    get: Callable[..., Any]
    """`get(key, default=None)`: the value while it is good, else the default."""

    plain: Callable[[Hashable], Any]
    """`plain(key)`: the value when nothing need be asked or refreshed, else `MISSING`; then `look` says more."""

    def __init__(
        self, *, entries_max: int = ENTRIES, bytes_max: int = BYTES, life_ns_max: int = LIFE_NS_MAX, policy: str = "s3fifo",
        clock: Callable[[], int] = steady_ns,
    ) -> None:  # fmt: skip
        if entries_max < 1 or bytes_max < 1 or life_ns_max < 1:
            raise ConfigError(
                f"cache.level1: expected bounds of at least 1, found {entries_max} entries, {bytes_max} bytes, {life_ns_max} ns"
            )
        self.entries_max, self.bytes_max, self.life_ns_max, self.clock = entries_max, bytes_max, life_ns_max, clock
        self.policy_name = policy
        self.latency = Histogram(np.zeros(Histogram.SIZE, np.int64))
        self.bytes = 0
        self.misses = 0
        self.left: Counter[str] = Counter()
        """Entries that left, by reason: capacity, shrunk, expired, invalidated, replaced, too_large."""
        self._entries: dict[Hashable, Entry] = {}
        self._policy = policy_named(policy)
        self._lock = RLock()
        self._versions: dict[str, int] = {}
        self._marks: dict[tuple[str, ...], tuple[tuple[str, int], ...]] = {}
        self._epoch = self._generation = 0
        self._closed = False
        self._shards = array("q", bytes(8 * SHARDS))
        self._bind()

    def _bind(self) -> None:
        """Make the hit: `get` and `plain` share the count of hits and the epoch."""
        epoch, hits = self._epoch, 0
        probe, clock, slow = self._entries.get, self.clock, self._slow
        touch = self._touch if self._policy.touch is not None else None
        record, missing, all_seen, mask = self.latency.record, MISSING, MAX_SEEN, TIMED_EVERY - 1

        def plain(key: Hashable) -> Any:
            nonlocal hits
            entry = probe(key)
            if entry is None or entry.epoch != epoch or clock() >= entry.early_ns:
                return missing
            hits += 1
            if entry.seen < all_seen:
                entry.seen += 1
            if touch is not None:
                touch(entry)
            return entry.value

        def get(key: Hashable, default: Any = None) -> Any:
            nonlocal hits
            if not hits & mask:
                return timed(key, default)
            entry = probe(key)
            if entry is None or entry.epoch != epoch or clock() >= entry.early_ns:
                return slow(key, default)
            hits += 1
            if entry.seen < all_seen:
                entry.seen += 1
            if touch is not None:
                touch(entry)
            return entry.value

        def timed(key: Hashable, default: Any) -> Any:
            nonlocal hits
            before = hits
            hits = before + 1  # so that `get` does not come back here
            start = clock()
            value = get(key, default)
            if hits > before + 1:
                record(clock() - start)
            hits -= 1
            return value

        def count(added: int) -> int:
            nonlocal hits
            hits += added
            return hits

        def move(to: int) -> None:
            nonlocal epoch
            epoch = to

        self.get, self.plain, self._count, self._move = get, plain, count, move

    @property
    def hits(self) -> int:
        """How many looks found a good value."""
        return self._count(0)

    @property
    def ghost_hits(self) -> int:
        """How many misses a cache of twice the size would have had less, by the policy's memory of what left."""
        return self._policy.ghost_hits

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Hashable]:
        """The keys at this moment."""
        return iter(list(self._entries))

    def _slow(self, key: Hashable, default: Any) -> Any:
        """A look that is no plain hit: checked, expired or missing."""
        entry = self.look(key)
        if entry is not None and self.clock() < entry.fresh_ns:
            return self.hit(entry)
        self.misses += 1
        return default

    def hit(self, entry: Entry) -> Any:
        """Count a use of an entry that `look` gave, and its value."""
        self._count(1)
        if entry.seen < MAX_SEEN:
            entry.seen += 1
        self._touch(entry)
        return entry.value

    def _touch(self, entry: Entry) -> None:
        """Let a policy that moves entries see a use; another thread must not evict meanwhile."""
        if self._policy.touch is not None:
            with self._lock:
                self._policy.touch(entry)

    def look(self, key: Hashable) -> Entry | None:
        """The entry that may still be served, good or stale, or None; uncounted. What has expired or lost a tag leaves here."""
        entry = self._entries.get(key)
        if entry is None or self._closed:
            return None
        if self.clock() >= entry.stale_ns:
            self._drop(entry, "expired")
            return None
        if entry.epoch != self._epoch:
            versions = self._versions
            if any(versions.get(tag, 0) != version for tag, version in entry.tags):
                self._drop(entry, "invalidated")
                return None
            entry.epoch = self._epoch
        return entry

    def token(self, key: Hashable, tags: tuple[str, ...] = ()) -> Token:
        """What to take before reading or computing a value elsewhere, and to give to `put` with the same tags."""
        return self._shards[hash(key) & (SHARDS - 1)] + self._generation, self._marks_of(tags) if tags else ()

    def put(
        self, key: Hashable, value: Any, fresh_ns: int, stale_ns: int = 0, *, tags: Iterable[str] = (), made_ns: int = 0,
        weight: int | None = None, token: Token | None = None, beta: float = 1.0,
    ) -> bool:  # fmt: skip
        """Keep a value good for `fresh_ns`, then servable for `stale_ns` more while it is refreshed; both within `life_ns_max`.

        `made_ns` is what it cost, `beta` how eagerly to refresh before expiry (0: never). False when it was not kept: invalidated since
        `token`, larger than a quarter of the level (what it would replace is gone then), or the level is closed.
        """
        weight = ENTRY_BYTES + (weigh(value) if weight is None else weight)
        now = self.clock()
        fresh = now + min(fresh_ns, self.life_ns_max)
        stale = min(fresh + stale_ns, now + self.life_ns_max) if stale_ns else fresh
        early = max(now, fresh - int(SAMPLED * beta * made_ns)) if made_ns and beta else fresh
        out: list[Entry] = []
        with self._lock:
            marked = tuple(tags)
            if self._closed or (token is not None and token != self.token(key, marked)):
                return False
            if weight * 4 > self.bytes_max:
                self.left["too_large"] += 1
                self._take(key, "replaced")
                return False
            marks = self._marks_of(marked) if marked else ()
            entry = Entry(key, value, early, fresh, stale, made_ns, weight, marks, self._epoch)
            old = self._entries.get(key)
            if old is not None:
                entry.seen, entry.place = old.seen, old.place
                self._forget(old, "replaced")
                out.append(old)
            out += self._evict("capacity", 1, weight)
            self._entries[key] = entry
            self.bytes += weight
            self._policy.add(entry)
        return True

    def _marks_of(self, tags: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
        """The tags with their versions now, one object for all entries that share them."""
        marks = self._marks.get(tags)
        if marks is None:
            if len(self._marks) >= MARKS_MAX:
                self._marks.clear()
            marks = self._marks[tags] = tuple((tag, self._versions.get(tag, 0)) for tag in tags)
        return marks

    def _evict(self, reason: str, entries: int = 0, size: int = 0) -> list[Entry]:
        """Evict until so much more fits; under the lock. The entries, to be released outside it."""
        out: list[Entry] = []
        while (crowded := len(self._entries) + entries > self.entries_max) or self.bytes + size > self.bytes_max:
            entry = self._policy.victim(by_bytes=not crowded)
            if entry is None:
                break
            del self._entries[entry.key]
            self.bytes -= entry.weight
            self.left[reason] += 1
            out.append(entry)
        return out

    def _forget(self, entry: Entry, reason: str) -> None:
        self._policy.remove(entry)
        del self._entries[entry.key]
        self.bytes -= entry.weight
        self.left[reason] += 1

    def _take(self, key: Hashable, reason: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._forget(entry, reason)
        return entry

    def _drop(self, entry: Entry, reason: str) -> None:
        with self._lock:
            if self._entries.get(entry.key) is entry:
                self._forget(entry, reason)

    def resize(self, entries_max: int, bytes_max: int) -> None:
        """New bounds, at least 1; what no longer fits leaves now."""
        with self._lock:
            self.entries_max, self.bytes_max = max(1, entries_max), max(1, bytes_max)
            out = self._evict("shrunk")
        del out

    def sweep(self, entries: int = 1_000) -> int:
        """Release up to `entries` values that have expired, oldest entries first. How many; call it now and then."""
        now, gone = self.clock(), 0
        for entry in [each for each, _ in zip(list(self._entries.values()), range(entries * 10), strict=False) if each.stale_ns <= now][
            :entries
        ]:
            self._drop(entry, "expired")
            gone += 1
        return gone

    def invalidate(self, key: Hashable) -> bool:
        """Forget one key, and refuse what is being read for it. True when it was there."""
        with self._lock:
            self._shards[hash(key) & (SHARDS - 1)] += 1
            out = self._take(key, "invalidated")
        return out is not None

    def invalidate_tag(self, tag: str) -> None:
        """Forget every entry with the tag: O(1), each is dropped at its next use."""
        with self._lock:
            if len(self._versions) >= TAGS_MAX and tag not in self._versions:
                self.clear()
            self._versions[tag] = self._versions.get(tag, 0) + 1
            self._marks.clear()
            self._raise()

    def invalidate_matching(self, pattern: str) -> int:
        """Forget every text key that a shell pattern (`*`, `?`, `[abc]`) matches; walks all keys. How many."""
        matches = pattern_of(translate(pattern)).match
        with self._lock:
            self._generation += 1
            found = [entry for key, entry in self._entries.items() if isinstance(key, str) and matches(key)]
            for entry in found:
                self._forget(entry, "invalidated")
        return len(found)

    def clear(self) -> None:
        """Forget everything, and refuse what is being read."""
        with self._lock:
            out = list(self._entries.values())
            self._policy.clear()
            self._entries.clear()
            self._versions.clear()
            self._marks.clear()
            self.bytes = 0
            self.left["invalidated"] += len(out)
            self._generation += 1
            self._raise()
        del out

    def close(self) -> None:
        """Every look is a miss and nothing is kept until `open`: used while invalidations of other processes cannot be heard."""
        with self._lock:
            self._closed = True
            self._generation += 1
            self._move(CLOSED)

    def open(self) -> None:
        """Forget what was kept before `close`, and keep again."""
        with self._lock:
            self._closed = False
            self.clear()

    @property
    def closed(self) -> bool:
        """Whether every look is a miss."""
        return self._closed

    def _raise(self) -> None:
        self._epoch += 1
        self._move(CLOSED if self._closed else self._epoch)
