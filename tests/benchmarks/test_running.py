"""The benchmarks that watch a running trader, for seconds: the figures are whole and the trader and its desk are gone afterwards."""

from __future__ import annotations

import pytest

from benchmarks import latency, soak
from benchmarks.harness import Options
from benchmarks.soak import slope_mb_per_hour


@pytest.mark.timeout(400)
def test_latency_is_measured_with_and_without_clients() -> None:
    """Both kinds of windows timed inputs; the 50 clients were really told something, and the ratio is there."""
    headline = latency.measure(Options(quick=True, minutes=0.05))[-1]
    assert headline.errors == []
    assert headline.name == "latency"
    assert headline.value is not None
    assert headline.value > 0
    assert headline.ratio is not None
    assert all(answer["count"] > 0 for side in headline.raw.values() for answer in side)
    assert all(answer["messages"] >= latency.CLIENTS for answer in headline.raw["tercel"])


@pytest.mark.timeout(400)
def test_a_soak_reports_memory_and_drops() -> None:
    """Seconds of trading give a slope, a count of dropped inputs and the samples they come from."""
    dropped, headline = soak.measure(Options(minutes=0.08))
    assert headline.errors == []
    assert (headline.name, headline.unit) == ("soak", "MB/hour")
    assert headline.value is not None
    assert dropped.value == 0
    assert headline.rows > 0
    assert len(headline.raw["tercel"]) >= 3


def test_the_slope_is_that_of_the_settled_part() -> None:
    """Warm-up takes no part: 10 MB at the start, then one more MB every 36 seconds, is 100 MB an hour."""
    settled = [{"second": float(second), "resident_mb": 100.0 + second / 36.0} for second in range(20, 100)]
    warming = [{"second": float(second), "resident_mb": 10.0} for second in range(20)]
    assert slope_mb_per_hour(warming + settled) == pytest.approx(100.0)
    assert slope_mb_per_hour(warming[:2]) is None
