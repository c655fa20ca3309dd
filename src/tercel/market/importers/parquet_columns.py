"""Typed access to the columns of one block of a Parquet file: the right type or a refusal with row and column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.errors import DataError
from tercel.market.importers.batch import Floats, Times, refuse

if TYPE_CHECKING:
    import pyarrow as pa


class Texts(NamedTuple):
    """A text column as codes into its distinct values."""

    codes: npt.NDArray[np.int64]
    values: list[str]


class Columns:
    """One block. `first_row` is the number of its first row in the file, from 1; `fraction` the share of the file read with it."""

    def __init__(self, path: Path, batch: pa.RecordBatch, first_row: int, fraction: float) -> None:
        self.path, self.first_row, self.fraction, self._batch = path, first_row, fraction, batch
        self.count: int = batch.num_rows

    def __contains__(self, name: str) -> bool:
        return name in self._batch.schema.names

    @property
    def rows(self) -> Times:
        """The row number of each row."""
        return np.arange(self.first_row, self.first_row + self.count)

    def floats(self, name: str) -> Floats:
        """A column of numbers as float64; null is NaN, all NaN when the file has no such column."""
        import pyarrow as pa

        if name not in self:
            return np.full(self.count, np.nan)
        column = self._batch.column(name)
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            self._refuse_type(name, "float64")
        result: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return result

    def ints(self, name: str, null: int | None = None) -> Times:
        """A column of integers as int64; a null is refused unless `null` stands for it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._batch.column(name)
        if not pa.types.is_integer(column.type):
            self._refuse_type(name, "int64")
        if column.null_count:
            if null is None:
                refuse(
                    self.path, self.first_row + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))), name, "an integer", None
                )
            column = pc.fill_null(column, null)
        result: Times = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return result

    def times(self, name: str) -> Times:
        """A column of times as ns UTC: int64 ns, or a timestamp of any unit with zone UTC or none."""
        import pyarrow as pa

        column = self._batch.column(name)
        if pa.types.is_timestamp(column.type):
            self._batch = self._batch.set_column(
                self._batch.schema.names.index(name), name, column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
            )
        elif not pa.types.is_int64(column.type):
            self._refuse_type(name, "int64 nanoseconds")
        return self.ints(name)

    def texts(self, name: str) -> Texts:
        """A column of text, plain or dictionary-encoded; a null is refused."""
        import pyarrow as pa

        column = self._batch.column(name)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        if not (pa.types.is_string(encoded.type.value_type) or pa.types.is_large_string(encoded.type.value_type)):
            self._refuse_type(name, "text")
        values = encoded.dictionary.to_pylist()
        bad = encoded.is_null().to_numpy(zero_copy_only=False) if encoded.null_count else np.zeros(self.count, bool)
        codes = encoded.indices.fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
        bad = bad | np.array([value is None for value in values], bool)[codes] if None in values else bad
        if bad.any():
            refuse(self.path, self.first_row + int(np.argmax(bad)), name, "text", None)
        return Texts(codes, values)

    def refuse(self, index: int, name: str, expected: str, found: object) -> None:
        """Raise the `DataError` for one row of the block, counted from 0."""
        refuse(self.path, self.first_row + index, name, expected, found)

    def _refuse_type(self, name: str, expected: str) -> None:
        found = self._batch.schema.field(name).type
        raise DataError(
            f"{self.path.name}: row {self.first_row:,}, column {name}: expected {expected}, found the type {found}; nothing was imported"
        )
