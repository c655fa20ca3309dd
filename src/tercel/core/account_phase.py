"""The account phase: quotes, venue, decision, risk, orders, positions. Strictly sequential, cheap, resumable.

`account_run` merges the inputs of a batch with the rows of the market phase by input number and goes on until it has to stop: the batch
ended, the output buffer is full, a Python strategy must be asked, or a fault. Called again, it continues exactly there. At the boundary
between two inputs the state is the same however the batch was cut and however small the output buffer is.

Within one input: the venue first (what has arrived by now, on the quote that stood), then the new quote, then the venue again, then the
rows of this input in the order of their slots. So no order can trade on the tick that caused it.
"""

from __future__ import annotations

from tercel.base.codes import (
    AT_TARGET,
    BAD_REQUEST,
    COUNT,
    DENIALS_MIN,
    FAULT_CASH,
    FAULT_LIFE_CYCLE,
    FAULT_OUTBOX,
    HOLDING,
    LATE_FEATURES,
    NO_MODEL,
    NO_SIGNAL,
    OFF_GRID,
    OK,
    ORDER_TABLE,
    ORDER_WORKING,
    SIZE_BELOW_MIN,
    SMALL_EDGE,
    WARMING,
)
from tercel.base.exact import OVERFLOW_MARK
from tercel.base.kernel import F, I, f64, i64, kernel
from tercel.base.records import (
    BAR,
    BODY,
    BYTE_MASK,
    COMMAND,
    DAY_ROLL,
    EPOCH,
    GAP,
    HALT,
    HEAD,
    INSTRUMENT_MASK,
    KIND_SHIFT,
    MARKET_KINDS_MAX,
    ORDER,
    OUT_CANCEL,
    OUT_DENIED,
    OUT_EXPIRED,
    OUT_FILL,
    OUT_INTENT,
    OUT_SIGNAL,
    OUT_STATE,
    OUTPUT_WORDS,
    RESUME,
    REWARM,
    SIDE_SHIFT,
    TS_EVENT,
    TS_RECV,
    WORDS,
)
from tercel.core.checks import check_order, currency_equity, denies_risk, state_code
from tercel.core.layout import (
    H_ACCOUNT,
    H_CURRENCIES,
    H_CURRENCY,
    H_DECISION,
    H_EVALUATIONS,
    H_EXECUTION,
    H_FAULT,
    H_FILL_NUMBER,
    H_IDENTITY,
    H_IDS,
    H_LEDGER,
    H_OPEN,
    H_ORDER_NUMBER,
    H_ORDER_TABLE,
    H_ORDERS,
    H_QUOTES,
    H_REASONS,
    H_RISK,
    H_SCORE,
    H_SLOT_OF,
    H_SLOTS,
    H_STAMP,
    H_STRATEGY,
    H_TICKS,
    H_TOP,
    H_VOLATILITY,
    ID_EPOCH,
    ID_INPUT,
    ID_ORDERS,
    STRATEGY_MODEL,
    STRATEGY_ONLOOKER,
    STRATEGY_PYTHON,
    STRATEGY_RULE,
)
from tercel.core.market_phase import ROW_GOOD, ROW_INPUT, ROW_MODEL, ROW_SLOT, ROW_STALE, ROW_WORDS
from tercel.decision.kernels import (
    D_CONFIDENCE,
    D_ENTER,
    D_FIXED,
    D_HELD,
    D_HORIZON,
    D_POSITION_MAX,
    D_RETRY,
    D_RISK,
    D_SCORE,
    D_STALE_MAX,
    D_STOP,
    D_UNTIL,
    D_WIDTH_SCALE,
    DECISION_WORDS,
    EXIT_RETRY_NS,
    barrier_met,
    clear_barriers,
    set_barriers,
    size_for,
    target_of,
)
from tercel.execution.kernels import (
    E_LATENCY,
    E_OPEN,
    EXECUTION_WORDS,
    GOOD_TILL_CANCEL,
    IMMEDIATE,
    LIMIT,
    MARKET,
    O_ARRIVAL,
    O_CANCEL_AT,
    O_CONFIDENCE,
    O_FILLED,
    O_NUMBER,
    O_PRICE,
    O_RESTS,
    O_SCORE,
    O_SIDE,
    O_SIZE,
    O_SLOT,
    O_STATE,
    O_TICK,
    O_TIF,
    O_TYPE,
    ORDER_WORDS,
    at_venue,
    fee_of,
    free_order,
    life_step,
    match_price,
    match_size,
    refill,
    rest,
)
from tercel.execution.lifecycle import ACCEPT, CANCEL, CANCEL_DONE, CREATED, EXPIRE, FILL, PARTIAL, PENDING_CANCEL, SUBMIT, SUBMITTED
from tercel.ledger.kernels import (
    L_DIV,
    L_MUL,
    L_POSITION,
    L_PRICE_SCALE,
    L_PRICE_STEP,
    L_SIZE_MIN,
    L_SIZE_STEP,
    LEDGER_WORDS,
    apply_fill,
    value_of,
)
from tercel.market.kernels import (
    Q_ASK,
    Q_BID,
    Q_INSTRUMENT,
    Q_MID,
    Q_STATE,
    Q_TICK,
    Q_TIME,
    Q_TRADES_QUOTE,
    QUOTE_GOOD,
    QUOTE_LOST,
    QUOTE_WORDS,
    lose_quote,
    take_open,
    take_quote,
)
from tercel.models.scoring import SCORE_EDGE, SCORE_PROBABILITY, SCORE_RAW, SCORE_SIDE
from tercel.risk.kernels import (
    CURRENCY_WORDS,
    K_DAYS,
    K_HALTED,
    R_AGE_MAX,
    R_ORDER_MAX,
    R_REWARM_ROWS,
    RISK_WORDS,
    Y_DAY_START,
    end_hole,
    quote_code,
    rate_take,
)

