"""Does anything look ahead? Change the future, and nothing in the past may change.

For a cut in time, everything that arrives after it is altered: prices moved and scaled, records dropped and repeated. What was decided
at or before the cut must stay the same to the bit: features, signals, orders, fills; what differs has seen the future, and the first
difference is named. The same history in other batches must give the same too, because a peek at the next row of a block stops at its end.
This proves a leak, never its absence: what a strategy read from elsewhere before it started is not seen.

`check_history` judges what the core computes, `check_rows` a function of your own; `tercel.drivers.lookahead_training` judges the data that
a model is trained on, how they are split, and whether a model trades what it learnt from.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.records import BAR, OUT_NAMES, OUTPUT, QUOTE, TICK, TRADE, Records
from tercel.base.time import format_duration, format_instant, parse_duration
from tercel.core.engine import BATCH, Engine
from tercel.core.market_phase import ROW_CLOSE, ROW_INPUT, ROW_OPEN, ROW_SLOT, ROW_WORDS
from tercel.decision.rules import ModelRule
from tercel.decision.strategy import Strategy
from tercel.drivers import schedule
from tercel.drivers.session import Plan, Progress, compile_core
from tercel.features.spec import Bars
from tercel.market.instruments import Instrument

if TYPE_CHECKING:
    from tercel.drivers.history import Source

CUTS: Final = 5
RECORDS_MAX: Final = 300_000  # of a history, from its begin; each cut and change plays all of them again
LEAKS_MAX: Final = 20
BATCHES: Final = (BATCH, 997, 61)
CHANGES: Final = ("prices shifted", "prices and sizes scaled", "records dropped", "records repeated")
SCALE: Final = 1.25
SHIFT: Final = 0.1  # of the price
SIZE_SCALE: Final = 3.0
DROP: Final = 0.4  # of the records
REPEAT: Final = 0.4
FAR: Final = 2**63 - 1
SCORE_NAMES: Final = ("side of the model", "score of the model", "probability of the model", "edge of the model")

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[np.generic]]
Compute = Callable[[Integers, Columns], tuple[Integers, Columns]]


class Leak(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that knew what it could not know. `kind`: feature, output, batch, bar, label, fold or model."""

    kind: str
    name: str  # the feature, the field of an output, the fold or the part
    what: str  # one sentence: where, when, expected, found
    at_ns: int = 0
    cut_ns: int = 0


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check looked at and what it found; `leaks` in the order in which they were met, the first one of each name."""

    what: str
    rows: int = 0
    outputs: int = 0
    records: int = 0
    runs: int = 0
    cuts: tuple[int, ...] = ()
    leaks: tuple[Leak, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.leaks


class Run(NamedTuple):
    """What one run of the core gave: rows as int64[n, 4 + registers] (input, slot, open, close, registers) with their stamps, outputs."""

    rows: Integers
    stamps: Integers
    outputs: Records


@dataclass(frozen=True)
class Recorded:
    """Records in memory as a history of the instruments of another one."""

    records: Records
    instruments: tuple[Instrument, ...]
    quoted: frozenset[str] | None
    title: str = "records"

    @property
    def rows(self) -> int:
        """How many records there are."""
        return len(self.records)

    def check(self, clock: Bars) -> None:
        """What they are a copy of was checked."""

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """All records; they carry their arrival."""
        yield self.records

    def describe(self) -> str:
        """One line for people."""
        return self.title


def recorded(history: Source, latency_ns: int, records_max: int = RECORDS_MAX) -> Recorded:
    """The first `records_max` records of a history, in memory. Raises `ConfigError` when there are none."""
    parts, count = [], 0
    for records in history.stream(latency_ns):
        parts.append(records[: records_max - count].copy())
        count += len(parts[-1])
        if count >= records_max:
            break
    if not count:
        raise ConfigError(f"check lookahead: {history.describe()}: expected records, found none; take another period")
    return Recorded(np.concatenate(parts), history.instruments, history.quoted, history.describe())


def check_history(
    plan: Plan,
    history: Source,
    *,
    cuts: int = CUTS,
    seed: int = 1,
    records_max: int = RECORDS_MAX,
    batches: Sequence[int] = BATCHES,
    progress: Progress | None = None,
) -> Checked:
    """Features, and what the plan's strategy, rule or model does with them, over a history and over copies whose future is changed.

    A strategy written in Python is copied for each run, as it was handed in. Raises `ConfigError` for settings that do not fit the history.
    """
    history.check(plan.features.clock)
    data = recorded(history, plan.feed_latency_ns, records_max)
    judge = _Judge(cuts_of(data.records["ts_recv"], cuts))
    names = plan.complete_features.compile().names
    todo = len(batches) + len(judge.cuts) * len(CHANGES)
    if progress:
        progress("recording", 0, todo)
    truth = _play(plan, data, batches[0])
    judge.bars(plan, data, truth)
    for number, batch in enumerate(batches[1:], 1):
        if progress:
            progress(f"batches of {batch}", number, todo)
        judge.compare(truth, _play(plan, data, batch), names, data.instruments, batch=batch)
    rng = np.random.default_rng(seed)
    for number, (cut, change) in enumerate(((cut, change) for cut in judge.cuts for change in CHANGES), len(batches)):
        if progress:
            progress(f"cut at {format_instant(cut, 0)}, {change}", number, todo)
        other = replace(data, records=changed(data.records, cut, change, data.instruments, rng))
        judge.compare(truth, _play(plan, other, batches[number % len(batches)]), names, data.instruments, cut=cut, change=change)
    if progress:
        progress("", todo, todo)
    return Checked(
        what=data.describe(), rows=len(truth.rows), outputs=len(truth.outputs), records=data.rows, runs=todo, cuts=judge.cuts,
        leaks=tuple(judge.leaks),
    )  # fmt: skip


def changed(records: Records, cut: int, change: str, instruments: Sequence[Instrument], rng: np.random.Generator) -> Records:
    """A copy whose records that arrive after `cut` are altered; those up to it are the same. Prices stay on the instrument's grid."""
    first = int(np.searchsorted(records["ts_recv"], cut, side="right"))
    past, future = records[:first], records[first:].copy()
    if change == CHANGES[2]:
        future = future[rng.random(len(future)) >= DROP]
    elif change == CHANGES[3]:
        future = np.repeat(future, 1 + (rng.random(len(future)) < REPEAT))
    else:
        scaled = change == CHANGES[1]
        for one in instruments:
            step = one.price_increment / 10**one.price_decimals
            mine = future["instrument"] == one.id
            for kind, fields in ((QUOTE, ("price", "price2")), (TRADE, ("price",)), (BAR, ("price", "size", "price2", "size2"))):
                rows = np.flatnonzero(mine & (future["kind"] == kind))
                if not len(rows):
                    continue
                move = np.ceil(abs(float(future[fields[0]][rows[0]])) * SHIFT / step) * step
                for field in fields:
                    values = future[field][rows]
                    new = values * SCALE if scaled else values + move
                    future[field][rows] = np.round(np.round(new / step) * step, one.price_decimals)
                sizes = {QUOTE: ("size", "size2"), TRADE: ("size",)}.get(kind, ())
                for field in sizes if scaled else ():
                    future[field][rows] *= SIZE_SCALE
    return np.concatenate([past, future])


