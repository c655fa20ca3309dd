"""The bytes of a journal segment, and how a torn tail is told from damage.

A segment is a 64-byte header, then batches. A batch is its entries and one marker, written by a single call:

    header  magic 8 | version 4 | crc32c of the other fields 4 | first entry number 8 | zero 8 | SHA-256 of the whole previous segment 32
    entry   payload length 4 | crc32c 4 | number 8 | input number 8 | kind 4 | payload          little-endian, no padding
    marker  an entry of kind 0 with the number of the last entry; payload: magic 8 | own offset 8 | durable offset 8

The crc is seeded with the length and covers everything after itself, so no byte of an entry is unprotected.

A batch counts when all its entries and its marker are whole. What follows the last such batch is either a *torn tail*, bytes that were
never promised to be on disk, or *damage*, bytes that were. The marker tells: it carries the offset up to which the segment was on disk
when the marker was written. When any marker behind the bad place vouches for it, the bytes were once durable and it is damage.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import msgspec
from crc32c import crc32c

from tercel.base.errors import JournalError

MAGIC: Final = b"TERCELJ\x00"
VERSION: Final = 1
HEADER_BYTES: Final = 64
ENTRY_BYTES_MAX: Final = 16 << 20  # one payload
BATCH_BYTES_MAX: Final = 64 << 20  # everything between two commits
KIND_MAX: Final = 0xFFFF
MARKER_KIND: Final = 0
NO_DIGEST: Final = bytes(32)

_HEADER: Final = struct.Struct("<8sIIqq32s")
_PREFIX: Final = struct.Struct("<II")
_BODY: Final = struct.Struct("<qqI")
_ENTRY: Final = struct.Struct("<IIqqI")
_MARKER: Final = struct.Struct("<8sqq")
_MARKER_MAGIC: Final = b"\xf1TCLend\x9d"
assert _HEADER.size == HEADER_BYTES
assert _ENTRY.size == _PREFIX.size + _BODY.size

# Why a scan stopped.
END, LIMIT, SHORT, BAD = "end", "limit", "short", "bad"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing that must survive: its place in the journal, the input it belongs to, its kind (`entries`) and bytes."""

    number: int
    input_number: int
    kind: int
    payload: bytes


class Scan(msgspec.Struct, frozen=True):
    """Entries of whole batches, the offset behind the last of these and its last entry number, and why and where the scan stopped."""

    entries: list[Entry]
    end: int
    last: int
    stop: str
    stop_offset: int


def segment_path(folder: Path, first: int) -> Path:
    """The file that begins with entry `first`; names sort as the entries do."""
    return folder / f"journal-{first:020d}.log"


def encode_header(first: int, previous_digest: bytes) -> bytes:
    """64 bytes; `previous_digest` is the SHA-256 of the whole previous segment, `NO_DIGEST` for the first."""
    crc = crc32c(_HEADER.pack(MAGIC, VERSION, 0, first, 0, previous_digest))
    return _HEADER.pack(MAGIC, VERSION, crc, first, 0, previous_digest)


def decode_header(path: Path, data: bytes, first: int) -> bytes:
    """The previous segment's digest. Raises `JournalError` unless `data` is the header of the segment that begins with entry `first`."""
    if len(data) < HEADER_BYTES:
        raise JournalError(f"{path}: expected a header of {HEADER_BYTES} bytes at byte 0, found {len(data)}; restore the file from a copy")
    magic, version, _, found_first, _, digest = _HEADER.unpack_from(data)
    if magic == MAGIC and version > VERSION:
        raise JournalError(f"{path}: expected journal version up to {VERSION}, found {version}; use the Tercel that wrote it")
    if data[:HEADER_BYTES] != encode_header(found_first, digest):
        raise JournalError(f"{path}: damaged header at byte 0 (magic, version or checksum is wrong); restore the file from a copy")
    if found_first != first:
        raise JournalError(f"{path}: expected first entry {first} as the file name says, found {found_first}; restore the file's name")
    return bytes(digest)


