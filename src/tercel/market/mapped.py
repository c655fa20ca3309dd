"""Immutable files of 64-byte records that readers map into memory: a 64-byte header, then the records as they lie in memory.

The header names the layout (a hash of the dtype), the number of records, the content they were made from and a CRC-32C of the body. A file
appears by rename and never changes afterwards; one that does not verify is made again from its source. Anything here may be deleted.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from crc32c import crc32c

from tercel.base import paths
from tercel.base.errors import DataError
from tercel.base.records import RECORD_BYTES, Records

MAGIC: Final = b"TERCELM1"
HEADER_BYTES: Final = 64
HEADER: Final = np.dtype([
    ("magic", "S8"), ("layout", "<u8"), ("count", "<u8"), ("body_crc", "<u4"), ("record_bytes", "<u4"), ("content", "V16"),
    ("reserved", "V12"), ("header_crc", "<u4"),
])  # fmt: skip
assert HEADER.itemsize == HEADER_BYTES

_verified: set[tuple[str, int, int, int]] = set()  # path, inode, change time, size of the files whose body was checked by this process


def layout_hash(dtype: np.dtype[Any]) -> int:
    """64 bits over names, types and offsets of a record's fields: equal only for equal layouts."""
    fields: Any = dtype.fields or {}
    text = ";".join(f"{name}:{fields[name][0].str}@{fields[name][1]}" for name in dtype.names or ())
    return int.from_bytes(hashlib.blake2b(f"{text};{dtype.itemsize}".encode(), digest_size=8).digest(), "little")


def folder(venue: str, symbol: str) -> Path:
    """Where the mapped partitions of an instrument lie."""
    return paths.mapped_dir() / venue / symbol


def write(path: Path, chunks: Iterable[Records], dtype: np.dtype[Any], content: bytes = b"") -> int:
    """Write records (arrays of `dtype`, 64 bytes each) to `path` by rename and return how many; `content` (16 bytes) names their source."""
    assert dtype.itemsize == RECORD_BYTES
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    count, crc = 0, 0
    try:
        with staged.open("wb") as file:
            file.write(bytes(HEADER_BYTES))
            for chunk in chunks:
                body = np.ascontiguousarray(chunk, dtype).tobytes()
                crc = crc32c(body, crc)
                count += len(chunk)
                file.write(body)
            file.seek(0)
            file.write(_header(dtype, count, crc, content))
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)
    return count


def open_records(path: Path, dtype: np.dtype[Any], content: bytes = b"") -> Records:
    """The records of a file as a read-only mapped array. The first open in a process checks the whole body.

    Raises `FileNotFoundError`, or `DataError` when the header or the body is not what was written or the content is another.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        status = os.fstat(file.fileno())
    count = _check_header(path, head, size, dtype, content)
    if count == 0:
        return np.empty(0, dtype)
    records = np.memmap(path, dtype, mode="r", offset=HEADER_BYTES, shape=(count,))
    seen = (str(path), status.st_ino, status.st_mtime_ns, size)
    if seen not in _verified:
        if crc32c(records.view(np.uint8).data) != int(np.frombuffer(head, HEADER)["body_crc"][0]):
            raise DataError(f"{path}: the records do not match their checksum; delete the file, it is made again from the catalog")
        _verified.add(seen)
    return records.view(np.ndarray)


def _header(dtype: np.dtype[Any], count: int, crc: int, content: bytes) -> bytes:
    head = np.zeros(1, HEADER)
    head["magic"], head["layout"], head["count"], head["body_crc"], head["record_bytes"] = (
        MAGIC,
        layout_hash(dtype),
        count,
        crc,
        RECORD_BYTES,
    )
    head["content"] = np.void(content.ljust(16, b"\0"))
    head["header_crc"] = crc32c(head.tobytes()[:-4])
    return head.tobytes()


def _check_header(path: Path, head: bytes, size: int, dtype: np.dtype[Any], content: bytes) -> int:
    if len(head) < HEADER_BYTES or head[:8] != MAGIC:
        raise DataError(f"{path}: expected a mapped file starting with {MAGIC.decode()}, found {head[:8]!r}")
    fields = np.frombuffer(head, HEADER)[0]
    if int(fields["header_crc"]) != crc32c(head[:-4]):
        raise DataError(f"{path}: the header does not match its checksum")
    if int(fields["layout"]) != layout_hash(dtype) or fields["content"].tobytes() != content.ljust(16, b"\0"):
        raise DataError(f"{path}: made for another record layout or other content")
    count = int(fields["count"])
    if size != HEADER_BYTES + count * RECORD_BYTES:
        raise DataError(f"{path}: expected {count} records in {HEADER_BYTES + count * RECORD_BYTES} bytes, found {size} bytes")
    return count
