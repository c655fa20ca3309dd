"""Level 1: lives, bounds, tags, epochs and the order in which entries leave."""

from __future__ import annotations

import gc
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_S
from tercel.cache.entries import GONE
from tercel.cache.level1 import ENTRY_BYTES, MISSING, Level1, weigh
from tercel.cache.policies import POLICIES

KEYS = st.integers(0, 30)
TAGS = ("fx", "metal", "crypto")
WEIGHT = 1_000


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now


class Level1Machine(RuleBasedStateMachine):
    """Level 1 beside a plain dictionary of what may be served: it may forget, it may never serve what it must not."""

    @initialize(policy=st.sampled_from(sorted(POLICIES)), entries_max=st.integers(1, 12), room=st.integers(4, 20))
    def start(self, policy: str, entries_max: int, room: int) -> None:
        self.clock = Hand()
        self.level = Level1(
            policy=policy, entries_max=entries_max, bytes_max=room * (WEIGHT + ENTRY_BYTES), life_ns_max=500, clock=self.clock
        )
        self.good: dict[int, tuple[int, int, int, tuple[str, ...]]] = {}
        self.number = 0
        self.tokens: dict[int, Any] = {}

    @rule(key=KEYS, fresh=st.integers(1, 800), stale=st.integers(0, 300), tags=st.sets(st.sampled_from(TAGS)), heavy=st.integers(0, 3))
    def put(self, key: int, fresh: int, stale: int, tags: set[str], heavy: int) -> None:
        self.number += 1
        kept = self.level.put(key, self.number, fresh, stale, tags=sorted(tags), weight=heavy * WEIGHT, made_ns=fresh // 50)
        now = self.clock.now
        if not self.level.closed:
            self.good.pop(key, None)
        if kept:
            fresh_at = now + min(fresh, 500)
            self.good[key] = (self.number, fresh_at, min(fresh_at + stale, now + 500), tuple(tags))

    @rule(key=KEYS)
    def take_token(self, key: int) -> None:
        self.tokens[key] = self.level.token(key)

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def put_what_was_read(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.tokens)))
        self.number += 1
        token = self.tokens.pop(key)
        kept = self.level.put(key, self.number, 500, token=token)
        if kept:
            assert token == self.level.token(key)
            self.good[key] = (self.number, self.clock.now + 500, self.clock.now + 500, ())
        else:
            assert token != self.level.token(key) or self.level.closed or self.level.bytes_max < 4 * ENTRY_BYTES + 4 * 40
            if token == self.level.token(key):
                self.good.pop(key, None)

    @rule(key=KEYS)
    def get(self, key: int) -> None:
        value = self.level.get(key, MISSING)
        plain = self.level.plain(key)
        good = self.good.get(key)
        if value is not MISSING:
            assert good is not None
            assert value == good[0]
            assert self.clock.now < good[1]
        else:
            assert plain is MISSING
        if plain is not MISSING:
            assert plain == value

    @rule(key=KEYS)
    def look(self, key: int) -> None:
        entry = self.level.look(key)
        if entry is not None:
            assert entry.value == self.good[key][0]
            assert self.clock.now < self.good[key][2]

    @rule(step=st.integers(1, 200))
    def wait(self, step: int) -> None:
        self.clock.now += step

    @rule(key=KEYS)
    def invalidate(self, key: int) -> None:
        self.level.invalidate(key)
        self.good.pop(key, None)
        self.tokens.pop(key, None)

    @rule(tag=st.sampled_from(TAGS))
    def invalidate_tag(self, tag: str) -> None:
        self.level.invalidate_tag(tag)
        self.good = {key: held for key, held in self.good.items() if tag not in held[3]}
        self.tokens.clear()

    @rule()
    def clear(self) -> None:
        self.level.clear()
        self.good.clear()
        self.tokens.clear()

    @rule()
    def close(self) -> None:
        self.level.close()
        self.good.clear()
        self.tokens.clear()

    @rule()
    def open(self) -> None:
        self.level.open()
        self.good.clear()
        self.tokens.clear()

    @rule(entries_max=st.integers(1, 12), room=st.integers(1, 20))
    def resize(self, entries_max: int, room: int) -> None:
        self.level.resize(entries_max, room * (WEIGHT + ENTRY_BYTES))

    @rule()
    def sweep(self) -> None:
        self.level.sweep()

    @invariant()
    def bounds_and_books_hold(self) -> None:
        if not hasattr(self, "level"):
            return
        entries = list(self.level._entries.values())
        assert len(entries) <= self.level.entries_max
        assert self.level.bytes == sum(entry.weight for entry in entries) <= self.level.bytes_max
        assert all(entry.place != GONE for entry in entries)


