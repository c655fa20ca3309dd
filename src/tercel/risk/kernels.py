"""Pure half of risk: one order against every limit, in a fixed order, first denial wins.

An order that only reduces a position passes the limits that exist to stop new risk (position, notional, daily loss, rewarmed state); it
never passes a halt, a bad quote or the order rate.
"""

from __future__ import annotations

from tercel.base.codes import (
    COLLAR,
    CROSSED,
    DAILY_LOSS,
    DATA_LOST,
    HALTED,
    NO_QUOTE,
    NOTIONAL,
    OFF_GRID,
    OK,
    ONE_SIDED,
    ORDER_SIZE,
    OVERFLOW,
    POSITION,
    RATE,
    REWARMED,
    STALE,
)
from tercel.base.exact import OVERFLOW_MARK
from tercel.base.kernel import F, I, f64, i64, kernel

# Words of one instrument's limits.
R_ORDER_MAX, R_POSITION_MAX, R_NOTIONAL_MAX, R_COLLAR, R_AGE_MAX, R_REWARM_ROWS = 0, 1, 2, 3, 4, 5
R_HOLE_MAX, R_MEMORY_ROWS = 6, 7  # data lost for longer than this (ns) makes entries wait for so many rows
RISK_WORDS = 8
# Words of the account's risk state; the ring of order stamps follows.
K_HALTED, K_RATE_MAX, K_RATE_WINDOW, K_RATE_AT, K_ACCOUNT_LOSS, K_ACCOUNT_CURRENCY, K_DAYS = 0, 1, 2, 3, 4, 5, 6
ACCOUNT_RISK_WORDS = 8
RATE_SLOTS = 1024
# Words of one currency: loss limit of the day, equity when the day began, conversion (slot + 1, inverse).
Y_LOSS_MAX, Y_DAY_START, Y_RATE_SLOT, Y_RATE_INVERSE = 0, 1, 2, 3
CURRENCY_WORDS = 4


@kernel
def quote_code(state: i64, stamp: i64, quoted_at: i64, age_max: i64) -> i64:
    """OK, or why the standing quote must not be traded on. States are those of `tercel.market.kernels`."""
    if state == 0:
        return NO_QUOTE
    if state == 3:
        return ONE_SIDED
    if state == 2:
        return CROSSED
    if state == 4:
        return DATA_LOST
    if stamp - quoted_at > age_max:
        return STALE
    return OK


@kernel
def end_hole(A: I, r: i64, lost_ns: i64) -> None:
    """Data is back after `lost_ns`: entries wait for the declared memory when bars may be missing."""
    if lost_ns > A[r + R_HOLE_MAX] and A[r + R_REWARM_ROWS] < A[r + R_MEMORY_ROWS]:
        A[r + R_REWARM_ROWS] = A[r + R_MEMORY_ROWS]


@kernel
def rate_code(A: I, k: i64, stamp: i64) -> i64:
    """OK when fewer than the allowed number of orders were sent within the window before `stamp`."""
    allowed = A[k + K_RATE_MAX]
    oldest = A[k + ACCOUNT_RISK_WORDS + A[k + K_RATE_AT]]
    if allowed > 0 and oldest > 0 and stamp - oldest < A[k + K_RATE_WINDOW]:
        return RATE
    return OK


@kernel
def rate_take(A: I, k: i64, stamp: i64) -> None:
    """Remember that an order went out at `stamp`; the ring holds as many stamps as orders are allowed."""
    A[k + ACCOUNT_RISK_WORDS + A[k + K_RATE_AT]] = stamp
    A[k + K_RATE_AT] += 1
    if A[k + K_RATE_AT] >= A[k + K_RATE_MAX]:
        A[k + K_RATE_AT] = 0


@kernel
def size_code(A: I, r: i64, reducing: i64, position_after: i64, size: i64, step: i64, size_min: i64) -> i64:
    """Size on the grid, not above the order limit, and the position it leads to not above the position limit.

    What closes a position may be smaller than the smallest order: a rest must not stay for ever.
    """
    if size % step != 0 or (size < size_min and (reducing == 0 or position_after != 0)):
        return OFF_GRID
    if size > A[r + R_ORDER_MAX]:
        return ORDER_SIZE
    if reducing == 0 and abs(position_after) > A[r + R_POSITION_MAX]:
        return POSITION
    return OK


@kernel
def price_code(A: I, AF: F, r: i64, reducing: i64, price: f64, mid: f64, value: i64) -> i64:
    """Value within the notional limit; a limit price (0 for a market order) within the collar around the mid."""
    if value == OVERFLOW_MARK:
        return OVERFLOW
    if reducing == 0 and abs(value) > A[r + R_NOTIONAL_MAX]:
        return NOTIONAL
    if price > 0.0 and abs(price - mid) > AF[r + R_COLLAR] * mid:
        return COLLAR
    return OK


@kernel
def account_code(A: I, k: i64, r: i64, reducing: i64) -> i64:
    """The kill switch, and state that is not trusted for entries."""
    if A[k + K_HALTED] != 0:
        return HALTED
    if reducing == 0 and A[r + R_REWARM_ROWS] > 0:
        return REWARMED
    return OK


@kernel
def loss_code(loss_max: i64, equity: i64, day_start: i64) -> i64:
    """OK while the day's loss is below the limit; 0 means no limit in this currency."""
    if equity == OVERFLOW_MARK:
        return OVERFLOW
    if loss_max > 0 and day_start - equity >= loss_max:
        return DAILY_LOSS
    return OK
