"""Folds: what is tested lies after all that was learned, at a distance; purging as another library does it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import purgedcv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.models.training.dataset import Dataset
from tercel.models.training.folds import walk_forward


def made(seed: int, n: int = 400, length: int = 40, unknown: int = 10) -> Dataset:
    """Decisions of three instruments with labels of random lengths; those of the last `unknown` rows are not known."""
    chance = np.random.default_rng(seed)
    stamp = np.sort(chance.integers(0, 5_000, n))
    end = stamp[:, None] + chance.integers(1, length + 1, (n, 2))
    outcome = chance.normal(size=(n, 2))
    outcome[n - unknown :], end[n - unknown :] = np.nan, 2**62
    return Dataset(("a",), np.zeros((n, 1)), chance.integers(0, 3, n), ("x", "y", "z"), stamp, end, outcome, np.ones(n))


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(0, 100))
def test_nothing_learned_reaches_into_what_comes_after(seed: int, folds: int, embargo: int) -> None:
    """Every label trained on is known `embargo` before the calibration begins, every one calibrated on before the test begins."""
    data = made(seed)
    *tested, final = walk_forward(data, folds, embargo)
    assert [fold.number for fold in tested] == list(range(1, folds + 1))
    for fold in tested:
        calibrated_from, tested_from = int(data.stamp[fold.calibrate].min()), int(data.stamp[fold.test].min())
        assert data.end[fold.train].max() + embargo < calibrated_from
        assert data.end[fold.calibrate].max() + embargo < tested_from
        assert fold.test_first_ns <= tested_from
        assert data.stamp[fold.test].max() < fold.test_last_ns
        assert np.isfinite(data.outcome[np.concatenate([fold.train, fold.calibrate])]).all()
    assert data.end[final.train].max() + embargo < data.stamp[final.calibrate].min()
    assert len(final.test) == 0
    assert final.calibrate.max() > tested[-1].test.min()  # it learns from the last stretch too


@given(st.integers(0, 10**6), st.integers(1, 6))
def test_the_stretches_tested_follow_each_other_without_a_hole(seed: int, folds: int) -> None:
    """Each row from the third block on is tested by exactly one fold, none before."""
    data = made(seed)
    *tested, _ = walk_forward(data, folds, 0)
    rows = np.concatenate([fold.test for fold in tested])
    assert rows.tolist() == list(range(int(rows[0]), len(data)))
    assert abs(rows[0] - 2 * len(data) / (folds + 2)) < 20
    for before, after in pairwise(tested):
        assert before.test_last_ns == after.test_first_ns
        assert set(before.train) < set(after.train)
    assert tested[-1].test_last_ns == data.stamp[-1] + 1


@pytest.mark.parametrize("seed", range(5))
def test_purging_agrees_with_another_library(seed: int) -> None:
    """purgedcv's `purge` keeps of all earlier rows the ones we learn from: its padding reaches back from the block's first row."""
    embargo = 30
    data = made(seed, unknown=0)
    decided = data.stamp.astype("datetime64[ns]")
    # Its intervals are half-open, and a label that ends where the padding begins is kept; ours must end before.
    known = (data.ended + 1).astype("datetime64[ns]")
    for fold in walk_forward(data, 4, embargo)[:-1]:
        for learned, tested in ((fold.train, fold.calibrate), (fold.calibrate, fold.test)):
            block_first = int(data.stamp[tested].min())
            earlier = np.arange(int(learned.min()), int(np.searchsorted(data.stamp, block_first)))
            kept = purgedcv.purge(earlier, tested, decided, known, purge_horizon=np.timedelta64(embargo, "ns"))
            assert kept.tolist() == learned.tolist()


def test_what_cannot_be_folded_is_refused() -> None:
    """Too many folds, a negative embargo, one that leaves nothing: the error names what to change."""
    data = made(1)
    for folds, embargo, said in ((0, 0, "folds: expected 1"), (101, 0, "folds: expected 1"), (3, -1, "embargo"), (4, 10**9, "to train on")):
        with pytest.raises(ConfigError, match=said):
            walk_forward(data, folds, embargo)
    with pytest.raises(ConfigError, match="at least 12 decisions for 10 folds, found 11"):
        walk_forward(made(1, n=11, unknown=0), 10, 0)
