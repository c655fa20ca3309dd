"""The desk over HTTP: it says what the live view holds, and nobody but its own page can change anything."""

from __future__ import annotations

import http.client
import os
import socket
import time

import msgspec
import pytest

from tercel.api import ports
from tercel.api.ports import free_port
from tercel.base.errors import ConfigError
from tercel.base.paths import run_dir
from tercel.base.records import HALT, RESUME
from tercel.base.time import NS_PER_MS
from tercel.observe.control import ControlClient
from tests.api.known import ACCOUNT, ASKS, BIDS, DeskProcess, KnownTrader


def test_it_shows_what_the_live_view_holds(trader: KnownTrader, desk: DeskProcess) -> None:
    """Prices, position and money arrive as they were published."""
    first, second = desk.get("/api/instruments")["instruments"]
    assert (first["name"], first["bid"], first["ask"], first["spread"]) == ("EURUSD@oanda", BIDS[0], ASKS[0], 0.00012)
    assert (first["position"], first["position_lots"], first["pnl_micros"], first["open_orders"]) == (3000.0, 3.0, -123_450, 1)
    assert (second["currency"], second["bid"]) == ("JPY", BIDS[1])
    positions = desk.get("/api/positions")
    assert [row["name"] for row in positions["positions"]] == ["EURUSD@oanda"]
    assert positions["totals"] == [
        {"currency": "JPY", "pnl_micros": 0, "fees_micros": 0, "cash_micros": 0},
        {"currency": "USD", "pnl_micros": -123_450, "fees_micros": 60_000, "cash_micros": -3_252_840_000},
    ]


def test_it_shows_orders_fills_and_signals(trader: KnownTrader, desk: DeskProcess) -> None:
    """The outputs become orders with their mean fill price, fills, denials and the newest signal."""
    answer = desk.get("/api/orders")
    limit, market = answer["orders"]
    assert (market["type"], market["state"], market["filled"], market["open"]) == ("market", "filled", 3000.0, False)
    assert market["filled_price"] == pytest.approx((1.08424 * 1000 + 1.08430 * 2000) / 3000)
    assert market["id"] == "00000000000000030000000000000001"
    assert (limit["type"], limit["price"], limit["side"], limit["open"]) == ("limit", 1.085, "sell", True)
    assert [event["kind"] for event in answer["events"]] == ["denied", "fill", "fill"]
    assert answer["events"][0]["reason"] == "position"
    (signal,) = desk.get("/api/signals/current")["signals"]
    assert (signal["instrument"], signal["side"], signal["score"], signal["confidence"]) == ("EURUSD@oanda", "buy", 0.25, 0.61)


def test_it_shows_candles_by_symbol(trader: KnownTrader, desk: DeskProcess) -> None:
    """A bare symbol works while it is the only one; an unknown one is answered with the choices."""
    chart = desk.get("/api/historical/chart-data/EURUSD")
    assert chart["symbol"] == "EURUSD@oanda"
    assert chart["candles"] == [[row[0] / NS_PER_MS, *row[1:]] for row in trader.candles]
    assert desk.get("/api/historical/chart-data/EURUSD%40oanda") == chart
    status, _, body = desk.ask("GET", "/api/historical/chart-data/EURCHF%3Cb%3E")
    assert status == 404
    assert msgspec.json.decode(body)["error"] == "symbol 'EURCHF?b?': expected one of EURUSD@oanda, USDJPY@oanda"


def test_it_shows_latency_against_budgets_and_reasons(trader: KnownTrader, desk: DeskProcess) -> None:
    """A hundred turns, one of them over the budget of 15 µs; reasons with meaning, the most frequent first."""
    total = desk.get("/api/latency")["stages"][-1]
    assert (total["name"], total["count"], total["budget_us"], total["asked_ms"], total["over"]) == ("total", 100, 15.0, 200.0, 0.01)
    assert 5.0 <= total["p50_us"] <= 5.0 * (1 + 1 / 32)
    assert total["max_us"] == 40.0
    reasons = desk.get("/api/reasons")["reasons"]
    assert [(reason["name"], reason["count"]) for reason in reasons] == [("no_signal", 42), ("position", 1)]
    assert reasons[0]["by_instrument"] == {"EURUSD@oanda": 40, "USDJPY@oanda": 2}
    assert reasons[0]["remedy"]


def test_health_needs_a_trader_that_publishes_fresh_data(trader: KnownTrader, desk: DeskProcess) -> None:
    """Fresh data: 200. Old data: 503, and the part that fails is named."""
    with trader.running():
        status, _, body = desk.ask("GET", "/api/health")
        assert (status, msgspec.json.decode(body)["healthy"]) == (200, True)
    trader.publish(lambda: trader.writer.status.__setitem__("data_age_ns", 9_000 * NS_PER_MS))
    time.sleep(0.12)
    status, _, body = desk.ask("GET", "/api/health")
    checks = msgspec.json.decode(body)["checks"]
    assert status == 503
    assert [name for name, good in checks.items() if not good] == ["data_fresh"]
    trader.publish(lambda: trader.writer.status.__setitem__("data_age_ns", 0))


