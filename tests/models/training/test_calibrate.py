"""Calibration: Platt's line is the optimum of its likelihood, and no signal gives one probability for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from tercel.models.barriers import triple_barrier
from tercel.models.manifest import Calibration
from tercel.models.training.calibrate import calibrate, expected, platt, probability


def drawn(seed: int, slope: float, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(raw, won, weights): won more often the higher the score, when the slope is positive."""
    chance = np.random.default_rng(seed)
    raw = chance.normal(-0.3, 0.4, n)
    won = chance.random(n) < 1 / (1 + np.exp(-(slope * raw - 0.2)))
    return raw, won, chance.uniform(0.05, 1.0, n)


@pytest.mark.parametrize("seed", range(8))
def test_the_line_is_the_optimum(seed: int) -> None:
    """A general optimiser finds the same line for the smoothed targets of Platt, weights as counts."""
    raw, won, weights = drawn(seed, 3.0)
    wins, losses = weights[won].sum(), weights[~won].sum()
    target = np.where(won, (wins + 1) / (wins + 2), 1 / (losses + 2))

    def surprise(line: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-(line[0] * raw + line[1])))
        return float(-(weights * (target * np.log(p) + (1 - target) * np.log1p(-p))).sum())

    best = minimize(surprise, [0.0, 0.0], method="BFGS", options={"gtol": 1e-8})
    assert platt(raw, won, weights) == pytest.approx(tuple(best.x), abs=1e-4)


def test_a_score_that_misleads_is_no_signal() -> None:
    """A falling line becomes a level one, at the smoothed share of what won."""
    raw, won, weights = drawn(1, -3.0)
    slope, offset = platt(raw, won, weights)
    assert slope == 0.0
    wins, losses = weights[won].sum(), weights[~won].sum()
    mean = (wins * (wins + 1) / (wins + 2) + losses / (losses + 2)) / (wins + losses)
    assert 1 / (1 + np.exp(-offset)) == pytest.approx(mean, abs=1e-5)


@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans(), st.floats(0.01, 1.0)), min_size=1, max_size=30))
def test_any_scores_give_a_line(samples: list[tuple[float, bool, float]]) -> None:
    """Separable, constant, one of a kind: the line is finite and does not fall."""
    raw, won, weights = (np.array(column) for column in zip(*samples, strict=True))
    slope, offset = platt(raw, won, weights)
    assert np.isfinite([slope, offset]).all()
    assert slope >= 0.0


def test_win_and_loss_are_weighted_means_of_what_was_won_and_lost() -> None:
    """Both positive, a loss of nothing counts as a loss; a side that never won, or lost, takes its barrier."""
    barriers = triple_barrier(take=1.5, stop=1.0)
    raw, outcome, weights = np.zeros(4), np.array([1.0, 2.0, -0.5, 0.0]), np.array([1.0, 3.0, 1.0, 1.0])
    found = calibrate(raw, outcome, weights, barriers)
    assert (found.win, found.loss) == (1.75, 0.25)
    assert calibrate(raw, -np.ones(4), weights, barriers).win == 1.5
    assert calibrate(raw, np.ones(4), weights, barriers).loss == 1.0


def test_an_edge_is_what_the_probability_is_worth() -> None:
    """At the break-even probability it is nothing."""
    calibration = Calibration(2.0, 0.5, 1.4, 1.2)
    p = probability(calibration, np.array([-0.25, 800.0, -800.0]))
    assert p.tolist() == [0.5, 1.0, 0.0]
    assert expected(calibration, np.array([1.2 / 2.6, 1.0, 0.0])) == pytest.approx([0.0, 1.4, -1.2])
