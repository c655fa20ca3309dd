"""After 10**8 updates every rolling opcode is as near to exact rational arithmetic as at its start.

Each opcode takes `UPDATES` rows from a compiled generator, block by block as a program would, and the values of its last rows are compared
with fractions of the very inputs. Prices lie near 50,000.00 on a grid of 0.01. In the hostile stream their level is a thousand times higher
for a million rows in every two, the last time until `CALM` rows before the end, so that whatever a running sum kept of it would show. The
whole file takes about a minute of one core, one to five seconds for each opcode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

from tercel.base.kernel import F, I, call_op, entry, i64, kernel
from tercel.features.opcodes import OPCODES
from tests.features.judges import Column

UPDATES = 10**8
BLOCK = 10_000
CALM = 5_000  # rows since the last change of level in the hostile stream
SHIFT = 1_000_000
JUDGED = 60  # last rows that are compared
MEMORY = 1_200  # rows after which a recursive average of 20 has forgotten: (19 / 21) ** 1200 < 1e-52
PRICES, SIZES = 0, 1  # what the columns are: close, low, high, or flow, bid size, ask size

Series = list[Fraction]
Exact = Callable[..., list[Series]]  # of the input columns and the parameters: each output at the last `JUDGED` rows


@kernel
def fill(Z: I, X: F, n: i64, total: i64, what: i64, hostile: i64) -> None:
    """The next n rows of three columns. Z: random state, level, row."""
    s = Z[0]
    level = Z[1]
    row = Z[2]
    for k in range(n):
        s = (1103515245 * s + 12345) & 0x7FFFFFFF
        wide = s >> 8
        if what == SIZES:
            X[k] = float(wide % 200_001 - 100_000) * 0.001
            X[n + k] = float(wide % 99_991 + 1) * 0.001
            X[2 * n + k] = float(wide % 88_883 + 1) * 0.001
        else:
            level += (s >> 16) % 41 - 20
            if level > 500_000 or level < -500_000:
                level = level // 2
            cents = 5_000_000 + level
            X[k] = float(cents) / 100.0
            X[n + k] = float(cents - wide % 37) / 100.0
            X[2 * n + k] = float(cents + wide % 53) / 100.0
        left = total - row - CALM
        if hostile == 1 and left > 0 and (left // SHIFT) % 2 == 0:
            X[k] = X[k] * 1000.0
            X[n + k] = X[n + k] * 1000.0
            X[2 * n + k] = X[2 * n + k] * 1000.0
        row += 1
    Z[0] = s
    Z[1] = level
    Z[2] = row


@kernel
def stream(Z: I, S: F, P: F, X: F, R: I, address: i64, total: i64, what: i64, hostile: i64) -> None:
    """`total` rows through the opcode at an address; X keeps the last block."""
    for _ in range(total // BLOCK):
        fill(Z, X, BLOCK, total, what, hostile)
        call_op(address, S, 0, P, 0, X, R, 0, BLOCK)


def streamed(op: str, parameters: Sequence[float], what: int, hostile: bool) -> tuple[Column, Column]:
    """The last block: float64[inputs, BLOCK] and float64[outputs, BLOCK]."""
    opcode = OPCODES[op]
    read, made = len(opcode.inputs), len(opcode.outputs)
    # Of one input the close, of two high and low, of three high, low and close; or flow and sizes.
    columns = {1: [0], 2: [2, 1], 3: [2, 1, 0] if what == PRICES else [0, 1, 2]}[read]
    S, P = np.zeros(opcode.state_words(parameters) + 1), np.array([*parameters, 0.0])
    X, R = np.zeros((3 + made, BLOCK)), np.array([*columns, *range(3, 3 + made)]) * BLOCK
    Z = np.array([1, 0, 0])
    entry(stream).bind(Z, S, P, X, R)(opcode.entry.address, UPDATES, what, int(hostile))
    assert Z[2] == UPDATES
    return X[columns], X[3:]


def exactly(column: Column) -> Series:
    """The values as fractions."""
    return [Fraction(value) for value in column.tolist()]


def rolling(column: Sequence[Fraction], rows: int, fold: Callable[[Sequence[Fraction]], Fraction]) -> Series:
    """`fold` over the `rows` values up to each of the last `JUDGED` rows."""
    return [fold(column[end - rows : end]) for end in range(len(column) - JUDGED + 1, len(column) + 1)]


def mean(window: Sequence[Fraction]) -> Fraction:
    """Mean of a window."""
    return sum(window, Fraction(0)) / len(window)


def root(value: Fraction) -> Fraction:
    """Square root to 60 digits."""
    scale = 10**120
    return Fraction(math.isqrt(value.numerator * scale // value.denominator), 10**60)


def deviation(window: Sequence[Fraction], less: int = 0) -> Fraction:
    """Standard deviation of a window, by n or, with `less` 1, by n - 1."""
    middle = mean(window)
    return root(sum(((value - middle) ** 2 for value in window), Fraction(0)) / (len(window) - less))


def changes(column: Sequence[Fraction]) -> Series:
    """Differences of neighbours."""
    return [new - old for old, new in pairwise(column)]


def strength(window: Sequence[Fraction]) -> Fraction:
    """100 gains / (gains + losses)."""
    gain, loss = sum((max(one, Fraction(0)) for one in window), Fraction(0)), sum((max(-one, Fraction(0)) for one in window), Fraction(0))
    return 100 * gain / (gain + loss)


def smoothed(column: Sequence[Fraction], alpha: Fraction) -> Series:
    """Exponential smoothing over the last `MEMORY` rows, in integers of one denominator so that it stays quick; rounded at 400 bits."""
    unit = 2**400
    value = round(column[-MEMORY] * unit)
    out = []
    for one in column[-MEMORY:]:
        value += round(alpha * (round(one * unit) - value))
        out.append(Fraction(value, unit))
    return out


def sma(x: Series, rows: int) -> list[Series]:
    """Mean."""
    return [rolling(x, rows, mean)]


def wma(x: Series, rows: int) -> list[Series]:
    """Mean by weights 1, 2, .. rows."""
    return [rolling(x, rows, lambda window: sum((k * one for k, one in enumerate(window, 1)), Fraction(0)) / (rows * (rows + 1) // 2))]


def ema(x: Series, rows: int) -> list[Series]:
    """Exponential average."""
    return [smoothed(x, Fraction(2, rows + 1))[-JUDGED:]]


def macd(x: Series, fast: int, slow: int, signal: int) -> list[Series]:
    """Line, signal and their gap."""
    quick, lazy = smoothed(x, Fraction(2, fast + 1)), smoothed(x, Fraction(2, slow + 1))
    line = [a - b for a, b in zip(quick, lazy, strict=True)]
    below = smoothed(line, Fraction(2, signal + 1))
    return [line[-JUDGED:], below[-JUDGED:], [a - b for a, b in zip(line[-JUDGED:], below[-JUDGED:], strict=True)]]


def returns(x: Series, rows: int, factor: int = 1) -> list[Series]:
    """Relative change."""
    return [rolling(x, rows + 1, lambda window: factor * (window[-1] / window[0] - 1))]


def log_return(x: Series, rows: int) -> list[Series]:
    """Logarithm of the ratio, by its series to 40 digits."""

    def logarithm(window: Sequence[Fraction]) -> Fraction:
        part = (window[-1] - window[0]) / (window[-1] + window[0])
        return 2 * sum((part**k / k for k in range(1, 12, 2)), Fraction(0))

    return [rolling(x, rows + 1, logarithm)]


def volatility(x: Series, rows: int) -> list[Series]:
    """Sample deviation of the returns."""
    steps = [new / old - 1 for old, new in zip(x[-JUDGED - rows - 1 : -1], x[-JUDGED - rows :], strict=True)]
    return [rolling(steps, rows, lambda window: deviation(window, 1))]


def bollinger(x: Series, rows: int, deviations: float) -> list[Series]:
    """Mean and bands."""
    middle, width = rolling(x, rows, mean), [Fraction(deviations) * one for one in rolling(x, rows, deviation)]
    return [middle, [a + b for a, b in zip(middle, width, strict=True)], [a - b for a, b in zip(middle, width, strict=True)]]


def zscore(x: Series, rows: int) -> list[Series]:
    """Deviations above the mean."""
    return [rolling(x, rows, lambda window: (window[-1] - mean(window)) / deviation(window))]


def rsi(x: Series, rows: int) -> list[Series]:
    """Wilder's strength."""
    steps = changes(x)
    gain = smoothed([max(one, Fraction(0)) for one in steps], Fraction(1, rows))
    loss = smoothed([max(-one, Fraction(0)) for one in steps], Fraction(1, rows))
    return [[100 * up / (up + down) for up, down in zip(gain, loss, strict=True)]]


