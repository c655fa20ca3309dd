"""L2 messages of JSON recordings as book rows: bids then asks of each message, the last row of a message flagged, broken ids counted."""

from __future__ import annotations

from array import array
from pathlib import Path

import numpy as np

from tercel.base.records import LAST, SNAPSHOT
from tercel.market.importers.batch import Batch, levels
from tercel.market.importers.jsontext import decimals
from tercel.market.importers.parquet_books import ID_GAPS

Level = tuple[str, str]


class JsonBook:
    """Gathers the messages of one series; `batch` gives what was gathered since the last call."""

    def __init__(self) -> None:
        self._last_id: int | None = None
        self._clear()

    def _clear(self) -> None:
        self._texts: tuple[list[str], list[str]] = ([], [])
        self._times, self._arrivals, self._ids, self._rows = array("q"), array("q"), array("q"), array("q")
        self._sides, self._flags = array("b"), array("H")
        self._gaps = 0

    def add(self, row: int, time_ns: int, arrival_ns: int, last_id: int, bids: list[Level], asks: list[Level], follows: int | None) -> None:
        """One message. `follows` is the id that the update before must have borne; None marks a snapshot, which follows nothing."""
        flag = SNAPSHOT if follows is None else 0
        if follows is not None:
            self._gaps += self._last_id is not None and follows != self._last_id
            self._last_id = last_id
        count = len(bids) + len(asks)
        if not count:
            return
        prices, sizes = self._texts
        for price, size in bids:
            prices.append(price)
            sizes.append(size)
        for price, size in asks:
            prices.append(price)
            sizes.append(size)
        for column, value in ((self._times, time_ns), (self._arrivals, arrival_ns), (self._ids, last_id), (self._rows, row)):
            column.extend([value] * count)
        self._sides.extend([1] * len(bids) + [-1] * len(asks))
        self._flags.extend([flag] * (count - 1) + [flag | LAST])

    def batch(self, path: Path, symbol: str, venue: str, fraction: float) -> Batch | None:
        """The rows gathered since the last call, None when there are none. Raises `DataError` for a price or size that is no number."""
        notes = {ID_GAPS: self._gaps} if self._gaps else {}
        rows, (prices, sizes) = self._rows, self._texts
        if not rows and not notes:
            return None
        price, size = (decimals(path, name, texts, rows.__getitem__) for name, texts in (("price", prices), ("size", sizes)))
        times, sides, ids = (np.array(column, np.int64) for column in (self._times, self._sides, self._ids))
        records = levels(times, price, size, sides, ids)
        records["ts_recv"], records["flags"] = np.array(self._arrivals, np.int64), np.array(self._flags, np.uint16)
        result = Batch(symbol, venue, "book", records, np.array(rows, np.int64), fraction, notes=notes)
        self._clear()
        return result
