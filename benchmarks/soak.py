"""Hours of trading: how much the trader's memory grows, and how many inputs it dropped."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import psutil

from benchmarks import trader
from benchmarks.harness import OURS, Answer, Figure, NotMeasurable, Options, Side, figure

MINUTES, MINUTES_QUICK = 60.0, 0.5
SAMPLE_S = 1.0
SETTLE_SHARE = 0.2  # the first fifth is warm-up and takes no part in the slope
GOAL = "goal: flat, nothing dropped"

LEAVES_OUT = [
    "no other project publishes this figure: beside it stands the goal",
    "the simulated market at its own pace; no venue, no network loss; memory is what the trader's process has resident",
]


def measure(options: Options) -> list[Figure]:
    """`soak.dropped` inputs, and as headline `soak`: the slope of resident memory, in MB an hour, by least squares."""
    minutes = options.minutes or (MINUTES_QUICK if options.quick else MINUTES)
    samples: list[Answer] = []
    latency: Answer = {}
    error = None
    try:
        with trader.running() as watched:
            first = watched.frame()
            process = psutil.Process(int(first.status["pid"]))
            end = time.monotonic() + minutes * 60.0
            while time.monotonic() < end:
                samples.append(sample(watched.frame(), process))
                time.sleep(SAMPLE_S)
            latency = trader.between(first, watched.frame(), "total")
    except NotMeasurable as reason:
        error = str(reason)
    side = Side(label=OURS, answers=samples[:: max(1, len(samples) // 600)], error=error)
    shared: dict[str, Any] = {
        "peer": GOAL, "better": "lower", "sides": {OURS: side}, "leaves_out": LEAVES_OUT, "rows": samples[-1]["inputs"] if samples else 0,
        "source": f"simulated market for {minutes:g} minutes", "table": [summary(samples) | latency] if samples else [],
    }  # fmt: skip
    whole = bool(samples) and error is None  # a run that broke off has no figure, whatever it looked like before
    return [
        figure("soak.dropped", float(samples[-1]["dropped"]) if whole else None, 0.0, unit="inputs", **shared),
        figure("soak", slope_mb_per_hour(samples) if whole else None, 0.0, unit="MB/hour", **shared),
    ]


def sample(frame: Any, process: psutil.Process) -> Answer:
    """What is watched, at one moment: seconds, resident MB, open files, and the trader's own counts."""
    status = frame.status
    return {
        "second": time.monotonic(), "resident_mb": process.memory_info().rss / 1e6, "files": process.num_fds(),
        "threads": process.num_threads(), "inputs": int(status["input_number"]), "dropped": int(status["dropped"]),
        "late_ticks": int(status["late_ticks"]), "orders": int(status["orders"]), "data_age_ms": float(status["data_age_ns"]) / 1e6,
    }  # fmt: skip


def slope_mb_per_hour(samples: list[Answer]) -> float | None:
    """Least-squares slope of resident memory after the warm-up; None for fewer than three samples."""
    settled = samples[int(len(samples) * SETTLE_SHARE) :]
    if len(settled) < 3:
        return None
    seconds = np.array([item["second"] for item in settled])
    slope = np.polyfit(seconds - seconds[0], [item["resident_mb"] for item in settled], 1)[0]
    return float(slope * 3600.0)


def summary(samples: list[Answer]) -> Answer:
    """First, last and highest values of a run."""
    first, last = samples[0], samples[-1]
    return {
        "seconds": last["second"] - first["second"], "resident_mb_first": first["resident_mb"], "resident_mb_last": last["resident_mb"],
        "resident_mb_max": max(item["resident_mb"] for item in samples), "files_last": last["files"], "threads_last": last["threads"],
        "dropped": last["dropped"], "late_ticks": last["late_ticks"], "orders": last["orders"],
        "data_age_ms_max": max(item["data_age_ms"] for item in samples),
    }  # fmt: skip
