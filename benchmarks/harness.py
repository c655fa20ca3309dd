"""What a figure is, how repeats are interleaved, and what is told about the machine."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from benchmarks.peers import PeerUnavailable

Answer = dict[str, Any]
OURS = "tercel"


class Options(NamedTuple):
    """What the command line asks of every benchmark."""

    quick: bool = False
    peers: bool = True  # False: our side only, as the test suite runs it
    rows_max: int | None = None  # fewer rows than the benchmark would take by itself
    minutes: float | None = None  # how long `soak` and `latency` watch


class NotMeasurable(Exception):
    """Our own side cannot run here; the text says what is missing and stands in the figure."""


class Engine(Protocol):
    """One side of a race: facts known after its start, then one answer per repeat."""

    @property
    def ready(self) -> Answer:
        """Versions, preparation times and whatever else is known before the first repeat."""

    def repeat(self) -> Answer:
        """One timed run."""


class InProcess:
    """An engine in this interpreter: what it knows after its start, and what it does in a repeat."""

    def __init__(self, ready: Answer, repeat: Callable[[], Answer]) -> None:
        self.ready, self._repeat = ready, repeat

    def repeat(self) -> Answer:
        """One timed run."""
        return self._repeat()


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one engine said: before the first repeat, and in every repeat, in order."""

    label: str
    ready: Answer = {}
    answers: list[Answer] = []
    error: str | None = None

    def median(self, read: Callable[[Answer], float]) -> float | None:
        """The median over the repeats of what `read` takes from an answer; None when nothing was measured."""
        return statistics.median(map(read, self.answers)) if self.answers else None

    def first(self, key: str) -> Any:
        """What the first repeat said under `key`; None when nothing was measured."""
        return self.answers[0].get(key) if self.answers else None


def race(engines: Mapping[str, Callable[[], AbstractContextManager[Engine]]], repeats: int) -> dict[str, Side]:
    """Start every engine, then take turns: each round runs all of them once, a different one first.

    An engine that cannot start or dies is kept as a `Side` with its error; the others go on.
    """
    started: dict[str, Engine] = {}
    answers: dict[str, list[Answer]] = {label: [] for label in engines}
    errors: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for label, start in engines.items():
            try:
                started[label] = stack.enter_context(start())
            except (PeerUnavailable, NotMeasurable) as error:
                errors[label] = str(error)
                print(f"benchmarks: {label} is not measured: {error}", file=sys.stderr)
        for turn in range(repeats):
            order = [label for label in started if label not in errors]
            cut = turn % len(order) if order else 0
            for label in order[cut:] + order[:cut]:
                try:
                    answers[label].append(started[label].repeat())
                except PeerUnavailable as error:
                    errors[label] = str(error)
                    print(f"benchmarks: {label} failed in repeat {turn + 1}: {error}", file=sys.stderr)
        ready = {label: engine.ready for label, engine in started.items()}
    return {label: Side(label=label, ready=ready.get(label, {}), answers=answers[label], error=errors.get(label)) for label in engines}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One published number beside its peer's, with all that is needed to doubt or repeat it."""

    name: str
    value: float | None
    unit: str
    peer: str
    peer_value: float | None
    ratio: float | None  # value / peer_value, to be read with `better`
    better: Literal["higher", "lower"]
    input: str
    rows: int
    result_hash: str | None
    leaves_out: list[str]
    errors: list[str]
    table: list[Answer]  # every row measured, those we lose included
    raw: dict[str, list[Answer]]  # every repeat of every engine
    ready: dict[str, Answer]  # versions and what was not timed, by engine
    command: str
    date: str
    machine: Answer
    versions: dict[str, str]


def figure(
    name: str, value: float | None, peer_value: float | None, *, unit: str, peer: str, better: Literal["higher", "lower"],
    source: str, rows: int, sides: Mapping[str, Side], table: list[Answer], leaves_out: list[str], result_hash: str | None = None,
) -> Figure:  # fmt: skip
    """Fill in what every figure shares: the ratio, the repeats, the errors, the command, the date and the machine."""
    return Figure(
        name=name, value=value, unit=unit, peer=peer, peer_value=peer_value, better=better, input=source, rows=rows, table=table,
        ratio=value / peer_value if value is not None and peer_value else None,
        result_hash=result_hash, leaves_out=leaves_out,
        errors=[f"{side.label}: {side.error}" for side in sides.values() if side.error],
        raw={label: side.answers for label, side in sides.items()}, ready={label: side.ready for label, side in sides.items()},
        command=shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]), date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine(), versions=our_versions(),
    )  # fmt: skip


def machine() -> Answer:
    """Processor, cores, memory, system, Python and load: what a reader needs to judge an absolute figure. No host name."""
    cpu = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    pages = os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(), "load_1m": round(os.getloadavg()[0], 2),
    }  # fmt: skip


def our_versions() -> dict[str, str]:
    """Versions of what our side runs on; a checkout that is not installed says so."""
    found = {}
    for name in ("tercel", "numpy", "numba", "llvmlite", "msgspec", "pyarrow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def number(value: float | None) -> str:
    """Three digits that count, or every digit before the point."""
    if isinstance(value, int):
        return f"{value:,}"
    return "not measured" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def text(item: Figure) -> str:
    """The figure for a person: one line of result, then the table and what is left out."""
    ratio = "" if item.ratio is None else f", ratio {number(item.ratio)} ({item.better} is better)"
    lines = [
        f"{item.name}: {number(item.value)} {item.unit}; {item.peer}: {number(item.peer_value)} {item.unit}{ratio}",
        f"  input: {item.input}, {item.rows:,} rows; result {item.result_hash}",
    ]
    for row in item.table:
        cells = (f"{key} {number(value) if isinstance(value, float) else value}" for key, value in row.items())
        lines += ["  " + "  ".join(cells)]
    lines += [f"  leaves out: {words}" for words in item.leaves_out] + [f"  not measured: {words}" for words in item.errors]
    return "\n".join(lines)
