"""How loud the simulated market is in each second: a cascade of components that come and go, and bursts after jumps and news.

*Cascade*: volatility is a product of two-valued components, each drawn anew at random times; those that last long are common to all
symbols, the short ones belong to each. It gives the slow decay of volatility's memory and fat tails (Calvet and Fisher, "How to forecast
long-run volatility: regime switching and the estimation of multifractal processes", J. Financial Econometrics 2, 2004).
One more component moves the spread alone: how many quote does not only depend on how much the price moves.
*Bursts*: a jump of J minute-deviations raises the variance by `BURST` J^2, which then falls about as 1 / (1 + t / 10 s), the law of Omori
(Lillo and Mantegna, "Power-law relaxation in a complex system: Omori law after a financial market crash", Phys. Rev. E 68, 2003). It is a
sum of four exponentials, so that a block leaves a few numbers to the next. Activity and spread follow it.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.time import NS_PER_S
from tercel.market.feeds.simulated_news import releases_between
from tercel.market.feeds.simulated_symbols import BLOCK_NS, CELL_NS, FACTORS, Floats, Market

SECONDS: Final = BLOCK_NS // NS_PER_S
CELLS: Final = BLOCK_NS // CELL_NS
CELLS_PER_SECOND: Final = CELLS // SECONDS

# Mean life of each component, in seconds, and how far it moves volatility either way. The first one moves the spread instead.
OWN_LIVES_S: Final = (300, 30, 240, 1_200)
COMMON_LIVES_S: Final = (1_800, 10_800, 43_200)
SWING: Final = 0.27
SPREAD_SWING: Final = 0.2

JUMPS_PER_DAY: Final = 4.0  # per shock: every symbol's own and each common factor
JUMP_SCALE: Final = 3.0  # of a jump, in standard deviations of one minute, times Student-t(3)
NEWS_SCALE: Final = 20.0  # of the jump at a release of strength 1, in standard deviations of one minute, times a normal number
DOLLAR: Final = 0  # the factor that news moves

BURST: Final = 0.6  # rise of the variance after a jump of one minute-deviation; grows with its square
BURST_MAX: Final = 400.0
BURST_OF_NEWS: Final = 200.0  # at a release of strength 1 at least, whatever the price did
BURST_LIVES_S: Final = np.array([15.0, 120.0, 900.0, 7_200.0])
BURST_SHARES: Final = np.array([0.74, 0.2, 0.052, 0.008])
BURST_SPREAD: Final = 0.04  # rise of the spread for a rise of the variance by 1
BEFORE_NEWS: Final = 10.0  # rise of the spread just before a release of strength 1; s seconds before, 1 / (1 + s / 5) of it
BEFORE_NEWS_NS: Final = 120 * NS_PER_S

_LIVES: Final = np.array([*OWN_LIVES_S, *COMMON_LIVES_S], np.float64)
_MEAN_SQUARE: Final = (1.0 + SWING * SWING) ** (len(_LIVES) - 1)
# Row k, column s: what is left of a burst's part k after s seconds; one column more for what the block leaves.
_LEFT: Final = np.cumprod(np.column_stack((np.ones(4), *(SECONDS * [1.0 - 1.0 / BURST_LIVES_S]))), axis=1)


class Jump(NamedTuple):
    """A shock (factor or symbol) moves in a step of the block by `size` standard deviations of one minute; `floor`: least burst."""

    shock: int
    cell: int
    size: float
    floor: float


class Loudness(NamedTuple):
    """Multipliers [symbol, second] of a block, and what is left for the next one."""

    volatility: Floats
    activity: Floats
    spread: Floats
    components: Floats
    bursts: Floats


def first_components(market: Market, rng: np.random.Generator) -> Floats:
    """Components [symbol, life] of the cascade as they are found at any time, -1 or 1."""
    drawn = np.where(rng.random((len(market.ids) + 1, len(_LIVES))) < 0.5, -1.0, 1.0)
    drawn[:, len(OWN_LIVES_S) :] = drawn[-1, len(OWN_LIVES_S) :]
    return drawn[:-1]


def draw_jumps(rng: np.random.Generator, block: int, shocks: int) -> list[Jump]:
    """The jumps of a block: unforeseen ones in every shock, and those of releases in the dollar factor, within a second."""
    found = [
        Jump(shock, int(rng.integers(CELLS)), JUMP_SCALE * float(rng.standard_t(3)), 0.0)
        for shock, count in enumerate(rng.poisson(JUMPS_PER_DAY / 1_440.0, shocks))
        for _ in range(count)
    ]
    start_ns = block * BLOCK_NS
    for time_ns, strength in releases_between(start_ns, start_ns + BLOCK_NS):
        cell = (time_ns - start_ns) // CELL_NS + int(rng.integers(CELLS_PER_SECOND))
        size = NEWS_SCALE * strength * float(rng.standard_normal())
        found.append(Jump(DOLLAR, cell, size, BURST_OF_NEWS * strength))
    return found


def jump_moves(market: Market, jumps: list[Jump]) -> Floats:
    """What the jumps move, [symbol, step], in standard deviations of one step."""
    moves = np.zeros((len(market.ids), CELLS))
    for jump in jumps:
        moves[:, jump.cell] += _loading(market, jump.shock) * (jump.size * math.sqrt(CELLS))
    return moves


def loudness(rng: np.random.Generator, market: Market, block: int, components: Floats, bursts: Floats, jumps: list[Jump]) -> Loudness:
    """The multipliers of a block. `components` [symbol, life] and `bursts` [symbol, life of bursts] are what the block before left."""
    path = _component_path(rng, components)
    cascade = np.ones((len(components), SECONDS))
    for life in range(1, len(_LIVES)):
        cascade *= 1.0 + SWING * path[:, life]
    raised, left = _burst_path(market, bursts, jumps)
    volatility = cascade * np.sqrt((1.0 + raised) / _MEAN_SQUARE)
    activity = (0.3 + 0.7 * cascade) * np.sqrt(1.0 + raised)
    spread = (0.9 + 0.1 * cascade) * (1.0 + SPREAD_SWING * path[:, 0]) + BURST_SPREAD * raised + _before_news(market, block)
    return Loudness(volatility, activity, spread, path[:, :, -1].copy(), left)


def _component_path(rng: np.random.Generator, components: Floats) -> Floats:
    """The components in every second, [symbol, life, second]: a rare draw below 1 / life renews one, up or down."""
    count, own = len(components), len(OWN_LIVES_S)
    draws = np.empty((count, len(_LIVES), SECONDS))
    draws[:, :own] = rng.random((count, own, SECONDS))
    draws[:, own:] = rng.random((len(COMMON_LIVES_S), SECONDS))
    chance = (1.0 / _LIVES)[:, None]
    path = np.repeat(components[:, :, None], SECONDS, axis=2)
    for symbol, life, second in np.argwhere(draws < chance).tolist():  # in order of time for each component
        path[symbol, life, second:] = 1.0 if draws[symbol, life, second] < 0.5 / _LIVES[life] else -1.0
    return path


def _burst_path(market: Market, bursts: Floats, jumps: list[Jump]) -> tuple[Floats, Floats]:
    """By how much variance is raised in every second, [symbol, second], and the parts of it at the end, [symbol, life]."""
    parts = bursts[:, :, None] * _LEFT
    for jump in jumps:
        loading = np.abs(_loading(market, jump.shock))
        size = np.minimum(np.maximum(BURST * (jump.size * loading) ** 2, jump.floor * loading), BURST_MAX)
        second = jump.cell // CELLS_PER_SECOND
        parts[:, :, second:] += (size[:, None] * BURST_SHARES)[:, :, None] * _LEFT[:, : SECONDS + 1 - second]
    raised = parts[:, 0] + parts[:, 1] + parts[:, 2] + parts[:, 3]
    return np.minimum(raised[:, :SECONDS], BURST_MAX), parts[:, :, SECONDS].copy()


def _before_news(market: Market, block: int) -> Floats | float:
    """By how much the spread is wider because a release is near: who quotes steps back."""
    start_ns = block * BLOCK_NS
    near = releases_between(start_ns, start_ns + BLOCK_NS + BEFORE_NEWS_NS)
    if not near:
        return 0.0
    wider: npt.NDArray[np.float64] = np.zeros(SECONDS)
    for time_ns, strength in near:
        ahead = (time_ns - start_ns) // NS_PER_S - np.arange(SECONDS)
        expected = (ahead > 0) & (ahead * NS_PER_S <= BEFORE_NEWS_NS)
        wider += np.where(expected, BEFORE_NEWS * strength / (1.0 + np.maximum(ahead, 0) / 5.0), 0.0)
    result: Floats = np.abs(_loading(market, DOLLAR))[:, None] * wider
    return result


def _loading(market: Market, shock: int) -> Floats:
    """What each symbol takes of a shock: a factor moves all, a symbol's own only itself."""
    if shock < FACTORS:
        loading: Floats = market.factors[:, shock]
        return loading
    return np.where(np.arange(len(market.ids)) == shock - FACTORS, market.own, 0.0)
