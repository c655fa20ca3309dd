"""The judges of the opcodes: for each, the textbook definition and parameters to try. An opcode that is not here fails `test_tidy`.

The definitions are NumPy over whole columns and share nothing with the opcodes: windows and sums of powers instead of running state.
This file imports nothing of the package, so that the tidy test can read it at no cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[np.float64]
ONE, TWO = ("close",), ("bid", "ask")
FRAMES = ("resample", "hold")  # the opcodes of larger bars, whose rule for the unknown is their own


class Judge(NamedTuple):
    """How an opcode is judged: the columns it reads, its parameters and its definition, which gives its outputs one below the other."""

    columns: tuple[str, ...]
    parameters: tuple[tuple[float, ...], ...]
    definition: Callable[..., Column]

    @property
    def usual(self) -> tuple[float, ...]:
        """Parameters such as people use: neither the shortest nor the longest."""
        return self.parameters[len(self.parameters) // 2]


def over_known(definition: Callable[..., Column]) -> Callable[..., Column]:
    """The definition applied to the rows whose values are known; NaN at the others, as if they were not there."""

    def judge(*arguments: Any) -> Column:
        columns = [argument for argument in arguments if isinstance(argument, np.ndarray)]
        known = ~np.isnan(np.stack(columns)).any(axis=0)
        found = definition(*(column[known] for column in columns), *arguments[len(columns) :])
        out = np.full((*found.shape[:-1], len(known)), np.nan)
        out[..., known] = found
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


@over_known
def wma(x: Column, rows: int) -> Column:
    """Weighted mean of the last `rows` values, with weights 1, 2, .. rows."""
    weights = np.arange(1.0, rows + 1.0)
    return windows(x, rows, lambda view: view @ weights / weights.sum())


@over_known
def macd(x: Column, fast: int, slow: int, signal: int) -> Column:
    """Two exponential averages, begun on the means of the last `fast` and `slow` of the first `slow` values, and that of their gap."""
    out = np.full((3, len(x)), np.nan)
    line = smoothed(x, slow, 2.0 / (slow + 1.0))
    line[slow - fast :] = smoothed(x[slow - fast :], fast, 2.0 / (fast + 1.0)) - line[slow - fast :]
    out[1, slow - 1 :] = smoothed(line[slow - 1 :], signal, 2.0 / (signal + 1.0))
    out[0] = np.where(np.isnan(out[1]), np.nan, line)
    out[2] = out[0] - out[1]
    return out


@over_known
def bollinger(x: Column, rows: int, deviations: float) -> Column:
    """Mean of the last `rows` values, and that mean plus and minus some population standard deviations."""
    middle, width = windows(x, rows, lambda view: view.mean(axis=1)), windows(x, rows, lambda view: view.std(axis=1))
    return np.stack([middle, middle + deviations * width, middle - deviations * width])


@over_known
def zscore(x: Column, rows: int) -> Column:
    """Distance of the last value from the mean of the window in population standard deviations; 0 for less than 1e-12 of it."""

    def score(view: Column) -> Column:
        still = view.std(axis=1) <= 1e-12 * np.abs(view[:, -1])
        return np.where(still, 0.0, (view[:, -1] - view.mean(axis=1)) / np.where(still, 1.0, view.std(axis=1)))

    return windows(x, rows, score)


@over_known
def rsi_simple(x: Column, rows: int) -> Column:
    """100 - 100 / (1 + sum of gains / sum of losses) over the last `rows` changes; 50 for a market that has not moved."""
    out = np.full(len(x), np.nan)
    change = np.diff(x)
    gain = windows(np.maximum(change, 0.0), rows, lambda view: view.sum(axis=1))
    loss = windows(np.maximum(-change, 0.0), rows, lambda view: view.sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        out[1:] = np.where((gain == 0.0) & (loss == 0.0), 50.0, 100.0 - 100.0 / (1.0 + gain / loss))
    return out


@over_known
def stoch_rsi(x: Column, rows: int, k_rows: int, d_rows: int) -> Column:
    """Place of the relative strength index in its last range and the mean of the last places; 0 for a range of less than 1e-9."""
    strength = rsi(x, rows)

    def place(view: Column) -> Column:
        low, high = view.min(axis=1), view.max(axis=1)
        still = high - low < 1e-9
        return np.where(still, 0.0, 100.0 * (view[:, -1] - low) / np.where(still, 1.0, high - low))

    k = windows(strength[rows:], k_rows, place)
    d = windows(k[k_rows - 1 :], d_rows, lambda view: view.mean(axis=1))
    out = np.full((2, len(x)), np.nan)
    out[1, rows + k_rows - 1 :] = d
    out[0, rows:] = np.where(np.isnan(out[1, rows:]), np.nan, k)
    return out


@over_known
def rolling_min(x: Column, rows: int) -> Column:
    """Smallest of the last `rows` values."""
    return windows(x, rows, lambda view: view.min(axis=1))


@over_known
def rolling_max(x: Column, rows: int) -> Column:
    """Greatest of the last `rows` values."""
    return windows(x, rows, lambda view: view.max(axis=1))


@over_known
def donchian(high: Column, low: Column, rows: int) -> Column:
    """Greatest high and smallest low of the last `rows` bars, and half their sum."""
    upper, lower = windows(high, rows, lambda view: view.max(axis=1)), windows(low, rows, lambda view: view.min(axis=1))
    return np.stack([(upper + lower) / 2.0, upper, lower])


@over_known
def atr(high: Column, low: Column, close: Column, rows: int) -> Column:
    """True ranges smoothed with alpha = 1 / rows."""
    out = np.full(len(high), np.nan)
    ranges = np.stack([high[1:] - low[1:], np.abs(high[1:] - close[:-1]), np.abs(low[1:] - close[:-1])]).max(axis=0)
    out[1:] = smoothed(ranges, rows, 1.0 / rows)
    return out


@over_known
def volume_ratio(x: Column, rows: int) -> Column:
    """Value over the mean of the last `rows` values, where that is positive."""
    mean = windows(x, rows, lambda view: view.mean(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean > 0.0, x / mean, np.nan)


def positive(depth: Column, value: Column) -> Column:
    """The value where the depth is above 0, NaN elsewhere."""
    return np.where(depth > 0.0, value, np.nan)


@over_known
def micro_price(bid: Column, ask: Column, bid_size: Column, ask_size: Column) -> Column:
    """Bid plus the share of the bid's size in both of the spread."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return positive(bid_size + ask_size, bid + (ask - bid) * (bid_size / (bid_size + ask_size)))


