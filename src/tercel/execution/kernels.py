"""Pure half of execution: the order table and the modelled venue, shared by paper and back-test.

The venue: an order is there `latency` after it was sent. It never trades on the tick that caused it, nor on a crossed or one-sided quote.
A market order takes the touch; what the touch does not hold waits for the next quote. A limit order that can trade on arrival takes the
touch, otherwise it rests and trades at its own price, as maker, once the other side of the quote reaches it. Each quote offers its size
once; where the source does not say a size, a configured one. Prices off the order grid are rounded against us.
"""

from __future__ import annotations

from tercel.base.exact import OVERFLOW_MARK, multiply_divide, to_units
from tercel.base.kernel import F, I, i64, kernel
from tercel.execution.lifecycle import EVENTS
from tercel.ledger.kernels import L_PRICE_SCALE, L_SIZE_STEP
from tercel.market.kernels import Q_ASK, Q_ASK_SIZE, Q_BID, Q_BID_SIZE, Q_STATE, Q_TICK, QUOTE_GOOD

# Words of one order; state 0 is a free place.
O_STATE, O_SLOT, O_SIDE, O_TYPE, O_TIF, O_SIZE, O_FILLED, O_PRICE = 0, 1, 2, 3, 4, 5, 6, 7
O_NUMBER, O_ARRIVAL, O_TICK, O_CANCEL_AT, O_SCORE, O_CONFIDENCE, O_RESTS = 8, 9, 10, 11, 12, 13, 14
ORDER_WORDS = 15
MARKET, LIMIT = 0, 1
GOOD_TILL_CANCEL, IMMEDIATE = 0, 1

# Words of one instrument's venue model.
E_OPEN, E_LATENCY, E_TAKER, E_MAKER, E_LIQUIDITY, E_LEFT_BID, E_LEFT_ASK, E_SIZE_SCALE = 0, 1, 2, 3, 4, 5, 6, 7
EXECUTION_WORDS = 8
RATE_UNIT = 1_000_000_000  # fee rates are integers in 10**-9 of the value


@kernel
def life_step(A: I, LIFE: I, o: i64, event: i64) -> i64:
    """Take one step of the life cycle; 0 and no change when the table does not list it."""
    following = LIFE[A[o + O_STATE] * EVENTS + event]
    if following != 0:
        A[o + O_STATE] = following
    return following


@kernel
def refill(A: I, AF: F, e: i64, q: i64) -> None:
    """A new quote offers its sizes anew."""
    bid_size = AF[q + Q_BID_SIZE]
    ask_size = AF[q + Q_ASK_SIZE]
    scale = AF[e + E_SIZE_SCALE]
    A[e + E_LEFT_BID] = to_units(bid_size, scale, -1) if bid_size == bid_size else A[e + E_LIQUIDITY]
    A[e + E_LEFT_ASK] = to_units(ask_size, scale, -1) if ask_size == ask_size else A[e + E_LIQUIDITY]


@kernel
def at_venue(A: I, o: i64, stamp: i64) -> i64:
    """1 when the order has reached the venue by `stamp`."""
    return 1 if A[o + O_ARRIVAL] <= stamp else 0


@kernel
def match_price(A: I, AF: F, o: i64, q: i64, l: i64) -> i64:
    """The price at which the order trades on the standing quote, in integer units; 0 when it does not.

    Not on the tick that caused the order, not on a quote that is not good.
    """
    if A[q + Q_STATE] != QUOTE_GOOD or A[q + Q_TICK] <= A[o + O_TICK]:
        return 0
    side = A[o + O_SIDE]
    touch = to_units(AF[q + Q_ASK], AF[l + L_PRICE_SCALE], 1) if side > 0 else to_units(AF[q + Q_BID], AF[l + L_PRICE_SCALE], -1)
    if touch <= 0:
        return 0
    if A[o + O_TYPE] == MARKET:
        return touch
    if (side > 0 and touch > A[o + O_PRICE]) or (side < 0 and touch < A[o + O_PRICE]):
        return 0
    return A[o + O_PRICE] if A[o + O_RESTS] == 1 else touch


@kernel
def rest(A: I, o: i64) -> None:
    """The venue has seen the order and keeps it: a limit order now stands in the book, trades at its own price, pays the maker's fee."""
    if A[o + O_TYPE] == LIMIT and A[o + O_TIF] != IMMEDIATE:
        A[o + O_RESTS] = 1


@kernel
def match_size(A: I, o: i64, e: i64, l: i64) -> i64:
    """How much trades: what is open, at most what the touch still holds, on the size grid. Takes it from the touch."""
    place = e + E_LEFT_ASK if A[o + O_SIDE] > 0 else e + E_LEFT_BID
    size = A[o + O_SIZE] - A[o + O_FILLED]
    if size > A[place]:
        size = A[place] // A[l + L_SIZE_STEP] * A[l + L_SIZE_STEP]
    if size <= 0:
        return 0
    A[place] -= size
    return size


@kernel
def fee_of(A: I, e: i64, value: i64, maker: i64) -> i64:
    """Fee in micro-units for a fill worth `value` micro-units."""
    if value == OVERFLOW_MARK:
        return OVERFLOW_MARK
    return multiply_divide(value, A[e + E_MAKER] if maker == 1 else A[e + E_TAKER], RATE_UNIT)


@kernel
def free_order(A: I, table: i64, capacity: i64) -> i64:
    """The first free place of the order table, -1 when it is full."""
    for k in range(capacity):
        if A[table + k * ORDER_WORDS + O_STATE] == 0:
            return table + k * ORDER_WORDS
    return -1


@kernel
def open_size(A: I, table: i64, top: i64, slot: i64, side: i64) -> i64:
    """Size of this instrument still open in orders of one side; what the other side may bring is never counted on."""
    total = 0
    for k in range(top):
        o = table + k * ORDER_WORDS
        if A[o + O_STATE] != 0 and A[o + O_SLOT] == slot and A[o + O_SIDE] == side:
            total += A[o + O_SIZE] - A[o + O_FILLED]
    return total
