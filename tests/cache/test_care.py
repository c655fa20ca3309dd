"""The cache's care of itself: size, advice, warming, and the words an operator types."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.redis_servers import Server
from tercel.base.time import NS_PER_S
from tercel.cache.cache import Cache
from tercel.cache.care import Care
from tercel.cache.level1 import Level1
from tercel.cache.level2 import Level2
from tercel.cache.metrics import Stats, advice, stats
from tercel.cache.sizing import GIB, Surroundings, free_bytes, judge
from tercel.cache.warming import Active, Budget, Patterns, Wanted, Warmer
from tercel.cli.main import run as tercel
from tests.cache.test_cache import Hand, Source, run
from tests.cache.test_level2 import eventually

CALM = Surroundings(free_bytes=64 * GIB, cpu=0.3, looks=1_000, ghost_hits=0, fill=1.0)


@pytest.mark.parametrize(("free_gib", "expected"), [(1, 1_250), (3, 2_500), (5, 3_750), (9, 5_000)])
def test_memory_decides_first(free_gib: int, expected: int) -> None:
    """Under 2, 4 and 8 GiB a quarter, a half and three quarters of the base remain, whatever the processor and the hits say."""
    around = CALM._replace(free_bytes=free_gib * GIB, ghost_hits=500)
    found = judge(5_000, 5_000, around)
    assert (found.entries if free_gib < 8 else min(found.entries, 5_000)) == expected


def test_then_the_processor_then_the_hits() -> None:
    """A busy processor takes a fifth, never under 100 entries; a calm one gives a fifth when it would bring hits; within 1/4 to 4 times."""
    assert judge(1_000, 1_000, CALM._replace(cpu=0.9)).entries == 800
    assert judge(120, 110, CALM._replace(cpu=0.9)).entries == 100
    assert judge(120, 100, CALM._replace(cpu=0.9)).entries == 100
    assert judge(1_000, 250, CALM._replace(cpu=0.9)).entries == 250
    assert judge(1_000, 1_000, CALM).entries == 1_000
    gaining = CALM._replace(ghost_hits=20)
    assert judge(1_000, 1_000, gaining).entries == 1_201
    assert judge(1_000, 1_000, gaining._replace(cpu=0.7)).entries == 1_000
    size = 1_000
    for _ in range(50):
        size = judge(1_000, size, gaining).entries
    assert size == 4_000
    for _ in range(50):
        size = judge(1_000, size, gaining._replace(cpu=0.95)).entries
    assert size == 250


def test_a_control_group_counts(tmp_path: Path) -> None:
    """What a container may still take is what is free, in both versions of control groups."""
    (tmp_path / "memory.max").write_text(f"{3 * GIB}\n")
    (tmp_path / "memory.current").write_text(f"{2 * GIB}\n")
    assert free_bytes(tmp_path) == GIB
    old = tmp_path / "old"
    (old / "memory").mkdir(parents=True)
    (old / "memory" / "memory.limit_in_bytes").write_text(str(GIB))
    (old / "memory" / "memory.usage_in_bytes").write_text(str(GIB // 4))
    assert free_bytes(old) == GIB * 3 // 4
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(tmp_path) > GIB


def test_a_level_follows_its_size() -> None:
    """Scarce memory evicts down to the new bound at once, and says why."""
    cache = Cache("c", level1=Level1(entries_max=400))
    for number in range(400):
        cache.level1.put(f"c:{number}", number, NS_PER_S * 20)
    found = Care(cache).fit(GIB, 0.2)
    assert (found.entries, len(cache.level1)) == (100, 100)
    assert found.reason == "memory: 1.0 GiB are free"
    assert cache.level1.left["shrunk"] == 300


def example(**changed: Any) -> Stats:
    """Figures of a cache that is well."""
    found = msgspec.to_builtins(stats(Cache("c")))
    found |= {"hits": 950, "misses": 50, "hit_share": 0.95, "fill": 0.5}
    return msgspec.convert(found | changed, Stats)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hit_share": 0.7}, "Only 70% of the looks hit"),
        ({"made": {"count": 50, "mean_us": 400_000, "p50_us": 1, "p95_us": 1, "p99_us": 1}}, "A look takes 20.0 ms on average"),
        ({"errors": 20}, "2.0% of the looks met an error"),
        ({"fill": 0.95}, "95% full: raise"),
        ({"fill": 0.8}, "80% full: watch"),
        ({"fill": 0.1}, "only 10% full"),
        ({"closed": True}, "Level 1 is closed"),
        ({"breakers": {"h:1": "open"}}, "Redis is not used at h:1: open"),
    ],
)
def test_advice_says_what_to_do(changed: dict[str, Any], said: str) -> None:
    """Each finding has its sentence, and a cache that is well has none."""
    assert any(said in line for line in advice(example(**changed)))
    assert advice(example()) == []


def test_warming_does_its_jobs_within_the_budget() -> None:
    """A hundred periods of the active symbols are made, four at once and no faster than allowed; what is there is not made again."""

    async def main() -> None:
        cache, most, running, made = Cache("c"), 0, 0, list[str]()
        warmer = Warmer(cache, Budget(per_s=2_000, at_once=4))
        active = Active()
        for symbol in ("EURUSD", "GBPUSD"):
            active.saw(symbol)

        def features() -> Iterable[Wanted]:
            for minute in range(999, 899, -1):
                for symbol in active.symbols():
                    yield Wanted(f"{symbol}:{minute}", lambda name=f"{symbol}:{minute}": make(name), life=30)

        async def make(name: str) -> str:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            made.append(name)
            running -= 1
            return name

        warmer.every(300, features)
        assert await warmer.warm_now() == 200
        assert made[:2] == ["GBPUSD:999", "EURUSD:999"]
        assert most <= 4
        assert cache.get("EURUSD:900") is not None
        assert await warmer.warm_now() == 0
        assert warmer.counts["had"] == 200

    run(main)


def test_what_usually_follows_is_made_beforehand() -> None:
    """After a pattern was seen three times its second key is there before it is asked for; a stranger is not."""

    async def main() -> None:
        cache = Cache("c", life=20)
        warmer = Warmer(cache, Budget(per_s=1_000, at_once=8))
        sources = {name: Source(name) for name in ("chart", "news", "other")}
        for _ in range(4):
            for name in ("chart", "news"):
                await cache.get_or_compute(name, sources[name])
                await asyncio.sleep(0.01)
            warmer._judge()
            for name in ("chart", "news"):
                await cache.invalidate(name)
        before = sources["news"].asked
        await cache.get_or_compute("chart", sources["chart"])
        await asyncio.sleep(0.02)
        assert cache.get("news") == "news"
        assert cache.get("other") is None
        assert sources["news"].asked == before + 1
        warmer._judge()
        assert warmer.patterns.used >= 1
        assert warmer.patterns.unused == 0

    run(main)


def test_a_model_that_guesses_badly_rests() -> None:
    """When fewer than a third of the guesses are used only one in sixteen is still acted on; good ones bring it back."""
    patterns = Patterns()
    for _ in range(6):
        patterns.saw("a")
        patterns.saw("b")
    assert patterns.likely("a") == ["b"]
    for _ in range(10):
        patterns.judge(False)
    assert sum(bool(patterns.likely("a")) for _ in range(32)) == 2
    for _ in range(10):
        patterns.judge(True)
    assert patterns.likely("a") == ["b"]


def test_a_budget_is_a_rate_and_a_bound() -> None:
    """Ten a second are ten at once and then one each tenth of a second, never more than allowed under way."""
    clock = Hand()
    budget = Budget(per_s=10, at_once=100, clock=clock)
    assert sum(budget.take() for _ in range(20)) == 10
    clock.now += NS_PER_S // 10
    assert [budget.take(), budget.take()] == [True, False]
    budget = Budget(per_s=10, at_once=2, clock=clock)
    assert [budget.take() for _ in range(3)] == [True, True, False]


def test_an_operator_sees_warms_and_clears(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`stats` shows what a running cache told, `warm` makes it do its jobs, `clear` empties both of its levels."""
    monkeypatch.setenv("TERCEL_REDIS", server.url)

    async def main() -> None:
        level2 = Level2(server.url)
        async with Cache("desk", level2=level2) as cache:
            assert await level2.wait_up(5)
            warmer = Warmer(cache)
            warmer.every(3_600, lambda: [Wanted("k", Source(5))])
            care = asyncio.create_task(Care(cache, warmer=warmer, resize=False, every_s=0.2).run())
            assert await asyncio.to_thread(tercel, ["cache", "warm"]) == 0
            assert await eventually(lambda: cache.get("k") == 5)
            assert await eventually(lambda: level2.counts["filled"] == 1)
            await asyncio.sleep(0.4)
            assert await asyncio.to_thread(tercel, ["cache", "stats", "--json"]) == 0
            assert await asyncio.to_thread(tercel, ["cache", "stats"]) == 0
            assert await asyncio.to_thread(tercel, ["cache", "clear", "desk:*"]) == 0
            assert await eventually(lambda: cache.get("k") is None)
            care.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await care

    run(main)
    lines = capsys.readouterr().out.splitlines()
    (told,) = json.loads(lines[1]).values()
    assert told["stats"]["name"] == "desk"
    assert told["stats"]["computed"] == 1
    assert any("desk" in line for line in lines[2:])
    assert lines[-1].startswith("1 keys")


def test_the_benchmark_measures_every_level(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Arrays and small values, sets and gets, both levels: eight rows without an error; without Redis four."""
    monkeypatch.delenv("TERCEL_REDIS", raising=False)
    assert tercel(["cache", "bench", "--operations", "50", "--json", "--redis", server.url]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["count"], row["errors"]) for row in rows] == [(50, 0)] * 8
    assert all(row["mean_us"] > 0 and row["p95_us"] <= row["p99_us"] for row in rows)
    assert tercel(["cache", "bench", "--operations", "50"]) == 0
    assert "give --redis" in capsys.readouterr().out


def test_without_an_address_the_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither option nor variable: one line names both; an address where nobody answers: one line, no traceback."""
    monkeypatch.delenv("TERCEL_REDIS", raising=False)
    assert tercel(["cache", "clear"]) == 2
    assert "--redis redis://host:port, or TERCEL_REDIS" in capsys.readouterr().err
    monkeypatch.setattr("tercel.cli.cache.CONNECT_S_MAX", 0.2)
    assert tercel(["cache", "clear", "--redis", "redis://127.0.0.1:1"]) == 1
    assert "no answer from Redis" in capsys.readouterr().err
