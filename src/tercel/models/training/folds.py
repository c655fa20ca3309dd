"""Walk-forward folds in time, purged and embargoed: what a fold tests lies after all it learned from, with a distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Fold:
    """Rows of a dataset by index, ascending: to train on, then to calibrate on, then to test on; the test stretch is [first, last)."""

    number: int  # from 1
    train: npt.NDArray[np.int64]
    calibrate: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    test_first_ns: int
    test_last_ns: int
