"""Leaks to be found: opcodes and functions that see what they cannot know, each as it is met in the wild."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.base.kernel import F, I, i64, kernel
from tercel.features.opcodes.table import Opcode
from tercel.features.spec import Feature

MINUTE_NS = 60_000_000_000
Integers = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[Any]]


@kernel
def peek_next(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """The value of the next row of the block: a column shifted the wrong way."""
    a = R[r]
    y = R[r + 1]
    for k in range(n):
        X[y + k] = X[a + k + 1] if k + 1 < n else X[a + k]


@kernel
def block_mean(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """The value less the mean of its whole block."""
    a = R[r]
    y = R[r + 1]
    total = 0.0
    for k in range(n):
        total += X[a + k]
    for k in range(n):
        X[y + k] = X[a + k] - total / float(n)


LEAKING = {
    function.__name__: Opcode(function.__name__, 900 + number, 1, function, ("value",), (), ("value",), lambda _: 0, lambda _: 1)
    for number, function in enumerate((peek_next, block_mean))
}


def leaking(op: str, of: str | Feature = "close") -> Feature:
    """A feature of a leaking opcode, named after it."""
    return Feature(op, (), (of,), op)


def minute_bars(times: Integers, columns: Columns) -> tuple[Integers, npt.NDArray[np.float64]]:
    """(opens of the minutes, last mid of each): the bars of quotes."""
    mid = (columns["price"] + columns["price2"]) / 2
    minute = times // MINUTE_NS
    last = np.flatnonzero(np.append(minute[1:] != minute[:-1], True))
    return minute[last] * MINUTE_NS, mid[last]


def honest(times: Integers, columns: Columns) -> tuple[Integers, Columns]:
    """One-minute returns and their mean so far, known at the close of the bar; the last bar may be incomplete and is left out."""
    opened, close = minute_bars(times, columns)
    returns = np.diff(close, prepend=np.nan) / close
    so_far = np.nancumsum(returns) / np.arange(1, len(returns) + 1)
    return opened[:-1] + MINUTE_NS, {"returns": returns[:-1], "above_mean": (returns - so_far)[:-1]}


def normalised(times: Integers, columns: Columns) -> tuple[Integers, Columns]:
    """Returns over the mean and deviation of the whole sample."""
    known, found = honest(times, columns)
    returns = found["returns"]
    return known, {"returns": returns, "normalised": (returns - np.nanmean(returns)) / np.nanstd(returns)}


def at_the_open(times: Integers, columns: Columns) -> tuple[Integers, Columns]:
    """The close of a bar, said to be known at its open: how many libraries label bars."""
    opened, close = minute_bars(times, columns)
    return opened, {"close": close}


def label_among_features(times: Integers, columns: Columns) -> tuple[Integers, Columns]:
    """The return of the next five bars, which was meant to be the label."""
    known, found = honest(times, columns)
    later = np.append(np.convolve(found["returns"], np.ones(5), "full")[5 : len(known)], np.full(6, np.nan))[: len(known)]
    return known, {**found, "future_return": later}
