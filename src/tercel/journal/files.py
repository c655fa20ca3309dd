"""The few things every durable file here needs: a write that is whole, a folder that remembers its names, one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from tercel.base.errors import JournalError


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte, going on after a short write. `OSError` when the system refuses; part of `data` may then be in the file."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents so that their names survive a power loss."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or removed in `folder` durable; a synced file whose name is lost is lost."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def numbered(folder: Path, prefix: str, suffix: str) -> list[tuple[int, Path]]:
    """The files `<prefix>-<20 digits><suffix>` of `folder` in the order of their numbers; empty when there is no such folder."""
    found = []
    for path in folder.glob(f"{prefix}-*{suffix}"):
        digits = path.name[len(prefix) + 1 : len(path.name) - len(suffix)]
        if len(digits) == 20 and digits.isdecimal():
            found.append((int(digits), path))
    return sorted(found)


class Lock:
    """The right to write, held through an open file: it ends with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock file `path`, created when missing. Raises `JournalError` with the holder's process id when it is taken."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # flock belongs to the open file, not to the process: a second writer in the same process is refused too.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise JournalError(
                f"{path}: expected to be the only writer, found it held by process {holder}; stop that process or use another folder"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next writer in. The file stays: removing it would let two writers hold two files of one name."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
