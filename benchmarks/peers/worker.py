"""The half of a peer that runs in the peer's own environment: standard library only.

A peer script prepares once (not timed), says it is ready, then answers every line on its standard input with one timed repeat. So the
caller can interleave repeats of several engines on one shared machine, and no engine pays for another's start.
"""

from __future__ import annotations

import array
import gc
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, NamedTuple

Answer = dict[str, Any]


class Timed(NamedTuple):
    """One measured call: wall seconds, processor seconds of this process, what the call returned."""

    seconds: float
    cpu_seconds: float
    result: Any


def timed(call: Callable[[], Any]) -> Timed:
    """Run `call` once between two clock reads, after collecting garbage so that no earlier repeat is paid for here."""
    gc.collect()
    cpu = time.process_time()
    start = time.perf_counter()
    result = call()
    return Timed(time.perf_counter() - start, time.process_time() - cpu, result)


def percentiles(call: Callable[[Any], Any], items: list[Any]) -> list[float]:
    """Median and 99th percentile of the ns of one call over `items`, two clock reads included."""
    took, clock = [0] * len(items), time.perf_counter_ns
    gc.collect()
    for place, item in enumerate(items):
        start = clock()
        call(item)
        took[place] = clock() - start
    took.sort()
    return [float(took[len(took) // 2]), float(took[len(took) * 99 // 100])]


class Doors(NamedTuple):
    """The ways into one model: a call and what it is called with, one row after the other; and calls that score all rows."""

    single: dict[str, tuple[Callable[[Any], Any], list[Any]]]
    batch: dict[str, Callable[[], Any]]  # the first one's scores are compared
    scored: Callable[[Any], float] | None = None  # the score of a single row, of the first door


def forests(label: str, shapes: list[Answer], opened: Callable[[Answer], Doors]) -> Callable[[], Answer]:
    """A repeat over the models of several shapes; the scores of a whole batch go to the shape's `scores` file, under the label."""
    doors = [(shape, opened(shape)) for shape in shapes]

    def repeat() -> Answer:
        return {"shapes": {shape["name"]: measured(label, shape, door) for shape, door in doors}}

    repeat()  # warms, and compiles what compiles late
    return repeat


def measured(label: str, shape: Answer, doors: Doors) -> Answer:
    """One turn through every door of one model."""
    single = {door: percentiles(call, items) for door, (call, items) in doors.single.items()}
    runs = {door: timed(call) for door, call in doors.batch.items()}
    values = array.array("d", next(iter(runs.values())).result)
    with open(f"{shape['scores']}.{label}", "wb") as file:
        values.tofile(file)
    answer: Answer = {"single": single, "batch": {door: len(values) / run.seconds for door, run in runs.items()}}
    if doors.scored is not None:
        items = next(iter(doors.single.values()))[1]
        answer["same"] = all(doors.scored(item) == value for item, value in zip(items, values, strict=False))
    return answer


def versions(*distributions: str) -> dict[str, str]:
    """Installed versions by distribution name, and Python's own."""
    return {"python": sys.version.split()[0], **{name: version(name) for name in distributions}}


def digest(lines: Iterable[object]) -> str:
    """Sixteen hex digits over one line of text per item: equal results give equal digests on every machine."""
    state = hashlib.blake2b(digest_size=8)
    for line in lines:
        state.update(f"{line}\n".encode())
    return state.hexdigest()


def serve(prepare: Callable[[], tuple[Answer, Callable[[], Answer]]]) -> None:
    """Prepare, write the ready line, then one JSON line per line read, until the input ends.

    Whatever the library prints goes to standard error, so that it cannot break the protocol.
    """
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        start = time.perf_counter()
        ready, repeat = prepare()
        print(json.dumps({"prepare_s": time.perf_counter() - start, **ready}), file=channel, flush=True)
        for _ in sys.stdin:
            print(json.dumps(repeat()), file=channel, flush=True)
