"""From raw scores to probabilities, and from those to an expected outcome, on data later than the forest saw.

Platt's logistic function of a line in the score, fitted by Newton's method with backtracking on smoothed targets. Sources: J. Platt,
Probabilistic outputs for support vector machines, 1999; H.-T. Lin, C.-J. Lin and R. Weng, A note on Platt's probabilistic outputs for
support vector machines, Machine Learning 68, 2007. Two things differ: samples have weights, and a slope below zero, which would say that
the forest is wrong whenever it speaks, counts as no signal: the probability is then the same for every score.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tercel.base.kernel import entry
from tercel.models.barriers import TripleBarrier
from tercel.models.manifest import Calibration
from tercel.models.scoring import probabilities_of

Floats = npt.NDArray[np.float64]
STEPS_MAX = 100
GRADIENT_MIN = 1e-5
STEP_MIN = 1e-10
RIDGE = 1e-12


def probability(calibration: Calibration, raw: Floats) -> Floats:
    """Calibrated probability that a trade ends above its costs; to the bit what the core computes of the same score."""
    found = np.empty(len(raw))
    entry(probabilities_of).bind(np.ascontiguousarray(raw, np.float64), found)(len(raw), calibration.slope, calibration.offset)
    return found


def expected(calibration: Calibration, p: Floats) -> Floats:
    """Expected net outcome, in widths, at a calibrated probability."""
    return p * calibration.win - (1.0 - p) * calibration.loss


def calibrate(raw: Floats, outcome: Floats, weights: Floats, barriers: TripleBarrier) -> Calibration:
    """The calibration of one side from its scores, its net outcomes in widths and their weights, all [n].

    A side that never won, or never lost, is taken to win at its take barrier, or lose at its stop barrier.
    """
    won = outcome > 0.0
    slope, offset = platt(raw, won, weights)
    win = float(np.average(outcome[won], weights=weights[won])) if won.any() else barriers.take
    loss = -float(np.average(outcome[~won], weights=weights[~won])) if not won.all() else barriers.stop
    return Calibration(slope, offset, win, loss if loss > 0.0 else barriers.stop)


def platt(raw: Floats, won: npt.NDArray[np.bool_], weights: Floats) -> tuple[float, float]:
    """(slope >= 0, offset) of the logistic function; weights count samples, so small ones smooth the targets more."""
    wins, losses = float(weights[won].sum()), float(weights[~won].sum())
    target = np.where(won, (wins + 1.0) / (wins + 2.0), 1.0 / (losses + 2.0))
    line = np.array([0.0, np.log((wins + 1.0) / (losses + 1.0))])
    columns = np.stack([raw, np.ones_like(raw)])
    slope, offset = _newton(line, columns, target, weights)
    if slope >= 0.0:
        return slope, offset
    return 0.0, _newton(line[1:], columns[1:], target, weights)[-1]


def _newton(line: Floats, columns: Floats, target: Floats, weights: Floats) -> list[float]:
    value = _surprise(line, columns, target, weights)
    for _ in range(STEPS_MAX):
        p = _logistic(line @ columns)
        gradient = columns @ (weights * (p - target))
        if np.abs(gradient).max() < GRADIENT_MIN:
            break
        curvature = (columns * (weights * p * (1.0 - p))) @ columns.T + RIDGE * np.eye(len(line))
        direction = -np.linalg.solve(curvature, gradient)
        step = 1.0
        while step >= STEP_MIN:
            trial = line + step * direction
            found = _surprise(trial, columns, target, weights)
            if found < value + 1e-4 * step * float(gradient @ direction):
                line, value = trial, found
                break
            step /= 2.0
        else:
            break
    return [float(part) for part in line]


def _surprise(line: Floats, columns: Floats, target: Floats, weights: Floats) -> float:
    """Weighted cross-entropy, in the form that neither overflows nor cancels."""
    score = line @ columns
    return float(weights @ (np.logaddexp(0.0, score) - target * score))


def _logistic(score: Floats) -> Floats:
    small = np.exp(-np.abs(score))
    p: Floats = np.where(score >= 0.0, 1.0, small) / (1.0 + small)
    return p