def stoch_rsi(x: Series, rows: int, k_rows: int, d_rows: int) -> list[Series]:
    """Place of Wilder's strength in its range, and the mean of the last places."""
    strengths = rsi(x, rows)[0]
    windows = [strengths[end - k_rows : end] for end in range(MEMORY - JUDGED - d_rows + 2, MEMORY + 1)]
    places = [100 * (window[-1] - min(window)) / (max(window) - min(window)) for window in windows]
    return [places[-JUDGED:], rolling(places, d_rows, mean)]


def atr(high: Series, low: Series, close: Series, rows: int) -> list[Series]:
    """Smoothed true range."""
    ranges = [max(h - lo, abs(h - last), abs(lo - last)) for h, lo, last in zip(high[1:], low[1:], close[:-1], strict=True)]
    return [smoothed(ranges, Fraction(1, rows))[-JUDGED:]]


def donchian(high: Series, low: Series, rows: int) -> list[Series]:
    """Middle, greatest and smallest."""
    upper, lower = rolling(high, rows, max), rolling(low, rows, min)
    return [[(a + b) / 2 for a, b in zip(upper, lower, strict=True)], upper, lower]


def order_flow(flow: Series, bid_size: Series, ask_size: Series, rows: int) -> list[Series]:
    """Sum of flows over the mean depth."""
    depth = rolling([(a + b) / 2 for a, b in zip(bid_size, ask_size, strict=True)], rows, mean)
    return [[a * rows / b for a, b in zip(rolling(flow, rows, mean), depth, strict=True)]]


