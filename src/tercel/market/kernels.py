"""Pure half of market: building bars from ticks, and the quote that stands.

Bars. A time bar buckets by `ts_event` and closes on a timer at boundary + grace, never by a later tick; up to `PENDING` buckets may be
open at once (ticks of the next bucket arrive before the timer). A tick whose bucket has closed, or lies `PENDING` buckets before its
arrival, is counted as late; one more than `AHEAD` buckets after its arrival as ahead; neither changes a bar. Tick and volume bars close on
the tick that fills them. A bar without a tick does not exist.

Flow. Each quote with known sizes whose predecessor had them too makes an event of the order-flow imbalance of Cont, Kukanov and Stoikov
(The Price Impact of Order Book Events, 2014); a bar sums the events of its quotes. Trades whose source names the aggressor add their size
to the signed volume, bought less sold. Beside other prices quotes and trades add to the bar that is open and open none.

Quote. The last quote of an instrument with its state (good, crossed, one-sided); trades and bars stand in for quotes where an instrument
has none.

Gap. A record that says that data of an instrument was lost: the quote that stood is not known to stand any more, so nothing trades on it
and no flow is counted from it, until the next quote comes.
"""

from __future__ import annotations

from tercel.base.kernel import F, I, f64, i64, kernel
from tercel.base.records import BAR, BODY, BYTE_MASK, HEAD, KIND_SHIFT, QUOTE, SIDE_SHIFT, TRADE, TS_EVENT, TS_RECV
from tercel.base.time import NS_PER_S

NAN = float("nan")
PRICE_MAX = 1e300

# Bar state of one instrument, in words. The pending bars are a ring indexed by bucket number.
BAR_CLOSED_TO, BAR_LATE, BAR_AHEAD, BAR_UNPRICED, BAR_TICKS, BAR_TRADED, BAR_BID, BAR_ASK = 0, 1, 2, 3, 4, 5, 6, 7
BAR_BID_SIZE, BAR_ASK_SIZE, BAR_SIZED, BAR_SIDED, BAR_WHOLE = 8, 9, 10, 11, 12  # sided: trades have had a side; whole: see `bar_quote`
BAR_RING = 13
NEVER_QUOTED, QUOTED, SIZED = 0, 1, 2  # what BAR_SIZED says: has a quote come, has one had both sizes
PENDING = 4
AHEAD = PENDING - 2  # so many buckets a source's clock may run ahead; timers stay awake until all of those have closed
P_ACTIVE, P_START, P_OPEN, P_HIGH, P_LOW, P_CLOSE, P_VOLUME, P_COUNT, P_BID, P_ASK = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
P_BID_SIZE, P_ASK_SIZE, P_FLOW, P_SIGNED = 10, 11, 12, 13
PENDING_WORDS = 14
BOUGHT, SOLD = 1, 0xFF  # the byte of a trade's side: who came to trade
BAR_CLOSE = 3  # word of the close in the body of a bar record
BAR_WORDS = BAR_RING + PENDING * PENDING_WORDS

# Quote of one instrument, in words.
Q_BID, Q_ASK, Q_BID_SIZE, Q_ASK_SIZE, Q_MID, Q_TIME, Q_TICK, Q_STATE = 0, 1, 2, 3, 4, 5, 6, 7
Q_HALF_SPREAD, Q_TRADES_QUOTE, Q_EVENT, Q_COUNT, Q_INSTRUMENT = 8, 9, 10, 11, 12
QUOTE_WORDS = 13
QUOTE_NONE, QUOTE_GOOD, QUOTE_CROSSED, QUOTE_ONE_SIDED, QUOTE_LOST = 0, 1, 2, 3, 4


@kernel
def tick_price(T: I, TF: F, t: i64, basis: i64) -> f64:
    """The price of a tick on a basis (0 trade, 1 bid, 2 ask, 3 mid); NaN when this tick does not tell."""
    kind = (T[t + HEAD] >> KIND_SHIFT) & BYTE_MASK
    if basis == 0:
        return TF[t + BODY] if kind == TRADE else NAN
    if kind != QUOTE:
        return NAN
    if basis == 1:
        return TF[t + BODY]
    if basis == 2:
        return TF[t + BODY + 2]
    return (TF[t + BODY] + TF[t + BODY + 2]) * 0.5