# The cursor: where a run stands inside a batch. It is not state: between two inputs every word that matters is zero.
C_POS, C_ROW, C_STAGE, C_REQUEST, C_OUT, C_BOX, C_BOX_AT, C_FIRST, C_WORDS = 0, 1, 2, 3, 4, 5, 6, 7, 8
STAGE_INPUT, STAGE_ROWS, STAGE_STRATEGY = 0, 1, 2
STOP_END, STOP_OUTPUT, STOP_STRATEGY, STOP_FAULT = 0, 1, 2, 3
BOX_PER_ORDER, BOX_SPARE = 4, 8  # outputs one micro-step may cause: per open order, and beside them

# Requests of a Python strategy: Q[0] counts them, then 8 words each.
REQUEST_WORDS, REQUESTS_MAX = 8, 64
REQ_TYPE, REQ_SIDE, REQ_SIZE, REQ_PRICE, REQ_TIF, REQ_ORDER, REQ_SCORE, REQ_CONFIDENCE = 0, 1, 2, 3, 4, 5, 6, 7
ASK_TARGET, ASK_MARKET, ASK_LIMIT, ASK_CANCEL, ASK_SIGNAL, ASK_REASON = 1, 2, 3, 4, 5, 6
NAN = float("nan")
OPEN_SHARE = 10  # of a recorded bar, the first share counts as its open


@kernel
def say(
    A: I,
    AF: F,
    C: I,
    W: I,
    WF: F,
    kind: i64,
    slot: i64,
    side: i64,
    code: i64,
    order: i64,
    price: i64,
    size: i64,
    score: f64,
    confidence: f64,
) -> i64:
    """Put one output into the outbox with what is common to all kinds; returns where it is."""
    x = C[C_BOX] * OUTPUT_WORDS
    C[C_BOX] += 1
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    identity = A[H_IDENTITY]
    W[x] = C[C_FIRST] + C[C_POS]
    W[x + 1] = A[H_STAMP]
    W[x + 2] = A[q + Q_INSTRUMENT] | (kind << 32) | ((side & BYTE_MASK) << 40) | (code << 48)
    W[x + 3] = order
    W[x + 4] = price
    W[x + 5] = size
    for w in range(6, OUTPUT_WORDS):
        W[x + w] = 0
    W[x + 10] = A[A[H_LEDGER] + slot * LEDGER_WORDS + L_POSITION]
    WF[x + 11] = score
    WF[x + 12] = confidence
    W[x + 13] = A[identity + ID_EPOCH]
    WF[x + 15] = AF[q + Q_MID] if AF[q + Q_MID] > 0.0 else NAN
    return x


@kernel
def say_order(A: I, AF: F, C: I, W: I, WF: F, kind: i64, o: i64, code: i64) -> i64:
    """Put an output about an order into the outbox."""
    x = say(
        A,
        AF,
        C,
        W,
        WF,
        kind,
        A[o + O_SLOT],
        A[o + O_SIDE],
        code,
        A[o + O_NUMBER],
        A[o + O_PRICE],
        A[o + O_SIZE],
        AF[o + O_SCORE],
        AF[o + O_CONFIDENCE],
    )
    W[x + 6] = A[o + O_FILLED]
    W[x + 7] = A[o + O_STATE]
    place = (o - A[H_ORDER_TABLE]) // ORDER_WORDS
    W[x + 13] = A[A[H_IDENTITY] + ID_ORDERS + place]
    return x


