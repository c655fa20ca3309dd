"""The simulated market, one minute at a time: a pure function (market, seed, state) -> (records, next state).

What it models, per minute of UTC (a *block*):
- *Loudness*: volatility, activity and spread of each second, by a cascade of components and bursts after jumps and news
  (`simulated_volatility`, `simulated_news`), times what the hour brings (`simulated_symbols`).
- *Flow*: when something happens, trades and their sides (`simulated_flow`).
- *Prices*: a latent mid per symbol in steps of 100 ms, in increments of the instrument: Gaussian shocks of two common factors (dollar,
  appetite) and one of its own, plus jumps with Student-t(3) sizes, symmetric, in every shock (Merton, JFE 3, 1976). The common shocks reach
  a symbol over seconds, each in its own time, so that symbols move together over minutes and less so over a second (Epps, "Comovements in
  stock prices in the very short run", J. Am. Stat. Assoc. 74, 1979). A trade moves the mid its way over the next seconds, so a side tells
  a little about what follows.
- *Trades* print at the bid or ask quoted last; their sizes are Lomax distributed, with the tail of real ones (Gopikrishnan and others,
  "Statistical properties of share volume traded in financial markets", Phys. Rev. E 62, 2000).
- *Quotes*: the latent mid, a spread that grows with loudness, with the last 100 ms move and in quiet hours; sizes exponential.

What is random: all draws of block `b` come from `PCG64(SeedSequence(seed, spawn_key=(b,)))` in the order of the code below, the first state
from `spawn_key=(b, 0)`, and what one block leaves to the next is in `State`. So the sequence depends on the seed, the symbols and the
starting minute, and on nothing else. Prices use only + - * / and sqrt; the random draws use the C library's exp and log. Equality to the
bit is promised for the same machine and NumPy build.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np

from tercel.base.records import LAST, QUOTE, TICK, TRADE, Records, empty
from tercel.base.time import NS_PER_S
from tercel.market.feeds.simulated_flow import CROWDS, Events, Ints, draw_flow, draw_times
from tercel.market.feeds.simulated_symbols import BLOCK_NS, CELL_NS, DELAY_CELLS, FACTORS, Floats, Market
from tercel.market.feeds.simulated_volatility import (
    BURST_LIVES_S,
    CELLS,
    CELLS_PER_SECOND,
    draw_jumps,
    first_components,
    jump_moves,
    loudness,
)

TRADE_SIZE: Final = 0.25  # mean, in mean quoted sizes
SIZE_TAIL: Final = 1.7  # index of the tail of trade sizes
IMPACT: Final = 0.3  # what a trade that nobody expected moves the latent mid in the end, in standard deviations of one second
IMPACT_CELLS: Final = 50  # how long that takes
RETURN_MAX: Final = 0.1  # of one step; keeps prices positive

# What a trade releases of its impact in each of the following steps; sums to 1.
_RELEASE: Final = 0.92 ** np.arange(IMPACT_CELLS) / (0.92 ** np.arange(IMPACT_CELLS)).sum()


class State(msgspec.Struct, frozen=True):
    """What one block leaves to the next; arrays are per symbol and never changed in place."""

    block: int  # number of the next block: minutes since 1970
    components: Floats  # [symbol, life]: of the cascade of volatility
    bursts: Floats  # [symbol, life]: by how much variance is still raised
    mid: Floats  # latent mid, in increments
    release: Floats  # [symbol, step]: impact of past trades still to come, in standard deviations of one step
    common: Floats  # [symbol, step]: common shocks on their way, in standard deviations of one step
    sides: Ints  # [symbol, crowd]: of the last trades
    events: Ints  # number of events so far
    pending_symbol: Ints  # events of the next blocks that earlier ones caused: symbol
    pending_ns: Ints  # and time after the start of the block


def first_state(market: Market, seed: int, block: int) -> State:
    """The state before the first block, number `block`."""
    count = len(market.ids)
    none = np.empty(0, np.int64)
    return State(
        block=block, components=first_components(market, _generator(seed, block, 0)), bursts=np.zeros((count, len(BURST_LIVES_S))),
        mid=market.mid, release=np.zeros((count, IMPACT_CELLS)), common=np.zeros((count, DELAY_CELLS)),
        sides=np.ones((count, CROWDS), np.int64), events=np.zeros(count, np.int64), pending_symbol=none, pending_ns=none,
    )  # fmt: skip


def next_block(market: Market, seed: int, state: State) -> tuple[Records, State]:
    """The records of block `state.block` in order of (ts_event, symbol), `ts_recv` = `ts_event`, and the state after it."""
    hour = market.activity(state.block)
    if not hour.any():
        none = state.pending_ns[:0]
        return empty(0), msgspec.structs.replace(state, block=state.block + 1, pending_symbol=none, pending_ns=none)
    rng = _generator(seed, state.block)
    jumps = draw_jumps(rng, state.block, FACTORS + len(hour))
    loud = loudness(rng, market, state.block, state.components, state.bursts, jumps)
    times = draw_times(rng, (market.events_per_s * hour)[:, None] * loud.activity, state.pending_symbol, state.pending_ns)
    events, sides = draw_flow(rng, times, state.sides)
    common = rng.standard_normal((FACTORS, CELLS))
    moves, coming = _spread_out(market, common, state.common)
    moves += market.own[:, None] * rng.standard_normal((len(hour), CELLS))
    moves *= np.repeat(loud.volatility, CELLS_PER_SECOND, axis=1)
    pushes, release = _impact(events, state.release)
    mid = _path(market.deviation * market.volatility_at(hour), moves + jump_moves(market, jumps) + pushes, state.mid)
    records = _records(rng, market, (market.spread * market.spread_at(hour))[:, None] * loud.spread, events, mid, state)
    left = State(
        block=state.block + 1, components=loud.components, bursts=loud.bursts, mid=mid[:, -1].copy(), release=release, common=coming,
        sides=sides, events=state.events + np.bincount(times.symbol, minlength=len(hour)), pending_symbol=times.waiting_symbol,
        pending_ns=times.waiting_ns,
    )  # fmt: skip
    return records, left


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _spread_out(market: Market, common: Floats, before: Floats) -> tuple[Floats, Floats]:
    """What the common shocks [factor, step] move in each symbol and step, and what is still on its way, in deviations of a step."""
    count = len(market.ids)
    moves = np.zeros((count, CELLS + DELAY_CELLS))
    moves[:, :DELAY_CELLS] = before
    for row in range(count):
        shocks = np.zeros(CELLS)
        for factor in range(FACTORS):
            shocks += market.factors[row, factor] * common[factor]
        moves[row, : CELLS + DELAY_CELLS - 1] += np.convolve(shocks, market.delays[row])
    return moves[:, :CELLS], moves[:, CELLS:].copy()


def _impact(events: Events, release: Floats) -> tuple[Floats, Floats]:
    """What trades add to each step [symbol, CELLS], and what is left for the next block, in standard deviations of one step."""
    count = len(release)
    cell = events.symbol * CELLS + events.time_ns // CELL_NS
    pushed = np.bincount(cell[events.trade], weights=events.push[events.trade], minlength=count * CELLS)
    signed = pushed.reshape(count, CELLS) * (IMPACT * math.sqrt(CELLS_PER_SECOND))
    pushes = np.zeros((count, CELLS + IMPACT_CELLS))
    pushes[:, :IMPACT_CELLS] = release
    for row in range(count):
        pushes[row, : CELLS + IMPACT_CELLS - 1] += np.convolve(signed[row], _RELEASE)
    return pushes[:, :CELLS], pushes[:, CELLS:].copy()


def _path(deviation: Floats, moves: Floats, mid: Floats) -> Floats:
    """Latent mids in increments, [symbol, CELLS + 1]: an event of step c sees column c."""
    growth = np.ones((len(mid), CELLS + 1))
    growth[:, 1:] += np.clip(moves * deviation[:, None], -RETURN_MAX, RETURN_MAX)
    growth[:, 0] = mid
    return np.cumprod(growth, axis=1, out=growth)


def _records(rng: np.random.Generator, market: Market, spread_mean: Floats, events: Events, mid: Floats, state: State) -> Records:
    """Quotes and trades of the block in order of (time, symbol); `spread_mean` [symbol, second]."""
    symbol, count = events.symbol, len(events.symbol)
    cell = events.time_ns // CELL_NS
    draws = rng.standard_exponential((3, count))
    here = mid[symbol, cell]
    moved = np.abs(here - mid[symbol, np.maximum(cell - 1, 0)])
    spread = spread_mean[symbol, events.time_ns // NS_PER_S] * (0.75 + 0.25 * draws[0]) + 0.5 * moved
    spread = np.maximum(1.0, np.floor(spread + 0.5))
    bid = np.maximum(1.0, np.floor(here - 0.5 * spread + 0.5))
    quoted = np.maximum.accumulate(np.where(events.trade, 0, np.arange(count)))  # row of the last quote; a symbol's first row is one
    bid, ask = bid[quoted], (bid + spread)[quoted]
    draws[1, events.trade] *= TRADE_SIZE * (SIZE_TAIL - 1.0) / rng.standard_gamma(SIZE_TAIL, int(events.trade.sum()))
    sizes = np.floor(draws[1:] * market.size_mean[symbol]) + 1.0
    price_unit, size_unit = market.price_units[symbol], market.size_units[symbol]
    price_scale, size_scale = market.price_scale[symbol], market.size_scale[symbol]

    rows = np.zeros(count, TICK)
    rows["ts_event"] = rows["ts_recv"] = events.time_ns + state.block * BLOCK_NS
    rows["instrument"] = market.ids[symbol]
    rows["kind"] = np.where(events.trade, TRADE, QUOTE)
    rows["side"] = events.side
    rows["flags"] = LAST
    rows["price"] = np.where(events.trade & (events.side > 0), ask, bid) * price_unit / price_scale
    rows["size"] = sizes[0] * size_unit / size_scale
    rows["price2"] = np.where(events.trade, np.nan, ask * price_unit / price_scale)
    rows["size2"] = np.where(events.trade, np.nan, sizes[1] * size_unit / size_scale)
    rows["ref"] = state.events[symbol] + 1 + np.arange(count) - events.first[symbol]
    return rows[np.argsort(events.time_ns, kind="stable")]
