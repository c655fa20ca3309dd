"""LightGBM in its own environment: `python -m benchmarks.peers.lightgbm forest OPTIONS` (see `worker`), and `train`, which makes the model.

Single rows go through two doors: `Booster.predict` as most people call it, and the fastest, `LGBM_BoosterPredictForMatSingleRowFast`, for
which everything but the call itself is made beforehand: pointers to the rows, the configuration, the place of the result.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from lightgbm.basic import _LIB

from benchmarks.peers.worker import Answer, Doors, forests, serve, versions

Rows = npt.NDArray[np.float64]
RAW_SCORE = FLOAT64 = 1  # in LightGBM's C API


def train(jobs: list[dict[str, Any]]) -> None:
    """Write a model of `trees` x `leaves` per job, trained on seeded noise with some structure; a twentieth of the cells is missing."""
    for job in jobs:
        chance = np.random.default_rng(job["seed"])
        table = chance.normal(size=(job["rows"], job["columns"]))
        labels = table[:, 0] * table[:, 1] + np.abs(table[:, 2]) + chance.normal(size=len(table))
        table[chance.random(table.shape) < 0.05] = np.nan
        settings = {"num_leaves": job["leaves"], "num_threads": 1, "deterministic": True, "seed": 1, "verbose": -1}
        lightgbm.train({"objective": "regression", **settings}, lightgbm.Dataset(table, labels), job["trees"]).save_model(job["model"])


def fast_door(booster: lightgbm.Booster, columns: int) -> tuple[Callable[[Any], Any], ctypes.c_double]:
    """A call that takes a pointer to a row, and where it leaves the score."""
    config, length, score = ctypes.c_void_p(), ctypes.c_int64(), ctypes.c_double()
    kinds = (ctypes.c_int(RAW_SCORE), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(FLOAT64), ctypes.c_int32(columns))
    handle = ctypes.c_void_p(getattr(booster._handle, "value", booster._handle))
    done = _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(handle, *kinds, b"num_threads=1", ctypes.byref(config))
    assert done == 0, _LIB.LGBM_GetLastError()
    predict, where, result = _LIB.LGBM_BoosterPredictForMatSingleRowFast, ctypes.byref(length), ctypes.byref(score)
    return lambda row: predict(config, row, where, result), score


def opened(shape: Answer) -> Doors:
    """Single rows through both doors and whole batches on one thread and on all."""
    booster, rows = lightgbm.Booster(model_file=shape["model"]), np.load(shape["input"])
    door, score = fast_door(booster, rows.shape[1])
    pointers = [ctypes.c_void_p(row.ctypes.data) for row in rows]
    one = partial(booster.predict, raw_score=True, num_threads=1)

    def scored(pointer: ctypes.c_void_p) -> float:
        door(pointer)
        return score.value

    return Doors(
        single={
            "LightGBM C API, single row fast": (door, pointers[: shape["calls"]]),
            "LightGBM predict, 1 thread": (one, [rows[at : at + 1] for at in range(shape["calls_slow"])]),
        },
        batch={
            "LightGBM predict, 1 thread": partial(booster.predict, rows, raw_score=True, num_threads=1),
            "LightGBM predict, all threads": partial(booster.predict, rows, raw_score=True, num_threads=0),
        },
        scored=scored,
    )


def forest(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """Every shape through every door."""
    return {"versions": versions("lightgbm", "numpy")}, forests("lightgbm", options["shapes"], opened)


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(json.loads(sys.argv[2]))
    else:
        serve(partial({"forest": forest}[sys.argv[1]], json.loads(sys.argv[2])))
