"""The simulated market, one minute at a time: a pure function (market, seed, state) -> (records, next state).

What it models, per minute of UTC (a *block*):
- *Regimes*: one Markov chain for the whole market, stepped every second, calm - normal - storm; it scales activity, volatility and spread
  (Hamilton, Econometrica 57, 1989).
- *Order flow*: a Hawkes process per symbol with an exponential kernel, so events come in clusters (Hawkes, Biometrika 58, 1971). It is
  drawn by its cluster form (Hawkes and Oakes, J. Appl. Prob. 11, 1974): immigrants come at a Poisson rate, each event has
  Poisson(BRANCHING) children after exponential delays; those that fall behind the minute are handed to the next one. Exact, no thinning.
- *Prices*: a latent mid per symbol in steps of 100 ms, in increments of the instrument: Gaussian shocks of two common factors (dollar,
  appetite) and one of its own, plus jumps at Poisson times with Student-t(3) sizes, symmetric, in every shock (Merton, JFE 3, 1976).
- *Trades*: one event in five; their sides persist, and each moves the latent mid its way over the next seconds, so a side tells a little
  about what follows. They print at the bid or ask quoted last. The first event of a symbol in a minute is always a quote.
- *Quotes*: the latent mid, a spread that grows with the regime, with the last 100 ms move and in quiet hours; sizes exponential.

What is random: all draws of block `b` come from `PCG64(SeedSequence(seed, spawn_key=(b,)))` in the order of the code below, and what one
block leaves to the next is in `State`. So the sequence depends on the seed, the symbols and the starting minute, and on nothing else.
Prices use only + - * / and sqrt; the random draws use the C library's exp and log. Equality to the bit is promised for the same machine
and NumPy build.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.records import LAST, QUOTE, TICK, TRADE, Records, empty
from tercel.base.time import NS_PER_DAY, NS_PER_S
from tercel.market.feeds.simulated_symbols import BLOCK_NS, CELL_NS, FACTORS, Floats, Market

Ints = npt.NDArray[np.int64]

SECONDS: Final = BLOCK_NS // NS_PER_S
CELLS: Final = BLOCK_NS // CELL_NS
CELLS_PER_SECOND: Final = CELLS // SECONDS

BRANCHING: Final = 0.6  # mean number of children of an event; below 1, or the flow explodes
DECAY_NS: Final = 200 * 1_000_000  # mean delay of a child
GENERATIONS_MAX: Final = 64  # later generations are dropped; one is reached with probability 0.6^64 per event
TRADE_SHARE: Final = 0.2
TRADE_SIZE: Final = 0.25  # mean, in mean quoted sizes
SIDE_PERSISTENCE: Final = 0.62  # probability that a trade has the side of the trade before
IMPACT: Final = 0.15  # what a trade moves the latent mid in the end, in standard deviations of one second
IMPACT_CELLS: Final = 50  # how long that takes
JUMPS_PER_DAY: Final = 4.0  # per shock: every symbol's own and each common factor
JUMP_SCALE: Final = 3.0  # of a jump, in standard deviations of one minute, times Student-t(3)
RETURN_MAX: Final = 0.1  # of one step; keeps prices positive

CALM, NORMAL, STORM = 0, 1, 2
# calm, normal, storm. The chain spends 48, 48 and 4 per cent of its time there; weighted so, activity and variance average 1.
ACTIVITY: Final = np.array([0.75, 1.15, 2.5])
VOLATILITY: Final = np.array([0.6, 1.0, 3.0])
SPREAD: Final = np.array([0.85, 1.0, 2.5])
# Regime -> (regime it goes to, probability per second), cumulated from 0 upward within one draw.
MOVES: Final = {
    CALM: ((NORMAL, 1 / 1200),),
    NORMAL: ((CALM, 1 / 1200), (STORM, 1 / 2400)),
    STORM: ((NORMAL, 1 / 180),),
}  # fmt: skip
_MOVE_MAX: Final = max(sum(chance for _, chance in moves) for moves in MOVES.values())

# What a trade releases of its impact in each of the following steps; sums to 1.
_RELEASE: Final = 0.92 ** np.arange(IMPACT_CELLS) / (0.92 ** np.arange(IMPACT_CELLS)).sum()


class State(msgspec.Struct, frozen=True):
    """What one block leaves to the next; arrays are per symbol and never changed in place."""

    block: int  # number of the next block: minutes since 1970
    regime: int
    mid: Floats  # latent mid, in increments
    release: Floats  # [symbol, step]: impact of past trades still to come, in standard deviations of one step
    side: Ints  # of the last trade
    events: Ints  # number of events so far
    pending_symbol: Ints  # events of the next blocks that earlier ones caused: symbol
    pending_ns: Ints  # and time after the start of the block


class _Events(NamedTuple):
    """Columns of the events of a block, grouped by symbol, by time inside each."""

    symbol: Ints
    time_ns: Ints  # after the start of the block
    first: Ints  # per symbol: row of its first event
    trade: npt.NDArray[np.bool_]
    side: Ints


def first_state(market: Market, block: int) -> State:
    """The state before the first block, number `block`."""
    count = len(market.ids)
    none, zeros = np.empty(0, np.int64), np.zeros(count, np.int64)
    return State(block, NORMAL, market.mid, np.zeros((count, IMPACT_CELLS)), zeros + 1, zeros, none, none)


def next_block(market: Market, seed: int, state: State) -> tuple[Records, State]:
    """The records of block `state.block` in order of (ts_event, symbol), `ts_recv` = `ts_event`, and the state after it."""
    activity = market.activity(state.block)
    if not activity.any():
        none = state.pending_ns[:0]
        return empty(0), msgspec.structs.replace(state, block=state.block + 1, pending_symbol=none, pending_ns=none)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(state.block,))))
    regimes = _regimes(rng, state.regime)
    symbol, time_ns, pending_symbol, pending_ns = _times(rng, market.events_per_s * activity, ACTIVITY[regimes], state)
    events = _flow(rng, symbol, time_ns, state.side)
    mid, release = _prices(rng, market, np.sqrt(activity), VOLATILITY[regimes], events, state)
    calm = np.sqrt(np.where(activity > 0.0, activity, 1.0))
    records = _records(rng, market, SPREAD[regimes], market.spread / calm, events, mid, state)
    left = State(
        block=state.block + 1, regime=int(regimes[-1]), mid=mid[:, -1].copy(), release=release, side=_last_side(events, state.side),
        events=state.events + np.bincount(symbol, minlength=len(market.ids)), pending_symbol=pending_symbol, pending_ns=pending_ns,
    )  # fmt: skip
    return records, left


def _regimes(rng: np.random.Generator, regime: int) -> Ints:
    """The regime of every second of the block."""
    draws = rng.random(SECONDS)
    path = np.full(SECONDS, regime)
    for second in np.flatnonzero(draws < _MOVE_MAX):
        chance = 0.0
        for target, probability in MOVES[regime]:
            chance += probability
            if draws[second] < chance:
                regime = target
                path[second:] = regime
                break
    return path


def _times(rng: np.random.Generator, events_per_s: Floats, by_second: Floats, state: State) -> tuple[Ints, Ints, Ints, Ints]:
    """Symbol and time of this block's events, by (symbol, time), then those of the events that already wait behind it."""
    immigrants = rng.poisson((events_per_s * (1.0 - BRANCHING))[:, None] * by_second).ravel()
    place = np.repeat(np.arange(len(immigrants)), immigrants)
    symbol = np.concatenate((place // SECONDS, state.pending_symbol))
    time_ns = np.concatenate((place % SECONDS * NS_PER_S + rng.integers(0, NS_PER_S, len(place)), state.pending_ns))
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
    return key // BLOCK_NS, key % BLOCK_NS, *waits


def _flow(rng: np.random.Generator, symbol: Ints, time_ns: Ints, side: Ints) -> _Events:
    """Which events are trades, and their sides: a chain per symbol that goes on from the last trade."""
    draws = rng.random((2, len(symbol)))
    first = np.searchsorted(symbol, np.arange(len(side)))
    trade = draws[0] < TRADE_SHARE
    trade[first[first < len(symbol)]] = False
    turns = np.where(trade & (draws[1] >= SIDE_PERSISTENCE), -1, 1)
    product = np.cumprod(turns)  # one chain over all rows; each symbol divides out what came before it (a factor of +1 or -1)
    before = np.concatenate(([1], product))[first]
    return _Events(symbol, time_ns, first, trade, product * (before * side)[symbol])


def _last_side(events: _Events, side: Ints) -> Ints:
    """Per symbol: the side in force after its last event, or the old one."""
    ends = np.append(events.first[1:], len(events.symbol))
    last = side.copy()
    some = ends > events.first
    last[some] = events.side[ends[some] - 1]
    return last


def _prices(
    rng: np.random.Generator, market: Market, loud: Floats, by_second: Floats, events: _Events, state: State
) -> tuple[Floats, Floats]:
    """Latent mids in increments, [symbol, CELLS + 1] (an event of step c sees column c), and the impact still to come."""
    count = len(market.ids)
    shocks = rng.standard_normal((FACTORS + count, CELLS)) * np.repeat(by_second, CELLS_PER_SECOND)
    for shock, jumps in enumerate(rng.poisson(JUMPS_PER_DAY * BLOCK_NS / NS_PER_DAY, len(shocks))):
        for _ in range(jumps):
            shocks[shock, rng.integers(CELLS)] += JUMP_SCALE * math.sqrt(CELLS) * rng.standard_t(3)
    moves = market.own[:, None] * shocks[FACTORS:]
    for factor in range(FACTORS):
        moves += market.factors[:, factor, None] * shocks[factor]
    pushes, release = _impact(events, state.release)
    moves = moves * (market.deviation * loud)[:, None] + pushes * np.where(loud > 0.0, market.deviation, 0.0)[:, None]
    growth = np.ones((count, CELLS + 1))
    growth[:, 1:] += np.clip(moves, -RETURN_MAX, RETURN_MAX)
    growth[:, 0] = state.mid
    return np.cumprod(growth, axis=1, out=growth), release


def _impact(events: _Events, release: Floats) -> tuple[Floats, Floats]:
    """What trades add to each step [symbol, CELLS], and what is left for the next block, in standard deviations of one step."""
    count = len(release)
    cell = events.symbol * CELLS + events.time_ns // CELL_NS
    sides = np.bincount(cell[events.trade], weights=events.side[events.trade].astype(np.float64), minlength=count * CELLS)
    signed = sides.reshape(count, CELLS) * (IMPACT * math.sqrt(CELLS_PER_SECOND))
    pushes = np.zeros((count, CELLS + IMPACT_CELLS))
    pushes[:, :IMPACT_CELLS] = release
    for row in range(count):
        pushes[row, : CELLS + IMPACT_CELLS - 1] += np.convolve(signed[row], _RELEASE)
    return pushes[:, :CELLS], pushes[:, CELLS:].copy()


def _records(
    rng: np.random.Generator, market: Market, by_second: Floats, spread_mean: Floats, events: _Events, mid: Floats, state: State
) -> Records:
    """Quotes and trades of the block in order of (time, symbol)."""
    symbol, count = events.symbol, len(events.symbol)
    cell = events.time_ns // CELL_NS
    draws = rng.standard_exponential((3, count))
    here = mid[symbol, cell]
    moved = np.abs(here - mid[symbol, np.maximum(cell - 1, 0)])
    spread = spread_mean[symbol] * by_second[events.time_ns // NS_PER_S] * (0.75 + 0.25 * draws[0]) + 0.5 * moved
    spread = np.maximum(1.0, np.floor(spread + 0.5))
    bid = np.maximum(1.0, np.floor(here - 0.5 * spread + 0.5))
    quoted = np.maximum.accumulate(np.where(events.trade, 0, np.arange(count)))  # row of the last quote; a symbol's first row is one
    bid, ask = bid[quoted], (bid + spread)[quoted]
    sizes = np.floor(draws[1:] * market.size_mean[symbol] * np.where(events.trade, TRADE_SIZE, 1.0)) + 1.0
    price_unit, size_unit = market.price_units[symbol], market.size_units[symbol]
    price_scale, size_scale = market.price_scale[symbol], market.size_scale[symbol]

    rows = np.zeros(count, TICK)
    rows["ts_event"] = rows["ts_recv"] = events.time_ns + state.block * BLOCK_NS
    rows["instrument"] = market.ids[symbol]
    rows["kind"] = np.where(events.trade, TRADE, QUOTE)
    rows["side"] = np.where(events.trade, events.side, 0)
    rows["flags"] = LAST
    rows["price"] = np.where(events.trade & (events.side > 0), ask, bid) * price_unit / price_scale
    rows["size"] = sizes[0] * size_unit / size_scale
    rows["price2"] = np.where(events.trade, np.nan, ask * price_unit / price_scale)
    rows["size2"] = np.where(events.trade, np.nan, sizes[1] * size_unit / size_scale)
    rows["ref"] = state.events[symbol] + 1 + np.arange(count) - events.first[symbol]
    return rows[np.argsort(events.time_ns, kind="stable")]
