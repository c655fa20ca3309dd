"""The opcodes: every feature is one function over a block of rows, and the same function serves one tick, a batch and ten years.

    op(S, s, P, p, X, R, r, n)
    S, s   state memory and the offset of this opcode's state; all zeros is the start
    P, p   parameter memory and the offset of this opcode's parameters
    X      the block: columns of float64 in one memory
    R, r   where each column begins in X: first the input columns, then the output columns
    n      rows in this block, at least 1

The functions keep to the subset that the translator understands: float64 and int64 scalars, flat memory, `for`, `while`, `if`; no `//`,
`%`, `**`, `min`, `max`, no chained comparison, every division guarded. A NaN input yields NaN and does not advance. State is
O(parameters), work per row is O(1), and rolling sums do not drift: a running sum is replaced by the block's own sum each time the ring
wraps.

An opcode's version rises when its golden vector changes; programs carry the version in their hash.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tercel.base.kernel import Entry, F, I, entry, f64, i64, kernel

NAN = float("nan")


@dataclass(frozen=True)
class Opcode:
    """One entry of the opcode table."""

    name: str
    number: int
    version: int
    function: Any
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    state_words: Callable[[Sequence[float]], int]
    memory_rows: Callable[[Sequence[float]], int]

    @property
    def entry(self) -> Entry:
        """The compiled function."""
        return entry(self.function)


OPCODES: dict[str, Opcode] = {}


def opcode(
    number: int,
    version: int,
    *,
    inputs: tuple[str, ...],
    parameters: tuple[str, ...] = (),
    state_words: Callable[[Sequence[float]], int] = lambda _: 0,
    memory_rows: Callable[[Sequence[float]], int] = lambda _: 1,
) -> Callable[[Any], Any]:
    """Enter a kernel into the opcode table. `memory_rows` is how many rows it takes until an unknown past no longer matters."""

    def register(fn: Any) -> Any:
        name = fn.__name__
        OPCODES[name] = Opcode(name, number, version, fn, inputs, parameters, state_words, memory_rows)
        return fn

    return register


@kernel
def roll_sum(S: F, s: i64, n: i64, x: f64) -> f64:
    """Sum of the last n values, without drift; NaN until there are n. State: position, full, running, block, then the ring of n."""
    j = int(S[s])
    ring = s + 4 + j
    running = S[s + 2] + x - S[ring]
    block = S[s + 3] + x
    S[ring] = x
    j += 1
    if j == n:
        j = 0
        S[s + 1] = 1.0
        running = block
        block = 0.0
    S[s] = float(j)
    S[s + 2] = running
    S[s + 3] = block
    if S[s + 1] == 0.0:
        return NAN
    return running


@opcode(1, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 4 + int(p[0]), memory_rows=lambda p: int(p[0]))
@kernel
def sma(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Simple moving average: mean of the last `rows` values."""
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            out = roll_sum(S, s, rows, x) / P[p]
        X[y + k] = out if out == out else NAN