class Case(NamedTuple):
    """Parameters and exact values of an opcode; an error may be `relative` of the value and `absolute` beside it."""

    parameters: tuple[float, ...]
    exact: Exact
    relative: float
    absolute: float = 0.0
    what: int = PRICES


SUMS = 1e-12  # of sums, means and whatever is made of them by one division
CASES = {
    "sma": Case((20,), sma, SUMS),
    "wma": Case((20,), wma, SUMS),
    "ema": Case((20,), ema, SUMS),
    "macd": Case((5, 12, 4), macd, 0.0, 50_000.0 * 1e-14),  # differences of averages, each within 50 roundings of the price
    "returns": Case((20,), returns, 0.0, 2.0**-52),  # one quotient near 1, less 1
    "roc": Case((20,), lambda x, rows: returns(x, rows, 100), 1e-15, 100 * 2.0**-52),
    "log_return": Case((20,), log_return, 1e-15),
    "lag": Case((20,), lambda x, rows: [rolling(x, rows + 1, lambda window: window[0])], 0.0),
    "volatility": Case((20,), volatility, SUMS, 2.0**-51),  # of returns that are each one quotient near 1, less 1
    "bollinger": Case((20, 2.0**20), bollinger, SUMS),  # so wide that the bands are their width
    "zscore": Case((20,), zscore, SUMS, 1e-12),
    "rsi": Case((14,), rsi, SUMS),
    "rsi_simple": Case((14,), lambda x, rows: [rolling(changes(x), rows, strength)], SUMS, 1e-11),
    "stoch_rsi": Case((14, 5, 3), stoch_rsi, 1e-10, 1e-10),  # of ranges a hundred times smaller than the strength
    "rolling_min": Case((20,), lambda x, rows: [rolling(x, rows, min)], 0.0),
    "rolling_max": Case((20,), lambda x, rows: [rolling(x, rows, max)], 0.0),
    "donchian": Case((20,), donchian, 2.0**-52),
    "atr": Case((14,), atr, SUMS),
    "volume_ratio": Case((20,), lambda x, rows: [rolling(x, rows, lambda window: window[-1] / mean(window))], SUMS),
    "order_flow": Case((20,), order_flow, SUMS, 1e-12, SIZES),
}
PLAIN = {"spread", "mid", "difference", "ratio", "micro_price", "imbalance", "time_of_day"}  # keep nothing from row to row
LARGER = {"resample", "hold"}  # begin anew with every larger bar


