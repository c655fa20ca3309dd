"""Categorical splits of both libraries, to the bit, for categories that were seen, were not, and are none."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.errors import DataError
from tercel.models import packing, xgboost_json
from tercel.models.forest import Forest
from tercel.models.lightgbm_text import parse
from tercel.models.packing import pack, remap
from tercel.models.trees import NAN_LEFT, SET_LEFT, Tree, Trees
from tercel.models.xgboost_json import parse as parse_json
from tests.models.definition import category_values, hard_rows, model_text, score
from tests.models.test_kernels import scores
from tests.models.trained import Floats, mismatches
from tests.twins import MODES, twin

CATEGORIES = {0: 90, 2: 6, 3: 1_500}  # how many, by column


def table(rows: int, missing: bool = True, seed: int = 0) -> tuple[Floats, Floats]:
    """(rows, labels): three of five columns hold categories, in which a tenth is missing."""
    chance = np.random.default_rng(seed)
    found = chance.normal(size=(rows, 5))
    effect = chance.normal(size=max(CATEGORIES.values()))
    for column, count in CATEGORIES.items():
        found[:, column] = chance.integers(0, count, rows)
    labels = effect[found[:, 0].astype(int)] * found[:, 1] + effect[found[:, 2].astype(int)] + effect[found[:, 3].astype(int)]
    if missing:
        holes = chance.random(found.shape) < 0.1
        found[holes] = np.nan
    return found, labels + 0.1 * chance.normal(size=rows)


@cache
def light(trees: int = 60, **more: Any) -> lightgbm.Booster:
    """A LightGBM model with categories; the same arguments give the same one."""
    rows, labels = table(4_000, more.pop("missing", True))
    data = lightgbm.Dataset(rows, labels, categorical_feature=list(CATEGORIES))
    parameters = {"verbose": -1, "num_threads": 1, "num_leaves": 31, "min_data_per_group": 2, "cat_smooth": 1.0, "min_data_in_leaf": 3}
    return lightgbm.train({**parameters, **more}, data, trees)


@cache
def boosted(trees: int = 60, **more: Any) -> xgboost.Booster:
    """An XGBoost model with categories; the same arguments give the same one."""
    rows, labels = table(4_000, more.pop("missing", True))
    kinds = ["c" if column in CATEGORIES else "q" for column in range(5)]
    data = xgboost.DMatrix(rows, labels, feature_types=kinds, enable_categorical=True)
    return xgboost.train({"nthread": 1, "max_depth": 6, "tree_method": "hist", **more}, data, trees)


def rows_for(model: Trees, count: int, seed: int) -> Floats:
    """Hard rows whose categorical columns hold categories of every kind."""
    rows = hard_rows(model, count, seed)
    for column, limit in CATEGORIES.items():
        rows[:, column] = category_values(limit, count, seed + column)
    return rows


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"missing": False},
        {"use_missing": False},
        {"zero_as_missing": True},
        {"max_cat_to_onehot": 2_000},
        {"num_leaves": 127},
        {"trees": 1},
    ],
    ids=str,
)
def test_categorical_splits_score_as_in_lightgbm(more: dict[str, Any]) -> None:
    """Bitsets and one-against-rest, with and without missing values, in trees that go side by side and in trees that are walked."""
    booster = light(**more)
    model = parse(booster.model_to_string())
    assert sum(rule == SET_LEFT for tree in model.trees for rule in tree.rules) > 5
    forest, rows = Forest(model), rows_for(model, 20_000, seed=3)
    assert mismatches(booster, forest, rows) == 0
    assert [forest.one(row) for row in rows[:300]] == forest.predict(rows[:300]).tolist()


@pytest.mark.parametrize("more", [{}, {"missing": False}, {"max_cat_to_onehot": 2_000}, {"max_depth": 9}, {"trees": 1}], ids=str)
def test_categorical_splits_score_as_in_xgboost(more: dict[str, Any]) -> None:
    """Partitions and one-against-rest; a value that is no category goes left, and a missing one where the split says."""
    booster = boosted(**more)
    model = parse_json(booster.save_raw("json"))
    assert sum(len(tree.sets) for tree in model.trees) > 5
    forest, rows = Forest(model), rows_for(model, 20_000, seed=4)
    rows[abs(rows) > 1e38] = -1.0  # XGBoost refuses what is infinite in float32
    theirs = booster.predict(
        xgboost.DMatrix(rows, feature_types=booster.feature_types, enable_categorical=True), output_margin=True, validate_features=False
    )
    assert np.array_equal(forest.predict(rows), theirs.astype(float))
    assert [forest.one(row) for row in rows[:300]] == forest.predict(rows[:300]).tolist()


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "compiled"])
def test_scores_equal_those_of_the_twin(mode: str) -> None:
    """Also where a column has more splits than a word has bits; no index leaves its memory."""
    packed = pack(parse(light(trees=20).model_to_string()))
    rows = rows_for(parse(light(trees=20).model_to_string()), 100, seed=5)
    assert packed.virtual > 70
    assert scores(mode, packed, rows).tobytes() == scores("compiled", packed, rows).tobytes()


def test_forests_with_very_many_sets_are_walked() -> None:
    """Their keys for rows side by side would not stay in the cache; the scores are the same."""
    few, many = (parse(light(trees=trees).model_to_string()) for trees in (40, 120))
    assert [bool(pack(model).Q[0]) for model in (few, many)] == [True, False]
    rows = rows_for(many, 2_000, seed=7)
    assert mismatches(light(trees=120), Forest(many), rows) == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_remapped_forest_reads_its_categories_where_it_is_told(mode: str) -> None:
    """The rule of a categorical column is moved as any other."""
    model = parse(light(trees=20).model_to_string())
    rows, packed, there = rows_for(model, 30, seed=6), pack(model), twin(mode)
    block = np.full((9, len(rows)), np.nan)
    block[[8, 1, 0, 5, 3]] = rows.T
    one = there.kernel.entry(there.models.score_row).bind(remap(packed, [8, 1, 0, 5, 3]), *packed[1:3], packed.keys(), block)
    assert [one(at, len(rows)) for at in range(len(rows))] == Forest(model).predict(rows).tolist()


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 2**70) | st.integers(0, 7) | st.just(0), min_size=1, max_size=70),
    st.lists(st.booleans(), min_size=70, max_size=70),
    st.integers(0, 1_000),
)
def test_any_set_sends_left_what_lightgbm_and_the_definition_say(sets: list[int], second: list[bool], seed: int) -> None:
    """A stump per set over two columns, written as text and read by both: one bit of table for each set and category."""
    trees = [
        Tree(columns=(int(on),), thresholds=(0.0,), rules=(SET_LEFT,), left=(-1,), right=(-2,), values=(2.0**-place, 0.0), sets=(members,))
        for place, (members, on) in enumerate(zip(sets, second, strict=False))
    ]
    numerical = Tree(columns=(1,), thresholds=(3.0,), rules=(NAN_LEFT,), left=(-1,), right=(-2,), values=(-3.0, 5.0))
    model = Trees(feature_names=("a", "b"), trees=(*trees, numerical), objective="regression")
    rows = np.stack([category_values(71, 90, seed), category_values(71, 90, seed + 1)], axis=1)
    text = model_text(model)
    assert parse(text) == model
    forest = Forest(parse(text))
    assert mismatches(lightgbm.Booster(model_str=text), forest, rows) == 0
    assert forest.predict(rows).tolist() == [score(model, row) for row in rows.tolist()]


def test_sets_that_would_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how much is allowed and how much it would be."""
    monkeypatch.setattr(packing, "TABLE_BYTES_MAX", 10_000)
    with pytest.raises(DataError, match="sets of categories that take at most 10000 bytes, found"):
        pack(parse(light().model_to_string()))


