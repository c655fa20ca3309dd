"""One file of the input log: its header, sealing, what is checked at open, reading. `input_log` tells the layout."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from crc32c import crc32c

from tercel.base import records as layouts
from tercel.base.errors import JournalError
from tercel.base.records import RECORD_BYTES, TICK, Records
from tercel.journal.files import numbered, sync_folder

MAGIC: Final = b"TERCELI\x00"
VERSION: Final = 1
HEADER_BYTES: Final = 64
_HEADER: Final = struct.Struct("<8sII16sqqI12x")
assert _HEADER.size == HEADER_BYTES

_VIEWS: Final = (layouts.TICK, layouts.BAR_VIEW, layouts.TIMER_VIEW, layouts.COMMAND_VIEW, layouts.REPORT_VIEW)
LAYOUT_HASH: Final = blake2b(repr([view.descr for view in _VIEWS]).encode(), digest_size=16).digest()
"""Changes when any view of the 64 bytes changes; a log of another layout is refused, never reinterpreted."""

_RESTORE: Final = "restore the file from a copy, or move the input log away: the account is then recovered from the journal alone"


class Header(msgspec.Struct, frozen=True):
    """`count` and `records_crc` are 0 until the segment is sealed."""

    first: int
    count: int
    records_crc: int


def segment_path(folder: Path, first: int) -> Path:
    """The file that begins with input `first`; names sort as the inputs do."""
    return folder / f"input-{first:020d}.log"


def encode_header(first: int, count: int = 0, records_crc: int = 0) -> bytes:
    """64 bytes; with a count it is the header of a sealed segment."""
    crc = crc32c(_HEADER.pack(MAGIC, VERSION, 0, LAYOUT_HASH, first, count, records_crc))
    return _HEADER.pack(MAGIC, VERSION, crc, LAYOUT_HASH, first, count, records_crc)


def decode_header(path: Path, data: bytes, first: int) -> Header:
    """Raises `JournalError` unless `data` begins with the header of the segment of input `first`, in this version and layout."""
    if len(data) < HEADER_BYTES:
        raise JournalError(f"{path}: expected a header of {HEADER_BYTES} bytes at byte 0, found {len(data)}; {_RESTORE}")
    magic, version, _, layout, found_first, count, records_crc = _HEADER.unpack_from(data)
    if magic == MAGIC and (version, layout) != (VERSION, LAYOUT_HASH):
        raise JournalError(
            f"{path}: expected version {VERSION} and record layout {LAYOUT_HASH.hex()}, found {version} and {layout.hex()} at byte 8; "
            "read it with the Tercel that wrote it, or move the input log away"
        )
    if data[:HEADER_BYTES] != encode_header(found_first, count, records_crc):
        raise JournalError(f"{path}: damaged header at byte 0 (magic or checksum is wrong); {_RESTORE}")
    if found_first != first:
        raise JournalError(f"{path}: expected first input {first} as the file name says, found {found_first}; restore the file's name")
    return Header(first, count, records_crc)


def seal(path: Path, first: int, count: int) -> None:
    """Make `count` records durable, then write their checksum into the header. Long work inside releases the interpreter lock."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        with mmap.mmap(fd, HEADER_BYTES + count * RECORD_BYTES, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
            crc = crc32c(view[HEADER_BYTES:])
        os.fsync(fd)
        sync_folder(path.parent)
        os.pwrite(fd, encode_header(first, count, crc), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def check_full(path: Path, first: int, count: int) -> None:
    """Raises `JournalError` unless the segment holds exactly `count` inputs; one whose sealing was interrupted is sealed now."""
    header = _read_header(path, first)
    size = path.stat().st_size
    if size != HEADER_BYTES + count * RECORD_BYTES or header.count not in (0, count):
        raise JournalError(
            f"{path}: expected {count} inputs, because the next segment begins with {first + count}, "
            f"found {header.count or 'no'} sealed ones and an end at byte {size}; {_RESTORE}"
        )
    if header.count == 0:
        missing = np.flatnonzero(_map(path, count)["kind"] == 0)
        if len(missing):
            raise JournalError(f"{path}: record without a kind at byte {HEADER_BYTES + int(missing[0]) * RECORD_BYTES}; {_RESTORE}")
        seal(path, first, count)


def recover_last(path: Path, first: int) -> int:
    """Cut what a crash left unfinished off the last segment and return its number of inputs.

    Cut are a partial record, and everything from the first record that is all zero: its page did not reach the disk, and what stands behind
    it has lost its place. A record without a kind that is not all zero is damage: `JournalError` with the byte.
    """
    head = _head(path)
    if len(head) < HEADER_BYTES or head == bytes(HEADER_BYTES):  # not even its header reached the disk
        path.write_bytes(encode_header(first))
        return 0
    header = decode_header(path, head, first)
    size = path.stat().st_size
    count = (size - HEADER_BYTES) // RECORD_BYTES
    if header.count:
        if size != HEADER_BYTES + header.count * RECORD_BYTES:
            raise JournalError(f"{path}: expected {header.count} sealed inputs, found an end at byte {size}; {_RESTORE}")
        _unseal(path, first)
        return header.count
    held = _map(path, count)
    missing = np.flatnonzero(held["kind"] == 0)
    if len(missing):
        count = int(missing[0])
        if held[count].tobytes() != bytes(RECORD_BYTES):
            raise JournalError(f"{path}: record without a kind at byte {HEADER_BYTES + count * RECORD_BYTES}; {_RESTORE}")
    os.truncate(path, HEADER_BYTES + count * RECORD_BYTES)
    return count


def _unseal(path: Path, first: int) -> None:
    """The last segment grows again: the one behind it, whose beginning sealed this one, did not reach the disk."""
    with path.open("r+b") as file:
        file.write(encode_header(first))


def read_inputs(folder: Path, first: int) -> Iterator[Records]:
    """Inputs from number `first` on: mapped, read-only arrays of dtype `TICK`, one per segment. Needs no lock, so any process may read.

    Sealed segments are checked against their checksum first. `first` = newest + 1 gives nothing. Raises `JournalError` when `first` is no
    longer or not yet held, when a segment is missing, or when one is damaged.
    """
    segments = numbered(folder, "input", ".log")
    start = max((number for number, _ in segments if number <= first), default=None)
    if start is None:
        raise JournalError(f"{folder}: expected input {first}, found {_held(segments)}; begin at a newer snapshot, or warm up")
    number = first
    for segment_first, path in segments:
        if segment_first < start:
            continue
        if segment_first > number:
            raise JournalError(f"{folder}: expected input {number}, found the next segment begin with {segment_first}; {_RESTORE}")
        held = _checked(path, segment_first)
        if segment_first + len(held) < number:
            newest = segment_first + len(held) - 1
            raise JournalError(f"{path}: expected input {number}, found {newest} as the newest; begin at an older snapshot")
        if segment_first + len(held) > number:
            yield held[number - segment_first :]
        number = segment_first + len(held)


def _checked(path: Path, first: int) -> Records:
    """All records of a segment: verified when it is sealed, up to what has been written when it is not."""
    try:
        header = _read_header(path, first)
        held = _map(path, header.count or (path.stat().st_size - HEADER_BYTES) // RECORD_BYTES)
    except FileNotFoundError:
        raise JournalError(f"{path}: trimmed while it was being read; begin at a newer snapshot") from None
    if header.count and crc32c(held.view(np.uint8).data) != header.records_crc:
        raise JournalError(f"{path}: damaged: the checksum of the {header.count} inputs behind byte {HEADER_BYTES} is wrong; {_RESTORE}")
    if not header.count:
        missing = np.flatnonzero(held["kind"] == 0)
        held = held[: missing[0]] if len(missing) else held
    return held


def _read_header(path: Path, first: int) -> Header:
    return decode_header(path, _head(path), first)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEADER_BYTES)


def _map(path: Path, count: int) -> Records:
    """The first `count` records, read-only; the mapping lives as long as the array."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < HEADER_BYTES + count * RECORD_BYTES:
            raise JournalError(f"{path}: expected {count} inputs, found an end at byte {os.fstat(file.fileno()).st_size}; {_RESTORE}")
        if count == 0:
            return np.empty(0, TICK)
        mapped = mmap.mmap(file.fileno(), HEADER_BYTES + count * RECORD_BYTES, prot=mmap.PROT_READ)
    return np.frombuffer(mapped, TICK, count, HEADER_BYTES)


def _held(segments: list[tuple[int, Path]]) -> str:
    return f"{segments[0][0]} as the oldest held" if segments else "no input log"
