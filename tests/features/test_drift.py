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


@pytest.mark.parametrize("rows", [3, 20, 500])
def test_a_weighted_average_does_not_drift(rows: int, prices: Column) -> None:
    """Every weighted mean keeps the roundings of its last two blocks, 4 a row. The plain recursion beside it does not."""
    out = run("wma", (rows,), [prices])
    weights = np.arange(1.0, rows + 1.0)
    total = np.cumsum(prices) - np.concatenate([np.zeros(rows), np.cumsum(prices)[:-rows]])
    naive = np.cumsum(rows * prices - np.concatenate([[0.0], total[:-1]])) / weights.sum()
    bound = 4 * (rows + 1) * EPS
    worst, worst_naive = 0.0, 0.0
    for k in places(rows):
        exact = math.fsum(prices[k - rows + 1 : k + 1] * weights) / float(weights.sum())
        worst = max(worst, abs(out[k] - exact) / exact)
        worst_naive = max(worst_naive, abs(naive[k] - exact) / exact)
    assert worst <= bound
    assert worst_naive > bound


@pytest.mark.parametrize("rows", [3, 20, 500])
def test_bands_and_scores_do_not_drift(rows: int, prices: Column) -> None:
    """Variance within 4 (rows + 2) roundings of the greatest square in the last two blocks, mean and score accordingly, by fractions."""
    scale = 2.0**20  # so wide that the bands' own roundings do not hide the deviation's
    middle, upper, _ = run("bollinger", (rows, scale), [prices])
    score = run("zscore", (rows,), [prices])
    for k in places(rows)[:: max(1, rows // 20)]:
        window = [Fraction(float(value)) for value in prices[k - rows + 1 : k + 1]]
        mean = sum(window, Fraction(0)) / rows
        exact = float(sum(((value - mean) ** 2 for value in window), Fraction(0)) / rows)
        recent = prices[max(0, k - 2 * rows) : k + 1]
        room = 4 * (rows + 2) * EPS * float(np.ptp(recent)) ** 2
        assert abs(middle[k] - float(mean)) <= 2 * EPS * float(mean) + (rows + 2) * EPS * float(np.ptp(recent))
        assert abs(((upper[k] - middle[k]) / scale) ** 2 - exact) <= room + 1e-11 * exact
        if exact == 0.0:
            assert score[k] == 0.0
        elif exact > 100 * room:
            assert abs(score[k] - float(window[-1] - mean) / math.sqrt(exact)) <= (1.0 + abs(score[k])) * 4 * (room / exact + EPS)


@pytest.mark.parametrize("rows", [3, 20, 500])
def test_a_simple_strength_index_does_not_drift(rows: int, prices: Column) -> None:
    """Gains and losses keep the roundings of their last two blocks; a window without a change reads 50, to the bit."""
    out = run("rsi_simple", (rows,), [prices])
    change = np.diff(prices)
    still = 0
    for k in places(rows):
        window = change[k - rows : k]
        up, down = math.fsum(window[window > 0.0]), -math.fsum(window[window < 0.0])
        if up + down == 0.0:
            still += 1
            assert out[k] == 50.0
        else:
            greatest = float(np.abs(change[max(0, k - 2 * rows) : k]).sum())
            assert abs(out[k] - 100.0 * up / (up + down)) <= 100.0 * 4 * (rows + 2) * EPS * greatest / (up + down)
    assert still or rows > 20


@pytest.mark.parametrize("rows", [3, 20, 500])
def test_a_ratio_to_a_mean_does_not_drift(rows: int, prices: Column) -> None:
    """Every ratio keeps the roundings of its own window, as the mean does."""
    out = run("volume_ratio", (rows,), [prices])
    for k in places(rows):
        exact = prices[k] * rows / math.fsum(prices[k - rows + 1 : k + 1])
        assert abs(out[k] - exact) <= (3 * rows + 5) * EPS / 2 * exact


@pytest.mark.parametrize("rows", [3, 20, 500])
def test_the_mean_of_a_stochastic_does_not_drift(rows: int) -> None:
    """d is the mean of the last k within the roundings of two windows."""
    walk = 100.0 + np.cumsum(np.random.default_rng(12).normal(0.0, 0.05, UPDATES // 4))
    k, d = run("stoch_rsi", (14, 5, rows), [walk])
    assert np.nanmin(k) == 0.0 < np.nanmax(k)
    for at in range(len(k) - 2 * rows, len(k)):
        assert abs(d[at] - math.fsum(k[at - rows + 1 : at + 1]) / rows) <= 100.0 * (3 * rows + 1) * EPS
