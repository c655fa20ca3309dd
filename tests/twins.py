"""The twin of every kernel: the same source as plain Python, in the same process.

`twin("python")` imports the package a second time with `TERCEL_KERNELS=python`, so that a kernel's callees are plain Python too;
`twin("checked")` does so with memory that refuses an index out of range. `COMPILED` is the package that everything else uses.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

MODULES = {
    "kernel": "tercel.base.kernel",
    "exact": "tercel.base.exact",
    "real": "tercel.base.real",
    "opcodes": "tercel.features.opcodes",
    "program": "tercel.features.program",
    "bars": "tercel.market.kernels",
    "shapes": "tercel.market.feeds.shapes",
    "scanner": "tercel.market.feeds.binance.scanner",
    "market": "tercel.core.market_phase",
    "sequencer": "tercel.core.sequencer",
    "decision": "tercel.decision.kernels",
    "models": "tercel.models.kernels",
    "placement": "tercel.models.placement",
    "labels": "tercel.models.training.labels",
}
MODES = ("compiled", "python", "checked")


@cache
def twin(mode: str) -> Any:
    """The pure halves in a mode, by the names of `MODULES`: `twin("python").opcodes.OPCODES`."""
    if mode == "compiled":
        return SimpleNamespace(**{name: importlib.import_module(path) for name, path in MODULES.items()})
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "tercel"}
    before = os.environ.get("TERCEL_KERNELS")
    os.environ["TERCEL_KERNELS"] = mode
    try:
        found = SimpleNamespace(**{name: importlib.import_module(path) for name, path in MODULES.items()})
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tercel"]:
            del sys.modules[name]
        sys.modules.update(ours)
        os.environ.pop("TERCEL_KERNELS")
        if before is not None:
            os.environ["TERCEL_KERNELS"] = before
    assert mode == found.kernel.MODE
    return found


def bits(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The 64 bits of each float, for comparisons in which NaN equals NaN and 0.0 does not equal -0.0."""
    return np.ascontiguousarray(values, np.float64).view(np.int64)