def encode_entry(kind: int, number: int, input_number: int, payload: bytes) -> bytes:
    """The entry as it stands in the file: 28 bytes and the payload."""
    body = _BODY.pack(number, input_number, kind) + payload
    return _PREFIX.pack(len(payload), crc32c(body, len(payload))) + body


def encode_marker(number: int, offset: int, durable_offset: int) -> bytes:
    """The end of a batch whose last entry is `number`; `offset` is the marker's own place in the segment."""
    return encode_entry(MARKER_KIND, number, 0, _MARKER.pack(_MARKER_MAGIC, offset, durable_offset))


def scan(data: bytes | memoryview, base: int, last: int, limit: int) -> Scan:
    """Read whole batches from `data`, which stands at byte `base` of its segment and follows entry `last`.

    Stops behind the batch that reaches `limit` entries, at the end, where the bytes run out (SHORT) or where they are wrong (BAD).
    """
    view, size, position, batch_start = memoryview(data), len(data), 0, 0
    entries: list[Entry] = []
    pending: list[Entry] = []
    stop = END
    while position < size:
        if size - position < _ENTRY.size:
            stop = SHORT
            break
        length, crc, number, input_number, kind = _ENTRY.unpack_from(view, position)
        behind = position + _ENTRY.size + length
        if length > ENTRY_BYTES_MAX or behind > size:
            stop = BAD if length > ENTRY_BYTES_MAX else SHORT
            break
        expected = last + len(pending) + (kind != MARKER_KIND)
        if number != expected or crc32c(view[position + _PREFIX.size : behind], length) != crc:
            stop = BAD
            break
        if kind != MARKER_KIND:
            pending.append(Entry(number, input_number, kind, bytes(view[position + _ENTRY.size : behind])))
        elif not _is_marker(view, position, base):
            stop = BAD
            break
        else:
            entries += pending
            last, batch_start, pending = number, behind, []
            if len(entries) >= limit:
                stop = LIMIT
        position = behind
        if stop == LIMIT:
            break
    if stop == END and batch_start < size:
        stop = SHORT  # whole entries whose marker is missing
    return Scan(entries, base + batch_start, last, stop, base + position)


def vouched(data: bytes, base: int, offset: int) -> bool:
    """Whether a marker in `data`, which stands at byte `base`, says that the bytes at `offset` of the segment had been on disk."""
    view = memoryview(data)
    found = data.find(_MARKER_MAGIC)
    while found >= 0:
        position = found - _ENTRY.size
        if position >= 0 and _durable_offset(view, position, base) > offset:
            return True
        found = data.find(_MARKER_MAGIC, found + 1)
    return False


def damage(path: Path, offset: int) -> JournalError:
    """The error for bytes that were once durable and are wrong now."""
    return JournalError(
        f"{path}: damaged at byte {offset}: expected a whole entry, found a wrong checksum, number or length in bytes that had been "
        "durable; nothing was changed; restore the file from a copy, then start again"
    )


def _is_marker(view: memoryview, position: int, base: int) -> bool:
    if len(view) < position + _ENTRY.size + _MARKER.size:
        return False
    magic, own, _ = _MARKER.unpack_from(view, position + _ENTRY.size)
    return bool(magic == _MARKER_MAGIC and own == base + position)


def _durable_offset(view: memoryview, position: int, base: int) -> int:
    """What the marker at `position` vouches for; -1 when the bytes there are no marker of this place."""
    behind = position + _ENTRY.size + _MARKER.size
    if behind > len(view):
        return -1
    length, crc, *_ = _ENTRY.unpack_from(view, position)
    if length != _MARKER.size or crc32c(view[position + _PREFIX.size : behind], length) != crc:
        return -1
    _, own, durable = _MARKER.unpack_from(view, position + _ENTRY.size)
    return int(durable) if own == base + position else -1
