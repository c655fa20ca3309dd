"""lleaves in its own environment: `python -m benchmarks.peers.lleaves forest OPTIONS` (see `worker`).

Its last release runs with llvmlite 0.43 at most, whatever newer one its pins allow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import lleaves
import numpy as np

from benchmarks.peers.worker import Answer, Doors, forests, serve, versions


def opened(shape: Answer) -> Doors:
    """Machine code that LLVM makes of the trees."""
    rows = np.load(shape["input"])
    model = lleaves.Model(model_file=shape["model"])
    model.compile()
    one = partial(model.predict, n_jobs=1)
    return Doors(
        single={"lleaves, 1 thread": (one, [rows[at : at + 1] for at in range(shape["calls_slow"])])},
        batch={"lleaves, 1 thread": partial(one, rows), "lleaves, all threads": partial(model.predict, rows)},
    )


def forest(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """Every shape through every door."""
    return {"versions": versions("lleaves", "llvmlite", "numpy")}, forests("lleaves", options["shapes"], opened)


if __name__ == "__main__":
    serve(partial({"forest": forest}[sys.argv[1]], json.loads(sys.argv[2])))
