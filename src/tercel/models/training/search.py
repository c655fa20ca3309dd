"""Trials: every set of parameters that was tried, each remembered, so that the best of many is not taken for more than luck."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import msgspec

from tercel.base.errors import ConfigError, MissingExtra
from tercel.models.training.fit import Boosting

TRIALS_MAX = 10_000


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One set of parameters and what its out-of-sample trades brought."""

    number: int  # from 1
    parameters: dict[str, float]
    trades: int
    sharpe: float  # per trade, over all folds; NaN with fewer than two trades
    by_fold: tuple[float, ...]  # the same, fold by fold
    seconds: float

    @property
    def worth(self) -> float:
        """What trials are compared by: the Sharpe ratio, and 0, as for doing nothing, where it is not known."""
        return 0.0 if math.isnan(self.sharpe) else self.sharpe

    @property
    def boosting(self) -> Boosting:
        """The parameters as settings."""
        return msgspec.convert(self.parameters, Boosting)


def optuna() -> ModuleType:
    """The library. Raises `MissingExtra` where it is not installed."""
    try:
        import optuna as library
    except ImportError as error:
        raise MissingExtra(f"train: a search needs Optuna ({error}); pip install 'tercel[search]'") from None
    return library


def explore(attempt: Callable[[int, Boosting], Trial], count: int, seed: int, start: Boosting) -> list[Trial]:
    """`count` trials, the first with `start`, the others where a tree-structured Parzen estimator looks next; all are returned.

    `attempt(number, settings)` makes one. The same seed and the same answers give the same trials. Raises `ConfigError` for a count out of
    range and `MissingExtra` without Optuna.
    """
    if not 2 <= count <= TRIALS_MAX:
        raise ConfigError(f"train: search: expected 0 for none, or 2 to {TRIALS_MAX} trials, was {count}")
    library = optuna()
    library.logging.set_verbosity(library.logging.WARNING)
    study = library.create_study(direction="maximize", sampler=library.samplers.TPESampler(seed=seed))
    made = [attempt(1, start)]
    while len(made) < count:
        asked = study.ask()
        settings = Boosting(
            trees=asked.suggest_int("trees", 50, 200, step=25),
            learning_rate=asked.suggest_float("learning_rate", 0.02, 0.1, log=True),
            leaves=asked.suggest_int("leaves", 4, 31),
            leaf_share=asked.suggest_float("leaf_share", 0.01, 0.1, log=True),
            feature_fraction=asked.suggest_float("feature_fraction", 0.4, 1.0),
            bagging_fraction=asked.suggest_float("bagging_fraction", 0.5, 1.0),
            lambda_l2=asked.suggest_float("lambda_l2", 1.0, 30.0, log=True),
        )
        trial = attempt(len(made) + 1, settings)
        study.tell(asked, trial.worth)
        made.append(trial)
    return made


def best(trials: list[Trial]) -> Trial:
    """The trial with the highest Sharpe ratio; of equal ones the first."""
    return max(trials, key=lambda trial: (trial.worth, -trial.number))
