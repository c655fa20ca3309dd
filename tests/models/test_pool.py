"""The pool keeps its bounds, loads once, never in the caller, and pushes out what was used least."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tercel.base.errors import ConfigError, DataError
from tercel.base.time import clock_ns
from tercel.models.forest import Forest
from tercel.models.pool import AGE_USES, ModelUnavailable, Pool
from tests.models.definition import hard_rows
from tests.models.trained import read, trained

SECONDS = 20.0


class Thing(NamedTuple):
    """A model that is nothing but its size."""

    key: str
    bytes: int


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true, at most `SECONDS`."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Loads wait for it; it opens at the end whatever happens."""
    event = threading.Event()
    yield event
    event.set()


def gated(gate: threading.Event, log: list[str], size: int = 10) -> Callable[[str], Thing]:
    """A loader that waits for the gate and writes down who asked for what where."""

    def load(key: str) -> Thing:
        gate.wait(SECONDS)
        log.append(f"{key} in {threading.current_thread().name}")
        return Thing(key, size)

    return load


def test_forests_are_loaded_in_the_background_and_score_as_ever(tmp_path: Path) -> None:
    """The first `get` has nothing, `wait` has the forest, and a third model pushes out the one of the two that was used least."""
    for trees in (5, 6, 7):
        trained(trees=trees).save_model(tmp_path / f"{trees}.txt")
    with Pool(lambda key: Forest.load(tmp_path / f"{key}.txt"), clock_ns, models_max=2) as pool:
        assert pool.get("5") is None
        rows = hard_rows(read(trained(trees=5)), 200, seed=1)
        for trees in (5, 6):
            theirs = np.asarray(trained(trees=trees).predict(rows, raw_score=True))
            assert pool.wait(str(trees), SECONDS).predict(rows).tobytes() == theirs.tobytes()
        assert pool.get("5") is pool.get("5")
        assert pool.wait("7", SECONDS).trees == 7
        assert set(pool.keys()) == {"5", "7"}
        counted = pool.counters()
        assert (counted.loads, counted.evictions, counted.models, counted.failures) == (3, 1, 2, 0)
        assert counted.bytes == sum(pool.wait(key, SECONDS).bytes for key in ("5", "7"))
        assert counted.load_seconds > 0.0


def test_a_file_that_is_damaged_is_refused_with_its_cause(tmp_path: Path) -> None:
    """The reader's own words stand in the error and behind it."""
    (tmp_path / "bad.txt").write_text("tree\nversion=v4\n")
    with Pool(lambda key: Forest.load(tmp_path / key), clock_ns) as pool, pytest.raises(ModelUnavailable, match="cut off") as caught:
        pool.wait("bad.txt", SECONDS)
    assert isinstance(caught.value.__cause__, DataError)


def test_many_callers_cause_one_load_and_none_of_them_does_it(gate: threading.Event) -> None:
    """Twenty threads wait for one model; the pool's own thread loads it once."""
    log: list[str] = []
    with Pool(gated(gate, log), clock_ns) as pool, ThreadPoolExecutor(20) as callers:
        waiting = [callers.submit(pool.wait, "a", SECONDS) for _ in range(20)]
        until(lambda: pool.counters().misses == 20)
        assert pool.get("a") is None
        gate.set()
        assert {id(each.result(SECONDS)) for each in waiting} == {id(pool.get("a"))}
        assert log == ["a in tercel-model-pool"]
        assert pool.counters()[:3] == (21, 21, 1)


def test_a_wait_ends_at_its_deadline(gate: threading.Event) -> None:
    """The load goes on, and the model is there for who comes later."""
    with Pool(gated(gate, []), clock_ns) as pool:
        begin = time.monotonic()
        with pytest.raises(ModelUnavailable, match=r"model a: expected within 0\.05 s, is still not loaded"):
            pool.wait("a", 0.05)
        assert 0.04 < time.monotonic() - begin < SECONDS / 2
        gate.set()
        assert pool.wait("a", SECONDS) == Thing("a", 10)


def test_more_loads_than_may_wait_are_put_off(gate: threading.Event) -> None:
    """One is being loaded, two wait, the others are counted and asked for again by the next who wants them."""
    with Pool(gated(gate, []), clock_ns, models_max=9, waiting_max=2) as pool:
        pool.get("first")
        until(lambda: not pool._queue)
        assert [pool.get(key) for key in "abcd"] == [None] * 4
        assert pool.counters().deferred == 2
        gate.set()
        assert [pool.wait(key, SECONDS).key for key in "abcd"] == list("abcd")


