"""Pure half of decision: from a signal to a target size.

Threshold with hysteresis, in units of cost: enter when the expected move exceeds `enter` times the cost of a round trip, keep until it
falls below `exit` times that cost. Size by volatility: the position whose profit and loss over one bar has a standard deviation of `risk`
quote units.

What a model proposes is held until a barrier: take and stop lie so many widths from the touch that stood at the decision, the third is
time (`tercel.models.barriers`). Its size is the one that loses `risk` at the stop.
"""

from __future__ import annotations

from tercel.base.kernel import F, I, f64, i64, kernel

# Words of one instrument's decision state; the first is state, the rest configuration.
D_HELD, D_ENTER, D_EXIT, D_RISK, D_SCORE, D_VOLATILITY, D_POSITION_MAX, D_FEE, D_FIXED, D_CONFIDENCE = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
# Of a model: state of the barriers (prices; until when, 0 for none; no new exit order before), then their configuration.
D_TAKE_AT, D_STOP_AT, D_UNTIL, D_RETRY = 10, 11, 12, 13
D_TAKE, D_STOP, D_HORIZON, D_WIDTH_SCALE, D_STALE_MAX = 14, 15, 16, 17, 18
DECISION_WORDS = 19
EXIT_RETRY_NS = 1_000_000_000
NAN = float("nan")
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


@kernel
def set_barriers(A: I, AF: F, d: i64, side: i64, touch: f64, width: f64, stamp: i64) -> None:
    """Barriers around the touch that stands at a decision; `width` in price units, `stamp` in ns."""
    AF[d + D_TAKE_AT] = touch + float(side) * AF[d + D_TAKE] * width
    AF[d + D_STOP_AT] = touch - float(side) * AF[d + D_STOP] * width
    A[d + D_UNTIL] = stamp + A[d + D_HORIZON]
    A[d + D_RETRY] = 0
    A[d + D_HELD] = side


@kernel
def clear_barriers(A: I, AF: F, d: i64) -> None:
    """Nothing is held."""
    AF[d + D_TAKE_AT] = NAN
    AF[d + D_STOP_AT] = NAN
    A[d + D_UNTIL] = 0
    A[d + D_RETRY] = 0
    A[d + D_HELD] = 0


@kernel
def barrier_met(A: I, AF: F, d: i64, position: i64, bid: f64, ask: f64, stamp: i64) -> i64:
    """1 when the side at which the position would leave has reached take or stop, or its time is over."""
    if stamp >= A[d + D_UNTIL]:
        return 1
    if position > 0:
        return 1 if bid >= AF[d + D_TAKE_AT] or bid <= AF[d + D_STOP_AT] else 0
    return 1 if ask <= AF[d + D_TAKE_AT] or ask >= AF[d + D_STOP_AT] else 0
