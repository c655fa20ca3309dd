"""Data sets with a known truth for the judgement of models: pure noise, a planted edge, drift."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tercel.models.training.dataset import Dataset

MINUTE_NS = 60_000_000_000
COST = 0.15  # widths a round trip costs
FOLDS = 4

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def walk(seed: int, count: int = 4_000, slots: int = 2, drift: float = 0.0, signal: float = 0.0, held: int = 20) -> tuple[Dataset, Reals]:
    """Decisions a minute apart on `slots` random walks, outcomes over `held` minutes clipped at barriers, and a feature float64[n].

    The feature is noise that tells `signal` widths of the move to come; outcomes overlap as those of real labels do.
    """
    rng = np.random.default_rng(seed)
    moves = rng.normal(drift, 1.0, (slots, count + held)) / np.sqrt(held)
    hint = rng.normal(size=(slots, count))
    path = np.cumsum(moves, axis=1)
    ahead = path[:, held:] - path[:, :-held] + signal * hint
    ahead = np.clip(ahead, -1.0, 1.5), np.clip(-ahead, -1.0, 1.5)
    outcome = np.stack([side - COST for side in ahead], axis=2)
    stamp = 1_700_000_000_000_000_000 + np.arange(count) * MINUTE_NS
    rows = np.transpose(hint)
    data = Dataset(
        names=("hint",),
        rows=rows.reshape(-1, 1),
        slot=np.tile(np.arange(slots), count),
        instruments=tuple(f"X{slot}@sim" for slot in range(slots)),
        stamp=np.repeat(stamp, slots),
        end=np.repeat(stamp + held * MINUTE_NS, 2 * slots).reshape(-1, 2),
        outcome=np.transpose(outcome, (1, 0, 2)).reshape(-1, 2),
        relative=np.full(count * slots, 0.0005),
    )
    return data, rows.reshape(-1)


def folds_of(data: Dataset) -> Integers:
    """Out of sample is the later two thirds, in folds of equal length."""
    count = len(data.stamp)
    first = count // 3
    fold = np.full(count, -1, np.int64)
    fold[first:] = np.arange(count - first) * FOLDS // (count - first)
    return fold


def guesses(feature: Reals, strength: float) -> tuple[Reals, Reals]:
    """Probabilities and edges float64[n, 2] of a model that believes the feature tells `strength` widths."""
    lean = strength * feature
    p = 1.0 / (1.0 + np.exp(-np.stack([lean, -lean], axis=1)))
    return p, p * 1.1 - (1 - p) * 0.9 - COST
