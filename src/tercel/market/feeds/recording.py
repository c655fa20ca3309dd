"""Raw messages on disk, as they came: one line `recv_ns json`, a file per symbol and day, so that any later decoder can read them again.

Lines are gathered for a second and written as one whole gzip member with one write; gzip files are such members one after the other (RFC
1952, section 2.2). So a killed recorder loses the last second at most and what is on disk is a whole file. A file that exists is never
written to: a new start and a full file go on in a next one, `btcusdt_20240718.gz`, `btcusdt_20240718.2.gz`, in order.

A snapshot is a line like any other, the body as the venue sent it. Lines `recv_ns {"tercel":…}` are our own. The first of a file says
"start" or, where a file of the same session went before, "continues", with the venue's definition of the instrument; "disconnected" says
that data was lost. So a file can be read by itself: the session fetches a snapshot for each new one (`wanted`). Messages of no symbol go to
`session_DATE.gz`. `tercel data import` reads all this (`importers/recordings.py`).
"""

from __future__ import annotations

import gzip
import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tercel.base.errors import ConfigError, DataError, TercelError
from tercel.base.time import NS_PER_S, format_instant
from tercel.market.feeds.connection import Message
from tercel.market.instruments import Instrument

FLUSH_NS: Final = NS_PER_S
FLUSH_BYTES: Final = 1 << 20  # of one symbol's lines; what comes faster is written more often
FILE_BYTES_MAX: Final = 256 << 20
LEVEL: Final = 5
SESSION: Final = "session"
VERSION: Final = 1
START, CONTINUES, DISCONNECTED = "start", "continues", "disconnected"
OURS: Final = b'{"tercel":'
LOST: Final = b'{"tercel":"disconnected"}'
SNAPSHOT: Final = b'{"lastUpdateId":'
_STREAM: Final = b'{"stream":"'


