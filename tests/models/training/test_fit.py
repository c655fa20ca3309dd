"""Fitting and searching: the same bytes again, missing values allowed, and every trial remembered."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from msgspec.structs import asdict

from tercel.base.errors import ConfigError, MissingExtra
from tercel.models import lightgbm_text
from tercel.models.forest import Forest
from tercel.models.training.fit import Boosting, fit, gains
from tercel.models.training.search import Trial, best, explore

SETTINGS = Boosting(trees=20)


def drawn(n: int = 1_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of three columns, the second of which tells who wins; a tenth is missing."""
    chance = np.random.default_rng(5)
    rows = chance.normal(size=(n, 3))
    won = rows[:, 1] + chance.normal(size=n) > 0
    rows[chance.random(rows.shape) < 0.1] = np.nan
    return rows, won, chance.uniform(0.2, 1.0, n)


def test_the_same_data_give_the_same_bytes() -> None:
    """And another seed gives others; the forest finds the column that tells."""
    rows, won, weights = drawn()
    content = fit(rows, won, weights, ("a", "b", "c"), SETTINGS, 1)
    assert fit(rows.copy(), won.copy(), weights.copy(), ("a", "b", "c"), SETTINGS, 1) == content
    assert fit(rows, won, weights, ("a", "b", "c"), SETTINGS, 2) != content
    forest = Forest(lightgbm_text.parse(content.decode()))
    assert forest.feature_names == ("a", "b", "c")
    scores = forest.predict(rows)
    assert scores[won].mean() > scores[~won].mean() + 0.1
    found = gains(content)
    assert max(found, key=lambda name: found[name]) == "b"


@pytest.mark.parametrize("won", [True, False])
def test_a_side_that_always_ends_alike_has_a_forest_too(won: bool) -> None:
    """Nothing to tell apart: one score for every row."""
    rows, _, weights = drawn(200)
    content = fit(rows, np.full(200, won), weights, ("a", "b", "c"), SETTINGS, 1)
    scores = Forest(lightgbm_text.parse(content.decode())).predict(rows)
    assert len(set(scores.tolist())) == 1


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, and the extra of the search."""
    rows, won, weights = drawn(100)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ConfigError, match="pip install lightgbm"):
        fit(rows, won, weights, ("a", "b", "c"), SETTINGS, 1)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"tercel\[search\]"):
        explore(attempt, 5, 1, SETTINGS)


def attempt(number: int, settings: Boosting) -> Trial:
    """A trial whose worth falls with the distance of its learning rate from 0.05; without trades it is not known."""
    sharpe = float("nan") if settings.trees == 125 else 0.3 - abs(settings.learning_rate - 0.05)
    return Trial(number=number, parameters=asdict(settings), trades=9, sharpe=sharpe, by_fold=(sharpe,), seconds=0.0)


def test_a_search_keeps_every_trial_and_repeats_itself() -> None:
    """The first is the start, the best is the highest Sharpe ratio, an unknown one counts as nothing; the seed decides the rest."""
    trials = explore(attempt, 12, 7, SETTINGS)
    assert [trial.number for trial in trials] == list(range(1, 13))
    assert trials[0].boosting == SETTINGS
    assert best(trials).worth == max(trial.worth for trial in trials)
    assert [trial.parameters for trial in explore(attempt, 12, 7, SETTINGS)] == [trial.parameters for trial in trials]
    assert [trial.parameters for trial in explore(attempt, 12, 8, SETTINGS)] != [trial.parameters for trial in trials]
    with pytest.raises(ConfigError, match="search: expected 0 for none"):
        explore(attempt, 1, 7, SETTINGS)


def test_too_few_rows_are_said_to_be_too_few() -> None:
    """Where a share of the rows is none at all."""
    with pytest.raises(ConfigError, match="cannot learn from 1 rows"):
        fit(np.zeros((1, 2)), np.array([True]), np.ones(1), ("a", "b"), Boosting(), 1)
