"""Labels by the triple barrier on ticks: what buying and selling at each decision would have brought, by the rules of the modelled venue.

The core's account phase is repeated, order by order, for one instrument. An entry's order arrives `latency` after the decision. The venue
looks at it whenever a record comes: first, one nanosecond before the record, on the quote that stood, if that one is newer than the order;
then on the new quote. A market order takes the touch, rounded to the price grid against us, whole. From the record of that fill on every
good quote is held against the barriers; the first that meets one sends the exit, which fills by the same rule. The outcome is net of
the spread and both fees. What the label leaves out: sizes that the touch does not hold, and orders that a limit denies.

Where data was lost nothing stands until the next quote: no order fills, and no barrier is looked at. What the price did in such a hole is
known to nobody, so the first quote after it is held against the barriers and the exit fills at what is quoted then, however far beyond a
barrier, as in the core. A silence in which nothing was lost, such as a week-end, ends the same way.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.exact import to_units
from tercel.base.kernel import F, I, entry, f64, i64, kernel
from tercel.models.barriers import TripleBarrier

NAN = float("nan")
FAR = 2**62  # the end of an outcome that is not known
# What a quote is: one that barriers look at; the first of its record, before which the venue looks at the quote that stood. A loss is
# neither.
CHECKED, FIRST = 1, 2
OPEN_SHARE: Final = 10  # of a recorded bar, the first share counts as its open: as in the core's account phase

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Quotes(NamedTuple):
    """Quotes of one instrument in the order of their records, n of each."""

    number: Integers  # of the input that brought it
    stamp: Integers  # of that input, core time, ns
    look: Integers  # until when an order must have arrived to trade on it: the stamp, but for the open of a bar
    marks: Integers  # CHECKED, FIRST
    bid: Floats  # NaN where the quote is not good
    ask: Floats


class Labels(NamedTuple):
    """Outcomes of m decisions; columns are a buy and a sale."""

    outcome: Floats  # [m, 2] in widths, net; NaN where there is none or history ends first
    end: Integers  # [m, 2] stamp at which the exit has filled, ns; `FAR` where the outcome is NaN


def tick_quotes(number: Integers, stamp: Integers, bid: Floats, ask: Floats) -> Quotes:
    """Quotes that came as quotes or stand around trades; those that are not good carry NaN."""
    return Quotes(number, stamp, stamp, np.full(len(stamp), CHECKED | FIRST, np.int64), bid, ask)


def bar_quotes(number: Integers, opened: Integers, stamp: Integers, open_: Floats, close: Floats, half_spread: float) -> Quotes:
    """Recorded bars as the venue takes them: a quote around the open, which only orders see, then one around the close."""
    place = np.arange(2 * len(stamp)) // 2
    is_open = np.arange(2 * len(stamp)) % 2 == 0
    price = np.where(is_open, open_[place], close[place])
    look = np.where(is_open, opened[place] + (stamp[place] - opened[place]) // OPEN_SHARE, stamp[place])
    return Quotes(number[place], stamp[place], look, np.where(is_open, FIRST, CHECKED), price - half_spread, price + half_spread)


def with_losses(quotes: Quotes, number: Integers, stamp: Integers) -> Quotes:
    """The same with the inputs in place that say that data was lost (k numbers, stamps): nothing stands from there to the next quote."""
    nothing = np.full(len(number), NAN)
    losses = Quotes(number, stamp, stamp, np.zeros(len(number), np.int64), nothing, nothing)
    place = np.searchsorted(quotes.number, number)
    return Quotes(*(np.insert(mine, place, lost) for mine, lost in zip(quotes, losses, strict=True)))


@kernel
def price_at(P: F, j: i64, scale: f64, side: i64) -> f64:
    """The price at which an order of `side` trades on quote j, P being asks for a buy and bids for a sale; 0 when it cannot."""
    if P[j] != P[j]:
        return 0.0
    units = to_units(P[j], scale, side)
    return float(units) / scale if units > 0 else 0.0


@kernel
def fill_at(T: I, L: I, K: I, P: F, n: i64, sent: i64, arrival: i64, side: i64, scale: f64) -> i64:
    """The quote on which an order fills that was sent on quote `sent`, -1 when history ends first."""
    for j in range(sent + 1, n):
        if j - 1 > sent and K[j] & FIRST != 0 and arrival <= T[j] - 1 and price_at(P, j - 1, scale, side) > 0.0:
            return j - 1
        if arrival <= L[j] and price_at(P, j, scale, side) > 0.0:
            return j
    return -1


@kernel
def seen_at(L: I, f: i64, arrival: i64) -> i64:
    """The quote whose record brought the fill on quote f: itself when the order was there in time, else the next."""
    return f if arrival <= L[f] else f + 1


@kernel
def met_at(T: I, K: I, X: F, n: i64, first: i64, side: i64, take_at: f64, stop_at: f64, until: i64) -> i64:
    """The first quote from `first` on that meets a barrier, X being the prices of the exit; -1 when none does."""
    for j in range(first, n):
        x = X[j]
        if K[j] & CHECKED == 0 or x != x:
            continue
        if T[j] >= until:
            return j
        if side > 0:
            if x >= take_at or x <= stop_at:
                return j
        elif x <= take_at or x >= stop_at:
            return j
    return -1


@kernel
def label_side(
    T: I, L: I, K: I, N: F, X: F, D: I, S: I, W: F, O: F, E: I, n: i64, m: i64, side: i64, take: f64, stop: f64, horizon: i64, latency: i64,
    fee: f64, scale: f64,
) -> None:  # fmt: skip
    """Outcomes O and ends E of m decisions of one side over n quotes.

    T stamps, L looks, K marks, N prices of the entry, X of the exit; D the quote that stands at a decision, S its stamp, W its width.
    """
    for i in range(m):
        O[i] = NAN
        E[i] = FAR
        d = D[i]
        if d < 0 or not W[i] > 0.0 or N[d] != N[d]:
            continue
        arrival = S[i] + latency
        e = fill_at(T, L, K, N, n, d, arrival, side, scale)
        if e < 0:
            continue
        take_at = N[d] + float(side) * take * W[i]
        stop_at = N[d] - float(side) * stop * W[i]
        x = met_at(T, K, X, n, seen_at(L, e, arrival), side, take_at, stop_at, S[i] + horizon)
        if x < 0:
            continue
        arrival = T[x] + latency
        f = fill_at(T, L, K, X, n, x, arrival, -side, scale)
        if f < 0:
            continue
        bought = price_at(N, e, scale, side)
        sold = price_at(X, f, scale, -side)
        O[i] = ((sold - bought) * float(side) - fee * (bought + sold)) / W[i]
        E[i] = T[seen_at(L, f, arrival)]


def label(
    quotes: Quotes,
    standing: Integers,
    stamp: Integers,
    width: Floats,
    barriers: TripleBarrier,
    *,
    latency_ns: int,
    fee_rate: float,
    price_scale: float,
) -> Labels:
    """What each of m decisions of one instrument would have brought on either side.

    `standing[m]` is the index of the quote that stands at the decision (-1 for none), `stamp[m]` its core time in ns, `width[m]` in price
    units; without a positive width or a good quote there is no outcome. `fee_rate` is a share of the value, `price_scale` = 10**decimals.
    """
    n, m = len(quotes.stamp), len(stamp)
    sides = []
    for side, entered, left in ((1, quotes.ask, quotes.bid), (-1, quotes.bid, quotes.ask)):
        outcome, end = np.empty(m), np.empty(m, np.int64)
        run = entry(label_side).bind(
            *(np.ascontiguousarray(part) for part in (quotes.stamp, quotes.look, quotes.marks, entered, left, standing, stamp, width)),
            outcome,
            end,
        )
        run(n, m, side, barriers.take, barriers.stop, barriers.horizon_ns, latency_ns, fee_rate, price_scale)
        sides.append((outcome, end))
    return Labels(np.stack([one[0] for one in sides], axis=1), np.stack([one[1] for one in sides], axis=1))
