"""The face of the cache in one process: one computation, early and stale refreshes, nothing and errors, decorators."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_MS, NS_PER_S
from tercel.cache import early, lives
from tercel.cache.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, BreakerSettings
from tercel.cache.cache import Cache
from tercel.cache.decorate import cached
from tercel.cache.flight import Flights, Overloaded
from tercel.cache.level1 import Level1
from tercel.cache.lives import Life
from tercel.cache.predictions import Predictions


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """One event loop, bounded."""

    async def bounded() -> Any:
        async with asyncio.timeout(30):
            return await main()

    return asyncio.run(bounded())


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now


class Source:
    """A value that takes a while to make, and how often it was made."""

    def __init__(self, value: Any = 1, turns: int = 3, seconds: float = 0.0) -> None:
        self.value, self.turns, self.seconds, self.asked = value, turns, seconds, 0

    async def __call__(self) -> Any:
        self.asked += 1
        for _ in range(self.turns):
            await asyncio.sleep(self.seconds)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def test_a_thousand_misses_compute_once() -> None:
    """A thousand tasks that miss one key wait for one computation."""

    async def main() -> None:
        cache, source = Cache("c"), Source(seconds=0.01)
        found = await asyncio.gather(*(cache.get_or_compute("k", source) for _ in range(1_000)))
        assert set(found) == {1}
        assert source.asked == 1
        assert cache.flights.joined == 999
        assert cache.get("k") == 1

    run(main)


@pytest.mark.parametrize("turns", range(6))
def test_cancelling_waiters_at_any_await_harms_nobody(turns: int) -> None:
    """Half of the waiters, the first among them, are cancelled after any number of turns; the others get the value, made once."""

    async def main() -> None:
        cache, source = Cache("c"), Source()
        tasks = [asyncio.create_task(cache.get_or_compute("k", source)) for _ in range(10)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[1::2] == [1] * 5
        assert source.asked == 1
        assert len(cache.flights) == 0

    run(main)


@given(
    steps=st.lists(st.tuples(st.sampled_from(["ask", "cancel", "invalidate", "change", "turn", "fail"]), st.integers(0, 7)), max_size=60)
)
@settings(max_examples=150)
def test_single_flight_under_any_interleaving(steps: list[tuple[str, int]]) -> None:
    """No answer is older than the last invalidation before it was asked for, no key is computed twice at once for the same truth, and no
    flight is left behind, whatever asks, cancellations, changes and failures come in whatever order."""

    async def main() -> None:
        cache = Cache("c")
        truth, broken, waiting = 0, False, list[tuple[int, asyncio.Task[Any]]]()
        running = most = 0

        async def compute() -> int:
            nonlocal running, most
            seen, fails = truth, broken
            running += 1
            most = max(most, running)
            for _ in range(3):
                await asyncio.sleep(0)
            running -= 1
            if fails:
                raise LookupError("broken")
            return seen

        valid_from, invalidations = 0, 0
        for step, number in steps:
            if step == "ask":
                waiting.append((valid_from, asyncio.create_task(cache.get_or_compute("k", compute))))
                await asyncio.sleep(0)  # it has begun to ask
            elif step == "cancel" and waiting:
                waiting[number % len(waiting)][1].cancel()
            elif step == "change":
                truth += 1
                await cache.invalidate("k")
                valid_from, invalidations = truth, invalidations + 1
            elif step == "invalidate":
                await cache.invalidate("k")
                valid_from, invalidations = truth, invalidations + 1
            elif step == "fail":
                broken = not broken
            for _ in range(number if step == "turn" else 0):
                await asyncio.sleep(0)
        results = await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        for (oldest, _), result in zip(waiting, results, strict=True):
            assert isinstance(result, asyncio.CancelledError | LookupError) or result >= oldest
        assert most <= 1 + invalidations
        await asyncio.sleep(0.001)
        assert len(cache.flights) == 0

    run(main)


def test_only_the_tags_of_a_computation_concern_it() -> None:
    """A value that is being made is kept when another tag is invalidated meanwhile, and not kept when one of its own is."""

    async def main() -> None:
        for tag, kept in (("gold", True), ("fx", False)):
            cache, source = Cache("c"), Source()
            asked = asyncio.create_task(cache.get_or_compute("k", source, tags=("fx",)))
            await asyncio.sleep(0)
            await cache.invalidate_tag(tag)
            assert await asked == 1
            assert (cache.get("k") == 1) is kept

    run(main)


def test_a_deadline_ends_the_wait_not_the_work() -> None:
    """Whoever has no more time gets a `TimeoutError`; the value is there for the next."""

    async def main() -> None:
        cache, source = Cache("c"), Source(turns=1, seconds=0.05)
        with pytest.raises(TimeoutError):
            await cache.get_or_compute("k", source, deadline_s=0.01)
        await asyncio.sleep(0.08)
        assert cache.get("k") == 1
        assert source.asked == 1

    run(main)


def test_a_computation_is_bounded() -> None:
    """One that never ends is ended after `compute_s_max`."""

    async def main() -> None:
        cache = Cache("c", compute_s_max=0.02)
        with pytest.raises(TimeoutError):
            await cache.get_or_compute("k", lambda: asyncio.sleep(10))
        assert len(cache.flights) == 0

    run(main)


def test_stale_values_are_served_while_one_refresh_runs() -> None:
    """Past its life and within its grace a value is served at once, and made anew once, whoever asks meanwhile."""

    async def main() -> None:
        clock = Hand()
        cache, source = Cache("c", level1=Level1(clock=clock), life=Life(1, 1, 5)), Source("old")
        assert await cache.get_or_compute("k", source) == "old"
        clock.now += 2 * NS_PER_S
        source.value = "new"
        assert cache.get("k") is None
        assert {await cache.get_or_compute("k", source) for _ in range(5)} == {"old"}
        await asyncio.sleep(0.01)
        assert source.asked == 2
        assert await cache.get_or_compute("k", source) == "new"
        clock.now += 7 * NS_PER_S
        source.value = "newer"
        assert await cache.get_or_compute("k", source) == "newer"

    run(main)


def test_early_refresh_follows_the_formula() -> None:
    """The share of early refreshes at each distance from expiry is exp(-distance / (cost x beta))."""
    draw = Random(7)
    for distance, expected in ((0, 1.0), (100, 0.3679), (200, 0.1353), (400, 0.0183)):
        share = sum(early.due(1_000, 1_000 + distance, 100, 1.0, 1.0 - draw.random()) for _ in range(20_000)) / 20_000
        assert share == pytest.approx(expected, abs=0.015)
    assert not early.due(999, 1_000, 100, 0.0, 1e-300)


def test_one_reader_refreshes_early() -> None:
    """Close to expiry readers are served, and one of them has the value made anew before it expires."""

    async def main() -> None:
        clock = Hand()
        cache, source = Cache("c", level1=Level1(clock=clock), life=1, chance=Random(3)), Source(turns=1, seconds=0.02)
        await cache.get_or_compute("k", source)
        clock.now += NS_PER_S - NS_PER_MS
        for _ in range(30):
            assert await cache.get_or_compute("k", source) == 1
        await asyncio.sleep(0.05)
        assert source.asked == 2
        assert cache.counts["early"] == 1

    run(main)


def test_nothing_is_kept_shortly_and_named_errors_too() -> None:
    """None and an error of a named class are not asked for again at once; another error is."""

    async def main() -> None:
        clock = Hand()
        cache = Cache("c", level1=Level1(clock=clock), errors=(LookupError,), absent_s=0.5, error_s=0.5)
        nothing, missing, broken = Source(None), Source(LookupError("no such symbol")), Source(RuntimeError("broken"))
        for _ in range(3):
            assert await cache.get_or_compute("nothing", nothing) is None
            with pytest.raises(LookupError, match="no such symbol"):
                await cache.get_or_compute("missing", missing)
            with pytest.raises(RuntimeError, match="broken"):
                await cache.get_or_compute("broken", broken)
        assert (nothing.asked, missing.asked, broken.asked) == (1, 1, 3)
        assert cache.get("missing") is None
        clock.now += NS_PER_S
        assert await cache.get_or_compute("nothing", nothing) is None
        assert nothing.asked == 2

    run(main)


def test_too_many_computations_are_refused() -> None:
    """Beyond the bound a new key raises at once; those under way go on."""

    async def main() -> None:
        cache = Cache("c", flights=Flights(2))
        tasks = [asyncio.create_task(cache.get_or_compute(f"k{number}", Source())) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 computations"):
            await cache.get_or_compute("k2", Source())
        cache.level1.put("c:old", "stale", 1, 10 * NS_PER_S)
        assert await cache.get_or_compute("old", Source()) == "stale"  # served all the same, not refreshed for now
        assert await asyncio.gather(*tasks) == [1, 1]

    run(main)


def test_a_decorated_function_is_asked_once_per_meaning() -> None:
    """Arguments that round to the same numbers, by position or by name, share a result; `invalidate` forgets one of them."""

    async def main() -> None:
        cache, asked = Cache("c"), list[tuple[str, float]]()

        @cached(cache, life=5, tags=lambda symbol, **_: [symbol], config={"model": 3})
        async def predict(symbol: str, *, price: float) -> float:
            asked.append((symbol, price))
            return price * 2

        assert await predict("EURUSD", price=1.1) == 2.2
        assert await predict(symbol="EURUSD", price=1.10000000001) == 2.2
        assert len(asked) == 1
        await predict.invalidate("EURUSD", price=1.1)  # type: ignore[attr-defined]
        await predict("EURUSD", price=1.1)
        await cache.invalidate_tag("EURUSD")
        await predict("EURUSD", price=1.1)
        assert len(asked) == 3

    run(main)


def test_a_synchronous_function_is_kept_in_level_1() -> None:
    """No loop is needed for it."""
    asked = []
    cache = Cache("c")

    @cached(cache, life=5)
    def slow(number: int) -> int:
        asked.append(number)
        return number + 1

    assert [slow(1), slow(1), slow(2)] == [2, 2, 3]
    assert asked == [1, 2]


def test_lives_are_those_asked_for() -> None:
    """Prices 1 s open and 60 s closed, indicators 5 and 30 s, features 10 and 60 s, others 300 s, level 1 at most 30 s."""
    assert lives.life("price", "open") == Life(1, 1)
    assert lives.life("price", "closed") == Life(30, 60)
    assert lives.life("indicator", "volatile") == Life(5, 5)
    assert lives.life("indicator", "calm") == Life(30, 30)
    assert lives.life("features") == lives.life("features", "open") == Life(10, 60)
    assert lives.life("anything") == Life(30, 300)
    assert [lives.prediction_life(confidence).level2_s for confidence in (0.0, 0.25, 0.6, 1.0, 2.0)] == [0, 15, 36, 60, 90]
    with pytest.raises(ConfigError, match="open, closed, found 'weird'"):
        lives.life("price", "weird")


def test_a_predictions_life_follows_its_confidence() -> None:
    """A sure prediction is kept, one without confidence is made each time."""

    async def main() -> None:
        cache, sure, unsure = Cache("c"), Source({"confidence": 0.9}), Source({"confidence": 0.0})
        for _ in range(2):
            for key, source in (("sure", sure), ("unsure", unsure)):
                await cache.get_or_compute(key, source, life=lambda value: lives.prediction_life(value["confidence"]))
        assert (sure.asked, unsure.asked) == (1, 2)

    run(main)


@given(steps=st.lists(st.sampled_from(["good", "bad", "wait", "ask"]), max_size=120))
def test_the_breaker_opens_waits_and_probes(steps: list[str]) -> None:
    """It opens only on failures, refuses while open, lets as many probes through as it may, and closes on their success."""
    clock, settings_ = Hand(), BreakerSettings(window_s=1, volume_min=4, failures_share=0.5, open_s=0.5, open_s_max=2, probes=2)
    breaker = Breaker(settings_, clock)
    permitted = 0
    for step in steps:
        before = breaker.state
        if step == "ask":
            allowed = breaker.allow()
            permitted = permitted + allowed if breaker.state == HALF_OPEN and before == HALF_OPEN else int(allowed)
            assert allowed or breaker.state != CLOSED
            assert breaker.state != OPEN or not allowed
        elif step == "wait":
            clock.now += NS_PER_S // 4
        elif step == "good":
            breaker.success()
            assert breaker.state in {before, CLOSED}
        else:
            breaker.failure()
            assert breaker.state == OPEN or before == CLOSED


def test_the_breaker_judges_the_share_not_the_row() -> None:
    """Four failures in a row among many successes leave it closed; half of the answers failing opens it; old failures are forgotten."""
    clock = Hand()
    breaker = Breaker(BreakerSettings(window_s=1, volume_min=4, open_s=0.5), clock)
    breaker.success(100)
    breaker.failure(4)
    assert breaker.state == CLOSED
    clock.now += 2 * NS_PER_S
    breaker.failure(3)
    assert breaker.state == CLOSED
    breaker.failure()
    assert breaker.state == OPEN
    assert not breaker.allow()
    clock.now += NS_PER_S
    assert [breaker.allow() for _ in range(5)] == [True, True, True, False, False]
    breaker.success(3)
    assert breaker.state == CLOSED


def test_level_1_needs_no_extra_and_level_2_names_its() -> None:
    """Without redis, hiredis and the compressors the cache works in one process; asking for level 2 says what to install."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('redis', 'hiredis', 'zstandard', 'lz4', 'lz4.block')))\n"
        "from tercel.cache.cache import Cache\nfrom tercel.cache import care, decorate, warming\n"
        "cache = Cache('c'); cache.keep('k', lambda: 1); assert cache.get('k') == 1\n"
        "from tercel.cache.level2 import Level2\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "MissingExtra: cache level 2: redis and hiredis are not installed; pip install 'tercel[redis]'" in done.stderr


def test_predictions_are_kept_by_model_and_rounded_features() -> None:
    """Features that round to the same find the prediction, another model does not, a replaced model's are gone, 5,000 are kept."""

    async def main() -> None:
        predictions, asked = Predictions(), 0

        async def predict() -> dict[str, float]:
            nonlocal asked
            asked += 1
            return {"confidence": 0.8, "move": 1e-4}

        row = np.array([1.1, 2.2, np.nan])
        assert predictions.find("m1", row) is None
        first = await predictions.of("m1", row, predict)
        assert predictions.find("m1", row + 1e-9) is first is await predictions.of("m1", row, predict)
        assert predictions.find("m2", row) is None
        assert asked == 1
        assert await predictions.forget("m1")
        assert predictions.find("m1", row) is None
        for number in range(5_100):
            await predictions.of("m1", np.array([float(number)]), predict)
        assert len(predictions.cache.level1) == 5_000
        with pytest.raises(ConfigError, match="a confidence from 0 to 1, found 7"):
            await predictions.of("m1", row, lambda: 7)

    run(main)
