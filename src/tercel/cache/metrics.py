"""What a cache did, as one record, and what follows from it in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tercel.base.histogram import Histogram

if TYPE_CHECKING:
    from tercel.cache.cache import Cache

HITS_LOW, MEAN_MS_HIGH, ERRORS_HIGH = 0.80, 10.0, 0.01
FILL_FULL, FILL_HIGH, FILL_LOW = 0.90, 0.75, 0.25
LOOKS_MIN: Final = 100  # fewer looks say nothing


class Latency(msgspec.Struct, frozen=True):
    """µs of a histogram: how many, mean, median, 95th and 99th percentile."""

    count: int
    mean_us: float
    p50_us: float
    p95_us: float
    p99_us: float


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """A cache at a moment; counts since it was made. A look is one `get` or `get_or_compute`."""

    name: str
    policy: str
    hits: int
    level2_hits: int
    misses: int
    stale: int
    early: int
    computed: int
    joined: int
    errors: int
    hit_share: float
    entries: int
    entries_max: int
    bytes: int
    bytes_max: int
    fill: float
    ghost_hits: int
    left: dict[str, int]
    closed: bool
    level1: Latency
    level2: Latency | None
    made: Latency
    level2_counts: dict[str, int]
    breakers: dict[str, str]


def latency(histogram: Histogram) -> Latency:
    """A histogram's few figures."""
    p50, p95, p99 = (histogram.percentile(q) / 1e3 for q in (50.0, 95.0, 99.0))
    return Latency(histogram.count, histogram.mean / 1e3, p50, p95, p99)


def stats(cache: Cache) -> Stats:
    """What a cache did so far."""
    level1, level2, counts = cache.level1, cache.level2, cache.counts
    looks = level1.hits + level1.misses
    found = level1.hits + counts["level2"]
    return Stats(
        name=cache.name, policy=level1.policy_name, hits=level1.hits, level2_hits=counts["level2"],
        misses=max(0, level1.misses - counts["level2"]), stale=counts["stale"], early=counts["early"], computed=counts["computed"],
        joined=cache.flights.joined, errors=counts["errors"] + (level2.counts["unknown"] if level2 else 0),
        hit_share=min(1.0, found / looks) if looks else 0.0, entries=len(level1), entries_max=level1.entries_max, bytes=level1.bytes,
        bytes_max=level1.bytes_max, fill=max(len(level1) / level1.entries_max, level1.bytes / level1.bytes_max),
        ghost_hits=level1.ghost_hits, left=dict(level1.left), closed=level1.closed, level1=latency(level1.latency),
        level2=latency(level2.latency) if level2 else None, made=latency(cache.made),
        level2_counts=dict(level2.counts) if level2 else {}, breakers=level2.breakers if level2 else {},
    )  # fmt: skip


def advice(found: Stats) -> list[str]:
    """What to do, most pressing first; empty when all is well or nothing can be said yet."""
    lines = []
    looks = found.hits + found.level2_hits + found.misses
    if found.closed:
        lines.append("Level 1 is closed: changes made by other processes cannot be heard. Check that Redis is up and reachable.")
    down = [name for name, state in found.breakers.items() if state != "closed"]
    if down:
        lines.append(f"Redis is not used at {', '.join(down)}: {found.breakers[down[0]]}. Check the server and the network to it.")
    if looks < LOOKS_MIN:
        return lines
    if found.errors > ERRORS_HIGH * looks:
        lines.append(f"{found.errors / looks:.1%} of the looks met an error: check Redis and the computations that fail.")
    if found.hit_share < HITS_LOW:
        remedy = "make it larger" if found.ghost_hits > 0.01 * looks else "give entries a longer life, or warm it before it is asked"
        lines.append(f"Only {found.hit_share:.0%} of the looks hit: {remedy}.")
    mean_ms = _mean_ms(found)
    if mean_ms > MEAN_MS_HIGH:
        lines.append(f"A look takes {mean_ms:.1f} ms on average: warm what is slow to make, or serve it stale while it is refreshed.")
    if found.fill > FILL_FULL:
        lines.append(f"It is {found.fill:.0%} full: raise entries_max or bytes_max, entries leave before their time.")
    elif found.fill > FILL_HIGH:
        lines.append(f"It is {found.fill:.0%} full: watch it, soon entries will leave before their time.")
    elif found.fill < FILL_LOW and found.misses > 0:
        lines.append(f"It is only {found.fill:.0%} full: entries_max and bytes_max could be lower.")
    return lines


def _mean_ms(found: Stats) -> float:
    """Mean time of a look: what each kind costs by how often it happened."""
    looks = found.hits + found.level2_hits + found.misses
    spent_us = found.hits * found.level1.mean_us + found.misses * found.made.mean_us
    if found.level2 is not None:
        spent_us += found.level2.count * found.level2.mean_us
    return spent_us / looks / 1e3
