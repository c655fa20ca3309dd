"""The cache's benchmark with tiny inputs, our side alone: figures are whole, claims that do not depend on the machine's speed hold."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import cache, cache_soak, caches, traces
from benchmarks.cache_trading import scenario
from benchmarks.harness import OURS, Options
from benchmarks.redis_servers import BINARY

TINY = Options(quick=True, peers=False, rows_max=8_000)


@pytest.mark.timeout(120)
def test_every_figure_is_there_and_the_headline_comes_last() -> None:
    """Hit ratio, memory, herd, trading and the cost of a hit have values; those before Redis have them where there is a Redis."""
    figures = {item.name: item for item in cache.measure(TINY)}
    assert list(figures)[-1] == "cache"
    redis = {"cache.arrays", "cache.turn", "cache.redis"}
    for name, item in figures.items():
        assert item.value is not None or (name in redis and shutil.which(BINARY) is None), name
        assert item.leaves_out
    assert figures["cache.herd"].table == [{"cache": OURS, "computed": 1, "ms": figures["cache.herd"].value}]
    assert all(len(figures[name].result_hash or "") == 16 for name in ("cache", "cache.hit_ratio", "cache.memory", "cache.trading"))
    if shutil.which(BINARY) is not None:
        paced = next(row for row in figures["cache.redis"].table if row["what"] == "paced")
        assert paced["errors"] == 0


def test_over_nine_looks_in_ten_hit_in_the_trading_scenario() -> None:
    """Cold and warm, with every life at the recording's own times; warm is better."""
    cold, warm = (scenario(20_000, warm=warm) for warm in (False, True))
    assert cold["hit_percent"] > 90.0
    assert warm["hit_percent"] > cold["hit_percent"] + 0.2


def test_the_default_policy_is_within_a_point_of_the_best_of_ours() -> None:
    """On a trace of each kind, S3-FIFO loses at most a point to the better of LRU and LFU."""
    for trace in traces.all_traces(400_000)[1::2]:
        found = {}
        for policy in ("s3fifo", "lru", "lfu"):
            level = caches.Level1(entries_max=trace.held_max, bytes_max=1 << 40, life_ns_max=caches.LIFE_NS, policy=policy)
            found[policy] = caches.replay(level, trace.keys)
        assert found["s3fifo"] > max(found.values()) - 0.01, (trace.name, found)


@pytest.mark.timeout(120)
@pytest.mark.skipif(shutil.which(BINARY) is None, reason=f"needs {BINARY} (Debian: apt-get install redis-server)")
def test_a_short_soak_has_a_figure() -> None:
    """Seconds of faults give a count of stale reads, none, and the stretches it comes from."""
    age, headline = cache_soak.measure(Options(minutes=0.05))
    assert (headline.value, headline.errors) == (0.0, [])
    assert age.value is not None
    assert headline.rows > 100
