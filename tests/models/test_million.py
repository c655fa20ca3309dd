"""A million rows, and up to two thousand trees, score as in the library that trained them, to the bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost

from tercel.models import lightgbm_text, xgboost_json
from tercel.models.forest import Forest
from tercel.models.packing import sortable
from tests.models.definition import category_values
from tests.models.trained import Floats

COLUMNS, CATEGORICAL, CATEGORIES = 12, 11, 200  # the last column holds categories
MILLION, PIECE, MANY, FEW = 1_000_000, 50_000, 20_000, 5_000
FLOAT32_MAX = float(np.finfo(np.float32).max)
SPECIAL = np.array(
    [np.nan, np.nan, np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-36, -1e-36, 1.0000000180025095e-35, 5e-324, -2e-310, 1e-45, 1e308, -1e308]
)


@cache
def samples(rows: int = 1_500, missing: bool = True) -> tuple[Floats, Floats]:
    """(rows, labels) to train on; a tenth of the cells is zero and, where some are missing, a tenth of those of every second column NaN."""
    chance = np.random.default_rng(20_260)
    table = chance.normal(size=(rows, COLUMNS))
    table[chance.random(table.shape) < 0.1] = 0.0
    table[:, CATEGORICAL] = chance.integers(0, CATEGORIES, rows)
    effect = chance.normal(size=CATEGORIES)
    labels = table[:, 0] * table[:, 1] + np.abs(table[:, 2]) + effect[table[:, CATEGORICAL].astype(int)] + chance.normal(size=rows)
    if missing:
        holes = chance.random(table.shape) < 0.1
        holes[:, ::2] = False
        table[holes] = np.nan
    return table, labels


def pieces(cuts: dict[int, Floats], rows: int, seed: int, largest: float = np.inf) -> Iterator[Floats]:
    """Rows in which a third of the cells is normal, a third on a threshold of the column or one ulp beside, and the rest special."""
    chance = np.random.default_rng(seed)
    for start in range(0, rows, PIECE):
        count = min(PIECE, rows - start)
        table = chance.normal(size=(count, COLUMNS))
        kind = chance.integers(0, 6, table.shape)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for column, found in cuts.items():
                chosen = chance.choice(found, count)
                up, down = np.nextafter(chosen, np.inf), np.nextafter(chosen, -np.inf)
                single = np.nextafter(chosen.astype(np.float32), np.float32(np.inf)).astype(float)
                table[:, column] = np.choose(
                    kind[:, column],
                    [table[:, column]] * 2 + [chosen, np.where(kind[:, 0] % 2, up, down), single, chance.choice(SPECIAL, count)],
                )
        table[:, CATEGORICAL] = category_values(CATEGORIES, count, seed + start)
        table[~np.isnan(table) & (np.abs(table) > largest)] = -1.0
        yield table


def thresholds(text: Any, load: Callable[[Any], Any]) -> dict[int, Floats]:
    """The thresholds of each numerical column; a column without any has zero."""
    found: dict[int, set[float]] = {column: {0.0} for column in range(COLUMNS - 1)}
    for tree in load(text).trees:
        for column, cut in zip(tree.columns, tree.thresholds, strict=True):
            if column != CATEGORICAL:
                found[column].add(cut)
    return {column: np.array(sorted(cuts)) for column, cuts in found.items()}


def light(trees: int, missing: bool = True, **more: Any) -> tuple[lightgbm.Booster, str]:
    """A LightGBM model and its text."""
    table, labels = samples(missing=missing)
    if more.get("objective") in ("binary", "cross_entropy"):
        labels = (labels > 0.0).astype(float)
    if more.get("objective") in ("poisson", "gamma", "tweedie", "mape"):
        labels = np.exp(labels / 4.0)
    settings = {
        "num_leaves": 31,
        "verbose": -1,
        "num_threads": 1,
        "seed": 1,
        "min_data_in_leaf": 5,
        "min_data_per_group": 5,
        "cat_smooth": 1.0,
    }
    booster = lightgbm.train({**settings, **more}, lightgbm.Dataset(table, labels, categorical_feature=[CATEGORICAL]), trees)
    return booster, booster.model_to_string()


def boosted(trees: int, missing: bool = True, **more: Any) -> tuple[xgboost.Booster, bytes]:
    """An XGBoost model and its JSON."""
    table, labels = samples(missing=missing)
    if str(more.get("objective", "")).endswith("logistic"):
        labels = (labels > 0.0).astype(float)
    kinds = ["c" if column == CATEGORICAL else "q" for column in range(COLUMNS)]
    data = xgboost.DMatrix(table, labels, feature_types=kinds, enable_categorical=True)
    booster = xgboost.train({"nthread": 1, "seed": 1, "tree_method": "hist", **more}, data, trees)
    return booster, bytes(booster.save_raw("json"))


def light_scores(booster: lightgbm.Booster, rows: Floats) -> Floats:
    """LightGBM's own raw scores."""
    return np.asarray(booster.predict(rows, raw_score=True, num_threads=1))


def boosted_scores(booster: xgboost.Booster, rows: Floats) -> Floats:
    """XGBoost's own raw scores, which are float32."""
    data = xgboost.DMatrix(rows, feature_types=booster.feature_types, enable_categorical=True, nthread=1)
    return booster.predict(data, output_margin=True, validate_features=False).astype(float)


