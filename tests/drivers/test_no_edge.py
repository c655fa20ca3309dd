"""A hundred random walks through the whole of training: where there is nothing to learn, it says so."""

from __future__ import annotations

import pytest

from tests.drivers.random_walks import verdicts

SEEDS = range(100)


@pytest.mark.timeout(900)
def test_random_walks_have_no_edge() -> None:
    """Of a hundred random walks, with a spread and fees, at least 95 are told "no edge"."""
    found = verdicts(SEEDS, drift=0.0)
    assert len(found) == len(SEEDS)
    fooled = [seed for seed, verdict in found.items() if verdict != "no edge"]
    assert len(fooled) <= 5, f"an edge was seen in the random walks {fooled}"
