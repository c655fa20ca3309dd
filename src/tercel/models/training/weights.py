"""Weights of samples whose labels overlap: average uniqueness.

A label lives from its decision to its end. Where c labels live at the same time, each is worth 1/c of one; the mean of that over a label's
life is its uniqueness, and the sum over all labels is about how many independent ones there are. Source: M. López de Prado, Advances in
Financial Machine Learning, 2018, sections 4.2 to 4.5.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tercel.models.training.dataset import Dataset

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def uniqueness(stamp: Integers, end: Integers) -> Floats:
    """Average uniqueness, in (0, 1], of the labels of one instrument; `stamp[n]` ascends, `end[n]` >= `stamp`. O(n log n).

    Time is counted in decisions: a label lives at every decision from its own to the last one not after its end.
    """
    n = len(stamp)
    first = np.searchsorted(stamp, stamp, "left")
    beyond = np.searchsorted(stamp, end, "right")
    alive = np.zeros(n + 1, np.int64)
    np.add.at(alive, first, 1)
    np.add.at(alive, beyond, -1)
    share = np.concatenate([[0.0], np.cumsum(1.0 / np.maximum(np.cumsum(alive[:n]), 1))])
    weights: Floats = (share[beyond] - share[first]) / (beyond - first)
    return weights


def weigh(data: Dataset, chosen: Integers) -> Floats:
    """[len(chosen), 2] uniqueness of the chosen rows among each other, instrument by instrument and side by side.

    All chosen rows need known outcomes, `chosen` ascends.
    """
    weights = np.zeros((len(chosen), 2))
    slot = data.slot[chosen]
    for one in np.unique(slot):
        places = np.flatnonzero(slot == one)
        rows = chosen[places]
        for side in range(2):
            weights[places, side] = uniqueness(data.stamp[rows], data.end[rows, side])
    return weights
