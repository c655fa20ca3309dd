"""Following a journal from another process: whole batches in order, while the writer appends and rotates.

The reader takes no lock and writes nothing. A batch may be seen a moment before it is durable. A batch that is being written looks like a
torn tail and is waited for; bytes that can no longer change and are wrong are damage.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

from tercel.base.errors import JournalError
from tercel.journal import segment
from tercel.journal.files import numbered
from tercel.journal.segment import BATCH_BYTES_MAX, HEADER_BYTES, Entry, Scan, segment_path

_CHUNK_BYTES: Final = 256 << 10
_CHUNK_BYTES_MAX: Final = 4 * BATCH_BYTES_MAX


class JournalReader:
    """Reads entries after number `after`; remember the number of the last one you used and begin there next time."""

    def __init__(self, folder: Path, *, after: int = 0) -> None:
        """The folder may not exist yet: `poll` gives nothing until a writer has begun."""
        self.folder = folder
        self._after = after
        self._fd = -1
        self._first = 0  # first entry of the segment we stand in
        self._offset = 0  # behind the last whole batch read
        self._last = after  # entry number before `_offset`

    def poll(self, limit: int = 1_000) -> list[Entry]:
        """What was committed since the last call, whole batches only, stopping behind the batch that reaches `limit` entries.

        An empty list means that nothing more is committed now. Raises `JournalError` when the journal is damaged, was cut back behind this
        reader's place, or ends before `after`: what was derived from it must then be built anew.
        """
        if self._fd < 0 and not self._enter_first():
            return []
        while True:
            found = self._next_batches(max(limit, 1))
            if found is None:
                return []
            fresh = [entry for entry in found.entries if entry.number > self._after]
            if fresh:
                return fresh
            if found.stop == segment.END and not found.entries and not self._enter_next():
                self._check_after()
                return []

    def close(self) -> None:
        """Let go of the file; a closed reader begins again where it was made to begin."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _enter_first(self) -> bool:
        segments = numbered(self.folder, "journal", ".log")
        if not segments:
            return False
        held = [first for first, _ in segments if first <= self._after + 1]
        if not held:
            raise JournalError(f"{segments[0][1]}: expected the segment that holds entry {self._after + 1}; restore the older segments")
        self._enter(held[-1])
        return True

    def _enter(self, first: int) -> None:
        path = segment_path(self.folder, first)
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            segment.decode_header(path, os.pread(fd, HEADER_BYTES, 0), first)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd, self._first, self._offset, self._last = fd, first, HEADER_BYTES, first - 1

    def _enter_next(self) -> bool:
        """Go on to the segment that begins with the next entry, when there is one.

        Its name says that this one ends where we stand: had more been committed here, it would begin later.
        """
        following = self._last + 1
        if following == self._first or not segment_path(self.folder, following).exists():
            return False
        self._enter(following)
        return True

    def _next_batches(self, limit: int) -> Scan | None:
        """Whole batches from here on, and stand behind them; None while the writer is in the middle of one."""
        for _ in range(2):  # once more before calling it damage: the bytes may have been completed between two looks
            found, data = self._scan(limit)
            if found.entries or found.stop == segment.END:
                self._offset, self._last = found.end, found.last
                return found
            final = any(first > self._first for first, _ in numbered(self.folder, "journal", ".log"))
            if not final and not segment.vouched(data, self._offset, found.end):
                return None
        raise segment.damage(segment_path(self.folder, self._first), found.stop_offset)

    def _scan(self, limit: int) -> tuple[Scan, bytes]:
        """Scan from our place with as many bytes as one batch needs, and no more than the file had when we looked."""
        held = os.fstat(self._fd).st_size - self._offset
        if held < 0:
            raise JournalError(
                f"{segment_path(self.folder, self._first)}: expected at least {self._offset} bytes, found {held + self._offset}: "
                "the journal was cut back after it was read; build what was derived from it anew"
            )
        chunk = _CHUNK_BYTES
        while True:
            data = os.pread(self._fd, min(chunk, held), self._offset)
            found = segment.scan(data, self._offset, self._last, limit)
            if found.entries or len(data) == held or chunk >= _CHUNK_BYTES_MAX:
                return found, data
            chunk *= 2

    def _check_after(self) -> None:
        if self._last < self._after:
            raise JournalError(
                f"{self.folder}: expected at least {self._after} entries, as read before, found {self._last}; "
                "build what was derived from it anew"
            )
