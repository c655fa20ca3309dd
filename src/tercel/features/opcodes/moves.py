"""How far and how widely a column moves: what it was, returns, rate of change, volatility, bands and z-score."""

from __future__ import annotations

import math

from tercel.base.kernel import F, I, i64, kernel
from tercel.features.opcodes.table import NAN, opcode

LN_2 = 0.6931471805599453
OCTAVE = 1.4142135623730951  # the square root of 2
PRICE_MAX = 1e300  # no price; above it the sum of two would not be finite
DEVIATION_MIN = 1e-12  # of the value: less than this is no deviation


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


@opcode(13, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 2 + int(p[0]), memory_rows=lambda p: int(p[0]) + 1)
@kernel
def roc(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Rate of change in percent (TA-Lib's ROC): 100 (value / value `rows` ago - 1); NaN where the old value is not positive."""
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
                out = 100.0 * (x / old - 1.0)
            S[s + 2 + j] = x
            j += 1
            if j == rows:
                j = 0
                full = 1.0
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full


@opcode(
    11,
    1,
    inputs=("value",),
    parameters=("rows", "deviations"),
    outputs=("middle", "upper", "lower"),
    state_words=lambda p: 10 + int(p[0]),
    memory_rows=lambda p: int(p[0]),
)
@kernel
def bollinger(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Bollinger bands: middle = mean of the last `rows` values, upper and lower = middle +- `deviations` population standard deviations.

    The sums are of (value - K) with K fixed for a block and chosen anew at each wrap, as in `volatility`. A window of one value repeated
    has bands on that value, to the bit. State: position, full, sum, square sum, block sum, block square sum, K, next K, last value, how
    often it came in a row, then the ring of `rows`.
    """
    rows = int(P[p])
    deviations = P[p + 1]
    a = R[r]
    y = R[r + 1]
    y_upper = R[r + 2]
    y_lower = R[r + 3]
    j = int(S[s])
    full = S[s + 1]
    sum1 = S[s + 2]
    sum2 = S[s + 3]
    block1 = S[s + 4]
    block2 = S[s + 5]
    shift = S[s + 6]
    next_shift = S[s + 7]
    last = S[s + 8]
    still = S[s + 9]
    for k in range(n):
        x = X[a + k]
        middle = NAN
        width = NAN
        if x == x:
            still = still + 1.0 if x == last else 1.0
            last = x
            if j == 0:
                next_shift = x
            away = x - shift
            sum1 = sum1 + away
            sum2 = sum2 + away * away
            if full == 1.0:
                away = S[s + 10 + j] - shift
                sum1 = sum1 - away
                sum2 = sum2 - away * away
            away = x - next_shift
            block1 = block1 + away
            block2 = block2 + away * away
            S[s + 10 + j] = x
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
                middle = shift + sum1 / P[p]
                square = (sum2 - sum1 * sum1 / P[p]) / P[p]
                if still >= P[p]:
                    middle = x
                    width = 0.0
                elif square > 0.0:
                    width = deviations * math.sqrt(square)
                elif square == square:
                    width = 0.0
        upper = middle + width
        lower = middle - width
        X[y + k] = middle if middle == middle else NAN
        X[y_upper + k] = upper if upper == upper else NAN
        X[y_lower + k] = lower if lower == lower else NAN
    S[s] = float(j)
    S[s + 1] = full
    S[s + 2] = sum1
    S[s + 3] = sum2
    S[s + 4] = block1
    S[s + 5] = block2
    S[s + 6] = shift
    S[s + 7] = next_shift
    S[s + 8] = last
    S[s + 9] = still


@opcode(12, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 10 + int(p[0]), memory_rows=lambda p: int(p[0]))
@kernel
def zscore(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """How many population standard deviations the value lies above the mean of the last `rows` values, itself included.

    0 for a window that stands still: one value repeated, or a deviation below 1e-12 of the value, which is what is left of roundings in the
    values themselves, such as in the middle of bid and ask. Sums and state as in `bollinger`.
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
    still = S[s + 9]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            still = still + 1.0 if x == last else 1.0
            last = x
            if j == 0:
                next_shift = x
            away = x - shift
            sum1 = sum1 + away
            sum2 = sum2 + away * away
            if full == 1.0:
                away = S[s + 10 + j] - shift
                sum1 = sum1 - away
                sum2 = sum2 - away * away
            away = x - next_shift
            block1 = block1 + away
            block2 = block2 + away * away
            S[s + 10 + j] = x
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
                square = (sum2 - sum1 * sum1 / P[p]) / P[p]
                floor = DEVIATION_MIN * x
                if still >= P[p] or square <= floor * floor:
                    out = 0.0
                elif square > 0.0:
                    out = (x - shift - sum1 / P[p]) / math.sqrt(square)
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
    S[s + 9] = still


@opcode(26, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 2 + int(p[0]), memory_rows=lambda p: int(p[0]) + 1)
@kernel
def log_return(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Logarithmic return over `rows` rows: ln(value / value `rows` ago), which adds up over time; NaN where either is not in (0, 1e300].

    ln(x / old) = 2 artanh((x - old) / (x + old)) by its power series, after x was halved or doubled, which is exact, until it lies within a
    factor of the square root of 2 of old: the difference of close values carries no rounding. State: position, full, then the ring.
    """
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
            if full == 1.0 and old > 0.0 and x > 0.0 and old <= PRICE_MAX and x <= PRICE_MAX:
                near = x
                doublings = 0.0
                while near > OCTAVE * old:
                    near = near * 0.5
                    doublings += 1.0
                while near * OCTAVE < old:
                    near = near * 2.0
                    doublings -= 1.0
                part = (near - old) / (near + old)
                square = part * part
                series = 1.0 / 23.0
                for term in range(11):
                    series = series * square + 1.0 / float(21 - 2 * term)
                out = doublings * LN_2 + 2.0 * part * series
            S[s + 2 + j] = x
            j += 1
            if j == rows:
                j = 0
                full = 1.0
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full


@opcode(27, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 2 + int(p[0]), memory_rows=lambda p: int(p[0]) + 1)
@kernel
def lag(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """The value `rows` known rows ago. State: position, full, then the ring of `rows`."""
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    j = int(S[s])
    full = S[s + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            if full == 1.0:
                out = S[s + 2 + j]
            S[s + 2 + j] = x
            j += 1
            if j == rows:
                j = 0
                full = 1.0
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full
