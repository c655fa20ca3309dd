"""The small family of processes behind `tercel run`: the trader, and the desk beside it. Both end with their parent."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from tercel.base import paths
from tercel.base.errors import TercelError
from tercel.drivers.launch import RunSpec

START_S_MAX: Final = 300.0  # a first start compiles
DESK_START_S_MAX: Final = 20.0
STOP_S_MAX: Final = 20.0
DESK_RESTARTS_MAX: Final = 5
DESK_PAUSE_S: Final = 2.0


class Family:
    """A trader and its desk. Start them in order, watch them, stop them in reverse."""

    def __init__(self, spec: RunSpec, port: int | None, say: Callable[[str], None]) -> None:
        self.spec, self._port, self._say = spec, port, say
        self.trader: subprocess.Popen[bytes] | None = None
        self.desk: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.last_line = ""
        self._restarts = 0
        self._desk_down_at = 0.0

    def start(self) -> None:
        """Start the trader, wait until it trades, then the desk. Raises `TercelError` with the trader's own words when it does not."""
        run = paths.run_dir(self.spec.account)
        run.mkdir(parents=True, exist_ok=True)
        path = run / "spec.json"
        path.write_bytes(msgspec.json.encode(self.spec))
        self.trader = self._spawn("tercel.drivers.launch", str(path), stderr=run / "trader.err")
        for word, text in self._lines(self.trader, START_S_MAX):
            if word == "trading":
                self._say(text)
                break
        else:
            raise TercelError(f"the trader did not start: {self._trader_error()}")
        if self._port is not None:
            self._start_desk()

    def _spawn(self, module: str, *arguments: str, stderr: Path) -> subprocess.Popen[bytes]:
        with stderr.open("wb") as errors:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def _start_desk(self) -> None:
        run = paths.run_dir(self.spec.account)
        arguments = ("--account", self.spec.account, "--port", str(self._port))
        log = run / "desk.log"
        self.desk = self._spawn("tercel.api.desk", *arguments, stderr=log)
        until = time.monotonic() + DESK_START_S_MAX
        while self.desk.poll() is None and time.monotonic() < until:
            found = [word for word in log.read_text(errors="replace").split() if word.startswith("http://")]
            if found:
                self.url = found[0]
                return
            time.sleep(0.05)
        raise TercelError(f"the desk did not start: {log.read_text(errors='replace')[-400:] or 'it said nothing'}")

    def _lines(self, process: subprocess.Popen[bytes], seconds: float) -> Iterator[tuple[str, str]]:
        assert process.stdout is not None
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            line = _read_line(process.stdout, until - time.monotonic())
            if not line:
                return
            word, _, text = line.partition(" ")
            self.last_line = line
            yield word, text

    def _trader_error(self) -> str:
        text = (paths.run_dir(self.spec.account) / "trader.err").read_text(errors="replace").strip()
        return text.removeprefix("error: ")[-600:] or f"it said {self.last_line!r}"

    def watch(self) -> bool:
        """True while the trader runs. A desk that died is started again, a few times."""
        assert self.trader is not None
        if self.desk is not None and self.desk.poll() is not None and self._restarts < DESK_RESTARTS_MAX:
            now = time.monotonic()
            self._desk_down_at = self._desk_down_at or now
            if now - self._desk_down_at >= DESK_PAUSE_S:
                self._restarts, self._desk_down_at = self._restarts + 1, 0.0
                with contextlib.suppress(TercelError):
                    self._start_desk()
        return self.trader.poll() is None

    def stop(self) -> str:
        """Stop both; the trader's last words. Raises `TercelError` when the trader failed."""
        final = ""
        if self.trader is not None:
            _end(self.trader, signal.SIGTERM)
            assert self.trader.stdout is not None
            for line in self.trader.stdout.read().decode(errors="replace").splitlines():
                word, _, text = line.partition(" ")
                final = text if word == "stopped" else final
        if self.desk is not None:
            _end(self.desk, signal.SIGTERM)
        if self.trader is not None and self.trader.returncode not in (0, -signal.SIGTERM):
            raise TercelError(f"the trader ended with {self.trader.returncode}: {self._trader_error()}")
        return final


def _read_line(stream: IO[bytes], seconds: float) -> str:
    with selectors.DefaultSelector() as ready:
        ready.register(stream, selectors.EVENT_READ)
        if not ready.select(max(0.0, seconds)):
            return ""
    line = bytearray()
    while byte := os.read(stream.fileno(), 1):
        if byte == b"\n":
            break
        line += byte
    return line.decode(errors="replace").strip()


def _end(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
