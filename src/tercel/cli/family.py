"""The small family of processes behind `tercel run`: the trader, and the desk beside it. Both end with their parent."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO, Final

import msgspec

from tercel.base import paths
from tercel.base.errors import ConfigError, TercelError
from tercel.base.time import NS_PER_S, clock_ns
from tercel.cli.control import refuse_second
from tercel.cli.show import Report, Teller, short
from tercel.drivers.launch import SPEC, RunSpec

START_S_MAX: Final = 300.0  # a first start compiles
DESK_START_S_MAX: Final = 20.0
STOP_S_MAX: Final = 20.0
DYING_S_MAX: Final = 2.0
PORT_MAX: Final = 65_535
DESK_RESTARTS_MAX: Final = 5
DESK_PAUSE_NS: Final = 1 * NS_PER_S
DESK_WORDS_MAX: Final = 600  # characters quoted of what a failed desk wrote
POLL_S: Final = 0.05


class Failed(TercelError):
    """A process of the family failed; the text is what it said, the exit status its own."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.exit_code = status if 0 < status < 128 else TercelError.exit_code


class Family:
    """A trader and its desk (`port` None: no desk). Start them in order, watch them, stop them in order."""

    def __init__(self, spec: RunSpec, port: int | None, say: Teller) -> None:
        if port is not None and not 0 < port <= PORT_MAX:
            raise ConfigError(f"port of the page: expected 1 to {PORT_MAX}, found {port}")
        self.spec, self._port, self.say = spec, port, say
        self._run = paths.run_dir(spec.account)
        self.trader: subprocess.Popen[bytes] | None = None
        self.desk: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.trading = False
        self._last_line = ""
        self._restarts = 0
        self._desk_down_at = 0

    def start(self, report: Report) -> None:
        """Start the trader, wait until it trades, then the desk. `report` is told what is compiled.

        Raises `ConfigError` when the account has a trader already, `Failed` with the trader's own words when it does not start.
        """
        refuse_second(self.spec.account)
        self._run.mkdir(parents=True, exist_ok=True)
        path = self._run / SPEC
        path.write_bytes(msgspec.json.encode(self.spec))
        self.trader = self._spawn("tercel.drivers.launch", str(path), output=subprocess.PIPE, log="trader.err")
        for line in self._lines(self.trader, START_S_MAX):
            word, _, text = line.partition(" ")
            if word == "trading":
                self.trading = True
                self.say("trading", text, account=self.spec.account, pid=self.trader.pid)
                break
            _tell(report, text)
        else:
            raise self._trader_failed()
        if self._port is not None:
            self._start_desk()

    def _spawn(self, module: str, *arguments: str, output: int, log: str) -> subprocess.Popen[bytes]:
        with (self._run / log).open("wb") as errors:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [sys.executable, "-m", "tercel.cli.child", str(os.getpid()), module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which stops them in order
            )

    def _start_desk(self) -> None:
        arguments = ("--account", self.spec.account, "--port", str(self._port))
        self.desk = self._spawn("tercel.api.desk", *arguments, output=subprocess.DEVNULL, log="desk.log")
        until = clock_ns() + round(DESK_START_S_MAX * NS_PER_S)
        while self.desk.poll() is None and clock_ns() < until:
            found = [word for word in self._words("desk.log").split() if word.startswith("http://")]
            if found:
                self.url = found[0]
                return
            time.sleep(POLL_S)
        raise TercelError(f"the desk did not start: {self._words('desk.log')[-DESK_WORDS_MAX:] or 'it said nothing'}")

    def _lines(self, process: subprocess.Popen[bytes], seconds: float) -> Iterator[str]:
        assert process.stdout is not None
        until = clock_ns() + round(seconds * NS_PER_S)
        while line := _read_line(process.stdout, (until - clock_ns()) / NS_PER_S):
            self._last_line = line
            yield line

    def _words(self, log: str) -> str:
        """What a process wrote; of a traceback the last line, and where the whole of it is."""
        text = (self._run / log).read_text(errors="replace").strip().removeprefix("error: ")
        return f"{text.splitlines()[-1]} (the whole of it: {short(self._run / log)})" if "Traceback (" in text else text

    def _trader_failed(self) -> Failed:
        assert self.trader is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.trader.wait(DYING_S_MAX)  # its output ends a moment before it does
        late = self.trader.poll() is None
        _end(self.trader)
        status, words = self.trader.returncode, self._words("trader.err")
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        how = f"was not ready after {START_S_MAX:.0f} s" if late else how
        return Failed(words or f"the trader {how}; the last it said was {self._last_line!r}", status)

    def watch(self) -> bool:
        """True while the trader runs. A desk that died is started again, a few times."""
        assert self.trader is not None
        if self.desk is not None and self.desk.poll() is not None and self._restarts < DESK_RESTARTS_MAX:
            self._desk_down_at = self._desk_down_at or clock_ns()
            if clock_ns() - self._desk_down_at >= DESK_PAUSE_NS:
                self._restart_desk(self.desk.returncode)
        return self.trader.poll() is None

    def _restart_desk(self, status: int) -> None:
        self._restarts, self._desk_down_at = self._restarts + 1, 0
        try:
            self._start_desk()
            self.say("desk", f"the desk had ended ({status}) and was started again: {self.url}", url=self.url)
        except TercelError as error:
            self.say("desk", f"{error}; the trader is not touched", url="")

    def stop(self) -> str:
        """Stop both, the trader first; its last words. Raises `Failed` when it had been trading and failed."""
        final = ""
        if self.trader is not None:
            _end(self.trader)
            assert self.trader.stdout is not None
            for line in self.trader.stdout.read().decode(errors="replace").splitlines():
                word, _, text = line.partition(" ")
                final = text if word == "stopped" else final
        if self.desk is not None:
            _end(self.desk)
        if self.trading and self.trader is not None and self.trader.returncode:
            raise self._trader_failed()
        return final


def _tell(report: Report, text: str) -> None:
    """Pass on "compiling 3/9 tercel.core.step.step_run"."""
    _, _, rest = text.partition(" ")
    place, _, name = rest.partition(" ")
    done, _, total = place.partition("/")
    if done.isdigit() and total.isdigit():
        report(name, int(done), int(total))


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


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, wait, and insist when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
