"""Stretches of a history whose rows are made apart, so that they can be kept: one costs the play of its own days, not of the years before.

A span is the least whole number of days that holds a hundred periods of a clock of time, a day for the other clocks; it lasts until the
next that has data. Its rows are those whose closing input arrived in it: to the bit those of one run over the whole history, since its
state comes from the checkpoints of `anchor`. Where features have no anchor, their state begins with the history, as in a back-test of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tercel.base.time import NS_PER_DAY, format_instant, parse_instant
from tercel.cache.warming import PERIODS
from tercel.drivers.anchor import content
from tercel.drivers.history import FAR, History
from tercel.drivers.session import Plan, Progress
from tercel.drivers.values import Integers, rows_of
from tercel.features.spec import Bars, FeatureSet

CLOSED, STAMP, REGISTERS = 0, 1, 2
"""Words of a row: the bar's close, the arrival of what closed it (ns UTC), then every register of the program, as float64."""


class Span(NamedTuple):
    """What arrived in [start_ns, end_ns). Equal contents, with the same program and timing, have equal rows."""

    start_ns: int
    end_ns: int  # FAR for the newest
    content: str


def spans(history: History, features: FeatureSet, before_ns: int = FAR) -> Iterator[Span]:
    """The spans of a history that begin before an instant, the newest first."""
    long, anchor_ns = length_ns(features.clock), parse_instant(anchor_of(history, features))
    manifest, starts = history.catalog.manifest(), set[int]()
    for one in history.series:
        series = manifest.find(one.key)
        for part in series.parts if series is not None else ():
            if part.last_ns >= anchor_ns:
                starts.update(range(max(part.first_ns, anchor_ns) // long, part.last_ns // long + 1))
    end_ns = FAR
    for number in sorted(starts, reverse=True):
        if number * long < before_ns:
            yield Span(number * long, end_ns, content(history, anchor_ns, end_ns))
        end_ns = number * long


def length_ns(clock: Bars) -> int:
    """How long a span is, at least."""
    periods_ns = PERIODS * int(clock.amount) if clock.unit == "time" else 1
    return -(-periods_ns // NS_PER_DAY) * NS_PER_DAY


def anchor_of(history: History, features: FeatureSet) -> str:
    """Where the state of features begins: at their anchor, without one on the first day of the history."""
    return features.anchor or format_instant(min(one.first_ns for one in history.series) // NS_PER_DAY * NS_PER_DAY)


def rows_in(history: History, plan: Plan, span: Span, progress: Progress | None = None) -> Integers:
    """The rows of a span of a history of one instrument, int64[n, 2 + registers]; `progress` may end it by raising.

    Raises `ConfigError` for features that do not fit the history.
    """
    stretch = History(history.catalog, history.series, span.start_ns, span.end_ns)
    names = plan.features.compile().names
    _, closed, stamp, table = rows_of(stretch, plan, names, anchor_of(history, plan.features), progress)
    rows = np.column_stack([closed, stamp, table.view(np.int64)])
    # A bar of the day before may be closed by the first tick of this one, and the last of this one only by what comes later.
    return rows[(stamp >= span.start_ns) & (stamp < span.end_ns)]
