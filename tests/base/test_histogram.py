"""The latency histogram against NumPy and against HdrHistogram."""

from __future__ import annotations

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.histogram import BUCKETS, LOWER, NS_MAX, Histogram, bucket_of

QUANTILES = (0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0)


def empty() -> Histogram:
    """A histogram over fresh memory."""
    return Histogram(np.zeros(Histogram.SIZE, np.int64))


def of(values: list[int]) -> Histogram:
    """A histogram of the values."""
    histogram = empty()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.integers(0, NS_MAX))
def test_every_duration_falls_into_its_bucket(ns: int) -> None:
    """A bucket holds its duration and is never wider than 1/32 of it."""
    index = bucket_of(ns)
    low, high = int(LOWER[index]), int(LOWER[index + 1])
    assert low <= ns < high
    assert high - low == 1 or (high - low) * 32 <= low


def test_the_buckets_meet_and_end_at_sixty_nine_seconds() -> None:
    """No duration is between two buckets, and the last one ends above 68 s."""
    assert (np.diff(LOWER) > 0).all()
    assert bucket_of(NS_MAX) == BUCKETS - 1
    assert NS_MAX > 68e9


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=300))
def test_percentiles_agree_with_numpy_to_a_bucket(values: list[int]) -> None:
    """A percentile is never below the true one and at most 1/32 above it; count, mean and maximum are exact."""
    histogram = of(values)
    for q in QUANTILES:
        true = int(np.percentile(np.array(values), q, method="inverted_cdf"))
        found = histogram.percentile(q)
        assert true <= found
        assert found <= true * (1 + 1 / 32) + 1 or true > NS_MAX
    assert histogram.count == len(values)
    assert histogram.max == max(values)
    assert histogram.mean == pytest.approx(sum(values) / len(values))


def test_percentiles_agree_with_the_hdrhistogram_package() -> None:
    """HdrHistogram with three digits and ours differ by no more than the two bucket widths together."""
    rng = np.random.default_rng(11)
    ours, oracle = empty(), HdrHistogram(1, 60_000_000_000, 3)
    for value in rng.lognormal(9.0, 2.0, 20_000).astype(np.int64).tolist():
        ours.record(value)
        oracle.record_value(max(value, 1))
    for q in (50.0, 90.0, 99.0, 99.9, 100.0):
        assert ours.percentile(q) == pytest.approx(oracle.get_value_at_percentile(q), rel=1 / 32 + 2e-3)
    assert ours.count == oracle.get_total_count()
    assert ours.mean == pytest.approx(oracle.get_mean_value(), rel=2e-3)


def test_share_over_counts_what_is_above() -> None:
    """Of 100 durations of 10 µs and 25 of 1 ms, a fifth is over a budget of 100 µs."""
    histogram = of([10_000] * 100 + [1_000_000] * 25)
    assert histogram.share_over(100_000) == pytest.approx(0.2)
    assert histogram.share_over(2_000_000) == 0.0


def test_one_record_may_stand_for_many() -> None:
    """`times` counts as often, and the mean weighs it so."""
    histogram = empty()
    histogram.record(1_000, times=9)
    histogram.record(11_000)
    assert (histogram.count, histogram.mean) == (10, 2_000.0)


def test_extremes_are_counted_not_lost() -> None:
    """A clock that stepped back counts as zero, hours count in the last bucket with their true maximum."""
    histogram = of([-5, 7_200 * 10**9])
    assert histogram.count == 2
    assert histogram.percentile(0) == 0
    assert histogram.percentile(100) == histogram.max == 7_200 * 10**9


def test_an_empty_histogram_says_zero_and_reset_makes_one() -> None:
    """Nothing recorded: count, mean, maximum and percentiles are zero."""
    histogram = of([5, 50, 500])
    histogram.reset()
    assert (histogram.count, histogram.mean, histogram.max, histogram.percentile(99), histogram.share_over(1)) == (0, 0.0, 0, 0, 0.0)


def test_it_records_into_the_memory_it_was_given() -> None:
    """Another view of the same memory sees the record, and memory of another shape is refused."""
    memory = np.zeros((2, Histogram.SIZE), np.int64)
    Histogram(memory[1]).record(100)
    assert Histogram(memory[1]).count == 1
    assert Histogram(memory[0]).count == 0
    with pytest.raises(ValueError, match=r"int64\[1026\]"):
        Histogram(np.zeros(10, np.int64))