@kernel
def close_order(A: I, o: i64) -> None:
    """Give the order's place back."""
    A[A[H_EXECUTION] + A[o + O_SLOT] * EXECUTION_WORDS + E_OPEN] -= 1
    A[H_OPEN] -= 1
    place = (o - A[H_ORDER_TABLE]) // ORDER_WORDS
    A[A[H_IDENTITY] + ID_ORDERS + place] = 0
    for w in range(ORDER_WORDS):
        A[o + w] = 0
    while A[H_TOP] > 0 and A[A[H_ORDER_TABLE] + (A[H_TOP] - 1) * ORDER_WORDS + O_STATE] == 0:
        A[H_TOP] -= 1


@kernel
def count_reason(A: I, slot: i64, code: i64) -> None:
    """One more evaluation of this instrument that ended with `code`."""
    A[A[H_REASONS] + slot * COUNT + code] += 1


@kernel
def fill_order(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, o: i64, price: i64, size: i64) -> i64:
    """Book a fill of the order and say so; a fault code when it cannot be."""
    slot = A[o + O_SLOT]
    ledger = A[H_LEDGER] + slot * LEDGER_WORDS
    maker = A[o + O_RESTS]
    fee = fee_of(A, A[H_EXECUTION] + slot * EXECUTION_WORDS, value_of(A, ledger, price, size), maker)
    if fee == OVERFLOW_MARK:
        return FAULT_CASH
    cash = apply_fill(A, ledger, A[o + O_SIDE], price, size, fee)
    if cash == OVERFLOW_MARK:
        return FAULT_CASH
    A[o + O_FILLED] += size
    event = FILL if A[o + O_FILLED] == A[o + O_SIZE] else PARTIAL
    if life_step(A, LIFE, o, event) == 0:
        return FAULT_LIFE_CYCLE
    A[H_FILL_NUMBER] += 1
    x = say_order(A, AF, C, W, WF, OUT_FILL, o, maker)
    W[x + 4] = price
    W[x + 5] = size
    W[x + 8] = cash
    W[x + 9] = fee
    W[x + 14] = A[H_FILL_NUMBER]
    if event == FILL:
        close_order(A, o)
    return 0


@kernel
def venue_order(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, o: i64, stamp: i64) -> i64:
    """Let the venue look at one order at `stamp`: trade, accept, cancel, expire. A fault code or 0."""
    slot = A[o + O_SLOT]
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    ledger = A[H_LEDGER] + slot * LEDGER_WORDS
    if A[o + O_CANCEL_AT] > 0 and A[o + O_CANCEL_AT] <= stamp and A[o + O_CANCEL_AT] <= A[q + Q_TIME]:
        # The cancel was there before the standing quote came.
        if life_step(A, LIFE, o, CANCEL_DONE) == 0:
            return FAULT_LIFE_CYCLE
        say_order(A, AF, C, W, WF, OUT_CANCEL, o, 0)
        close_order(A, o)
        return 0
    price = match_price(A, AF, o, q, ledger)
    looked = 1 if price != 0 else 0
    if price != 0:
        size = match_size(A, o, A[H_EXECUTION] + slot * EXECUTION_WORDS, ledger)
        if size > 0:
            fault = fill_order(A, AF, C, W, WF, LIFE, o, price, size)
            if fault != 0 or A[o + O_STATE] == 0:
                return fault
    if A[o + O_CANCEL_AT] > 0 and A[o + O_CANCEL_AT] <= stamp:
        if life_step(A, LIFE, o, CANCEL_DONE) == 0:
            return FAULT_LIFE_CYCLE
        say_order(A, AF, C, W, WF, OUT_CANCEL, o, 0)
        close_order(A, o)
        return 0
    if A[o + O_TIF] == IMMEDIATE and (looked == 1 or A[q + Q_STATE] == 1):
        if life_step(A, LIFE, o, EXPIRE) == 0:
            return FAULT_LIFE_CYCLE
        say_order(A, AF, C, W, WF, OUT_EXPIRED, o, 0)
        close_order(A, o)
        return 0
    if A[o + O_STATE] == SUBMITTED and life_step(A, LIFE, o, ACCEPT) == 0:
        return FAULT_LIFE_CYCLE
    rest(A, o)
    return 0


@kernel
def venue_slot(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, slot: i64, stamp: i64) -> i64:
    """Let the venue look at every order of the instrument that has arrived by `stamp` and can see the standing quote."""
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    k = 0
    while k < A[H_TOP]:
        o = A[H_ORDER_TABLE] + k * ORDER_WORDS
        if A[o + O_STATE] != 0 and A[o + O_SLOT] == slot and at_venue(A, o, stamp) == 1 and A[q + Q_TICK] > A[o + O_TICK]:
            fault = venue_order(A, AF, C, W, WF, LIFE, o, stamp)
            if fault != 0:
                return fault
        k += 1
    return 0


