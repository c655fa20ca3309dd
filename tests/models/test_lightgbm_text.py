"""What the reader of LightGBM's text refuses, by name and line."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import DataError
from tercel.models import lightgbm_text, trees
from tercel.models.forest import Forest
from tercel.models.lightgbm_text import parse
from tests.models.definition import hard_rows
from tests.models.trained import samples, trained

TABLE, LABELS = samples(500, 4, missing=False)


def fitted(**settings: object) -> str:
    """The text of a small model of a kind."""
    labels = np.digitize(LABELS, [-0.5, 0.5]) if "num_class" in settings else LABELS
    table = TABLE.copy()
    table[:, 0] = np.digitize(table[:, 0], [-1.0, -0.5, 0.0, 0.5, 1.0])
    data = lightgbm.Dataset(table, labels, params={"verbose": -1, "linear_tree": bool(settings.get("linear_tree"))})
    return lightgbm.train({"verbose": -1, "num_threads": 1, "num_leaves": 8, **settings}, data, 3).model_to_string()


TEXT = fitted()
KINDS = {
    "linear trees are not supported": {"linear_tree": True},
    "multiclass models are not supported": {"objective": "multiclass", "num_class": 3},
    "random forests, boosting=rf, are not supported": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_models_that_are_not_understood_are_refused_by_name(name: str) -> None:
    """LightGBM trained them; the error says what is not supported and on which line."""
    with pytest.raises(DataError, match=rf"model:\d+: .*{name}"):
        parse(fitted(**KINDS[name]))


def changed(key: str, value: str) -> str:
    """The model with the first line of a key replaced."""
    lines = TEXT.split("\n")
    place = next(number for number, line in enumerate(lines) if line.partition("=")[0] == key)
    return "\n".join([*lines[:place], f"{key}={value}", *lines[place + 1 :]])


WRONG = [
    ("version", "v2", "expected one of v3, v4, found v2"),
    ("num_class", "x", "expected a number, found 'x'"),
    ("max_feature_idx", "9" * 50, "expected 0 to"),
    ("max_feature_idx", "-1", "expected 0 to"),
    ("feature_names", "a b", "expected 4 names"),
    ("tree_sizes", "1 2", "expected one for each of 3 trees, found 2"),
    ("objective", "binary sigmoid:-1", "positive sigmoid"),
    ("objective", "binary sigmoid:x", "positive sigmoid"),
    ("objective", "binary", "positive sigmoid"),
    ("Tree", "1", "expected Tree=0, found 'Tree=1'"),
    ("num_leaves", "0", "as many as there are leaf values, found 0"),
    ("num_leaves", "99999999999", "as many as there are leaf values"),
    ("num_leaves", "7", "expected 6 numbers, found 7"),
    ("split_feature", "0 1 2 3 4 1 1", "expected columns from 0 to 3, found 4"),
    ("split_feature", "0 1 2 3 -1 1 1", "expected columns from 0 to 3, found -1"),
    ("threshold", "1 2 3 4 5 6 nan", "NaN among them"),
    ("threshold", "1 2 3 4 5 6 1_0", "expected a number, found '1_0'"),
    ("leaf_value", "1 2 3 4 5 6 7 inf", "an infinite one"),
    ("leaf_value", "1 2 3 4 5 6 7", "expected 8 numbers, found 7"),
    ("decision_type", "2 2 2 2 2 2 1", "expected the number of one of 0 sets of categories"),
    ("decision_type", "2 2 2 2 2 2 12", "expected one of 0, 2, 4, 6, 8, 10, 1, 5, 9, found 12"),
    ("decision_type", "2 2 2 2 2 2 18", "expected one of 0, 2, 4, 6, 8, 10, 1, 5, 9, found 18"),
    ("num_cat", "1", "cat_boundaries: expected a line, found none"),
    ("left_child", "0 0 0 0 0 0 0", "expected each split and each leaf once, found 0 under split 0"),
    ("left_child", "1 2 3 4 5 6 -9", "expected each split and each leaf once, found -9"),
    ("left_child", "1 2 3 4 5 6 7", "expected each split and each leaf once, found 7"),
]


@pytest.mark.parametrize(("key", "value", "says"), WRONG, ids=[f"{key}={value}"[:40] for key, value, _ in WRONG])
def test_a_field_that_cannot_be_true_is_refused(key: str, value: str, says: str) -> None:
    """The error names the line, the field, what was expected and what was found."""
    with pytest.raises(DataError, match=rf"model:\d+: .*{says}"):
        parse(changed(key, value))


def test_a_ring_of_splits_is_refused() -> None:
    """Two splits that are each other's child have one parent each, but hang on no root."""
    ring = changed("left_child", "-1 2 1 -2 -3 -4 -5").replace(_line("right_child"), "right_child=3 -7 -8 4 5 6 -6", 1)
    with pytest.raises(DataError, match="expected 15 splits and leaves below the root, found 11"):
        parse(ring)