def cuts_of(stamps: Integers, count: int) -> tuple[int, ...]:
    """Arrival stamps that cut the records into parts of about the same number, the last record left out."""
    if count < 1:
        raise ConfigError(f"check lookahead: expected at least 1 cut, found {count}")
    places = np.linspace(0, len(stamps), count + 2)[1:-1].astype(np.int64)
    return tuple(sorted({int(stamps[place]) for place in places if stamps[place] < stamps[-1]}))


def _play(plan: Plan, data: Recorded, batch: int) -> Run:
    """One run of both phases over records, from nothing."""
    if isinstance(plan.decide, Strategy):  # it may remember
        plan = replace(plan, decide=copy.deepcopy(plan.decide))
    core = plan.core(data.instruments, data.quoted)
    compile_core(core)
    kept: list[tuple[Integers, Integers]] = []
    outputs: list[Records] = []
    now = np.empty(0, TICK)
    begin = 0

    def take(rows: Integers) -> None:
        stamps = now["ts_recv"][rows[:, ROW_INPUT] - begin]
        kept.append((np.concatenate([rows[:, : ROW_CLOSE + 1], rows[:, ROW_WORDS:]], axis=1), stamps.astype(np.int64)))

    engine = Engine(core, lambda found: outputs.append(found.copy()), batch=batch, on_rows=take)
    sequencer = plan.sequencer(core)

    def push(sequenced: Records) -> None:
        nonlocal now, begin
        now, begin = sequenced, engine.input_number + 1
        engine.push(sequenced)

    model = plan.decide.model if isinstance(plan.decide, ModelRule) else None
    orders = schedule.commands(schedule.honest(model), model, engine.models, data.instruments) if model is not None else []
    for part in schedule.merged([data.records], orders):
        for sequenced in sequencer.push(part):
            push(sequenced)
    for sequenced in sequencer.finish():
        push(sequenced)
    engine.close()
    width = engine.stride - ROW_WORDS + ROW_CLOSE + 1
    rows = np.concatenate([rows for rows, _ in kept]) if kept else np.zeros((0, width), np.int64)
    stamps = np.concatenate([stamps for _, stamps in kept]) if kept else np.zeros(0, np.int64)
    return Run(rows, stamps, np.concatenate(outputs) if outputs else np.zeros(0, OUTPUT))


