"""Users of the desk: each asks for charts and signals and gives orders, 3 : 2 : 1, on a connection of its own, at times drawn beforehand.

An order is a hundredth of a lot at the market, bought and sold in turn, so that a user holds that much at most. One that a check of the
trader denies has been answered: it is timed like the others, and counted by its reason.

The next time of a user does not wait for an answer: it is 0.1 to 0.5 s after the last *time*, and what an answer took counts from that
time on. So a desk that stalls is charged for all who would have asked meanwhile (Tene, "How NOT to measure latency", 2013). Written on bare
asyncio, so that the load is the server's and not a client library's. Only a desk of this machine is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import random
import resource
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from benchmarks.harness import Answer, NotMeasurable

USERS_MAX = 10_000
DURATION_S_MAX = 3_600.0
SPAWN_PER_S = 100.0  # new users a second
WAIT_S = (0.1, 0.5)
ANSWER_S_MAX = 10.0
LATE_S_MAX = 10.0  # a user that is further behind leaves out what it has missed; it is counted
HEAD_BYTES_MAX, BODY_BYTES_MAX = 16_384, 16 << 20
DESCRIPTORS_BESIDE = 200
CHART, SIGNALS, ORDERS = "chart", "signals", "orders"
MIX = ((CHART, 3), (SIGNALS, 2), (ORDERS, 1))
ORDER_LOTS = (0.01, 1.0)  # the first that is a whole size of the instrument
ANSWERS = {200, 201, 422}  # 422: a check denied the order
BUDGET_MS = {50.0: 10.0, 99.0: 50.0}  # asked of every answer of the API
PERCENTILES = (50.0, 95.0, 99.0)


class Load(NamedTuple):
    """How many users for how long. Raises nothing; `checked` does."""

    users: int = 10
    duration_s: float = 10.0
    seed: int = 1
    spawn_per_s: float = SPAWN_PER_S

    def checked(self) -> Load:
        """Itself. Raises `NotMeasurable` for a number out of bounds, or more users than this process may open connections."""
        if not 1 <= self.users <= USERS_MAX:
            raise NotMeasurable(f"users: expected 1 to {USERS_MAX:,}, found {self.users:,}")
        if not 0.0 < self.duration_s <= DURATION_S_MAX:
            raise NotMeasurable(f"duration: expected up to {DURATION_S_MAX:g} s, found {self.duration_s:g}")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = self.users + DESCRIPTORS_BESIDE
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise NotMeasurable(f"{self.users:,} users need {needed:,} file descriptors, this process may have {hard:,} (ulimit -Hn)")
        if soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return self


class Target(NamedTuple):
    """A desk of this machine, the address of each kind of read, and what may be ordered: (symbol, lots)."""

    host: str
    port: int
    paths: dict[str, tuple[str, ...]]
    sizes: tuple[tuple[str, float], ...] = ()


class Refused(Exception):
    """The desk answered with something else than what was asked for."""


def own_machine(url: str) -> tuple[str, int]:
    """Host and port of a desk on the loopback. Raises `NotMeasurable` for any other host."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    host = parts.hostname or ""
    loopback = host == "localhost"
    with contextlib.suppress(ValueError):
        loopback = loopback or ipaddress.ip_address(host).is_loopback
    if not loopback:
        raise NotMeasurable(f"{url}: expected a desk on this machine (127.0.0.1, localhost or [::1]): load is sent nowhere else")
    return host, parts.port or 80


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """(status, body) of the next answer. Raises `Refused` for a status not in `ANSWERS`, a body without a length or beyond the bound."""
    head = (await reader.readuntil(b"\r\n\r\n"))[:HEAD_BYTES_MAX].decode("latin-1").split("\r\n")
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
    size = int(fields.get("content-length", "-1"))
    if not 0 <= size <= BODY_BYTES_MAX:
        raise Refused(f"content-length {fields.get('content-length')}")
    body = await reader.readexactly(size)
    status = head[0].split()[1]
    if int(status) not in ANSWERS:
        raise Refused(status)
    return int(status), body


def request(target: Target, path: str) -> bytes:
    """A GET that keeps the connection."""
    return f"GET {path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nAccept: application/json\r\n\r\n".encode()


def order(target: Target, symbol: str, lots: float, side: str) -> bytes:
    """A POST that gives an order and keeps the connection."""
    body = json.dumps({"symbol": symbol, "qty": lots, "side": side}).encode()
    head = f"POST /api/orders HTTP/1.1\r\nHost: {target.host}:{target.port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(target: Target, path: str) -> Any:
    """One answer as JSON, on a connection of its own. Raises `NotMeasurable` when there is none."""
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            try:
                writer.write(request(target, path))
                return json.loads((await read_answer(reader))[1])
            finally:
                writer.close()
    except (OSError, EOFError, ValueError, TimeoutError, Refused) as error:
        raise NotMeasurable(f"http://{target.host}:{target.port}{path}: {error or type(error).__name__}") from error


async def find_target(url: str) -> Target:
    """The desk at a URL of this machine, with a chart for each of its instruments and the smallest size of each."""
    bare = Target(*own_machine(url), {})
    instruments = (await ask(bare, "/api/instruments"))["instruments"]
    charts = tuple(f"/api/historical/chart-data/{instrument['name']}" for instrument in instruments)
    sizes = tuple((one["name"], next(lots for lots in ORDER_LOTS if _whole(lots, one) or lots == ORDER_LOTS[-1])) for one in instruments)
    return bare._replace(paths={CHART: charts, SIGNALS: ("/api/signals/current",)}, sizes=sizes)