def compare_light(place: Path, model: tuple[lightgbm.Booster, str], rows: int, seed: int) -> int:
    """How many scores differ from LightGBM's in any bit; the model goes through a file, unchanged."""
    path = place / "model.txt"
    model[0].save_model(path)
    forest = Forest.load(path)
    cuts = thresholds(model[1], lightgbm_text.parse)
    return sum(
        int(np.count_nonzero(forest.predict(part).view(np.int64) != light_scores(model[0], part).view(np.int64)))
        for part in pieces(cuts, rows, seed)
    )


def compare_boosted(place: Path, model: tuple[xgboost.Booster, bytes], rows: int, seed: int) -> int:
    """How many scores differ from XGBoost's in any bit; the model goes through a file, unchanged."""
    path = place / "model.json"
    model[0].save_model(path)
    forest = Forest.load(path)
    cuts = thresholds(model[1], xgboost_json.parse)
    return sum(
        int(np.count_nonzero(forest.predict(part).view(np.int64) != boosted_scores(model[0], part).view(np.int64)))
        for part in pieces(cuts, rows, seed, FLOAT32_MAX)
    )


def test_a_million_rows_score_as_in_lightgbm(tmp_path: Path) -> None:
    """Fifty trees of 31 leaves with categories and missing values."""
    assert compare_light(tmp_path, light(50), MILLION, seed=1) == 0


def test_a_million_rows_score_as_in_xgboost(tmp_path: Path) -> None:
    """Fifty trees six deep with categories and missing values."""
    assert compare_boosted(tmp_path, boosted(50), MILLION, seed=2) == 0


LIGHT: list[dict[str, Any]] = [
    {"trees": 1},
    {"trees": 2_000},
    {"trees": 40, "num_leaves": 127},
    {"trees": 60, "missing": False},
    {"trees": 60, "zero_as_missing": True},
    {"trees": 60, "use_missing": False},
    {"trees": 40, "objective": "binary"},
    {"trees": 40, "objective": "poisson"},
    {"trees": 40, "objective": "tweedie"},
    {"trees": 40, "objective": "gamma"},
    {"trees": 40, "objective": "huber"},
    {"trees": 40, "objective": "quantile", "alpha": 0.9},
    {"trees": 40, "objective": "cross_entropy"},
    {"trees": 40, "boosting": "dart"},
    {"trees": 40, "extra_trees": True, "max_depth": 4},
]

BOOSTED: list[dict[str, Any]] = [
    {"trees": 1},
    {"trees": 2_000},
    {"trees": 60, "missing": False},
    {"trees": 60, "max_depth": 1},
    {"trees": 60, "max_depth": 3, "base_score": -4.2},
    {"trees": 40, "max_depth": 10},
    {"trees": 60, "grow_policy": "lossguide", "max_leaves": 31, "max_depth": 0},
    {"trees": 40, "grow_policy": "lossguide", "max_leaves": 100, "max_depth": 0},
    {"trees": 40, "objective": "binary:logistic"},
    {"trees": 40, "objective": "binary:logistic", "base_score": 0.2},
    {"trees": 40, "objective": "reg:absoluteerror"},
    {"trees": 40, "objective": "reg:pseudohubererror"},
    {"trees": 50, "num_parallel_tree": 4, "subsample": 0.5},
]


@pytest.mark.parametrize("more", LIGHT, ids=str)
def test_every_kind_of_model_scores_as_in_lightgbm(tmp_path: Path, more: dict[str, Any]) -> None:
    """Thousands of hard rows each: from one tree to two thousand, every mode of missing values, objectives and ways of boosting."""
    assert compare_light(tmp_path, light(**more), MANY if more["trees"] > 1_000 else FEW, seed=3) == 0


@pytest.mark.parametrize("more", BOOSTED, ids=str)
def test_every_kind_of_model_scores_as_in_xgboost(tmp_path: Path, more: dict[str, Any]) -> None:
    """Thousands of hard rows each: from one tree to two thousand, depths, policies, objectives and base scores."""
    assert compare_boosted(tmp_path, boosted(**more), MANY if more["trees"] > 1_000 else FEW, seed=4) == 0


def test_the_rows_are_as_hard_as_they_should_be() -> None:
    """Tens of thousands of cells on a threshold and beside one, of every special kind, and of categories that are none."""
    booster, text = light(50)
    cuts = thresholds(text, lightgbm_text.parse)
    (rows,) = pieces(cuts, PIECE, seed=1)
    keys = {column: sortable(found) for column, found in cuts.items()}
    on = sum(int(np.isin(sortable(rows[:, column]), found).sum()) for column, found in keys.items())
    beside = sum(int(np.isin(sortable(rows[:, column]) + step, found).sum()) for column, found in keys.items() for step in (-1, 1))
    assert on > 50_000
    assert beside > 50_000
    assert np.isnan(rows).sum() > 10_000
    assert (np.signbit(rows) & (rows == 0.0)).sum() > 1_000
    assert ((rows != 0.0) & (np.abs(rows) < 1e-307)).sum() > 1_000
    assert np.isinf(rows).sum() > 1_000
    assert ((rows[:, CATEGORICAL] < 0.0) | (rows[:, CATEGORICAL] >= CATEGORIES)).sum() > 5_000
    assert booster.num_trees() == 50
