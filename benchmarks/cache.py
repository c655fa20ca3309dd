"""ns of a hit with every feature on, hit ratios on seven traces, 1,000 misses at once, gets from Redis, beside six libraries."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import cache_trading, caches, traces
from benchmarks.harness import OURS, Answer, Figure, NotMeasurable, Options, Side, figure, race
from benchmarks.peers import REPOSITORY, Peer
from benchmarks.peers import caches_load as load
from benchmarks.peers.worker import digest
from benchmarks.redis_servers import single

LOOKS, LOOKS_QUICK = 400_000, 60_000
HELD = 10_000
HITS = 100_000
REPEATS, REPEATS_QUICK = 9, 3
TTL_PEER = "cachetools TTLCache"
PEERS = "caches"
RATE = 5_000

LEAVES_OUT = [
    "the cost of making a value; misses and sets are in the hit ratios, not in the cost of a hit",
    "native memory of cachebox and theine, which Python's tracer does not see",
    "threads: one thread asks",
]
LEVEL2_LEAVES_OUT = [
    "the network: Redis is on this machine, and shares its processors with the client",
    "ours checks age, tags and version of what it reads; redis-py reads and decodes",
    "other caches over Redis: cashews and aiocache use redis-py below, so its cost is theirs at least",
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
    return [trading_figure(looks), *level2_figures(options), herd_figure(race(crowds, 3)), *level1_figures(sides, looks)]


class Ours:
    """Our side before Redis, in a process of its own as the peer is: what this process has in memory costs collections."""

    def __init__(self, job: Answer) -> None:
        self.ready: Answer = {}
        self._job = json.dumps(job)

    def repeat(self) -> Answer:
        """One timed run in a new interpreter. Raises `NotMeasurable` when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.caches", self._job], cwd=REPOSITORY, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise NotMeasurable(f"our side failed: {done.stderr.strip().splitlines()[-1:]}")
        answer: Answer = json.loads(done.stdout)
        return answer

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def trading_figure(looks: int) -> Figure:
    """Share of looks that hit in the trading scenario, cold; warm stands beside it."""
    table = [cache_trading.scenario(max(2_000, looks // 4), warm=warm) for warm in (False, True)]
    by = {row["start"]: row["hit_percent"] for row in table}
    return figure(
        "cache.trading", by["cold"], by["warm"], unit="% of looks", peer="tercel, warmed", better="higher", table=table,
        sides={OURS: Side(label=OURS, answers=table)}, rows=table[0]["looks"], source="recorded trades at their own times, two levels",
        leaves_out=["the network: level 2 is played by a dictionary with the same lives", "no other project publishes this figure"],
        result_hash=digest(f"{row['hit_percent']:.9f}" for row in table),
    )  # fmt: skip


def level2_figures(options: Options) -> list[Figure]:
    """Before a real Redis: gets at a rate, a hundred in one turn, arrays. Without a server the figures say so."""
    seconds, turns, operations = (1.0, 50, 200) if options.quick else (6.0, 300, 1_000)
    job = {"rate": RATE, "seconds": seconds, "turns": turns, "operations": operations}
    sides: dict[str, Side] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-") as place, single(Path(place)) as server:
            engines: dict[str, Any] = {OURS: partial(Ours, {**job, "url": server.url})}
            if options.peers:
                engines[PEERS] = partial(Peer, PEERS, "level2", {**job, "url": server.url})
            sides = race(engines, 2 if options.quick else 5)
    except NotMeasurable as reason:
        sides = {OURS: Side(label=OURS, error=str(reason))}
    table: list[Answer] = []
    for side in sides.values():
        for client in side.answers[0] if side.answers else ():
            for what in side.answers[0][client]:
                names = side.answers[0][client][what]
                table.append(
                    {
                        "client": client,
                        "what": what,
                        **{name: side.median(lambda a, c=client, w=what, n=name: a[c][w][n]) for name in names},
                    }
                )
    by = {(row["client"], row["what"]): row for row in table}

    def one(name: str, what: str, key: str, source: str) -> Figure:
        mine, peer = by.get((OURS, what)), by.get(("redis-py", what))
        return figure(
            name, mine and mine[key], peer and peer[key], unit="µs", peer="redis-py", better="lower", sides=sides, table=table,
            source=source, rows=int(mine["count"]) if mine else 0, leaves_out=LEVEL2_LEAVES_OUT,
        )  # fmt: skip

    return [
        one("cache.arrays", "array get", "p99_us", f"gets of {load.SHAPE} float32 arrays from Redis, one by one"),
        one("cache.turn", "turn", "p50_us", f"{load.TURN} gets in one turn of the loop"),
        one("cache.redis", "paced", "p99_second_us", f"{RATE:,} gets a second of a small mapping from Redis; p99 of a second, median"),
    ]


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
    memory = {label: size for side in sides.values() for label, size in side.ready.get("memory", {}).items()}
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
    stable = digest(f"{trace} {found[OURS]:.6f}" for trace, found in sorted(ratios.items()))
    return [
        figure(
            "cache.hit_ratio", max(behind.values()), 0.0 if memory.keys() - {OURS} else None, unit="points behind the best",
            peer="best policy", source="seven traces, worst of them", table=ratio_table, result_hash=stable, **shared,
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
