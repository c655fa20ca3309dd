"""The face of every importer: options in, batches out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import DataError
from tercel.base.records import BAR_VIEW, BASIS_BID, BOOK, LAST, QUOTE, TICK, TRADE, Records
from tercel.market.instruments import Instrument
from tercel.market.manifest import Kind

BATCH_ROWS: Final = 1 << 17
Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


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
    """The beginning of a file, unpacked, up to `HEAD_BYTES`, and its complete lines without line ends (at most 20).

    `packing` says how the file is compressed ("" when it is not), `members` names the files in a zip; `data` is then of the first of them.
    """

    path: Path
    data: bytes
    lines: tuple[bytes, ...]
    packing: str = ""
    members: tuple[str, ...] = ()


class Batch(msgspec.Struct):
    """Consecutive rows of one series, dtype `TICK` (bars `BAR_VIEW`), `instrument` 0.

    `rows` numbers each record's row in the file from 1, for messages. `venue` is what the file itself says, None when it does not.
    `fraction` is the share of the file that is read. `notes` are counts to add to the report under their text. `member` names the table
    of a zip that holds several, `rows` then count in it. `instruments` are definitions that the file itself gives.
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
    member: str = ""
    instruments: tuple[Instrument, ...] = ()


class Zone(NamedTuple):
    """The clock of a file's times, and what the report says about it when the user did not choose one."""

    name: str
    assumed: str = ""


class Format(msgspec.Struct, frozen=True):
    """A format: its name on the command line, what it is, how to recognise it by content, how to read it, and the clock of its times.

    `assumed` is what the report says about that clock when the user did not choose one; where the clock depends on the file, `clock` says
    both. `left_out` is the reason why files of this format are known but not imported.
    """

    name: str
    title: str
    recognises: Callable[[Head], bool]
    read: Callable[[Path, Options], Iterator[Batch]]
    timezone: str = "UTC"
    assumed: str = ""
    clock: Callable[[Path, Options], Zone] | None = None
    left_out: str = ""


class NoRows(DataError):
    """A file of a known format in which there is nothing: in a folder it is left out, alone it is refused."""


def refuse(path: Path, row: int, column: str, expected: str, found: object) -> NoReturn:
    """Raise the `DataError` for one value of a file; `row` counts from 1."""
    raise DataError(f"{path.name}: row {row:,}, column {column}: expected {expected}, found {found!r}; nothing was imported")


def quotes(times: Times, bid: Floats, ask: Floats, bid_size: Floats | float = np.nan, ask_size: Floats | float = np.nan) -> Records:
    """Quote records; times in ns UTC, prices and sizes as the source has them, NaN for what it does not say."""
    records = np.zeros(len(times), TICK)
    records["ts_event"], records["kind"], records["flags"] = times, QUOTE, LAST
    records["price"], records["size"], records["price2"], records["size2"] = bid, bid_size, ask, ask_size
    return records


def trades(times: Times, price: Floats, size: Floats, side: Times | int = 0, ids: Times | int = 0) -> Records:
    """Trade records; times in ns UTC, `side` +1 buyer, -1 seller was the aggressor, 0 unknown; `ids` 0 where the source has none."""
    records = np.zeros(len(times), TICK)
    records["ts_event"], records["kind"], records["flags"], records["side"] = times, TRADE, LAST, side
    records["price"], records["size"], records["ref"] = price, size, ids
    records["price2"] = records["size2"] = np.nan
    return records


def levels(times: Times, price: Floats, size: Floats, side: Times, ids: Times | int = 0) -> Records:
    """Rows of an L2 book: the new total `size` at a `price` (0 deletes), `side` +1 bid, -1 ask; the caller sets the flags."""
    records = trades(times, price, size, side, ids)
    records["kind"], records["flags"] = BOOK, 0
    return records


def bars(times: Times, prices: dict[str, Floats], volume: Floats | float) -> Records:
    """Bar records from opening times (ns UTC) and the columns open, high, low, close; the catalog adds what follows from the series."""
    records = np.zeros(len(times), BAR_VIEW)
    records["ts_event"], records["flags"], records["side"] = times, LAST, BASIS_BID
    for name in ("open", "high", "low", "close"):
        records[name] = prices[name]
    records["volume"] = volume
    return records
