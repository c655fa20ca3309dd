"""The compiled forest equals its plain Python twin, and its twin with every index checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import DataError
from tercel.models.forest import Forest
from tercel.models.lanes import LANES
from tercel.models.packing import pack, remap, sortable
from tests.models.definition import hard_rows
from tests.models.trained import KINDS, read, trained
from tests.twins import MODES, twin


def scores(mode: str, packed: Any, rows: Any) -> Any:
    """Raw scores in a mode."""
    there, found = twin(mode), np.empty(len(rows))
    there.kernel.entry(there.models.score_rows).bind(*packed[:3], packed.keys(), rows, found)(0, len(rows))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "compiled"])
def test_scores_equal_those_of_the_twin(mode: str, kind: str) -> None:
    """A few hundred hard rows, to the bit; no index leaves its memory."""
    model = read(trained(kind))
    rows = hard_rows(model, 300 if mode == "python" else 60, seed=5)
    packed = pack(model)
    assert scores(mode, packed, rows).tobytes() == scores("compiled", packed, rows).tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_rows_side_by_side_score_as_rows_one_by_one(mode: str) -> None:
    """From one block to several and a half, and from a row in the middle on; no index leaves its memory."""
    packed, there = pack(read(trained(trees=12))), twin(mode)
    rows = hard_rows(read(trained(trees=12)), LANES * (7 if mode == "compiled" else 3), seed=15)
    found = np.zeros(len(rows))
    memory = (packed.G, packed.Q, packed.L, *packed.lane_memory(), rows, found)
    there.kernel.entry(there.models.score_lanes).bind(*memory)(LANES, len(rows) - LANES, 2)
    assert packed.block >= 2
    assert found[:LANES].tolist() == [0.0] * LANES
    assert found[LANES:].tobytes() == scores("compiled", packed, rows)[LANES:].tobytes()


@pytest.mark.parametrize("leaves", [64, 65])
def test_trees_of_more_leaves_than_a_word_has_bits_are_walked(leaves: int) -> None:
    """At 64 leaves rows still go side by side; either way the scores are those of single rows."""
    forest = Forest(read(trained(trees=8, leaves=leaves, rows=8_000)))
    assert bool(forest.packed.Q[0]) == (leaves == 64)
    rows = hard_rows(read(trained(trees=8, leaves=leaves, rows=8_000)), 500, seed=16)
    assert forest.predict(rows).tobytes() == scores("compiled", forest.packed, rows).tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_columns_may_stand_apart(mode: str) -> None:
    """A row is read with a stride, so the columns of a block of rows need no copy."""
    model = read(trained(trees=20))
    rows, packed, there = hard_rows(model, 30, seed=6), pack(model), twin(mode)
    columns = np.asfortranarray(rows)
    one = there.kernel.entry(there.models.score_row).bind(*packed[:3], packed.keys(), columns.T)
    assert [one(at, len(rows)) for at in range(len(rows))] == Forest(model).predict(rows).tolist()


@pytest.mark.parametrize("mode", MODES)
def test_a_remapped_forest_reads_its_columns_where_it_is_told(mode: str) -> None:
    """Each column of the model lies in some register of a wider block; the scores stay the same to the bit."""
    model = read(trained(trees=20))
    rows, packed, there = hard_rows(model, 30, seed=6), pack(model), twin(mode)
    registers = np.random.default_rng(1).permutation(40)[: rows.shape[1]]
    block = np.full((40, len(rows)), np.nan)
    block[registers] = rows.T
    one = there.kernel.entry(there.models.score_row).bind(remap(packed, registers.tolist()), *packed[1:3], packed.keys(), block)
    assert [one(at, len(rows)) for at in range(len(rows))] == Forest(model).predict(rows).tolist()


@pytest.mark.parametrize("columns", [[], [0] * 15, [0] * 17, [0] * 15 + [-1]], ids=len)
def test_a_map_that_does_not_fit_is_refused(columns: list[int]) -> None:
    """Each column has one place, and no place is negative."""
    with pytest.raises(DataError, match="expected 16 columns from 0 on"):
        remap(pack(read(trained(trees=20))), columns)


@pytest.mark.parametrize("mode", MODES)
def test_probabilities_equal_those_of_the_twin(mode: str) -> None:
    """Scores so large that the exponential has no finite value give 0 and 1."""
    there, found = twin(mode), np.array([-1e6, -710.0, -1.0, 0.0, 2.0, 1e6])
    there.kernel.entry(there.models.probabilities).bind(found)(len(found), 1.5)
    assert found[[0, 1, 3, 5]].tolist() == [0.0, 0.0, 0.5, 1.0]
    assert found[2] == pytest.approx(0.18242552380635635)


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=20))
def test_keys_sort_as_their_values_do(values: list[float]) -> None:
    """Any two floats compare as their keys do, and no float has the key of a missing value."""
    keys = sortable(values).tolist()
    key_of = twin("python").models.key_of
    assert keys == [key_of(value + 0.0) for value in values]
    for value, key in zip(values, keys, strict=True):
        assert [value > other for other in values] == [key > other for other in keys]
        assert twin("python").models.LEFT_ALWAYS < key < twin("python").models.RIGHT_ALWAYS
