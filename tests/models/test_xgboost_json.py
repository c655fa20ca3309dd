"""Raw scores equal XGBoost's to the bit, and what the reader of its JSON refuses."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import DataError
from tercel.models.forest import Forest
from tercel.models.packing import pack
from tercel.models.trees import Trees
from tercel.models.xgboost_json import parse
from tests.models.definition import hard_rows
from tests.models.test_kernels import scores
from tests.models.trained import samples


@cache
def trained(trees: int = 50, columns: int = 8, missing: bool = True, **more: Any) -> xgboost.Booster:
    """A booster; the same arguments give the same one."""
    table, labels = samples(2_000, columns, missing)
    logistic = str(more.get("objective", "")).endswith("logistic")
    data = xgboost.DMatrix(table, labels > 0.0 if logistic else labels)
    return xgboost.train({"nthread": 1, "max_depth": 5, "seed": 1, **more}, data, trees)


def rows_for(model: Trees, count: int, seed: int) -> Any:
    """Hard rows without what XGBoost refuses, infinities in float32, and with the float32 next to each threshold, in both directions."""
    rows = hard_rows(model, count, seed)
    rows[~np.isnan(rows) & (abs(rows) > 1e38)] = 0.0
    with np.errstate(under="ignore"):
        beside = np.nextafter(rows.astype(np.float32), np.float32(np.inf)).astype(float)
    return np.where(np.random.default_rng(seed).random(rows.shape) < 0.3, beside, rows)


def mismatches(booster: xgboost.Booster, forest: Forest, rows: Any) -> int:
    """How many raw scores differ from XGBoost's in any bit."""
    theirs = booster.inplace_predict(rows, predict_type="margin").astype(float)
    return int(np.count_nonzero(forest.predict(rows).view(np.int64) != theirs.view(np.int64)))


FORESTS: list[dict[str, Any]] = [
    {},
    {"missing": False},
    {"trees": 1},
    {"trees": 300, "columns": 2},
    {"columns": 200, "trees": 9},
    {"max_depth": 1},
    {"max_depth": 10, "tree_method": "exact"},
    {"num_parallel_tree": 3, "trees": 7, "subsample": 0.5},
    {"gamma": 1e9, "trees": 3},  # single leaves
    {"gamma": 5.0, "tree_method": "exact"},  # pruned: nodes that nothing reaches
    {"objective": "binary:logistic"},
    {"objective": "reg:logistic", "base_score": 0.3},
    {"objective": "reg:absoluteerror"},
    {"base_score": -7.3},
]


@pytest.mark.parametrize("more", FORESTS, ids=str)
def test_every_raw_score_is_xgboost_s(more: dict[str, Any]) -> None:
    """Random rows, rows on thresholds, one float32 and one float64 beside, NaN, zeros of both signs and denormals; one row and many."""
    booster = trained(**more)
    model = parse(booster.save_raw("json"))
    forest, rows = Forest(model), rows_for(model, 10_000, seed=1)
    assert mismatches(booster, forest, rows) == 0
    assert [forest.one(row) for row in rows[:200]] == forest.predict(rows[:200]).tolist()


def test_probabilities_are_xgboost_s_in_single_precision() -> None:
    """XGBoost rounds to float32 what we leave in float64."""
    booster = trained(objective="binary:logistic")
    model = parse(booster.save_raw("json"))
    rows = rows_for(model, 1_000, seed=2)
    np.testing.assert_allclose(Forest(model).probability(rows), booster.inplace_predict(rows), rtol=1e-5)


@pytest.mark.parametrize("mode", ["python", "checked"])
def test_scores_equal_those_of_the_twin(mode: str) -> None:
    """Rounding to float32 is the same in plain Python, also where it overflows."""
    model = parse(trained().save_raw("json"))
    rows, packed = hard_rows(model, 200, seed=3), pack(model)
    assert scores(mode, packed, rows).tobytes() == scores("compiled", packed, rows).tobytes()


def test_a_file_gives_the_model_with_its_names(tmp_path: Path) -> None:
    """A path that ends in .json is read as XGBoost's."""
    table, labels = samples(200, 2, missing=False)
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(table, labels, feature_names=["spread", "ema"]), 2)
    booster.save_model(tmp_path / "model.json")
    forest = Forest.load(tmp_path / "model.json")
    assert forest.feature_names == ("spread", "ema")
    assert forest.trees == 2
    assert forest.predict(table).tolist() == booster.inplace_predict(table, predict_type="margin").astype(float).tolist()


TEXT = bytes(trained(trees=3, max_depth=3).save_raw("json"))
WRONG: list[tuple[str, Any, str]] = [
    ("gradient_booster.name", "dart", "dart and linear boosters are not supported"),
    ("learner_model_param.num_class", "3", "multiclass models are not supported"),
    ("learner_model_param.num_target", "2", "multiclass models are not supported"),
    ("learner_model_param.num_feature", "x", "expected a number, found 'x'"),
    ("learner_model_param.num_feature", "0", "expected 1 to"),
    ("learner_model_param.base_score", "[1,2]", "expected a number"),
    ("learner_model_param.base_score", "nan", "expected a finite number"),
    ("objective.name", "count:poisson", "expected one of reg:squarederror"),
    ("feature_names", ["a"], "as many as feature_names"),
    ("gradient_booster.model.trees.0.split_type.0", 1, "each node of split_type 1 once"),
    ("gradient_booster.model.trees.0.split_indices.0", 8, "expected columns from 0 to 7, found 8"),
    ("gradient_booster.model.trees.0.left_children.0", 0, "each node below the root at most once, found 0"),
    ("gradient_booster.model.trees.0.right_children.0", 999, "each node below the root at most once, found 999"),
    ("gradient_booster.model.trees.0.right_children.0", -1, "each node below the root at most once, found -1"),
    ("gradient_booster.model.trees.0.split_conditions", [1.0], "as many nodes in every list"),
    ("gradient_booster.model.trees.0.split_conditions.0", "x", r"Expected `float`, got `str`"),
]


@pytest.mark.parametrize(("place", "value", "says"), WRONG, ids=[f"{place}={value}" for place, value, _ in WRONG])
def test_a_field_that_cannot_be_true_is_refused(place: str, value: Any, says: str) -> None:
    """The error names the field, what was expected and what was found."""
    whole = json.loads(TEXT)
    *path, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    inner = whole["learner"]
    for key in path:
        inner = inner[key]
    inner[last] = value
    with pytest.raises(DataError, match=says):
        parse(json.dumps(whole).encode())


@given(st.integers(0, len(TEXT) - 1))
def test_a_model_that_is_cut_off_is_refused(length: int) -> None:
    """Wherever it was cut."""
    with pytest.raises(DataError, match="expected an XGBoost JSON model"):
        parse(TEXT[:length])


@given(st.integers(0, len(TEXT)), st.integers(0, 30), st.text('0123456789-.e[]{}",: ', max_size=12))
def test_a_damaged_model_is_refused_or_still_a_model(place: int, length: int, text: str) -> None:
    """No damage raises anything but DataError, and whatever is accepted can be walked to an end."""
    try:
        model = parse(TEXT[:place] + text.encode() + TEXT[place + length :])
    except DataError:
        return
    assert len(Forest(model).predict(np.ones((1, len(model.feature_names))))) == 1
