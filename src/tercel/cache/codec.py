"""Values as bytes and back: msgpack for plain values, arrays by dtype and shape, compression that pays. Never code, never unbounded.

Layout: version, codec and flags (one byte each), then, when compressed, the plain length (uint32, little-endian), then the content. An
array is its header (msgpack: dtype, shape) and its bytes in C order; inside a list or mapping it is a msgpack extension of type 1.
Everything that is read is checked before memory is taken for it. Tuples come back as lists.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from math import prod
from typing import Any, Final

import msgspec
import numpy as np

from tercel.base.errors import ConfigError, DataError, MissingExtra

VERSION: Final = 1
PLAIN, ARRAY = 0, 1
ZSTD, LZ4 = 1, 2
COMPRESSIONS: Final = {"none": 0, "zstd": ZSTD, "lz4": LZ4}
ARRAY_EXT: Final = 1
BYTES_MAX: Final = 64 << 20
COMPRESS_FROM: Final = 1_024
SAMPLE: Final = 4_096
WORTH: Final = 0.9  # a sample that does not shrink below this share is left as it is
KINDS: Final = "biufcMmSU"
DIMENSIONS_MAX: Final = 32
_LENGTH: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<H")


class CodecError(DataError):
    """Bytes that are not what this codec writes, or a value it does not write: the entry is a miss."""


class Codec:
    """Encodes and decodes within `bytes_max`, plain and compressed. `compression`: zstd, lz4 or none; `shape`: a type to insist on."""

    def __init__(
        self, *, bytes_max: int = BYTES_MAX, compression: str = "zstd", compress_from: int = COMPRESS_FROM, shape: Any = Any
    ) -> None:
        if compression not in COMPRESSIONS:
            raise ConfigError(f"cache.compression: expected one of {', '.join(COMPRESSIONS)}, found {compression!r}")
        self.bytes_max, self.compress_from = bytes_max, compress_from
        self._compression = COMPRESSIONS[compression]
        if self._compression:
            _library(self._compression)  # a missing extra is an error now, not at the first large value
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_extension)
        self._decoder = msgspec.msgpack.Decoder(shape, ext_hook=_array_extension)

    def encode(self, value: Any) -> bytes:
        """The value as bytes. Raises `CodecError` for one that is too large or of a type it does not write."""
        kind = ARRAY if isinstance(value, np.ndarray) else PLAIN
        try:
            content = _array_bytes(value) if kind == ARRAY else self._encoder.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise CodecError(f"cache value of type {type(value).__name__}: {error}") from None
        if len(content) > self.bytes_max:
            raise CodecError(f"cache value: expected at most {self.bytes_max} bytes, found {len(content)}")
        if self._compression and len(content) >= self.compress_from:
            packed = self._shrunk(content)
            if packed is not None:
                return bytes((VERSION, kind, self._compression)) + _LENGTH.pack(len(content)) + packed
        return bytes((VERSION, kind, 0)) + content

    def _shrunk(self, content: bytes) -> bytes | None:
        """The content compressed, or None when a piece from its middle says that it is not worth the time."""
        compress = _compressor(self._compression)
        if len(content) > 4 * SAMPLE:
            start = len(content) // 2
            if len(compress(content[start : start + SAMPLE])) > WORTH * SAMPLE:
                return None
        packed = compress(content)
        return packed if len(packed) < WORTH * len(content) else None

    def decode(self, data: bytes | memoryview) -> Any:
        """The value of the bytes; arrays are read-only views of them. Raises `CodecError` on anything this codec did not write."""
        view = memoryview(data)
        if len(view) < 3 or view[0] != VERSION or view[1] > ARRAY or view[2] > LZ4:
            raise CodecError(f"cache bytes: expected version {VERSION} and a known codec, found {bytes(view[:3]).hex() or 'nothing'}")
        content = view[3:] if not view[2] else memoryview(self._expanded(view[2], view[3:]))
        if len(content) > self.bytes_max:
            raise CodecError(f"cache bytes: expected at most {self.bytes_max}, found {len(content)}")
        try:
            return _array(content) if view[1] == ARRAY else self._decoder.decode(content)
        except (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise CodecError(f"cache bytes: {error}") from None

    def _expanded(self, compression: int, packed: memoryview) -> bytes:
        """Decompressed, after the announced length was found to be allowed and, with zstd, to be that of the frame itself."""
        if len(packed) < _LENGTH.size or (length := _LENGTH.unpack_from(packed)[0]) > self.bytes_max:
            raise CodecError(f"cache bytes: expected at most {self.bytes_max} bytes after decompression")
        library, body = _library(compression), packed[_LENGTH.size :]
        try:
            if compression == LZ4:
                plain: bytes = library.decompress(body, uncompressed_size=length)
            else:
                if library.get_frame_parameters(bytes(body[:18])).content_size != length:
                    raise CodecError(f"cache bytes: expected a frame of {length} bytes")
                plain = library.ZstdDecompressor().decompress(body, max_output_size=length)
        except CodecError:
            raise
        except Exception as error:  # noqa: BLE001 (each library has its own classes, and which one is loaded is only known here)
            raise CodecError(f"cache bytes: {error}") from None
        if len(plain) != length:
            raise CodecError(f"cache bytes: expected {length} bytes after decompression, found {len(plain)}")
        return plain


@lru_cache(maxsize=4)
def _library(compression: int) -> Any:
    try:
        if compression == ZSTD:
            import zstandard

            return zstandard
        import lz4.block
    except ImportError:
        raise MissingExtra(
            "cache compression: zstandard and lz4 are not installed; pip install 'tercel[redis]', or compression = \"none\""
        ) from None
    return lz4.block


def _compressor(compression: int) -> Any:
    library = _library(compression)
    if compression == ZSTD:
        return library.ZstdCompressor(level=1).compress
    return lambda content: library.compress(content, store_size=False)


def _array_bytes(values: np.ndarray[Any, Any]) -> bytes:
    if values.dtype.hasobject or values.dtype.kind not in KINDS:
        raise CodecError(f"cache value: expected an array of numbers, times or text, found dtype {values.dtype}")
    head = msgspec.msgpack.encode((values.dtype.str, values.shape))
    return _HEAD.pack(len(head)) + head + values.tobytes()


def _array(data: memoryview) -> np.ndarray[Any, Any]:
    """The array of its bytes: dtype and shape are checked against the length before anything is made of them."""
    length = _HEAD.unpack_from(data)[0] if len(data) >= _HEAD.size else 1 << 16
    name, shape = msgspec.msgpack.decode(data[_HEAD.size : _HEAD.size + length], type=tuple[str, tuple[int, ...]])
    dtype = np.dtype(name) if len(name) < 16 else np.dtype("O")
    if dtype.hasobject or dtype.kind not in KINDS or len(shape) > DIMENSIONS_MAX or any(side < 0 for side in shape):
        raise CodecError(f"cache bytes: expected an array of numbers, times or text, found {name[:16]}{list(shape)[:8]}")
    content = data[_HEAD.size + length :]
    if prod(shape) * dtype.itemsize != len(content):
        raise CodecError(f"cache bytes: expected {prod(shape) * dtype.itemsize} bytes of {name}{list(shape)}, found {len(content)}")
    if not len(content):
        return np.empty(shape, dtype)
    found: np.ndarray[Any, Any] = np.frombuffer(content, dtype).reshape(shape)
    found.flags.writeable = False
    return found


def _extension(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return msgspec.msgpack.Ext(ARRAY_EXT, _array_bytes(value))
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"expected plain values, structs or arrays, found {type(value).__name__}")


def _array_extension(code: int, data: memoryview) -> Any:
    if code != ARRAY_EXT:
        raise CodecError(f"cache bytes: unknown extension {code}")
    return _array(data)
