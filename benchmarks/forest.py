"""µs per prediction of a boosted forest, one row and in batch, beside LightGBM, XGBoost, ONNX Runtime, tl2cgen and lleaves."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks import ours
from benchmarks.harness import OURS, Answer, Figure, Options, Side, figure, race
from benchmarks.peers import REPOSITORY, Peer, PeerUnavailable, environment

LEAVES = 31
ROWS, ROWS_QUICK = 20_000, 2_000
ROWS_GROWN = 5_000  # to score, in the shapes other than the first
CALLS_SLOW_MAX, CALLS_GROWN_MAX = 2_000, 500  # `predict` of a whole library for one row takes a hundred times longer: asked less often
REPEATS, REPEATS_QUICK = 5, 2
TRAIN_S_MAX = 1_200.0
SEED = 20260101
PEERS = ("lightgbm", "xgboost", "onnxruntime", "tl2cgen", "lleaves")
COMPILERS = {"tl2cgen": 500, "lleaves": 500}  # trees at most: compiling takes them a tenth of a second a tree and more
OWN_MODEL = "xgboost"  # trains for itself; the others read what LightGBM trained
Scores = npt.NDArray[np.float64]

LEAVES_OUT = [
    "tl2cgen and lleaves beyond 500 trees, where compiling takes minutes; beside the largest shape stands the best of the others",
    "loading the model and, for tl2cgen and lleaves, compiling it (ready.*.prepare_s); rows are there, in float64 where it is taken",
    "single calls include two clock reads, a row of their own; LightGBM's fast door leaves its score in memory, ours returns it",
    "one thread, but for the rows that say otherwise; the models are trained on seeded noise in the same run",
    "XGBoost reads no model but its own, so it has one of the same shape; its scores are compared with ours for that model",
    "ONNX Runtime works in float32: a value beside a threshold may go the other way, which is what its largest difference shows",
]


class Shape(NamedTuple):
    """How large a model is."""

    trees: int
    columns: int

    @property
    def name(self) -> str:
        """What stands in tables."""
        return f"{self.trees} trees, {self.columns} columns"


MAIN = Shape(200, 32)
TREES = tuple(Shape(trees, 32) for trees in (50, 200, 500, 1_000, 2_000))
COLUMNS = tuple(Shape(200, columns) for columns in (8, 32, 100, 300))
TREES_QUICK, COLUMNS_QUICK = (TREES[0], MAIN), (COLUMNS[0], MAIN)


def measure(options: Options) -> list[Figure]:
    """`forest.trees`, `forest.columns`, `forest.p50`, `forest.batch`, and as headline `forest`: the 99th percentile of a single row."""
    count = min(options.rows_max or ROWS, ROWS_QUICK if options.quick else ROWS)
    grown = (TREES_QUICK, COLUMNS_QUICK) if options.quick else (TREES, COLUMNS)
    shapes = list(dict.fromkeys([MAIN, *grown[0], *grown[1]]))
    with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-") as place:
        jobs = [job(Path(place), shape, count) for shape in shapes]
        train(jobs, options)
        engines: dict[str, Any] = {OURS: partial(ours.forest, {"shapes": jobs})}
        if options.peers:
            engines |= {name: partial(Peer, name, "forest", {"shapes": asked(name, jobs, options.quick)}) for name in PEERS}
        sides = race(engines, REPEATS_QUICK if options.quick else REPEATS)
        table = table_of(sides, verdicts(jobs, sides))
    return figures(sides, table, count, grown)


def asked(name: str, jobs: list[Answer], quick: bool) -> list[Answer]:
    """The shapes that a peer is asked for: in a quick look only LightGBM grows, and compilers stop where they would take many minutes."""
    if quick and name != "lightgbm":
        return jobs[:1]
    return [shape for shape in jobs if shape["trees"] <= COMPILERS.get(name, shape["trees"])]


def job(place: Path, shape: Shape, count: int) -> Answer:
    """Everything an engine is told about a shape; writes the rows to score, which no model was trained on, a twentieth missing."""
    rows, main = count if shape == MAIN else min(count, ROWS_GROWN), shape == MAIN
    chance = np.random.default_rng(SEED + 1)
    table = chance.normal(size=(rows, shape.columns))
    table[chance.random(table.shape) < 0.05] = np.nan
    stem = place / f"{shape.trees}-{shape.columns}"
    np.save(f"{stem}.npy", table)
    return {
        "name": shape.name, "input": f"{stem}.npy", "model": f"{stem}.txt", "own_model": f"{stem}.json", "scores": str(stem),
        "calls": rows if main else min(rows, CALLS_SLOW_MAX), "calls_slow": min(rows, CALLS_SLOW_MAX if main else CALLS_GROWN_MAX),
        "rows": count, "columns": shape.columns, "trees": shape.trees, "leaves": LEAVES, "seed": SEED,
    }  # fmt: skip


def train(jobs: list[Answer], options: Options) -> None:
    """Have LightGBM and XGBoost train a model per job, in the peer's environment or, without peers, LightGBM in this one."""
    for name in ("lightgbm", OWN_MODEL) if options.peers else ("lightgbm",):
        mine = jobs if name == "lightgbm" or not options.quick else jobs[:1]
        try:
            python = str(environment(name)) if options.peers else sys.executable
            command = [python, "-m", f"benchmarks.peers.{name}", "train", json.dumps(mine)]
            subprocess.run(command, cwd=REPOSITORY, check=True, timeout=TRAIN_S_MAX)
        except (subprocess.SubprocessError, OSError, PeerUnavailable) as error:
            print(f"benchmarks: {name} could not train a model: {error}", file=sys.stderr)


