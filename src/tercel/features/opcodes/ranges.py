"""Extremes of the last rows, channels between them, and the true range."""

from __future__ import annotations

from tercel.base.kernel import F, I, f64, i64, kernel
from tercel.features.opcodes.table import NAN, opcode

GREATEST_WORDS = 3  # words of the state of `greatest` before its ring


@kernel
def greatest(S: F, s: i64, rows: i64, x: f64) -> f64:
    """The greatest of x and the `rows` - 1 values before it, x not being NaN; known once S[s + 1] is 1.

    By blocks (van Herk; Gil and Werman): when the ring wraps, each value in it gives way to the greatest from it to the block's end, in
    `rows` steps. From then on the window is the rest of that block, one look, and the new block, whose greatest is kept.
    State, 3 + rows words: position, full, greatest of the new block, then the ring.
    """
    ring = s + GREATEST_WORDS
    j = int(S[s])
    most = x
    if j > 0 and S[s + 2] > x:
        most = S[s + 2]
    S[s + 2] = most
    S[ring + j] = x
    j += 1
    if j < rows:
        S[s] = float(j)
        if S[ring + j] > most and S[s + 1] == 1.0:
            most = S[ring + j]
    else:
        S[s] = 0.0
        S[s + 1] = 1.0
        top = x
        for back in range(1, rows):
            value = S[ring + rows - 1 - back]
            top = value if value > top else top
            S[ring + rows - 1 - back] = top
    return most


@opcode(16, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 3 + int(p[0]), memory_rows=lambda p: int(p[0]))
@kernel
def rolling_min(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """The smallest of the last `rows` values (TA-Lib's MIN). State: that of `greatest`, which keeps the values with their sign turned."""
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            least = -greatest(S, s, rows, -x)
            if S[s + 1] == 1.0:
                out = least
        X[y + k] = out if out == out else NAN


@opcode(17, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 3 + int(p[0]), memory_rows=lambda p: int(p[0]))
@kernel
def rolling_max(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """The greatest of the last `rows` values (TA-Lib's MAX). State: that of `greatest`."""
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            most = greatest(S, s, rows, x)
            if S[s + 1] == 1.0:
                out = most
        X[y + k] = out if out == out else NAN


@opcode(
    18,
    1,
    inputs=("high", "low"),
    parameters=("rows",),
    outputs=("middle", "upper", "lower"),
    state_words=lambda p: 6 + 2 * int(p[0]),
    memory_rows=lambda p: int(p[0]),
)
@kernel
def donchian(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Donchian channel of the last `rows` bars, this one included: upper = greatest high, lower = smallest low, middle = their mean.

    State: that of `greatest` for the highs, then for the lows with their sign turned.
    """
    rows = int(P[p])
    low_state = s + GREATEST_WORDS + rows
    a = R[r]
    b = R[r + 1]
    y = R[r + 2]
    y_upper = R[r + 3]
    y_lower = R[r + 4]
    for k in range(n):
        high = X[a + k]
        low = X[b + k]
        middle = NAN
        upper = NAN
        lower = NAN
        if high == high and low == low:
            most = greatest(S, s, rows, high)
            least = -greatest(S, low_state, rows, -low)
            if S[s + 1] == 1.0:
                upper = most
                lower = least
                middle = most * 0.5 + least * 0.5
        X[y + k] = middle if middle == middle else NAN
        X[y_upper + k] = upper if upper == upper else NAN
        X[y_lower + k] = lower if lower == lower else NAN


@opcode(19, 1, inputs=("high", "low", "close"), parameters=("rows",), state_words=lambda _: 3, memory_rows=lambda p: 18 * int(p[0]) + 1)
@kernel
def atr(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Average true range by Wilder's smoothing (New Concepts in Technical Trading Systems, 1978), in price units.

    True range: the greatest of high - low, |high - last close| and |low - last close|; the first bar has none. The first average is the
    mean of the first `rows` ranges, later ones move by (range - average) / rows. State: bars seen (up to rows + 1), last close, average.
    """
    rows = P[p]
    share = 1.0 / rows
    a = R[r]
    b = R[r + 1]
    c = R[r + 2]
    y = R[r + 3]
    seen = S[s]
    last = S[s + 1]
    average = S[s + 2]
    for k in range(n):
        high = X[a + k]
        low = X[b + k]
        close = X[c + k]
        out = NAN
        if high == high and low == low and close == close:
            reach = high - low
            from_high = high - last if high > last else last - high
            from_low = low - last if low > last else last - low
            if from_high > reach:
                reach = from_high
            if from_low > reach:
                reach = from_low
            if seen > rows:
                average = average + (reach - average) * share
            elif seen > 0.0:
                average += reach
                if seen == rows:
                    average = average / rows
            if seen >= rows:
                out = average
            if seen <= rows:
                seen += 1.0
            last = close
        X[y + k] = out if out == out else NAN
    S[s] = seen
    S[s + 1] = last
    S[s + 2] = average