class _Judge:
    """Collects the first leak of each name."""

    def __init__(self, cuts: tuple[int, ...]) -> None:
        self.cuts = cuts
        self.leaks: list[Leak] = []

    def tell(self, leak: Leak) -> None:
        if len(self.leaks) < LEAKS_MAX and (leak.kind, leak.name) not in {(one.kind, one.name) for one in self.leaks}:
            self.leaks.append(leak)

    def bars(self, plan: Plan, data: Recorded, truth: Run) -> None:
        """A bar of time is a bar once its interval is over: none may be decided on, or arrive, before."""
        clock = plan.features.clock
        if clock.unit != "time" or not len(truth.rows):
            return
        early = np.flatnonzero(truth.stamps < truth.rows[:, ROW_OPEN] + int(clock.amount))
        if len(early):
            row, stamp = truth.rows[early[0]], int(truth.stamps[early[0]])
            name = data.instruments[int(row[ROW_SLOT])].name
            what = f"{name}: the bar that opened at {format_instant(int(row[ROW_OPEN]))} was decided on at "
            what += f"{format_instant(stamp)}, expected {format_duration(int(clock.amount))} after its open or later; {len(early):,} of "
            what += f"{len(truth.rows):,} bars are early: a bar arrives at its close"
            self.tell(Leak(kind="bar", name=f"{clock.text} bars", what=what, at_ns=stamp))

    def compare(
        self, truth: Run, other: Run, names: Sequence[str], instruments: Sequence[Instrument],
        *, cut: int | None = None, change: str = "", batch: int = 0,
    ) -> None:  # fmt: skip
        """All rows and outputs, or those up to a cut, must be equal to the bit."""
        kind = "batch" if cut is None else "feature"
        why = f"in batches of {batch:,} inputs" if cut is None else _why(cut, change)
        limit, cut = (cut, cut) if cut is not None else (FAR, 0)
        mine, theirs = truth.rows[truth.stamps <= limit], other.rows[other.stamps <= limit]
        same = min(len(mine), len(theirs))
        labels = ("input", "instrument", "bar's open", "bar's close", *names, *SCORE_NAMES)
        for row, column in _first_differences(mine[:same], theirs[:same]):
            expected, found = (_shown(part[row, column], column > ROW_CLOSE) for part in (mine, theirs))
            bar = f"{instruments[int(mine[row, ROW_SLOT])].name}, bar that closed at {format_instant(int(mine[row, ROW_CLOSE]))}"
            what = f"{bar}: {labels[column]} is {found} {why}, expected {expected}"
            self.tell(Leak(kind=kind, name=labels[column], what=what, at_ns=int(truth.stamps[row]), cut_ns=cut))
        if len(mine) != len(theirs):
            self.tell(Leak(kind=kind, name="bars", what=f"{len(theirs):,} bars {why}, expected {len(mine):,}", cut_ns=cut))
        kind = "batch" if kind == "batch" else "output"
        self._outputs(truth.outputs[truth.outputs["time"] <= limit], other.outputs[other.outputs["time"] <= limit], why, kind, cut)

    def _outputs(self, mine: Records, theirs: Records, why: str, kind: str, cut: int) -> None:
        same = min(len(mine), len(theirs))
        left, right = (np.ascontiguousarray(part[:same]).view(np.uint8).reshape(same, OUTPUT.itemsize) for part in (mine, theirs))
        differing = np.flatnonzero((left != right).any(axis=1))
        if len(differing):
            was, one = mine[differing[0]], theirs[differing[0]]
            field = next(name for name in OUTPUT.names or () if was[name].tobytes() != one[name].tobytes())
            what = f"{_output(was)}: {field} is {one[field]} {why}, expected {was[field]}"
        elif len(mine) != len(theirs):
            was, field = (mine if len(mine) > same else theirs)[same], "count"
            what = f"{len(theirs):,} outputs {why}, expected {len(mine):,}; the first that is in one only: {_output(was)}"
        else:
            return
        self.tell(Leak(kind=kind, name=f"output {field}", what=what, at_ns=int(was["time"]), cut_ns=cut))


def _output(one: np.void) -> str:
    return f"{OUT_NAMES[int(one['kind'])]} at {format_instant(int(one['time']))}"


def _shown(word: np.int64, real: bool) -> str:
    return repr(float(word.view(np.float64))) if real else str(word)


def _why(cut: int, change: str) -> str:
    return f"when, after {format_instant(cut)}, {change}"


def _first_differences(mine: Integers, theirs: Integers) -> list[tuple[int, int]]:
    """(row, column) of the first difference of each column that has one, earliest row first, then by column."""
    differs = mine != theirs
    columns = np.flatnonzero(differs.any(axis=0))
    return sorted((int(np.argmax(differs[:, column])), int(column)) for column in columns)


