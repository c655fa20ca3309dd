"""Latency histogram over flat int64 memory that the caller gives, so that it can live in memory another process reads.

Log-linear buckets: 32 per power of two, so a bucket is never wider than 1/32 of its value; below 64 ns every nanosecond has its own. 1,024
buckets reach 2**36 ns = 68.7 s. The idea is Gil Tene's HdrHistogram (https://hdrhistogram.github.io/HdrHistogram/); the `hdrhistogram`
package judges this one in the tests. It is not used here because its counts cannot be placed in memory we choose.

`record` keeps no total: the count is the sum of the buckets, so a reader that copies while a writer records still sees percentiles of a
set of durations that was really recorded, give or take the newest.
"""

from __future__ import annotations

from math import ceil
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

BUCKETS: Final = 1024
NS_MAX: Final = (1 << 36) - 1  # longer durations count in the last bucket; `max` keeps the true value
SUM_AT: Final = BUCKETS
MAX_AT: Final = BUCKETS + 1


def bucket_of(ns: int) -> int:
    """Index of the bucket that counts `ns`, for 0 <= ns <= NS_MAX."""
    shift = ns.bit_length() - 6
    return ns if shift <= 0 else (shift << 5) + (ns >> shift)


def _lower_edges() -> npt.NDArray[np.int64]:
    index = np.arange(BUCKETS + 1, dtype=np.int64)
    shift = np.maximum((index >> 5) - 1, 0)
    edges: npt.NDArray[np.int64] = (index - (shift << 5)) << shift
    return edges


LOWER: Final = _lower_edges()
"""int64[BUCKETS + 1]: smallest ns of each bucket; LOWER[i + 1] - 1 is its largest."""


class Histogram:
    """Counts of durations in `counts`: int64[SIZE], C order, zeros or an earlier histogram. Wrong shape or type: `ValueError`."""

    SIZE: ClassVar[int] = BUCKETS + 2
    __slots__ = ("_buckets", "_words", "counts")

    def __init__(self, counts: npt.NDArray[np.int64]) -> None:
        if counts.dtype != np.int64 or counts.shape != (self.SIZE,) or not counts.flags.c_contiguous:
            raise ValueError(f"Histogram: expected contiguous int64[{self.SIZE}], found {counts.dtype}{list(counts.shape)}")
        self.counts = counts
        self._buckets = counts[:BUCKETS]
        # A memoryview item costs a third of a NumPy item. A read-only view (a reader's copy) simply cannot record.
        self._words = counts.data

    def record(self, ns: int, times: int = 1) -> None:
        """Count a duration of `ns` nanoseconds `times` times; a clock that stepped back counts as 0."""
        words = self._words
        if ns < 64:
            index = ns = max(ns, 0)
        else:
            shift = ns.bit_length() - 6
            index = (shift << 5) + (ns >> shift)
            if index >= BUCKETS:
                index = BUCKETS - 1
        words[index] += times
        words[SUM_AT] += ns * times
        if ns > words[MAX_AT]:
            words[MAX_AT] = ns

    @property
    def count(self) -> int:
        """How many durations were recorded."""
        return int(self._buckets.sum())

    @property
    def mean(self) -> float:
        """Arithmetic mean in ns, exact; 0.0 when nothing was recorded."""
        count = self.count
        return self.counts[SUM_AT].item() / count if count else 0.0

    @property
    def max(self) -> int:
        """Longest duration in ns, exact."""
        return int(self.counts[MAX_AT])

    def percentile(self, q: float) -> int:
        """The duration in ns that `q` percent (0 to 100) do not exceed: never below the true one, at most 1/32 above it. 0 when empty."""
        count = self.count
        if not count:
            return 0
        rank = max(1, ceil(round(q * count / 100.0, 6)))
        index = int(np.searchsorted(np.cumsum(self._buckets), rank))
        return min(int(LOWER[index + 1]) - 1, self.max) if index < BUCKETS - 1 else self.max

    def share_over(self, ns: int) -> float:
        """Share (0 to 1) of durations above `ns`, to the width of one bucket; 0.0 when empty."""
        count = self.count
        above = int(self._buckets[bucket_of(min(max(ns, 0), NS_MAX)) + 1 :].sum())
        return above / count if count else 0.0

    def reset(self) -> None:
        """Forget everything."""
        self.counts[:] = 0
