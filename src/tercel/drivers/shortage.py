"""How much history a training needs: what is said when there is too little, with the setting behind each number."""

from __future__ import annotations

import math

import numpy as np

from tercel.base.time import NS_PER_MIN, NS_PER_S, format_duration
from tercel.core.setup import CoreConfig
from tercel.features.program import BASE_COLUMNS, TIME_CLOCK, Program
from tercel.features.spec import Bars
from tercel.models.barriers import TripleBarrier

ROWS_TRIED = 4_096


def warm_up(program: Program) -> tuple[int, str]:
    """After how many bars every feature is known when the source says everything, and which is the last; at most `ROWS_TRIED`."""
    at = np.arange(ROWS_TRIED, dtype=float)
    step_s = program.clock.amount / NS_PER_S if program.clock.kind == TIME_CLOCK else NS_PER_MIN / NS_PER_S
    moving = 100.0 + np.sin(at * at)  # the columns only have to move
    base = np.stack([at * step_s if name == "time" else moving + place for place, name in enumerate(BASE_COLUMNS)])
    known = np.isfinite(program.compute(base))
    firsts = np.where(known.any(axis=1), known.argmax(axis=1) + 1, ROWS_TRIED)
    slowest = int(firsts.argmax())
    return int(firsts[slowest]), program.names[program.outputs[slowest]]


def needs(core: CoreConfig, clock: Bars, barriers: TripleBarrier, folds: int, embargo_ns: int, found: tuple[int, int, int]) -> str:
    """What was found and what is needed. `found`: bars of the instrument with most, decisions and decisions with a known outcome of all."""
    bars, decisions, known = found
    warm, slowest = warm_up(core.program)
    horizon = barriers.width_scale**2
    stretch = math.floor(horizon * (1 + embargo_ns / barriers.horizon_ns)) + 1
    needed = warm + (folds + 2) * stretch
    text = (
        f"found {bars:,} bars of {clock.text}, {decisions:,} decisions at them, {known:,} with a known outcome; needed are about "
        f"{needed:,} bars: {warm:,} until every feature is known (the last is {slowest}; the volatility of the labels takes rows = "
        f"{barriers.rows}), and {folds + 2} stretches (folds = {folds}, and two before them) of {stretch:,} each (horizon = "
        f"{format_duration(barriers.horizon_ns)}, embargo = {format_duration(embargo_ns)})"
    )
    if bars >= needed:
        return f"{text}; a bar at which nothing could be entered, or before which nothing moved, allows no decision: look at the data"
    return f"{text}; take more history or shorter bars, else fewer folds, a shorter horizon or embargo, features of fewer bars"
