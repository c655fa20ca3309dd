"""When something happens in a minute of the simulated market, whether it is a trade, and which side it takes.

*Times*: a Hawkes process per symbol with an exponential kernel, so events come in clusters (Hawkes, Biometrika 58, 1971), at a rate that
follows the hour and the loudness of each second. It is drawn by its cluster form (Hawkes and Oakes, J. Appl. Prob. 11, 1974): immigrants
come at a Poisson rate, each event has Poisson(BRANCHING) children after exponential delays; those that fall behind the minute are handed to
the next one. Exact, no thinning.
*Sides*: large orders are traded in pieces, so sides persist for long (Lillo and Farmer, "The long memory of the efficient market", Studies
in Nonlinear Dynamics & Econometrics 8, 2004). Each trade comes from one of three crowds; a crowd repeats its last side with its own
stubbornness. What moves the price is only how far a side was not to be expected from its crowd, side - stubbornness x last side; that has
no memory, so that trades can be foreseen and returns cannot.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.time import NS_PER_S
from tercel.market.feeds.simulated_symbols import BLOCK_NS, Floats
from tercel.market.feeds.simulated_volatility import SECONDS

Ints = npt.NDArray[np.int64]

BRANCHING: Final = 0.6  # mean number of children of an event; below 1, or the flow explodes
DECAY_NS: Final = 200 * 1_000_000  # mean delay of a child
GENERATIONS_MAX: Final = 64  # later generations are dropped; one is reached with probability 0.6^64 per event
TRADE_SHARE: Final = 0.2
KIND_KEPT: Final = 0.6  # share of events that are what the one before was, so that trades come in runs; the others are drawn
CROWDS: Final = 3
CROWD_SHARES: Final = np.array([0.5, 0.35, 0.15])  # of the trades
STUBBORNNESS: Final = np.array([0.75, 0.95, 0.99])  # correlation of a crowd's side with its last one


class Events(NamedTuple):
    """Columns of the events of a block, grouped by symbol, by time inside each."""

    symbol: Ints
    time_ns: Ints  # after the start of the block
    first: Ints  # per symbol: row of its first event
    trade: npt.NDArray[np.bool_]
    side: Ints  # 0 for a quote
    push: Floats  # how far the side was not to be expected, 0 for a quote


class Times(NamedTuple):
    """Symbol and time after the start of the block of this block's events, by (symbol, time), and of those that wait behind it."""

    symbol: Ints
    time_ns: Ints
    waiting_symbol: Ints
    waiting_ns: Ints


def draw_times(rng: np.random.Generator, events_per_s: Floats, waiting_symbol: Ints, waiting_ns: Ints) -> Times:
    """The events of a block at mean rates [symbol, second], with those that the block before left."""
    immigrants = rng.poisson(events_per_s * (1.0 - BRANCHING)).ravel()
    place = np.repeat(np.arange(len(immigrants)), immigrants)
    symbol = np.concatenate((place // SECONDS, waiting_symbol))
    time_ns = np.concatenate((place % SECONDS * NS_PER_S + rng.integers(0, NS_PER_S, len(place)), waiting_ns))
    keys, late = [], []
    for _ in range(GENERATIONS_MAX):
        if not len(symbol):
            break
        key = symbol * BLOCK_NS + time_ns
        inside = time_ns < BLOCK_NS
        if not inside.all():
            late.append((symbol[~inside], time_ns[~inside] - BLOCK_NS))
            symbol, time_ns, key = symbol[inside], time_ns[inside], key[inside]
        keys.append(key)
        children = rng.poisson(BRANCHING, len(symbol))
        symbol, time_ns = np.repeat(symbol, children), np.repeat(time_ns, children)
        time_ns = time_ns + 1 + (rng.standard_exponential(len(time_ns)) * DECAY_NS).astype(np.int64)
    none = np.empty(0, np.int64)
    key = np.sort(np.concatenate([none, *keys]))
    waits = np.concatenate([none, *(symbol for symbol, _ in late)]), np.concatenate([none, *(time_ns for _, time_ns in late)])
    return Times(key // BLOCK_NS, key % BLOCK_NS, *waits)


def draw_flow(rng: np.random.Generator, times: Times, sides: Ints) -> tuple[Events, Ints]:
    """Which events are trades, and their sides; `sides` [symbol, crowd] are the last ones, returned as they are after the block.

    The first event of a symbol is a quote, so that a trade finds one.
    """
    symbol = times.symbol
    first = np.searchsorted(symbol, np.arange(len(sides)))
    draws = rng.random((4, len(symbol)))
    drawn, trade = draws[0] >= KIND_KEPT, draws[3] < TRADE_SHARE
    drawn[first[first < len(symbol)]], trade[first[first < len(symbol)]] = True, False
    trade = trade[np.maximum.accumulate(np.where(drawn, np.arange(len(symbol)), 0))]
    rows = np.flatnonzero(trade)
    crowd = np.searchsorted(np.cumsum(CROWD_SHARES[:-1]), draws[1, rows], side="right")
    turn = np.where(draws[2, rows] < 0.5 * (1.0 - STUBBORNNESS[crowd]), -1, 1)
    sided, after = _chains(symbol[rows] * CROWDS + crowd, turn, sides.ravel())
    side, push = np.zeros(len(symbol), np.int64), np.zeros(len(symbol))
    side[rows] = sided
    push[rows] = sided * (1.0 - STUBBORNNESS[crowd] * turn)  # the last side was side x turn
    return Events(symbol, times.time_ns, first, trade, side, push), after.reshape(sides.shape)


def _chains(chain: Ints, turn: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Sides of rows that each continue one of many chains, and the last side of every chain afterwards."""
    order = np.argsort(chain, kind="stable")
    # One product over all rows; each chain divides out what came before it, a factor of +1 or -1.
    product = np.concatenate(([1], np.cumprod(turn[order])))
    ends = np.searchsorted(chain[order], np.arange(len(last) + 1))
    side = np.empty(len(chain), np.int64)
    side[order] = product[1:] * (product[ends[:-1]] * last)[chain[order]]
    return side, last * product[ends[:-1]] * product[ends[1:]]
