"""What the tests of history share: small files in every format, ways to import them, and pictures of a catalog folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tercel.base import paths
from tercel.base.records import QUOTE, TICK, Records
from tercel.base.time import NS_PER_S, parse_instant
from tercel.market.importers.batch import Options
from tercel.market.importers.report import ImportReport
from tercel.market.importers.run import import_files

ROOT = Path(__file__).parents[2]
START_NS = parse_instant("2014-05-01")


def take(*files: Path, **options: object) -> ImportReport:
    """Import into the catalog of the test's home."""
    return import_files(files, Options(**options), paths.catalog_dir())  # type: ignore[arg-type]


def picture(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and modification time of every file below a folder."""
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def quote_table(count: int, start_ns: int = START_NS, step_ns: int = NS_PER_S, symbol: str = "EURUSD", seed: int = 1) -> pa.Table:
    """Quotes in the layout of the Parquet files, prices on a grid of 5 decimals."""
    chance = np.random.default_rng(seed)
    bid = np.round(1.38 + np.cumsum(chance.integers(-3, 4, count)) / 1e5, 5)
    return pa.table({
        "ts_event": start_ns + step_ns * np.arange(count, dtype=np.int64),
        "symbol": pa.array([symbol] * count).dictionary_encode(),
        "bid": bid,
        "ask": np.round(bid + chance.integers(1, 20, count) / 1e5, 5),
        "bid_size": pa.nulls(count, pa.float64()),
        "ask_size": pa.nulls(count, pa.float64()),
    })  # fmt: skip


def bar_table(opens: list[int], close: list[float], symbol: str = "EURUSD") -> pa.Table:
    """Minute bars of the bid with the given closes; high and low hold them."""
    return pa.table({
        "ts_event": pa.array(opens, pa.int64()), "symbol": [symbol] * len(opens), "interval_s": pa.array([60] * len(opens), pa.int32()),
        "open": close, "high": [value + 1.0 for value in close], "low": [value - 0.5 for value in close], "close": close,
        "volume": [0.0] * len(opens), "price_type": ["bid"] * len(opens), "source": ["oanda-lean"] * len(opens),
    })  # fmt: skip


def save(path: Path, table: pa.Table) -> Path:
    """Write a table as Parquet."""
    pq.write_table(table, path)
    return path


def text(path: Path, *lines: str) -> Path:
    """Write lines to a file, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def quotes(times: list[int], bid: list[float]) -> Records:
    """Quote records with an ask one above the bid."""
    rows = np.zeros(len(times), TICK)
    rows["ts_event"], rows["kind"], rows["price"], rows["price2"] = times, QUOTE, bid, np.asarray(bid) + 1
    rows["size"] = rows["size2"] = np.nan
    return rows


def everything(chunks: object) -> Records:
    """All records of a series as one array."""
    return np.concatenate(list(chunks))  # type: ignore[call-overload]


def start_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Run Python code in a process of its own, with the same home and packages."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment
    )
