"""Pure half of models: the raw score of one row, equal to the bit with the trainer's.

Missing values cost nothing per node, because a row is prepared for them: a *virtual feature* is a column together with a rule for missing
values, and each gets one integer key per row that sorts as the value does, or the smallest or largest integer when the value is missing and
goes left or right. In LightGBM a value of at most 1e-35 is zero, since it drops such values before it looks at a tree. XGBoost works in
float32: values and sums are rounded, and its `<` is `<=` with the float32 before the threshold.

A node is two words. A split has the key of its threshold, and `virtual feature << 32 | word of the left child`; its right child stands
NODE_WORDS later, so a step is one comparison and no branch. A leaf has its value and, as its only child, itself under a virtual feature
whose key is the smallest integer, so it never moves. Eight trees walk side by side to hide the wait for memory; each makes as many steps as
the deepest of the eight. Leaves are added in the order of the trees, which is what makes the sum equal to the bit.

A categorical split is a virtual feature of its own: its key is the smallest integer when the row's category goes left and the largest when
it goes right, so nodes cost nothing extra either. A table per column has a row of bits for NaN, one for every other value that is no
category, and one per category: bit j says whether the column's j-th categorical split sends it left.

Batches go another way when no tree has more than 64 leaves. Every node is asked, for `LANES` rows at once: rows that go right at it lose
the leaves on its left, and the lowest leaf that is left over is the row's (QuickScorer of Lucchese and others, 2015, with rows as vectors).
That asks two to three times as many nodes as a walk takes steps, but waits for none and reads each once for `LANES` rows. The keys of a
block of rows stay in the first cache while the trees pass by. 200 trees of 31 leaves: 0.8 µs a row where walking takes 2.4.

Tried and slower or not exact: 8-byte nodes with ranks of thresholds (a search per column), trees sorted by depth (another order of the sum,
or a buffer), eight rows side by side through one tree (no gain over eight trees for one row). For batches: sixteen named masks that the
compiler should keep in vectors (2.2 µs a row, it keeps half of them), eight or sixteen lanes (1.9 and 1.2 µs, a node is read more often), a
single block of 32 rows through all trees (1.4 µs against 0.7 in blocks of 128: the nodes come from the second cache).
"""

from __future__ import annotations

import math
from typing import Final

from tercel.base.kernel import F, I, bits, f64, i64, kernel, single
from tercel.models.lanes import LANE_NODE_WORDS, LANES, leaves_left, lowest_bit

# G, the table of a forest: a head, VIRTUAL_WORDS for each numerical virtual feature, GROUP_WORDS for each eight trees, CATEGORY_WORDS for
# each categorical column, their tables. Virtual features of categories are numbered behind the numerical ones.
G_VIRTUAL, G_GROUPS, G_COLUMNS, G_SINGLE, G_NUMERICAL, G_CATEGORICAL = 0, 1, 2, 3, 4, 5
HEAD_WORDS = 6
V_COLUMN, V_ZERO_MISSING, V_MISSING_KEY = 0, 1, 2
VIRTUAL_WORDS = 3
GROUP_DEPTH, GROUP_ROOTS, GROUP_TREES = 0, 1, 8
GROUP_WORDS = 9
C_COLUMN, C_FIRST, C_COUNT, C_LIMIT, C_TABLE, C_ROW_WORDS = 0, 1, 2, 3, 4, 5  # C_TABLE: a word of G
CATEGORY_WORDS = 6
NAN_ROW, OTHER_ROW, CATEGORY_ROW = 0, 1, 2  # of a column's table
NODE_WORDS = 2
INTERCEPT = 2  # word of W, after the node that fills the last group
FEATURE_SHIFT = 32
CHILD_MASK = 0xFFFF_FFFF
LEFT_ALWAYS: Final = -(2**63)
RIGHT_ALWAYS: Final = 2**63 - 1
ZERO_MAX: Final = 1.0000000180025095e-35  # 1e-35 in float32: LightGBM's kZeroThreshold
ABOVE_MINUS_ONE: Final = -0.9999999999999999  # LightGBM cuts a value to an integer before it asks whether it is negative
EXP_MAX: Final = 709.782712893384  # the exponential of anything larger is infinite


@kernel
def key_of(value: f64) -> i64:
    """An integer that sorts as the float64 does; -0.0 sorts below 0.0, NaN has no place."""
    word = bits(value)
    return word ^ ((word >> 63) & RIGHT_ALWAYS)


@kernel
def rule_key(G: I, rule: i64, value: f64, zero_max: f64, rounds: i64) -> i64:
    """The key of a value under the numerical rule at word `rule` of G."""
    value = single(value) if rounds != 0 else value
    zero = abs(value) <= zero_max
    missing = (value != value) | (zero & (G[rule + V_ZERO_MISSING] != 0))
    key = key_of(0.0 if zero else value)
    return G[rule + V_MISSING_KEY] if missing else key


@kernel
def table_row(value: f64, limit: i64, rounds: i64) -> i64:
    """The row of a categorical column's table that a value reads; `limit` is one more than the largest category of the table."""
    value = single(value) if rounds != 0 else value
    category = (value >= (0.0 if rounds != 0 else ABOVE_MINUS_ONE)) & (value < limit)
    return CATEGORY_ROW + int(value if category else 0.0) if category else (NAN_ROW if value != value else OTHER_ROW)


