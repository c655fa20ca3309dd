"""peers owns the other projects' side: an environment for each, built once and cached, and the process that is driven in it.

A peer never shares an interpreter with Tercel or with another peer, because their dependencies do not resolve together. `NAME.txt` pins
everything a peer needs, `NAME.py` runs inside its environment through `worker`. Standard library only, since peers import this package.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PIP_OPTIONS = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")
INSTALL_S_MAX = 1_200.0
ANSWER_S_MAX = 1_800.0


class PeerUnavailable(Exception):
    """A peer could not be installed, started or measured; the text says why and stands in the figure."""


def root() -> Path:
    """Where environments are cached: $TERCEL_BENCH_DIR, or `.bench` in the repository (git ignores it)."""
    return Path(os.environ.get("TERCEL_BENCH_DIR") or REPOSITORY / ".bench")


def environment(peer: str) -> Path:
    """The interpreter of the peer's environment, built when the pins or our Python changed. Raises `PeerUnavailable`."""
    pins = HERE / f"{peer}.txt"
    meaning = hashlib.blake2b(pins.read_bytes() + sys.version.encode(), digest_size=4).hexdigest()
    folder = root() / f"{peer}-{meaning}"
    python, complete = folder / "bin" / "python", folder / "complete"
    with _locked(root() / f"{peer}.lock"):
        if not complete.exists():
            print(f"benchmarks: building the environment of {peer} in {folder} (once)", file=sys.stderr)
            start = time.monotonic()
            _call(peer, sys.executable, "-m", "venv", "--clear", str(folder))
            _call(peer, str(python), "-m", "pip", "install", *PIP_OPTIONS, "-r", str(pins))
            complete.touch()
            print(f"benchmarks: {peer} is ready after {time.monotonic() - start:.0f} s", file=sys.stderr)
    return python


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock, so that two runs never build one environment together. Raises `PeerUnavailable` after a bounded wait."""
    import fcntl  # POSIX only, as the environments are

    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + INSTALL_S_MAX
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise PeerUnavailable(f"{path} is held by another run since {INSTALL_S_MAX:.0f} s") from None
                time.sleep(0.2)
        yield


def _call(peer: str, *command: str) -> None:
    """Run one step of an installation with its progress on standard error; the end of its output goes into the error."""
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            watchdog = threading.Timer(INSTALL_S_MAX, process.kill)
            watchdog.start()
            tail: list[str] = []
            for line in process.stdout or ():
                if line.startswith(("Collecting", "Building", "Installing", "ERROR")):
                    print(f"  {peer}: {line.rstrip()[:140]}", file=sys.stderr)
                tail = [*tail[-4:], line.strip()]
            watchdog.cancel()
    except OSError as error:
        raise PeerUnavailable(f"{peer}: {error}") from error
    if process.returncode:
        raise PeerUnavailable(f"{peer}: could not be installed ({process.returncode}): {' | '.join(tail)}")


class Peer:
    """A peer's script in its own interpreter: `ready` after the start, one answer per `repeat()`. Use as a context manager."""

    def __init__(self, peer: str, job: str, options: dict[str, Any]) -> None:
        python = environment(peer)
        self.name = peer
        self._process = subprocess.Popen(
            [str(python), "-m", f"benchmarks.peers.{peer}", job, json.dumps(options)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self.ready = self._read()
        except PeerUnavailable:
            self.close()
            raise

    def repeat(self) -> dict[str, Any]:
        """One timed run of the job. Raises `PeerUnavailable` when the process dies or takes longer than `ANSWER_S_MAX`."""
        assert self._process.stdin is not None
        try:
            print("repeat", file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise PeerUnavailable(f"{self.name}: its process has ended ({self._process.poll()})") from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        watchdog = threading.Timer(ANSWER_S_MAX, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise PeerUnavailable(f"{self.name}: no answer, its process ended with {self._process.wait()} (see above)")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let the process end by itself, or end it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