@kernel
def deny(A: I, AF: F, C: I, W: I, WF: F, slot: i64, side: i64, code: i64, price: i64, size: i64, score: f64, confidence: f64) -> None:
    """Count why there is no order; a denial by a check is said too."""
    count_reason(A, slot, code)
    if code >= DENIALS_MIN:
        say(A, AF, C, W, WF, OUT_DENIED, slot, side, code, 0, price, size, score, confidence)


@kernel
def order_new(
    A: I, AF: F, C: I, W: I, WF: F, LIFE: I, slot: i64, side: i64, kind: i64, size: i64, price: i64, tif: i64, score: f64, confidence: f64
) -> i64:
    """Check an order and send it to the venue, or count and say why not. Returns the reason code."""
    code = check_order(A, AF, slot, side, size, price)
    o = -1
    if code == OK:
        o = free_order(A, A[H_ORDER_TABLE], A[H_ORDERS])
        if o < 0:
            code = ORDER_TABLE
    if code != OK:
        deny(A, AF, C, W, WF, slot, side, code, price, size, score, confidence)
        return code
    e = A[H_EXECUTION] + slot * EXECUTION_WORDS
    rate_take(A, A[H_ACCOUNT], A[H_STAMP])
    A[H_ORDER_NUMBER] += 1
    A[o + O_STATE] = CREATED
    A[o + O_SLOT] = slot
    A[o + O_SIDE] = side
    A[o + O_TYPE] = kind
    A[o + O_TIF] = tif
    A[o + O_SIZE] = size
    A[o + O_FILLED] = 0
    A[o + O_PRICE] = price
    A[o + O_NUMBER] = A[H_ORDER_NUMBER]
    A[o + O_ARRIVAL] = A[H_STAMP] + A[e + E_LATENCY]
    A[o + O_TICK] = A[H_TICKS]
    A[o + O_CANCEL_AT] = 0
    A[o + O_RESTS] = 0
    AF[o + O_SCORE] = score
    AF[o + O_CONFIDENCE] = confidence
    place = (o - A[H_ORDER_TABLE]) // ORDER_WORDS
    A[A[H_IDENTITY] + ID_ORDERS + place] = A[A[H_IDENTITY] + ID_EPOCH]
    if place + 1 > A[H_TOP]:
        A[H_TOP] = place + 1
    A[H_OPEN] += 1
    A[e + E_OPEN] += 1
    life_step(A, LIFE, o, SUBMIT)
    say_order(A, AF, C, W, WF, OUT_INTENT, o, kind)
    return OK


@kernel
def go_to_target(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, slot: i64, target: i64, score: f64, confidence: f64) -> i64:
    """One market order from the position to the target. Where new risk is denied but the order would cross zero, it only closes."""
    if A[A[H_EXECUTION] + slot * EXECUTION_WORDS + E_OPEN] > 0:
        count_reason(A, slot, ORDER_WORKING)
        return ORDER_WORKING
    position = A[A[H_LEDGER] + slot * LEDGER_WORDS + L_POSITION]
    if target == position:
        count_reason(A, slot, AT_TARGET)
        return AT_TARGET
    side = 1 if target > position else -1
    size = abs(target - position)
    order_max = A[A[H_RISK] + slot * RISK_WORDS + R_ORDER_MAX]
    if target == 0 and size > order_max and order_max > 0:
        size = order_max  # larger than one order may be: it leaves in several
    if position * side < 0 and size > abs(position):
        code = check_order(A, AF, slot, side, size, 0)
        if denies_risk(code) == 1:
            count_reason(A, slot, code)
            size = abs(position)
    return order_new(A, AF, C, W, WF, LIFE, slot, side, MARKET, size, 0, 0, score, confidence)


