"""Predictions on demand: a registered model by name and one row of features, outside the trading path.

The pool keeps the few models that are asked for loaded and reads others in a thread of its own; what was said is kept for as long as it was
sure of itself. Notebooks, services and pages ask here. The trader never does: its models stand in the core (`placement`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.time import clock_ns
from tercel.cache.predictions import Prediction, Predictions
from tercel.models.manifest import FINAL
from tercel.models.model import Model
from tercel.models.pool import BYTES_MAX, MODELS_MAX, Pool
from tercel.models.registry import Registry
from tercel.models.training.calibrate import expected, probability

if TYPE_CHECKING:
    from tercel.cache.level2 import Level2

DEADLINE_S: Final = 5.0


class OnDemand:
    """Asks registered models. Use as a context manager, or `close` it.

    `models_max` and `bytes_max` bound what stays loaded, `deadline_s` how long a call waits for a model to be read; `level2` shares
    predictions between processes.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        models_max: int = MODELS_MAX,
        bytes_max: int = BYTES_MAX,
        deadline_s: float = DEADLINE_S,
        level2: Level2 | None = None,
    ) -> None:
        self._registry = registry or Registry()
        self._deadline_s = deadline_s
        self.pool: Pool[Model] = Pool(self._load, clock_ns, models_max=models_max, bytes_max=bytes_max)
        self.predictions = Predictions(level2=level2)

    async def predict(self, model: str, features: Mapping[str, float], instrument: str = "") -> Prediction:
        """What the final part of a model ("name", "name@3", "name@production") says about a row, `features` by input name.

        A mapping of `side` (+1 or -1), `score`, `confidence` (probability that the trade ends above its costs) and `edge` (in widths), as
        a signal of the core has them. Raises `ConfigError` for an unknown model or a missing input, `ModelUnavailable` when it is not read
        in time, and with the cause when it cannot be.
        """
        name, version = self._registry.resolve(model)
        key = f"{name}@{version}"
        row = {str(column): float(value) for column, value in sorted(features.items())}

        async def ask() -> dict[str, Any]:
            found = await asyncio.to_thread(self.pool.wait, key, self._deadline_s)
            return self._say(found, row, instrument)

        found = self.pool.get(key)
        if found is not None:
            self._row(found, row)  # a missing input is told before anything is looked up
        return await self.predictions.of(f"{key} {instrument} {' '.join(row)}", np.array(list(row.values())), ask)

    def _load(self, key: str) -> Model:
        model = self._registry.load(key)
        for part in model.manifest.parts:
            if part.name == FINAL:
                for file in filter(None, (part.long, part.short)):
                    model.forest(file)
        return model

    @staticmethod
    def _row(model: Model, row: Mapping[str, float]) -> list[float]:
        missing = [name for name in model.manifest.inputs if name not in row]
        if missing:
            raise ConfigError(f"model {model.name}: expected the inputs {', '.join(model.manifest.inputs)}; missing: {', '.join(missing)}")
        return [row[name] for name in model.manifest.inputs]

    def _say(self, model: Model, row: Mapping[str, float], instrument: str) -> dict[str, Any]:
        values = np.array([self._row(model, row)])
        part = model.manifest.part(FINAL, instrument)
        long = float(model.forest(part.long).predict(values)[0])
        raw = (long, float(model.forest(part.short).predict(values)[0]) if part.short else -long)
        sides = []
        for side, score, one in zip((1, -1), raw, (part.long_calibration, part.short_calibration), strict=True):
            p = probability(one, np.array([score]))
            sides.append({"side": side, "score": score, "confidence": float(p[0]), "edge": float(expected(one, p)[0])})
        return max(sides, key=lambda said: said["edge"])

    def close(self) -> None:
        """Let every model go and end the thread that reads them."""
        self.pool.close()

    def __enter__(self) -> OnDemand:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