TestLevel1Machine = Level1Machine.TestCase
TestLevel1Machine.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def s3fifo_by_definition(keys: Iterable[int], held_max: int) -> list[bool]:
    """Which looks hit, by the algorithm as it is written down: two queues, a list of ghosts, a count to three."""
    small, main, ghosts, seen, hits = deque[int](), deque[int](), OrderedDict[int, None](), dict[int, int](), []
    for key in keys:
        hits.append(key in seen)
        if key in seen:
            seen[key] = min(3, seen[key] + 1)
            continue
        while len(seen) >= held_max:
            probation = not main or len(small) * 10 > len(small) + len(main)
            queue = small if probation and small else main
            oldest = queue.popleft()
            if seen[oldest]:
                seen[oldest] = 0 if queue is small else seen[oldest] - 1
                main.append(oldest)
            else:
                del seen[oldest]
                if queue is small:
                    ghosts[oldest] = None
                    while len(ghosts) > max(1, len(small) + len(main)):
                        ghosts.popitem(last=False)
        if key in ghosts:
            del ghosts[key]
            main.append(key)
        else:
            small.append(key)
        seen[key] = 0
    return hits


@given(keys=st.lists(st.integers(0, 40), max_size=300), held_max=st.integers(1, 30))
def test_the_default_policy_is_s3fifo_by_definition(keys: list[int], held_max: int) -> None:
    """Every hit and every miss is the one the textbook algorithm has."""
    level = Level1(entries_max=held_max)
    found = []
    for key in keys:
        found.append(level.get(key) is not None)
        if not found[-1]:
            level.put(key, key + 1, NS_PER_S)
    assert found == s3fifo_by_definition(keys, held_max)


@pytest.mark.parametrize(("policy", "left"), [("lru", "b"), ("lfu", "c"), ("ttl", "d"), ("s3fifo", "b")])
def test_each_policy_evicts_its_own_choice(policy: str, left: str) -> None:
    """Oldest use, fewest uses, soonest expiry, oldest never hit: the entry that leaves is the policy's."""
    level = Level1(policy=policy, entries_max=4)
    for key, life_s in {"a": 9, "b": 8, "c": 7, "d": 2}.items():
        level.put(key, key, life_s * NS_PER_S)
    for key in "abbdd" if policy == "lfu" else "acd":
        level.get(key)
    level.put("e", "e", 9 * NS_PER_S)
    assert set(level) == set("abcde") - {left}


def test_a_scan_does_not_flush_what_is_used() -> None:
    """A hundred used entries survive a scan of ten thousand keys, which a least-recently-used cache loses."""
    kept = {}
    for policy in ("s3fifo", "lru"):
        level = Level1(policy=policy, entries_max=200)
        for _ in range(3):
            for key in range(100):
                level.get(key) or level.put(key, key + 1, 20 * NS_PER_S)
        for key in range(1_000, 11_000):
            level.put(key, key, 20 * NS_PER_S)
        kept[policy] = sum(level.get(key) is not None for key in range(100))
    assert kept == {"s3fifo": 100, "lru": 0}


def test_bytes_bound_the_level_as_well() -> None:
    """Ten arrays of 10 kB in a level of 50 kB leave four; one larger than a quarter of the level is not kept at all."""
    level = Level1(bytes_max=50_000)
    for number in range(10):
        assert level.put(number, np.zeros(1_250), NS_PER_S)
    assert len(level) == 4
    assert level.bytes <= 50_000
    assert not level.put("large", np.zeros(12_500), NS_PER_S)
    assert level.left["too_large"] == 1
    assert level.left["capacity"] == 6


