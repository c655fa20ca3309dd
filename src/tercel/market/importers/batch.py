"""The face of every importer: options in, batches out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import DataError
from tercel.base.records import BAR_VIEW, BASIS_BID, LAST, QUOTE, TICK, Records
from tercel.market.manifest import Kind

BATCH_ROWS: Final = 1 << 17
Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class Options(msgspec.Struct, frozen=True):
    """What the user may say about a file; None means: find out."""

    format: str | None = None
    venue: str | None = None
    symbol: str | None = None
    timezone: str | None = None
    decimals: int | None = None
    interval_ns: int | None = None
    columns: str | None = None  # of a table: "time=Zeit,bid=Geld"
    dates: str | None = None  # "dmy" or "mdy"
    basis: str | None = None  # of bars: trade, bid, ask or mid
    decimal_comma: bool = False


class Head(msgspec.Struct, frozen=True):
    """The beginning of a file, up to `HEAD_BYTES`, and its complete lines without line ends (at most 20)."""

    path: Path
    data: bytes
    lines: tuple[bytes, ...]


class Batch(msgspec.Struct):
    """Consecutive rows of one series, dtype `TICK` (bars `BAR_VIEW`), `instrument` 0.

    `rows` numbers each record's row in the file from 1, for messages. `venue` is what the file itself says, None when it does not.
    `fraction` is the share of the file that is read. `notes` are counts to add to the report under their text.
    """

    symbol: str
    venue: str | None
    kind: Kind
    records: Records
    rows: Times
    fraction: float
    interval_ns: int = 0
    basis: str = ""
    notes: dict[str, int] = {}


class Format(msgspec.Struct, frozen=True):
    """A format: its name on the command line, what it is, how to recognise it by content, how to read it, and the clock of its times.

    `assumed` is what the report says about that clock when the user did not choose one.
    """

    name: str
    title: str
    recognises: Callable[[Head], bool]
    read: Callable[[Path, Options], Iterator[Batch]]
    timezone: str = "UTC"
    assumed: str = ""


def refuse(path: Path, row: int, column: str, expected: str, found: object) -> NoReturn:
    """Raise the `DataError` for one value of a file; `row` counts from 1."""
    raise DataError(f"{path.name}: row {row:,}, column {column}: expected {expected}, found {found!r}; nothing was imported")


def quotes(times: Times, bid: Floats, ask: Floats, bid_size: Floats | float = np.nan, ask_size: Floats | float = np.nan) -> Records:
    """Quote records; times in ns UTC, prices and sizes as the source has them, NaN for what it does not say."""
    records = np.zeros(len(times), TICK)
    records["ts_event"], records["kind"], records["flags"] = times, QUOTE, LAST
    records["price"], records["size"], records["price2"], records["size2"] = bid, bid_size, ask, ask_size
    return records


def bars(times: Times, prices: dict[str, Floats], volume: Floats | float) -> Records:
    """Bar records from opening times (ns UTC) and the columns open, high, low, close; the catalog adds what follows from the series."""
    records = np.zeros(len(times), BAR_VIEW)
    records["ts_event"], records["flags"], records["side"] = times, LAST, BASIS_BID
    for name in ("open", "high", "low", "close"):
        records[name] = prices[name]
    records["volume"] = volume
    return records
