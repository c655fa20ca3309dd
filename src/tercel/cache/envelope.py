"""What level 2 stores around a value, so that nothing older than allowed is ever taken for good.

Layout, little-endian: "TC", version and kind (one byte each), a nonce (uint32), then the wall time of writing and the time until which the
value is good (int64 ms), what it cost to make (uint32 ms), the number of tags (one byte) and for each its length, its text and the nonce it
had; then the bytes of the codec. The first eight bytes name this very entry: whoever wants to replace what they saw compares them.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from tercel.cache.codec import CodecError
from tercel.cache.reading import Marks

VALUE, TOMBSTONE = 0, 1
SEEN_BYTES: Final = 8
TAGS_MAX: Final = 255
TAG_BYTES_MAX: Final = 255
_MARK: Final = b"TC\x01"
_HEAD: Final = struct.Struct("<3sBIqqIB")
_NONCE: Final = struct.Struct("<I")


class Envelope(NamedTuple):
    """An entry of level 2, its value still encoded."""

    kind: int
    written_ms: int
    fresh_ms: int
    made_ms: int
    marks: Marks
    content: memoryview


def pack(kind: int, nonce: int, written_ms: int, fresh_ms: int, made_ms: int, marks: Marks, content: bytes) -> bytes:
    """The bytes to store. Raises `CodecError` for more than 255 tags or a tag of more than 255 bytes."""
    names = [tag.encode() for tag, _ in marks]
    if len(names) > TAGS_MAX or any(len(name) > TAG_BYTES_MAX for name in names):
        raise CodecError(f"cache tags: expected at most {TAGS_MAX} of at most {TAG_BYTES_MAX} bytes")
    parts = [_HEAD.pack(_MARK, kind, nonce, written_ms, fresh_ms, min(made_ms, 0xFFFFFFFF), len(names))]
    for name, (_, mark) in zip(names, marks, strict=True):
        parts += [bytes((len(name),)), name, _NONCE.pack(mark)]
    return b"".join([*parts, content])


def unpack(data: bytes) -> Envelope:
    """The entry of its bytes. Raises `CodecError` on anything `pack` did not write."""
    try:
        mark, kind, _, written_ms, fresh_ms, made_ms, tags = _HEAD.unpack_from(data)
        if mark != _MARK or kind > TOMBSTONE:
            raise CodecError(f"cache level 2: expected an entry of version 1, found {data[:4].hex()}")
        at, marks = _HEAD.size, []
        for _ in range(tags):
            length = data[at]
            marks.append((data[at + 1 : at + 1 + length].decode(), int(_NONCE.unpack_from(data, at + 1 + length)[0])))
            at += 1 + length + _NONCE.size
    except (struct.error, IndexError, UnicodeDecodeError):
        raise CodecError(f"cache level 2: an entry is cut short after {len(data)} bytes") from None
    return Envelope(kind, written_ms, fresh_ms, made_ms, tuple(marks), memoryview(data)[at:])
