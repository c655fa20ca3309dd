"""Tick to order in the running trader: p99 with the page and 50 WebSocket clients open, beside the same trader without them."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks import ours, trader
from benchmarks.harness import OURS, Answer, Figure, NotMeasurable, Options, Side, figure
from benchmarks.peers import REPOSITORY

CLIENTS = 50
REPEATS = 3
WINDOW_S, WINDOW_S_QUICK = 20.0, 3.0
WITHOUT = "tercel without clients"

LEAVES_OUT = [
    "no other project publishes this figure: the peer is the same trader with nobody looking",
    "the network: the market is simulated inside the trader; the time is from tick in memory to order in memory",
    "the page is loaded once a second and its stream is read 50 times, but no browser draws it on this machine",
]


def measure(options: Options) -> list[Figure]:
    """`latency.p50`, and as headline `latency`: p99 in microseconds. Windows with and without clients take turns in one trader's life."""
    seconds = options.minutes * 60.0 / (2 * REPEATS) if options.minutes else WINDOW_S_QUICK if options.quick else WINDOW_S
    answers: dict[str, list[Answer]] = {OURS: [], WITHOUT: []}
    error = None
    try:
        with trader.running() as watched:
            for _ in range(REPEATS):
                answers[WITHOUT].append(watched.window(seconds))
                with clients(watched.url) as seen:
                    answers[OURS].append(watched.window(seconds))
                answers[OURS][-1] |= seen
    except NotMeasurable as reason:
        error = str(reason)
    sides = {label: Side(label=label, answers=found, error=error) for label, found in answers.items()}
    return [one("latency.p50", "p50_us", sides, seconds), one("latency", "p99_us", sides, seconds)]


def one(name: str, key: str, sides: dict[str, Side], seconds: float) -> Figure:
    """The figure of one percentile: the median over the windows of each kind."""
    table = [{"trader": label, **medians(side.answers)} for label, side in sides.items() if side.answers]
    # A run that broke off has no figure, whatever it looked like before.
    value, peer_value = (None if side.error else side.median(lambda answer: answer[key]) for side in sides.values())
    return figure(
        name, value, peer_value, unit="us", better="lower", peer=WITHOUT, sides=sides, table=table, leaves_out=LEAVES_OUT,
        source=f"simulated market, {REPEATS} windows of {seconds:g} s each way, {CLIENTS} clients",
        rows=sum(answer["count"] for side in sides.values() for answer in side.answers),
    )  # fmt: skip


def medians(answers: list[Answer]) -> Answer:
    """The median of every number over the windows."""
    return {key: float(statistics.median(answer.get(key, 0) for answer in answers)) for key in answers[0]}


@contextlib.contextmanager
def clients(url: str) -> Iterator[Answer]:
    """50 dashboards in a process of their own; the yielded answer is filled with what they saw when the block ends."""
    seen: Answer = {}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.clients", url, ours.STREAM_PATH, str(CLIENTS)],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        _line(process)
        yield seen
    finally:
        out, _ = process.communicate(timeout=30.0)
        seen |= json.loads(out) if out.strip() else {}


def _line(process: subprocess.Popen[str]) -> Any:
    """The clients' next answer. Raises `NotMeasurable` when they could not connect."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise NotMeasurable(f"the {CLIENTS} clients could not connect (see above)")
    return json.loads(line)
