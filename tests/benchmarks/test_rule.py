"""The judge of the back-test benchmark is right by hand-made examples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.data import QUOTE, random_walk
from benchmarks.rule import NAUTILUS, TERCEL, Rule, average, judged

SMALL = Rule(fast=1, slow=2, size=10, latency_ns=5)


def quotes(*rows: tuple[int, float, float]) -> Any:
    """Rows of (ts_ns, bid, ask)."""
    return np.array(list(rows), QUOTE)


def test_an_order_fills_at_the_first_quote_that_comes_after_its_latency() -> None:
    """The flip at 10 ns waits 5 ns: the quote at 14 is too early, the one at 15 fills it at its ask."""
    fills = judged(SMALL, quotes((0, 1.0, 1.2), (10, 2.0, 2.2), (14, 2.0, 2.3), (15, 2.0, 2.4)), NAUTILUS)
    assert fills == [(15, 1, "2.40000", "10")]


def test_a_flip_sells_twice_the_size_at_the_bid() -> None:
    """From long to short takes two sizes; the last flip is still on its way at the end."""
    rows = quotes((0, 1.0, 1.2), (10, 2.0, 2.2), (20, 1.0, 1.2), (30, 1.0, 1.1), (40, 9.0, 9.1))
    assert judged(SMALL, rows, NAUTILUS) == [(20, 1, "1.20000", "10"), (30, -1, "1.00000", "20")]


def test_an_order_that_arrives_between_quotes_trades_on_the_one_that_stands() -> None:
    """Where orders trade on the standing quote, the one at 14 ns stands when the order arrives at 15, and the one at 20 comes too late."""
    rows = quotes((0, 1.0, 1.2), (10, 2.0, 2.2), (14, 2.0, 2.3), (20, 2.0, 2.4))
    assert judged(SMALL, rows, NAUTILUS._replace(stands=True)) == [(20, 1, "2.30000", "10")]


def test_both_beginnings_of_an_average_meet() -> None:
    """The memory of how an EMA began fades: after many rows both beginnings give the same number."""
    values = random_walk(2_000).rows["bid"].tolist()
    first, mean = average(values, 20, "first"), average(values, 20, "mean")
    assert math.isnan(mean[18])
    assert mean[19] == sum(values[:20]) / 20
    assert first[19] != mean[19]
    assert math.isclose(first[-1], mean[-1], rel_tol=1e-12)


@given(st.integers(200, 600))
def test_positions_alternate_and_never_exceed_the_size(count: int) -> None:
    """Whatever the walk, the position after each fill is +size or -size in turn."""
    position, last = 0, 0
    for _, side, _, size in judged(Rule(fast=3, slow=9), random_walk(count).rows, TERCEL):
        position += side * int(size)
        assert position == side * Rule().size
        assert side != last
        last = side


def test_the_walk_is_the_same_every_time() -> None:
    """Its seed is fixed, its prices have five decimals, and time goes forward."""
    walk, again = random_walk(500).rows, random_walk(500).rows
    assert (walk == again).all()
    assert (np.round(walk["ask"] * 1e5) == np.round(walk["bid"] * 1e5) + 12).all()
    assert (np.diff(walk["ts_ns"]) > 0).all()