@over_known
def imbalance(bid_size: Column, ask_size: Column) -> Column:
    """Share of the bid's size in both less that of the ask's."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return positive(bid_size + ask_size, bid_size / (bid_size + ask_size) - ask_size / (bid_size + ask_size))


@over_known
def order_flow(flow: Column, bid_size: Column, ask_size: Column, rows: int) -> Column:
    """Sum of the flows over the mean depth of a side, where that is positive."""
    depth = windows((bid_size + ask_size) / 2.0, rows, lambda view: view.mean(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return positive(depth, windows(flow, rows, lambda view: view.sum(axis=1)) / depth)


@over_known
def ratio(left: Column, right: Column) -> Column:
    """left times the inverse of right, where there is one."""
    return np.where(right == 0.0, np.nan, left / np.where(right == 0.0, 1.0, right))


@over_known
def log_return(x: Column, rows: int) -> Column:
    """Difference of the natural logarithms, of values that have one."""
    out = np.full(len(x), np.nan)
    logs = np.log(np.where(x > 0.0, x, np.nan))
    out[rows:] = logs[rows:] - logs[:-rows]
    return out


@over_known
def lag(x: Column, rows: int) -> Column:
    """The column moved by `rows` rows."""
    out = np.full(len(x), np.nan)
    out[rows:] = x[:-rows]
    return out


@over_known
def time_of_day(t: Column) -> Column:
    """Hours, sine, cosine and weekday, from the calendar of Python's datetime."""
    moments = [datetime(1970, 1, 1) + timedelta(seconds=float(value)) for value in t]
    angles = 2.0 * np.pi * (t % 86400.0) / 86400.0
    return np.stack([t % 86400.0 / 3600.0, np.sin(angles), np.cos(angles), np.array([moment.weekday() for moment in moments], float)])


