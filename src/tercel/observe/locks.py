"""File locks: who holds the lock on `trader.lock` in the account's run folder is the trader, and the kernel frees it when the process dies.

A lock belongs to an open file, and a forked child shares it: start the desk and other helpers of the trader as fresh processes.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from tercel.base.time import NS_PER_S, clock_ns

TRADER_LOCK: Final = "trader.lock"
POLL_S: Final = 0.001


def acquire(path: Path, wait_s: float) -> int | None:
    """The open file that holds an exclusive lock on `path` (close it to let go), or None when another holds it for longer than `wait_s`."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    give_up = clock_ns() + int(wait_s * NS_PER_S)
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if clock_ns() >= give_up:
                os.close(file)
                return None
            time.sleep(POLL_S)


def trader_alive(folder: Path) -> bool:
    """Whether a process holds the trader's lock in this run folder."""
    try:
        file = os.open(folder / TRADER_LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