@kernel
def pending_start(A: I, AF: F, w: i64, start: i64, price: f64) -> None:
    """Open the pending bar at w with its first price."""
    A[w + P_ACTIVE] = 1
    A[w + P_START] = start
    AF[w + P_OPEN] = price
    AF[w + P_HIGH] = price
    AF[w + P_LOW] = price
    AF[w + P_VOLUME] = 0.0
    AF[w + P_COUNT] = 0.0
    AF[w + P_FLOW] = 0.0
    AF[w + P_SIGNED] = 0.0


@kernel
def pending_add(A: I, AF: F, b: i64, w: i64, price: f64) -> None:
    """Take one price into the pending bar at w, beside the quote that stands in the bar state at b (a bid or ask of zero: never quoted)."""
    if price > AF[w + P_HIGH]:
        AF[w + P_HIGH] = price
    if price < AF[w + P_LOW]:
        AF[w + P_LOW] = price
    AF[w + P_CLOSE] = price
    AF[w + P_COUNT] += 1.0
    AF[w + P_BID] = AF[b + BAR_BID] if AF[b + BAR_BID] != 0.0 else NAN
    AF[w + P_ASK] = AF[b + BAR_ASK] if AF[b + BAR_ASK] != 0.0 else NAN
    AF[w + P_BID_SIZE] = AF[b + BAR_BID_SIZE] if A[b + BAR_SIZED] != NEVER_QUOTED else NAN
    AF[w + P_ASK_SIZE] = AF[b + BAR_ASK_SIZE] if A[b + BAR_SIZED] != NEVER_QUOTED else NAN


@kernel
def seconds_of(ns: i64) -> f64:
    """Seconds since 1970 of an instant in ns: whole seconds exactly, others to a quarter of a microsecond."""
    whole = ns // NS_PER_S
    return float(whole) + float(ns - whole * NS_PER_S) / 1e9


@kernel
def pending_take(A: I, AF: F, b: i64, w: i64, closed: i64, XF: F, x: i64) -> None:
    """Write the pending bar at w, which closed at `closed`, as base columns at XF[x] and close it.

    Volume is NaN for an instrument that has never traded, flow for one whose quotes have no sizes, signed volume for one without sides.
    """
    XF[x] = AF[w + P_OPEN]
    XF[x + 1] = AF[w + P_HIGH]
    XF[x + 2] = AF[w + P_LOW]
    XF[x + 3] = AF[w + P_CLOSE]
    XF[x + 4] = AF[w + P_VOLUME] if A[b + BAR_TRADED] == 1 else NAN
    XF[x + 5] = AF[w + P_COUNT]
    XF[x + 6] = AF[w + P_BID]
    XF[x + 7] = AF[w + P_ASK]
    XF[x + 8] = AF[w + P_BID_SIZE]
    XF[x + 9] = AF[w + P_ASK_SIZE]
    XF[x + 10] = AF[w + P_FLOW] if A[b + BAR_SIZED] == SIZED else NAN
    XF[x + 11] = AF[w + P_SIGNED] if A[b + BAR_SIDED] == 1 else NAN
    XF[x + 12] = seconds_of(closed)
    A[w + P_ACTIVE] = 0


