"""The live path in one entry: sequence what arrived, market phase, account phase, without returning to Python in between.

The same kernels as everywhere, called in the same order; only the crossing is different, so the outputs are the same to the bit. A block of
addresses stands for all memory, because passing sixteen pointers costs more than the work behind them when one tick comes at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.base.kernel import I, entry, i64, kernel, pointer_f, pointer_i
from tercel.base.records import BYTE_MASK, HEAD, KIND_SHIFT, TICK, TIMER, WORDS, Records, words
from tercel.core.account_phase import C_FIRST, C_WORDS, STOP_END, account_run
from tercel.core.engine import Engine
from tercel.core.market_phase import market_run
from tercel.core.sequencer import S_NUMBER, Sequencer, sequence

# Words of the block: addresses first, then numbers.
(
    K_SEQUENCER, K_SEQUENCE_CURSOR, K_ROLLS, K_ARRIVED, K_INPUTS, K_MARKET, K_G, K_P, K_R, K_X, K_MODELS, K_KEYS, K_ROWS, K_HEADS,
    K_ACCOUNT, K_CURSOR, K_REQUESTS, K_OUTPUTS, K_OUTBOX, K_LIFE,
) = range(20)  # fmt: skip
K_ROLL_COUNT, K_ROOM, K_TIMER_ROWS, K_ROWS_MAX, K_STRIDE, K_OUTPUT_ROOM, K_COUNT, K_ROW_COUNT, K_WORDS = 20, 21, 22, 23, 24, 25, 26, 27, 28
STOP_LARGE = 9  # more rows possible than the buffer surely holds: push the sequenced inputs batch by batch


@kernel
def step_run(K: I, n: i64, now: i64) -> i64:
    """Sequence n arrived records and what is due by `now`, then both phases. Returns why it stopped; counts are in the block."""
    sequencer = pointer_i(K[K_SEQUENCER])
    inputs = pointer_i(K[K_INPUTS])
    count = sequence(
        sequencer,
        pointer_i(K[K_SEQUENCE_CURSOR]),
        pointer_i(K[K_ROLLS]),
        pointer_i(K[K_ARRIVED]),
        inputs,
        K[K_ROLL_COUNT],
        n,
        now,
        K[K_ROOM],
    )
    K[K_COUNT] = count
    K[K_ROW_COUNT] = 0
    if count == 0:
        return STOP_END
    bound = count
    for k in range(count):
        if (inputs[k * WORDS + HEAD] >> KIND_SHIFT) & BYTE_MASK == TIMER:
            bound += K[K_TIMER_ROWS]
    if bound > K[K_ROWS_MAX]:
        return STOP_LARGE
    first = sequencer[S_NUMBER] - count + 1
    reals = pointer_f(K[K_INPUTS])
    table = pointer_i(K[K_G])
    rows = market_run(
        pointer_i(K[K_MARKET]), pointer_f(K[K_MARKET]), table, pointer_f(K[K_P]), pointer_i(K[K_R]), pointer_f(K[K_X]),
        pointer_i(K[K_MODELS]), pointer_f(K[K_MODELS]), pointer_i(K[K_KEYS]),
        pointer_i(K[K_ROWS]), pointer_f(K[K_ROWS]), pointer_i(K[K_HEADS]), inputs, reals, first, count, 0, 1,
    )  # fmt: skip
    K[K_ROW_COUNT] = rows
    cursor = pointer_i(K[K_CURSOR])
    for w in range(C_WORDS):
        cursor[w] = 0
    cursor[C_FIRST] = first
    return account_run(
        pointer_i(K[K_ACCOUNT]), pointer_f(K[K_ACCOUNT]), cursor, inputs, reals, pointer_i(K[K_ROWS]), pointer_f(K[K_ROWS]),
        pointer_i(K[K_REQUESTS]), pointer_f(K[K_REQUESTS]), pointer_i(K[K_OUTPUTS]), pointer_i(K[K_OUTBOX]), pointer_f(K[K_OUTBOX]),
        pointer_i(K[K_LIFE]), K[K_STRIDE], count, rows, K[K_OUTPUT_ROOM],
    )  # fmt: skip


class Step:
    """One sequencer and one engine, stepped together. Outputs and rows go where the engine sends them."""

    def __init__(self, sequencer: Sequencer, engine: Engine, records_max: int = 1_024) -> None:
        self._engine, self._sequencer = engine, sequencer
        self._arrived = np.zeros(records_max * WORDS, np.int64)
        self._cursor = np.zeros(1, np.int64)
        memory: tuple[npt.NDArray[Any], ...] = (
            sequencer.state, self._cursor, sequencer.rolls, self._arrived, *engine.step_memory(),
        )  # fmt: skip
        assert len(memory) == K_ROLL_COUNT
        self._memory = memory
        numbers = (len(sequencer.rolls), engine.batch, engine.timer_rows, engine.rows_max, engine.stride, engine.output_room, 0, 0)
        self._block = np.array([*(array.ctypes.data for array in memory), *numbers], np.int64)
        self._counts = self._block.data
        self._run: Callable[[int, int], int] = entry(step_run).bind(self._block)

    def __call__(self, records: Records, now_ns: int = 0) -> Records:
        """Take records (dtype TICK, at most `records_max`, `ts_recv` set) through everything; the sequenced inputs, valid until the next.

        They are the ones to log. Raises `CoreFault` as `Engine.push` does; `sequenced` then holds them.
        """
        arrived = words(records)
        self._arrived[: len(arrived)] = arrived
        self._cursor[0] = 0
        stop = self._run(len(records), now_ns)
        count, rows = self._counts[K_COUNT], self._counts[K_ROW_COUNT]
        self.sequenced: Records = self._engine.inputs[: count * WORDS].view(TICK)
        if stop == STOP_LARGE:
            self.sequenced = self.sequenced.copy()  # pushing uses the memory it lies in
            self._engine.push(self.sequenced)
        else:
            self._engine.after_step(int(self._sequencer.state[S_NUMBER]) - count + 1, count, rows, stop)
        if self._cursor[0] < len(records):
            self._push_rest(records, now_ns)
        return self.sequenced

    def _push_rest(self, records: Records, now_ns: int) -> None:
        """What did not fit: an unusual number of timers or day rolls at once."""
        for part in self._sequencer.push(records[int(self._cursor[0]) :], now_ns):
            self.sequenced = np.concatenate([self.sequenced, part])
            self._engine.push(part)