@kernel
def evaluate_rule(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, slot: i64, score: f64, volatility: f64) -> None:
    """The compiled rule on one row: direction by cost, size by volatility, then one order or a counted reason."""
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    ledger = A[H_LEDGER] + slot * LEDGER_WORDS
    d = A[H_DECISION] + slot * DECISION_WORDS
    if score != score or volatility != volatility:
        count_reason(A, slot, WARMING)
        return
    code = quote_code(A[q + Q_STATE], A[H_STAMP], A[q + Q_TIME], A[A[H_RISK] + slot * RISK_WORDS + R_AGE_MAX])
    if code != OK:
        count_reason(A, slot, code)
        return
    position = A[ledger + L_POSITION]
    held = A[d + D_HELD]
    # Value of one integer unit of size for a move of one price unit, in whole quote currency.
    unit_value = float(A[ledger + L_MUL]) / float(A[ledger + L_DIV]) * AF[ledger + L_PRICE_SCALE] / 1000000.0
    spread = AF[q + Q_ASK] - AF[q + Q_BID]
    target = target_of(A, AF, d, score, volatility, AF[q + Q_MID], spread, unit_value, A[ledger + L_SIZE_STEP])
    direction = A[d + D_HELD]
    confidence = AF[d + D_CONFIDENCE]
    if direction != held:
        say(A, AF, C, W, WF, OUT_SIGNAL, slot, direction, 0, 0, 0, 0, score, confidence)
    if direction == 0 and position == 0:
        count_reason(A, slot, NO_SIGNAL)
    elif direction * position > 0:
        count_reason(A, slot, AT_TARGET)
    elif abs(target) < A[ledger + L_SIZE_MIN] and position == 0:
        count_reason(A, slot, SIZE_BELOW_MIN)
    else:
        go_to_target(A, AF, C, W, WF, LIFE, slot, target, score, confidence)


@kernel
def model_code(A: I, AF: F, slot: i64, edge: f64, volatility: f64, model: i64, stale: i64, good: i64) -> i64:
    """OK when a model's proposal may become an order, else why not."""
    d = A[H_DECISION] + slot * DECISION_WORDS
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    if A[d + D_UNTIL] > 0:
        return HOLDING
    if model == 0:
        return NO_MODEL
    if edge != edge or volatility != volatility:
        return WARMING
    code = quote_code(A[q + Q_STATE], A[H_STAMP], A[q + Q_TIME], A[A[H_RISK] + slot * RISK_WORDS + R_AGE_MAX])
    if code != OK:
        return code
    if stale != 0 and A[H_STAMP] - good > A[d + D_STALE_MAX]:
        return LATE_FEATURES
    return OK if edge >= AF[d + D_ENTER] else SMALL_EDGE


@kernel
def evaluate_model(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, M: I, MF: F, m: i64) -> None:
    """What a model proposes on row m: one order with its barriers, or a counted reason."""
    slot = M[m + ROW_SLOT]
    d = A[H_DECISION] + slot * DECISION_WORDS
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    ledger = A[H_LEDGER] + slot * LEDGER_WORDS
    position = A[ledger + L_POSITION]
    working = A[A[H_EXECUTION] + slot * EXECUTION_WORDS + E_OPEN]
    if A[d + D_UNTIL] == 0 and position != 0:
        # Taken over without its barriers, such as after a rewarm: time ends it.
        clear_barriers(A, AF, d)
        A[d + D_UNTIL] = A[H_STAMP] + A[d + D_HORIZON]
    elif A[d + D_UNTIL] > 0 and position == 0 and working == 0:
        clear_barriers(A, AF, d)
    x = m + ROW_WORDS + A[H_SCORE]
    volatility = MF[m + ROW_WORDS + A[H_VOLATILITY]]
    code = model_code(A, AF, slot, MF[x + SCORE_EDGE], volatility, M[m + ROW_MODEL], M[m + ROW_STALE], M[m + ROW_GOOD])
    if code != OK:
        count_reason(A, slot, code)
        return
    side = 1 if MF[x + SCORE_SIDE] > 0.0 else -1
    swing = volatility * AF[d + D_WIDTH_SCALE]
    size = A[d + D_FIXED]
    if size == 0:
        unit_value = float(A[ledger + L_MUL]) / float(A[ledger + L_DIV]) * AF[ledger + L_PRICE_SCALE] / 1000000.0
        size = size_for(AF[d + D_RISK], swing * AF[d + D_STOP], AF[q + Q_MID], unit_value, A[ledger + L_SIZE_STEP], A[d + D_POSITION_MAX])
    if size < A[ledger + L_SIZE_MIN] or not swing > 0.0:
        count_reason(A, slot, SIZE_BELOW_MIN)
        return
    AF[d + D_SCORE] = MF[x + SCORE_RAW]
    AF[d + D_CONFIDENCE] = MF[x + SCORE_PROBABILITY]
    say(A, AF, C, W, WF, OUT_SIGNAL, slot, side, 0, 0, 0, 0, AF[d + D_SCORE], AF[d + D_CONFIDENCE])
    if go_to_target(A, AF, C, W, WF, LIFE, slot, side * size, AF[d + D_SCORE], AF[d + D_CONFIDENCE]) == OK:
        set_barriers(A, AF, d, side, AF[q + Q_ASK] if side > 0 else AF[q + Q_BID], swing * AF[q + Q_MID], A[H_STAMP])