class Ours(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of ours; `version` and `instrument` are said at the beginning of a file, no instrument in that of messages of no symbol."""

    tercel: str
    version: int = 0
    instrument: Instrument | None = None


class RecordingFull(TercelError):
    """The folder has taken as much as was allowed; what is there is whole."""

    exit_code = 9


class Recording:
    """Writes messages to a folder, at most `bytes_max` of it in this session. Call `flush` often: it writes once a second.

    A write error (a full disk) is raised from `flush`; what was written stays readable. Never deletes anything.
    """

    def __init__(self, folder: Path, instruments: Sequence[Instrument], bytes_max: int, file_bytes_max: int = FILE_BYTES_MAX) -> None:
        if bytes_max < 1:
            raise ConfigError(f"recording: expected a bound above 0 bytes, found {bytes_max}")
        self.folder, self._bytes_max, self._file_bytes_max = folder, bytes_max, file_bytes_max
        self._names = {_name(one.symbol).encode(): _name(one.symbol) for one in instruments}
        self._instruments = {_name(one.symbol): msgspec.structs.replace(one, id=0) for one in instruments}
        self.wanted: set[str] = set()  # symbols whose newest file has no snapshot yet
        self._lines: dict[str, list[bytes]] = {}
        self._sizes: dict[str, int] = {}
        self._files: dict[str, tuple[str, Path, int]] = {}  # day, file, bytes in it
        self._flushed_ns = 0
        self.messages = self.bytes_written = 0
        self.files: list[Path] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise ConfigError(f"recording: {folder}: expected a folder that can be written to ({problem.strerror})") from None

    def message(self, payload: Message, recv_ns: int) -> None:
        """A message of the socket."""
        self.messages += 1
        self._add(self._name_of(payload), payload, recv_ns)

    def snapshot(self, symbol: str, body: bytes, recv_ns: int) -> None:
        """A snapshot of a symbol's book."""
        self.wanted.discard(symbol)
        self._add(_name(symbol), body, recv_ns)

    def disconnected(self, recv_ns: int) -> None:
        """From here on data is missing, of every symbol."""
        for name in self._names.values():
            self._add(name, LOST, recv_ns)

    def flush(self, now_ns: int, force: bool = False) -> None:
        """Write what has been gathered when a second has passed. Raises `RecordingFull` behind the last write the bound allows."""
        if not force and now_ns - self._flushed_ns < FLUSH_NS and max(self._sizes.values(), default=0) < FLUSH_BYTES:
            return
        self._flushed_ns = now_ns
        day = format_instant(now_ns)[:10].replace("-", "")
        for name, lines in self._lines.items():
            if lines:
                self._write(name, day, lines)
                lines.clear()
                self._sizes[name] = 0
        if self.bytes_written >= self._bytes_max:
            raise RecordingFull(
                f"{self.folder}: the recording has reached its bound of {self._bytes_max / 1e9:g} GB; it is whole, nothing was deleted; "
                "raise --size-max, or record to another folder"
            )

    def _name_of(self, payload: Message) -> str:
        head = bytes(payload[:64])
        if head.startswith(_STREAM):
            return self._names.get(head[len(_STREAM) :].partition(b"@")[0], SESSION)
        return SESSION

    def _add(self, name: str, payload: Message, recv_ns: int) -> None:
        line = b"%d %b\n" % (recv_ns, bytes(payload).replace(b"\n", b" "))
        self._lines.setdefault(name, []).append(line)
        self._sizes[name] = self._sizes.get(name, 0) + len(line)

    def _write(self, name: str, day: str, lines: list[bytes]) -> None:
        of_day, path, size = self._files.get(name, ("", Path(), 0))
        member = _member(lines)
        if of_day != day or size + len(member) > self._file_bytes_max:
            path, size = _unused(self.folder, name, day), 0
            self.files.append(path)
            member = _member([self._head(name, lines, CONTINUES if of_day else START), *lines])
        # Unbuffered and in one call: a kill leaves whole members.
        with path.open("ab", buffering=0) as file:
            written = file.write(member)
            if written != len(member):
                os.ftruncate(file.fileno(), size)
                raise OSError(f"{path}: the disk took {written} of {len(member)} bytes; the file is whole up to the second before")
        self._files[name] = (day, path, size + len(member))
        self.bytes_written += len(member)

    def _head(self, name: str, lines: list[bytes], what: str) -> bytes:
        """The first line of a file; when no snapshot is among its lines, one is wanted."""
        instrument = self._instruments.get(name)
        if instrument is not None and not any(line.partition(b" ")[2].startswith(SNAPSHOT) for line in lines):
            self.wanted.add(instrument.symbol)
        return b"%b %b\n" % (lines[0].partition(b" ")[0], msgspec.json.encode(Ours(what, VERSION, instrument)))


def read(files: Sequence[Path]) -> Iterator[tuple[int, str, bytes]]:
    """(recv_ns, name of the file's symbol, payload) of recordings, merged in order of arrival. Raises `DataError` for what is no recording.

    The first line of a file is passed over; what a power failure left half written at the end of a file is left out.
    """
    return heapq.merge(*(_lines(path) for path in files), key=lambda line: line[0])


def _lines(path: Path) -> Iterator[tuple[int, str, bytes]]:
    name = path.name.rpartition("_")[0]
    with gzip.open(path) as file:
        try:
            for line in file:
                stamp, space, payload = line.rstrip(b"\n").partition(b" ")
                if not space or not stamp.isdigit():
                    raise DataError(f"{path}: expected lines of nanoseconds and a message, found {line[:40]!r}")
                if not payload.startswith(OURS) or payload == LOST:
                    yield int(stamp), name, payload
        except EOFError:
            return


def _member(lines: list[bytes]) -> bytes:
    return gzip.compress(b"".join(lines), LEVEL, mtime=0)


def _name(symbol: str) -> str:
    """A symbol as its streams are called."""
    return symbol.partition("-")[0].lower()


def _unused(folder: Path, name: str, day: str) -> Path:
    """The first file of a symbol's day that does not exist."""
    number = 1
    while (path := folder / (f"{name}_{day}.gz" if number == 1 else f"{name}_{day}.{number}.gz")).exists():
        number += 1
    return path
