"""Records between the sockets and whoever polls: bounded, and what happens at the bound is said in the data.

When there is no room the oldest records go, because a price that waited long is worth least, and a GAP for each of their instruments takes
their place: the core stops trusting what it last knew of them until a newer quote comes. They are not merged into fewer: a quote left out
in silence would be missing in bars and flow, and nobody would know.
"""

from __future__ import annotations

import numpy as np

from tercel.base.records import GAP, TICK, WORDS, Records, empty, words


class Inbox:
    """A queue of records (dtype TICK) in order of arrival, at most `records_max` of them; `lost` counts those that had to go."""

    def __init__(self, records_max: int) -> None:
        self._ring = empty(records_max + records_max // 2)
        self._words = words(self._ring)  # records are moved as words: as structures, NumPy moves them field by field
        self._max, self._head, self._tail = records_max, 0, 0
        self.lost = 0

    def __len__(self) -> int:
        return self._tail - self._head

    def put(self, records: Records) -> None:
        """Take records (C-contiguous) that arrived after all that are in here."""
        count = len(records)
        if len(self) + count > self._max:
            records = self._make_room(records)
            count = len(records)
        if self._tail + count > len(self._ring):
            kept = len(self)
            self._ring[:kept] = self._ring[self._head : self._tail].copy()
            self._head, self._tail = 0, kept
        self._words[self._tail * WORDS : (self._tail + count) * WORDS] = words(records)
        self._tail += count

    def take(self, limit: int) -> Records:
        """The oldest `limit` records, or all; the array is the caller's."""
        last = min(self._tail, self._head + max(0, limit))
        taken: Records = self._words[self._head * WORDS : last * WORDS].copy().view(TICK)
        self._head = last
        if self._head == self._tail:
            self._head = self._tail = 0
        return taken

    def _make_room(self, records: Records) -> Records:
        """Drop until half is free; the newest of `records` that fit, behind a gap for every instrument that lost some."""
        together = np.concatenate([self._ring[self._head : self._tail], records])
        keep = self._max // 2
        gone, kept = together[:-keep], together[-keep:]
        self.lost += int(np.count_nonzero(gone["kind"] != GAP))
        self._head = self._tail = 0
        instruments = np.unique(gone["instrument"])
        gaps = np.zeros(len(instruments), TICK)
        gaps["instrument"], gaps["kind"] = instruments, GAP
        gaps["ts_event"] = gaps["ts_recv"] = kept["ts_recv"][0]
        for name in ("price", "size", "price2", "size2"):
            gaps[name] = np.nan
        return np.concatenate([gaps, kept])
