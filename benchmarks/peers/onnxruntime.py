"""ONNX Runtime in its own environment: `python -m benchmarks.peers.onnxruntime forest OPTIONS` (see `worker`).

The model is what `onnxmltools` makes of LightGBM's: one TreeEnsembleRegressor over float32, the only type its converter offers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from benchmarks.peers.worker import Answer, Doors, forests, serve, versions


def session(content: bytes, threads: int) -> Any:
    """A session on so many threads; 0 means all."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    made = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = made.get_inputs()[0].name
    return lambda rows: made.run(None, {name: rows})[0].reshape(-1)


def opened(shape: Answer) -> Doors:
    """`InferenceSession.run` of one row and of all; the rows are there as float32."""
    rows = np.load(shape["input"]).astype(np.float32)
    booster = lightgbm.Booster(model_file=shape["model"])
    content = convert_lightgbm(booster, initial_types=[("rows", FloatTensorType([None, rows.shape[1]]))]).SerializeToString()
    alone, everywhere = session(content, 1), session(content, 0)
    return Doors(
        single={"ONNX Runtime, 1 thread": (alone, [rows[at : at + 1] for at in range(shape["calls_slow"])])},
        batch={"ONNX Runtime, 1 thread": partial(alone, rows), "ONNX Runtime, all threads": partial(everywhere, rows)},
    )


def forest(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """Every shape through every door."""
    return {"versions": versions("onnxruntime", "onnxmltools", "onnx", "numpy")}, forests("onnxruntime", options["shapes"], opened)


if __name__ == "__main__":
    serve(partial({"forest": forest}[sys.argv[1]], json.loads(sys.argv[2])))