def verdicts(jobs: Iterable[Answer], sides: Mapping[str, Side]) -> dict[tuple[str, str], str]:
    """By engine and shape, how the scores of a whole batch compare with ours of the same model."""
    found = {}
    for shape in jobs:
        for label, side in sides.items():
            if side.answers and shape["name"] in side.answers[0]["shapes"]:
                mine = scores(shape, f"{OURS}-{OWN_MODEL}" if label == OWN_MODEL else OURS)
                found[label, shape["name"]] = verdict(mine, scores(shape, label), label)
    return found


def scores(shape: Answer, label: str) -> Scores | None:
    """The scores that an engine wrote down."""
    path = Path(f"{shape['scores']}.{label}")
    return np.fromfile(path) if path.is_file() else None


def verdict(mine: Scores | None, theirs: Scores | None, label: str) -> str:
    """Equal to the bit, or the largest difference and how many scores differ by more than rounding."""
    if label == OURS:
        return "ours"
    if mine is None or theirs is None or mine.shape != theirs.shape:
        return "not compared"
    if mine.tobytes() == theirs.tobytes():
        return "equal to the bit"
    apart = np.abs(mine - theirs)
    return f"differ by {apart.max():.1e} at most, by more than 1e-6 in {np.count_nonzero(apart > 1e-6)} of {len(apart)}"


def table_of(sides: Mapping[str, Side], judged: Mapping[tuple[str, str], str]) -> list[Answer]:
    """A row per shape and door: medians over the repeats, and what is said of the scores."""
    table: list[Answer] = []
    for label, side in sides.items():
        for shape, first in (side.answers[0]["shapes"] if side.answers else {}).items():
            answers = [answer["shapes"][shape] for answer in side.answers]
            said = judged.get((label, shape), "not compared")
            if label == OURS:
                said = "single rows are the batch" if all(answer["same"] for answer in answers) else "DIFFERENT one by one"
            for door in first["single"]:
                p50, p99 = (statistics.median(answer["single"][door][at] for answer in answers) / 1e3 for at in (0, 1))
                row = {"shape": shape, "engine": label, "door": door, "p50_us": p50, "p99_us": p99}
                words = judged.get((OWN_MODEL, shape), "not compared") if door.endswith("XGBoost's model") else said
                table.append(row if door == "clock alone" else {**row, "scores": words})
            for door in first["batch"]:
                rate = statistics.median(answer["batch"][door] for answer in answers)
                table.append({"shape": shape, "engine": label, "door": door, "rows_per_s": rate, "scores": said})
    return table


def figures(sides: Mapping[str, Side], table: list[Answer], count: int, grown: tuple[tuple[Shape, ...], ...]) -> list[Figure]:
    """The figures of one race: those that grow end with their largest shape; a peer's best door stands beside ours."""

    def one(name: str, key: str, unit: str, better: Any, shapes: tuple[Shape, ...]) -> Figure:
        last = max(shapes).name
        rows = [row for row in table if row["shape"] in {shape.name for shape in shapes}]
        mine = {row["door"]: row[key] for row in rows if key in row and row["shape"] == last and row["engine"] == OURS}
        peers = {row["door"]: row[key] for row in rows if key in row and row["shape"] == last and row["engine"] != OURS}
        choose = min if better == "lower" else max
        peer = choose(peers, key=lambda door: peers[door], default="none")
        return figure(
            name, next(iter(mine.values()), None), peers.get(peer), unit=unit, better=better, peer=peer, sides=sides, rows=count,
            leaves_out=LEAVES_OUT, source=f"{last}, {LEAVES} leaves a tree", table=rows, result_hash=sides[OURS].first("hash"),
        )  # fmt: skip

    return [
        one("forest.trees", "rows_per_s", "rows/s", "higher", grown[0]),
        one("forest.columns", "rows_per_s", "rows/s", "higher", grown[1]),
        one("forest.p50", "p50_us", "µs/row", "lower", (MAIN,)),
        one("forest.batch", "rows_per_s", "rows/s", "higher", (MAIN,)),
        one("forest", "p99_us", "µs/row", "lower", (MAIN,)),
    ]
