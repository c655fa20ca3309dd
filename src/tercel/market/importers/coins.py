"""What the formats of crypto exchanges share: names of pairs and perpetuals, the venue of a folder, times as counts since 1970."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S, NS_PER_US, format_duration
from tercel.market.importers.batch import Options, Times, Zone, refuse
from tercel.market.importers.textfile import Block
from tercel.market.importers.venues import symbol_of

if TYPE_CHECKING:
    import pyarrow as pa

UNITS_NS: Final = {10: NS_PER_S, 13: NS_PER_MS, 16: NS_PER_US}  # by the number of digits of a time since 1970, until 2286
UNIT_NAMES: Final = {10: "s", 13: "ms", 16: "µs"}
SUFFIX: Final = "-PERP"
PERPETUAL: Final = "rows are taken as of the perpetual, as the symbol says; --symbol says another"
SPOT: Final = "rows are taken as of the spot market; --symbol says another"
_INTERVAL: Final = re.compile(r"(\d{1,3})([smhdw])")
_LETTERS: Final = {"s": NS_PER_S, "m": NS_PER_MIN, "h": NS_PER_H, "d": NS_PER_DAY, "w": 7 * NS_PER_DAY}


def utc(_path: Path, _options: Options) -> Zone:
    """The clock of formats whose times count from 1970: --timezone has no say."""
    return Zone("UTC")


def perpetual(symbol: str) -> str:
    """The symbol of a futures market: BTCUSDT and BTCUSD_PERP are perpetuals, BTCUSDT_240628 names its month itself."""
    if symbol.endswith("_PERP"):
        return symbol.removesuffix("_PERP") + SUFFIX
    return symbol if "_" in symbol or "-" in symbol else symbol + SUFFIX


def pair_of(path: Path, name: re.Pattern[str], options: Options) -> str:
    """The pair of a file whose rows do not name it: the option, the group 1 of a name as the vendor writes it, a known symbol in it."""
    if options.symbol:
        return options.symbol
    match = name.match(path.name)
    return match[1] if match else symbol_of(path, options)


def interval_ns(text: str) -> int:
    """The length of bars in ns from "1m", "4h", "1d", "1w"; 0 when the text is none of these."""
    match = _INTERVAL.fullmatch(text)
    return int(match[1]) * _LETTERS[match[2]] if match else 0


def epochs(block: Block, column: str, values: pa.Array, digits: tuple[int, ...]) -> Times:
    """ns UTC of whole numbers since 1970 with one of these numbers of digits. Raises `DataError` with the row of another text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        found = pc.cast(pc.cast(values, pa.string()), pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        found = np.array([int(text) if _plain(text) else 0 for text in values.to_pylist()], np.int64)
    lengths = np.asarray(pc.binary_length(values))
    result = np.zeros(len(found), np.int64)
    for count in digits:
        mine = (lengths == count) & (found >= 10 ** (count - 1))
        result[mine] = found[mine] * UNITS_NS[count]
    if not (result > 0).all():
        bad = int(np.argmin(result > 0))
        expected = " or ".join(f"a time in {UNIT_NAMES[count]} ({count} digits)" for count in digits)
        refuse(block.path, block.first_row + bad, column, expected, values[bad].as_py()[:60].decode("utf-8", "backslashreplace"))
    return result


def _plain(text: bytes) -> bool:
    return text.isdigit() and text.isascii() and len(text) <= max(UNITS_NS)


def check_grid(path: Path, times: Times, rows: Times, interval: int) -> None:
    """Raise `DataError` for a bar that does not open on a multiple of its interval (weeks excepted)."""
    off = times % min(interval, NS_PER_DAY) != 0
    if off.any():
        first = int(np.argmax(off))
        step = format_duration(interval)
        refuse(path, int(rows[first]), "time", f"a bar that opens on a multiple of {step}", format_duration(int(times[first] % NS_PER_DAY)))
