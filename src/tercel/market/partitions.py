"""Parquet partitions: which records share a file, which columns they have, and the way there and back without losing a bit.

NaN ("the source does not say") is stored as null. What follows from the key (the basis of a bar, its arrival at open + interval) is not
stored. A series of quotes or trades may hold GAP rows, where its recorder knew that something is missing: `kind` tells them. A column that
a file lacks, because an older version wrote it, has the value that follows from the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tercel.base.errors import DataError
from tercel.base.records import BAR, BAR_VIEW, BOOK, BOOK_CLEAR, GAP, QUOTE, TICK, TRADE, Records
from tercel.base.time import NS_PER_H, NS_PER_MIN
from tercel.market.manifest import BASES, Key, Kind

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS: Final = 1 << 18
READ_ROWS: Final = 1 << 16

_ORDER: Final = ("ts_event", "ts_recv", "kind", "side", "flags", "price", "size", "ref")
COLUMNS: Final[dict[Kind, dict[str, str]]] = {  # column of the file -> field of the record
    "quote": {
        "ts_event": "ts_event", "ts_recv": "ts_recv", "kind": "kind", "flags": "flags", "bid": "price", "bid_size": "size", "ask": "price2",
        "ask_size": "size2", "ref": "ref",
    },
    "trade": {name: name for name in _ORDER},
    "bar": {name: name for name in ("ts_event", "flags", "open", "high", "low", "close", "volume")},
    "book": {name: name for name in _ORDER} | {"ask_horizon": "price2"},
    "order": {name: name for name in _ORDER},
}  # fmt: skip
# Measured on real ticks: prices of a day repeat so much that a dictionary beats byte-stream-split by half; volumes hardly repeat. Ids grow.
_ENCODING: Final = {**dict.fromkeys(("ts_event", "ts_recv", "ref"), "DELTA_BINARY_PACKED"), "volume": "BYTE_STREAM_SPLIT"}
_DICTIONARY: Final = frozenset((
    "kind", "side", "flags", "bid", "bid_size", "ask", "ask_size", "price", "size", "open", "high", "low", "close", "ask_horizon",
))  # fmt: skip
_KIND_CODES: Final = {"quote": QUOTE, "trade": TRADE, "bar": BAR, "book": BOOK, "order": 0}


def dtype_of(kind: Kind) -> np.dtype[Any]:
    """The view through which records of a kind are read."""
    return BAR_VIEW if kind == "bar" else TICK


def date_unit(key: Key) -> str:
    """How long a partition is, as a NumPy unit: a day, for bars of a minute a month, for bars of an hour and more a year."""
    if key.kind != "bar" or key.interval_ns < NS_PER_MIN:
        return "D"
    return "M" if key.interval_ns < NS_PER_H else "Y"


def dates(key: Key, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The partition of each time (ns UTC), as a count of days, months or years since 1970."""
    return times.astype("M8[ns]").astype(f"M8[{date_unit(key)}]").astype(np.int64)


def date_text(key: Key, number: int) -> str:
    """The partition's name: "2014-05-01", "2014-05" or "2014"."""
    return str(np.array(number, f"M8[{date_unit(key)}]"))


def canonical(key: Key, records: Records) -> Records:
    """A copy in the one form that is stored: no instrument, one NaN, and the fields its kind does not use as `read` gives them back."""
    rows = np.array(records, dtype_of(key.kind))
    rows["instrument"] = 0
    if key.kind == "bar":
        rows["kind"], rows["side"], rows["ts_recv"] = BAR, BASES[key.basis], rows["ts_event"] + key.interval_ns
    elif key.kind == "quote":
        rows["kind"], rows["side"] = np.where(rows["kind"] == GAP, GAP, QUOTE), 0
    else:
        rows["price2"] = np.where(rows["kind"] == BOOK_CLEAR, rows["price2"], np.nan)  # of a cleared book it is the asks' horizon
        rows["size2"] = np.nan
        if key.kind == "trade":
            rows["kind"] = np.where(rows["kind"] == GAP, GAP, TRADE)
    for name in rows.dtype.names or ():
        if rows.dtype[name].kind == "f":
            values = rows[name]
            values[np.isnan(values)] = np.nan
    return rows


class PartWriter:
    """Writes the rows of one partition to a Parquet file, a row group at a time."""

    def __init__(self, path: Path, kind: Kind) -> None:
        import pyarrow.parquet as pq

        self._columns, self._path, self._rows, self._pending = COLUMNS[kind], path, 0, list[Records]()
        self._schema = _schema(kind)
        repeating = [name for name in self._columns if name in _DICTIONARY or (name == "ref" and kind == "trade")]
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", compression_level=3, version="2.6", write_statistics=["ts_event"],
            use_dictionary=repeating, write_page_checksum=True, store_schema=False,
            column_encoding={name: _ENCODING[name] for name in self._columns if name in _ENCODING and name not in repeating},
        )  # fmt: skip

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._flush()
        self._writer.close()

    def write(self, rows: Records) -> None:
        """Append rows (the kind's view, in time order)."""
        self._pending.append(rows)
        self._rows += len(rows)
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            rows = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
            arrays = [
                pa.array(np.ascontiguousarray(rows[field]), type=self._schema.field(name).type, from_pandas=True)
                for name, field in self._columns.items()
            ]
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=ROW_GROUP_ROWS)
        self._pending, self._rows = [], 0


def read(path: Path, key: Key) -> Iterator[Records]:
    """The records of a partition in order, as blocks of the kind's view with instrument 0. Raises `DataError` when the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            there = [name for name in COLUMNS[key.kind] if name in file.schema_arrow.names]
            for batch in file.iter_batches(READ_ROWS, columns=there, use_threads=False):
                yield _records(batch, key)
    except FileNotFoundError:
        raise DataError(f"{path}: the partition is gone; read again if an import has just finished, else import its source again") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: the partition is damaged ({error}); import its source again") from error


def _schema(kind: Kind) -> pa.Schema:
    import pyarrow as pa

    dtype = dtype_of(kind)
    return pa.schema(
        [pa.field(name, pa.from_numpy_dtype(dtype[field]), nullable=dtype[field].kind == "f") for name, field in COLUMNS[kind].items()]
    )


def _records(batch: pa.RecordBatch, key: Key) -> Records:
    rows = np.zeros(batch.num_rows, dtype_of(key.kind))
    rows["kind"] = _KIND_CODES[key.kind]
    if key.kind == "bar":
        rows["side"] = BASES[key.basis]
    elif key.kind != "quote":
        rows["price2"] = rows["size2"] = np.nan
    for name, field in COLUMNS[key.kind].items():
        if name in batch.schema.names:
            rows[field] = batch.column(name).to_numpy(zero_copy_only=False)
    if key.kind == "bar":
        rows["ts_recv"] = rows["ts_event"] + key.interval_ns
    return rows
