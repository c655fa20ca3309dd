"""ns of a hit with every feature on, hit ratios on seven traces, one computation for 1,000 misses, beside five cache libraries."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import caches, traces
from benchmarks.harness import OURS, Answer, Figure, Options, Side, figure, race
from benchmarks.peers import Peer

LOOKS, LOOKS_QUICK = 400_000, 60_000
HELD = 10_000
HITS = 100_000
REPEATS, REPEATS_QUICK = 9, 3
TTL_PEER = "cachetools TTLCache"
PEERS = "caches"

LEAVES_OUT = [
    "the cost of making a value; misses and sets are in the hit ratios, not in the cost of a hit",
    "native memory of cachebox and theine, which Python's tracer does not see",
    "threads: one thread asks",
]


def measure(options: Options) -> list[Figure]:
    """Hit ratio, memory per entry, the herd, and as headline the median cost of a hit beside cachetools' TTLCache."""
    looks = min(options.rows_max or LOOKS, LOOKS_QUICK if options.quick else LOOKS)
    repeats = REPEATS_QUICK if options.quick else REPEATS
    with inputs(looks) as path:
        engines: dict[str, Any] = {OURS: partial(caches.level1, path)}
        if options.peers:
            engines[PEERS] = partial(Peer, PEERS, "level1", {"input": str(path)})
        sides = race(engines, repeats)
    tasks = {"tasks": 1_000, "seconds": 0.05}
    crowds: dict[str, Any] = {OURS: partial(caches.herd, tasks)}
    if options.peers:
        crowds[PEERS] = partial(Peer, PEERS, "herd", tasks)
    return [herd_figure(race(crowds, 3)), *level1_figures(sides, looks)]


@contextlib.contextmanager
def inputs(looks: int) -> Iterator[Path]:
    """Traces and keys in a file that every side reads."""
    names = [f"features:EURUSD:1m:{number}" for number in range(min(HELD, looks))]
    draw = Random(traces.SEED)
    content = {
        "names": names, "asked": [draw.choice(names) for _ in range(min(HITS, looks))],
        "traces": [trace._asdict() for trace in traces.all_traces(looks)],
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-") as place:
        path = Path(place) / "traces.json"
        path.write_text(json.dumps(content))
        yield path


def level1_figures(sides: Mapping[str, Side], looks: int) -> list[Figure]:
    """What one process holds: ratios, memory, and the cost of a hit."""
    labels = [(side, label) for side in sides.values() if side.answers for label in side.answers[0]]
    cost = {label: side.median(lambda answer, label=label: answer[label]) for side, label in labels}
    memory = {label: side.ready["memory"][label] for side, label in labels}
    ratios: dict[str, dict[str, float]] = {}
    for side in sides.values():
        for trace, found in side.ready.get("ratios", {}).items():
            ratios.setdefault(trace, {}).update(found)
    behind = {trace: 100.0 * (max(found.values()) - found[OURS]) for trace, found in ratios.items()}
    shared: dict[str, Any] = {"better": "lower", "sides": sides, "rows": looks, "leaves_out": LEAVES_OUT}
    ratio_table = [
        {"trace": trace, "behind_best_points": behind[trace], **{label: 100.0 * value for label, value in found.items()}}
        for trace, found in ratios.items()
    ]
    peer_memory = {label: value for label, value in memory.items() if label == TTL_PEER}
    from benchmarks.peers.worker import digest

    stable = digest(f"{trace} {found[OURS]:.6f}" for trace, found in sorted(ratios.items()))
    return [
        figure(
            "cache.hit_ratio", max(behind.values()), 0.0 if len(labels) > 1 else None, unit="points behind the best policy", peer="the
            best", source="seven traces, worst of them", table=ratio_table, result_hash=stable, **shared,
        ),
        figure(
            "cache.memory", memory[OURS], next(iter(peer_memory.values()), None), unit="bytes/entry", peer=TTL_PEER,
            source=f"{HELD:,} short keys", table=[{"cache": label, "bytes": value} for label, value in memory.items()],
            result_hash=stable, **shared,
        ),
        figure(
            "cache", cost[OURS], cost.get(TTL_PEER), unit="ns/hit", peer=TTL_PEER, source=f"{HELD:,} text keys in random order",
            table=[{"cache": label, "hit_ns": value} for label, value in cost.items()], result_hash=stable, **shared,
        ),
    ]  # fmt: skip


def herd_figure(sides: Mapping[str, Side]) -> Figure:
    """1,000 tasks miss one key at once: how often it is computed, and how long it takes beyond the computation."""
    table: list[Answer] = []
    for side in sides.values():
        for label in side.answers[0] if side.answers else ():
            ms = side.median(lambda answer, label=label: answer[label]["ms"])
            table.append({"cache": label, "computed": max(answer[label]["computed"] for answer in side.answers), "ms": ms})
    by = {row["cache"]: row["ms"] for row in table}
    return figure(
        "cache.herd", by.get(OURS), by.get("cashews"), unit="ms", peer="cashews", better="lower", sides=sides, table=table, rows=1_000,
        source="1,000 tasks miss one key that takes 50 ms to make", leaves_out=LEAVES_OUT[:1],
        result_hash=None if OURS not in by else f"{table[0]['computed']:016x}",
    )  # fmt: skip
