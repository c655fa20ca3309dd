"""Real Redis servers on free loopback ports: one alone, and a cluster of three primaries with a replica each. They die with whoever started
them."""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from benchmarks.harness import NotMeasurable

START_S_MAX = 20.0
BINARY = "redis-server"
Address = tuple[str, int]


def needed() -> str:
    """The server's binary. Raises `NotMeasurable` without it."""
    found = shutil.which(BINARY)
    if found is None:
        raise NotMeasurable(f"needs {BINARY} (Debian: apt-get install redis-server)")
    return found


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, nor on the cluster's bus port, which is 10,000 higher."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for _ in range(1_000):
            one, bus = stack.enter_context(socket.socket()), stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                bus.bind(("127.0.0.1", port + 10_000))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free ports were found")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Server:
    """One redis-server, which can be stopped, frozen, thawed and started again on its port."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.port, self._folder, self._options = port, folder, options
        self.address: Address = ("127.0.0.1", port)
        self.url = f"redis://127.0.0.1:{port}"
        self.client = redis.Redis(port=port, socket_timeout=5)
        folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.frozen = False
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        """Start it. To be called in the main thread: the server dies with the thread that started it."""
        self.process = subprocess.Popen(
            [needed(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder), *self._options],
            stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent,  # noqa: PLW1509 (the child only sets a flag)
        )  # fmt: skip

    def wait(self) -> None:
        """Until it answers."""
        until = time.monotonic() + START_S_MAX
        while True:
            with contextlib.suppress(redis.ConnectionError, redis.BusyLoadingError):
                if self.client.ping():
                    return
            if time.monotonic() > until:
                raise TimeoutError(f"redis-server on port {self.port} did not start")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it without warning."""
        assert self.process is not None
        self.thaw()
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Let it neither answer nor die."""
        assert self.process is not None
        self.frozen = True
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.frozen = False
        self.process.send_signal(signal.SIGCONT)

    def cluster(self, *words: Any) -> Any:
        """CLUSTER words."""
        return self.client.execute_command("CLUSTER", *words)


@contextlib.contextmanager
def single(folder: Path, *options: str) -> Iterator[Server]:
    """A server alone."""
    server = Server(folder, free_ports(1)[0], *options)
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def cluster(folder: Path, node_timeout_ms: int = 1_000) -> Iterator[list[Server]]:
    """Six servers: the first three hold the slots, the others follow them."""
    options = (
        "--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms), "--appendonly", "no", "--repl-diskless-sync-delay", "0",
        "--cluster-require-full-coverage", "no", "--cluster-replica-validity-factor", "0",
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        servers: list[Server] = []
        for number, port in enumerate(free_ports(6)):
            servers.append(Server(folder / str(number), port, *options))
            stack.callback(servers[-1].kill)
        for number, server in enumerate(servers, 1):
            server.cluster("SET-CONFIG-EPOCH", number)
        for server in servers[1:]:
            server.cluster("MEET", "127.0.0.1", servers[0].port)
        for server, (first, last) in zip(servers[:3], [(0, 5_460), (5_461, 10_922), (10_923, 16_383)], strict=True):
            server.cluster("ADDSLOTSRANGE", first, last)
        until = time.monotonic() + START_S_MAX
        for server, primary in zip(servers[3:], servers[:3], strict=True):
            while True:
                with contextlib.suppress(redis.ResponseError):
                    server.cluster("REPLICATE", primary.cluster("MYID").decode())
                    break
                assert time.monotonic() < until, "the cluster's nodes did not meet"
                time.sleep(0.02)
        while not all(_settled(server) for server in servers):
            assert time.monotonic() < until, "the cluster did not become whole"
            time.sleep(0.05)
        yield servers


def _settled(server: Server) -> bool:
    info: Any = server.client.info("replication")
    state: Any = server.cluster("INFO")
    return b"cluster_state:ok" in state and (info["role"] == "master" or info.get("master_link_status") == "up")


def primary_of(servers: list[Server], slot: int) -> Server:
    """The living server that the others say holds a slot. Raises `LookupError` when none does."""
    for server in servers:
        if alive(server) and not server.frozen:
            for first, last, (_, port, *_), *_ in ranges(server):
                if first <= slot <= last:
                    return next(each for each in servers if each.port == port)
    raise LookupError(f"no primary for slot {slot}")


def ranges(server: Server) -> Any:
    """What CLUSTER SLOTS says, as it says it."""
    raw = redis.Connection(port=server.port, socket_timeout=5)
    raw.connect()
    raw.send_command("CLUSTER", "SLOTS")
    reply = raw.read_response()
    raw.disconnect()
    return reply


def alive(server: Server) -> bool:
    """Whether its process runs."""
    return server.process is not None and server.process.poll() is None
