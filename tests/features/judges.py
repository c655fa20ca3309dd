"""The judges of the opcodes: for each, the textbook definition and parameters to try. An opcode that is not here fails `test_tidy`.

The definitions are NumPy over whole columns and share nothing with the opcodes: windows and sums of powers instead of running state.
This file imports nothing of the package, so that the tidy test can read it at no cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]
ONE, TWO = ("close",), ("bid", "ask")


class Judge(NamedTuple):
    """How an opcode is judged: the columns it reads, its parameters, its definition, and its name in TA-Lib where it has one."""

    columns: tuple[str, ...]
    parameters: tuple[tuple[int, ...], ...]
    definition: Callable[..., Column]
    talib: str = ""

    @property
    def usual(self) -> tuple[int, ...]:
        """Parameters such as people use: neither the shortest nor the longest."""
        return self.parameters[len(self.parameters) // 2]


def over_known(definition: Callable[..., Column]) -> Callable[..., Column]:
    """The definition applied to the rows whose value is known; NaN at the others, as if they were not there."""

    def judge(x: Column, rows: int) -> Column:
        known = ~np.isnan(x)
        out = np.full(len(x), np.nan)
        out[known] = definition(x[known], rows)
        return out

    return judge


def windows(x: Column, rows: int, fold: Callable[[Column], Column]) -> Column:
    """`fold` over the last `rows` values of each row, NaN where there are fewer."""
    out = np.full(len(x), np.nan)
    if len(x) >= rows:
        out[rows - 1 :] = fold(np.lib.stride_tricks.sliding_window_view(x, rows))
    return out


def smoothed(x: Column, rows: int, alpha: float) -> Column:
    """Exponential smoothing written out: the mean of the first `rows` values and every later value, each with its power of 1 - alpha."""
    out = np.full(len(x), np.nan)
    if len(x) >= rows:
        first, later = x[:rows].mean(), x[rows:]
        decay = (1.0 - alpha) ** np.arange(len(later) + 1)
        out[rows - 1 :] = first * decay
        if len(later):
            out[rows:] += alpha * np.convolve(later, decay)[: len(later)]
    return out


@over_known
def sma(x: Column, rows: int) -> Column:
    """Mean of the last `rows` values."""
    return windows(x, rows, lambda view: view.mean(axis=1))


@over_known
def ema(x: Column, rows: int) -> Column:
    """Exponential moving average with alpha = 2 / (rows + 1)."""
    return smoothed(x, rows, 2.0 / (rows + 1.0))


@over_known
def rsi(x: Column, rows: int) -> Column:
    """100 - 100 / (1 + average gain / average loss), the averages smoothed with alpha = 1 / rows; 50 for a market that has not moved."""
    out = np.full(len(x), np.nan)
    change = np.diff(x)
    gain = smoothed(np.maximum(change, 0.0), rows, 1.0 / rows)
    loss = smoothed(np.maximum(-change, 0.0), rows, 1.0 / rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        out[1:] = np.where((gain == 0.0) & (loss == 0.0), 50.0, 100.0 - 100.0 / (1.0 + gain / loss))
    return out


@over_known
def returns(x: Column, rows: int) -> Column:
    """Change over `rows` rows as a part of the old value, which must be positive."""
    out = np.full(len(x), np.nan)
    old, new = x[:-rows], x[rows:]
    with np.errstate(divide="ignore", invalid="ignore"):
        out[rows:] = np.where(old > 0.0, (new - old) / old, np.nan)
    return out


@over_known
def volatility(x: Column, rows: int) -> Column:
    """Sample standard deviation of the last `rows` one-row returns; a return from a value that is not positive does not count."""
    out = np.full(len(x), np.nan)
    row = 1 + np.flatnonzero(x[:-1] > 0.0)
    out[row] = windows(x[row] / x[row - 1] - 1.0, rows, lambda view: view.std(axis=1, ddof=1))
    return out


JUDGES = {
    "sma": Judge(ONE, ((1,), (2,), (20,), (1500,)), sma, "SMA"),
    "ema": Judge(ONE, ((1,), (2,), (20,), (1500,)), ema, "EMA"),
    "rsi": Judge(ONE, ((1,), (2,), (14,), (1500,)), rsi, "RSI"),
    "spread": Judge(TWO, ((),), lambda bid, ask: ask - bid),
    "mid": Judge(TWO, ((),), lambda bid, ask: bid + (ask - bid) / 2.0),
    "returns": Judge(ONE, ((1,), (2,), (20,), (1500,)), returns, "ROCP"),
    "volatility": Judge(ONE, ((2,), (3,), (20,), (1500,)), volatility),
    "difference": Judge(TWO, ((),), lambda left, right: left - right),
}
