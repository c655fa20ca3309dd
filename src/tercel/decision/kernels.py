"""Pure half of decision: from a signal to a target size.

Threshold with hysteresis, in units of cost: enter when the expected move exceeds `enter` times the cost of a round trip, keep until it
falls below `exit` times that cost. Size by volatility: the position whose profit and loss over one bar has a standard deviation of `risk`
quote units.
"""

from __future__ import annotations

from tercel.base.kernel import F, I, f64, i64, kernel

# Words of one instrument's decision state; the first is state, the rest configuration.
D_HELD, D_ENTER, D_EXIT, D_RISK, D_SCORE, D_VOLATILITY, D_POSITION_MAX, D_FEE, D_FIXED, D_CONFIDENCE = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
DECISION_WORDS = 10
STILL = 1e-9


@kernel
def round_trip_cost(mid: f64, spread: f64, fee_rate: f64) -> f64:
    """Cost of getting in and out, in price units: the spread once, the fee twice."""
    return spread + 2.0 * fee_rate * mid


@kernel
def direction_of(score: f64, cost: f64, held: i64, enter: f64, leave: f64) -> i64:
    """+1, 0 or -1: which side the score pays for, given the side held. `score` is the expected move in price units."""
    if score >= enter * cost and score > 0.0:
        return 1
    if -score >= enter * cost and score < 0.0:
        return -1
    if held > 0 and score > leave * cost:
        return 1
    if held < 0 and -score > leave * cost:
        return -1
    return 0


@kernel
def size_for(risk: f64, volatility: f64, mid: f64, unit_value: f64, step: i64, size_max: i64) -> i64:
    """Size in integer units, a multiple of `step`, at most `size_max`: risk / (volatility per bar * value of one unit).

    `unit_value` is the quote-currency value of one integer unit of size per price unit. 0 when the mid is not positive, or the market has
    not moved: volatility below `STILL` is the rounding that moves long past leave behind, and would ask for the largest size.
    """
    swing = volatility * mid * unit_value
    if not swing > 0.0 or volatility < STILL:
        return 0
    wanted = risk / swing
    if wanted >= float(size_max):
        return size_max // step * step
    return int(wanted) // step * step


@kernel
def confidence_of(score: f64, cost: f64) -> f64:
    """How far the expected move exceeds its cost, squeezed into 0 to 1: |score| / (|score| + cost); all of it when there is no cost."""
    move = abs(score)
    if not cost > 0.0:
        return 1.0 if move > 0.0 else 0.0
    return move / (move + cost)


@kernel
def target_of(A: I, AF: F, d: i64, score: f64, volatility: f64, mid: f64, spread: f64, unit_value: f64, step: i64) -> i64:
    """The target position, signed, in integer units; updates which side is held."""
    cost = round_trip_cost(mid, spread, AF[d + D_FEE])
    direction = direction_of(score, cost, A[d + D_HELD], AF[d + D_ENTER], AF[d + D_EXIT])
    A[d + D_HELD] = direction
    AF[d + D_CONFIDENCE] = confidence_of(score, cost)
    if direction == 0:
        return 0
    if A[d + D_FIXED] > 0:
        return direction * A[d + D_FIXED]
    return direction * size_for(AF[d + D_RISK], volatility, mid, unit_value, step, A[d + D_POSITION_MAX])
