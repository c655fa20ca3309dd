"""Pure half of models in the trading path: the table of models in place, and what a row's scores are under one of them.

A place of the table holds the addresses of two packed forests (`kernels`), bound to the registers of one program, and the calibration of
each side. Rows name a model by its number, never by its place, so a log that is replayed finds the same model wherever it stands now.
"""

from __future__ import annotations

from tercel.base.kernel import F, I, f64, i64, kernel, pointer_f, pointer_i
from tercel.base.real import exp
from tercel.models.kernels import score_row

NAN = float("nan")
MODELS_MAX = 256
# Words of one place; number 0 is an empty one. `T_SHORT` 0: the score of a sale is minus that of a buy.
T_NUMBER, T_LONG, T_LONG_NODES, T_SHORT, T_SHORT_NODES = 0, 1, 2, 3, 4
T_FOREST_WORDS = 2
T_SLOPE, T_OFFSET, T_WIN, T_LOSS = 5, 6, 7, 8  # of a buy; those of a sale follow
T_SIDE_WORDS = 4
T_NEED = 13  # address of the registers without which there is no score: how many, then each
TABLE_WORDS = 16
# What a row holds behind its registers.
SCORE_SIDE, SCORE_RAW, SCORE_PROBABILITY, SCORE_EDGE = 0, 1, 2, 3
SCORES = 4


@kernel
def probability_of(slope: f64, offset: f64, raw: f64) -> f64:
    """Calibrated probability that a trade ends above its costs: the logistic function of a line in the raw score."""
    return 1.0 / (1.0 + exp(-(slope * raw + offset)))


@kernel
def probabilities_of(R: F, O: F, rows: i64, slope: f64, offset: f64) -> None:
    """Calibrated probabilities of many raw scores: what training judges is what the core computes, to the bit."""
    for row in range(rows):
        O[row] = probability_of(slope, offset, R[row])


@kernel
def find_model(T: I, number: i64) -> i64:
    """Where the place of a model begins, -1 when it is not in the table."""
    for place in range(MODELS_MAX):
        if T[place * TABLE_WORDS + T_NUMBER] == number:
            return place * TABLE_WORDS
    return -1


@kernel
def score_sides(T: I, TF: F, m: i64, K: I, X: F, at: i64, stride: i64, O: F, o: i64) -> None:
    """The side with the larger edge, its raw score, probability and edge into O[o …]; register r of the row is X[at + r * stride]."""
    need = pointer_i(T[m + T_NEED])
    for k in range(need[0]):
        value = X[at + need[1 + k] * stride]
        if value != value:  # still warming up: the forests never saw a row without it
            for w in range(SCORES):
                O[o + w] = NAN
            return
    raw = 0.0
    best = NAN
    for side in range(2):  # one loop, so that the walk is compiled once
        forest = m + T_LONG + side * T_FOREST_WORDS
        if T[forest] != 0:
            nodes = T[forest + 1]
            raw = score_row(pointer_i(T[forest]), pointer_i(nodes), pointer_f(nodes), K, X, at, stride)
        else:
            raw = -raw
        c = m + side * T_SIDE_WORDS
        probability = probability_of(TF[c + T_SLOPE], TF[c + T_OFFSET], raw)
        edge = probability * TF[c + T_WIN] - (1.0 - probability) * TF[c + T_LOSS]
        if side == 0 or edge > best:
            best = edge
            O[o + SCORE_SIDE] = 1.0 if side == 0 else -1.0
            O[o + SCORE_RAW] = raw
            O[o + SCORE_PROBABILITY] = probability
            O[o + SCORE_EDGE] = edge