def test_weights_follow_what_a_value_holds() -> None:
    """An array weighs its data, a list its items: twice as many weigh about twice as much."""
    assert weigh(np.zeros((10, 50, 60), np.float32)) == 10 * 50 * 60 * 4 + 112
    assert weigh(b"x" * 1_000) > 1_000
    few, many = ([float(number) for number in range(count)] for count in (500, 1_000))
    assert 1.8 < weigh(many) / weigh(few) < 2.2
    assert weigh({"a": few}) > weigh(few)


def test_an_early_hit_still_serves_plain_readers() -> None:
    """Between "maybe refresh" and expiry `get` serves, while `plain` leaves the choice to whoever can refresh."""
    clock = Hand()
    level = Level1(clock=clock)
    level.put("k", "v", 1_000, made_ns=10)
    clock.now += 850
    assert level.get("k") == "v"
    assert level.plain("k") is MISSING
    assert level.look("k").made_ns == 10  # type: ignore[union-attr]


def test_hits_misses_and_latency_are_counted() -> None:
    """Counts are exact, and every 256th hit is timed."""
    level = Level1()
    level.put("k", "v", 20 * NS_PER_S)
    for _ in range(2_560):
        assert level.get("k") == "v"
        assert level.get("absent") is None
    assert (level.hits, level.misses) == (2_560, 2_560)
    assert level.latency.count == 10
    assert 0 < level.latency.percentile(50) < 1_000_000


def test_only_matching_keys_are_invalidated() -> None:
    """A shell pattern reaches the text keys it matches and no other."""
    level = Level1()
    for key in ("fx:EURUSD:1m", "fx:EURUSD:5m", "fx:GBPUSD:1m", ("fx", 1)):
        level.put(key, 1, NS_PER_S)
    assert level.invalidate_matching("fx:EUR*") == 2
    assert set(level) == {"fx:GBPUSD:1m", ("fx", 1)}


def test_a_value_whose_end_calls_the_cache_freezes_nothing() -> None:
    """Finalisers that use the cache while it evicts, and a collection inside the lock, leave it whole."""
    level = Level1(entries_max=8)

    class Nosy:
        def __del__(self) -> None:
            level.get("k")
            level.put("last", 1, NS_PER_S)

    for number in range(200):
        nosy = Nosy()
        nosy.self = nosy  # type: ignore[attr-defined]
        level.put(number, nosy, NS_PER_S)
        del nosy
        if number % 20 == 0:
            gc.collect()
    level.clear()
    gc.collect()
    assert level.bytes == sum(entry.weight for entry in level._entries.values())


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_threads_share_a_level(policy: str) -> None:
    """Four threads that look, keep and invalidate leave the books in order and see no other key's value, however often they switch."""
    level = Level1(entries_max=8, policy=policy)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        try:
            play(Random(seed))
        except Exception as error:
            wrong.append(error)

    def play(draw: Random) -> None:
        for _ in range(15_000):
            key = draw.randrange(12)
            value = level.get(key)
            if value is None:
                level.put(key, key * 7 + 1, 20 * NS_PER_S, tags=("odd",) if key & 1 else ())
            elif value != key * 7 + 1:
                wrong.append((key, value))
            if draw.random() < 0.01:
                level.invalidate_tag("odd")
            if draw.random() < 0.01:
                level.invalidate(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
    assert level.bytes == sum(entry.weight for entry in level._entries.values())
    assert len(level) <= 8


def test_bad_bounds_and_policies_are_refused_by_name() -> None:
    """A slip in the settings is an error that says what there is."""
    with pytest.raises(ConfigError, match=r"s3fifo, lru, lfu, ttl, found 'arc'"):
        Level1(policy="arc")
    with pytest.raises(ConfigError, match="at least 1"):
        Level1(entries_max=0)
