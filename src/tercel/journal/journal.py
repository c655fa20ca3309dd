"""The journal: what must survive, each entry with the number of the input it belongs to.

The promise: when `commit` returns under `sync="always"` (or `sync` under the others), every entry appended before is on disk and every
later `open` finds it; a batch is found whole or not at all; nothing is ever found that was not appended. When the promise cannot be kept,
because a write or an fsync failed, the journal is broken: every later call raises `JournalError` and trading stops. A failed fsync is never
repeated, because the kernel may have dropped the dirty pages and then answers the second call with success.

One process writes, under a lock. `commit` is a group commit: one write and one fdatasync for everything appended since the last one.
`segment` describes the bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, Self

from tercel.base.errors import ConfigError, JournalError
from tercel.base.time import NS_PER_MS, clock_ns
from tercel.journal import recovery, segment
from tercel.journal.files import Lock, make_folder, numbered, sync_folder, write_all
from tercel.journal.reader import JournalReader
from tercel.journal.segment import BATCH_BYTES_MAX, ENTRY_BYTES_MAX, HEADER_BYTES, KIND_MAX, NO_DIGEST, Entry, segment_path

__all__ = ["Entry", "Journal", "JournalReader"]

Sync = Literal["always", "interval", "never"]
_NOT_OPEN: Final = "is not open"
_READ_ENTRIES: Final = 1_000


class Journal:
    """The one writer of a journal folder."""

    def __init__(
        self,
        folder: Path,
        *,
        sync: Sync = "always",
        interval_ms: int = 50,
        segment_bytes_max: int = 64 << 20,
        clock: Callable[[], int] = clock_ns,
    ) -> None:
        """Nothing is touched before `open`. `clock` gives monotonic nanoseconds and serves `interval` only.

        "always": every `commit` makes its batch durable. "interval": a `commit` does so when `interval_ms` have passed since the last time,
        so call it, even with nothing to write, at least that often. "never": only `sync`, rotation and `close` do.
        """
        if sync not in ("always", "interval", "never") or interval_ms < 0 or segment_bytes_max < HEADER_BYTES:
            raise ConfigError(
                "journal: expected sync always, interval or never, interval_ms >= 0 and segment_bytes_max >= 64, "
                f"found {sync!r}, {interval_ms}, {segment_bytes_max}"
            )
        self.folder = folder
        self.cut_bytes = 0  # torn bytes that `open` removed
        self._always, self._interval_ns = sync == "always", interval_ms * NS_PER_MS if sync == "interval" else None
        self._segment_bytes_max, self._clock = segment_bytes_max, clock
        self._refusal: str | None = _NOT_OPEN
        self._lock: Lock | None = None
        self._fd = -1
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._last = self._committed = self._durable = 0  # entry numbers: appended, written, on disk
        self._size = self._durable_size = 0  # bytes of the last segment: written, on disk
        self._synced_ns = 0
        self._digest = hashlib.sha256()

    def open(self) -> int:
        """Take the lock, check every segment, cut a torn tail off the last one; returns the number of entries held.

        Raises `JournalError` naming file and byte when anything else is wrong; nothing is changed then.
        """
        if self._lock is not None or self._refusal != _NOT_OPEN:
            raise JournalError(f"{self.folder}: a Journal opens once, and this one {self._refusal or 'is open'}; make a new one")
        try:
            make_folder(self.folder)
            self._lock = Lock(self.folder / "journal.lock")
            self._recover()
        except OSError as error:
            self._release()
            raise JournalError(f"{self.folder}: the journal cannot be opened: {error}") from error
        except BaseException:
            self._release()
            raise
        self._refusal = None
        return self._last

    def append(self, kind: int, input_number: int, payload: bytes) -> int:
        """Add an entry to the current batch and return its number; it survives once `commit` has returned.

        `kind` is 1 to 65,535, `payload` at most 16 MiB, a batch at most 64 MiB: beyond that `JournalError`, and nothing was added.
        """
        if self._refusal is not None:
            raise self._refused()
        if not (0 < kind <= KIND_MAX and len(payload) <= ENTRY_BYTES_MAX):
            raise JournalError(f"entry: expected kind 1 to {KIND_MAX} and up to {ENTRY_BYTES_MAX} bytes, found {kind} and {len(payload)}")
        entry = segment.encode_entry(kind, self._last + 1, input_number, payload)
        if self._parts_bytes + len(entry) > BATCH_BYTES_MAX:
            raise JournalError(f"journal batch: expected at most {BATCH_BYTES_MAX} bytes between two commits; commit more often")
        self._parts.append(entry)
        self._parts_bytes += len(entry)
        self._last += 1
        return self._last

    def commit(self) -> None:
        """Write the batch with one call and, as `sync` says, make it durable; with nothing appended only the interval is looked at."""
        with self._guard("commit"):
            if self._parts:
                self._write_batch()
            if self._always or (self._interval_ns is not None and self._clock() - self._synced_ns >= self._interval_ns):
                self._make_durable()

    def sync(self) -> None:
        """Make everything committed durable now, whatever the policy: before an intent is sent."""
        with self._guard("sync"):
            self._make_durable()

    def read(self, first: int = 1) -> Iterator[Entry]:
        """Committed entries from number `first` on, in order; none when `first` is not written yet."""
        if self._refusal is not None:
            raise self._refused()
        reached, committed = first - 1, self._committed
        with JournalReader(self.folder, after=reached) as reader:
            while reached < committed:
                entries = reader.poll(_READ_ENTRIES)
                if not entries:
                    raise JournalError(f"{self.folder}: expected {committed} entries, found {reached}: the files were changed underneath")
                yield from entries
                reached = entries[-1].number

    @property
    def last(self) -> int:
        """Number of the newest entry, committed or not."""
        return self._last

    @property
    def durable(self) -> int:
        """Number of the newest entry known to be on disk."""
        return self._durable

    def close(self) -> None:
        """Make committed entries durable, leave a marker that vouches for them and let go of the lock; what was not committed is dropped.

        A broken journal is only let go of: nothing is written and nothing raised.
        """
        try:
            if self._refusal is None:
                with self._guard("close"):
                    self._parts, self._parts_bytes, self._last = [], 0, self._committed
                    self._make_durable()
                    if self._size > HEADER_BYTES:
                        self._write(segment.encode_marker(self._last, self._size, self._durable_size))
                        self._make_durable()
        finally:
            self._refusal = self._refusal or "is closed"
            self._release()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _recover(self) -> None:
        """Check the chain of segments, cut the torn tail and stand at the end, ready to append."""
        for leftover in self.folder.glob("journal-*.tmp"):
            leftover.unlink()
        segments = numbered(self.folder, "journal", ".log")
        if not segments:
            self._create(1, NO_DIGEST)
            return
        recovery.check_chain(segments)
        first, path = segments[-1]
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        data = path.read_bytes()
        end, self._last = recovery.whole_batches(path, data, first)
        self.cut_bytes = len(data) - end
        if self.cut_bytes:
            os.ftruncate(self._fd, end)
        # What a killed writer left in memory becomes durable before anything relies on it.
        os.fsync(self._fd)
        sync_folder(self.folder)
        self._digest = hashlib.sha256(memoryview(data)[:end])
        self._size = self._durable_size = end
        self._committed = self._durable = self._last

    def _write_batch(self) -> None:
        count, body = len(self._parts), b"".join(self._parts)
        self._parts, self._parts_bytes = [], 0
        if self._size > HEADER_BYTES and self._size + len(body) > self._segment_bytes_max:
            self._rotate(self._last - count + 1)
        self._write(body + segment.encode_marker(self._last, self._size + len(body), self._durable_size))
        self._committed = self._last

    def _write(self, data: bytes) -> None:
        write_all(self._fd, data)
        self._digest.update(data)
        self._size += len(data)

    def _make_durable(self) -> None:
        if self._durable_size < self._size:
            os.fdatasync(self._fd)
            self._durable_size, self._durable = self._size, self._committed
            self._synced_ns = self._clock()

    def _rotate(self, first: int) -> None:
        """Begin a new segment. The old one becomes durable first, whatever the policy, so only the last segment can ever be torn."""
        self._make_durable()
        os.close(self._fd)
        self._fd = -1
        self._create(first, self._digest.digest())

    def _create(self, first: int, previous_digest: bytes) -> None:
        """The new segment gets its name only when its header is on disk, so a half header is never seen."""
        path, header = segment_path(self.folder, first), segment.encode_header(first, previous_digest)
        temporary = path.with_suffix(".tmp")
        self._fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        write_all(self._fd, header)
        os.fsync(self._fd)
        temporary.rename(path)
        sync_folder(self.folder)
        self._digest = hashlib.sha256(header)
        self._size = self._durable_size = HEADER_BYTES

    @contextlib.contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        """Whatever interrupts a write leaves the file in an unknown state: mark it broken for good."""
        if self._refusal is not None:
            raise self._refused()
        try:
            yield
        except OSError as error:
            self._refusal = f"is broken: {what} failed ({error})"
            raise self._refused() from error
        except BaseException as error:
            self._refusal = f"is broken: {what} was interrupted ({type(error).__name__})"
            raise

    def _refused(self) -> JournalError:
        return JournalError(f"{self.folder}: the journal {self._refusal}; stop trading, see to the disk, then start again to recover")

    def _release(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
        if self._lock is not None:
            self._lock.release()
            self._lock = None
