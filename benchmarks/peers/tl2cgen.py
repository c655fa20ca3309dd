"""tl2cgen in its own environment: `python -m benchmarks.peers.tl2cgen forest OPTIONS` (see `worker`). It needs a C compiler."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tl2cgen
import treelite

from benchmarks.peers.worker import Answer, Doors, forests, serve, versions


def opened(shape: Answer) -> Doors:
    """A library that gcc makes of the trees as C; single rows with their matrix made beforehand and as part of the call."""
    rows = np.load(shape["input"])
    library = f"{shape['scores']}.so"
    model = treelite.frontend.load_lightgbm_model(shape["model"])
    tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 32})
    alone, everywhere = tl2cgen.Predictor(library, nthread=1), tl2cgen.Predictor(library)

    def score(predictor: Any, matrix: Any) -> Any:
        return predictor.predict(matrix, pred_margin=True).reshape(-1)

    single = [rows[at : at + 1] for at in range(shape["calls_slow"])]
    whole = tl2cgen.DMatrix(rows)
    return Doors(
        single={
            "tl2cgen, matrix made beforehand": (partial(score, alone), [tl2cgen.DMatrix(row) for row in single]),
            "tl2cgen": (lambda row: score(alone, tl2cgen.DMatrix(row)), single),
        },
        batch={"tl2cgen, 1 thread": partial(score, alone, whole), "tl2cgen, all threads": partial(score, everywhere, whole)},
    )


def forest(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """Every shape through every door."""
    return {"versions": versions("tl2cgen", "treelite", "numpy")}, forests("tl2cgen", options["shapes"], opened)


if __name__ == "__main__":
    serve(partial({"forest": forest}[sys.argv[1]], json.loads(sys.argv[2])))
