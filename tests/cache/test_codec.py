"""Values come back from bytes as they went, and bytes that are not ours are refused before memory is taken for them."""

from __future__ import annotations

import contextlib
import os
import struct
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tercel.base.errors import ConfigError
from tercel.cache import codec as codec_module
from tercel.cache import envelope
from tercel.cache.codec import ARRAY, LZ4, VERSION, ZSTD, Codec, CodecError

INTEGERS = st.integers(-(2**63), 2**64 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
DTYPES = arrays.scalar_dtypes() | arrays.unicode_string_dtypes(max_len=4) | arrays.byte_string_dtypes(max_len=4)
every_compression = pytest.mark.parametrize("compression", ["zstd", "lz4", "none"])


@every_compression
@given(value=PLAIN)
def test_plain_values_come_back(compression: str, value: Any) -> None:
    """Nothing, numbers, text, bytes, lists and mappings are the same after a round trip."""
    codec = Codec(compression=compression, compress_from=16)
    assert codec.decode(codec.encode(value)) == value


@every_compression
@given(values=arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, min_side=0, max_side=6)))
def test_arrays_come_back_to_the_bit(compression: str, values: np.ndarray[Any, Any]) -> None:
    """Dtype, shape and every bit, also of an array inside a mapping and of one that is not contiguous."""
    codec = Codec(compression=compression, compress_from=16)
    for array in (values, values.T):
        found = codec.decode(codec.encode(array))
        assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
        inner = codec.decode(codec.encode({"a": [array]}))["a"][0]
        assert (inner.dtype, inner.shape, inner.tobytes()) == (array.dtype, array.shape, array.tobytes())


@given(data=st.binary(max_size=200))
@settings(max_examples=300)
def test_foreign_bytes_are_refused_by_one_error(data: bytes) -> None:
    """Whatever the bytes, the outcome is a value or a `CodecError`."""
    codec = Codec()
    for bytes_ in (data, bytes((VERSION, ARRAY, 0)) + data, bytes((VERSION, ARRAY, ZSTD)) + data, bytes((VERSION, 0, LZ4)) + data):
        try:
            codec.decode(bytes_)
        except CodecError:
            continue
    with contextlib.suppress(CodecError):
        envelope.unpack(data)


@given(value=PLAIN, cut=st.integers(0, 60), flip=st.integers(0, 10_000))
def test_damaged_bytes_are_refused_by_one_error(value: Any, cut: int, flip: int) -> None:
    """A cut or a flipped bit gives a value or a `CodecError`, never anything else."""
    codec = Codec(compress_from=16)
    data = bytearray(codec.encode([value, np.arange(50)]))
    data[flip % len(data)] ^= 1 << (flip % 8)
    for damaged in (bytes(data), bytes(data[: len(data) - cut])):
        try:
            codec.decode(damaged)
        except CodecError:
            continue


def test_an_announced_size_takes_no_memory() -> None:
    """A few bytes that announce gigabytes, as array, as compressed frame or as nested list, are refused without allocating them."""
    import zstandard

    head = msgspec.msgpack.encode(("<f8", (1 << 40,)))
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(200 << 20))
    attacks = [
        bytes((VERSION, ARRAY, 0)) + struct.pack("<H", len(head)) + head,
        bytes((VERSION, 0, ZSTD)) + struct.pack("<I", 1 << 31) + bomb,
        bytes((VERSION, 0, ZSTD)) + struct.pack("<I", 1 << 10) + bomb,
        bytes((VERSION, 0, LZ4)) + struct.pack("<I", 0xFFFFFFFF) + b"\x00" * 20,
        bytes((VERSION, 0, 0)) + b"\x91" * 5_000,
        bytes((VERSION, 0, 0)) + b"\xdd\xff\xff\xff\xff",
    ]
    codec = Codec(bytes_max=16 << 20)
    tracemalloc.start()
    for attack in attacks:
        with pytest.raises(CodecError):
            codec.decode(attack)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_nothing_that_carries_code_is_written_or_read() -> None:
    """Arrays of objects and of structures, functions and classes are refused on the way in; an object dtype on the way out."""
    codec = Codec()
    for value in (np.array([print], object), np.zeros(2, [("a", "i4")]), print, Codec, {"x": object()}):
        with pytest.raises(CodecError):
            codec.encode(value)
    head = msgspec.msgpack.encode(("|O", (1,)))
    with pytest.raises(CodecError, match="array of numbers"):
        codec.decode(bytes((VERSION, ARRAY, 0)) + struct.pack("<H", len(head)) + head + bytes(8))


def test_large_values_are_compressed_when_it_pays() -> None:
    """Zeros shrink a hundredfold; noise is left as it is after a look at a piece of it."""
    codec = Codec()
    assert len(codec.encode(np.zeros(100_000))) < 8_000
    noise = np.frombuffer(os.urandom(80_000), np.uint8)
    assert len(noise) < len(codec.encode(noise)) < len(noise) + 100


def test_bounds_hold_on_the_way_in() -> None:
    """A value above the bound is refused; an unknown compression names those there are."""
    with pytest.raises(CodecError, match="at most 1000 bytes"):
        Codec(bytes_max=1_000).encode(b"x" * 2_000)
    with pytest.raises(ConfigError, match="none, zstd, lz4"):
        Codec(compression="gzip")


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without zstandard the error says what to install, when the codec is made and not at the first large value."""
    import sys

    codec_module._library.cache_clear()
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ConfigError, match=r"tercel\[redis\]"):
        Codec()
    codec_module._library.cache_clear()


@given(tags=st.lists(st.tuples(st.text(max_size=20), st.integers(0, 2**32 - 1)), max_size=5), content=st.binary(max_size=50))
def test_an_envelope_comes_back(tags: list[tuple[str, int]], content: bytes) -> None:
    """Times, tags and content are the same after a round trip."""
    data = envelope.pack(envelope.VALUE, 7, 1_700_000_000_000, 1_700_000_060_000, 25, tuple(tags), content)
    found = envelope.unpack(data)
    assert found[:5] == (envelope.VALUE, 1_700_000_000_000, 1_700_000_060_000, 25, tuple(tags))
    assert bytes(found.content) == content
