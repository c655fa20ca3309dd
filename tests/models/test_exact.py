"""Every raw score equals LightGBM's to the bit."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tercel.models.forest import Forest
from tercel.models.lightgbm_text import parse
from tercel.models.trees import NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT, ZERO_LEFT, ZERO_RIGHT, Tree, Trees
from tests.models.definition import ZERO_MAX, hard_rows, model_text, score
from tests.models.trained import KINDS, mismatches, read, samples, trained

RULES_OF = {
    "NaN is missing": {NAN_IS_ZERO, NAN_LEFT, NAN_RIGHT},
    "zero is missing": {ZERO_LEFT, ZERO_RIGHT},
    "nothing is missing by decree": {NAN_IS_ZERO},
    "nothing is missing": {NAN_IS_ZERO},
}


@pytest.mark.parametrize("kind", KINDS)
def test_two_hundred_thousand_rows_score_as_in_lightgbm(kind: str) -> None:
    """Half of them at random, half with cells on thresholds, one ulp beside, NaN, zeros of both signs, infinities and denormals."""
    booster = trained(kind)
    model = read(booster)
    assert {rule for tree in model.trees for rule in tree.rules} == RULES_OF[kind]
    forest = Forest(model)
    assert mismatches(booster, forest, samples(100_000, 16, missing=True, seed=7)[0]) == 0
    assert mismatches(booster, forest, hard_rows(model, 100_000, seed=11)) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("trees", "columns", "leaves"),
    [(1, 3, 31), (2, 1, 31), (7, 2, 2), (8, 5, 4), (9, 300, 16), (500, 6, 15), (40, 4, 255)],
)
def test_small_large_narrow_and_wide_forests_score_as_in_lightgbm(kind: str, trees: int, columns: int, leaves: int) -> None:
    """From one tree to five hundred, from stumps to 255 leaves, from one column to three hundred."""
    booster = trained(kind, trees=trees, columns=columns, leaves=leaves, rows=1_500)
    model = read(booster)
    assert mismatches(booster, Forest(model), hard_rows(model, 2_000, seed=trees)) == 0


def test_a_tree_of_a_single_leaf_scores_as_in_lightgbm() -> None:
    """No split was worth it, so every row has the same score."""
    booster = trained(trees=3, min_data_in_leaf=100_000)
    model = read(booster)
    assert [len(tree.values) for tree in model.trees] == [1]
    assert mismatches(booster, Forest(model), hard_rows(model, 100, seed=1)) == 0


def test_a_model_without_trees_scores_zero() -> None:
    """The sum of nothing."""
    empty = Forest(Trees(feature_names=("a", "b"), trees=(), objective="regression"))
    assert empty.predict(np.ones((3, 2))).tolist() == [0.0] * 3
    assert empty.one(np.ones(2)) == 0.0


@pytest.mark.parametrize("sigmoid", [1.0, 2.5])
def test_probabilities_of_a_binary_model_are_lightgbm_s(sigmoid: float) -> None:
    """The model's own sigmoid is used, and the raw scores behind it are equal to the bit."""
    booster = trained(objective="binary", sigmoid=sigmoid, trees=60)
    model = read(booster)
    forest, rows = Forest(model), hard_rows(model, 20_000, seed=2)
    assert forest.sigmoid == sigmoid
    assert mismatches(booster, forest, rows) == 0
    np.testing.assert_allclose(forest.probability(rows), booster.predict(rows), rtol=4e-16, atol=0.0)


@pytest.mark.parametrize(
    "more", [{"boosting": "dart"}, {"objective": "poisson"}, {"objective": "quantile"}, {"objective": "cross_entropy"}]
)
def test_raw_scores_do_not_depend_on_how_a_model_was_boosted(more: dict[str, Any]) -> None:
    """Dropped trees and other objectives change what is in the leaves, not how they are summed."""
    booster = _positive(more)
    model = read(booster)
    assert mismatches(booster, Forest(model), hard_rows(model, 5_000, seed=3)) == 0


def _positive(more: dict[str, Any]) -> lightgbm.Booster:
    """A booster with labels between 0 and 1, which every objective takes."""
    table, labels = samples(2_000, 5, missing=True)
    settings = {"objective": "regression", "verbose": -1, "num_threads": 1, **more}
    return lightgbm.train(settings, lightgbm.Dataset(table, (labels > 0.0).astype(float)), 30)


CUTS = st.floats(-3.0, 3.0) | st.sampled_from([0.0, -0.0, ZERO_MAX, -ZERO_MAX, 5e-324, -2e-310, float("inf"), 1e300, -1e300])


@st.composite
def small_trees(draw: st.DrawFn, columns: int) -> Tree:
    """A tree grown as LightGBM grows one: each split takes the place of a leaf, which becomes its left child."""
    splits = draw(st.integers(0, 6))
    left, right, where = [-1] * splits, [-1] * splits, [(-1, False)]
    for split in range(splits):
        leaf = draw(st.integers(0, split))
        parent, on_right = where[leaf]
        if parent >= 0:
            (right if on_right else left)[parent] = split
        left[split], right[split] = ~leaf, ~(split + 1)
        where[leaf] = (split, False)
        where.append((split, True))

    def each(values: st.SearchStrategy[Any], count: int) -> tuple[Any, ...]:
        return tuple(draw(st.lists(values, min_size=count, max_size=count)))

    return Tree(
        columns=each(st.integers(0, columns - 1), splits), thresholds=each(CUTS, splits), rules=each(st.integers(0, 4), splits),
        left=tuple(left), right=tuple(right), values=each(st.floats(-10.0, 10.0), splits + 1),
    )  # fmt: skip


@st.composite
def small_models(draw: st.DrawFn) -> Trees:
    """Up to eighteen small trees over up to four columns, with any rule for missing values at any split."""
    columns = draw(st.integers(1, 4))
    trees = draw(st.lists(small_trees(columns), min_size=1, max_size=18))
    return Trees(feature_names=tuple("abcd"[:columns]), trees=tuple(trees), objective="regression")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(model=small_models(), seed=st.integers(0, 1_000))
def test_any_small_model_scores_as_lightgbm_and_the_definition_say(model: Trees, seed: int) -> None:
    """Written as text, read by both: LightGBM, our forest and the textbook way agree in every bit, in a batch and one by one."""
    text = model_text(model)
    booster, forest = lightgbm.Booster(model_str=text), Forest(parse(text))
    rows = hard_rows(model, 40, seed)
    assert mismatches(booster, forest, rows) == 0
    expected = [score(model, row) for row in rows.tolist()]
    assert forest.predict(rows).tolist() == expected
    assert [forest.one(row) for row in rows] == expected