@kernel
def bar_quote(A: I, AF: F, b: i64, TF: F, t: i64) -> f64:
    """Let the quote of record t stand in the bar state at b; what it adds to the order-flow imbalance, in size units.

    e = [bid >= old bid] bid size - [bid <= old bid] old bid size - [ask <= old ask] ask size + [ask >= old ask] old ask size: what was
    added to the bid or taken from the ask counts up, the opposite down. 0 unless both quotes say all it takes, which `BAR_WHOLE` remembers.
    """
    bid = TF[t + BODY]
    bid_size = TF[t + BODY + 1]
    ask = TF[t + BODY + 2]
    ask_size = TF[t + BODY + 3]
    sized = bid_size == bid_size and ask_size == ask_size
    whole = 1 if sized and bid == bid and ask == ask else 0
    event = 0.0
    if whole == 1 and A[b + BAR_WHOLE] == 1:
        old_bid = AF[b + BAR_BID]
        old_bid_size = AF[b + BAR_BID_SIZE]
        old_ask = AF[b + BAR_ASK]
        old_ask_size = AF[b + BAR_ASK_SIZE]
        # Each term by itself and from values at hand, so that the processor need not guess which way the quote went.
        event = bid_size if bid >= old_bid else 0.0
        event -= old_bid_size if bid <= old_bid else 0.0
        event -= ask_size if ask <= old_ask else 0.0
        event += old_ask_size if ask >= old_ask else 0.0
        event = event if abs(event) < PRICE_MAX else 0.0
    A[b + BAR_WHOLE] = whole
    if sized:
        A[b + BAR_SIZED] = SIZED
    elif A[b + BAR_SIZED] == NEVER_QUOTED:
        A[b + BAR_SIZED] = QUOTED
    AF[b + BAR_BID] = bid
    AF[b + BAR_BID_SIZE] = bid_size
    AF[b + BAR_ASK] = ask
    AF[b + BAR_ASK_SIZE] = ask_size
    return event


@kernel
def bar_gap(A: I, AF: F, b: i64) -> None:
    """Forget the quote in the bar state at b: bars say NaN for it and no flow is counted from it, until the next one comes."""
    A[b + BAR_WHOLE] = 0
    AF[b + BAR_BID] = NAN
    AF[b + BAR_ASK] = NAN
    AF[b + BAR_BID_SIZE] = NAN
    AF[b + BAR_ASK_SIZE] = NAN


