"""Fitting: one forest of LightGBM for each side, the same bytes for the same data, settings and seed.

The number of trees is fixed and small: nothing is stopped early, so nothing looks at data it will be judged on. Weights are shares of an
independent label (`weights`), so `lambda_l2` counts in independent labels: a leaf that holds as many believes half of what it saw.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError

Floats = npt.NDArray[np.float64]
LEAF_ROWS_MIN = 20


class Boosting(msgspec.Struct, frozen=True, kw_only=True):
    """How a forest is grown. `leaf_share`: the least share of all rows that a leaf holds; `lambda_l2` in independent labels."""

    trees: int = 100
    learning_rate: float = 0.05
    leaves: int = 15
    leaf_share: float = 0.02
    feature_fraction: float = 0.7
    bagging_fraction: float = 0.7
    lambda_l2: float = 5.0


def lightgbm() -> ModuleType:
    """The library. Raises `ConfigError` naming what is missing: the package, or the system's OpenMP library that it links."""
    try:
        import lightgbm as library
    except ImportError as error:
        raise ConfigError(f"train: LightGBM is not installed ({error}); pip install lightgbm") from None
    except OSError as error:
        raise ConfigError(f"train: LightGBM does not load ({error}); install libgomp1 (Debian: apt-get install libgomp1)") from None
    return library


def fit(rows: Floats, won: npt.NDArray[np.bool_], weights: Floats, names: tuple[str, ...], settings: Boosting, seed: int) -> bytes:
    """A forest, as LightGBM's text, whose raw score says how likely `won[n]` is on `rows[n, f]`.

    One thread: the order of sums, and with it every bit, does not depend on the machine's processors. Raises `ConfigError` when there are
    too few rows.
    """
    parameters: dict[str, Any] = {
        "objective": "binary",
        "boosting": "gbdt",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": max(LEAF_ROWS_MIN, round(settings.leaf_share * len(rows))),
        "min_sum_hessian_in_leaf": 1e-3,
        "feature_fraction": settings.feature_fraction,
        "bagging_fraction": settings.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": settings.lambda_l2,
        "boost_from_average": True,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    library = lightgbm()
    table = library.Dataset(
        rows, won.astype(np.float64), weight=weights, feature_name=list(names), params={"verbosity": -1, "num_threads": 1}
    )
    try:
        booster = library.train(parameters, table, settings.trees)
    except library.basic.LightGBMError as error:
        raise ConfigError(f"train: LightGBM cannot learn from {len(rows)} rows ({error}); take more history, or fewer folds") from None
    return bytes(booster.model_to_string().encode())


def gains(content: bytes) -> dict[str, float]:
    """By feature, the total gain of the splits of a forest that `fit` made."""
    booster = lightgbm().Booster(model_str=content.decode())
    return dict(zip(booster.feature_name(), (float(gain) for gain in booster.feature_importance("gain")), strict=True))