@kernel
def category_keys(G: I, K: I, k: i64, width: i64, X: F, at: i64, stride: i64) -> None:
    """Fill in the keys of the categorical virtual features; the key of virtual feature v is K[k + v * width]."""
    rounds = G[G_SINGLE]
    rule = HEAD_WORDS + G[G_NUMERICAL] * VIRTUAL_WORDS + G[G_GROUPS] * GROUP_WORDS
    for _ in range(G[G_CATEGORICAL]):
        row = table_row(X[at + G[rule + C_COLUMN] * stride], G[rule + C_LIMIT], rounds)
        table = G[rule + C_TABLE] + row * G[rule + C_ROW_WORDS]
        first = k + G[rule + C_FIRST] * width
        for j in range(G[rule + C_COUNT]):
            left = (G[table + (j >> 6)] >> (j & 63)) & 1
            K[first + j * width] = RIGHT_ALWAYS ^ -left
        rule += CATEGORY_WORDS


@kernel
def row_keys(G: I, K: I, X: F, at: i64, stride: i64) -> None:
    """Fill K with one key per virtual feature, and the smallest integer last; column c of the row is X[at + c * stride]."""
    rounds = G[G_SINGLE]
    zero_max = 0.0 if rounds != 0 else ZERO_MAX
    for v in range(G[G_NUMERICAL]):
        rule = HEAD_WORDS + v * VIRTUAL_WORDS
        K[v] = rule_key(G, rule, X[at + G[rule + V_COLUMN] * stride], zero_max, rounds)
    category_keys(G, K, 0, 1, X, at, stride)
    K[G[G_VIRTUAL]] = LEFT_ALWAYS


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
    group = HEAD_WORDS + G[G_NUMERICAL] * VIRTUAL_WORDS
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
def score_rows(G: I, W: I, V: F, K: I, X: F, O: F, begin: i64, end: i64) -> None:
    """Raw scores of the rows from `begin` to `end`, which stand one behind the other in X, walked one by one."""
    columns = G[G_COLUMNS]
    for row in range(begin, end):
        O[row] = score_row(G, W, V, K, X, row * columns, 1)


@kernel
def lane_keys(G: I, K: I, k: i64, X: F, at: i64) -> None:
    """The keys of `LANES` rows that begin at X[at]: virtual feature v of row r is K[k + v * LANES + r]."""
    rounds, columns = G[G_SINGLE], G[G_COLUMNS]
    zero_max = 0.0 if rounds != 0 else ZERO_MAX
    for v in range(G[G_NUMERICAL]):
        rule = HEAD_WORDS + v * VIRTUAL_WORDS
        column, to = at + G[rule + V_COLUMN], k + v * LANES
        for lane in range(LANES):
            K[to + lane] = rule_key(G, rule, X[column + lane * columns], zero_max, rounds)
    if G[G_CATEGORICAL] != 0:
        for lane in range(LANES):
            category_keys(G, K, k + lane, LANES, X, at + lane * columns, 1)


@kernel
def add_leaves(L: F, leaf: i64, M: I, A: F, O: F, to: i64, rounds: i64) -> None:
    """Add to `LANES` scores the leaf that each row's mask in M has lowest; the leaves of the tree begin at L[leaf]. A is scratch."""
    for lane in range(LANES):
        A[lane] = L[leaf + lowest_bit(M[lane])]
    if rounds != 0:
        for lane in range(LANES):
            O[to + lane] = single(O[to + lane] + A[lane])
    else:
        for lane in range(LANES):
            O[to + lane] += A[lane]


@kernel
def score_lanes(G: I, Q: I, L: F, K: I, M: I, A: F, X: F, O: F, begin: i64, rows: i64, block: i64) -> None:
    """Raw scores of `rows` rows from row `begin` on, a multiple of `LANES`; K has room for the keys of `block` times as many.

    Q is the trees one behind the other: how many nodes, then the nodes as `leaves_left` takes them. L[0] is the intercept, then the leaves
    from left to right of each tree.
    """
    columns, size, rounds = G[G_COLUMNS], G[G_VIRTUAL] * LANES, G[G_SINGLE]
    for start in range(begin, begin + rows, block * LANES):
        parts = min(block, (begin + rows - start) // LANES)
        for part in range(parts):
            lane_keys(G, K, part * size, X, (start + part * LANES) * columns)
        for row in range(start, start + parts * LANES):
            O[row] = L[0]
        node, leaf = 1, 1
        for _ in range(Q[0]):
            count = Q[node]
            for part in range(parts):
                leaves_left(Q, node + 1, count, K, part * size, M, 0)
                add_leaves(L, leaf, M, A, O, start + part * LANES, rounds)
            node += 1 + count * LANE_NODE_WORDS
            leaf += count + 1


@kernel
def probabilities(O: F, rows: i64, sigmoid: f64) -> None:
    """Replace raw scores of a binary model by probabilities."""
    for row in range(rows):
        power = -sigmoid * O[row]
        O[row] = 0.0 if power > EXP_MAX else 1.0 / (1.0 + math.exp(power))