@kernel
def look_on(A: I, AF: F, C: I, W: I, WF: F, slot: i64) -> None:
    """An onlooker on one row: says why nothing could be entered, and nothing where it could."""
    code = state_code(A, slot, 0)
    if code != OK:
        count_reason(A, slot, code)
        say(A, AF, C, W, WF, OUT_DENIED, slot, 0, code, 0, 0, 0, NAN, NAN)


@kernel
def cancel_order(A: I, LIFE: I, o: i64) -> i64:
    """Ask the venue to cancel; it hears so after the latency. 0 on success, a fault code otherwise."""
    if A[o + O_STATE] == PENDING_CANCEL:
        return 0
    if life_step(A, LIFE, o, CANCEL) == 0:
        return FAULT_LIFE_CYCLE
    A[o + O_CANCEL_AT] = A[H_STAMP] + A[A[H_EXECUTION] + A[o + O_SLOT] * EXECUTION_WORDS + E_LATENCY]
    return 0


@kernel
def keep_barriers(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, slot: i64) -> i64:
    """On a new quote: leave the position when it has met a barrier. A denied exit is tried again a second later. A fault code or 0.

    What is still open of the entry is called back first; the exit follows on the quote on which the venue has let it go.
    """
    d = A[H_DECISION] + slot * DECISION_WORDS
    position = A[A[H_LEDGER] + slot * LEDGER_WORDS + L_POSITION]
    if position == 0 or A[A[H_QUOTES] + slot * QUOTE_WORDS + Q_STATE] != QUOTE_GOOD or A[d + D_RETRY] > A[H_STAMP]:
        return 0
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    if barrier_met(A, AF, d, position, AF[q + Q_BID], AF[q + Q_ASK], A[H_STAMP]) == 0:
        return 0
    if A[A[H_EXECUTION] + slot * EXECUTION_WORDS + E_OPEN] > 0:
        for k in range(A[H_TOP]):
            o = A[H_ORDER_TABLE] + k * ORDER_WORDS
            if A[o + O_STATE] != 0 and A[o + O_SLOT] == slot and A[o + O_SIDE] * position > 0:
                fault = cancel_order(A, LIFE, o)
                if fault != 0:
                    return fault
        return 0
    if A[d + D_HELD] != 0:
        A[d + D_HELD] = 0
        say(A, AF, C, W, WF, OUT_SIGNAL, slot, 0, 0, 0, 0, 0, AF[d + D_SCORE], AF[d + D_CONFIDENCE])
    if go_to_target(A, AF, C, W, WF, LIFE, slot, 0, AF[d + D_SCORE], AF[d + D_CONFIDENCE]) != OK:
        A[d + D_RETRY] = A[H_STAMP] + EXIT_RETRY_NS
    return 0


@kernel
def request_code(A: I, slot: i64, kind: i64, side: i64, size: i64, price: i64) -> i64:
    """OK for a request that is an order, on the price grid when it has a price."""
    if (kind != ASK_MARKET and kind != ASK_LIMIT) or (side != 1 and side != -1) or size <= 0 or (kind == ASK_LIMIT and price <= 0):
        return BAD_REQUEST
    return OK if price % A[A[H_LEDGER] + slot * LEDGER_WORDS + L_PRICE_STEP] == 0 else OFF_GRID


@kernel
def ask_order(
    A: I, AF: F, C: I, W: I, WF: F, LIFE: I, slot: i64, kind: i64, side: i64, size: i64, price: i64, tif: i64, score: f64, confidence: f64
) -> i64:
    """An order that a strategy or a person asks for: sent, or counted and said why not. Returns the reason code."""
    code = request_code(A, slot, kind, side, size, price)
    if code != OK:
        deny(A, AF, C, W, WF, slot, side, code, price, size, score, confidence)
        return code
    order_type = LIMIT if kind == ASK_LIMIT else MARKET
    return order_new(A, AF, C, W, WF, LIFE, slot, side, order_type, size, price, tif, score, confidence)


@kernel
def order_by_hand(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, T: I, t: i64) -> None:
    """The ORDER command at word t, asked for as a strategy would. One output answers it: an intent, or a denial of whatever reason."""
    identifier = T[t + HEAD] & INSTRUMENT_MASK
    slot = A[A[H_SLOT_OF] + identifier] if identifier < A[H_IDS] else -1
    if slot < 0:
        return
    side = (T[t + HEAD] >> SIDE_SHIFT) & BYTE_MASK
    if side > BYTE_MASK // 2:
        side -= BYTE_MASK + 1
    size = T[t + BODY + 1]
    price = T[t + BODY + 2]
    kind = ASK_MARKET if price == 0 else ASK_LIMIT
    code = ask_order(A, AF, C, W, WF, LIFE, slot, kind, side, size, price, GOOD_TILL_CANCEL, 0.0, 0.0)
    if code != OK and code < DENIALS_MIN:
        say(A, AF, C, W, WF, OUT_DENIED, slot, side, code, 0, price, size, 0.0, 0.0)


