"""A file may be larger than the memory its import takes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.market.history import START_NS, quote_table, start_python

BUFFER_BYTES = 8 << 20
GROWTH_BYTES_MAX = 80 << 20  # buffer, one slice with its Parquet columns, one block, and what the allocators keep
ROWS = 3_000_000  # 64 bytes each as records: more than twice what the import may take

IMPORT = """
import resource, sys
from pathlib import Path
import numpy, pyarrow.csv, pyarrow.compute, pyarrow.parquet
from tercel.base import paths
from tercel.market.importers.batch import Options
from tercel.market.importers.run import import_files
def used(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
import_files([Path(sys.argv[1])], Options(), paths.catalog_dir(), buffer_bytes_max=int(sys.argv[3]))
before = used()
report = import_files([Path(sys.argv[2])], Options(), paths.catalog_dir(), buffer_bytes_max=int(sys.argv[3]))
print(used() - before, report.rows, report.rows_added)
"""


def parquet(path: Path, rows: int) -> Path:
    """Quotes in one row group per block, all of two days."""
    step = 170_000_000_000_000 // ROWS
    with pq.ParquetWriter(path, quote_table(1).schema) as writer:
        block = quote_table(min(rows, 500_000), START_NS, step)
        for start in range(0, rows, 500_000):
            times = pa.array(block["ts_event"].to_numpy() + start * step)
            writer.write_table(block.set_column(0, "ts_event", times))
    return path


def csv(path: Path, rows: int) -> Path:
    """Ticks of one day in TrueFX's format."""
    line = "EUR/USD,20130102 {:02}:{:02}:{:02}.{:03},1.12{:03},1.13{:03}\n"
    with path.open("w") as file:
        for start in range(0, rows, 100_000):
            moments = [(start + index) * 80_000_000 // ROWS for index in range(min(100_000, rows - start))]
            file.writelines(
                line.format(ms // 3_600_000, ms // 60_000 % 60, ms // 1_000 % 60, ms % 1_000, index % 1_000, index % 999)
                for index, ms in enumerate(moments)
            )
    return path


def packed(path: Path, rows: int) -> Path:
    """The same in a zip."""
    plain = csv(path.with_suffix(".csv"), rows)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(plain, plain.name)
    return path


WRITE = {"parquet": parquet, "csv": csv, "zip": packed}


@pytest.mark.parametrize(("form", "rows"), [("parquet", ROWS), ("csv", ROWS // 2), ("zip", ROWS // 2)])
def test_memory_stays_bounded_on_a_large_file(home: Path, tmp_path: Path, form: str, rows: int) -> None:
    """The import of a file whose rows are several times the allowed memory grows the process by less than that."""
    write = WRITE[form]
    small, large = write(tmp_path / f"oanda_small.{form}", 1_000), write(tmp_path / f"oanda_large.{form}", rows)
    process = start_python(IMPORT, str(small), str(large), str(BUFFER_BYTES))
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    grown, read, added = map(int, output.split())
    assert read == rows
    assert added > rows * 0.99
    assert rows * 64 > (2 if form == "parquet" else 1) * GROWTH_BYTES_MAX
    assert grown < GROWTH_BYTES_MAX, f"grew by {grown / 2**20:.0f} MiB"
