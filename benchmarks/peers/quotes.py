"""What both sides of `socket` share: the quotes, the process that sends them, the rule in plain Python, and the percentiles.

Standard library only: it is imported in a peer's environment too.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.peers import REPOSITORY

FAST, SLOW = 2, 6  # rows of the two averages
LEG = 10  # quotes up, quotes down: the rule turns once in each
SEED = 20261124
VENUE_S_MAX = 180.0  # the first trader compiles before it connects


class Intent(NamedTuple):
    """One order intent: the number of the quote that caused it, and when it was written and durable, in ns of the monotonic clock."""

    cause: int
    written_ns: int
    durable_ns: int


class Rule:
    """Long while the fast average of the mid is above the slow one, short while below. Averages begin with the mean of their first rows.

    The plain twin of `EmaCross(FAST, SLOW, enter=0.0, exit=0.0)`.
    """

    def __init__(self) -> None:
        self.side = 0
        self._seen = 0
        self._sums = dict.fromkeys((FAST, SLOW), 0.0)
        self._averages = dict.fromkeys((FAST, SLOW), 0.0)

    def turns(self, mid: float) -> bool:
        """Take one more mid; whether `side` has changed."""
        self._seen += 1
        for rows in (FAST, SLOW):
            if self._seen <= rows:
                self._sums[rows] += mid
                self._averages[rows] = self._sums[rows] / self._seen
            else:
                self._averages[rows] += 2.0 / (rows + 1.0) * (mid - self._averages[rows])
        edge = self._averages[FAST] - self._averages[SLOW]
        wanted = self.side if self._seen < SLOW or edge == 0.0 else 1 if edge > 0.0 else -1
        changed, self.side = wanted != self.side, wanted
        return changed


def bids(count: int) -> list[float]:
    """Seeded prices that go up for `LEG` quotes and down for as many, by steps of 1 to 500 cents; the ask is a cent above."""
    chance, price, found = random.Random(SEED), 60_000.0, []
    for number in range(count):
        price += (1 if number // LEG % 2 == 0 else -1) * chance.randint(1, 500) / 100
        found.append(round(price, 2))
    return found


class Sender:
    """The venue's process: quotes go out at their times, whoever listens and however slowly."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def sent_ns(self) -> list[int]:
        """When each quote was handed to the socket; waits until the last has been."""
        found: list[int] = json.loads(self._line())
        return found

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the venue of the benchmark ended with {self._process.wait()} before everything was sent")
        return line


@contextlib.contextmanager
def venue(python: str, count: int, per_s: float) -> Iterator[Sender]:
    """A venue on this machine that sends `count` quotes to the first that connects; `python` is the interpreter that has its server."""
    process = subprocess.Popen(
        [python, "-m", "benchmarks.venue", str(count), str(per_s)], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(VENUE_S_MAX + count / per_s, process.kill)
    watchdog.start()
    try:
        yield Sender(process)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def answer(sent_ns: list[int], intents: list[Intent]) -> dict[str, Any]:
    """Percentiles in microseconds from the send of the cause to the durable intent, and to the moment before its write; and the causes."""
    whole = sorted(one.durable_ns - sent_ns[one.cause] for one in intents)
    before = sorted(one.written_ns - sent_ns[one.cause] for one in intents)
    return {
        "intents": len(intents), "causes": [one.cause for one in intents],
        "p50_us": at(whole, 50), "p99_us": at(whole, 99), "p50_unsynced_us": at(before, 50), "p99_unsynced_us": at(before, 99),
    }  # fmt: skip


def at(sorted_ns: list[int], percent: int) -> float:
    """A percentile of sorted ns, in microseconds."""
    return sorted_ns[min(len(sorted_ns) * percent // 100, len(sorted_ns) - 1)] / 1_000


def now_ns() -> int:
    """The clock that all processes of the machine share."""
    return time.monotonic_ns()
