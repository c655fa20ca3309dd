"""Parquet files of quotes, trades, bars, L2 and L3 book: the layout is recognised by its columns (`parquet_layouts`).

Read in blocks of `BATCH_ROWS`, one after the other, so a file may be larger than memory. A null number means that the source does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tercel.base.errors import ConfigError, DataError
from tercel.market.importers.batch import BATCH_ROWS, Batch, Format, Head, Options
from tercel.market.importers.parquet_columns import Columns
from tercel.market.importers.parquet_layouts import LAYOUTS, Layout

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC: Final = b"PAR1"


def recognises(head: Head) -> bool:
    """True for Parquet's magic bytes."""
    return head.data.startswith(MAGIC) and not head.packing


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Batches of one series each. Raises `DataError` for a truncated or damaged file, missing columns and wrong types."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True, buffer_size=1 << 20, pre_buffer=False) as file:
            layout, total, done = layout_of(path, file.schema_arrow, options), file.metadata.num_rows, 0
            if total == 0:
                raise DataError(f"{path.name}: expected rows, found none; nothing was imported")
            reader = layout.reader(options)
            wanted = [name for name in layout.columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
                columns = Columns(path, batch, done + 1, min(1.0, (done + batch.num_rows) / total))
                yield from reader.batches(columns)
                done += batch.num_rows
            yield from reader.end()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(
            f"{path.name}: expected a whole Parquet file, found a truncated or damaged one ({reason}); nothing was imported"
        ) from error


def layout_of(path: Path, schema: pa.Schema, options: Options) -> Layout:
    """The layout whose marks a file's columns bear. Raises `DataError` when none fits or a column is missing or twice there."""
    names = list(schema.names)
    found = ", ".join(names)[:300] or "none"
    if options.symbol and "symbol" in names:
        raise ConfigError(
            f"{path.name}: --symbol is for files that do not name their symbol; this one has a column symbol, leave the option out"
        )
    given = {"symbol": options.symbol, "interval_s": options.interval_ns}
    if len(set(names)) != len(names):
        raise DataError(f"{path.name}: expected each column once, found {found}; nothing was imported")
    for layout in LAYOUTS:
        if any(mark in names for mark in layout.marks):
            for name in layout.needed:
                if name not in names and not given.get(name):
                    raise DataError(f"{path.name}: expected column {name} in a file of {layout.title}, found {found}; nothing was imported")
            return layout
    known = "; ".join(f"{layout.title}: {', '.join(layout.needed)}" for layout in LAYOUTS)
    raise DataError(f"{path.name}: expected the columns of a known layout ({known}), found {found}; nothing was imported")


FORMATS = (Format("parquet", "Parquet of quotes, trades, bars, L2 or L3 book", recognises, read),)
