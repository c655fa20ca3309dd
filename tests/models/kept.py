"""A small model with every part of a real one, for tests that keep and refuse models."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from tercel.features.spec import FeatureSet, bars, ema, returns, volatility
from tercel.models.barriers import TripleBarrier
from tercel.models.manifest import Calibration, Manifest, Part
from tercel.models.model import Model
from tests.models.trained import trained

HOUR_NS = 3_600_000_000_000
START_NS = 1_700_000_000_000_000_000
FEATURES = FeatureSet(bars("1m"), [ema(20), returns(), volatility(50)])


@cache
def forest(seed: int) -> bytes:
    """A LightGBM text of three trees over three columns."""
    return bytes(trained(trees=3, columns=3, rows=300, leaves=4, seed=seed).model_to_string(), "utf-8")


def model(name: str = "eurusd", seed: int = 1, **changes: Any) -> Model:
    """A model with two folds and a final part, not registered."""
    contents = {
        f"{part}.{side}.txt": forest(seed + k) for part in ("fold-1", "fold-2", "final") for k, side in enumerate(("long", "short"))
    }
    calibration = Calibration(1.1, -0.2, 1.3, 0.9)
    parts = tuple(
        Part(
            name=part, long=f"{part}.long.txt", short=f"{part}.short.txt", long_calibration=calibration, short_calibration=calibration,
            seen_first_ns=START_NS, seen_last_ns=START_NS + (10 + 5 * k) * HOUR_NS, test_first_ns=START_NS + (11 + 5 * k) * HOUR_NS,
            test_last_ns=START_NS + (16 + 5 * k) * HOUR_NS,
        )
        for k, part in enumerate(("fold-1", "fold-2", "final"))
    )  # fmt: skip
    fields: dict[str, Any] = {
        "name": name,
        "program": FEATURES.compile().hash,
        "clock": FEATURES.clock,
        "features": tuple(FEATURES.features),
        "inputs": FEATURES.names,
        "barriers": TripleBarrier(1.5, 1.0, HOUR_NS // 2, 50, math.sqrt(30.0)),
        "enter": 0.05,
        "parts": parts,
        "instruments": ("EURUSD@oanda",),
        "data": {"fingerprint": "0123456789abcdef", "ticks": 123_456},
        "training": {
            "settings": {"seed": 7, "boosting": {"leaves": 4}},
            "trials": [{"number": 1, "trades": 12, "parameters": {"leaves": 4}}],
        },
        "metrics": {"verdict": "no edge", "because": ["12 trades out of sample; a verdict needs at least 30."]},
    }
    return Model(Manifest(**{**fields, **changes}), contents)
