"""The command line as people use it: real processes, their lines, their children, every wait bounded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from tercel.base.time import NS_PER_S, clock_ns

WAIT_S_MAX = 60.0  # a machine busy with other tests; an ordinary wait takes a second
TERCEL = (sys.executable, "-m", "tercel.cli.main")


def tercel(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run([*TERCEL, *words], capture_output=True, text=True, timeout=WAIT_S_MAX, cwd=cwd)


def answer(*words: str) -> Any:
    """What a verb prints with --json."""
    return json.loads(tercel(*words, "--json").stdout)


def until(true: Callable[[], bool], what: str) -> None:
    """Wait until something is so; fails after a minute."""
    give_up = clock_ns() + round(WAIT_S_MAX * NS_PER_S)
    while not true():
        assert clock_ns() < give_up, f"expected within {WAIT_S_MAX:.0f} s: {what}"
        time.sleep(0.02)


class Running:
    """A verb that goes on: its output so far, its trader and desk, a way to stop it. Leaves no process behind, whatever the test did."""

    def __init__(self, *words: str, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen([*TERCEL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)
        self.out, self.err = "", ""
        self._readers = [threading.Thread(target=self._read, args=(name,)) for name in ("out", "err")]
        for reader in self._readers:
            reader.start()
        self.family: list[psutil.Process] = []

    def _read(self, name: str) -> None:
        stream = self.process.stdout if name == "out" else self.process.stderr
        assert stream is not None
        for line in stream:
            setattr(self, name, getattr(self, name) + line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._look()
        for process in [*self.family, psutil.Process(self.process.pid)] if self.process.poll() is None else self.family:
            if process.is_running():
                process.kill()
        self.process.wait(WAIT_S_MAX)
        for reader in self._readers:
            reader.join(WAIT_S_MAX)

    def _look(self) -> None:
        if self.process.poll() is None:
            self.family += [child for child in psutil.Process(self.process.pid).children() if child not in self.family]

    def ready(self) -> Self:
        """Wait for the line with the address, or for the one that says that there is no page."""
        said = ("open http://", "trading without a page")
        until(lambda: any(text in self.out for text in said) or self.process.poll() is not None, "an address")
        assert self.process.poll() is None, self.out + self.err
        self._look()
        return self

    def child(self, module: str) -> psutil.Process:
        """The newest process of the family that runs a module."""
        self._look()
        return [process for process in self.family if process.is_running() and module in process.cmdline()][-1]

    @property
    def trader(self) -> psutil.Process:
        """The trader."""
        return self.child("tercel.drivers.launch")

    @property
    def desk(self) -> psutil.Process:
        """The desk."""
        return self.child("tercel.api.desk")

    @property
    def url(self) -> str:
        """The address of the page that was said last."""
        return next(word for word in reversed(self.out.split()) if word.startswith("http://"))

    def get(self, path: str = "") -> str:
        """What the page answers."""
        with urllib.request.urlopen(self.url + path, timeout=WAIT_S_MAX) as response:
            return str(response.read().decode())

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait for the exit status."""
        self._look()
        os.kill(self.process.pid, number)
        return self.finish()

    def finish(self) -> int:
        """Wait for the exit status and the whole output."""
        status = self.process.wait(WAIT_S_MAX)
        for reader in self._readers:
            reader.join(WAIT_S_MAX)
        return status

    @property
    def errors(self) -> str:
        """What it wrote on stderr, the progress of a first start left out."""
        return "".join(line for line in self.err.splitlines(keepends=True) if not line.startswith("   "))

    def orphans(self) -> list[psutil.Process]:
        """Processes of the family that are still there."""
        return [process for process in self.family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
