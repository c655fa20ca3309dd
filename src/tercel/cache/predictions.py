"""Predictions, kept by model and rounded features for as long as they are sure of themselves (P3).

Worth it where a prediction costs more than the hash of its features, some ten microseconds: neural models, ensembles, models behind a
network. A forest of this package is faster than that and is asked directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.time import steady_ns
from tercel.cache.cache import Cache
from tercel.cache.keys import DECIMALS, key
from tercel.cache.level1 import Level1
from tercel.cache.lives import Life, prediction_life
from tercel.cache.warming import Wanted

if TYPE_CHECKING:
    from tercel.cache.level2 import Level2

ENTRIES: Final = 5_000

Prediction = Mapping[str, Any]
"""What a model says; `confidence` from 0 to 1 decides how long it is kept."""


class Predictions:
    """At most 5,000 predictions in level 1. `model` below is whatever tells one trained model from another, such as its hash.

    Features that agree when rounded to `decimals` have one prediction; with None only those that are equal.
    """

    def __init__(
        self, *, level2: Level2 | None = None, entries_max: int = ENTRIES, decimals: int | None = DECIMALS,
        clock: Callable[[], int] = steady_ns,
    ) -> None:  # fmt: skip
        self.cache = Cache("predictions", level1=Level1(entries_max=entries_max, clock=clock), level2=level2)
        self._decimals = decimals

    def find(self, model: str, features: npt.NDArray[np.floating[Any]]) -> Prediction | None:
        """What level 1 has for float[n] features that round to the same, or None."""
        found: Prediction | None = self.cache.get(self._name(model, features))
        return found

    async def of(self, model: str, features: npt.NDArray[np.floating[Any]], predict: Callable[[], Any]) -> Prediction:
        """The prediction for float[n] features, from the nearest place that has it, else by `predict()`, plain or awaitable."""
        return await self._look(Wanted(self._name(model, features), predict, _life, (model,)))

    def wanted(self, model: str, rows: npt.NDArray[np.float64], predict: Callable[[], Sequence[Prediction]]) -> list[Wanted]:
        """What to have for the rows, float64[n, f], in their order: the first that has to be made makes all, by one `predict()`."""
        made: list[Prediction] = []

        def one(place: int) -> Prediction:
            if not made:
                made.extend(predict())
            return made[place]

        return [Wanted(self._name(model, row), partial(one, place), _life, (model,)) for place, row in enumerate(rows)]

    async def many(self, model: str, rows: npt.NDArray[np.float64], predict: Callable[[], Sequence[Prediction]]) -> list[Prediction]:
        """The predictions for rows, float64[n, f], each from the nearest place that has it; all that none has by one `predict()`."""
        wanted = self.wanted(model, rows, predict)
        missing = [one for one in wanted if not self.cache.has(one.key)]  # a task for each that is there would cost more than the looks
        made = dict(zip((one.key for one in missing), await asyncio.gather(*map(self._look, missing)), strict=True))
        return [made[one.key] if one.key in made else await self._look(one) for one in wanted]

    async def forget(self, model: str) -> bool:
        """Forget everything a model said, everywhere: it was replaced."""
        return await self.cache.invalidate_tag(model)

    def _name(self, model: str, features: npt.NDArray[np.floating[Any]]) -> str:
        return key(model, features.tobytes()) if self._decimals is None else key(model, features, decimals=self._decimals)

    async def _look(self, one: Wanted) -> Prediction:
        found: Prediction = await self.cache.get_or_compute(one.key, one.compute, life=one.life, tags=one.tags)
        return found


def _life(found: Prediction) -> Life:
    try:
        return prediction_life(float(found["confidence"]))
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"prediction: expected a mapping with a confidence from 0 to 1, found {found!r:.80}") from None
