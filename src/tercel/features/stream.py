"""Features one price at a time, for notebooks and services: the same program, state and bits as the batch, one call per price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from tercel.base.builtin import HEADER_BYTES, built_in, usable
from tercel.base.kernel import COMPILED, F, I, entry, f64, kernel
from tercel.base.typed import typed
from tercel.features.program import BASE_COUNT, BLOCK_ROWS, Program, run_block

NAN = float("nan")
CLOSE_COLUMNS: Final = 4  # open, high, low and close of a row that is one price


@kernel
def run_price(G: I, P: F, R: I, S: F, X: F, price: f64) -> None:
    """One row whose open, high, low and close are `price`; the other base columns are unknown."""
    for column in range(CLOSE_COLUMNS):
        X[column * BLOCK_ROWS] = price
    run_block(G, P, R, S, X, 0, 1)


if COMPILED:
    from numba import cfunc
    from numba import types as nt

    from tercel.base.kernel import pointer_f, pointer_i

    _as_double = nt.ExternalFunction("PyFloat_AsDouble", nt.float64(nt.int64))
    _from_double = nt.ExternalFunction("PyFloat_FromDouble", nt.int64(nt.float64))
    _new_tuple = nt.ExternalFunction("PyTuple_New", nt.int64(nt.int64))
    _set_item = nt.ExternalFunction("PyTuple_SetItem", nt.int64(nt.int64, nt.int64, nt.int64))  # steals the item
    _error = nt.ExternalFunction("PyErr_Occurred", nt.int64())

    def _update(self, argument):  # type: ignore[no-untyped-def]
        block = pointer_i(pointer_i(self + HEADER_BYTES)[0])
        price = _as_double(argument)
        if price == -1.0 and _error() != 0:
            return 0
        memory = pointer_f(block[4])
        run_price(pointer_i(block[0]), pointer_f(block[1]), pointer_i(block[2]), pointer_f(block[3]), memory, price)
        found = _new_tuple(block[5])
        if found == 0:
            return 0
        for k in range(block[5]):
            value = _from_double(memory[block[6 + k]])
            if value == 0:
                return 0  # out of memory: the half-filled tuple is lost with the process
            _set_item(found, k, value)
        return found


@typed(program="what tc.FeatureSet(…).compile() gives")
class FeatureStream:
    """A program fed by single prices, from zero state.

    `update(price)` takes the next price and returns every feature, in the order of the feature set; NaN while it warms up. The base columns
    from the volume on are NaN, the time too, so that larger bars and hours stay unknown. Not for two threads at once.

    >>> import tercel as tc
    >>> stream = tc.FeatureStream(tc.FeatureSet(tc.bars("1t"), [tc.sma(2)]).compile())
    >>> stream.update(1.0), stream.update(3.0)
    ((nan,), (2.0,))
    """

    def __init__(self, program: Program) -> None:
        self.names = tuple(program.names[register] for register in program.outputs)
        self._memory = (*program.tables, np.zeros(program.state_words + 1), np.zeros((program.registers, BLOCK_ROWS)))
        self._memory[4][CLOSE_COLUMNS:BASE_COUNT] = NAN
        self._places = tuple(register * BLOCK_ROWS for register in program.outputs)
        self.update: Callable[[float], tuple[float, ...]] = self._door()

    def _door(self) -> Callable[[float], tuple[float, ...]]:
        if not usable():
            run, cells, places = entry(run_price).bind(*self._memory), self._memory[4].reshape(-1), self._places

            def update(price: float) -> tuple[float, ...]:
                run(price)
                return tuple(cells[list(places)].tolist())

            return update
        code = cfunc(nt.int64(nt.int64, nt.int64), error_model="numpy", cache=True)(_update)
        block = np.array([*(array.ctypes.data for array in self._memory), len(self._places), *self._places], np.int64)
        return built_in("update", code.address, block, code, self._memory)