def _whole(lots: float, instrument: Any) -> bool:
    raw = lots * instrument["lot"] * 10 ** instrument["size_decimals"]
    return bool(raw >= 1.0 and abs(raw - round(raw)) < 1e-6)


class Tally:
    """What all users saw: a histogram and a count of errors for each kind of request, and why orders were denied."""

    def __init__(self) -> None:
        from tercel.base.histogram import Histogram

        self.histograms = {kind: Histogram(np.zeros(Histogram.SIZE, np.int64)) for kind, _ in MIX}
        self.errors: dict[str, dict[str, int]] = {kind: {} for kind, _ in MIX}
        self.denied: dict[str, int] = {}
        self.users = self.open_max = self.open = self.left_out = 0

    def failed(self, kind: str, error: BaseException) -> None:
        """Count an error under its name."""
        name = f"{type(error).__name__} {error}".strip()[:80]
        self.errors[kind][name] = self.errors[kind].get(name, 0) + 1


class User:
    """One user: draws what it asks for and when, and keeps one connection while the desk lets it."""

    def __init__(self, target: Target, tally: Tally, seed: int) -> None:
        self.target, self.tally, self.chance = target, tally, random.Random(seed)
        self.size = self.chance.choice(target.sizes)
        self.connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.held = False  # whether the last order bought

    async def live(self, until: float) -> None:
        """Ask until a time of the monotonic clock."""
        kinds, weights = zip(*MIX, strict=True)
        due = time.monotonic() + self.chance.uniform(*WAIT_S)
        self.tally.users += 1
        try:
            while due < until:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                (kind,) = self.chance.choices(kinds, weights)
                await self.ask(kind, due)
                due += self.chance.uniform(*WAIT_S)
                while due < time.monotonic() - LATE_S_MAX:
                    self.tally.left_out += 1
                    due += self.chance.uniform(*WAIT_S)
        finally:
            self.close()

    async def ask(self, kind: str, due: float) -> None:
        """One request; its duration counts from when it was due."""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                if self.connection is None:
                    self.connection = await asyncio.open_connection(self.target.host, self.target.port)
                    self.tally.open += 1
                    self.tally.open_max = max(self.tally.open_max, self.tally.open)
                reader, writer = self.connection
                writer.write(self.words(kind))
                status, body = await read_answer(reader)
        except (OSError, EOFError, ValueError, TimeoutError, Refused) as error:
            self.tally.failed(kind, error)
            self.close()
        else:
            self.tally.histograms[kind].record(round((time.monotonic() - due) * 1e9))
            if status == 422:
                reason = str(json.loads(body).get("reason", ""))
                self.tally.denied[reason] = self.tally.denied.get(reason, 0) + 1
            elif kind == ORDERS:
                self.held = not self.held

    def words(self, kind: str) -> bytes:
        """The request of a kind that comes next."""
        if kind != ORDERS:
            return request(self.target, self.chance.choice(self.target.paths[kind]))
        return order(self.target, *self.size, "sell" if self.held else "buy")

    def close(self) -> None:
        """Let the connection go."""
        if self.connection is not None:
            self.connection[1].close()
            self.connection = None
            self.tally.open -= 1


async def _run(url: str, load: Load) -> tuple[Tally, float]:
    target, tally = await find_target(url), Tally()
    start = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(load.users):
            await asyncio.sleep(max(0.0, start + number / load.spawn_per_s - time.monotonic()))
            if time.monotonic() >= start + load.duration_s:
                break
            user = User(target, tally, load.seed * USERS_MAX + number)
            group.create_task(user.live(start + load.duration_s))
    return tally, time.monotonic() - start


def run(url: str, load: Load) -> Answer:
    """Send the load; `rows` has a line for each kind of request. Raises `NotMeasurable` when there is no desk, or not one of ours."""
    tally, seconds = asyncio.run(_run(url, load.checked()))
    rows = [row(kind, tally, seconds) for kind, _ in MIX]
    return {
        "users": tally.users, "open_max": tally.open_max, "seconds": seconds, "left_out": tally.left_out, "rows": rows,
        "requests": sum(each["requests"] for each in rows), "errors": sum(each["errors"] for each in rows),
        "per_s": sum(each["per_s"] for each in rows), "error_names": {kind: names for kind, names in tally.errors.items() if names},
        "denied": tally.denied,
    }  # fmt: skip


def row(kind: str, tally: Tally, seconds: float) -> Answer:
    """One kind of request: answers, errors, rate and percentiles in ms, and whether the budget is kept."""
    found = tally.histograms[kind]
    at = {q: found.percentile(q) / 1e6 for q in PERCENTILES}
    errors = sum(tally.errors[kind].values())
    return {
        "route": kind, "requests": found.count + errors, "errors": errors, "per_s": found.count / seconds,
        **{f"p{q:g}_ms": value for q, value in at.items()}, "max_ms": found.max / 1e6,
        "budget": "no answers" if not found.count else verdict(at),
    }  # fmt: skip


def verdict(at: dict[float, float]) -> str:
    """ "within", or which percentile is over which budget."""
    over = [f"p{q:g} over {limit:g} ms" for q, limit in BUDGET_MS.items() if at[q] > limit]
    return ", ".join(over) or "within"
