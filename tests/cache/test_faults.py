"""A real six-node cluster under load and faults: no read is staler than the contract says, and what fails is never the reader."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.cache_faults import FAULTS, KEYS, run_faults
from benchmarks.histories import History, Read
from benchmarks.redis_servers import Server
from tests.cache.test_level2 import Source, eventually, run, two


@pytest.mark.timeout(120)
def test_a_cluster_does_what_one_server_does(servers: list[Server]) -> None:
    """Keys, tags and patterns over three primaries: what one makes the other finds, what one invalidates the other forgets."""

    async def main() -> None:
        async with two(servers[0].url, "whole", cluster=True) as (one, other):
            for number in range(90):
                assert await one.set(f"k{number}", number, tags=(f"t{number % 3}",))
            ask = [other.get_or_compute(f"k{number}", Source(-1), tags=(f"t{number % 3}",)) for number in range(90)]
            assert await asyncio.gather(*ask) == list(range(90))
            assert await one.invalidate_tag("t0")
            assert await eventually(lambda: other.get("k0") is None and other.get("k87") is None)
            assert await other.get_or_compute("k3", Source("new"), tags=("t0",)) == "new"
            assert other.get("k1") == 1
            assert await one.invalidate_matching("k[!0]*") >= 60
            assert await eventually(lambda: not any(other.get(f"k{number}") is not None for number in range(10, 90)))
            assert await other.get_or_compute("k44", Source("newer")) == "newer"

    run(main)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", ["fail-over", "partition", "slow node", "restart", "full memory", "reshard", "freeze"])
def test_no_read_is_staler_than_the_contract(servers: list[Server], fault: str) -> None:
    """Through the fault no reader gets a version whose end was acknowledged longer ago than the contract, and nothing is raised."""
    made = asyncio.run(run_faults(servers, 100 + list(FAULTS).index(fault), 0.5, [fault], quiet_s=0.7))
    assert made.history.stale(made.contract_ns) == []
    assert made.history.impossible() == []
    assert made.counts["not healed"] == 0
    assert made.counts["acknowledged"] > 20
    assert len(made.history.reads) > 300
    hits = 1 - made.counts["computed"] / len(made.history.reads)
    assert hits > 0.2, "the cache was of no use"


@pytest.mark.timeout(120)
def test_a_soak_of_all_faults_is_never_stale(servers: list[Server]) -> None:
    """Twenty seconds of faults in turn; the long form is `python -m benchmarks cache_soak`."""
    made = asyncio.run(run_faults(servers, 7, 12.0, ["cut", "half partition", "flush", "reshard", "partition"], quiet_s=0.4))
    assert made.history.stale(made.contract_ns) == []
    assert made.history.impossible() == []
    assert made.counts["not healed"] == 0


def test_the_checker_finds_a_stale_read() -> None:
    """A checker that could not fail would prove nothing: one read of an old version after the contract is found, those before are not."""
    history = History()
    history.changed("k", 1, 0)
    history.changed("k", 2, 100)
    history.acknowledged("k", 2, 110)
    for start, version in ((105, 1), (150, 1), (161, 1), (161, 2)):
        history.reads.append(Read("r", "k", start, start + 5, version))
    history.reads.append(Read("r", "k", 200, 205, 3))
    assert [(read.start_ns, needed) for read, needed in history.stale(50)] == [(161, 2)]
    assert [read.version for read in history.impossible()] == [3]
    assert history.ages_ns() == [40, 51]
    assert KEYS > 0


def test_a_cache_that_hears_nothing_is_caught(servers: list[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: with invalidations thrown away the same run has stale reads, so the run can tell."""
    from tercel.cache.cache import Cache

    monkeypatch.setattr(Cache, "_heard", lambda self, keys: None)
    monkeypatch.setattr(Cache, "_tag_heard", lambda self, tag: None)
    made = asyncio.run(run_faults(servers, 50, 2.5, ["flush"], quiet_s=1.5))
    assert made.history.stale(made.contract_ns)
