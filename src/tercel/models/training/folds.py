"""Walk-forward folds in time, purged and embargoed: what a fold tests lies after all it learned from, with a distance.

The decisions of all instruments together, in order of time, are cut into `folds` + 2 blocks of about as many rows. Fold i trains on blocks
1 to i, calibrates on block i + 1 and tests on block i + 2; so the first two blocks are never traded. From what is learned on, rows are
purged whose outcome was not known `embargo` before the next block begins. Source: M. López de Prado, Advances in Financial Machine
Learning, 2018, section 7.4; there the embargo follows the test, here nothing learned does, so it widens the gap before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.time import format_duration
from tercel.models.training.dataset import Dataset

FOLDS_MAX = 100
Integers = npt.NDArray[np.int64]


class TooLittle(ConfigError):
    """The history is too short for the settings of a training."""


@dataclass(frozen=True)
class Fold:
    """Rows of a dataset by index, ascending: to train on, then to calibrate on, then to test on; the test stretch is [first, last)."""

    number: int  # from 1
    train: Integers
    calibrate: Integers
    test: Integers
    test_first_ns: int
    test_last_ns: int


def walk_forward(data: Dataset, folds: int, embargo_ns: int) -> list[Fold]:
    """The folds, and behind them the final one, which tests nothing and learns from all: it calibrates on the last block.

    Rows without known outcomes are tested but not learned from. Raises `ConfigError` for a number of folds or an embargo out of range,
    `TooLittle` where a block has no row.
    """
    if not 1 <= folds <= FOLDS_MAX:
        raise ConfigError(f"train: folds: expected 1 to {FOLDS_MAX}, was {folds}")
    if embargo_ns < 0:
        raise ConfigError(f"train: embargo: expected 0 or more, was {embargo_ns} ns")
    blocks = folds + 2
    if len(data) < blocks:
        raise TooLittle(f"train: expected at least {blocks} decisions for {folds} folds, found {len(data)}")
    # A block begins at an instant, so that decisions of one instant stay together.
    starts = [int(data.stamp[block * len(data) // blocks]) for block in range(blocks)]
    starts.append(int(data.stamp[-1]) + 1)
    bounds = np.searchsorted(data.stamp, starts)
    learned = np.where(data.known, data.ended, np.iinfo(np.int64).max - embargo_ns) + embargo_ns

    def rows(first: int, last: int) -> Integers:
        """Rows of the blocks from `first` to before `last` whose outcomes are known long enough before block `last` begins."""
        found = np.arange(bounds[first], bounds[last])
        before = starts[last] if last < blocks else np.iinfo(np.int64).max
        return found[learned[found] < before]

    made = [
        Fold(i, rows(0, i), rows(i, i + 1), np.arange(bounds[i + 1], bounds[i + 2]), starts[i + 1], starts[i + 2])
        for i in range(1, folds + 1)
    ]
    made.append(Fold(0, rows(0, blocks - 1), rows(blocks - 1, blocks), np.arange(0), starts[-1], starts[-1]))
    for fold in made:
        for what, found in (("train", fold.train), ("calibrate", fold.calibrate)):
            if not len(found):
                raise TooLittle(
                    f"train: fold {fold.number or 'final'}: expected decisions to {what} on, found none in its stretch whose outcome is "
                    f"known {format_duration(embargo_ns)} before the next"
                )
    return made
