"""Rolling numbers after millions of updates are as near to exact arithmetic as at the start."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.features.judges import Column
from tests.features.running import run

UPDATES = 2_000_000
EPS = float(np.finfo(float).eps)


@pytest.fixture(scope="module")
def prices() -> Column:
    """A long walk on a grid of five decimals, with a level a thousand times higher in the middle, so that old sums are large."""
    x = np.round(1.38 + np.cumsum(np.random.default_rng(11).integers(-3, 4, UPDATES)) * 1e-7, 5)
    x[900_000:1_000_000] += 1_000.0
    return x


def places(rows: int) -> list[int]:
    """The last windows and some all along, none of which reaches into the level in the middle or the blocks beside it."""
    along = np.random.default_rng(2).integers(2 * rows, UPDATES, 400)
    calm = [int(k) for k in along if not 900_000 - rows <= k <= 1_000_000 + 3 * rows]
    return [*sorted(calm), *range(UPDATES - 2 * rows, UPDATES)]


@pytest.mark.parametrize("rows", [3, 20, 500])
def test_a_moving_average_does_not_drift(rows: int, prices: Column) -> None:
    """Every mean keeps the roundings of its own window, three a row, and none of the past. The plain running sum beside it does not."""
    out = run("sma", (rows,), [prices])
    naive = np.cumsum(np.concatenate([prices[:rows], prices[rows:] - prices[:-rows]]))[rows - 1 :] / rows
    bound = (3 * rows + 1) * EPS / 2
    worst, worst_naive = 0.0, 0.0
    for k in places(rows):
        exact = math.fsum(prices[k - rows + 1 : k + 1]) / rows
        worst = max(worst, abs(out[k] - exact) / exact)
        worst_naive = max(worst_naive, abs(naive[k - rows + 1] - exact) / exact)
    assert worst <= bound
    assert worst_naive > bound


@pytest.mark.parametrize("rows", [3, 20, 500])
def test_a_volatility_does_not_drift(rows: int, prices: Column) -> None:
    """Every variance lies within 4 (rows + 2) roundings of the greatest square in the last two blocks, against exact fractions."""
    out = run("volatility", (rows,), [prices])
    steps = prices[1:] / prices[:-1] - 1.0
    for k in places(rows)[:: max(1, rows // 20)]:
        window = [Fraction(float(value)) for value in steps[k - rows : k]]
        mean = sum(window, Fraction(0)) / rows
        exact = sum(((value - mean) ** 2 for value in window), Fraction(0)) / (rows - 1)
        greatest = float(np.max((steps[max(0, k - 2 * rows) : k] - steps[max(0, k - 2 * rows) : k].min()) ** 2))
        assert abs(out[k] ** 2 - float(exact)) <= 4 * (rows + 2) * EPS * greatest