def resample(x: Column, t: Column, seconds: float, fold: float) -> Column:
    """Bars as lists of values; each is said at the first row that shows it whole, and where two are due the later waits for the next."""
    out = np.full(len(x), np.nan)
    due, values, end, whole = list[float](), list[float](), -math.inf, True
    for row, (value, moment) in enumerate(zip(x.tolist(), t.tolist(), strict=True)):
        if not math.isfinite(moment):
            continue
        mine = math.ceil(Fraction(moment) / Fraction(seconds)) * seconds
        if mine > end:
            if not whole:
                due.append(folded(values, end, int(fold)))
            values, end, whole = [], mine, False
        if not whole:
            values.append(value)
            if moment == end:
                due.append(folded(values, end, int(fold)))
                whole = True
        if due:
            out[row] = due.pop(0)
    return out


def folded(values: list[float], end: float, fold: int) -> float:
    """First, greatest, smallest, last, sum of the values of a larger bar, or its end; only the last may be an unknown one."""
    known = [value for value in values if not math.isnan(value)] or [math.nan]
    return (known[0], max(known), min(known), values[-1], math.fsum(known), end)[fold]


def hold(x: Column) -> Column:
    """The value of the last row that had one."""
    known = np.where(np.isnan(x), -1, np.arange(len(x)))
    last = np.maximum.accumulate(known)
    return np.where(last < 0, np.nan, x[last])


ROWS = ((1,), (2,), (20,), (1500,))
JUDGES = {
    "sma": Judge(ONE, ROWS, sma),
    "ema": Judge(ONE, ROWS, ema),
    "rsi": Judge(ONE, ((1,), (2,), (14,), (1500,)), rsi),
    "spread": Judge(TWO, ((),), lambda bid, ask: ask - bid),
    "mid": Judge(TWO, ((),), lambda bid, ask: bid + (ask - bid) / 2.0),
    "returns": Judge(ONE, ROWS, returns),
    "volatility": Judge(ONE, ((2,), (3,), (20,), (1500,)), volatility),
    "difference": Judge(TWO, ((),), lambda left, right: left - right),
    "wma": Judge(ONE, ROWS, wma),
    "macd": Judge(ONE, ((1, 2, 1), (3, 10, 4), (12, 26, 9), (300, 700, 500)), macd),
    "bollinger": Judge(ONE, ((2, 1.0), (3, 2.0), (20, 2.0), (1500, 2.5)), bollinger),
    "zscore": Judge(ONE, ((3,), (4,), (20,), (1500,)), zscore),
    "roc": Judge(ONE, ROWS, lambda x, rows: 100.0 * returns(x, rows)),
    "rsi_simple": Judge(ONE, ((1,), (2,), (14,), (1500,)), rsi_simple),
    "stoch_rsi": Judge(ONE, ((1, 1, 1), (2, 2, 2), (14, 5, 3), (400, 300, 200)), stoch_rsi),
    "rolling_min": Judge(ONE, ROWS, rolling_min),
    "rolling_max": Judge(ONE, ROWS, rolling_max),
    "donchian": Judge(("high", "low"), ROWS, donchian),
    "atr": Judge(("high", "low", "close"), ((1,), (2,), (14,), (1500,)), atr),
    "volume_ratio": Judge(("volume",), ROWS, volume_ratio),
    "micro_price": Judge(("bid", "ask", "bid_size", "ask_size"), ((),), micro_price),
    "imbalance": Judge(("bid_size", "ask_size"), ((),), imbalance),
    "order_flow": Judge(("flow", "bid_size", "ask_size"), ROWS, order_flow),
    "time_of_day": Judge(("time",), ((),), time_of_day),
    "ratio": Judge(TWO, ((),), ratio),
    "log_return": Judge(ONE, ROWS, log_return),
    "lag": Judge(ONE, ROWS, lag),
    "resample": Judge(("close", "time"), ((60, 3), (120, 0), (300, 1), (300, 2), (300, 3), (300, 4), (86_400, 4), (86_400, 5)), resample),
    "hold": Judge(ONE, ((),), hold),
}
