"""The two sides of a quote, one column less another, and the volume against its mean."""

from __future__ import annotations

from tercel.base.kernel import F, I, i64, kernel
from tercel.features.opcodes.table import NAN, opcode


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


@opcode(20, 1, inputs=("value",), parameters=("rows",), state_words=lambda p: 5 + int(p[0]), memory_rows=lambda p: int(p[0]))
@kernel
def volume_ratio(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """A value, usually the volume, over the mean of the last `rows` values, itself included; NaN where that mean is not positive.

    The sum does not drift (see `sma`); nothing but zeros in a row is a mean of zero, to the bit. State: position, full, running sum,
    block sum, zeros in a row, then the ring of `rows`.
    """
    rows = int(P[p])
    a = R[r]
    y = R[r + 1]
    j = int(S[s])
    full = S[s + 1]
    running = S[s + 2]
    block = S[s + 3]
    zeros = S[s + 4]
    for k in range(n):
        x = X[a + k]
        out = NAN
        if x == x:
            zeros = zeros + 1.0 if x == 0.0 else 0.0
            running = running + x - S[s + 5 + j]
            block = block + x
            S[s + 5 + j] = x
            j += 1
            if j == rows:
                j = 0
                full = 1.0
                running = block
                block = 0.0
            if full == 1.0 and zeros < P[p] and running > 0.0:
                out = x / (running / P[p])
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full
    S[s + 2] = running
    S[s + 3] = block
    S[s + 4] = zeros
