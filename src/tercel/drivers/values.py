"""What the core sees of a history, for people: its records and its features as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.frames import instants
from tercel.base.records import BAR, BAR_VIEW, GAP, QUOTE, TRADE, Records
from tercel.core.engine import Engine
from tercel.core.market_phase import ROW_CLOSE, ROW_INPUT, ROW_SLOT, ROW_WORDS
from tercel.drivers.anchor import anchored
from tercel.drivers.session import Plan, Progress, compile_core
from tercel.features.spec import FeatureSet

if TYPE_CHECKING:
    from tercel.drivers.history import Source

ROWS_MAX: Final = 20_000_000
KINDS: Final = {"quote": QUOTE, "trade": TRADE, "bar": BAR, "gap": GAP}
COLUMNS: Final = {
    "quote": {"bid": "price", "ask": "price2", "bid_size": "size", "ask_size": "size2"},
    "trade": {"price": "price", "size": "size", "side": "side"},
    "bar": {name: name for name in ("open", "high", "low", "close", "volume")},
    "gap": {},
}
PRICED: Final = ("quote", "trade", "bar")
Columns = dict[str, npt.NDArray[Any]]
Integers = npt.NDArray[np.int64]


class Values(NamedTuple):
    """Rows of a program over a history, in the order of the core: slot, close (ns UTC), number of the input and arrival that closed each,
    features float64[n, f], and the close price of its bar."""

    slot: Integers
    closed_ns: Integers
    stamp_ns: Integers
    features: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]


def values_of(history: Source, features: FeatureSet) -> Values:
    """Play a history through sequencer and market phase, exactly as a back-test does, and keep the rows.

    Raises `ConfigError` for features that do not fit the history, and for more than `ROWS_MAX` rows.
    """
    slot, closed, stamp, table = rows_of(history, Plan(features, None), (*features.names, "close"), features.anchor)
    return Values(slot, closed, stamp, table[:, :-1], np.ascontiguousarray(table[:, -1]))


def rows_of(
    history: Source, plan: Plan, names: Sequence[str], anchor: str, progress: Progress | None = None
) -> tuple[Integers, Integers, Integers, npt.NDArray[np.float64]]:
    """Slot, close, arrival of the closing input (ns UTC) and the named registers, float64[n, names], of every row over a history.

    State begins at the anchor; "": at the start of the history. `progress` may end it by raising. Raises as `values_of` does.
    """
    history.check(plan.features.clock)
    core = plan.core(history.instruments, history.quoted)
    compile_core(core)
    columns = [ROW_WORDS + core.program.register(name) for name in names]
    kept: list[tuple[npt.NDArray[Any], ...]] = []
    batch: list[tuple[Records, int]] = []
    count = played = 0

    def take(rows: Integers) -> None:
        nonlocal count
        count += len(rows)
        if count > ROWS_MAX:
            raise ConfigError(f"values: expected at most {ROWS_MAX:,} rows, found more; take a shorter period or longer bars")
        records, first = batch[0]
        stamps = records["ts_recv"][rows[:, ROW_INPUT] - first]
        kept.append((rows[:, ROW_SLOT].copy(), rows[:, ROW_CLOSE].copy(), stamps, rows.view(np.float64)[:, columns]))

    sequencer, engine = plan.sequencer(core), Engine(core, lambda _: None, on_rows=take)

    def push(sequenced: Records) -> None:
        batch[:] = [(sequenced, engine.input_number + 1)]
        engine.push(sequenced)

    stream, _ = anchored(history, replace(plan.features, anchor=anchor), plan.feed_latency_ns, sequencer, engine, progress)
    for records in stream:
        for sequenced in sequencer.push(records):
            push(sequenced)
        played += len(records)
        if progress:
            progress("ticks", played, max(history.rows, played))
    for sequenced in sequencer.finish():
        push(sequenced)
    engine.close()
    if not kept:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing, np.zeros((0, len(names)))
    slot, closed, stamp, table = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return slot, closed, stamp, table


def value_columns(history: Source, features: FeatureSet) -> Columns:
    """`values_of` as columns: time (the bar's close), instrument, and a column for each feature."""
    found = values_of(history, features)
    clash = sorted({"time", "instrument"} & set(features.names))
    if clash:
        raise ConfigError(f"values: a feature is called {clash[0]!r}; give it another name")
    names = np.array([one.name for one in history.instruments])
    table = {name: np.ascontiguousarray(found.features[:, place]) for place, name in enumerate(features.names)}
    return {"time": instants(found.closed_ns), "instrument": names[found.slot], **table}


def record_columns(history: Source, kind: str | None, rows_max: int) -> Columns:
    """The records of one kind as columns, in order of arrival; by default quotes where there are any, else trades, else bars.

    Raises `ConfigError` when there are none of that kind, or more than `rows_max`.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"frame: expected a kind among {', '.join(KINDS)}, found {kind!r}")
    parts: dict[str, list[Records]] = {name: [] for name in KINDS}
    count = 0
    for records in history.stream(0):
        for name in [kind] if kind else PRICED:
            mine = records[records["kind"] == KINDS[name]]
            count += len(mine)
            parts[name].append(mine)
        if count > rows_max:
            raise ConfigError(f"frame: expected at most {rows_max:,} rows, found more; take a shorter period, or say rows_max")
    chosen = kind or next((name for name, found in parts.items() if any(map(len, found))), "quote")
    rows = np.concatenate(parts[chosen]) if parts[chosen] else np.zeros(0, BAR_VIEW)
    if not len(rows):
        raise ConfigError(f"frame: {history.describe()}: expected {chosen}s, found none")
    fields = rows.view(BAR_VIEW) if chosen == "bar" else rows
    columns = {name: np.ascontiguousarray(fields[field]) for name, field in COLUMNS[chosen].items()}
    return {"time": instants(rows["ts_event"]), "instrument": names_of(history, rows), **columns}


def names_of(history: Source, rows: Records) -> npt.NDArray[np.str_]:
    """The name of each record's instrument."""
    ids = np.array([one.id for one in history.instruments])
    order = np.argsort(ids)
    names = np.array([one.name for one in history.instruments])
    found: npt.NDArray[np.str_] = names[order][np.searchsorted(ids[order], rows["instrument"])]
    return found


__all__: Sequence[str] = ["Values", "record_columns", "rows_of", "value_columns", "values_of"]
