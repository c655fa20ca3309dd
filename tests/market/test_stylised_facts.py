"""The simulated market has the stylised facts of recorded ones, both measured by the same functions (Cont 2001)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tercel.base.time import NS_PER_MIN
from tests.market.stylised_facts import (
    QUOTED,
    Facts,
    Quotes,
    by_minute,
    clustering,
    hours,
    kurtosis,
    memory,
    recorded,
    recorded_quotes,
    returns,
    simulated,
    simulated_facts,
    tail_index,
    together,
)


class Band(NamedTuple):
    """How far beyond the recorded series the simulated one may be: times a factor (1: not at all), or plus and minus a distance."""

    factor: float = 1.0
    distance: float = 0.0


BANDS = {
    "kurtosis, 1 min": Band(factor=2.0),
    "kurtosis, 30 min": Band(factor=1.5),
    "tail index, 1 min": Band(factor=1.1),
    "memory of returns, 1 min": Band(distance=0.05),
    "memory of returns, 2 to 10 min": Band(distance=0.03),
    "memory of their size, 1 min": Band(distance=0.1),
    "memory of their size, 10 min": Band(distance=0.06),
    "memory of their size, 1 h": Band(distance=0.03),
    "variance of seconds over that of minutes": Band(distance=0.05),
    "spread, 90 % over median": Band(factor=1.1),
    "spread, 99 % over median": Band(factor=1.1),
    "branching, 1 s": Band(distance=0.02),
    "branching, 10 s": Band(distance=0.02),
    "branching, 60 s": Band(distance=0.02),
    "waits, deviation over mean": Band(factor=1.1),
    "quotes that leave the mid": Band(distance=0.2),
    "memory of the mid's direction": Band(distance=0.1),
    "activity goes with movement": Band(distance=0.05),
    "spread goes with movement": Band(distance=0.05),
    "busiest hour over quietest": Band(factor=1.0),
    "spread of the widest hour over median": Band(factor=1.1),
    "size, 90 % over median": Band(),
    "size, 99 % over median": Band(),
    "size, tail index": Band(),
    "branching of trades, 1 s": Band(distance=0.2),
    "branching of trades, 10 s": Band(distance=0.15),
    "memory of sides, 1 trades": Band(),
    "memory of sides, 10 trades": Band(distance=0.04),
    "memory of sides, 50 trades": Band(distance=0.02),
    "correlation, 1 s": Band(distance=0.03),
    "correlation, 10 s": Band(distance=0.03),
    "correlation, 60 s": Band(distance=0.1),
    "correlation, 300 s": Band(distance=0.15),
    "news: spread 10 s before": Band(factor=1.5),
    "news: spread 10 s after": Band(factor=1.3),
    "news: spread 2 min after": Band(factor=1.6),
    "news: volatility 1 min after": Band(factor=2.0),
    "news: volatility 15 min after": Band(factor=2.5),
    "news: volatility 90 min after": Band(factor=2.5),
}


@pytest.fixture(scope="module")
def real(data_dir: Path) -> dict[str, list[float]]:
    """Every fact of the recorded series."""
    return recorded(data_dir)


@pytest.fixture(scope="module")
def ours() -> Facts:
    """Every fact of a simulated market over the days of the recorded one."""
    return simulated_facts(1)


@pytest.fixture(scope="module")
def euro() -> Quotes:
    """The simulated EURUSD of another seed."""
    return simulated(2, ("EURUSD",))[0]["EURUSD"]


def test_every_fact_of_the_simulated_market_is_within_a_band_of_the_recorded_ones(real: dict[str, list[float]], ours: Facts) -> None:
    """From a little under the lowest recorded series to a little above the highest; how little is in the table above."""
    assert set(real) == set(ours) == set(BANDS)
    outside = []
    for name, band in BANDS.items():
        lowest, highest = min(real[name]) / band.factor - band.distance, max(real[name]) * band.factor + band.distance
        if not lowest <= ours[name] <= highest:
            outside.append(f"{name}: expected {lowest:.3f} to {highest:.3f}, found {ours[name]:.3f}")
    assert not outside, "\n".join(outside)


def test_both_have_the_facts_that_make_a_market(real: dict[str, list[float]], ours: Facts) -> None:
    """Fat tails that thin out over time, returns without memory whose size remembers, clusters, and sides that persist."""
    for name, values in real.items():
        for value in [*values, ours[name]]:
            if name == "kurtosis, 1 min":
                assert value > 4
            elif name.startswith("memory of returns"):
                assert abs(value) < 0.1
            elif name.startswith(("memory of their size, 1", "memory of sides")):
                assert value > 0.02
            elif name.startswith(("branching", "activity goes")):
                assert value > 0.25
            elif name == "tail index, 1 min":
                assert 2 < value < 5
    for less, more in (("kurtosis, 30 min", "kurtosis, 1 min"), ("correlation, 1 s", "correlation, 300 s")):
        assert np.median(real[less]) < np.median(real[more])
        assert ours[less] < ours[more]


def test_the_hours_of_the_day_are_those_of_the_recorded_market(euro: Quotes, data_dir: Path) -> None:
    """Activity, movement and spread rise and fall with the recorded ones of the same days, hour by hour."""
    mine = euro
    theirs = recorded_quotes(data_dir, QUOTED["EURUSD FXCM"])
    assert together(hours(mine, lambda each: each.count), hours(theirs, lambda each: each.count)) > 0.75
    assert together(hours(mine, lambda each: each.span), hours(theirs, lambda each: each.span)) > 0.75
    assert hours(mine, lambda each: each.spread).argmax() == hours(theirs, lambda each: each.spread).argmax() == 21
    assert len(by_minute(mine).minute) > 0.9 * len(by_minute(theirs).minute)


def test_a_market_without_them_is_told_from_one_with_them() -> None:
    """The measures see nothing in normal returns at Poisson times: each could fail."""
    chance = np.random.default_rng(3)
    normal, times = chance.standard_normal(20_000), np.cumsum(chance.exponential(1e9, 20_000)).astype(np.int64)
    assert 2.8 < kurtosis(normal) < 3.2
    assert tail_index(normal) > 5.5
    assert abs(memory(np.abs(normal), 1)) < 0.03
    assert clustering(times, 10) < 0.1
    assert abs(together(normal[1:], normal[:-1])) < 0.03
    assert 2.5 < tail_index(chance.standard_t(3, 200_000)) < 3.5


def test_returns_are_taken_where_the_market_is_open(euro: Quotes) -> None:
    """Steps across a closed market are left out, whatever the price did meanwhile."""
    minutes = returns(euro, 60)
    open_minutes = len(np.unique(euro.times // NS_PER_MIN))
    assert 0.98 * open_minutes < len(minutes) < 1.02 * open_minutes