def test_a_failure_is_remembered_for_a_while_and_then_tried_again() -> None:
    """No new load as long as the clock stands before the end of it; afterwards a model that has become readable is there."""
    now, broken, tries = [0], [True], list[str]()

    def load(key: str) -> Thing:
        tries.append(key)
        if broken[0]:
            raise OSError("the disk is away")
        return Thing(key, 1)

    with Pool(load, lambda: now[0], failure_s=5.0) as pool:
        for _ in range(3):
            with pytest.raises(ModelUnavailable, match="model a: the disk is away; it is asked for again 5 s after that") as caught:
                pool.wait("a", SECONDS)
        assert isinstance(caught.value.__cause__, OSError)
        now[0], broken[0] = 4_999_999_999, False
        with pytest.raises(ModelUnavailable, match="the disk is away"):
            pool.get("a")
        assert tries == ["a"]
        now[0] += 1
        assert pool.get("a") is None
        assert pool.wait("a", SECONDS) == Thing("a", 1)
        assert pool.counters().failures == 1


def test_a_model_that_cannot_fit_is_refused_and_nothing_goes_for_it() -> None:
    """Larger than the bound, or larger than what pinned models leave of it, in number or in bytes."""
    sizes = {"small": 4, "large": 11, "half": 6, "half too": 6}
    with Pool(lambda key: Thing(key, sizes[key]), clock_ns, models_max=2, bytes_max=10) as pool:
        pool.wait("small", SECONDS)
        with pytest.raises(ModelUnavailable, match="model large: takes 11 bytes, expected at most 10"):
            pool.wait("large", SECONDS)
        assert pool.keys() == ("small",)
        pool.wait("half", SECONDS)
        pool.pin("half")
        with pytest.raises(ModelUnavailable, match="model half too: finds no room for 6 bytes: 1 pinned models stay"):
            pool.wait("half too", SECONDS)
        assert set(pool.keys()) == {"small", "half"}
        pool.unpin("half")
        pool.get("small")
    with Pool(lambda key: Thing(key, 1), clock_ns, models_max=1) as pool:
        pool.pin("a")
        pool.wait("a", SECONDS)
        with pytest.raises(ModelUnavailable, match="finds no room"):
            pool.wait("b", SECONDS)


def test_a_refreshed_model_serves_until_the_new_one_is_there(gate: threading.Event) -> None:
    """A hot swap: no caller sees nothing in between, and a refresh that fails leaves the old one."""
    versions = iter([Thing("first", 1), Thing("second", 2)])

    def load(key: str) -> Thing:
        if pool.counters().loads:
            gate.wait(SECONDS)
        found = next(versions, None)
        if found is None:
            raise OSError("gone")
        return found

    with Pool(load, clock_ns) as pool:
        assert pool.wait("a", SECONDS).key == "first"
        pool.refresh("a")
        pool.refresh("a")
        assert pool.get("a") == Thing("first", 1)
        gate.set()
        until(lambda: pool.counters().loads == 2)
        assert pool.get("a") == Thing("second", 2)
        assert pool.counters().bytes == 2
        pool.refresh("a")
        until(lambda: pool.counters().failures == 1)
        assert pool.get("a") == Thing("second", 2)


def test_old_fame_fades() -> None:
    """A model that was used very often, long ago, goes before one that is used now."""
    with Pool(lambda key: Thing(key, 1), clock_ns, models_max=2) as pool:
        for key, uses in (("old", 100), ("new", AGE_USES * 20)):
            pool.wait(key, SECONDS)
            for _ in range(uses):
                pool.get(key)
        assert pool.keys() == ("old", "new")
        pool.wait("third", SECONDS)
        assert set(pool.keys()) == {"new", "third"}


def test_a_closed_pool_wakes_who_waits_and_refuses(gate: threading.Event) -> None:
    """The load that runs is not waited for longer than told, and what it brings is thrown away."""
    begun = threading.Event()
    load = gated(gate, [])

    def begin(key: str) -> Thing:
        begun.set()
        return load(key)

    pool = Pool(begin, clock_ns)
    with ThreadPoolExecutor(1) as callers:
        waiting = callers.submit(pool.wait, "a", SECONDS)
        assert begun.wait(SECONDS)
        assert not pool.close(0.01)
        with pytest.raises(ModelUnavailable, match="model a: the pool is closed"):
            waiting.result(SECONDS)
    gate.set()
    assert pool.close(SECONDS)
    assert pool.counters().models == 0
    with pytest.raises(ModelUnavailable, match="closed"):
        pool.get("a")


