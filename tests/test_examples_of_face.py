"""The examples in the docstrings of the public names run, and say what they print."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import tercel
from tercel.drivers.look import Look
from tercel.drivers.result import Result

SHOWN = {name: getattr(tercel, name) for name in sorted(tercel._MODULE_OF)} | {"Look": Look, "Result": Result}
CASES = {
    test.name: test
    for name, value in SHOWN.items()
    for test in doctest.DocTestFinder(recurse=True).find(value, name, globs={})
    if test.examples
}
MUST = {
    "backtest", "train", "history", "from_frame", "FeatureSet", "FeatureStream", "Strategy", "EmaCross", "Limits", "Plan", "Registry",
    "SimulatedHistory", "VenueModel", "bars", "every", "triple_barrier", "Look.frame", "Look.values", "Result",
}  # fmt: skip


def test_the_names_a_user_starts_with_have_examples() -> None:
    """Each of them shows a runnable example in its help."""
    assert not MUST - set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_example_prints_what_it_says(name: str, home: Path) -> None:
    """An example in a docstring gives exactly what stands under it, in an empty home."""
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(CASES[name], out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", sorted(tercel._MODULE_OF))
def test_every_public_name_explains_itself(name: str) -> None:
    """`help` has a sentence of its own for each public name."""
    value = getattr(tercel, name)
    own = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    assert len((own or "").strip()) > 20
