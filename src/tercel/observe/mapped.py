"""Files that are memory with a name: reserved in full before anyone sees them, in /dev/shm where there is one, and put in place at once.

A file mapped from a disk is written back by the kernel, and a store to a page under write-back waits for the disk: Java's hsperfdata taught
that a mapped statistics file can stop a process for seconds. So the bytes lie in memory and the name in the run folder is a link to them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path


def memory_file(path: Path, size: int) -> tuple[int, Callable[[], None]]:
    """(open file of `size` zero bytes not yet visible, a function that makes it visible at `path`). OSError when nothing holds so much."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        identity = hashlib.blake2b(str(path.parent.resolve()).encode(), digest_size=8).hexdigest()
        shm = shm_folder()
        _sweep(shm)
        home = shm / f"{identity}.home"
        home.unlink(missing_ok=True)
        home.symlink_to(path.parent.resolve())
        return _reserve(shm / f"{identity}-{path.name}", path, size)
    except OSError:  # no /dev/shm, or too small: a plain file works too, only with the pauses named above
        return _reserve(path, path, size)


def _sweep(shm: Path) -> None:
    """Free the memory of accounts whose run folder was deleted: their `.home` link leads nowhere."""
    for home in shm.glob("*.home"):
        if not home.exists():
            for left in shm.glob(f"{home.stem}*"):
                left.unlink(missing_ok=True)


def shm_folder() -> Path:
    """A folder of this user in memory, the same for all homes. OSError where there is none."""
    folder = Path("/dev/shm") / f"tercel-{os.getuid()}"  # noqa: S108 - private by mode and owner, checked below
    folder.mkdir(mode=0o700, exist_ok=True)
    stat = folder.lstat()
    if stat.st_uid != os.getuid() or stat.st_mode & 0o170077 != 0o040000:
        raise PermissionError(f"{folder}: expected a private folder of this user")
    return folder


def _reserve(target: Path, path: Path, size: int) -> tuple[int, Callable[[], None]]:
    fresh = target.with_name(f"{target.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(file, 0, size)  # a full memory disk says so here, not with a signal in the middle of trading
    except OSError:
        os.close(file)
        fresh.unlink(missing_ok=True)
        raise

    def publish() -> None:
        os.replace(fresh, target)
        if target != path:
            link = path.with_name(f"{path.name}.{os.getpid()}.new")
            link.unlink(missing_ok=True)
            link.symlink_to(target)
            os.replace(link, path)

    return file, publish