@opcode(2, 1, inputs=("value",), parameters=("rows",), state_words=lambda _: 2, memory_rows=lambda p: 9 * int(p[0]))
@kernel
def ema(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Exponential moving average, alpha = 2 / (rows + 1), begun with the mean of the first `rows` values (as TA-Lib begins it)."""
    rows = P[p]
    alpha = 2.0 / (rows + 1.0)
    a = R[r]
    y = R[r + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            seen = S[s]
            if seen < rows:
                seen += 1.0
                S[s] = seen
                S[s + 1] += x
                if seen == rows:
                    S[s + 1] = S[s + 1] / rows
                    out = S[s + 1]
            else:
                out = S[s + 1] + alpha * (x - S[s + 1])
                S[s + 1] = out
        X[y + k] = out if out == out else NAN


@opcode(3, 1, inputs=("value",), parameters=("rows",), state_words=lambda _: 4, memory_rows=lambda p: 18 * int(p[0]))
@kernel
def rsi(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Relative strength index by Wilder's smoothing (New Concepts in Technical Trading Systems, 1978): 100 gain / (gain + loss).

    The first averages are the mean of the first `rows` changes. A market that has not moved at all reads 50.
    """
    rows = P[p]
    a = R[r]
    y = R[r + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            seen = S[s]
            if seen > 0.0:
                change = x - S[s + 1]
                gain = change if change > 0.0 else 0.0
                loss = -change if change < 0.0 else 0.0
                if seen <= rows:
                    S[s + 2] += gain
                    S[s + 3] += loss
                    if seen == rows:
                        S[s + 2] = S[s + 2] / rows
                        S[s + 3] = S[s + 3] / rows
                else:
                    S[s + 2] = (S[s + 2] * (rows - 1.0) + gain) / rows
                    S[s + 3] = (S[s + 3] * (rows - 1.0) + loss) / rows
                if seen >= rows:
                    total = S[s + 2] + S[s + 3]
                    out = 50.0
                    if total > 0.0:
                        out = 100.0 * S[s + 2] / total
            if seen <= rows:
                S[s] = seen + 1.0
            S[s + 1] = x
        X[y + k] = out if out == out else NAN


@opcode(4, 1, inputs=("bid", "ask"))
@kernel
def spread(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Ask minus bid, in price units; negative while the market is crossed."""
    a = R[r]
    b = R[r + 1]
    y = R[r + 2]
    for k in range(n):
        out = X[b + k] - X[a + k]
        X[y + k] = out if out == out else NAN


@opcode(5, 1, inputs=("bid", "ask"))
@kernel
def mid(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Half of bid plus ask, in price units."""
    a = R[r]
    b = R[r + 1]
    y = R[r + 2]
    for k in range(n):
        out = (X[a + k] + X[b + k]) * 0.5
        X[y + k] = out if out == out else NAN


@opcode(6, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 2 + int(p[0]), memory_rows=lambda p: int(p[0]) + 1)
@kernel
def returns(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Simple return over `rows` rows: value / value `rows` ago - 1; NaN where the old value is not positive."""
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            j = int(S[s])
            old = S[s + 2 + j]
            if S[s + 1] == 1.0 and old > 0.0:
                out = x / old - 1.0
            S[s + 2 + j] = x
            j += 1
            if j == rows:
                j = 0
                S[s + 1] = 1.0
            S[s] = float(j)
        X[y + k] = out if out == out else NAN


@opcode(7, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 10 + int(p[0]), memory_rows=lambda p: int(p[0]) + 1)
@kernel
def volatility(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Realised volatility: sample standard deviation (n - 1) of the last `rows` one-row simple returns, per row, not annualised.

    The sums are of (return - K) with K fixed for a block and chosen anew at each wrap, so neither drift nor cancellation grows.
    State: position, full, sum, square sum, block sum, block square sum, K, next K, previous value, seen, then the ring of returns.
    """
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            if S[s + 9] == 1.0 and S[s + 8] > 0.0:
                value = x / S[s + 8] - 1.0
                j = int(S[s])
                ring = s + 10 + j
                if j == 0:
                    S[s + 7] = value
                old = S[ring]
                shift = S[s + 6]
                sum1 = S[s + 2] + (value - shift)
                sum2 = S[s + 3] + (value - shift) * (value - shift)
                if S[s + 1] == 1.0:
                    sum1 = sum1 - (old - shift)
                    sum2 = sum2 - (old - shift) * (old - shift)
                next_shift = S[s + 7]
                block1 = S[s + 4] + (value - next_shift)
                block2 = S[s + 5] + (value - next_shift) * (value - next_shift)
                S[ring] = value
                j += 1
                if j == rows:
                    j = 0
                    S[s + 1] = 1.0
                    S[s + 6] = next_shift
                    sum1 = block1
                    sum2 = block2
                    block1 = 0.0
                    block2 = 0.0
                S[s] = float(j)
                S[s + 2] = sum1
                S[s + 3] = sum2
                S[s + 4] = block1
                S[s + 5] = block2
                if S[s + 1] == 1.0:
                    square = (sum2 - sum1 * sum1 / P[p]) / (P[p] - 1.0)
                    out = 0.0
                    if square > 0.0:
                        out = math.sqrt(square)
            S[s + 8] = x
            S[s + 9] = 1.0
        X[y + k] = out if out == out else NAN


@opcode(8, 1, inputs=("left", "right"))
@kernel
def difference(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """left - right."""
    a = R[r]
    b = R[r + 1]
    y = R[r + 2]
    for k in range(n):
        out = X[a + k] - X[b + k]
        X[y + k] = out if out == out else NAN
