"""One instrument: a symbol at a venue, and the numbers that turn its prices and sizes into integers."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, DataError

Asset = Literal["fx", "metal", "crypto", "equity", "future", "index", "cfd"]
SessionName = Literal["fx", "24x7", "us_equity", "cme"]

DECIMALS_MAX: Final = 12
_EXACT_MAX: Final = 2.0**53  # integers above this are not all doubles
_SYMBOL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,30}[A-Za-z0-9_-]|[A-Za-z0-9]")
_VENUE: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol at a venue. Integers of prices are in 10^-price_decimals, of sizes in 10^-size_decimals; `id` 0 is not registered yet."""

    symbol: str
    venue: str
    asset: Asset
    base: str
    quote: str
    price_decimals: int
    size_decimals: int
    price_increment: int = 1
    size_increment: int = 1
    size_min: int = 1
    lot: int = 1
    size_unit: int = 1  # whole units that a quoted or traded size of 1 means in this venue's data
    multiplier: int = 1  # quote currency per price unit per whole unit
    session: SessionName
    day_roll: str
    valid_from_ns: int = 0
    id: int = 0

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        check_venue(self.venue)
        for field, low, high in _RANGES:
            value = getattr(self, field)
            if not low <= value <= high:
                raise ConfigError(f"instrument {self.name}: {field}: expected {low} to {high}, found {value}")

    @property
    def name(self) -> str:
        """What people type: "EURUSD@oanda"."""
        return f"{self.symbol}@{self.venue}"


_RANGES: Final = (
    ("price_decimals", 0, DECIMALS_MAX), ("size_decimals", 0, DECIMALS_MAX), ("price_increment", 1, 10**15), ("size_increment", 1, 10**15),
    ("size_min", 1, 10**15), ("lot", 1, 10**15), ("size_unit", 1, 10**9), ("multiplier", 1, 10**9),
    ("valid_from_ns", 0, 2**63 - 1), ("id", 0, 2**32 - 1),
)  # fmt: skip


def check_symbol(text: str, where: str = "symbol") -> str:
    """`text` when it may name a folder on every system; raises `DataError` for path characters, blanks, control characters or over 32."""
    if _SYMBOL.fullmatch(text) is None:
        raise DataError(f"{where}: expected 1 to 32 letters, digits, '.', '_' or '-', starting with a letter or digit, found {text[:60]!r}")
    return text


def check_venue(text: str, where: str = "venue") -> str:
    """`text` when it may name a venue: lower-case letters, digits, '-' and '_', at most 32; raises `DataError` otherwise."""
    if _VENUE.fullmatch(text) is None:
        raise DataError(f"{where}: expected 1 to 32 lower-case letters, digits, '-' or '_', such as 'oanda', found {text[:60]!r}")
    return text


def on_grid(values: npt.NDArray[np.float64], decimals: int) -> npt.NDArray[np.bool_]:
    """For each value whether it is the double nearest to some integer / 10^decimals; NaN counts as on the grid."""
    scale = 10.0**decimals
    with np.errstate(all="ignore"):  # a value too large to scale is simply not on the grid
        whole = np.rint(values * scale)
    fits: npt.NDArray[np.bool_] = ((whole / scale == values) & (np.abs(whole) < _EXACT_MAX)) | np.isnan(values)
    return fits


def decimals_needed(values: npt.NDArray[np.float64], at_least: int = 0) -> int | None:
    """The fewest decimals, from `at_least` on, that hold every value exactly; None when `DECIMALS_MAX` do not suffice."""
    for decimals in range(at_least, DECIMALS_MAX + 1):
        fits = on_grid(values, decimals)
        if fits.all():
            return decimals
        values = values[~fits]  # a value that fits once fits with more decimals too, unless it grows past 2^53: checked by the caller
    return None
