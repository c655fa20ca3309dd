"""L2 messages across blocks: which row ends its message, and whether the ids of the updates join up."""

from __future__ import annotations

from typing import Final

import numpy as np

from tercel.base.records import LAST, SNAPSHOT, Records
from tercel.market.importers.batch import Times
from tercel.market.importers.parquet_columns import Columns

ID_GAPS: Final = "updates whose ids do not follow the update before: kept, the book is wrong until the next snapshot"
_NO_ID: Final = -1


class MessageEnds:
    """Follows one series through its file. The newest row is held back until the next one shows whether its message goes on."""

    def __init__(self) -> None:
        self._records: Records | None = None
        self._rows, self._messages = np.empty(0, np.int64), np.empty(0, np.int64)

    def add(self, records: Records, rows: Times, messages: Times) -> tuple[Records, Times]:
        """Rows whose place in their message is known now, with LAST set; `messages` numbers the message of each row."""
        if self._records is not None:
            records, rows = np.concatenate([self._records, records]), np.concatenate([self._rows, rows])
            messages = np.concatenate([self._messages, messages])
        ends = (messages[1:] != messages[:-1]) | (records["ts_event"][1:] != records["ts_event"][:-1])
        records["flags"][:-1] |= np.where(ends, LAST, 0).astype(np.uint16)
        self._records, self._rows, self._messages = records[-1:].copy(), rows[-1:], messages[-1:]
        return records[:-1], rows[:-1]

    def end(self) -> tuple[Records, Times]:
        """The row held back: it ends its message."""
        assert self._records is not None, "add came before"
        self._records["flags"] |= np.uint16(LAST)
        return self._records, self._rows


class IdChain:
    """Follows the ids of one series' updates through its file."""

    def __init__(self) -> None:
        self._last_id = _NO_ID

    def gaps(self, records: Records, columns: Columns, index: Times) -> int:
        """Updates whose `prev_id`, or failing that `first_id`, does not follow the `last_id` before; a lower `msg` starts a session."""
        if any(name not in columns for name in ("first_id", "last_id", "prev_id")):
            return 0
        messages = columns.ints("msg")[index]
        first, last, previous = (columns.ints(name, null=_NO_ID)[index] for name in ("first_id", "last_id", "prev_id"))
        update = np.flatnonzero((records["flags"] & SNAPSHOT) == 0)
        if not len(update):
            return 0
        before = np.append(self._last_id, last[update[:-1]])
        first, last, previous = first[update], last[update], previous[update]
        self._last_id = int(last[-1])
        fresh = (
            np.append(True, messages[update[1:]] < messages[update[:-1]])
            if before[0] == _NO_ID
            else np.append(False, messages[update[1:]] < messages[update[:-1]])
        )
        same = (last == before) & ~fresh
        follows = np.where(previous != _NO_ID, previous == before, first == before + 1)
        return int((~fresh & ~same & ~follows).sum())
