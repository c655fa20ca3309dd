"""Training: from history to a model that is judged on what it never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.models.model import Model
from tercel.models.training.dataset import Dataset
from tercel.models.training.folds import Fold
from tercel.models.training.search import Trial


@dataclass(frozen=True)
class Trained:
    """A model, what it was trained on, what its folds said out of sample and how that is judged."""

    model: Model
    data: Dataset
    raw: npt.NDArray[np.float64]  # [n, 2] out-of-sample scores of a buy and a sale; NaN where no fold predicts
    p: npt.NDArray[np.float64]  # [n, 2] calibrated probabilities
    edge: npt.NDArray[np.float64]  # [n, 2] expected net outcomes, in widths
    fold: npt.NDArray[np.int64]  # [n] number of the fold that predicted, -1 none
    trials: list[Trial]
    folds: list[Fold]
    importance: dict[str, float]  # share of the gain by feature, of the final model's two forests
    seconds: float
