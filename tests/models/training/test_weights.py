"""Weights: average uniqueness as the book defines it, and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.models.training.dataset import Dataset
from tercel.models.training.weights import uniqueness, weigh

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 25)), min_size=1, max_size=40)


def defined(stamp: list[int], end: list[int]) -> list[float]:
    """M. López de Prado 2018, snippets 4.1 and 4.2: count the labels alive at each decision, average 1 / count over each label's life."""
    alive = {now: sum(first <= now <= last for first, last in zip(stamp, end, strict=True)) for now in stamp}
    weights = []
    for first, last in zip(stamp, end, strict=True):
        life = [now for now in stamp if first <= now <= last]
        weights.append(sum(1 / alive[now] for now in life) / len(life))
    return weights


@given(spans)
def test_uniqueness_is_its_definition(drawn: list[tuple[int, int]]) -> None:
    """Any labels, also of equal instants and of no length."""
    stamp = sorted(start for start, _ in drawn)
    end = [start + length for start, (_, length) in zip(stamp, drawn, strict=True)]
    assert uniqueness(np.array(stamp), np.array(end)) == pytest.approx(defined(stamp, end), rel=1e-12)


def test_labels_that_never_meet_are_unique() -> None:
    """Each weighs one; k that live and die together weigh 1 / k."""
    assert uniqueness(np.array([0, 10, 20]), np.array([9, 19, 29])).tolist() == [1.0, 1.0, 1.0]
    assert uniqueness(np.array([5, 5, 5, 5]), np.array([9, 9, 9, 9])) == pytest.approx([0.25] * 4)


def test_instruments_do_not_crowd_each_other() -> None:
    """Weights of a mixture are those of each instrument and side alone."""
    chance = np.random.default_rng(3)
    n = 300
    stamp = np.sort(chance.integers(0, 1_000, n))
    end = stamp[:, None] + chance.integers(1, 60, (n, 2))
    slot = chance.integers(0, 3, n)
    data = Dataset(("a",), np.zeros((n, 1)), slot, ("x", "y", "z"), stamp, end, np.ones((n, 2)), np.ones(n))
    chosen = np.flatnonzero(chance.random(n) < 0.7)
    weights = weigh(data, chosen)
    for one in range(3):
        mine = slot[chosen] == one
        for side in range(2):
            alone = uniqueness(stamp[chosen][mine], end[chosen][mine, side])
            assert np.array_equal(weights[mine, side], alone)
