"""A trader of our own to watch: started in an empty home on the simulated market, seen only through its live view, stopped at the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import Answer, NotMeasurable

START_S_MAX = 120.0  # the first start compiles
STOP_S_MAX = 20.0
NS_PER_US = 1_000.0


class Watched(NamedTuple):
    """A running trader: its log, and what reads its live view."""

    process: subprocess.Popen[bytes]
    log: Path
    reader: Any
    place: Path

    @property
    def url(self) -> str:
        """Where its page is; empty before it says so."""
        from benchmarks import ours

        return ours.page_url(self.place) or ""

    def check(self) -> None:
        """Raise `NotMeasurable` with the end of the log when the trader has ended."""
        if self.process.poll() is not None:
            raise NotMeasurable(f"the trader ended with {self.process.returncode}: {tail(self.log)}")

    def frame(self) -> Any:
        """One consistent copy of the live view."""
        self.check()
        return self.reader.read(timeout_s=1.0)

    def window(self, seconds: float, stage: str = "total") -> Answer:
        """p50 and p99 in microseconds of one stage over the next `seconds`, with how many inputs were timed."""
        return self.windows(seconds, (stage,))[stage]

    def windows(self, seconds: float, stages: tuple[str, ...]) -> dict[str, Answer]:
        """The same of several stages, over the same `seconds`."""
        before = self.frame()
        time.sleep(seconds)
        after = self.frame()
        return {stage: between(before, after, stage) for stage in stages}


def between(before: Any, after: Any, stage: str) -> Answer:
    """Percentiles of what a stage recorded between two frames of one trader."""
    from tercel.base.histogram import MAX_AT, Histogram
    from tercel.observe.stages import STAGE_NAMES

    place = STAGE_NAMES.index(stage)
    counts = after.histogram_counts[place] - before.histogram_counts[place]
    counts[MAX_AT] = after.histogram_counts[place][MAX_AT]  # the longest ever; percentiles need an upper bound only
    found = Histogram(np.ascontiguousarray(counts))
    return {
        "count": found.count, "p50_us": found.percentile(50.0) / NS_PER_US,
        "p95_us": found.percentile(95.0) / NS_PER_US, "p99_us": found.percentile(99.0) / NS_PER_US,
        "p999_us": found.percentile(99.9) / NS_PER_US, "mean_us": found.mean / NS_PER_US,
    }  # fmt: skip


def tail(log: Path) -> str:
    """The last three lines of a log, as one."""
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])


@contextlib.contextmanager
def running() -> Iterator[Watched]:
    """`tercel run` in a temporary home until the end of the block. Raises `NotMeasurable` when it does not come up."""
    from benchmarks import ours

    with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-", ignore_cleanup_errors=True) as folder:
        place, log = Path(folder) / "home", Path(folder) / "trader.log"
        command = ours.trader_command(place)
        environment = {**os.environ, "TERCEL_HOME": str(place), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            watched = Watched(process, log, ours.live_reader(place), place)
            until_trading(watched)
            yield watched
        finally:
            stop(process)


def until_trading(watched: Watched) -> None:
    """Wait until inputs reach the core and the page is served."""
    from tercel.base.errors import TercelError

    until = time.monotonic() + START_S_MAX
    said = "no input yet"
    while time.monotonic() < until:
        try:
            if watched.url and int(watched.frame().status["input_number"]) > 0:
                return
            watched.check()
        except TercelError as error:
            said = str(error)
        time.sleep(0.2)
    raise NotMeasurable(f"the trader is not trading after {START_S_MAX:.0f} s ({said}): {tail(watched.log)}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the trader and its desk, in order when they let us."""
    process.terminate()
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()  # the trader and the desk see that their parent is gone
        process.wait()
