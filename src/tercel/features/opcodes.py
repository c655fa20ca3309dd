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

from tercel.base.kernel import Entry, F, I, entry, i64, kernel

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


@opcode(1, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 4 + int(p[0]), memory_rows=lambda p: int(p[0]))
@kernel
def sma(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Simple moving average: mean of the last `rows` values.

    The running sum is replaced by the block's own sum each time the ring wraps, so it does not drift. State: position, full, running sum,
    block sum, then the ring of `rows`.
    """
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    j = int(S[s])
    full = S[s + 1]
    running = S[s + 2]
    block = S[s + 3]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            running = running + x - S[s + 4 + j]
            block = block + x
            S[s + 4 + j] = x
            j += 1
            if j == rows:
                j = 0
                full = 1.0
                running = block
                block = 0.0
            if full == 1.0:
                out = running / P[p]
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full
    S[s + 2] = running
    S[s + 3] = block


@opcode(2, 1, inputs=("value",), parameters=("rows",), state_words=lambda _: 2, memory_rows=lambda p: 9 * int(p[0]))
@kernel
def ema(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Exponential moving average, alpha = 2 / (rows + 1), begun with the mean of the first `rows` values (as TA-Lib begins it)."""
    rows = P[p]
    alpha = 2.0 / (rows + 1.0)
    a = R[r]
    y = R[r + 1]
    seen = S[s]
    value = S[s + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            if seen < rows:
                seen += 1.0
                value += x
                if seen == rows:
                    value = value / rows
                    out = value
            else:
                value = value + alpha * (x - value)
                out = value
        X[y + k] = out if out == out else NAN
    S[s] = seen
    S[s + 1] = value


@opcode(3, 1, inputs=("value",), parameters=("rows",), state_words=lambda _: 4, memory_rows=lambda p: 18 * int(p[0]))
@kernel
def rsi(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Relative strength index by Wilder's smoothing (New Concepts in Technical Trading Systems, 1978): 100 gain / (gain + loss).

    The first averages are the mean of the first `rows` changes, later ones move by (change - average) / rows. A market that has not moved
    at all reads 50. State: values seen (up to rows + 1), last value, average gain, average loss.
    """
    rows = P[p]
    share = 1.0 / rows
    a = R[r]
    y = R[r + 1]
    seen = S[s]
    last = S[s + 1]
    gain = S[s + 2]
    loss = S[s + 3]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            change = x - last
            up = change if change > 0.0 else 0.0
            down = -change if change < 0.0 else 0.0
            if seen > rows:
                gain = gain + (up - gain) * share
                loss = loss + (down - loss) * share
            elif seen > 0.0:
                gain += up
                loss += down
                if seen == rows:
                    gain = gain / rows
                    loss = loss / rows
            if seen >= rows:
                total = gain + loss
                out = 50.0
                if total > 0.0:
                    out = 100.0 * gain / total
            if seen <= rows:
                seen += 1.0
            last = x
        X[y + k] = out if out == out else NAN
    S[s] = seen
    S[s + 1] = last
    S[s + 2] = gain
    S[s + 3] = loss


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
    j = int(S[s])
    full = S[s + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            old = S[s + 2 + j]
            if full == 1.0 and old > 0.0:
                out = x / old - 1.0
            S[s + 2 + j] = x
            j += 1
            if j == rows:
                j = 0
                full = 1.0
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full


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
    j = int(S[s])
    full = S[s + 1]
    sum1 = S[s + 2]
    sum2 = S[s + 3]
    block1 = S[s + 4]
    block2 = S[s + 5]
    shift = S[s + 6]
    next_shift = S[s + 7]
    last = S[s + 8]
    seen = S[s + 9]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            if seen == 1.0 and last > 0.0:
                value = x / last - 1.0
                if j == 0:
                    next_shift = value
                old = S[s + 10 + j]
                away = value - shift
                sum1 = sum1 + away
                sum2 = sum2 + away * away
                if full == 1.0:
                    away = old - shift
                    sum1 = sum1 - away
                    sum2 = sum2 - away * away
                away = value - next_shift
                block1 = block1 + away
                block2 = block2 + away * away
                S[s + 10 + j] = value
                j += 1
                if j == rows:
                    j = 0
                    full = 1.0
                    shift = next_shift
                    sum1 = block1
                    sum2 = block2
                    block1 = 0.0
                    block2 = 0.0
                if full == 1.0:
                    square = (sum2 - sum1 * sum1 / P[p]) / (P[p] - 1.0)
                    out = 0.0
                    if square > 0.0:
                        out = math.sqrt(square)
            last = x
            seen = 1.0
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full
    S[s + 2] = sum1
    S[s + 3] = sum2
    S[s + 4] = block1
    S[s + 5] = block2
    S[s + 6] = shift
    S[s + 7] = next_shift
    S[s + 8] = last
    S[s + 9] = seen


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