@pytest.mark.parametrize("bound", ["models_max", "bytes_max", "waiting_max"])
def test_a_bound_of_nothing_is_refused(bound: str) -> None:
    """The error names it."""
    with pytest.raises(ConfigError, match=f"pool: {bound}: expected at least 1, found 0"):
        Pool(lambda key: Thing(key, 1), clock_ns, **{bound: 0})  # type: ignore[arg-type]


KEYS = st.sampled_from("abcdef")
SIZES = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 12}


class Machine(RuleBasedStateMachine):
    """The pool against the simplest thing that does the same: a list of [key, uses, last use], searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.broken = 0, set[str]()
        self.pool: Pool[Thing] = Pool(self.load, lambda: self.now, models_max=3, bytes_max=10, failure_s=2e-9)
        self.held: dict[str, list[int]] = {}
        self.failed: dict[str, int] = {}
        self.pinned: set[str] = set()
        self.clock = self.done = self.evicted = self.hits = self.misses = 0

    def load(self, key: str) -> Thing:
        """Fails for the keys that are broken now."""
        if key in self.broken:
            raise OSError("broken")
        return Thing(key, SIZES[key])

    def teardown(self) -> None:
        """The thread ends with the example."""
        assert self.pool.close(SECONDS)

    def settled(self, key: str) -> None:
        """Wait for the one load, then play its end."""
        self.done += 1
        until(lambda: self.pool.counters().loads + self.pool.counters().failures == self.done)
        stay = [name for name in self.held if name in self.pinned and name != key]
        fits = SIZES[key] + sum(SIZES[name] for name in stay) <= 10 and len(stay) < 3
        if key in self.broken or not fits:
            self.failed[key] = self.now
            return
        used = self.held.pop(key, None)
        while len(self.held) >= 3 or SIZES[key] + sum(SIZES[name] for name in self.held) > 10:
            del self.held[min((name for name in self.held if name not in self.pinned), key=lambda name: self.held[name])]
            self.evicted += 1
        self.clock += used is None
        self.held[key] = used or [1, self.clock]

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        """There, being loaded, or refused."""
        if key in self.held:
            assert self.pool.get(key) == Thing(key, SIZES[key])
            self.hits += 1
            self.clock += 1
            self.held[key] = [self.held[key][0] + 1, self.clock]
            if self.clock % (AGE_USES * 3) == 0:
                self.held = {name: [uses // 2, at] for name, (uses, at) in self.held.items()}
            return
        self.misses += 1
        if key in self.failed and self.now - self.failed[key] < 2:
            with pytest.raises(ModelUnavailable):
                self.pool.get(key)
            return
        self.failed.pop(key, None)
        assert self.pool.get(key) is None
        self.settled(key)

    @rule(key=KEYS, count=st.integers(50, 300))
    @precondition(lambda self: self.held)
    def use_often(self, key: str, count: int) -> None:
        """Enough uses to age the counts."""
        for _ in range(count if key in self.held else 0):
            self.get(key)

    @rule(key=KEYS)
    def refresh(self, key: str) -> None:
        """Loaded anew, whatever was before."""
        self.failed.pop(key, None)
        self.pool.refresh(key)
        self.settled(key)

    @rule(key=KEYS)
    def breaks(self, key: str) -> None:
        """From now on it cannot be loaded, or can again."""
        self.broken ^= {key}

    @rule(key=KEYS)
    def pins(self, key: str) -> None:
        """It stays from now on, or no more."""
        (self.pool.unpin if key in self.pinned else self.pool.pin)(key)
        self.pinned ^= {key}

    @rule()
    def tick(self) -> None:
        """Time goes on."""
        self.now += 1

    @invariant()
    def agree(self) -> None:
        """The same models in the same order, the same counts, and no bound broken."""
        counted = self.pool.counters()
        order = sorted(self.held, key=lambda name: (name in self.pinned, *self.held[name]))
        assert list(self.pool.keys()) == order
        assert (counted.hits, counted.misses, counted.evictions) == (self.hits, self.misses, self.evicted)
        assert (counted.models, counted.bytes) == (len(order), sum(SIZES[name] for name in order))
        assert counted.models <= 3
        assert counted.bytes <= 10


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
