"""Predictions on demand: a registered model by name and one row of features, outside the trading path.

The pool keeps the few models that are asked for loaded and reads others in a thread of its own; what was said is kept for as long as it was
sure of itself. Notebooks, services and pages ask here. The trader never does: its models stand in the core (`placement`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.time import clock_ns
from tercel.cache.predictions import Prediction, Predictions
from tercel.cache.warming import Wanted
from tercel.models.lanes import LANES
from tercel.models.manifest import FINAL, Part, model_number
from tercel.models.model import Model
from tercel.models.pool import BYTES_MAX, MODELS_MAX, Pool
from tercel.models.registry import Registry
from tercel.models.training.calibrate import expected, probability

DEADLINE_S: Final = 5.0
WORDS: Final = ("side", "score", "confidence", "edge")

Floats = npt.NDArray[np.float64]
Mark = Callable[[str], None]


class OnDemand:
    """Asks registered models. Use as a context manager, or `close` it.

    `models_max` and `bytes_max` bound what stays loaded, `deadline_s` how long a call waits for a model to be read; `predictions` keeps
    what was said, shared between processes when it has a level 2.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        models_max: int = MODELS_MAX,
        bytes_max: int = BYTES_MAX,
        deadline_s: float = DEADLINE_S,
        predictions: Predictions | None = None,
    ) -> None:
        self.registry = registry or Registry()
        self._deadline_s = deadline_s
        self.pool: Pool[Model] = Pool(_load(self.registry), clock_ns, models_max=models_max, bytes_max=bytes_max)
        self.predictions = predictions or Predictions()

    async def model(self, reference: str) -> Model:
        """The model of a reference ("name", "name@3", "name@production"), read in the background when it is not loaded.

        Raises `ConfigError` for an unknown one, `ModelUnavailable` when it is not read in time, and with the cause when it cannot be.
        """
        name, version = self.registry.resolve(reference)
        key = f"{name}@{version}"
        found = self.pool.get(key)
        return found if found is not None else await asyncio.to_thread(self.pool.wait, key, self._deadline_s)

    async def predict(self, model: str, features: Mapping[str, float], instrument: str = "") -> Prediction:
        """What the final part of a model says about a row, `features` by input name.

        A mapping of `side` (+1 or -1), `score`, `confidence` (probability that the trade ends above its costs) and `edge` (in widths), as
        a signal of the core has them, to the rounding of the features; side 0 and NaN where a required feature is NaN. Raises `ConfigError`
        for a missing input, and what `model` raises.
        """
        found = await self.model(model)
        inputs = found.manifest.inputs
        missing = [name for name in inputs if name not in features]
        if missing:
            raise ConfigError(f"model {found.name}: expected the inputs {', '.join(inputs)}; missing: {', '.join(missing)}")
        row = np.array([[float(features[name]) for name in inputs]])
        return (await self.rows(found, found.manifest.part(FINAL, instrument), row))[0]

    async def rows(self, model: Model, part: Part, rows: Floats, mark: Mark = lambda name: None) -> list[Prediction]:
        """What a part of a model says about rows, float64[n, inputs]; those that nobody remembers are scored in one batch.

        `mark` is told the name of each step (of `observe.stages.DECISION`) when it ends.
        """
        computed = False

        def predict() -> list[Prediction]:
            nonlocal computed
            computed = True
            mark("prediction_cache")
            return said(model, part, rows, mark)

        found = await self.predictions.many(_name(model, part), rows, predict)
        mark("cache_store" if computed else "prediction_cache")
        return found

    def wanted(self, model: Model, part: Part, rows: Floats) -> list[Wanted]:
        """The predictions for rows, float64[n, inputs], as values to have, for a warmer of `predictions.cache`."""
        return self.predictions.wanted(_name(model, part), rows, lambda: said(model, part, rows))

    def close(self) -> None:
        """Let every model go and end the thread that reads them."""
        self.pool.close()

    def __enter__(self) -> OnDemand:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def said(model: Model, part: Part, rows: Floats, mark: Mark = lambda name: None) -> list[Prediction]:
    """What a part of a model says about rows, float64[n, inputs], by the exact forests: to the bit what the core computes."""
    long = model.forest(part.long).predict(rows)
    short = model.forest(part.short).predict(rows) if part.short else -long
    mark("batch_prediction")
    sides = []
    for score, one in ((long, part.long_calibration), (short, part.short_calibration)):
        p = probability(one, score)
        sides.append(np.stack([score, p, expected(one, p)]))
    buy = ~(sides[1][2] > sides[0][2])
    side, numbers = np.where(buy, 1, -1), np.where(buy, *sides)
    need = [model.manifest.inputs.index(name) for name in model.manifest.required]
    unknown = np.isnan(rows[:, need]).any(axis=1)  # still warming up: the forests never saw a row without it
    side[unknown], numbers[:, unknown] = 0, np.nan
    found: list[Prediction] = [dict(zip(WORDS, row, strict=True)) for row in zip(side.tolist(), *numbers.tolist(), strict=True)]
    mark("post_processing")
    return found


def _name(model: Model, part: Part) -> str:
    """What tells this part from any other, in this process and in those that share what was said."""
    return f"{model.name} {model_number(model.manifest, part):x}"


def _load(registry: Registry) -> Callable[[str], Model]:
    """Reads a model, trees and all, and has what scores it compiled, where nobody waits for it."""

    def load(key: str) -> Model:
        model = registry.load(key)
        nothing = np.zeros((LANES, len(model.manifest.inputs)))
        for part in model.manifest.parts:
            said(model, part, nothing)
        return model

    return load
