"""History from tables in memory: a DataFrame becomes what a back-test plays, checked as an imported file is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import Records
from tercel.base.time import date_of, parse_duration
from tercel.base.typed import typed
from tercel.drivers.history import FAR, OfSeries
from tercel.market import partitions
from tercel.market.catalog import Dataset
from tercel.market.feeds.merge import CHUNK_ROWS, merge
from tercel.market.importers.clock import parse_zone
from tercel.market.importers.decimals import Decimals
from tercel.market.importers.tables import batch_of
from tercel.market.importers.validate import validate
from tercel.market.instruments import Instrument, check_symbol, check_venue
from tercel.market.manifest import BASES, Key, Manifest
from tercel.market.merge import in_order, one_bar_per_time

ROWS_MAX: Final = 100_000_000


@dataclass(frozen=True, repr=False)
class MemoryHistory(OfSeries):
    """Instruments whose records are held in memory, in order of id. `notes` says what was repaired or assumed."""

    series: tuple[Dataset, ...]
    records: tuple[Records, ...]
    notes: tuple[str, ...] = ()
    start_ns: int = 0
    end_ns: int = FAR

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """All records in order of (arrival, instrument, row), `ts_recv` = `ts_event` + `latency_ns`, of bars their close + it."""
        return merge([iter([one]) for one in self.records], latency_ns, max(4096, CHUNK_ROWS // len(self.records)))


@typed()
def from_frame(
    table: Any,
    name: str | None = None,
    *,
    timezone: str | None = None,
    interval: str | None = None,
    basis: str | None = None,
    columns: Mapping[str, str] | None = None,
    decimals: int | None = None,
) -> MemoryHistory:
    """History from a table in memory: `from_frame(df, "EURUSD@mine")`, or of several instruments `from_frame({"EURUSD@mine": df, …})`.

    A table is a pandas or polars DataFrame, an Arrow table or a mapping of arrays, with a column (or index) of times and bid and ask, or
    price and size, or open, high, low and close, under their usual names; `columns` says other ones: `{"bid": "Geld"}`. Times are
    datetime64, text, or whole numbers since 1970; without a zone they are UTC, or of `timezone`. Of bars, `interval` ("1m", default: the
    commonest distance) and `basis` ("trade", "bid", "ask", "mid", default "trade"); they are named by their opening. What the table does
    not say is NaN. `decimals` are those of the price, by default those of the instrument or the data.

    The rows pass the checks of an import: `DataError` names row and column of what cannot be right. Rows out of order are sorted, and
    `notes` says so. Raises `ConfigError` for a name that is not SYMBOL@venue and for settings that do not fit.

    >>> import tercel as tc
    >>> quotes = {"time": [1_700_000_000, 1_700_000_001], "bid": [1.0721, 1.0722], "ask": [1.0722, 1.0723]}
    >>> tc.from_frame(quotes, "EURUSD@mine")
    <MemoryHistory: EURUSD@mine quotes; 2023-11-14 22:13:20 to 2023-11-14 22:13:21>
    """
    if basis is not None and basis not in BASES:
        raise ConfigError(f"from_frame: basis: expected one of {', '.join(BASES)}, found {basis!r}")
    if timezone is not None:
        parse_zone(timezone)
    named = _named(table, name)
    series, records, notes = [], [], list[str]()
    for number, (one, rows) in enumerate(named.items(), 1):
        symbol, _, venue = one.partition("@")
        check_symbol(symbol, f"from_frame: {one}: symbol")
        check_venue(venue, f"from_frame: {one}: venue")
        batch = batch_of(
            rows, symbol, one, timezone=timezone, interval_ns=parse_duration(interval) if interval else 0, basis=basis or "",
            columns=columns or {},
        )  # fmt: skip
        validate(Path(one), batch)
        seen = Decimals(Path(one), decimals)
        seen.see(venue, batch)
        instrument = msgspec.structs.replace(seen.instruments(Manifest(), notes)[0], id=number)
        key = Key(symbol, venue, batch.kind, batch.interval_ns, batch.basis)
        notes += [f"{one}: {count:,} {text}" for text, count in batch.notes.items()]
        kept = _ordered(partitions.canonical(key, batch.records), key, notes)
        kept["instrument"] = number
        series.append(_dataset(instrument, key, kept))
        records.append(kept)
    return MemoryHistory(tuple(series), tuple(records), tuple(notes))


def _named(table: Any, name: str | None) -> dict[str, Any]:
    if name is not None:
        named = {name: table}
    elif isinstance(table, Mapping) and table and all(isinstance(one, str) and "@" in one for one in table):
        named = dict(table)
    else:
        raise ConfigError('from_frame: expected a name, from_frame(table, "EURUSD@mine"), or tables by name, {"EURUSD@mine": table}')
    strange = [one for one in named if one.count("@") != 1]
    if strange:
        raise ConfigError(f"from_frame: expected a name such as EURUSD@mine, symbol and venue, found {strange[0]!r}")
    return named


def _ordered(rows: Records, key: Key, notes: list[str]) -> Records:
    """The rows sorted by time; bars once for each time."""
    if len(rows) > ROWS_MAX:
        raise DataError(f"{key.name}: expected at most {ROWS_MAX:,} rows, found {len(rows):,}; import them as a file instead")
    times = rows["ts_event"]
    late = int((times < np.maximum.accumulate(times)).sum())
    if late:
        notes.append(f"{key.name}: {late:,} rows out of order: repaired, sorted by time")
    ordered = in_order([rows])
    if key.kind != "bar":
        return ordered
    single = one_bar_per_time(ordered, f"{key.name} {key.what}")
    if len(single) < len(ordered):
        notes.append(f"{key.name}: {len(ordered) - len(single):,} repeated bars: repaired, kept once")
    return single


def _dataset(instrument: Instrument, key: Key, rows: Records) -> Dataset:
    first, last = int(rows["ts_event"][0]), int(rows["ts_event"][-1])
    return Dataset(instrument, key.kind, key.interval_ns, key.basis, len(rows), first, last, (date_of(first), date_of(last)), "")
