"""What a model is trained and judged on: rows of features with the outcomes of both sides, and what the folds said about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

BUY: Final = 0  # columns of everything that has one per side
SELL: Final = 1


@dataclass(frozen=True)
class Dataset:
    """n decisions in order of (stamp, slot), each with f features and what buying and selling would have brought."""

    names: tuple[str, ...]  # feature columns = Manifest.inputs
    rows: npt.NDArray[np.float64]  # [n, f]
    slot: npt.NDArray[np.int64]  # [n], into `instruments`
    instruments: tuple[str, ...]
    stamp: npt.NDArray[np.int64]  # [n] of the decision, core time, ns
    end: npt.NDArray[np.int64]  # [n, 2] when the outcome of a buy and of a sale is known (fill of the exit), ns
    outcome: npt.NDArray[np.float64]  # [n, 2] net of costs, in widths; NaN where history ends first
    relative: npt.NDArray[np.float64]  # [n] width / mid: outcome * relative is the net return as a share of the price

    def __len__(self) -> int:
        return len(self.stamp)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """[n] whether the outcomes of both sides are known."""
        return ~(np.isnan(self.outcome[:, BUY]) | np.isnan(self.outcome[:, SELL]))

    @property
    def ended(self) -> npt.NDArray[np.int64]:
        """[n] when the outcomes of both sides are known, ns."""
        return np.maximum(self.end[:, BUY], self.end[:, SELL])


@dataclass(frozen=True)
class Predictions:
    """What the folds said about the rows they did not see; NaN, and fold -1, where none did."""

    raw: npt.NDArray[np.float64]  # [n, 2] scores
    p: npt.NDArray[np.float64]  # [n, 2] calibrated probability that the side ends above its costs
    edge: npt.NDArray[np.float64]  # [n, 2] expected net outcome, in widths
    fold: npt.NDArray[np.int64]  # [n]
