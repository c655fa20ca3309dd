"""Running one opcode over a table of bars, compiled or as its twin, and the columns to run it on."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.features.judges import JUDGES, Column
from tests.twins import twin

CASES = [(op, parameters) for op, judge in JUDGES.items() for parameters in judge.parameters]
BLOCK_MAX = 1024
GUARD, GUARDED = 3, 777.0  # words before and after a memory, and what they hold
PROTOTYPE = ctypes.CFUNCTYPE(None, *(ctypes.c_void_p if mark in "SPXR" else ctypes.c_int64 for mark in "SsPpXRrn"))
IDS = ["_".join([op, *map(str, parameters)]) for op, parameters in CASES]


def run(
    op: str, parameters: Sequence[float], columns: Sequence[Column], *, cuts: Sequence[int] = (), mode: str = "compiled", words: int = -1
) -> Column:
    """The output of one opcode from its start, called as a program calls it; `columns` are its inputs. Blocks end at `cuts`.

    Of an opcode with several outputs, float64[outputs, rows]. The state has as many `words` as the opcode declares, unless said otherwise.
    Memory beside the state, the parameters and the output columns must come back as it was.
    """
    kernel, opcode = twin(mode).kernel, twin(mode).opcodes.OPCODES[op]
    parameters = [float(value) for value in parameters]
    rows, read, made = len(columns[0]), len(columns), len(opcode.outputs)
    places = sorted({0, rows, *(cut for cut in cuts if cut < rows)} | set(range(0, rows, BLOCK_MAX)))
    length = max(last - first for first, last in pairwise(places))
    words = opcode.state_words(parameters) if words < 0 else words
    S, P, X = np.full(GUARD + words, GUARDED), np.array([GUARDED, *parameters]), np.full((read + made + 1, length), GUARDED)
    S[GUARD:] = 0.0
    if mode != "checked":
        S = np.append(S, np.full(GUARD, GUARDED))
    R = np.array([-1, *range(0, (read + made) * length, length)])
    out = np.empty((made, rows))
    for first, last in pairwise(places):
        for place, column in enumerate(columns):
            X[place, : last - first] = column[first:last]
        call(kernel, opcode, S, P, X.reshape(-1), R, last - first)
        out[:, first:last] = X[read : read + made, : last - first]
    beside = np.concatenate([S[:GUARD], S[GUARD + words :], P[:1], X[-1]])
    assert set(beside) == {GUARDED}, f"{op} wrote beside its memory"
    assert P[1:].tolist() == parameters
    return out if made > 1 else out[0]


def call(kernel: Any, opcode: Any, S: Column, P: Column, X: Column, R: npt.NDArray[np.int64], rows: int) -> None:
    """One call of an opcode over `rows` rows, whose state begins at `GUARD` and whose parameters and registers begin at 1."""
    if kernel.COMPILED:
        s, p, x, r = (array.ctypes.data for array in (S, P, X, R))
        PROTOTYPE(opcode.entry.address)(s, GUARD, p, 1, x, r, 1, rows)
    else:
        wrap = kernel.Checked if kernel.MODE == "checked" else kernel.Plain
        opcode.entry.function(wrap(S), GUARD, wrap(P), 1, wrap(X), wrap(R), 1, rows)


def inputs(op: str, bid: Column, ask: Column) -> list[Column]:
    """What an opcode reads of a quote, which stands for a bar: high is the ask, low the bid, close and volume the middle.

    Sizes are 1 to 13 and 1 to 17, the flow -11 to 11, the time minutes with gaps of minutes and of half a day; unknown where the quote is,
    and as strange as the quote where that is no price.
    """
    k, middle = np.arange(len(bid)), bid * 0.5 + ask * 0.5

    def sane(column: Column, values: npt.NDArray[np.int64]) -> Column:
        return np.where((column > 0.5) & (column < 1e6), values.astype(float), column)

    place = {"bid": bid, "ask": ask, "low": bid, "high": ask}
    place |= {"bid_size": sane(bid, 1 + k * 7 % 13), "ask_size": sane(ask, 1 + k * 5 % 17), "flow": sane(middle, k * 31 % 23 - 11)}
    place["time"] = sane(middle, 1_699_999_980 + 60 * (k + 3 * (k // 5) + 700 * (k // 4)))
    return [place.get(column, middle) for column in JUDGES[op].columns]


@cache
def real_quotes(folder: Path, rows: int) -> tuple[Column, Column]:
    """(bid, ask) of the first EURUSD quotes of a recording."""
    table = pq.read_table(folder / "quotes" / "fx_oanda_tick_201405.parquet", columns=["symbol", "bid", "ask"])
    table = table.filter(pc.equal(table["symbol"], "EURUSD")).slice(0, rows)
    return table["bid"].to_numpy(), table["ask"].to_numpy()


@cache
def hostile(rows: int = 6_000, seed: int = 5) -> tuple[Column, Column]:
    """(bid, ask) with everything that no market should send: bursts of NaN, zero, negative, tiny, huge and infinite values, flat runs."""
    chance = np.random.default_rng(seed)
    bid = 1.38 + np.cumsum(chance.integers(-3, 4, rows)) * 1e-5
    bid[1_000:2_800] = bid[1_000]
    for at in chance.integers(0, rows, 120):
        bid[at : at + int(chance.integers(1, 6))] = chance.choice([np.nan, np.nan, 0.0, -0.0, -1.0, 5e-324, 1e-300, 1e15])
    # What never leaves the state of a recursive average comes last.
    for at in chance.integers(rows - 500, rows, 12):
        bid[at] = chance.choice([1e308, -1e308, np.inf, -np.inf])
    ask = bid + chance.integers(-2, 9, rows) * 1e-5
    ask[chance.integers(0, rows, 60)] = np.nan
    return bid, ask
