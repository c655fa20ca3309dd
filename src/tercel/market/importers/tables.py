"""Tables in memory become batches, by the same names of columns and the same checks as files.

A table is a pandas or polars DataFrame, an Arrow table, a structured array, or a mapping of names to arrays. Nothing is imported for it:
whatever gives its columns by name will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import Records
from tercel.market.importers import times as instants
from tercel.market.importers.batch import Batch, Floats, Times, bars, quotes, refuse
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.generic import BASIS, SIDES, check_grid, interval_of, trades
from tercel.market.importers.headings import NEEDED, OPTIONAL, Layout, Unclear, resolve

INDEX: Final = "index"


def batch_of(
    table: Any,
    symbol: str,
    where: str,
    *,
    timezone: str | None,
    interval_ns: int,
    basis: str,
    columns: Mapping[str, str],
) -> Batch:
    """The rows of one table as a batch of one series. `where` begins the message of a refusal.

    `interval_ns` and `basis` are those of bars; 0 is the commonest distance, "" is "trade". Raises `DataError`
    for columns that leave something open and cells that are wrong, `ConfigError` for what is no table.
    """
    given = columns_of(table)
    path = Path(where)
    try:
        layout = resolve(list(given), columns, where)
    except Unclear as error:
        raise DataError(f"{where}: {error.what}; say which: columns={dict(error.asked)}") from None
    if "symbol" in layout.places:
        raise DataError(f"{where}: the table has a column of symbols; give a table for each instrument: {{'EURUSD@mine': table, …}}")
    arrays = list(given.values())
    cells = {role: arrays[place] for role, place in layout.places.items()}
    if len({len(one) for one in cells.values()}) != 1:
        raise DataError(f"{where}: expected columns of one length, found {', '.join(f'{role} {len(one)}' for role, one in cells.items())}")
    if not len(cells["time"]):
        raise DataError(f"{where}: expected rows, found none")
    stamps, notes = _times(cells, timezone, path)
    records = _records(layout, cells, stamps, path)
    rows = np.arange(1, len(records) + 1)
    if layout.kind == "bar":
        interval_ns = interval_ns or interval_of(path, stamps)
        check_grid(path, stamps, rows, interval_ns)
    made = layout.kind == "bar"
    return Batch(symbol, None, layout.kind, records, rows, 1.0, interval_ns if made else 0, (basis or BASIS) if made else "", notes)


def columns_of(table: Any) -> dict[str, npt.NDArray[Any]]:
    """The columns of a table by name; an index of times counts as the column "time" where there is none."""
    if isinstance(table, Mapping):
        named = dict(table)
    elif isinstance(table, np.ndarray) and table.dtype.names:
        named = {name: table[name] for name in table.dtype.names}
    elif hasattr(table, "column_names") and hasattr(table, "column"):  # Arrow
        named = {name: table.column(name) for name in table.column_names}
    elif hasattr(table, "columns") and hasattr(table, "__getitem__"):  # pandas, polars
        named = {str(name): table[name] for name in table.columns}
        index = getattr(table, "index", None)
        if index is not None and "datetime" in str(getattr(index, "dtype", "")):
            named = {str(getattr(index, "name", None) or "time"): index, **named}
    else:
        raise ConfigError(f"from_frame: expected a DataFrame, an Arrow table or a mapping of arrays, found {type(table).__name__}")
    return {str(name): _array(str(name), one) for name, one in named.items()}


def _array(name: str, column: Any) -> npt.NDArray[Any]:
    kind = str(getattr(column, "dtype", getattr(column, "type", "")))
    if "tz" in kind or ", UTC" in kind or "timestamp" in kind or "Datetime" in kind or kind.startswith("datetime64[ns,"):
        column = _utc(column)
    array = np.asarray(column)
    if array.ndim != 1:
        raise DataError(f"from_frame: column {name}: expected one dimension, found {array.ndim}")
    return array


def _utc(column: Any) -> Any:
    """A column of instants with a zone as datetime64 in UTC."""
    if hasattr(column, "dt") and hasattr(column.dt, "tz_convert"):  # a pandas Series
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy() if column.dt.tz is not None else column.to_numpy()
    if hasattr(column, "tz_convert"):  # a pandas index
        return column.tz_convert("UTC").tz_localize(None).to_numpy() if column.tz is not None else column.to_numpy()
    return column.to_numpy()  # Arrow and polars give UTC


def _times(cells: Mapping[str, npt.NDArray[Any]], timezone: str | None, path: Path) -> tuple[Times, dict[str, int]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    stamps = cells["time"]

    def say(row: int, expected: str, found: object) -> None:
        refuse(path, row + 1, "time", expected, found)

    if stamps.dtype.kind == "M":
        absent = np.isnat(stamps)
        if absent.any():
            say(int(np.argmax(absent)), "a time", "none")
        local = stamps.astype("M8[ns]").astype(np.int64)
        return local if timezone is None else Clock(parse_zone(timezone)).utc(local)[0], {}
    if stamps.dtype.kind not in "iuOUT":
        say(0, "datetime64, text, or whole numbers of s, ms, µs or ns since 1970", f"the type {stamps.dtype}")
    try:
        parts = [pa.array(cells[role].astype(str)) for role in ("date", "time") if role in cells]
    except (pa.ArrowException, TypeError, ValueError):
        say(0, "datetime64, text or whole numbers", f"the type {stamps.dtype}")
        raise
    text = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, " ")
    form = instants.form_of(text, None, say)
    return instants.utc(text, form, instants.clock_for(form, timezone, path.name), say)


def _records(layout: Layout, cells: Mapping[str, npt.NDArray[Any]], stamps: Times, path: Path) -> Records:
    wanted = [role for role in (*NEEDED[layout.kind], *OPTIONAL[layout.kind]) if role in cells and role != "side"]
    found = {role: _numbers(role, cells[role], path) for role in wanted}
    if layout.kind == "quote":
        return quotes(stamps, found["bid"], found["ask"], found.get("bid_size", np.nan), found.get("ask_size", np.nan))
    if layout.kind == "bar":
        return bars(stamps, found, found.get("volume", np.nan))
    return trades(stamps, found["price"], found.get("size", np.nan), _sides(cells["side"], path) if "side" in cells else 0)


def _numbers(role: str, values: npt.NDArray[Any], path: Path) -> Floats:
    if values.dtype.kind not in "iuf":
        raise DataError(f"{path.name}: column {role}: expected numbers, found the type {values.dtype}")
    return values.astype(np.float64)


def _sides(values: npt.NDArray[Any], path: Path) -> npt.NDArray[np.int8]:
    words, codes = np.unique(values.astype(str), return_inverse=True)
    found = [SIDES.get(str(word).strip().lower().removesuffix(".0").encode()) for word in words.tolist()]
    if None in found:
        row = int(np.argmax(codes == found.index(None)))
        refuse(path, row + 1, "side", "buy, sell, 1, -1 or nothing", str(values[row]))
    sides: npt.NDArray[np.int8] = np.array(found, np.int8)[codes]
    return sides
