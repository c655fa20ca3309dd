"""What every row has to satisfy, whatever its format: possible times, prices above zero, sizes not below, bars that hold together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.records import BAR, BOOK, BOOK_CLEAR, GAP, ORDER_ADD, ORDER_CANCEL, ORDER_FILL, ORDER_MODIFY, QUOTE, TRADE, Records
from tercel.base.time import NS_PER_DAY
from tercel.market.importers.batch import Batch, Mask, refuse
from tercel.market.instruments import check_symbol

TIME_NS_MAX: Final = 47_482 * NS_PER_DAY  # 2100-01-01
_KINDS: Final = {
    "quote": (QUOTE, GAP), "trade": (TRADE, GAP), "bar": (BAR, 0), "book": (BOOK, BOOK_CLEAR, GAP),
    "order": (ORDER_ADD, ORDER_CANCEL, ORDER_MODIFY, ORDER_FILL, TRADE, BOOK_CLEAR),
}  # fmt: skip
_PRICE, _SIZE, _SIDE = "a price above 0", "a size of 0 or more", "1, -1 or 0"


def validate(path: Path, batch: Batch) -> None:
    """Raise `DataError` naming the first row and column that cannot be right; the batch is not changed."""
    rows = batch.records
    check_symbol(batch.symbol, f"{path.name}: row {int(batch.rows[0]) if len(rows) else 0}, column symbol")
    times = rows["ts_event"]
    _all(path, batch, (times > 0) & (times < TIME_NS_MAX), "ts_event", "a time from 1970 to 2100, in ns", times)
    arrivals = rows["ts_recv"]
    _all(path, batch, (arrivals >= 0) & (arrivals < TIME_NS_MAX), "ts_recv", "0 or a time from 1970 to 2100, in ns", arrivals)
    _all(path, batch, np.isin(rows["kind"], _KINDS[batch.kind]), "kind", f"a record of kind {batch.kind}", rows["kind"])
    if batch.kind != "bar":
        _all(path, batch, np.abs(rows["side"]) <= 1, "side", _SIDE, rows["side"])
        if (gaps := rows["kind"] == GAP).any():  # they have neither price nor size of a market
            batch, rows = msgspec.structs.replace(batch, records=rows[~gaps], rows=batch.rows[~gaps]), rows[~gaps]
    _CHECKS[batch.kind](path, batch, rows)


def _quotes(path: Path, batch: Batch, rows: Records) -> None:
    bid, ask = rows["price"], rows["price2"]
    _all(path, batch, _price(bid) | np.isnan(bid), "bid", _PRICE, bid)
    _all(path, batch, _price(ask) | np.isnan(ask), "ask", _PRICE, ask)
    _all(path, batch, ~(np.isnan(bid) & np.isnan(ask)), "bid", "a bid or an ask", bid)
    for name, field in (("bid_size", "size"), ("ask_size", "size2")):
        _all(path, batch, _size(rows[field]), name, _SIZE, rows[field])


def _trades(path: Path, batch: Batch, rows: Records) -> None:
    _all(path, batch, _price(rows["price"]), "price", _PRICE, rows["price"])
    _all(path, batch, _size(rows["size"]), "size", _SIZE, rows["size"])


def _books(path: Path, batch: Batch, rows: Records) -> None:
    clear = rows["kind"] == BOOK_CLEAR
    _all(path, batch, _price(rows["price"]) | clear, "price", _PRICE, rows["price"])
    _all(path, batch, (_size(rows["size"]) & ~np.isnan(rows["size"])) | clear, "size", _SIZE, rows["size"])
    if batch.kind == "book":
        _all(path, batch, (rows["side"] != 0) | clear, "side", "1 (bid) or -1 (ask)", rows["side"])


def _bars(path: Path, batch: Batch, rows: Records) -> None:
    for name in ("open", "high", "low", "close"):
        _all(path, batch, _price(rows[name]), name, _PRICE, rows[name])
    top, bottom = np.maximum(rows["open"], rows["close"]), np.minimum(rows["open"], rows["close"])
    _all(path, batch, rows["high"] >= rows["low"], "high", "a high that is not below the low", rows["high"])
    _all(path, batch, rows["high"] >= top, "high", "a high that is not below open and close", rows["high"])
    _all(path, batch, rows["low"] <= bottom, "low", "a low that is not above open and close", rows["low"])
    _all(path, batch, _size(rows["volume"]), "volume", "a volume of 0 or more", rows["volume"])


_CHECKS: Final[dict[str, Callable[[Path, Batch, Records], None]]] = {
    "quote": _quotes, "trade": _trades, "bar": _bars, "book": _books, "order": _books,
}  # fmt: skip


def _price(values: npt.NDArray[np.float64]) -> Mask:
    good: Mask = (values > 0) & (values < np.inf)
    return good


def _size(values: npt.NDArray[np.float64]) -> Mask:
    good: Mask = ((values >= 0) & (values < np.inf)) | np.isnan(values)
    return good


def _all(path: Path, batch: Batch, good: Mask, column: str, expected: str, values: npt.NDArray[np.generic]) -> None:
    if not good.all():
        first = int(np.argmin(good))
        refuse(path, int(batch.rows[first]), column, expected, values[first].item())
