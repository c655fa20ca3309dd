"""A boosted forest: raw scores equal to the bit with the library that trained it, without that library."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.base.builtin import (
    ND_ALIGNED,
    ND_DATA,
    ND_DIMENSIONS,
    ND_DTYPE,
    ND_FLAGS,
    ND_LOW_HALF,
    ND_SHAPE,
    ND_STRIDES,
    ND_TYPE,
    arrays_usable,
    built_in,
)
from tercel.base.errors import ConfigError
from tercel.base.kernel import COMPILED, entry
from tercel.models import lightgbm_text, xgboost_json
from tercel.models.kernels import probabilities, score_lanes, score_row, score_rows
from tercel.models.lanes import LANES
from tercel.models.packing import pack
from tercel.models.trees import Trees

Floats = npt.NDArray[np.float64]
THREAD_ROWS_MIN = 1_024  # fewer are done before a thread has started
HEADER_WORD = ND_DATA  # a built-in's own array has its memory where every array has it

if COMPILED:
    from numba import cfunc
    from numba import types as nt

    from tercel.base.kernel import pointer_f, pointer_i

    _from_double = nt.ExternalFunction("PyFloat_FromDouble", nt.int64(nt.float64))
    _call = nt.ExternalFunction("PyObject_CallOneArg", nt.int64(nt.int64, nt.int64))

    def _one(self, argument):  # type: ignore[no-untyped-def]
        block, row = pointer_i(pointer_i(self)[HEADER_WORD]), pointer_i(argument)
        if row[ND_TYPE] != block[4] or row[ND_DTYPE] != block[5] or row[ND_DIMENSIONS] & ND_LOW_HALF != 1:
            return _call(block[7], argument)
        if pointer_i(row[ND_SHAPE])[0] != block[6] or pointer_i(row[ND_STRIDES])[0] & 7 or not row[ND_FLAGS] & ND_ALIGNED:
            return _call(block[7], argument)
        nodes, stride = block[1], pointer_i(row[ND_STRIDES])[0] >> 3
        return _from_double(
            score_row(pointer_i(block[0]), pointer_i(nodes), pointer_f(nodes), pointer_i(block[3]), pointer_f(row[ND_DATA]), 0, stride)
        )


class Forest:
    """A model of trees, read-only after loading.

    `one(row: float64[f]) -> float` is the raw score of a single row, entered at about the cost of `len()`; it holds the interpreter lock.
    `predict` scores many rows and releases it. Both may be called from several threads.
    """

    def __init__(self, model: Trees) -> None:
        self.feature_names = model.feature_names
        self.objective = model.objective
        self.sigmoid = model.sigmoid
        self.trees = len(model.trees)
        self.packed = pack(model)
        self.one: Callable[[npt.ArrayLike], float] = self._door()

    @classmethod
    def load(cls, path: Path | str) -> Forest:
        """The forest in a LightGBM text model or an XGBoost ".json" model. Raises `DataError` for what is damaged or not supported."""
        place = Path(path)
        return cls((xgboost_json if place.suffix == ".json" else lightgbm_text).load(place))

    @property
    def bytes(self) -> int:
        """Memory that a prediction walks, in bytes."""
        return self.packed.G.nbytes + self.packed.W.nbytes + self.packed.Q.nbytes + self.packed.L.nbytes

    def predict(self, rows: npt.ArrayLike, threads: int = 1) -> Floats:
        """Raw scores, float64[n], of rows[n, f], whose columns are `feature_names`; large batches share out over `threads`.

        Raises `ConfigError` for another shape. The scores do not depend on the number of threads nor on the size of the batch.
        """
        table = np.ascontiguousarray(rows, np.float64)
        if table.ndim != 2 or table.shape[1] != len(self.feature_names):
            raise ConfigError(f"forest: expected rows of shape [n, {len(self.feature_names)}], found {list(np.shape(rows))}")
        scores = np.empty(len(table))
        parts = min(threads, len(table) // THREAD_ROWS_MIN)
        if parts <= 1:
            self._score(table, scores, 0, len(table))
            return scores
        bounds = [len(table) * part // parts // LANES * LANES for part in range(parts)] + [len(table)]
        with ThreadPoolExecutor(parts) as pool:
            for done in [pool.submit(self._score, table, scores, begin, end) for begin, end in pairwise(bounds)]:
                done.result()
        return scores

    def _score(self, table: Floats, scores: Floats, begin: int, end: int) -> None:
        """Score rows `begin` to `end`: side by side as far as they go up, the last few one by one."""
        packed = self.packed
        whole = (end - begin) // LANES * LANES if packed.Q[0] else 0
        if whole:
            memory = (packed.G, packed.Q, packed.L, *packed.lane_memory(), table, scores)
            entry(score_lanes).bind(*memory)(begin, whole, packed.block)
        entry(score_rows).bind(*packed[:3], packed.keys(), table, scores)(begin + whole, end)

    def probability(self, rows: npt.ArrayLike) -> Floats:
        """Probabilities of the positive class, float64[n], of rows[n, f]; of XGBoost models in float64, which it rounds to float32.

        Raises `ConfigError` unless the objective is binary.
        """
        if not self.sigmoid > 0.0:
            raise ConfigError(f"forest: expected a binary objective for probabilities, found {self.objective or 'none'!r}; use predict")
        scores = self.predict(rows)
        entry(probabilities).bind(scores)(len(scores), self.sigmoid)
        return scores

    def _door(self) -> Callable[[Any], float]:
        """The built-in where the interpreter allows it; it hands everything that is no fitting float64 array to the slow door."""

        def slow(row: npt.ArrayLike) -> float:
            if np.ndim(row) != 1:
                raise ConfigError(f"forest: expected one row of {len(self_names)} values, found shape {list(np.shape(row))}")
            return float(predict(np.asarray(row, np.float64)[None])[0])

        self_names, predict = self.feature_names, self.predict
        if not arrays_usable():
            return slow
        code = cfunc(nt.int64(nt.int64, nt.int64), error_model="numpy", cache=True)(_one)
        memory = (*self.packed[:3], self.packed.keys())
        known = (id(np.ndarray), id(np.dtype(np.float64)), len(self.feature_names), id(slow))
        block = np.array([*(array.ctypes.data for array in memory), *known], np.int64)
        return built_in("one", code.address, block, code, memory, slow)
