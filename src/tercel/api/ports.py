"""The port of a desk: the first free one from 8700 on, claimed before it is listened on."""

from __future__ import annotations

import os
import socket
from typing import Final

from tercel.base.errors import ConfigError
from tercel.observe.locks import acquire
from tercel.observe.mapped import shm_folder

PORT: Final = 8700
PORTS_TRIED_MAX: Final = 20


def free_port(first: int) -> tuple[int, int]:
    """The first free port of 20 from `first` on, and an open file: until it is closed no other desk of this user takes that port.

    Two servers that begin to listen at the same moment would share a port without a word, and an order could reach the wrong account.
    ConfigError when all are taken.
    """
    for port in range(first, min(first + PORTS_TRIED_MAX, 65_536)):
        try:
            claim = acquire(shm_folder() / f"desk-{port}.lock", 0.0)
        except OSError:  # no /dev/shm
            claim = os.open(os.devnull, os.O_RDONLY)
        if claim is not None and is_free(port):
            return port, claim
        if claim is not None:
            os.close(claim)
    last = first + PORTS_TRIED_MAX - 1
    raise ConfigError(f"desk port: expected a free one from {first} to {last}, all are taken; give another with --port")


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