def _line(key: str) -> str:
    return next(line for line in TEXT.split("\n") if line.startswith(f"{key}="))


@pytest.mark.parametrize("key", ["version", "num_class", "max_feature_idx", "feature_names", "num_leaves", "threshold", "leaf_value"])
def test_a_missing_field_is_refused(key: str) -> None:
    """The error says that there is none."""
    with pytest.raises(DataError, match=rf"{key}: expected a line, found none"):
        parse(TEXT.replace(f"{_line(key)}\n", "", 1))


def test_a_field_that_stands_twice_is_refused() -> None:
    """Which of the two would count?"""
    with pytest.raises(DataError, match="expected 'version' once, found it again after line 2"):
        parse(TEXT.replace("version=v4\n", "version=v4\nversion=v3\n"))


def test_a_text_that_is_no_model_is_refused() -> None:
    """The first line says what a file is."""
    for text in ("", "\n", "forest\n", "{}"):
        with pytest.raises(DataError, match="model:1: expected the line 'tree'"):
            parse(text)


def test_a_file_that_is_too_large_is_refused(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is read."""
    monkeypatch.setattr(trees, "BYTES_MAX", 10)
    path = tmp_path / "model.txt"  # type: ignore[operator]
    path.write_text(TEXT)
    with pytest.raises(DataError, match="expected at most 10 bytes"):
        lightgbm_text.load(path)


END = TEXT.index("end of trees")


@given(st.integers(0, END + len("end of tree")))
def test_a_model_that_is_cut_off_is_refused(length: int) -> None:
    """Wherever it was cut, also between two trees."""
    with pytest.raises(DataError, match=r"model:\d+: "):
        parse(TEXT[:length])


@given(st.integers(0, END), st.integers(0, 30), st.text("0123456789-.=enaif \nTr_", max_size=12))
def test_a_damaged_model_is_refused_or_still_a_model(place: int, length: int, text: str) -> None:
    """No damage raises anything but DataError, and whatever is accepted can be walked to an end."""
    try:
        model = parse(TEXT[:place] + text + TEXT[place + length :])
    except DataError:
        return
    assert np.isfinite(Forest(model).predict(hard_rows(model, 3, seed=1))).all()


def test_windows_line_ends_and_what_follows_the_trees_do_not_matter() -> None:
    """The parameters and importances behind the trees are not read."""
    whole = parse(TEXT)
    assert parse(TEXT.replace("\n", "\r\n")) == whole
    assert parse(TEXT[: END + len("end of trees")]) == whole


def test_an_objective_of_the_users_own_is_no_objective() -> None:
    """LightGBM writes no line for it; raw scores need none."""
    model = parse(TEXT.replace(f"{_line('objective')}\n", ""))
    assert model.objective == ""
    assert Forest(model).predict(np.ones((1, 4))) == Forest(parse(TEXT)).predict(np.ones((1, 4)))


def test_names_come_from_the_training_data() -> None:
    """As LightGBM keeps them, in the order of the columns."""
    assert parse(trained().model_to_string()).feature_names == tuple(f"Column_{column}" for column in range(16))
