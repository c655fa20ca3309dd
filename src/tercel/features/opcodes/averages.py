"""Averages of one column: simple, weighted, exponential, and the gap between two exponential ones."""

from __future__ import annotations

from tercel.base.kernel import F, I, i64, kernel
from tercel.features.opcodes.table import NAN, opcode


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


@opcode(9, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 6 + int(p[0]), memory_rows=lambda p: int(p[0]))
@kernel
def wma(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Linearly weighted moving average (as TA-Lib's WMA): sum of i * value over 1 + 2 + .. + rows, the newest value weighing `rows`.

    One row on, every weight falls by one, which is the plain sum. Both sums are replaced by the block's own each time the ring wraps.
    State: position, full, sum, weighted sum, block sum, block weighted sum, then the ring of `rows`.
    """
    rows = int(P[p])
    weights = P[p] * (P[p] + 1.0) * 0.5
    a = R[r]
    y = R[r + 1]
    j = int(S[s])
    full = S[s + 1]
    total = S[s + 2]
    weighted = S[s + 3]
    block = S[s + 4]
    block_weighted = S[s + 5]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            weighted = weighted + P[p] * x - total
            total = total + x - S[s + 6 + j]
            S[s + 6 + j] = x
            j += 1
            block = block + x
            block_weighted = block_weighted + float(j) * x
            if j == rows:
                j = 0
                full = 1.0
                total = block
                weighted = block_weighted
                block = 0.0
                block_weighted = 0.0
            if full == 1.0:
                out = weighted / weights
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full
    S[s + 2] = total
    S[s + 3] = weighted
    S[s + 4] = block
    S[s + 5] = block_weighted


@opcode(
    10,
    1,
    inputs=("value",),
    parameters=("fast_rows", "slow_rows", "signal_rows"),
    outputs=("line", "signal", "hist"),
    state_words=lambda _: 5,
    memory_rows=lambda p: 9 * (int(p[1]) + int(p[2])),
)
@kernel
def macd(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Moving average convergence divergence (Appel): line = fast EMA - slow EMA, signal = EMA of the line, hist = line - signal.

    Begun as TA-Lib begins it: the slow average with the mean of the first `slow_rows` values, the fast one with the mean of the last
    `fast_rows` of those, the signal with the mean of its first lines; all three outputs are known from the same row on.
    State: values seen (up to slow_rows), fast average, slow average, lines seen (up to signal_rows), signal.
    """
    fast_rows = P[p]
    slow_rows = P[p + 1]
    signal_rows = P[p + 2]
    fast_share = 2.0 / (fast_rows + 1.0)
    slow_share = 2.0 / (slow_rows + 1.0)
    signal_share = 2.0 / (signal_rows + 1.0)
    a = R[r]
    y = R[r + 1]
    y_signal = R[r + 2]
    y_hist = R[r + 3]
    seen = S[s]
    fast = S[s + 1]
    slow = S[s + 2]
    lines = S[s + 3]
    signal = S[s + 4]
    for k in range(n):
        x = X[a + k]
        line = NAN
        below = NAN
        hist = NAN
        if x == x:
            if seen < slow_rows:
                seen += 1.0
                slow += x
                if seen > slow_rows - fast_rows:
                    fast += x
                if seen == slow_rows:
                    slow = slow / slow_rows
                    fast = fast / fast_rows
            else:
                fast = fast + fast_share * (x - fast)
                slow = slow + slow_share * (x - slow)
            if seen == slow_rows:
                gap = fast - slow
                if lines < signal_rows:
                    lines += 1.0
                    signal += gap
                    if lines == signal_rows:
                        signal = signal / signal_rows
                else:
                    signal = signal + signal_share * (gap - signal)
                if lines == signal_rows:
                    line = gap
                    below = signal
                    hist = gap - signal
        X[y + k] = line if line == line else NAN
        X[y_signal + k] = below if below == below else NAN
        X[y_hist + k] = hist if hist == hist else NAN
    S[s] = seen
    S[s + 1] = fast
    S[s + 2] = slow
    S[s + 3] = lines
    S[s + 4] = signal
