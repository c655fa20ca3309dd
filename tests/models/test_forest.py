"""The doors of a forest: files, shapes, single rows, threads."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tercel.base.builtin import arrays_usable
from tercel.base.errors import ConfigError, DataError
from tercel.models import forest as module
from tercel.models.forest import Forest
from tests.models.definition import hard_rows
from tests.models.trained import read, trained

DOORS = ["built in", "plain"]


@pytest.fixture(params=DOORS)
def forest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Forest:
    """One forest through each of the two doors to single rows."""
    if request.param == "plain":
        monkeypatch.setattr(module, "arrays_usable", lambda: False)
    elif not arrays_usable():
        pytest.skip("this interpreter has no built-in door: it is not CPython with a lock, or kernels are not compiled")
    return Forest(read(trained()))


def test_a_file_gives_the_model_with_its_names(tmp_path: Path) -> None:
    """Names, number of trees and memory are those of the model that LightGBM saved."""
    booster = trained()
    booster.save_model(tmp_path / "model.txt")
    forest = Forest.load(tmp_path / "model.txt")
    assert list(forest.feature_names) == booster.feature_name()
    assert forest.trees == booster.num_trees()
    assert forest.objective == "regression"
    assert 20_000 > forest.bytes - 100 * (61 * 16 + 30 * 24 + 31 * 8) > 0  # sixteen bytes a node, 24 a split and 8 a leaf for batches


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(DataError, match=r"model\.txt: cannot be read"):
        Forest.load(tmp_path / "model.txt")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """The error names the first byte that is no text."""
    (tmp_path / "model.txt").write_bytes(b"tree\n\xff\xfe")
    with pytest.raises(DataError, match="expected UTF-8 text, found byte 0xff at 5"):
        Forest.load(tmp_path / "model.txt")


def test_one_row_at_a_time_is_the_batch(forest: Forest) -> None:
    """Any kind of array gives the same bits: strided, reversed, big-endian, a view at the end of others, or a list."""
    model = read(trained())
    rows = hard_rows(model, 200, seed=8)
    expected = forest.predict(rows).tolist()
    wide = np.repeat(rows, 3, axis=1)
    for doors in (rows, np.asfortranarray(rows), wide[:, ::3], rows[:, ::-1].copy()[:, ::-1], rows.astype(">f8"), rows.tolist()):
        assert [forest.one(row) for row in doors] == expected


def test_a_row_between_other_kinds_of_memory_is_read_where_it_lies(forest: Forest) -> None:
    """A column of a packed record has a stride that is no multiple of eight, and lies at an odd place."""
    rows = hard_rows(read(trained()), 16, seed=9)
    packed = np.zeros(16, np.dtype([("flag", "u1"), ("value", "f8")]))
    packed["value"] = rows[0]
    assert forest.one(packed["value"]) == forest.predict(rows[:1])[0]


def test_single_precision_rows_count_as_their_double(forest: Forest) -> None:
    """Widening is exact, so a row of float32 scores as LightGBM scores it."""
    with np.errstate(over="ignore"):
        rows = hard_rows(read(trained()), 100, seed=10).astype(np.float32)
    assert [forest.one(row) for row in rows] == np.asarray(trained().predict(rows, raw_score=True)).tolist()


@pytest.mark.parametrize("row", [None, 3.0, "row", [], [1.0] * 15, np.ones(17), np.ones((1, 16)), np.ones((16, 1)), np.array(2.0)])
def test_a_row_of_another_shape_is_refused(forest: Forest, row: object) -> None:
    """The error says how many values a row has."""
    with pytest.raises(ConfigError, match="16"):
        forest.one(row)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(16,), (3, 15), (2, 2, 16)])
def test_rows_of_another_shape_are_refused(forest: Forest, shape: tuple[int, ...]) -> None:
    """The error says how many columns there are and what was found."""
    with pytest.raises(ConfigError, match=r"expected rows of shape \[n, 16\]"):
        forest.predict(np.ones(shape))


def test_no_rows_have_no_scores(forest: Forest) -> None:
    """An empty batch is a batch."""
    assert forest.predict(np.empty((0, 16))).shape == (0,)


def test_only_binary_models_have_probabilities(forest: Forest) -> None:
    """A regression's score is no probability."""
    with pytest.raises(ConfigError, match="expected a binary objective for probabilities, found 'regression'"):
        forest.probability(np.ones((1, 16)))


def test_single_rows_leave_no_reference_behind(forest: Forest) -> None:
    """Nothing holds a row after its score is known, nor after it was refused."""
    row, narrow = np.ones(16), np.ones(15)
    before = sys.getrefcount(row), sys.getrefcount(narrow)
    for _ in range(1_000):
        forest.one(row)
    for _ in range(10):
        with pytest.raises(ConfigError):
            forest.one(narrow)
    assert (sys.getrefcount(row), sys.getrefcount(narrow)) == before


def test_a_door_outlives_its_forest() -> None:
    """The single-row function keeps what it needs."""
    one, row = Forest(read(trained())).one, np.ones(16)
    assert one(row) == Forest(read(trained())).predict(row[None])[0]


def test_threads_may_share_a_forest(forest: Forest) -> None:
    """Batches run at the same time on keys of their own."""
    rows = hard_rows(read(trained()), 20_000, seed=12)
    expected = forest.predict(rows).tobytes()
    with ThreadPoolExecutor(4) as pool:
        assert {found.tobytes() for found in pool.map(forest.predict, [rows] * 8)} == {expected}


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 33, 1_023, 2_048, 5_000, 20_001])
def test_a_batch_may_share_out_over_threads(rows: int) -> None:
    """However many rows and threads there are, every score is the one of a single thread."""
    forest, table = Forest(read(trained())), hard_rows(read(trained()), rows, seed=13)
    expected = np.array([forest.one(row) for row in table])
    for threads in (1, 2, 3, 7):
        assert forest.predict(table, threads).tobytes() == expected.tobytes()
