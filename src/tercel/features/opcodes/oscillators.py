"""Oscillators, 0 to 100: which part of the movement went up, and where that part lies among its last values."""

from __future__ import annotations

from tercel.base.kernel import F, I, i64, kernel
from tercel.features.opcodes.ranges import GREATEST_WORDS, greatest
from tercel.features.opcodes.table import NAN, opcode

RSI_SPAN_MIN = 1e-9  # an RSI of a market that stands still moves by its roundings, about 1e-14: less than this is no movement


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


@opcode(14, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 9 + int(p[0]), memory_rows=lambda p: int(p[0]) + 1)
@kernel
def rsi_simple(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Relative strength index by simple sums (Cutler): 100 gain / (gain + loss) over the last `rows` changes; 50 when none of them moved.

    The sums do not drift (see `sma`) and leave nothing behind: the past beyond `rows` changes does not matter. State: position, full,
    values seen (0 or 1), last value, gain, loss, block gain, block loss, changes of zero in a row, then the ring of changes.
    """
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    j = int(S[s])
    full = S[s + 1]
    seen = S[s + 2]
    last = S[s + 3]
    gain = S[s + 4]
    loss = S[s + 5]
    block_gain = S[s + 6]
    block_loss = S[s + 7]
    still = S[s + 8]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            if seen == 1.0:
                change = x - last
                still = still + 1.0 if change == 0.0 else 0.0
                up = change if change > 0.0 else 0.0
                down = -change if change < 0.0 else 0.0
                old = S[s + 9 + j]
                old_up = old if old > 0.0 else 0.0
                old_down = -old if old < 0.0 else 0.0
                gain = gain + up - old_up
                loss = loss + down - old_down
                block_gain = block_gain + up
                block_loss = block_loss + down
                S[s + 9 + j] = change
                j += 1
                if j == rows:
                    j = 0
                    full = 1.0
                    gain = block_gain
                    loss = block_loss
                    block_gain = 0.0
                    block_loss = 0.0
                if full == 1.0:
                    # A sum of nothing may be a rounding below zero.
                    up = 0.0 if gain < 0.0 else gain
                    total = up if loss < 0.0 else up + loss
                    if still >= P[p]:
                        out = 50.0
                    elif total > 0.0:
                        out = 100.0 * up / total
            last = x
            seen = 1.0
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full
    S[s + 2] = seen
    S[s + 3] = last
    S[s + 4] = gain
    S[s + 5] = loss
    S[s + 6] = block_gain
    S[s + 7] = block_loss
    S[s + 8] = still


@opcode(
    15,
    1,
    inputs=("value",),
    parameters=("rows", "k_rows", "d_rows"),
    outputs=("k", "d"),
    state_words=lambda p: 14 + 2 * int(p[1]) + int(p[2]),
    memory_rows=lambda p: 30 * int(p[0]) + int(p[1]) + int(p[2]),
)
@kernel
def stoch_rsi(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Stochastic of the relative strength index (Chande and Kroll; TA-Lib's STOCHRSI), 0 to 100.

    k = 100 (RSI - lowest) / (highest - lowest) over the last `k_rows` values of Wilder's RSI of `rows`, d = mean of the last `d_rows` k;
    both are known from the same row on. Where the RSI has moved by less than 1e-9, k is 0, as TA-Lib has it for a span of exactly zero.
    State: values seen (up to rows + 1), last value, average gain, average loss, position, full, sum and block sum of k, `greatest` of the
    RSI, `greatest` of its negative, the ring of k.
    """
    rows = P[p]
    k_rows = int(P[p + 1])
    d_rows = int(P[p + 2])
    share = 1.0 / rows
    high = s + 8
    low = high + GREATEST_WORDS + k_rows
    ring = low + GREATEST_WORDS + k_rows
    a = R[r]
    y = R[r + 1]
    y_mean = R[r + 2]
    seen = S[s]
    last = S[s + 1]
    gain = S[s + 2]
    loss = S[s + 3]
    j = int(S[s + 4])
    full = S[s + 5]
    running = S[s + 6]
    block = S[s + 7]
    for k in range(n):
        x = X[a + k]
        out = NAN
        mean = NAN
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
            strength = NAN
            if seen >= rows:
                total = gain + loss
                if total > 0.0:
                    strength = 100.0 * gain / total
                elif total == 0.0:
                    strength = 50.0
            if seen <= rows:
                seen += 1.0
            last = x
            if strength == strength:
                highest = greatest(S, high, k_rows, strength)
                lowest = -greatest(S, low, k_rows, -strength)
                if S[high + 1] == 1.0:
                    span = highest - lowest
                    place = 0.0
                    if span > RSI_SPAN_MIN:
                        place = 100.0 * (strength - lowest) / span
                    running = running + place - S[ring + j]
                    block = block + place
                    S[ring + j] = place
                    j += 1
                    if j == d_rows:
                        j = 0
                        full = 1.0
                        running = block
                        block = 0.0
                    if full == 1.0:
                        out = place
                        mean = running / P[p + 2]
        X[y + k] = out if out == out else NAN
        X[y_mean + k] = mean if mean == mean else NAN
    S[s] = seen
    S[s + 1] = last
    S[s + 2] = gain
    S[s + 3] = loss
    S[s + 4] = float(j)
    S[s + 5] = full
    S[s + 6] = running
    S[s + 7] = block
