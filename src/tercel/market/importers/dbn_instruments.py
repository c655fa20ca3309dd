"""Instrument definitions from DBN: tick, decimals, contract size and currency as the venue says them.

Futures, shares and currency pairs become instruments; what the record leaves undefined stays as the built-in table has it. Options, spreads
and the rest are counted. Of several definitions of one symbol in a block the last counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tercel.base.errors import TercelError
from tercel.market.definitions import CHICAGO_CLOSE, definition, guessed
from tercel.market.importers.batch import Times, refuse
from tercel.market.importers.dbn_layout import UNDEFINED_PRICE
from tercel.market.instruments import Asset, Instrument, check_symbol

OTHERS: Final = "definitions of options, spreads and other kinds: left out"
_ASSETS: Final[dict[bytes, Asset]] = {b"F": "future", b"K": "equity", b"X": "fx"}
_DECIMALS: Final = 9
Rows = np.ndarray[tuple[int], np.dtype[Any]]


def instruments_of(path: Path, rows: Rows, numbers: Times, venue: str) -> tuple[tuple[Instrument, ...], dict[str, int]]:
    """The instruments of definition records, the newest of each symbol, and the count of those left out for the report.

    Raises `DataError` for a definition that is none, by row.
    """
    found: dict[str, Instrument] = {}
    left = 0
    for row, number in zip(rows, numbers.tolist(), strict=True):
        if row["kind"] not in _ASSETS:
            left += 1
            continue
        symbol = row["symbol"].split(b"\0", 1)[0].decode("ascii", "backslashreplace")
        check_symbol(symbol, f"{path.name}: row {number:,}, column raw_symbol")
        try:
            found[symbol] = _instrument(row, symbol, venue)
        except TercelError as error:
            refuse(path, number, "definition", "an instrument that can be", str(error))
    return tuple(found.values()), {OTHERS: left} if left else {}


def _instrument(row: Any, symbol: str, venue: str) -> Instrument:
    base = definition(symbol, venue)
    if base is None:
        base = msgspec.structs.replace(guessed(symbol, venue, 2, 0), asset=_ASSETS[row["kind"]], session="cme", day_roll=CHICAGO_CLOSE)
    increment, amount = int(row["increment"]), int(row["increment_amount"])
    changes: dict[str, Any] = {}
    if 0 < increment < UNDEFINED_PRICE:
        changes["price_decimals"], changes["price_increment"] = _grid(increment, base.price_decimals)
    if row["kind"] == b"F" and (size := _contract(increment, amount, int(row["unit_quantity"]))):
        changes["multiplier"] = size
    currency = row["currency"].split(b"\0", 1)[0].decode("ascii", "backslashreplace")
    if len(currency) == 3 and currency.isalpha():
        changes["quote"] = currency
    return msgspec.structs.replace(base, **changes)


def _grid(increment: int, decimals_min: int) -> tuple[int, int]:
    """Decimals and tick in them, from a tick in 1e-9."""
    decimals = _DECIMALS
    while decimals > decimals_min and increment % 10 == 0:
        decimals, increment = decimals - 1, increment // 10
    return decimals, increment


def _contract(increment: int, amount: int, unit: int) -> int | None:
    """Quote currency per point and contract: what a tick is worth by its size, or the contract's size, when it is a whole number."""
    if 0 < increment < UNDEFINED_PRICE and 0 < amount < UNDEFINED_PRICE:
        return amount // increment if amount % increment == 0 else None
    return unit // 10**_DECIMALS if 0 < unit < UNDEFINED_PRICE and unit % 10**_DECIMALS == 0 else None