def test_sets_of_a_tree_that_would_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One large category in a short text would otherwise cost two million bytes for each node."""
    monkeypatch.setattr(xgboost_json, "SETS_BYTES_MAX", 100)
    with pytest.raises(DataError, match=r"trees\[0\]: categories: expected sets of at most 100 bytes in a tree, found more at node \d+"):
        parse_json(boosted().save_raw("json"))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("categories_nodes", [], "each node of split_type 1 once"),
        ("categories_sizes", [1], "each node of split_type 1 once"),
        ("categories_segments", -1, "categories from 0 to 16777215 at -1"),
        ("categories_sizes", 10**9, "1000000000 categories"),
        ("categories", -1, "categories from 0 to 16777215"),
        ("categories", 1 << 24, "categories from 0 to 16777215"),
    ],
)
def test_sets_of_xgboost_that_cannot_be_true_are_refused(field: str, value: Any, says: str) -> None:
    """The error names the tree, what was expected and what was found."""
    whole = json.loads(bytes(boosted(trees=1).save_raw("json")))
    tree = whole["learner"]["gradient_booster"]["model"]["trees"][0]
    assert tree["categories_nodes"]
    tree[field] = value if isinstance(value, list) else [value, *tree[field][1:]]
    with pytest.raises(DataError, match=rf"trees\[0\]: categor\w+: expected .*{says}"):
        parse_json(json.dumps(whole).encode())


TEXT = light(trees=3, num_leaves=4).model_to_string()


def line_of(key: str) -> str:
    """The first line of a key."""
    return next(line for line in TEXT.split("\n") if line.startswith(f"{key}="))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("num_cat", "-1", "as many sets as cat_boundaries has, found -1"),
        ("num_cat", "99999999", "as many sets as cat_boundaries has"),
        ("num_cat", "1", "cat_boundaries: expected 2 numbers"),
        ("cat_boundaries", "1 3 6 9", "numbers that rise from 0"),
        ("cat_boundaries", "0 3 2 9", "numbers that rise from 0"),
        ("cat_threshold", "1", "cat_threshold: expected"),
        ("threshold", "0 1 0.5", "the number of one of 3 sets"),
        ("threshold", "0 1 3", "the number of one of 3 sets"),
        ("threshold", "0 1 -1", "the number of one of 3 sets"),
    ],
)
def test_sets_that_cannot_be_true_are_refused(key: str, value: str, says: str) -> None:
    """The error names the line, what was expected and what was found."""
    assert (line_of("num_cat"), line_of("decision_type")) == ("num_cat=3", "decision_type=9 9 9")
    with pytest.raises(DataError, match=rf"model:\d+: .*{says}"):
        parse(TEXT.replace(line_of(key), f"{key}={value}", 1))


def test_a_word_of_more_than_32_bits_is_refused() -> None:
    """A set is made of 32-bit words."""
    words = line_of("cat_threshold").split()
    with pytest.raises(DataError, match="words from 0 to 4294967295"):
        parse(TEXT.replace(line_of("cat_threshold"), " ".join([*words[:-1], "4294967296"]), 1))
