"""A live view with known values, and a desk process that shows it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tercel.base.codes import NAMES, NO_SIGNAL, POSITION
from tercel.base.paths import run_dir
from tercel.base.records import HALT, OUT_DENIED, OUT_FILL, OUT_INTENT, OUT_SIGNAL, OUTPUT, Records
from tercel.base.time import NS_PER_MIN, wall_ns
from tercel.observe.control import HALTED, RUNNING, ControlServer
from tercel.observe.live import LiveWriter
from tercel.observe.stages import TOTAL
from tests.observe.views import PAIRS, remove_view

ACCOUNT = "known"
BIDS, ASKS = (1.08412, 156.214), (1.08424, 156.226)
START = 10


def output(**fields: float) -> Records:
    """One OUTPUT record."""
    record = np.zeros(1, OUTPUT)
    for name, value in fields.items():
        record[name] = value
    return record


def trades(time_ns: int) -> Records:
    """A market order that was filled, a working limit order, a signal and a denial, all at `time_ns`."""
    common = {"time": time_ns, "epoch": 3, "instrument": 7}
    return np.concatenate([
        output(kind=OUT_SIGNAL, side=1, score=0.25, confidence=0.61, mid=1.08418, input=4, **common),
        output(kind=OUT_INTENT, side=1, order=1, size=3000, state=3, input=5, **common),
        output(kind=OUT_FILL, side=1, order=1, price=108424, size=1000, filled=1000, state=6, execution=1, fee_micros=20_000, **common),
        output(kind=OUT_FILL, side=1, order=1, price=108430, size=2000, filled=3000, state=9, execution=2, fee_micros=40_000, **common),
        output(kind=OUT_INTENT, side=-1, order=2, price=108500, size=1000, state=3, input=8, **common),
        output(kind=OUT_DENIED, side=1, code=POSITION, size=5000, input=9, **common),
    ])  # fmt: skip


class KnownTrader:
    """Plays the trader: holds its lock, publishes known values, answers halt and resume while `answering`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = ControlServer(folder)
        self.writer = LiveWriter.create(folder / "live.map", PAIRS, reason_names=NAMES, account=ACCOUNT, feed="known")
        self.asked: list[tuple[int, str]] = []
        self.halted = False
        for _ in range(99):
            self.writer.histograms[TOTAL].record(5_000)
        self.writer.histograms[TOTAL].record(40_000)
        minute = wall_ns() // NS_PER_MIN * NS_PER_MIN
        self.candles = [(minute - (START - k) * NS_PER_MIN, 1.084, 1.0845 + k * 1e-5, 1.0835, 1.0842, 100.0 + k) for k in range(START)]
        self.publish(lambda: self._fill(minute))

    def _fill(self, minute: int) -> None:
        for candle in self.candles:
            self.writer.candle(0, *candle)
        self.writer.push_outputs(trades(minute - 3 * NS_PER_MIN))
        rows = self.writer.instruments
        rows["position"], rows["cash_micros"], rows["fees_micros"] = (3000, 0), (-3_252_840_000, 0), (60_000, 0)
        rows["pnl_micros"], rows["open_orders"] = (-123_450, 0), (1, 0)
        self.writer.reasons[0, NO_SIGNAL], self.writer.reasons[1, NO_SIGNAL], self.writer.reasons[0, POSITION] = 40, 2, 1
        self.writer.status["orders"], self.writer.status["fills"], self.writer.status["denied"] = 2, 2, 1
        self.writer.status["epoch"], self.writer.status["feed_state"] = 3, b"live"

    def publish(self, change: Callable[[], None] = lambda: None, bids: tuple[float, float] = BIDS, fresh: bool = True) -> None:
        """One publication; `fresh` says that a quote has just arrived."""
        self.writer.begin()
        rows, status = self.writer.instruments, self.writer.status
        rows["bid"], rows["ask"], rows["mark"] = bids, ASKS, np.add(bids, ASKS) / 2
        if fresh:
            rows["quote_ns"] = rows["quote_wall_ns"] = wall_ns()
        status["state"], status["halted"] = (HALTED if self.halted else RUNNING).encode(), self.halted
        status["core_time_ns"] = wall_ns()
        change()
        self.writer.end()

    @contextmanager
    def running(self, period_s: float = 0.03, fresh: bool = True) -> Iterator[None]:
        """Publish and answer in a thread, as a trader's loop would."""
        stop = threading.Event()

        def loop() -> None:
            while not stop.wait(period_s):
                for request in self.control.poll():
                    self.asked.append((request.command, request.why))
                    self.halted = request.command == HALT
                    self.control.acknowledge(request, 500 + request.number, HALTED if self.halted else RUNNING)
                self.publish(fresh=fresh)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def close(self) -> None:
        """Let the lock go and remove the view from shared memory."""
        self.control.close()
        remove_view(self.folder)


class DeskProcess:
    """The desk as its users start it, on a free port from 8790 on."""

    def __init__(self, account: str = ACCOUNT) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "tercel.api.desk", "--account", account, "--port", "8790"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline()
        self.url = next((word for word in self.said.split() if word.startswith("http://")), "")
        assert self.url, self.said + self.process.stderr.read()
        self.port = int(self.url.rstrip("/").rpartition(":")[2])
        give_up = time.monotonic() + 20
        while True:
            try:
                self.get("/api/status")
                return
            except ConnectionError:
                assert time.monotonic() < give_up, "the desk does not answer"
                time.sleep(0.02)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """(status, headers, body) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON at `path`."""
        return msgspec.json.decode(self.ask("GET", path)[2])

    def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        """(status, JSON) of a POST with a JSON body."""
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        status, _, data = self.ask("POST", path, msgspec.json.encode(body), sent)
        return status, msgspec.json.decode(data) if data.startswith(b"{") else data.decode()

    def close(self) -> None:
        """Stop it as the system would; once is enough."""
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def desk_of_known_trader() -> Iterator[tuple[KnownTrader, DeskProcess]]:
    """A known trader and its desk under the TERCEL_HOME of the environment."""
    trader = KnownTrader(run_dir(ACCOUNT))
    try:
        desk = DeskProcess()
        try:
            yield trader, desk
        finally:
            desk.close()
    finally:
        trader.close()
