"""The commands of this folder work, with tiny inputs: what they measure is whole, what they cannot measure they say."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks import data, ours, trader
from benchmarks.harness import NotMeasurable
from benchmarks.load import BUDGET_MS, CHART, MIX, ORDERS, SIGNALS, USERS_MAX, Load, Tally, Target, User, own_machine, row, verdict
from benchmarks.trader import Watched
from tercel.base.histogram import Histogram
from tests.performance import benchmark_suite, load_tests


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """A trader with its desk on the simulated market."""
    with trader.running() as running:
        yield running


def test_indicator_calculation() -> None:
    """The indicators that are timed are the textbook's, each update has a cost, and two runs give the same values to the bit."""
    walk = data.random_walk(2_000)
    mids = (walk.rows["bid"] + walk.rows["ask"]) / 2.0
    names = ("sma_20", "ema_20", "rsi_14", "returns_20", "volatility_20")
    costs = Histogram(np.zeros(Histogram.SIZE, np.int64))
    last: list[tuple[float, ...]] = []
    for _ in range(2):
        step = ours.stepper(names, mids[:1_000])
        for price in mids[1_000:].tolist():
            start = time.perf_counter_ns()
            values = step([price])
            costs.record(time.perf_counter_ns() - start)
        last.append(values)
    assert last[0] == last[1]
    assert math.isclose(last[0][0], float(np.mean(mids[-20:])), rel_tol=1e-12)
    assert math.isclose(last[0][3], float(mids[-1] / mids[-21] - 1.0), rel_tol=1e-9, abs_tol=1e-15)
    assert 0.0 < last[0][2] < 100.0
    assert costs.count == 2_000
    assert 0 < costs.percentile(50) <= costs.percentile(95) <= costs.percentile(99) <= costs.max
    print(f"indicator calculation: mean {costs.mean:,.0f} ns, p95 {costs.percentile(95):,} ns, p99 {costs.percentile(99):,} ns")


@pytest.mark.timeout(400)
def test_the_suite_times_events_and_prints_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Both named benchmarks have a mean, a 95th and a 99th percentile beside what is asked, and every figure a value."""
    assert benchmark_suite.main(["--seconds", "2", "--rows", "2000"]) == 0
    said = capsys.readouterr().out
    for name in benchmark_suite.NAMED:
        (line,) = [line for line in said.splitlines() if line.startswith(name)]
        assert re.search(r"\) +[\d,]+( +\d+\.\d){3} +\d+ +\d", line), line
    assert "ticks/s" in said
    assert "ns/update" in said


@pytest.mark.timeout(400)
def test_the_load_is_answered_by_a_real_desk(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    """Every user is there, each kind of request is answered without an error, charts are asked for most, and orders were given by hand."""
    words = ["--against", watched.url, "--concurrent-users", "8", "--duration", "3", "--json"]
    assert load_tests.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["users"], found["open_max"], found["errors"]) == (8, 8, 0)
    requests = {each["route"]: each["requests"] for each in found["rows"]}
    assert requests[CHART] > requests[SIGNALS] > requests[ORDERS] > 0
    for each in found["rows"]:
        assert 0 < each["p50_ms"] <= each["p95_ms"] <= each["p99_ms"]
    assert load_tests.main(words[:-1]) == 0
    said = capsys.readouterr().out
    assert "POST /api/orders" in said
    assert "Refused" not in said
    assert requests[ORDERS] > sum(found["denied"].values())


@pytest.mark.timeout(400)
def test_a_running_trader_is_measured_through_its_desk(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    """The suite asks it for its stages and starts nothing."""
    assert benchmark_suite.main(["--against", watched.url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["figures"] == []
    assert {each["what"] for each in found["events"]} >= {"indicator calculation (features)", "total"}
    assert any(each["count"] and each["p99_us"] > 0 for each in found["events"])


@pytest.mark.parametrize(
    "url", ["http://example.org:8700", "http://10.0.0.7", "http://0.0.0.0:8700", "desk:8700", "http://127.0.0.1.evil.org"]
)
def test_load_is_sent_to_this_machine_only(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Any other host is refused before a byte is sent, by both commands."""
    with pytest.raises(NotMeasurable, match="expected a desk on this machine"):
        own_machine(url)
    assert load_tests.main(["--against", url]) == 2
    assert benchmark_suite.main(["--against", url]) == 2
    assert "expected a desk on this machine" in capsys.readouterr().err