@kernel
def beside(A: I, AF: F, b: i64, event: i64, interval: i64, time_clock: i64) -> i64:
    """Where the open bar is that a tick without a price of its own adds to; -1 when none is open."""
    w = b + BAR_RING
    if time_clock == 1:
        w = b + BAR_RING + ((event // interval) % PENDING) * PENDING_WORDS
        if A[w + P_START] != event // interval * interval:
            return -1
    return w if A[w + P_ACTIVE] == 1 else -1


@kernel
def pending_slot(A: I, AF: F, b: i64, event: i64, stamp: i64, interval: i64, price: f64, time_clock: i64) -> i64:
    """Where the pending bar of this tick is, opened if need be; -1 for a late tick, -2 for one too far ahead."""
    if time_clock == 0:
        w = b + BAR_RING
        if A[w + P_ACTIVE] == 0:
            pending_start(A, AF, w, event, price)
        return w
    bucket = event // interval
    start = bucket * interval
    # Arrival bounds both sides: a bucket far away would hold its place in the ring against those that share it.
    arrived = stamp // interval
    if start + interval <= A[b + BAR_CLOSED_TO] or bucket <= arrived - PENDING:
        return -1
    if bucket > arrived + AHEAD:
        return -2
    w = b + BAR_RING + (bucket % PENDING) * PENDING_WORDS
    if A[w + P_ACTIVE] == 1:
        if A[w + P_START] == start:
            return w
        return -2 if A[w + P_START] < start else -1
    pending_start(A, AF, w, start, price)
    return w


@kernel
def bar_tick(A: I, AF: F, b: i64, T: I, TF: F, t: i64, basis: i64, time_clock: i64, interval: i64) -> i64:
    """Take one tick into the bar state at b. Returns where its pending bar is, or -1 when it changed none (and counts why)."""
    event = T[t + TS_EVENT]
    kind = (T[t + HEAD] >> KIND_SHIFT) & BYTE_MASK
    A[b + BAR_TICKS] += 1
    flow = bar_quote(A, AF, b, TF, t) if kind == QUOTE else 0.0
    price = tick_price(T, TF, t, basis)
    if abs(price) > PRICE_MAX:
        price = NAN  # an infinite price would stay in every average for good
    volume = 0.0
    signed = 0.0
    if kind == TRADE:
        A[b + BAR_TRADED] = 1
        volume = TF[t + BODY + 1] if TF[t + BODY + 1] == TF[t + BODY + 1] else 0.0
        side = (T[t + HEAD] >> SIDE_SHIFT) & BYTE_MASK
        if side == BOUGHT or side == SOLD:
            A[b + BAR_SIDED] = 1
            signed = volume if side == BOUGHT else -volume
    if price != price:
        if kind != TRADE:
            A[b + BAR_UNPRICED] += 1
        # A trade beside quote prices adds volume to the bar that is open, a quote beside trade prices flow.
        if volume == 0.0 and flow == 0.0:
            return -1
        w = beside(A, AF, b, event, interval, time_clock)
        if w < 0:
            return -1
        AF[w + P_VOLUME] += volume
        AF[w + P_SIGNED] += signed
        AF[w + P_FLOW] += flow
        return w
    w = pending_slot(A, AF, b, event, T[t + TS_RECV], interval, price, time_clock)
    if w < 0:
        if w == -1:
            A[b + BAR_LATE] += 1
        else:
            A[b + BAR_AHEAD] += 1
        return -1
    pending_add(A, AF, b, w, price)
    if kind == TRADE:
        AF[w + P_VOLUME] += volume
        AF[w + P_SIGNED] += signed
    else:
        AF[w + P_FLOW] += flow
    return w


@kernel
def quote_state(bid: f64, ask: f64) -> i64:
    """Good, crossed (bid above ask) or one-sided (NaN, or no finite number); a locked market (bid equals ask) is good."""
    if not (abs(bid) < PRICE_MAX and abs(ask) < PRICE_MAX):
        return QUOTE_ONE_SIDED
    if bid > ask:
        return QUOTE_CROSSED
    return QUOTE_GOOD


@kernel
def quote_around(AF: F, q: i64, price: f64) -> None:
    """Bid and ask half the assumed spread away from a price; sizes are unknown."""
    AF[q + Q_BID] = price - AF[q + Q_HALF_SPREAD]
    AF[q + Q_ASK] = price + AF[q + Q_HALF_SPREAD]
    AF[q + Q_BID_SIZE] = NAN
    AF[q + Q_ASK_SIZE] = NAN


@kernel
def stand(A: I, AF: F, q: i64, event: i64, stamp: i64, tick: i64) -> None:
    """The bid and ask at q stand from here on."""
    A[q + Q_STATE] = quote_state(AF[q + Q_BID], AF[q + Q_ASK])
    A[q + Q_TIME] = stamp
    A[q + Q_EVENT] = event
    A[q + Q_TICK] = tick
    A[q + Q_COUNT] += 1
    if A[q + Q_STATE] == QUOTE_GOOD:
        AF[q + Q_MID] = (AF[q + Q_BID] + AF[q + Q_ASK]) * 0.5


@kernel
def take_quote(A: I, AF: F, q: i64, T: I, TF: F, t: i64, stamp: i64, tick: i64) -> i64:
    """Let the quote at q be what record t says. Returns 1 when it is new, 0 when the record carries none."""
    kind = (T[t + HEAD] >> KIND_SHIFT) & BYTE_MASK
    if kind == QUOTE:
        AF[q + Q_BID] = TF[t + BODY]
        AF[q + Q_BID_SIZE] = TF[t + BODY + 1]
        AF[q + Q_ASK] = TF[t + BODY + 2]
        AF[q + Q_ASK_SIZE] = TF[t + BODY + 3]
    elif A[q + Q_TRADES_QUOTE] == 1 and (kind == TRADE or kind == BAR):
        quote_around(AF, q, TF[t + BODY] if kind == TRADE else TF[t + BODY + BAR_CLOSE])
    else:
        return 0
    stand(A, AF, q, T[t + TS_EVENT], stamp, tick)
    return 1


@kernel
def lose_quote(A: I, q: i64) -> None:
    """Data was lost: the quote at q, if there is one, is not known to stand any more. When it came (`Q_TIME`) is kept."""
    if A[q + Q_STATE] != QUOTE_NONE:
        A[q + Q_STATE] = QUOTE_LOST


@kernel
def take_open(A: I, AF: F, q: i64, T: I, TF: F, t: i64, stamp: i64, tick: i64) -> None:
    """Let the quote at q stand around the open of bar t, before its close: what an order sees that was there when the bar began."""
    quote_around(AF, q, TF[t + BODY])
    stand(A, AF, q, T[t + TS_EVENT], stamp, tick)