def test_halt_and_resume_over_http(trader: KnownTrader, desk: DeskProcess) -> None:
    """One POST halts; resuming needs the typed word; both answers carry the input that did it."""
    with trader.running():
        status, answer = desk.post("/api/halt", {"why": "test"})
        assert (status, answer["state"], answer["killed"]) == (200, "halted", True)
        assert answer["input_number"] == 500 + answer["number"]
        for body in ({}, {"confirm": "resume"}, {"confirm": ""}, []):
            assert desk.post("/api/resume", body)[0] == 400
        assert desk.get("/api/status")["killed"]
        status, answer = desk.post("/api/resume", {"confirm": "RESUME"})
        assert (status, answer["state"], answer["killed"]) == (200, "running", False)
    assert [command for command, _ in trader.asked[-2:]] == [HALT, RESUME]


def test_a_halt_with_an_unreadable_reason_still_halts(trader: KnownTrader, desk: DeskProcess) -> None:
    """Halting is never refused for its wording, however long or broken."""
    with trader.running():
        for body in (b"{", b"x" * 10_000):
            assert desk.ask("POST", "/api/halt", body, {"Content-Type": "application/json"})[0] == 200
            assert trader.control.killed
        assert desk.post("/api/resume", {"confirm": "RESUME"})[1]["state"] == "running"


def test_another_page_can_neither_halt_nor_resume(trader: KnownTrader, desk: DeskProcess) -> None:
    """A foreign origin, a form, a foreign host name: all refused before anything is read."""
    before = len(trader.asked)
    with trader.running():
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": f"http://127.0.0.1:{desk.port + 1}"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Content_Type": "text/plain"},
            {"Content_Type": "application/x-www-form-urlencoded"},
            {"Host": "evil.example"},
        ):
            for path in ("/api/halt", "/api/resume"):
                assert desk.post(path, {"confirm": "RESUME"}, **headers)[0] == 403, headers
        assert desk.ask("GET", "/api/halt")[0] == 405
    for host in ("evil.example", "127.0.0.1.evil.example", "evil.example@127.0.0.1", "[::1", "a]b", ""):
        assert desk.ask("GET", "/api/positions", headers={"Host": host})[0] == 403, host
    assert len(trader.asked) == before
    assert desk.post("/api/halt", {}, Origin=f"http://127.0.0.1:{desk.port}")[0] == 202  # its own page; the trader does not look now
    trader.control.acknowledge(trader.control.poll()[0], 1, "halted")
    with trader.running():
        desk.post("/api/resume", {"confirm": "RESUME"})


def test_every_answer_carries_the_security_headers(trader: KnownTrader, desk: DeskProcess) -> None:
    """Page, data and refusals alike: scripts only from us, no framing, no sniffing, and how long it took."""
    for path in ("/", "/static/main.js", "/api/status", "/nowhere"):
        headers = desk.ask("GET", path)[1]
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert float(headers["x-response-time"].removesuffix("ms")) >= 0
    assert "no-store" in desk.ask("GET", "/api/status")[1]["cache-control"]


def test_the_page_is_asked_for_once(trader: KnownTrader, desk: DeskProcess) -> None:
    """A browser that has the newest file is told so; nothing outside the page's own folder is served."""
    headers = desk.ask("GET", "/static/desk.css")[1]
    assert headers["content-type"].startswith("text/css")
    assert desk.ask("GET", "/static/desk.css", headers={"If-None-Match": headers["etag"]})[0] == 304
    for path in ("/static/../desk.py", "/static/%2e%2e/desk.py", "/static/", "/static"):
        assert desk.ask("GET", path)[0] == 404


def test_a_desk_without_a_trader_says_so_and_still_sets_the_kill_flag(desk: DeskProcess) -> None:
    """Before any trader ran: data is 503 with what to do, HALT is accepted for the next start, resume is refused."""
    early = DeskProcess("early")
    try:
        status, _, body = early.ask("GET", "/api/instruments")
        assert (status, "tercel run" in msgspec.json.decode(body)["error"]) == (503, True)
        assert early.ask("GET", "/api/health")[0] == 503
        assert early.get("/api/status")["status"] is None
        status, answer = early.post("/api/halt", {})
        assert (status, answer["state"], answer["killed"]) == (202, "not_running", True)
        assert early.post("/api/resume", {"confirm": "RESUME"})[0] == 409
        assert ControlClient(run_dir("early")).killed
    finally:
        early.close()


def test_its_address_is_said_and_written(desk: DeskProcess) -> None:
    """The address is on the log and in `desk.url` of the run folder."""
    assert (run_dir(ACCOUNT) / "desk.url").read_text() == desk.url
    assert desk.url in desk.said


def test_a_taken_port_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next free port is taken, by one desk of two that start together; when all that may be tried are taken the operator is told."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (first, claim), (second, other) = free_port(port), free_port(port)
        assert port < first < second < port + ports.PORTS_TRIED_MAX  # claimed before anybody listens there
        os.close(claim)
        again, claim = free_port(port)
        assert again == first
        os.close(claim)
        os.close(other)
        monkeypatch.setattr(ports, "PORTS_TRIED_MAX", 1)
        with pytest.raises(ConfigError, match=f"{port} to {port}"):
            free_port(port)


def test_many_connections_are_kept_and_each_is_answered(trader: KnownTrader, desk: DeskProcess) -> None:
    """Four hundred keep theirs open, and the one that comes last is answered at once as the first is again."""
    opened = [http.client.HTTPConnection("127.0.0.1", desk.port, timeout=10) for _ in range(400)]
    try:
        for connection in [*opened, *opened[::-1]]:
            connection.request("GET", "/api/instruments")
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()
    finally:
        for connection in opened:
            connection.close()
