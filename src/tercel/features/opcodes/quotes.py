"""The two sides of a quote and their sizes, the flow of orders, one column beside another, and the volume against its mean."""

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
            if full == 1.0 and zeros < P[p] and running / P[p] > 0.0:
                out = x / (running / P[p])
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full
    S[s + 2] = running
    S[s + 3] = block
    S[s + 4] = zeros


@opcode(21, 1, inputs=("bid", "ask", "bid_size", "ask_size"))
@kernel
def micro_price(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Micro-price (Gatheral and Oomen, Zero-intelligence realized variance estimation, 2010): each side weighed by the size opposite.

    (bid * ask_size + ask * bid_size) / (bid_size + ask_size), in price units; NaN where the sizes do not add up to more than 0.
    """
    a = R[r]
    b = R[r + 1]
    c = R[r + 2]
    d = R[r + 3]
    y = R[r + 4]
    for k in range(n):
        depth = X[c + k] + X[d + k]
        out = NAN
        if depth > 0.0:
            out = (X[a + k] * X[d + k] + X[b + k] * X[c + k]) / depth
        X[y + k] = out if out == out else NAN


@opcode(22, 1, inputs=("bid_size", "ask_size"))
@kernel
def imbalance(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Imbalance of the quoted sizes (Cartea, Jaimungal and Penalva, Algorithmic and High-Frequency Trading, 2015), -1 to 1.

    (bid_size - ask_size) / (bid_size + ask_size); NaN where the sizes do not add up to more than 0.
    """
    a = R[r]
    b = R[r + 1]
    y = R[r + 2]
    for k in range(n):
        depth = X[a + k] + X[b + k]
        out = NAN
        if depth > 0.0:
            out = (X[a + k] - X[b + k]) / depth
        X[y + k] = out if out == out else NAN


@opcode(
    23,
    1,
    inputs=("flow", "bid_size", "ask_size"),
    parameters=("rows",),
    state_words=lambda p: 8 + 2 * int(p[0]),
    memory_rows=lambda p: int(p[0]),
)
@kernel
def order_flow(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Order-flow imbalance of the last `rows` bars over their depth (Cont, Kukanov, Stoikov: The Price Impact of Order Book Events, 2014).

    Sum of the flows over the mean of (bid_size + ask_size) / 2, no unit; NaN where that mean is not positive. The sums do not drift (see
    `sma`); nothing but zeros is a sum of zero, to the bit. State: position, full, flow, block flow, depth, block depth, flows of zero in a
    row, depths of zero in a row, then the ring of flows and the ring of depths.
    """
    rows = int(P[p])
    flows = s + 8
    depths = flows + rows
    a = R[r]
    b = R[r + 1]
    c = R[r + 2]
    y = R[r + 3]
    j = int(S[s])
    full = S[s + 1]
    flow = S[s + 2]
    block_flow = S[s + 3]
    depth = S[s + 4]
    block_depth = S[s + 5]
    still = S[s + 6]
    empty = S[s + 7]
    for k in range(n):
        x = X[a + k]
        half = (X[b + k] + X[c + k]) * 0.5
        out = NAN
        if x == x and half == half:
            still = still + 1.0 if x == 0.0 else 0.0
            empty = empty + 1.0 if half == 0.0 else 0.0
            flow = flow + x - S[flows + j]
            depth = depth + half - S[depths + j]
            block_flow = block_flow + x
            block_depth = block_depth + half
            S[flows + j] = x
            S[depths + j] = half
            j += 1
            if j == rows:
                j = 0
                full = 1.0
                flow = block_flow
                depth = block_depth
                block_flow = 0.0
                block_depth = 0.0
            if full == 1.0 and empty < P[p] and depth > 0.0:
                out = 0.0
                if still < P[p]:
                    out = flow / (depth / P[p])
        X[y + k] = out if out == out else NAN
    S[s] = float(j)
    S[s + 1] = full
    S[s + 2] = flow
    S[s + 3] = block_flow
    S[s + 4] = depth
    S[s + 5] = block_depth
    S[s + 6] = still
    S[s + 7] = empty


@opcode(25, 1, inputs=("left", "right"))
@kernel
def ratio(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """left / right; NaN where right is 0."""
    a = R[r]
    b = R[r + 1]
    y = R[r + 2]
    for k in range(n):
        out = NAN
        if X[b + k] != 0.0:
            out = X[a + k] / X[b + k]
        X[y + k] = out if out == out else NAN