def test_names_of_this_machine_are_taken() -> None:
    """With and without a scheme."""
    assert own_machine("http://127.0.0.1:8700/") == ("127.0.0.1", 8700)
    assert own_machine("localhost:9") == ("localhost", 9)
    assert own_machine("http://[::1]:8700") == ("::1", 8700)


@pytest.mark.parametrize("words", [("--concurrent-users", "0"), ("--concurrent-users", str(USERS_MAX + 1)), ("--duration", "-1")])
def test_a_load_without_bounds_is_refused(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Users and time are bounded, and the error says how."""
    assert load_tests.main(list(words)) == 2
    assert "expected" in capsys.readouterr().err


def test_no_desk_means_no_figure(capsys: pytest.CaptureFixture[str]) -> None:
    """A port where nobody listens is named, and nothing is printed as a result."""
    assert load_tests.main(["--against", "http://127.0.0.1:9", "--duration", "1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "http://127.0.0.1:9/api/instruments" in said.err


def test_what_a_user_waits_for_counts_from_when_it_was_due() -> None:
    """A server that stalls once is charged for the requests that fell into the stall, and what it refuses is counted by name."""

    async def lived() -> Tally:
        answered = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal answered
            with_end = reader.readuntil
            while not reader.at_eof():
                try:
                    await with_end(b"\r\n\r\n")
                except asyncio.IncompleteReadError:
                    break
                answered += 1
                await asyncio.sleep(1.5 if answered == 2 else 0.0)
                status = b"503 Service Unavailable" if answered == 3 else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\n{}")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            tally = Tally()
            user = User(Target("127.0.0.1", port, {kind: ("/",) for kind, _ in MIX}, (("EURUSD", 0.01),)), tally, 3)
            await user.live(asyncio.get_running_loop().time() + 3.0)
            return tally

    tally = asyncio.run(lived())
    slow = sum(found.count * found.share_over(500_000_000) for found in tally.histograms.values())
    assert slow >= 3
    assert [name for names in tally.errors.values() for name in names] == ["Refused 503"]
    assert tally.open == 0


def test_a_user_sells_what_it_has_bought_and_a_denial_is_an_answer() -> None:
    """Sides change with each order that was sent, not with a denied one, which is timed and counted by its reason."""
    answers = [b"201 Created", b"422 Unprocessable Entity", b"201 Created", b"201 Created"]
    sides = []

    async def lived() -> Tally:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for answer in answers:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert head.startswith("POST /api/orders HTTP/1.1\r\n")
                body = json.loads(await reader.readexactly(int(head.split("Content-Length: ")[1].split()[0])))
                assert (body["symbol"], body["qty"]) == ("EURUSD@sim", 0.01)
                sides.append(body["side"])
                said = b'{"reason": "position"}'
                writer.write(b"HTTP/1.1 " + answer + b"\r\ncontent-length: " + str(len(said)).encode() + b"\r\n\r\n" + said)

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            tally = Tally()
            user = User(Target("127.0.0.1", server.sockets[0].getsockname()[1], {}, (("EURUSD@sim", 0.01),)), tally, 1)
            for _ in answers:
                await user.ask(ORDERS, time.monotonic())
            user.close()
            return tally

    tally = asyncio.run(lived())
    assert sides == ["buy", "sell", "sell", "buy"]
    assert tally.denied == {"position": 1}
    assert tally.histograms[ORDERS].count == len(answers)
    assert not tally.errors[ORDERS]


def test_a_budget_is_kept_or_named() -> None:
    """The table says which percentile is over, and that silence is no success."""
    assert verdict(dict.fromkeys((50.0, 95.0, 99.0), 1.0)) == "within"
    assert verdict({50.0: BUDGET_MS[50.0] + 1, 95.0: 40.0, 99.0: BUDGET_MS[99.0] + 1}) == "p50 over 10 ms, p99 over 50 ms"
    assert row(CHART, Tally(), 1.0)["budget"] == "no answers"
    assert Load(users=1, duration_s=1.0).checked().users == 1
