"""ns per update of indicators, one by one and in batch, beside nautilus_trader, TA-Lib and talipp."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from benchmarks import data, ours
from benchmarks.harness import OURS, Answer, Figure, Options, Side, figure, race
from benchmarks.peers import Peer

CORE = ("ema_20", "sma_20", "rsi_14")
EXTRA = ("returns_20", "volatility_20")
THIRTY = tuple(f"{op}_{rows}" for op in ("ema", "sma", "rsi") for rows in (5, 10, 14, 20, 30, 50, 75, 100, 150, 200))
ROWS, ROWS_QUICK = 1_000_000, 100_000
UPDATES_MAX = 20_000
REPEATS, REPEATS_QUICK = 5, 3
WARM, WINDOW = 400, 200
PEERS = ("nautilus", "talib", "talipp")
AGREES = 1e-6  # relative; who differs computes something else under the same name
Costs = Mapping[str, Mapping[str, tuple[float, float]]]

LEAVES_OUT = [
    "reading the price from a feed; prices are Python floats in a list, or one float64 column",
    "one-by-one costs include the Python loop and one look at each value",
    "talipp and nautilus_trader have no batch; nautilus_trader has no standard deviation of returns",
    "a peer's cost of a set is the sum of loops over one indicator each, which is kinder than one loop over all of them",
    "a starred peer gives another value: in nautilus_trader 1.221.0 the Rust RSI smooths exponentially whatever it is told",
]


def measure(options: Options) -> list[Figure]:
    """`features.thirty`, `features.batch`, and as headline `features`: EMA 20, SMA 20 and RSI 14 for one new price."""
    count = options.rows_max or (ROWS_QUICK if options.quick else ROWS)
    walk = data.random_walk(count)
    with data.saved((walk.rows["bid"] + walk.rows["ask"]) / 2.0) as path:
        job: Answer = {
            "input": str(path), "warm": WARM, "window": WINDOW, "updates": min(UPDATES_MAX, count - WARM),
            "names": sorted({*CORE, *THIRTY, *EXTRA}), "batch": [*CORE, *EXTRA], "sets": {"core": CORE, "thirty": THIRTY},
        }  # fmt: skip
        engines: dict[str, Any] = {OURS: partial(ours.features, job)}
        if options.peers:
            engines |= {name: partial(Peer, name, "features", job) for name in PEERS}
        sides = race(engines, REPEATS_QUICK if options.quick else REPEATS)
    return figures(sides, f"mids of a {walk.name.split(':')[0]}", count, job["updates"])


def figures(sides: Mapping[str, Side], source: str, rows: int, updates: int) -> list[Figure]:
    """The three figures of one race. A peer's value for a set is the sum over its features, one call each, as it offers no other way."""
    costs = medians(sides.values())
    truth = {name: value for name, (_, value) in costs.get("tercel", {}).items()}
    batches = {family: found for family, found in costs.items() if family.endswith("batch")}
    steps = {family: found for family, found in costs.items() if not family.endswith("batch")}

    def one(name: str, label: str, names: tuple[str, ...], families: Costs, count: int, what: str) -> Figure:
        ours_ns = families.get("tercel batch" if families is batches else "tercel in one call", {}).get(label, (None,))[0]
        sums = peer_sums(families, names)
        peer = min(sums, key=lambda family: sums[family], default="none")
        return figure(
            name, ours_ns, sums.get(peer), unit="ns/update", better="lower", peer=peer, sides=sides, rows=count, leaves_out=LEAVES_OUT,
            source=f"{what} of {source}", table=rows_of(families, truth, label), result_hash=sides[OURS].first("hash"),
        )  # fmt: skip

    return [
        one("features.thirty", "thirty", THIRTY, steps, updates, "30 features, EMA, SMA and RSI of ten lengths, for each new price"),
        one("features.batch", "core", CORE, batches, rows, "EMA 20, SMA 20 and RSI 14 over a whole column"),
        one("features", "core", CORE, steps, updates, "EMA 20, SMA 20 and RSI 14 for each new price"),
    ]


def medians(sides: Iterable[Side]) -> Costs:
    """By family and feature: median ns over the repeats, and the last value (of a set: its first feature's)."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for side in sides:
        for family, rows in (side.answers[0] if side.answers else {}).items():
            if isinstance(rows, dict):
                for name, row in rows.items():
                    ns = statistics.median(answer[family][name]["ns"] for answer in side.answers)
                    last = row["last"][0] if isinstance(row["last"], list) else row["last"]
                    found.setdefault(family, {})[name] = (ns, last)
    return found


def peer_sums(families: Costs, names: tuple[str, ...]) -> dict[str, float]:
    """Sum of ns over `names` for every peer that has them all."""
    peers = {family: found for family, found in families.items() if not family.startswith(OURS)}
    return {family: sum(found[name][0] for name in names) for family, found in peers.items() if all(name in found for name in names)}


def rows_of(families: Costs, truth: Mapping[str, float], label: str) -> list[Answer]:
    """One row per family: ns of each core and extra feature, and of the set; a star marks a value that is not ours for the same price."""
    sums = peer_sums(families, CORE if label == "core" else THIRTY)
    table = []
    for family, found in families.items():
        row: Answer = {"library": family}
        for name in (*CORE, *EXTRA):
            if name in found:
                ns, last = found[name]
                comparable = name in truth and not family.endswith("batch")
                differs = comparable and not math.isclose(last, truth[name], rel_tol=AGREES, abs_tol=AGREES * 1e-3)
                row[f"{name}*" if differs else name] = round(ns, 1)
        whole = found[label][0] if label in found else sums.get(family)
        if whole is not None:
            row[label] = round(whole, 1)
        table.append(row)
    return table
