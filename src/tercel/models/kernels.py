"""Pure half of models: the raw score of one row, equal to the bit with the trainer's.

Missing values cost nothing per node, because a row is prepared for them: a *virtual feature* is a column together with a rule for missing
values, and each gets one integer key per row that sorts as the value does, or the smallest or largest integer when the value is missing and
goes left or right. In LightGBM a value of at most 1e-35 is zero, since it drops such values before it looks at a tree. XGBoost works in
float32: values and sums are rounded, and its `<` is `<=` with the float32 before the threshold.

A node is two words. A split has the key of its threshold, and `virtual feature << 32 | word of the left child`; its right child stands
NODE_WORDS later, so a step is one comparison and no branch. A leaf has its value and, as its only child, itself under a virtual feature
whose key is the smallest integer, so it never moves. Eight trees walk side by side to hide the wait for memory; each makes as many steps as
the deepest of the eight. Leaves are added in the order of the trees, which is what makes the sum equal to the bit.

Tried and slower or not exact: 8-byte nodes with ranks of thresholds (a search per column), trees sorted by depth (another order of the sum,
or a buffer), eight rows side by side through one tree (no gain over eight trees for one row).
"""

from __future__ import annotations

import math
from typing import Final

from tercel.base.kernel import F, I, bits, f64, i64, kernel, single

# G, the table of a forest: a head, VIRTUAL_WORDS for each virtual feature, GROUP_WORDS for each eight trees.
G_VIRTUAL, G_GROUPS, G_COLUMNS, G_SINGLE = 0, 1, 2, 3
HEAD_WORDS = 4
V_COLUMN, V_ZERO_MISSING, V_MISSING_KEY = 0, 1, 2
VIRTUAL_WORDS = 3
GROUP_DEPTH, GROUP_ROOTS, GROUP_TREES = 0, 1, 8
GROUP_WORDS = 9
NODE_WORDS = 2
INTERCEPT = 2  # word of W, after the node that fills the last group
FEATURE_SHIFT = 32
CHILD_MASK = 0xFFFF_FFFF
LEFT_ALWAYS: Final = -(2**63)
RIGHT_ALWAYS: Final = 2**63 - 1
ZERO_MAX: Final = 1.0000000180025095e-35  # 1e-35 in float32: LightGBM's kZeroThreshold
EXP_MAX: Final = 709.782712893384  # the exponential of anything larger is infinite


@kernel
def key_of(value: f64) -> i64:
    """An integer that sorts as the float64 does; -0.0 sorts below 0.0, NaN has no place."""
    word = bits(value)
    return word ^ ((word >> 63) & RIGHT_ALWAYS)


@kernel
def row_keys(G: I, K: I, X: F, at: i64, stride: i64) -> None:
    """Fill K with one key per virtual feature, and the smallest integer last; column c of the row is X[at + c * stride]."""
    count, rounds = G[G_VIRTUAL], G[G_SINGLE] != 0
    zero_max = 0.0 if rounds else ZERO_MAX
    for v in range(count):
        rule = HEAD_WORDS + v * VIRTUAL_WORDS
        value = X[at + G[rule + V_COLUMN] * stride]
        value = single(value) if rounds else value
        zero = abs(value) <= zero_max
        missing = (value != value) | (zero & (G[rule + V_ZERO_MISSING] != 0))
        key = key_of(0.0 if zero else value)
        K[v] = G[rule + V_MISSING_KEY] if missing else key
    K[count] = LEFT_ALWAYS


@kernel
def step(W: I, K: I, i: i64) -> i64:
    """The child of node `i` that the row goes to; a leaf is its own child."""
    word = W[i + 1]
    return (word & CHILD_MASK) + ((K[word >> FEATURE_SHIFT] > W[i]) << 1)


@kernel
def add_single(score: f64, a: f64, b: f64, c: f64, d: f64) -> f64:
    """The float32 sum, one after the other. Rounding a float64 sum of two float32 numbers gives what adding them in float32 does."""
    return single(single(single(single(score + a) + b) + c) + d)


@kernel
def walk(G: I, W: I, V: F, K: I) -> f64:
    """The raw score of the row whose keys are in K; V is the memory of W as floats."""
    score, rounds = V[INTERCEPT], G[G_SINGLE] != 0
    group = HEAD_WORDS + G[G_VIRTUAL] * VIRTUAL_WORDS
    for _ in range(G[G_GROUPS]):
        roots = group + GROUP_ROOTS
        a, b, c, d = G[roots], G[roots + 1], G[roots + 2], G[roots + 3]
        e, f, g, h = G[roots + 4], G[roots + 5], G[roots + 6], G[roots + 7]
        for _ in range(G[group + GROUP_DEPTH]):
            a, b, c, d = step(W, K, a), step(W, K, b), step(W, K, c), step(W, K, d)
            e, f, g, h = step(W, K, e), step(W, K, f), step(W, K, g), step(W, K, h)
        if rounds:
            score = add_single(add_single(score, V[a], V[b], V[c], V[d]), V[e], V[f], V[g], V[h])
        else:
            score = score + V[a] + V[b] + V[c] + V[d] + V[e] + V[f] + V[g] + V[h]
        group += GROUP_WORDS
    return score


@kernel
def score_row(G: I, W: I, V: F, K: I, X: F, at: i64, stride: i64) -> f64:
    """The raw score of one row; column c is X[at + c * stride]. K has room for one word more than there are virtual features."""
    row_keys(G, K, X, at, stride)
    return walk(G, W, V, K)


@kernel
def score_rows(G: I, W: I, V: F, K: I, X: F, O: F, rows: i64) -> None:
    """Raw scores of `rows` rows that stand one behind the other in X."""
    columns = G[G_COLUMNS]
    for row in range(rows):
        O[row] = score_row(G, W, V, K, X, row * columns, 1)


@kernel
def probabilities(O: F, rows: i64, sigmoid: f64) -> None:
    """Replace raw scores of a binary model by probabilities."""
    for row in range(rows):
        power = -sigmoid * O[row]
        O[row] = 0.0 if power > EXP_MAX else 1.0 / (1.0 + math.exp(power))
