"""Minutes of faults on a six-node Redis cluster: reads staler than the cache's contract, beside none."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import psutil

from benchmarks.cache_faults import FAULTS, World, run_faults
from benchmarks.harness import OURS, Answer, Figure, NotMeasurable, Options, Side, figure
from benchmarks.redis_servers import cluster

MINUTES, MINUTES_QUICK = 15.0, 0.3
STRETCH_S = 60.0
SEED = 20261124
GOAL = "goal: none"

LEAVES_OUT = [
    "no other project publishes this figure: beside it stands the goal",
    "four caches share one loop and one machine with the servers; a stop of that loop is added to the contract",
    "reads of what was never acknowledged as invalid: an invalidation that could not be delivered says so",
]


def measure(options: Options) -> list[Figure]:
    """`cache_soak.age`: how old the oldest value ever served was, in ms; headline `cache_soak`: reads staler than the contract."""
    minutes = options.minutes or (MINUTES_QUICK if options.quick else MINUTES)
    table: list[Answer] = []
    error = None
    try:
        with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-") as place, cluster(Path(place)) as servers:
            remaining, turn = minutes * 60.0, 0
            while remaining > 0:
                names = Random(SEED + turn).sample(list(FAULTS), len(FAULTS))
                seconds = min(STRETCH_S, remaining)
                table.append(row(asyncio.run(run_faults(servers, SEED + turn, seconds, names)), seconds))
                remaining -= seconds
                turn += 1
    except NotMeasurable as reason:
        error = str(reason)
    whole = bool(table) and error is None
    shared: dict[str, Any] = {
        "peer": GOAL, "better": "lower", "leaves_out": LEAVES_OUT, "rows": sum(each["reads"] for each in table), "table": table,
        "sides": {OURS: Side(label=OURS, answers=table, error=error)}, "source": f"{minutes:g} minutes of {', '.join(FAULTS)}, in turns",
    }  # fmt: skip
    stale = float(sum(each["stale"] + each["impossible"] + each["not healed"] for each in table)) if whole else None
    age = max(each["age_ms_max"] for each in table) if whole else None
    return [figure("cache_soak.age", age, None, unit="ms", **shared), figure("cache_soak", stale, 0.0, unit="reads", **shared)]


def row(made: World, seconds: float) -> Answer:
    """What one stretch showed."""
    history = made.history
    ages = history.ages_ns()
    reads = len(history.reads)
    slowest_ns = max((read.end_ns - read.start_ns for read in history.reads), default=0)
    return {
        "seconds": seconds, "reads": reads, "stale": len(history.stale(made.contract_ns)), "impossible": len(history.impossible()),
        "not healed": made.counts["not healed"], "contract_ms": made.contract_ns / 1e6, "age_ms_max": max(ages, default=0) / 1e6,
        "older_reads": len(ages), "acknowledged": made.counts["acknowledged"], "owed": made.counts["owed"],
        "hit_share": 1.0 - made.counts["computed"] / max(1, reads), "read_ms_max": slowest_ns / 1e6,
        "resident_mb": psutil.Process().memory_info().rss / 1e6, "notes": made.notes,
        "faults": {name: made.counts[name] for name in FAULTS if made.counts[name]},
    }  # fmt: skip
