"""The breaker before one node: after too many failures nothing is asked of it for a while, then a few probes decide.

It judges the share of failures in a sliding window, not a row of them; a cancelled wait is nobody's failure and is not reported here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from tercel.base.time import NS_PER_S, steady_ns

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half open"
BUCKETS: Final = 10


class BreakerSettings(NamedTuple):
    """When to open, for how long, and how many probes close it again."""

    window_s: float = 5.0
    volume_min: int = 20
    failures_share: float = 0.5
    open_s: float = 0.5
    open_s_max: float = 5.0
    probes: int = 3


class Breaker:
    """`allow()` before asking, then `success()` or `failure()` for every answer."""

    def __init__(self, settings: BreakerSettings = BreakerSettings(), clock: Callable[[], int] = steady_ns) -> None:  # noqa: B008 (frozen)
        self.settings, self._clock = settings, clock
        self.state = CLOSED
        self.opened = 0
        """How often it opened."""
        self._bucket_ns = int(settings.window_s * NS_PER_S / BUCKETS)
        self._buckets: deque[list[int]] = deque(maxlen=BUCKETS)  # [number of the bucket, successes, failures]
        self._open_s = settings.open_s
        self._until = 0
        self._permits = self._proven = 0

    def allow(self) -> bool:
        """Whether to ask now."""
        if self.state == CLOSED:
            return True
        if self.state == OPEN:
            if self._clock() < self._until:
                return False
            self.state, self._permits, self._proven = HALF_OPEN, self.settings.probes, 0
            self._until = self._clock() + int(self._open_s * NS_PER_S)
        if self._permits <= 0 and self._clock() >= self._until:
            self._permits, self._until = (
                self.settings.probes,
                self._clock() + int(self._open_s * NS_PER_S),
            )  # the probes were never answered
        self._permits -= 1
        return self._permits >= 0

    def success(self, count: int = 1) -> None:
        """So many answers came in time."""
        if self.state == HALF_OPEN:
            self._proven += count
            if self._proven >= self.settings.probes:
                self.reset()
        elif self.state == CLOSED:
            self._now()[1] += count

    def failure(self, count: int = 1) -> None:
        """So many did not."""
        if self.state == HALF_OPEN:
            self._open_s = min(2 * self._open_s, self.settings.open_s_max)
            self._trip()
        elif self.state == CLOSED:
            self._now()[2] += count
            oldest = self._clock() // self._bucket_ns - BUCKETS
            recent = [bucket for bucket in self._buckets if bucket[0] > oldest]
            failed = sum(bucket[2] for bucket in recent)
            total = failed + sum(bucket[1] for bucket in recent)
            if total >= self.settings.volume_min and failed >= self.settings.failures_share * total:
                self._trip()

    def reset(self) -> None:
        """Closed, as new."""
        self.state, self._open_s = CLOSED, self.settings.open_s
        self._buckets.clear()

    def _trip(self) -> None:
        self.state = OPEN
        self.opened += 1
        self._until = self._clock() + int(self._open_s * NS_PER_S)
        self._buckets.clear()

    def _now(self) -> list[int]:
        number = self._clock() // self._bucket_ns
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        return self._buckets[-1]