def check_rows(
    compute: Compute, data: Source | Records | tuple[Integers, Columns], *, cuts: int = CUTS, seed: int = 1, records_max: int = RECORDS_MAX
) -> Checked:
    """Judge a function of your own: `compute(times, columns)` gives (times, columns) of features, each valid at its time.

    `times` is int64[n] of arrivals in ns, ascending; `columns` are arrays of the same length by name. For a history or records they are
    ts_event, instrument, kind, price, size, price2, size2 (of quotes: bid, bid size, ask, ask size). For each cut and change the features
    with a time at or before the cut must come out the same. Raises `ConfigError` when what comes back has other lengths.
    """
    stamps, columns, what = _columns_of(data, records_max)
    truth = _computed(compute, stamps, columns)
    leaks: dict[str, Leak] = {}
    found_cuts = cuts_of(stamps, cuts)
    rng = np.random.default_rng(seed)
    for cut in found_cuts:
        for change in CHANGES:
            other = _computed(compute, *_changed_columns(stamps, columns, cut, change, rng))
            for leak in compare_columns(truth, other, cut, change):
                leaks.setdefault(leak.name, leak)
    runs = 1 + len(found_cuts) * len(CHANGES)
    return Checked(what=what, rows=len(truth[0]), records=len(stamps), runs=runs, cuts=found_cuts, leaks=tuple(leaks.values())[:LEAKS_MAX])


def _columns_of(data: Source | Records | tuple[Integers, Columns], records_max: int) -> tuple[Integers, Columns, str]:
    if isinstance(data, tuple):
        return data[0], data[1], f"{len(data[0]):,} rows"
    records = data if isinstance(data, np.ndarray) else recorded(data, parse_duration(Plan.feed_latency), records_max).records
    names = ("ts_event", "instrument", "kind", "price", "size", "price2", "size2")
    title = f"{len(records):,} records" if isinstance(data, np.ndarray) else data.describe()
    return records["ts_recv"].astype(np.int64), {name: np.ascontiguousarray(records[name]) for name in names}, title


def _computed(compute: Compute, stamps: Integers, columns: Columns) -> tuple[Integers, Columns]:
    # Copies, so that a function that works in place spoils nothing but its own.
    times, found = compute(stamps.copy(), {name: values.copy() for name, values in columns.items()})
    times = np.asarray(times, np.int64)
    for name, values in found.items():
        if len(values) != len(times):
            raise ConfigError(f"check lookahead: {name}: expected {len(times):,} values, one for each time, found {len(values):,}")
    return times, {name: np.asarray(values) for name, values in found.items()}


def _changed_columns(stamps: Integers, columns: Columns, cut: int, change: str, rng: np.random.Generator) -> tuple[Integers, Columns]:
    first = int(np.searchsorted(stamps, cut, side="right"))
    count = len(stamps)
    rows = np.arange(count)
    if change == CHANGES[2]:
        rows = rows[(rows < first) | (rng.random(count) >= DROP)]
    elif change == CHANGES[3]:
        rows = np.repeat(rows, 1 + ((rows >= first) & (rng.random(count) < REPEAT)))
    made = {}
    for name, values in columns.items():
        new = values[rows]
        if change in CHANGES[:2] and np.issubdtype(new.dtype, np.floating) and count > first:
            later = new[first:].astype(np.float64)
            size = float(np.nanmax(np.abs(later))) if np.isfinite(later).any() else 0.0
            new[first:] = later * SCALE if change == CHANGES[1] else later + SHIFT * (size or 1.0)
        made[name] = new
    return stamps[rows], made


def compare_columns(truth: tuple[Integers, Columns], other: tuple[Integers, Columns], cut: int, change: str) -> Iterator[Leak]:
    """The columns, by (times, columns), whose rows up to the cut differ, each with its first difference."""
    mine, theirs = truth[0] <= cut, other[0] <= cut
    why = _why(cut, change)
    times = truth[0][mine]
    if not np.array_equal(times, other[0][theirs]):
        what = f"{int(theirs.sum()):,} rows at other times by then {why}, expected the same {int(mine.sum()):,}"
        yield Leak(kind="feature", name="times", cut_ns=cut, what=what)
        return
    for name, values in truth[1].items():
        left, right = values[mine], other[1][name][theirs]
        differs = left != right
        if np.issubdtype(left.dtype, np.floating):
            differs &= ~(np.isnan(left.astype(np.float64)) & np.isnan(right.astype(np.float64)))
        if differs.any():
            row = int(np.argmax(differs))
            what = f"row at {format_instant(int(times[row]))}: {name} is {right[row]} {why}, expected {left[row]}"
            yield Leak(kind="feature", name=name, at_ns=int(times[row]), cut_ns=cut, what=what)
