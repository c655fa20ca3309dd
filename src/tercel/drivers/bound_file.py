"""A bound model in a file: what one process has read and packed, and a trader takes.

words  magic | crc32c of what follows | meaning | lengths of the five memories | seen until | words of the table | memories
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Final

import crc32c
import numpy as np

from tercel.base.errors import DataError
from tercel.journal.files import sync_folder
from tercel.models.placement import Bound
from tercel.models.scoring import T_NUMBER, TABLE_WORDS

MAGIC: Final = int.from_bytes(b"TERCMB01", "little")
MEMORIES: Final = 5
MAGIC_AT, CRC_AT, MEANING_AT, LENGTHS_AT, SEEN_AT, TABLE_AT, DATA_AT = 0, 1, 2, 3, 8, 9, 9 + TABLE_WORDS


def save(bound: Bound, path: Path) -> None:
    """Store a bound model durably: whole or not at all, whoever else stores the same."""
    lengths = [*(len(array) for array in bound.memory), *[0] * MEMORIES][:MEMORIES]
    head = np.array([MAGIC, 0, bound.meaning, *lengths, bound.seen_last_ns, *bound.words], np.int64)
    content = np.concatenate([head, *bound.memory])
    content[CRC_AT] = crc32c.crc32c(content[CRC_AT + 1 :].tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def load(path: Path) -> Bound:
    """The bound model in a file. Raises `DataError` when there is none, or it is damaged."""
    try:
        content = np.fromfile(path, np.int64)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; bind the model again") from error
    if len(content) < DATA_AT or content[MAGIC_AT] != MAGIC:
        raise DataError(f"{path}: expected a bound model, found {len(content)} words of something else; bind it again")
    if content[CRC_AT] != crc32c.crc32c(content[CRC_AT + 1 :].tobytes()):
        raise DataError(f"{path}: expected checksum {content[CRC_AT]}, the content has another; bind it again")
    ends = np.cumsum([DATA_AT, *(length for length in content[LENGTHS_AT : LENGTHS_AT + MEMORIES] if length)]).tolist()
    memory = tuple(content[first:last] for first, last in pairwise(ends))
    words = content[TABLE_AT:DATA_AT]
    return Bound(int(words[T_NUMBER]), int(content[MEANING_AT]), int(content[SEEN_AT]), words, memory)
