"""A hundred walks with an edge planted in them through the whole of training: where there is something to learn, it is found."""

from __future__ import annotations

import pytest

from tests.drivers.random_walks import verdicts

SEEDS = range(1_000, 1_100)
DRIFT = 0.5  # of a minute's deviation: over ten minutes one and a half widths, of which costs take a quarter


@pytest.mark.timeout(900)
def test_a_planted_edge_is_found() -> None:
    """Of a hundred walks that a hidden state pushes up or down, at least 90 are told "edge"."""
    found = verdicts(SEEDS, drift=DRIFT)
    assert len(found) == len(SEEDS)
    missed = [seed for seed, verdict in found.items() if verdict != "edge"]
    assert len(missed) <= 10, f"the edge was missed in the walks {missed}"