@kernel
def apply_request(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, Q: I, QF: F, slot: i64, x: i64) -> i64:
    """One request of a Python strategy for the instrument of the row it was asked about. A fault code or 0."""
    kind = Q[x + REQ_TYPE]
    if kind == ASK_TARGET:
        go_to_target(A, AF, C, W, WF, LIFE, slot, Q[x + REQ_SIZE], QF[x + REQ_SCORE], QF[x + REQ_CONFIDENCE])
    elif kind == ASK_SIGNAL:
        say(A, AF, C, W, WF, OUT_SIGNAL, slot, Q[x + REQ_SIDE], 0, 0, 0, 0, QF[x + REQ_SCORE], QF[x + REQ_CONFIDENCE])
    elif kind == ASK_REASON:
        count_reason(A, slot, Q[x + REQ_SIZE])
    elif kind == ASK_CANCEL:
        for k in range(A[H_TOP]):
            o = A[H_ORDER_TABLE] + k * ORDER_WORDS
            if A[o + O_STATE] != 0 and A[o + O_SLOT] == slot and (Q[x + REQ_ORDER] == 0 or A[o + O_NUMBER] == Q[x + REQ_ORDER]):
                fault = cancel_order(A, LIFE, o)
                if fault != 0:
                    return fault
    else:
        side = Q[x + REQ_SIDE]
        size = Q[x + REQ_SIZE]
        price = Q[x + REQ_PRICE] if kind == ASK_LIMIT else 0
        ask_order(A, AF, C, W, WF, LIFE, slot, kind, side, size, price, Q[x + REQ_TIF], QF[x + REQ_SCORE], QF[x + REQ_CONFIDENCE])
    return 0


@kernel
def apply_command(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, code: i64, value: i64) -> i64:
    """A sequenced command: halt cancels what is open, resume, a new epoch, distrust of rewarmed state. A fault code or 0."""
    account = A[H_ACCOUNT]
    if code == HALT:
        A[account + K_HALTED] = 1
        for k in range(A[H_TOP]):
            o = A[H_ORDER_TABLE] + k * ORDER_WORDS
            if A[o + O_STATE] != 0:
                fault = cancel_order(A, LIFE, o)
                if fault != 0:
                    return fault
    elif code == RESUME:
        A[account + K_HALTED] = 0
    elif code == EPOCH:
        A[A[H_IDENTITY] + ID_EPOCH] = value
    elif code == REWARM:
        for slot in range(A[H_SLOTS]):
            A[A[H_RISK] + slot * RISK_WORDS + R_REWARM_ROWS] = value
    if code == HALT or code == RESUME:
        say(A, AF, C, W, WF, OUT_STATE, 0, 0, code, 0, 0, 0, 0.0, 0.0)
    return 0


@kernel
def day_roll(A: I, AF: F) -> None:
    """A trading day ends: today's loss is counted from here."""
    A[A[H_ACCOUNT] + K_DAYS] += 1
    for c in range(A[H_CURRENCIES]):
        equity = currency_equity(A, AF, c)
        if equity != OVERFLOW_MARK:
            A[A[H_CURRENCY] + c * CURRENCY_WORDS + Y_DAY_START] = equity


