"""The input log: every sequenced input as it came, 64 bytes each, numbered from 1.

Raw append, no fsync, so a power loss may take the newest inputs and the journal then restores the account. Inputs stand in segments of a
64-byte header and records; a full segment is sealed in a thread beside the trader (checksum, fsync, header), and trimmed once the log is
larger than its bound and a durable snapshot covers it. An input is never all zero (`kind` 0 does not exist): that is what a record looks
like whose page did not reach the disk.

    header  magic 8 | version 4 | crc32c of the other fields 4 | layout hash 16 | first input 8 | count 8 | records' crc32c 4 | zero 12
            count and the records' crc are 0 until the segment is sealed
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import numpy as np

from tercel.base.errors import ConfigError, JournalError
from tercel.base.records import RECORD_BYTES, Records
from tercel.journal import input_segment
from tercel.journal.files import Lock, make_folder, numbered, write_all
from tercel.journal.input_segment import HEADER_BYTES, encode_header, read_inputs, segment_path

__all__ = ["InputLog", "read_inputs"]

_NOT_OPEN: Final = "is not open"


class InputLog:
    """The one writer of an input log folder."""

    def __init__(self, folder: Path, *, segment_bytes_max: int = 64 << 20, total_bytes_max: int = 4 << 30) -> None:
        """Nothing is touched before `open`. A segment holds as many whole records as fit behind its header."""
        if segment_bytes_max < HEADER_BYTES + RECORD_BYTES:
            raise ConfigError(f"input log: expected segment_bytes_max of at least {HEADER_BYTES + RECORD_BYTES}, found {segment_bytes_max}")
        self.folder = folder
        self.cut_bytes = 0  # torn bytes that `open` removed
        self._capacity = (segment_bytes_max - HEADER_BYTES) // RECORD_BYTES
        self._total_bytes_max = total_bytes_max
        self._keep_from = 0
        self._firsts: list[int] = []  # first input of every segment held
        self._fd = -1
        # Room for records in the last segment, in bytes. It is below zero while nothing may be written, so that the fast path of `append`
        # has a single test for "full" and "refused".
        self._room = -1
        self._refusal: str | None = _NOT_OPEN
        self._stopped_at = 0  # `last` when the log was closed or broke
        self._lock: Lock | None = None
        self._sealer: threading.Thread | None = None
        self._seal_error: Exception | None = None

    def open(self) -> int:
        """Take the lock, check every segment's header and size, cut a torn tail off the last; returns the last input's number.

        Raises `JournalError` naming file and byte when anything else is wrong. Records of full segments are checked when they are read.
        """
        if self._lock is not None or self._refusal != _NOT_OPEN:
            raise JournalError(f"{self.folder}: an InputLog opens once, and this one {self._refusal or 'is open'}; make a new one")
        try:
            make_folder(self.folder)
            self._lock = Lock(self.folder / "input.lock")
            self._recover()
        except BaseException as error:
            self._release()
            if isinstance(error, OSError):
                raise JournalError(f"{self.folder}: the input log cannot be opened: {error}") from error
            raise
        self._refusal = None
        return self.last

    def append(self, records: Records) -> None:
        """Append a C-contiguous array of any 64-byte record view, in order; they take the numbers after `last`. No fsync.

        Raises `JournalError` when the system refuses the write; the log takes nothing more then.
        """
        size = records.nbytes
        if size > self._room or records.itemsize != RECORD_BYTES:
            self._append_across(records, 0)
            return
        try:
            written = os.write(self._fd, records)  # type: ignore[arg-type]  # typed as a buffer from Python 3.12 on
        except OSError as error:
            raise self._broken(error) from error
        self._room -= written
        if written != size:
            self._append_across(records, written)

    def allow_trim(self, before: int) -> None:
        """Inputs with numbers below `before` may go when the log is over its bound: a durable snapshot covers them."""
        self._keep_from = max(self._keep_from, before)

    def read(self, first: int) -> Iterator[Records]:
        """Inputs from number `first` on as mapped, read-only arrays of dtype `TICK`, one per segment, each checked before it is given.

        Raises `JournalError` when `first` was trimmed, lies more than one behind `last`, or a segment is damaged.
        """
        self._check()
        return read_inputs(self.folder, first)

    @property
    def first(self) -> int:
        """The lowest input number still held; with an empty log the number that comes next."""
        return self._firsts[0] if self._firsts else 1

    @property
    def last(self) -> int:
        """The number of the newest input, 0 when there never was one."""
        if self._refusal is not None:
            return self._stopped_at
        return self._firsts[-1] - 1 + (self._capacity * RECORD_BYTES - self._room) // RECORD_BYTES

    def restart(self, first: int) -> None:
        """Drop every input held and go on with number `first`, beyond `last`: after a loss, when journal or snapshot know of later inputs.

        A log has no gaps, so what came before cannot stay. The session is then `rewarmed` or goes on from a snapshot of `first` - 1.
        """
        self._check()
        if first <= self.last:
            raise JournalError(f"{self.folder}: expected to go on beyond input {self.last}, found {first}; a number is never used twice")
        try:
            self._join_sealer()
            os.close(self._fd)
            self._fd = -1
            for held in self._firsts:  # oldest first: whenever we are interrupted, what is left has no gap
                segment_path(self.folder, held).unlink()
            self._firsts = []
            self._begin(first)
        except OSError as error:
            raise self._broken(error) from error

    def sync(self) -> None:
        """Make everything appended durable: before a snapshot that relies on it, or at a planned stop."""
        self._check()
        try:
            self._join_sealer()
            os.fdatasync(self._fd)
        except OSError as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Wait for a segment that is being sealed, then let go of file and lock."""
        try:
            if self._refusal is None:
                self._join_sealer()
        finally:
            self._stop("is closed")
            self._release()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _append_across(self, records: Records, written: int) -> None:
        """The rare rest of `append`: refusals, full segments, what a short write left over. `written` bytes are in the file already."""
        self._check()
        if records.itemsize != RECORD_BYTES:
            raise JournalError(f"input log: expected records of {RECORD_BYTES} bytes, found {records.dtype} of {records.itemsize}")
        rest = records.reshape(-1).view(np.uint8).data[written:]
        try:
            while len(rest):
                if self._room <= 0:  # never within a record: a segment has room for whole records only
                    self._rotate()
                chunk = rest[: self._room]
                write_all(self._fd, chunk)
                self._room -= len(chunk)
                rest = rest[len(chunk) :]
        except OSError as error:
            raise self._broken(error) from error

    def _rotate(self) -> None:
        """Begin the next segment and seal the full one beside us. One seal at a time: when the disk is slower than we are, we wait here."""
        self._join_sealer()
        full, count, full_fd = self._firsts[-1], self.last - self._firsts[-1] + 1, self._fd
        self._begin(full + count)
        trimmed = self._take_trimmed()
        self._sealer = threading.Thread(target=self._seal, args=(full, count, full_fd, trimmed), name="input-log-seal", daemon=True)
        self._sealer.start()

    def _begin(self, first: int) -> None:
        path = segment_path(self.folder, first)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        write_all(self._fd, encode_header(first))
        self._firsts.append(first)
        self._room = self._capacity * RECORD_BYTES

    def _take_trimmed(self) -> list[int]:
        """Forget the oldest segments while the log is over its bound and a snapshot covers them; their files go in the sealer."""
        trimmed = []
        end = self._firsts[-1] + self._capacity  # as large as the log will be before we look again
        while (
            (end - self._firsts[0]) * RECORD_BYTES + len(self._firsts) * HEADER_BYTES > self._total_bytes_max
            and len(self._firsts) > 2
            and self._firsts[1] <= self._keep_from
        ):
            trimmed.append(self._firsts.pop(0))
        return trimmed

    def _seal(self, first: int, count: int, fd: int, trimmed: list[int]) -> None:
        try:
            os.close(fd)
            input_segment.seal(segment_path(self.folder, first), first, count)
            for held in trimmed:
                segment_path(self.folder, held).unlink()
        except Exception as error:  # noqa: BLE001  it crosses a thread: `_join_sealer` raises it where the log is used
            self._seal_error = error

    def _join_sealer(self) -> None:
        if self._sealer is not None:
            self._sealer.join()
            self._sealer = None
        if self._seal_error is not None:
            error, self._seal_error = self._seal_error, None
            raise self._broken(error) from error

    def _recover(self) -> None:
        segments = numbered(self.folder, "input", ".log")
        for (first, path), (next_first, _) in pairwise(segments):
            input_segment.check_full(path, first, next_first - first)
        if not segments:
            self._begin(1)
            return
        self._firsts = [first for first, _ in segments]
        first, path = segments[-1]
        before = path.stat().st_size
        count = input_segment.recover_last(path, first)
        self.cut_bytes = max(before - HEADER_BYTES - count * RECORD_BYTES, 0)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._room = (self._capacity - count) * RECORD_BYTES

    def _check(self) -> None:
        if self._refusal is not None:
            raise JournalError(f"{self.folder}: the input log {self._refusal}; see to the disk, then start again to recover")

    def _broken(self, error: Exception) -> JournalError:
        self._stop(f"is broken: a write failed ({error})")
        return JournalError(f"{self.folder}: the input log {self._refusal}; stop trading, see to the disk, then start again to recover")

    def _stop(self, refusal: str) -> None:
        """Refuse everything from now on, for the first reason given."""
        if self._refusal is None:
            self._stopped_at = self.last
            self._refusal = refusal
        self._room = -1

    def _release(self) -> None:
        self._room = -1
        if self._sealer is not None:
            self._sealer.join()
            self._sealer = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._lock is not None:
            self._lock.release()
            self._lock = None
