"""Compressed files as plain ones: zip, gzip, zstd and LZMA, recognised by their first bytes, read as a bounded stream.

    with open_plain(path) as plain:         # an uncompressed file as it is, a compressed one unpacked while it is read
        plain.read(4096); plain.peek(1)     # plain.inner: the file's name inside; plain.fraction(): share of the file that is read

Nothing is ever unpacked to disk or held whole. A file that unpacks to more than `PLAIN_BYTES_MAX`, or beyond `RATIO_FREE_BYTES` to more
than `RATIO_MAX` times its size, is refused while it is read: it is a bomb, not market data (real files unpack to 3 to 40 times their
size). Damage and truncation are a `DataError`, whatever the library says; whoever can use what is whole of a file that was cut off opens it
with `cut_off`, and asks `cut_off` at the end. Formats compressed inside, such as Parquet, are left alone.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from tercel.base.errors import DataError

PLAIN_BYTES_MAX: Final = 1 << 40
RATIO_MAX: Final = 400
RATIO_FREE_BYTES: Final = 32 << 20
MEMBERS_MAX: Final = 10_000  # files in one zip
LZMA_DICTIONARY_MAX: Final = 64 << 20
_BUFFER_BYTES: Final = 1 << 18
_MAGIC: Final = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\x5d\x00\x00": "lzma"}


def packing(data: bytes) -> str:
    """How a file that begins with `data` is compressed: "zip", "gzip", "zstd", "lzma", or "" when it is not."""
    return next((name for magic, name in _MAGIC.items() if data.startswith(magic)), "")


class Plain(io.BufferedReader):
    """The plain bytes of one file. `inner` is its name inside a zip, else the name on disk without a compression's ending."""

    def __init__(self, path: Path, name: str, stream: BinaryIO, file: BinaryIO, cut_off: bool = False) -> None:
        self._bounded = _Bounded(path, stream, file, cut_off)
        self.path, self.inner = path, name
        super().__init__(self._bounded, _BUFFER_BYTES)

    def fraction(self) -> float:
        """The share of the compressed file that is read, 0 to 1."""
        return self._bounded.fraction()

    @property
    def cut_off(self) -> bool:
        """Whether the file has turned out to end in the middle; only where that is allowed."""
        return self._bounded.cut_off


class _Bounded(io.RawIOBase):
    """Counts what comes out against what went in; turns every complaint of a library into a `DataError`."""

    def __init__(self, path: Path, stream: BinaryIO, file: BinaryIO, cut_off: bool) -> None:
        self._path, self._stream, self._file = path, stream, file
        # One step of the library at a time, so that what comes before the end of a file that was cut off is not lost with it.
        self._read = getattr(stream, "read1", stream.read) if cut_off else stream.read
        self._may_end, self.cut_off = cut_off, False
        self._size, self._done = max(1, path.stat().st_size), 0

    def readable(self) -> bool:
        return True

    def fraction(self) -> float:
        return min(1.0, self._file.tell() / self._size)

    def readinto(self, buffer: Any) -> int:
        try:
            data = b"" if self.cut_off else self._read(len(buffer))
        except EOFError as error:
            if not self._may_end:
                raise damaged(self._path, error) from error
            self.cut_off, data = True, b""
        except (OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
            raise damaged(self._path, error) from error
        self._done += len(data)
        if self._done > PLAIN_BYTES_MAX or self._done > max(RATIO_FREE_BYTES, RATIO_MAX * self._size):
            raise DataError(
                f"{self._path.name}: expected a file that unpacks to at most {RATIO_MAX} times its {self._size:,} bytes, "
                f"found more than {self._done:,}; nothing was imported"
            )
        buffer[: len(data)] = data
        return len(data)


def damaged(path: Path, error: Exception) -> DataError:
    """The refusal of a compressed file that its library cannot read."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return DataError(f"{path.name}: expected a whole compressed file, found a truncated or damaged one ({reason}); nothing was imported")


@contextmanager
def open_plain(path: Path, member: str | None = None, cut_off: bool = False) -> Iterator[Plain]:
    """The plain bytes of a file. In a zip, `member` says which file; without it the zip has to hold one, or one that ends in .csv.

    Raises `DataError` for a damaged file, a zip with another number of files, an encrypted one, and, while reading, beyond the bounds.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            kind = packing(file.read(8))
            file.seek(0)
            if kind == "zip":
                name, stream = _zip_member(stack, path, file, member)
            else:
                name, stream = _name(path, kind), _stream(path, kind, file)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
        if stream is not file:
            stack.callback(stream.close)
        yield stack.enter_context(Plain(path, name, stream, file, cut_off))


def members(path: Path) -> list[str]:
    """The names of the files in a zip, in its order; raises `DataError` when it is damaged or holds more than `MEMBERS_MAX`."""
    with path.open("rb") as file, _archive(path, file) as archive:
        return _names(path, archive)


def sole(names: list[str]) -> str | None:
    """Which file of a zip is meant when nobody says so: the only one, or the only one that ends in .csv; None when there is no such."""
    tables = [name for name in names if name.lower().endswith(".csv")]
    return names[0] if len(names) == 1 else tables[0] if len(tables) == 1 else None


def _archive(path: Path, file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, UnicodeDecodeError, OverflowError) as error:
        raise damaged(path, error) from error


def _names(path: Path, archive: zipfile.ZipFile) -> list[str]:
    found = [one.filename for one in archive.infolist() if not one.is_dir()]
    if not 0 < len(found) <= MEMBERS_MAX:
        raise DataError(f"{path.name}: expected a zip of 1 to {MEMBERS_MAX:,} files, found {len(found):,}; nothing was imported")
    return found


def _zip_member(stack: ExitStack, path: Path, file: BinaryIO, member: str | None) -> tuple[str, BinaryIO]:
    archive = stack.enter_context(_archive(path, file))
    found = _names(path, archive)
    name = member if member is not None else sole(found)
    if name is None:
        shown = ", ".join(found[:3]) + (", …" if len(found) > 3 else "")
        raise DataError(f"{path.name}: expected one file in the zip, found {len(found):,}: {shown}; unpack it and import the folder")
    try:
        return name, cast(BinaryIO, archive.open(name))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise damaged(path, error) from error


def _stream(path: Path, kind: str, file: BinaryIO) -> BinaryIO:
    if kind == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if kind == "lzma":
        _check_dictionary(path, file)
        return cast(BinaryIO, lzma.LZMAFile(file, format=lzma.FORMAT_ALONE))
    if kind == "zstd":
        import pyarrow as pa

        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))
    return file


def _check_dictionary(path: Path, file: BinaryIO) -> None:
    """LZMA says in bytes 1 to 4 how much memory it wants; nobody needs to believe it."""
    wanted = int.from_bytes(file.read(5)[1:], "little")
    file.seek(0)
    if wanted > LZMA_DICTIONARY_MAX:
        raise DataError(f"{path.name}: expected LZMA with up to {LZMA_DICTIONARY_MAX:,} bytes of dictionary, found {wanted:,}")


def _name(path: Path, kind: str) -> str:
    return path.stem if kind and path.suffix.lower() in (".gz", ".zst", ".zstd", ".lzma") else path.name
