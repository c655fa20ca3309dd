"""The quotes every engine reads: a real recording when it is there, a seeded random walk when it is not, and the figure says which."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

QUOTE = np.dtype([("ts_ns", "<i8"), ("bid", "<f8"), ("ask", "<f8")])
RECORDING = Path("quotes") / "fx_oanda_tick_201405.parquet"
PRICE_DECIMALS = 5
_SEED = 20140501
_WALK_ROWS = 1_000_000


class Quotes(NamedTuple):
    """`rows` has dtype `QUOTE`: ns since 1970 UTC, never decreasing, and prices with five decimals."""

    name: str
    rows: npt.NDArray[Any]


def folder() -> Path:
    """Where recordings are looked for: $TERCEL_TEST_DATA, or `shared/data` beside the repository."""
    return Path(os.environ.get("TERCEL_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def quotes(rows_max: int | None = None) -> Quotes:
    """EURUSD as OANDA sent it from 2014-05-01 to 2014-05-09, or a random walk; at most `rows_max` rows from its start."""
    path = folder() / RECORDING
    if not path.is_file():
        return random_walk(min(rows_max or _WALK_ROWS, _WALK_ROWS))
    import pyarrow.parquet as parquet

    table = parquet.read_table(path, columns=["ts_event", "bid", "ask"], filters=[("symbol", "=", "EURUSD")])[:rows_max]
    rows = np.empty(table.num_rows, QUOTE)
    for field, column in zip(QUOTE.names or (), ("ts_event", "bid", "ask"), strict=True):
        rows[field] = table[column].to_numpy()
    return Quotes("EURUSD@oanda quotes from 2014-05-01, a real recording", rows)


def random_walk(count: int) -> Quotes:
    """A walk of one point a step around 1.1, 1.2 pips wide, one quote every 50 ms: the same for the same count on every machine."""
    points = 110_000 + np.cumsum(np.random.default_rng(_SEED).integers(-1, 2, count))
    rows = np.empty(count, QUOTE)
    rows["ts_ns"] = 1_400_000_000_000_000_000 + 50_000_000 * np.arange(count, dtype=np.int64)
    rows["bid"], rows["ask"] = points / 1e5, (points + 12) / 1e5
    return Quotes(f"random walk, seed {_SEED}: the recording is not here", rows)


@contextlib.contextmanager
def saved(array: npt.NDArray[Any]) -> Iterator[Path]:
    """The array as a NumPy file that every engine reads, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-") as place:
        path = Path(place) / "input.npy"
        np.save(path, array)
        yield path