@kernel
def apply_input(A: I, AF: F, C: I, W: I, WF: F, LIFE: I, T: I, TF: F) -> i64:
    """One input, rows excepted. A fault code or 0."""
    t = C[C_POS] * WORDS
    head = T[t + HEAD]
    kind = (head >> KIND_SHIFT) & BYTE_MASK
    stamp = T[t + TS_RECV]
    A[H_STAMP] = stamp
    if kind > MARKET_KINDS_MAX:
        if kind == COMMAND and T[t + BODY] == ORDER:
            order_by_hand(A, AF, C, W, WF, LIFE, T, t)
        elif kind == COMMAND:
            return apply_command(A, AF, C, W, WF, LIFE, T[t + BODY], T[t + BODY + 1])
        return 0
    if kind == DAY_ROLL:
        day_roll(A, AF)
        return 0
    A[H_TICKS] += 1
    identifier = head & INSTRUMENT_MASK
    if identifier >= A[H_IDS]:
        return 0
    slot = A[A[H_SLOT_OF] + identifier]
    if slot < 0:
        return 0
    e = A[H_EXECUTION] + slot * EXECUTION_WORDS
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    if kind == GAP:
        lose_quote(A, q)
        return 0
    if A[e + E_OPEN] > 0:
        fault = venue_slot(A, AF, C, W, WF, LIFE, slot, stamp - 1)
        if fault != 0:
            return fault
    lost_since = A[q + Q_TIME] if A[q + Q_STATE] == QUOTE_LOST else 0
    if kind == BAR and A[q + Q_TRADES_QUOTE] == 1 and A[e + E_OPEN] > 0:
        # A recorded bar is known at its close. An order that arrived in its first tenth trades at its open, a later one at its close.
        take_open(A, AF, q, T, TF, t, stamp, A[H_TICKS])
        refill(A, AF, e, q)
        opened = T[t + TS_EVENT]
        fault = venue_slot(A, AF, C, W, WF, LIFE, slot, opened + (stamp - opened) // OPEN_SHARE)
        if fault != 0:
            return fault
    if take_quote(A, AF, q, T, TF, t, stamp, A[H_TICKS]) == 0:
        return 0
    if lost_since > 0:
        end_hole(A, A[H_RISK] + slot * RISK_WORDS, stamp - lost_since)
    if A[e + E_OPEN] > 0:
        refill(A, AF, e, q)
        fault = venue_slot(A, AF, C, W, WF, LIFE, slot, stamp)
        if fault != 0:
            return fault
    if A[A[H_DECISION] + slot * DECISION_WORDS + D_UNTIL] > 0:
        return keep_barriers(A, AF, C, W, WF, LIFE, slot)
    return 0


@kernel
def account_run(
    A: I,
    AF: F,
    C: I,
    T: I,
    TF: F,
    M: I,
    MF: F,
    Q: I,
    QF: F,
    O: I,
    W: I,
    WF: F,
    LIFE: I,
    stride: i64,
    n: i64,
    rows: i64,
    room: i64,
) -> i64:
    """Run on from the cursor over `n` inputs and `rows` rows of `stride` words; at most `room` outputs. Returns why it stopped."""
    if A[H_FAULT] != 0:
        return STOP_FAULT
    while True:
        while C[C_BOX_AT] < C[C_BOX]:
            if C[C_OUT] == room:
                return STOP_OUTPUT
            for w in range(OUTPUT_WORDS):
                O[C[C_OUT] * OUTPUT_WORDS + w] = W[C[C_BOX_AT] * OUTPUT_WORDS + w]
            C[C_OUT] += 1
            C[C_BOX_AT] += 1
        C[C_BOX] = 0
        C[C_BOX_AT] = 0
        fault = 0
        stage = C[C_STAGE]
        if stage == STAGE_INPUT:
            if C[C_POS] == n:
                return STOP_END
            fault = apply_input(A, AF, C, W, WF, LIFE, T, TF)
            C[C_STAGE] = STAGE_ROWS
        elif stage == STAGE_ROWS:
            m = C[C_ROW] * stride
            if C[C_ROW] < rows and M[m + ROW_INPUT] == C[C_FIRST] + C[C_POS]:
                slot = M[m + ROW_SLOT]
                A[H_EVALUATIONS] += 1
                r = A[H_RISK] + slot * RISK_WORDS
                if A[r + R_REWARM_ROWS] > 0:
                    A[r + R_REWARM_ROWS] -= 1
                if A[H_STRATEGY] == STRATEGY_PYTHON:
                    C[C_STAGE] = STAGE_STRATEGY
                    C[C_REQUEST] = 0
                    return STOP_STRATEGY
                if A[H_STRATEGY] == STRATEGY_RULE:
                    x = m + ROW_WORDS
                    evaluate_rule(A, AF, C, W, WF, LIFE, slot, MF[x + A[H_SCORE]], MF[x + A[H_VOLATILITY]])
                elif A[H_STRATEGY] == STRATEGY_MODEL:
                    evaluate_model(A, AF, C, W, WF, LIFE, M, MF, m)
                elif A[H_STRATEGY] == STRATEGY_ONLOOKER:
                    look_on(A, AF, C, W, WF, slot)
                C[C_ROW] += 1
            else:
                A[A[H_IDENTITY] + ID_INPUT] = C[C_FIRST] + C[C_POS]
                C[C_POS] += 1
                C[C_STAGE] = STAGE_INPUT
        elif C[C_REQUEST] < Q[0]:
            x = 1 + C[C_REQUEST] * REQUEST_WORDS
            fault = apply_request(A, AF, C, W, WF, LIFE, Q, QF, M[C[C_ROW] * stride + ROW_SLOT], x)
            C[C_REQUEST] += 1
        else:
            Q[0] = 0
            C[C_ROW] += 1
            C[C_STAGE] = STAGE_ROWS
        if C[C_BOX] > BOX_PER_ORDER * A[H_ORDERS] + BOX_SPARE:
            fault = FAULT_OUTBOX
        if fault != 0:
            A[H_FAULT] = fault
            return STOP_FAULT
