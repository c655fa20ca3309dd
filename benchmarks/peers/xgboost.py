"""XGBoost in its own environment: `python -m benchmarks.peers.xgboost forest OPTIONS` (see `worker`), and `train`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xgboost

from benchmarks.peers.worker import Answer, Doors, forests, serve, versions


def train(jobs: list[dict[str, Any]]) -> None:
    """Write a model of `trees` x `leaves` per job, trained on the rows that LightGBM trains on."""
    for job in jobs:
        chance = np.random.default_rng(job["seed"])
        table = chance.normal(size=(job["rows"], job["columns"]))
        labels = table[:, 0] * table[:, 1] + np.abs(table[:, 2]) + chance.normal(size=len(table))
        table[chance.random(table.shape) < 0.05] = np.nan
        shape = {"grow_policy": "lossguide", "max_leaves": job["leaves"], "max_depth": 0, "min_child_weight": 20, "eta": 0.1}
        settings = {"tree_method": "hist", "nthread": 1, "seed": 1, **shape}
        xgboost.train(settings, xgboost.DMatrix(table, labels), job["trees"]).save_model(job["own_model"])


def opened(shape: Answer) -> Doors:
    """`inplace_predict`, which copies no row, as its documentation advises for speed."""
    rows = np.load(shape["input"])

    def booster(threads: int) -> Any:
        made = xgboost.Booster({"nthread": threads})
        made.load_model(shape["own_model"])
        made.set_param({"nthread": threads})
        return partial(made.inplace_predict, predict_type="margin")

    alone, everywhere = booster(1), booster(0)
    return Doors(
        single={"XGBoost inplace_predict, 1 thread": (alone, [rows[at : at + 1] for at in range(shape["calls_slow"])])},
        batch={
            "XGBoost inplace_predict, 1 thread": partial(alone, rows),
            "XGBoost inplace_predict, all threads": partial(everywhere, rows),
        },
    )


def forest(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """Every shape through every door."""
    return {"versions": versions("xgboost-cpu", "numpy")}, forests("xgboost", options["shapes"], opened)


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(json.loads(sys.argv[2]))
    else:
        serve(partial({"forest": forest}[sys.argv[1]], json.loads(sys.argv[2])))