LONG = {op: CASES[op]._replace(parameters=(500, *CASES[op].parameters[1:])) for op in ("sma", "bollinger", "order_flow")}
RUNS = [(op, case, hostile) for op, case in CASES.items() for hostile in (False, True)] + [(op, case, True) for op, case in LONG.items()]


@pytest.mark.parametrize(
    ("op", "case", "hostile"), RUNS, ids=[f"{op}_{case.parameters[0]}_{'hostile' if hostile else 'calm'}" for op, case, hostile in RUNS]
)
def test_after_a_hundred_million_updates_an_opcode_is_exact(op: str, case: Case, hostile: bool) -> None:
    """The last values lie within the stated error of exact fractions of the same inputs."""
    taken, made = streamed(op, case.parameters, case.what, hostile)
    expected = case.exact(*(exactly(column[-MEMORY - 400 :]) for column in taken), *case.parameters)
    assert len(expected) == len(made)
    for column, exact in zip(made, expected, strict=True):
        assert np.ptp(column[-JUDGED:]) > 0.0
        for value, wanted in zip(exactly(column[-JUDGED:]), exact[-JUDGED:], strict=True):
            assert abs(value - wanted) <= Fraction(case.relative) * abs(wanted) + Fraction(case.absolute), float(value - wanted)


def test_every_opcode_that_remembers_is_streamed() -> None:
    """A new opcode is judged here too, or keeps nothing."""
    assert set(CASES) | PLAIN | LARGER == set(OPCODES)
    assert all(OPCODES[op].state_words(()) == 0 for op in PLAIN)


@kernel
def naive(Z: I, X: F, S: F, total: i64) -> None:
    """A sum that takes the new and gives up the old, forever; the sum comes out in the third column."""
    position = 0
    for _ in range(total // BLOCK):
        fill(Z, X, BLOCK, total, PRICES, 1)
        for k in range(BLOCK):
            S[20] += X[k] - S[position]
            S[position] = X[k]
            position = position + 1 if position < 19 else 0
            X[2 * BLOCK + k] = S[20] / 20.0


def test_a_plain_running_sum_would_not_pass() -> None:
    """The stream can tell: a sum that is never renewed is off by more than is allowed."""
    last = np.zeros((3, BLOCK))
    entry(naive).bind(np.array([1, 0, 0]), last, np.zeros(21))(UPDATES)
    wanted = sma(exactly(last[0, -200:]), 20)[0]
    wrong = [abs(float((value - exact) / exact)) for value, exact in zip(exactly(last[2, -JUDGED:]), wanted, strict=True)]
    assert min(wrong) > SUMS
