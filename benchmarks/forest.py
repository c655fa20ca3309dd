"""µs per prediction of a boosted forest, 200 trees of 31 leaves over 32 columns, one row and in batch, beside LightGBM."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data, ours
from benchmarks.harness import OURS, Answer, Figure, Options, Side, figure, race
from benchmarks.peers import REPOSITORY, Peer, PeerUnavailable, environment

TREES, LEAVES, COLUMNS = 200, 31, 32
ROWS, ROWS_QUICK = 20_000, 2_000
CALLS_SLOW_MAX = 2_000  # `Booster.predict` takes a hundred times longer, so it is asked less often
REPEATS, REPEATS_QUICK = 5, 2
TRAIN_S_MAX = 300.0
SEED = 20260101

LEAVES_OUT = [
    "loading the model; the row is there as float64, of LightGBM's fast door also the pointer to it",
    "single calls include two clock reads, shown as a row of their own",
    "LightGBM's fast door leaves its score in memory; ours returns it",
    "one thread, but for the row that says otherwise; the model is trained by LightGBM on seeded noise in the same run",
]


def measure(options: Options) -> list[Figure]:
    """`forest.p50`, `forest.batch`, and as headline `forest`: the 99th percentile of a single row."""
    count = min(options.rows_max or ROWS, ROWS_QUICK if options.quick else ROWS)
    with model(options.peers, count) as path, data.saved(rows(count)) as table:
        job: Answer = {"input": str(table), "model": str(path), "calls": count, "calls_slow": min(count, CALLS_SLOW_MAX)}
        engines: dict[str, Any] = {OURS: partial(ours.forest, job)}
        if options.peers:
            engines["lightgbm"] = partial(Peer, "lightgbm", "forest", job)
        sides = race(engines, REPEATS_QUICK if options.quick else REPEATS)
    return figures(sides, count)


def rows(count: int) -> Any:
    """Rows to score, which no model was trained on; a twentieth of the cells is missing."""
    chance = np.random.default_rng(SEED + 1)
    table = chance.normal(size=(count, COLUMNS))
    table[chance.random(table.shape) < 0.05] = np.nan
    return table


@contextlib.contextmanager
def model(peers: bool, count: int) -> Iterator[Path]:
    """A model that LightGBM trains, in the peer's environment or, without peers, in this one's; no file when it cannot."""
    with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-") as place:
        path = Path(place) / "model.txt"
        job = {"model": str(path), "rows": count, "columns": COLUMNS, "trees": TREES, "leaves": LEAVES, "seed": SEED}
        try:
            python = str(environment("lightgbm")) if peers else sys.executable
        except PeerUnavailable as error:
            print(f"benchmarks: the model is trained here: {error}", file=sys.stderr)
            python = sys.executable
        command = [python, "-m", "benchmarks.peers.lightgbm", "train", json.dumps(job)]
        try:
            subprocess.run(command, cwd=REPOSITORY, check=True, timeout=TRAIN_S_MAX)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"benchmarks: LightGBM could not train a model: {error}", file=sys.stderr)
        yield path


def figures(sides: Mapping[str, Side], count: int) -> list[Figure]:
    """The three figures of one race; the verdict says whether every score is LightGBM's to the bit."""
    table = table_of(sides)

    def one(name: str, key: str, unit: str, better: Any) -> Figure:
        peers = {row["door"]: row[key] for row in table if key in row and row["door"].startswith("LightGBM")}
        choose = min if better == "lower" else max
        peer = choose(peers, key=lambda door: peers[door], default="none")
        mine = next((row[key] for row in table if key in row and row["door"].startswith(OURS)), None)
        return figure(
            name, mine, peers.get(peer), unit=unit, better=better, peer=peer, sides=sides, rows=count, leaves_out=LEAVES_OUT,
            source=f"{TREES} trees of {LEAVES} leaves, {COLUMNS} columns, trained by LightGBM", table=table,
            result_hash=sides[OURS].first("hash"),
        )  # fmt: skip

    return [
        one("forest.p50", "p50_us", "µs/row", "lower"),
        one("forest.batch", "rows_per_s", "rows/s", "higher"),
        one("forest", "p99_us", "µs/row", "lower"),
    ]


def table_of(sides: Mapping[str, Side]) -> list[Answer]:
    """A row per door: medians over the repeats, and the verdict of the scores."""
    truth = {side.first("hash") for side in sides.values() if side.label != OURS and side.answers}
    table: list[Answer] = []
    for side in sides.values():
        if not side.answers:
            continue
        same = {side.first("hash"), side.first("hash_single")} == (truth or {side.first("hash")})
        verdict = {"scores": ("equal to the bit" if truth else "single rows are the batch") if same else "DIFFERENT"}
        for door in side.answers[0]["single"]:
            p50, p99 = (statistics.median(answer["single"][door][at] for answer in side.answers) / 1e3 for at in (0, 1))
            table.append({"door": door, "p50_us": p50, "p99_us": p99, **({} if door == "clock alone" else verdict)})
        for door in side.answers[0]["batch"]:
            rates = [answer["batch"][door] for answer in side.answers]
            table += [{"door": door, "rows_per_s": statistics.median(rates), **verdict}]
    return table
