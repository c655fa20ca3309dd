"""How many decimals the prices and sizes of a file have, and the instrument definitions that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.market.definitions import definition, guessed
from tercel.market.importers.batch import Batch, refuse
from tercel.market.instruments import DECIMALS_MAX, Instrument, decimals_needed, on_grid
from tercel.market.manifest import Manifest

_PRICES: Final = {"quote": ("price", "price2"), "bar": ("open", "high", "low", "close")}
_SIZES: Final = {"quote": ("size", "size2"), "bar": ("volume",)}
_COLUMNS: Final = {("quote", "price"): "bid", ("quote", "price2"): "ask"}
FALLBACK: Final = 8  # decimals when the prices are no decimal numbers at all, such as averages


class Seen(msgspec.Struct):
    """Of one symbol at one venue in this file: decimals needed so far, rows whose price no number of decimals holds."""

    price_decimals: int = 0
    size_decimals: int = 0
    rows_off_grid: int = 0


class Decimals:
    """Watches the batches of one file. `fixed` is the user's number of price decimals: a price that needs more is refused."""

    def __init__(self, path: Path, fixed: int | None) -> None:
        self._path, self._fixed, self._seen = path, fixed, dict[tuple[str, str], Seen]()

    def see(self, venue: str, batch: Batch) -> None:
        """Look at the prices and sizes of a batch. Raises `DataError` for a price with more decimals than the user said."""
        seen = self._seen.setdefault((batch.symbol, venue), Seen())
        for field in _PRICES.get(batch.kind, ("price",)):
            prices = np.ascontiguousarray(batch.records[field])
            if self._fixed is not None:
                self._check_fixed(batch, field, prices)
            else:
                seen.price_decimals, off = _raised(prices, seen.price_decimals)
                seen.rows_off_grid += off
        for field in _SIZES.get(batch.kind, ("size",)):
            seen.size_decimals, _ = _raised(np.ascontiguousarray(batch.records[field]), seen.size_decimals)

    def instruments(self, manifest: Manifest, notes: list[str]) -> list[Instrument]:
        """The definition of every instrument of the file: registered or built in, widened where the prices need it. Adds to `notes`."""
        return [self._settle(symbol, venue, seen, manifest, notes) for (symbol, venue), seen in self._seen.items()]

    def _settle(self, symbol: str, venue: str, seen: Seen, manifest: Manifest, notes: list[str]) -> Instrument:
        name = f"{symbol}@{venue}"
        needed = seen.price_decimals if self._fixed is None else self._fixed
        if seen.rows_off_grid:
            notes.append(f"{name}: {seen.rows_off_grid:,} prices are no decimal numbers of up to {DECIMALS_MAX} digits: kept as they are")
        found = manifest.instrument(name) or definition(symbol, venue)
        if found is None:
            needed = max(needed, FALLBACK) if seen.rows_off_grid else needed
            notes.append(
                f"{name}: no definition is built in; inferred from the data: {needed} price decimals, {seen.size_decimals} size decimals, "
                "one lot is one unit, quoted in USD unless the name says otherwise"
            )
            return guessed(symbol, venue, needed, seen.size_decimals)
        if (needed > found.price_decimals and not seen.rows_off_grid) or (self._fixed is not None and needed != found.price_decimals):
            notes.append(f"{name}: prices have {needed} decimals, the definition said {found.price_decimals}: it has a new number now")
            return _with_decimals(found, needed)
        return found

    def _check_fixed(self, batch: Batch, field: str, prices: npt.NDArray[np.float64]) -> None:
        assert self._fixed is not None
        fits = on_grid(prices, self._fixed)
        if not fits.all():
            first = int(np.argmin(fits))
            column = _COLUMNS.get((batch.kind, field), field)
            refuse(
                self._path,
                int(batch.rows[first]),
                column,
                f"a price with at most {self._fixed} decimals (--decimals)",
                float(prices[first]),
            )


def _raised(values: npt.NDArray[np.float64], decimals: int) -> tuple[int, int]:
    """The decimals that hold these values too, and how many values no number of decimals holds."""
    needed = decimals_needed(values, decimals)
    if needed is not None:
        return needed, 0
    off = ~on_grid(values, DECIMALS_MAX)
    kept = decimals_needed(values[on_grid(values, FALLBACK)], decimals)
    return max(decimals, kept or decimals), int(off.sum())


def _with_decimals(found: Instrument, decimals: int) -> Instrument:
    """The definition with other price decimals: the same tick in price, or the finest possible when it was the finest before."""
    scale = 10 ** abs(decimals - found.price_decimals)
    wider = decimals > found.price_decimals
    tick = found.price_increment * scale if wider else max(1, found.price_increment // scale)
    return msgspec.structs.replace(found, price_decimals=decimals, price_increment=1 if found.price_increment == 1 else tick)
