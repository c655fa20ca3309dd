"""What opening a journal checks: every segment is exactly what the next one followed, and only the last may have a torn tail."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from tercel.base.errors import JournalError
from tercel.journal import segment
from tercel.journal.segment import HEADER_BYTES, NO_DIGEST

_SCAN_ENTRIES: Final = 10_000  # so that a scan which wants only the end holds few entries


def check_chain(segments: list[tuple[int, Path]]) -> None:
    """Check every header, and the bytes of every segment but the last. Raises `JournalError` naming file and byte."""
    digests = []
    for first, path in segments:
        with path.open("rb") as file:
            digests.append(segment.decode_header(path, file.read(HEADER_BYTES), first))
    first, path = segments[0]
    if first != 1 or digests[0] != NO_DIGEST:
        raise JournalError(f"{path}: expected the journal to begin with entry 1; restore the older segments beside it")
    for (first, path), expected in zip(segments[:-1], digests[1:], strict=True):
        data = path.read_bytes()
        if hashlib.sha256(data).digest() != expected:
            found = segment.scan(memoryview(data)[HEADER_BYTES:], HEADER_BYTES, first - 1, len(data))
            raise segment.damage(path, found.stop_offset)


def whole_batches(path: Path, data: bytes, first: int) -> tuple[int, int]:
    """Offset behind the last whole batch of the last segment, and its last entry; `JournalError` when what follows is no torn tail."""
    end, last, stop = HEADER_BYTES, first - 1, segment.LIMIT
    while stop == segment.LIMIT:
        found = segment.scan(memoryview(data)[end:], end, last, _SCAN_ENTRIES)
        end, last, stop = found.end, found.last, found.stop
    if stop != segment.END and segment.vouched(data[end:], end, end):
        raise segment.damage(path, found.stop_offset)
    return end, last
