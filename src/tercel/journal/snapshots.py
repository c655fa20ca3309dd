"""Snapshots: named arrays at an input number, so that a restart need not replay from the beginning.

A snapshot is a cache. It is written whole or not at all (temporary file, fsync, rename), checked whole before any of it is used, and one
that is torn, damaged or of another layout is skipped with the reason, never reinterpreted: the state is rebuilt from the logs instead.

    header  magic 8 | version 4 | crc32c of the index 4 | index length 8 | file length 8 | input number 8 | zero 24
    index   msgpack: layout hash, input number, meta, and name, dtype, shape, offset, length and crc32c of each array
    arrays  each at a multiple of 64 bytes, in C order
"""

from __future__ import annotations

import ast
import contextlib
import math
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from crc32c import crc32c

from tercel.base.errors import JournalError
from tercel.journal.files import make_folder, numbered, sync_folder, write_all

MAGIC: Final = b"TERCELS\x00"
VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sIIQQq24x")
_ALIGNMENT: Final = 64


class Snapshot(msgspec.Struct, frozen=True):
    """State behind input `input_number`; the arrays are read-only and mapped, so copy what must change."""

    path: Path
    input_number: int
    layout_hash: str
    arrays: dict[str, npt.NDArray[Any]]
    meta: dict[str, str]


class Skipped(msgspec.Struct, frozen=True):
    """A snapshot that was not used, and why."""

    path: Path
    reason: str


class _Array(msgspec.Struct, frozen=True):
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int
    crc: int


class _Index(msgspec.Struct, frozen=True):
    layout_hash: str
    input_number: int
    meta: dict[str, str]
    arrays: list[_Array]


class _UnusableError(Exception):
    """Why a file is skipped."""


def save(folder: Path, *, input_number: int, layout_hash: str, arrays: dict[str, npt.NDArray[Any]], meta: dict[str, str]) -> Path:
    """Write a snapshot durably and return its path; one of the same input number is replaced.

    Arrays have any shape and any dtype without Python objects. Raises `JournalError` when it cannot be written; older ones stay.
    """
    path = folder / f"snapshot-{input_number:020d}.snap"
    flat = {name: _bytes_of(name, array) for name, array in arrays.items()}
    index = _place(_Index(layout_hash, input_number, meta, []), arrays, flat)
    encoded = msgspec.msgpack.encode(index)
    length = index.arrays[-1].offset + index.arrays[-1].length if index.arrays else _HEADER.size + len(encoded)
    header = _HEADER.pack(MAGIC, VERSION, crc32c(encoded, input_number & 0xFFFFFFFF), len(encoded), length, input_number)
    parts: list[tuple[int, bytes | memoryview]] = [(0, header + encoded)]
    parts += [(placed.offset, flat[placed.name].data) for placed in index.arrays]
    try:
        make_folder(folder)
        _write(path, parts, length)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.with_suffix(".tmp").unlink(missing_ok=True)
        raise JournalError(f"{path}: the snapshot cannot be written: {error}; older snapshots are untouched, see to the disk") from error
    return path


def newest(
    folder: Path, layout_hash: str, *, fits: Callable[[Snapshot], bool] | None = None, skipped: list[Skipped] | None = None
) -> Snapshot | None:
    """The usable snapshot with the highest input number that `fits`, or None. Needs no lock.

    Every newer one that cannot be used is appended to `skipped` with its reason.
    """
    for _, path in reversed(numbered(folder, "snapshot", ".snap")):
        try:
            found = _load(path, layout_hash)
            if fits is None or fits(found):
                return found
        except (_UnusableError, OSError, ValueError, msgspec.MsgspecError) as error:
            if skipped is not None:
                skipped.append(Skipped(path, str(error)))
    return None


def prune(folder: Path, keep: int = 3) -> list[Path]:
    """Remove all but the `keep` (at least 1) snapshots of the highest inputs, and what interrupted saves left; returns what went."""
    old = [path for _, path in numbered(folder, "snapshot", ".snap")][: -max(keep, 1)] + sorted(folder.glob("snapshot-*.tmp"))
    for path in old:
        path.unlink(missing_ok=True)
    return old


def _bytes_of(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype.hasobject:
        raise JournalError(f"snapshot array {name!r}: expected a dtype without Python objects, found {array.dtype}")
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _place(index: _Index, arrays: dict[str, npt.NDArray[Any]], flat: dict[str, npt.NDArray[np.uint8]]) -> _Index:
    """The index with every array at its offset. Offsets stand in the index and lie behind it, so room is left for the longest ones."""
    placed = [
        _Array(name, repr(np.lib.format.dtype_to_descr(array.dtype)), array.shape, 1 << 62, len(flat[name]), crc32c(flat[name].data))
        for name, array in arrays.items()
    ]
    offset = _HEADER.size + len(msgspec.msgpack.encode(msgspec.structs.replace(index, arrays=placed)))
    final = []
    for array in placed:
        offset = -(-offset // _ALIGNMENT) * _ALIGNMENT
        final.append(msgspec.structs.replace(array, offset=offset))
        offset += array.length
    return msgspec.structs.replace(index, arrays=final)


def _write(path: Path, parts: list[tuple[int, bytes | memoryview]], length: int) -> None:
    temporary = path.with_suffix(".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        for offset, data in parts:
            os.lseek(fd, offset, os.SEEK_SET)
            if len(data):
                write_all(fd, data)
        os.ftruncate(fd, length)  # an empty array at the end adds padding only
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.rename(path)
    sync_folder(path.parent)


def _load(path: Path, layout_hash: str) -> Snapshot:
    """Raises `_UnusableError` with the reason, or a decoding error."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _HEADER.size:
            raise _UnusableError(f"torn: {size} bytes are no header")
        mapped = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
    index = _read_index(mapped, size)
    if path.name != f"snapshot-{index.input_number:020d}.snap":
        raise _UnusableError(f"renamed: it is of input {index.input_number}")
    if index.layout_hash != layout_hash:
        raise _UnusableError(f"another layout: expected {layout_hash}, found {index.layout_hash}")
    arrays = {array.name: _read_array(mapped, array) for array in index.arrays}
    return Snapshot(path, index.input_number, index.layout_hash, arrays, index.meta)


def _read_index(mapped: mmap.mmap, size: int) -> _Index:
    magic, version, crc, index_length, length, input_number = _HEADER.unpack_from(mapped)
    if magic != MAGIC or version != VERSION:
        raise _UnusableError(f"not a snapshot of version {VERSION}: magic {magic!r}, version {version}")
    if length != size:
        raise _UnusableError(f"torn: expected {length} bytes, found {size}")
    encoded = mapped[_HEADER.size : _HEADER.size + index_length]
    if crc32c(encoded, input_number & 0xFFFFFFFF) != crc:
        raise _UnusableError("damaged index: its checksum is wrong")
    return msgspec.msgpack.decode(encoded, type=_Index)


def _read_array(mapped: mmap.mmap, array: _Array) -> npt.NDArray[Any]:
    """Damage is told before anything is interpreted: the index is verified, so dtype and shape are what was saved."""
    data = np.frombuffer(mapped, np.uint8, array.length, array.offset)
    if crc32c(data.data) != array.crc:
        raise _UnusableError(f"damaged array {array.name!r}: its checksum is wrong")
    dtype = np.lib.format.descr_to_dtype(ast.literal_eval(array.dtype))
    assert math.prod(array.shape) * dtype.itemsize == array.length, array
    return data.view(dtype).reshape(array.shape) if array.length else np.empty(array.shape, dtype)
