"""Does training look ahead? The data a model is trained on, how they are split, and what a model may be asked about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tercel.base.time import format_instant
from tercel.drivers.lookahead import (
    CHANGES,
    CUTS,
    FAR,
    RECORDS_MAX,
    Checked,
    Columns,
    Integers,
    Leak,
    changed,
    compare_columns,
    cuts_of,
    recorded,
)
from tercel.drivers.session import Plan, Progress
from tercel.models.manifest import FINAL

if TYPE_CHECKING:
    from tercel.base.records import Records
    from tercel.drivers.history import Source
    from tercel.models.barriers import TripleBarrier
    from tercel.models.model import Model
    from tercel.models.training.dataset import Dataset
    from tercel.models.training.folds import Fold


def check_labels(
    plan: Plan, history: Source, barriers: TripleBarrier, *, cuts: int = CUTS, seed: int = 1, records_max: int = RECORDS_MAX,
    progress: Progress | None = None,
) -> Checked:  # fmt: skip
    """The data a model is trained on: features at or before a cut, and outcomes said to be known by it, do not depend on what comes after.

    Raises `ConfigError` for settings that do not fit the history.
    """
    from tercel.drivers.collect import Collector

    inputs = plan.features.names
    plan = replace(plan, features=plan.features.with_features([barriers.volatility]))
    data = recorded(history, plan.feed_latency_ns, records_max)
    found_cuts = cuts_of(data.records["ts_recv"], cuts)
    rng = np.random.default_rng(seed)

    def collected(records: Records) -> Dataset:
        return Collector(plan, replace(data, records=records), inputs, barriers, None).collect()

    runs = 1 + len(found_cuts) * len(CHANGES)
    if progress is not None:
        progress("outcomes", 0, runs)
    truth = collected(data.records)
    leaks: dict[str, Leak] = {}
    for place, cut in enumerate(found_cuts):
        for number, change in enumerate(CHANGES, 1 + place * len(CHANGES)):
            if progress is not None:
                progress(f"outcomes, cut at {format_instant(cut, 0)}, {change}", number, runs)
            other = collected(changed(data.records, cut, change, data.instruments, rng))
            for leak in (*compare_columns(_rows_of(truth), _rows_of(other), cut, change), *_compare_labels(truth, other, cut, change)):
                leaks.setdefault(leak.name, leak)
    return Checked(what=data.describe(), rows=len(truth), records=data.rows, runs=runs, cuts=found_cuts, leaks=tuple(leaks.values()))


def _rows_of(data: Dataset) -> tuple[Integers, Columns]:
    return data.stamp, {"instrument": data.slot, "width": data.relative, **dict(zip(data.names, data.rows.T, strict=True))}


def _compare_labels(truth: Dataset, other: Dataset, cut: int, change: str) -> Iterator[Leak]:
    same = min(int(np.searchsorted(one.stamp, cut, side="right")) for one in (truth, other))
    for column, side in enumerate(("buy", "sale")):
        known = np.flatnonzero((truth.end[:same, column] <= cut) & np.isfinite(truth.outcome[:same, column]))
        differs = truth.outcome[known, column] != other.outcome[known, column]
        if differs.any():
            row = int(known[int(np.argmax(differs))])
            decision = f"{truth.instruments[int(truth.slot[row])]}, decision at {format_instant(int(truth.stamp[row]))}"
            what = f"{decision}: its outcome as a {side} is said to be known at {format_instant(int(truth.end[row, column]))}, and is "
            what += f"{other.outcome[row, column]} when, after {format_instant(cut)}, {change}; expected {truth.outcome[row, column]}"
            yield Leak(kind="label", name=f"outcome of a {side}", what=what, at_ns=int(truth.stamp[row]), cut_ns=cut)


def check_folds(data: Dataset, folds: Sequence[Fold]) -> Checked:
    """No row a fold learnt from may have an outcome that was still open when what it is tested on began, nor be a row of the test.

    Also: rows to calibrate on are later than the outcomes of those trained on, and every outcome learnt from is known.
    """
    leaks: list[Leak] = []
    for fold in folds:
        name = f"fold {fold.number}" if fold.number else "final"
        test = fold.test_first_ns if len(fold.test) else None
        calibrated = int(data.stamp[fold.calibrate].min()) if len(fold.calibrate) else None
        pairs = (
            ("trained on", fold.train, test, "tests"),
            ("calibrated on", fold.calibrate, test, "tests"),
            ("trained on", fold.train, calibrated, "calibrates"),
        )
        for what, rows, begin, purpose in pairs:
            if begin is None or not len(late := _reaching(data, rows, begin, fold, purpose)):
                continue
            row = int(late[0])
            first = f"{data.instruments[int(data.slot[row])]} at {format_instant(int(data.stamp[row]))}"
            text = f"{len(late):,} of {len(rows):,} rows {what} reach into what {name} {purpose}, which begins at {format_instant(begin)}: "
            text += f"the first is {first}, its outcome known at {format_instant(int(data.ended[row]))}; purge what ends after the begin"
            leaks.append(Leak(kind="fold", name=f"{name}, {what}, {purpose}", what=text, at_ns=int(data.stamp[row]), cut_ns=begin))
        for what, rows in (("trained on", fold.train), ("calibrated on", fold.calibrate)):
            unknown = rows[~data.known[rows]]
            if len(unknown):
                at = int(data.stamp[unknown[0]])
                text = f"{len(unknown):,} rows {what} have no known outcome, the first at {format_instant(at)}; leave them out"
                leaks.append(Leak(kind="fold", name=f"{name}, {what}, unknown", what=text, at_ns=at))
    return Checked(what=f"{len(folds)} folds", rows=len(data), runs=len(folds), leaks=tuple(leaks))


def _reaching(data: Dataset, rows: Integers, begin: int, fold: Fold, purpose: str) -> Integers:
    """The rows whose outcome was not known before `begin`; a row later than the whole test does not reach into it."""
    late = rows[data.known[rows] & (data.ended[rows] >= begin)]
    return late[data.stamp[late] < fold.test_last_ns] if purpose == "tests" else late


def check_in_sample(model: Model, start_ns: int, end_ns: int) -> Checked:
    """Whether a model, traded over [start, end), would be asked about what it has seen: leaks are the stretches where no part may speak.

    A fold's part may speak about its own test stretch, the final part about what comes after all it saw. A part that saw its own test
    stretch is a leak whatever the period.
    """
    leaks = []
    honest: list[tuple[int, int]] = []
    parts = model.manifest.parts
    seen_ns = max((part.seen_last_ns for part in parts if part.name == FINAL), default=0)
    folds_end_ns = max((part.test_last_ns for part in parts if part.name != FINAL), default=0)
    for part in parts:
        if part.name == FINAL:
            honest.append((max(part.seen_last_ns + 1, folds_end_ns), FAR))
        elif part.seen_first_ns < part.test_last_ns and part.seen_last_ns >= part.test_first_ns:
            may = f"{part.name} may trade from {format_instant(part.test_first_ns)} to {format_instant(part.test_last_ns)}"
            learnt = f"has learnt from {format_instant(part.seen_first_ns)} to {format_instant(part.seen_last_ns)}"
            what = f"{model.name}: {may}, and {learnt}; train again with purged folds"
            leaks.append(Leak(kind="model", name=part.name, what=what, at_ns=part.test_first_ns, cut_ns=part.seen_last_ns))
        else:
            honest.append((part.test_first_ns, part.test_last_ns))
    for first, last in _uncovered(start_ns, end_ns, honest):
        what = f"{model.name}: from {format_instant(first, 0)} to {format_instant(last, 0)} no part may speak: each has learnt from it or "
        what += f"is for another time; trade the test stretches of the folds, or what comes after {format_instant(seen_ns, 0)}"
        leaks.append(Leak(kind="model", name=f"in sample from {format_instant(first, 0)}", what=what, at_ns=first, cut_ns=seen_ns))
    return Checked(what=model.name, runs=len(parts), leaks=tuple(leaks))


def _uncovered(start: int, end: int, stretches: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of [start, end) that no stretch [first, last) covers."""
    at = start
    for first, last in sorted(stretches):
        if at < min(first, end):
            yield at, min(first, end)
        at = max(at, last)
    if at < end:
        yield at, end
