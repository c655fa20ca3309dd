"""Models that LightGBM trains for the tests, small and seeded."""

from __future__ import annotations

from functools import cache
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from tercel.models import lightgbm_text
from tercel.models.forest import Forest
from tercel.models.trees import Trees

Floats = npt.NDArray[np.float64]
# What each kind trains with, and whether its data have NaN.
KINDS: dict[str, tuple[dict[str, Any], bool]] = {
    "NaN is missing": ({}, True),
    "zero is missing": ({"zero_as_missing": True}, True),
    "nothing is missing by decree": ({"use_missing": False}, True),
    "nothing is missing": ({}, False),
}


def samples(rows: int, columns: int, missing: bool, seed: int = 0) -> tuple[Floats, Floats]:
    """(rows, labels): normal values with a tenth of zeros, every second column with a tenth of NaN where some are missing."""
    chance = np.random.default_rng(seed)
    table = chance.normal(size=(rows, columns))
    table[chance.random(table.shape) < 0.1] = 0.0
    labels = table[:, 0] * table[:, -1] + np.where(table[:, columns // 2] == 0.0, 1.0, 0.0) + chance.normal(size=rows)
    if missing:
        holes = chance.random(table.shape) < 0.1
        holes[:, 1::2] = False
        labels += holes[:, 0]
        table[holes] = np.nan
    return table, labels


@cache
def trained(
    kind: str = "NaN is missing", trees: int = 100, columns: int = 16, rows: int = 4_000, leaves: int = 31, **more: Any
) -> lightgbm.Booster:
    """A booster of a kind; the same arguments give the same one."""
    parameters, missing = KINDS[kind]
    table, labels = samples(rows, columns, missing)
    if str(more.get("objective", "")).startswith("binary"):
        labels = (labels > 0.0).astype(float)
    settings = {"objective": "regression", "num_leaves": leaves, "verbose": -1, "num_threads": 1, "seed": 1, "min_data_in_leaf": 5}
    return lightgbm.train({**settings, **parameters, **more}, lightgbm.Dataset(table, labels), trees)


def read(booster: lightgbm.Booster) -> Trees:
    """What our reader makes of a booster."""
    return lightgbm_text.parse(booster.model_to_string())


def mismatches(booster: lightgbm.Booster, forest: Forest, rows: Floats) -> int:
    """How many raw scores differ from LightGBM's in any bit."""
    theirs = np.asarray(booster.predict(rows, raw_score=True, num_threads=2), np.float64)
    return int(np.count_nonzero(forest.predict(rows).view(np.int64) != theirs.view(np.int64)))
