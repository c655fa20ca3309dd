"""Orders by hand over HTTP, before a real trader: taken once, denied with the reason, and answered for after every restart."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tercel.api import orders as module
from tercel.base.records import HALT, OUT_INTENT, client_order_id
from tercel.drivers.launch import FeedSpec, RunSpec
from tercel.journal.entries import Order
from tests.api.known import DeskProcess, KnownTrader
from tests.simulation.test_kill import read_until
from tests.traders import finish, journal_of, outputs_of, start

ACCOUNT = "by-hand"
FEED = FeedSpec(kind="simulator", speed=20)
SETTINGS = """
[bars]
every = "1h"
[risk]
order_lots = 2
position_lots = 1000
notional = { "" = 1e9 }
orders_per_second = 0
open_orders = 1000
"""


class Trading:
    """A trader of the simulated market whose rule stays without enough bars, and its desk; each may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plan.toml").write_text(SETTINGS)
        self.start_trader()
        self.desk = DeskProcess(ACCOUNT)

    def start_trader(self) -> None:
        """Start it, and wait until every instrument has a quote."""
        self.trader = start(self.folder, RunSpec(account=ACCOUNT, feed=FEED, settings=str(self.folder / "plan.toml"), sync="interval"))
        read_until(self.trader, "trading")

    def kill_trader(self) -> None:
        """SIGKILL."""
        self.trader.send_signal(signal.SIGKILL)
        self.trader.communicate()

    def order(self, **body: object) -> tuple[int, Any]:
        """(status, answer) of a POST; 0.1 lots of EURUSD are bought unless the test says otherwise."""
        return self.desk.post("/api/orders", {"symbol": "EURUSD", "qty": "0.1", "side": "buy", **body})

    def until_quoted(self) -> None:
        """Wait for a quote of each instrument."""
        give_up = time.monotonic() + 20.0
        while not all(row["bid"] for row in self.desk.get("/api/instruments").get("instruments", [{"bid": None}])):
            assert time.monotonic() < give_up, "no quote"
            time.sleep(0.05)

    def close(self) -> None:
        """End both."""
        self.desk.close()
        if self.trader.poll() is None:
            self.trader.terminate()
            finish(self.trader)


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trading]:
    """One session for all tests; each uses client_ids of its own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("orders")
        patch.setenv("TERCEL_HOME", str(folder / "home"))
        running = Trading(folder)
        try:
            running.until_quoted()
            yield running
        finally:
            running.close()


def intents() -> list[str]:
    """Order ids of every intent in the journal."""
    found = outputs_of(ACCOUNT)
    return [client_order_id(int(one["epoch"]), int(one["order"])) for one in found[found["kind"] == OUT_INTENT]]


def test_an_order_is_sent_and_shown_as_given_by_hand(trading: Trading) -> None:
    """201 with the id it has everywhere; the list says that a person gave it, and soon that it was filled."""
    status, answer = trading.order(client_id="first", qty=0.25, symbol="EURUSD@sim")
    assert (status, answer["client_id"], answer["status"], answer["qty"]) == (201, "first", "submitted", 0.25)
    assert (len(answer["id"]), answer["symbol"], answer["side"], answer["limit"]) == (32, "EURUSD@sim", "buy", None)
    (row,) = [one for one in trading.desk.get("/api/orders")["orders"] if one["id"] == answer["id"]]
    assert (row["by"], row["client_id"], row["size"], row["type"]) == ("hand", "first", 25_000.0, "market")
    give_up = time.monotonic() + 20.0
    while (found := trading.desk.get("/api/orders?client_id=first"))["status"] != "filled":
        assert time.monotonic() < give_up, found
        time.sleep(0.05)
    assert found["id"] == answer["id"]
    assert found["order"]["filled"] == 25_000.0


def test_a_limit_order_rests_and_an_unnamed_one_is_given_a_name(trading: Trading) -> None:
    """The limit is taken to the digit; the client_id that was made answers for it."""
    bid = next(row["bid"] for row in trading.desk.get("/api/instruments")["instruments"] if row["name"] == "EURUSD@sim")
    status, answer = trading.order(limit=f"{bid - 0.005:.5f}")
    assert (status, answer["limit"]) == (201, pytest.approx(bid - 0.005, abs=1e-5))
    again = trading.desk.get(f"/api/orders?client_id={answer['client_id']}")
    assert again["id"] == answer["id"]
    assert again["order"]["type"] == "limit"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"qty": "0.000001"}, 400, "qty: expected lots of EURUSD@sim above 0, in steps of at least 1/100,000, found 0.000001"),
        ({"qty": 0}, 400, "above 0"), ({"qty": "-1"}, 400, "above 0"), ({"qty": "NaN"}, 400, "found NaN"),
        ({"qty": "1e999999999"}, 400, "found 1E"), ({"qty": "1e-999999999"}, 400, "found 1E"), ({"qty": "x"}, 400, "Invalid decimal"),
        ({"qty": None}, 400, "Expected `decimal`"), ({"side": "long"}, 400, "enum value 'long'"), ({"typ": 1}, 400, "unknown field"),
        ({"limit": "1.0000001"}, 400, "at most 5 decimals"), ({"limit": 0}, 400, "above 0"), ({"symbol": 7}, 400, "Expected `str`"),
        ({"client_id": ""}, 400, "client_id"), ({"client_id": "x" * 65}, 400, "client_id"), ({"client_id": "ü"}, 400, "client_id"),
        ({"symbol": "EURXYZ"}, 404, "expected one of"), ({"symbol": "EURUSD@oanda"}, 404, "expected one of"),
    ],
)  # fmt: skip
def test_what_is_no_order_is_refused_in_words(trading: Trading, body: dict[str, Any], status: int, said: str) -> None:
    """Each says what is wrong and gives no order."""
    before = len(intents())
    found = trading.order(**body)
    assert found[0] == status, found
    assert said in found[1]["error"]
    assert len(intents()) == before


def test_no_other_page_and_no_long_body_gives_an_order(trading: Trading) -> None:
    """The guards of halt and resume hold here too."""
    assert trading.desk.post("/api/orders", {}, Origin="http://evil.example")[0] == 403
    assert trading.desk.ask("POST", "/api/orders", b"{}", {"Content-Type": "text/plain"})[0] == 403
    status, headers, body = trading.desk.ask("POST", "/api/orders", b" " * 5_000, {"Content-Type": "application/json"})
    assert (status, b"at most 4096 bytes" in body) == (400, True)
    assert float(headers["x-response-time"].removesuffix("ms")) >= 0


def test_a_denied_order_says_why_and_stays_denied(trading: Trading) -> None:
    """422 with the reason's name, meaning and remedy; the same again under that client_id, a new order under another."""
    for _ in range(2):
        status, answer = trading.order(client_id="large", qty=3)
        assert (status, answer["status"], answer["reason"], answer["id"]) == (422, "denied", "order_size", "")
        assert answer["error"] == "denied: order_size: the order is larger than risk.order_lots; raise the limit or order less"
    found = trading.desk.get("/api/orders?client_id=large")
    assert (found["status"], found["reason"], found["order"]) == ("denied", "order_size", None)
    assert trading.order(client_id="smaller", qty=1)[0] == 201


def test_a_halted_trader_denies_and_a_resumed_one_does_not(trading: Trading) -> None:
    """The kill switch holds for orders by hand."""
    assert trading.desk.post("/api/halt", {})[1]["state"] == "halted"
    status, answer = trading.order(client_id="halted")
    assert (status, answer["reason"]) == (422, "halted")
    assert trading.desk.post("/api/resume", {"confirm": "RESUME"})[1]["state"] == "running"
    assert trading.order(client_id="resumed")[0] == 201


def test_a_client_id_names_one_order_for_good(trading: Trading) -> None:
    """The same again is the first answer, whoever was restarted in between; another order under that name is refused."""
    first = trading.order(client_id="once", qty=0.5)
    assert first[0] == 201

    def again() -> tuple[int, Any]:
        status, answer = trading.order(client_id="once", qty="0.50")
        return status, {**answer, "repeated": first[1]["repeated"]}

    assert again() == first
    status, answer = trading.order(client_id="once", qty=0.5, side="sell")
    assert (status, answer["id"]) == (409, first[1]["id"])
    assert first[1]["id"] in answer["error"]
    trading.desk.close()
    trading.desk = DeskProcess(ACCOUNT)
    assert again() == first
    trading.kill_trader()
    assert again() == first  # the journal answers while nobody trades
    assert trading.order(client_id="nobody")[0] == 503
    trading.start_trader()
    trading.until_quoted()
    assert again() == first
    assert trading.order(client_id="once", qty=0.5, side="sell")[0] == 409
    assert intents().count(first[1]["id"]) == 1


def test_two_hundred_at_once_are_all_accounted_for(trading: Trading) -> None:
    """Each is sent, or told that too many wait and certainly not given; none is lost, none is doubled, and a second try gives the rest."""
    before = len(intents())
    names = [f"crowd-{number}" for number in range(200)]
    answers: dict[str, tuple[int, Any]] = {}
    with ThreadPoolExecutor(200) as pool:

        def give(name: str) -> None:
            side = "buy" if int(name.rpartition("-")[2]) % 2 else "sell"
            answers[name] = trading.order(client_id=name, qty="0.01", side=side)

        gate = threading.Barrier(200)
        list(pool.map(lambda name: (gate.wait(20), give(name)), names))
        counts = Counter(status for status, _ in answers.values())
        assert set(counts) <= {201, 429, 503}, counts
        assert counts[201] >= module.WAITING_MAX
        assert all(answer["status"] == "not_given" for status, answer in answers.values() if status in (429, 503))
        given = {answer["id"] for status, answer in answers.values() if status == 201}
        assert len(given) == counts[201]
        assert sorted(intents()[before:]) == sorted(given)
        for _ in range(50):
            rest = [name for name, (status, _) in answers.items() if status != 201]
            list(pool.map(give, rest))
        assert {status for status, _ in answers.values()} == {201}
    ids = [answer["id"] for _, answer in answers.values()]
    assert sorted(intents()[before:]) == sorted(ids)
    assert len(set(ids)) == 200
    by_hand = {one.client_id: one for one in journal_of(ACCOUNT) if isinstance(one, Order)}
    assert all(by_hand[name].order for name in names)


@contextmanager
def _early() -> Iterator[DeskProcess]:
    desk = DeskProcess("no-trader")
    try:
        yield desk
    finally:
        desk.close()


def test_without_a_trader_no_order_is_given(trading: Trading) -> None:
    """Before any trader ran: 503 for both, and an unknown client_id of a running one is a 404 that says what to do."""
    with _early() as desk:
        status, answer = desk.post("/api/orders", {"symbol": "EURUSD", "qty": 1, "side": "buy"})
        assert (status, answer["status"]) == (503, "not_given")
        assert "tercel run" in answer["error"]
        assert desk.ask("GET", "/api/orders?client_id=x")[0] == 503
    status, _, body = trading.desk.ask("GET", "/api/orders?client_id=x")
    assert status == 404
    assert "never sent twice" in msgspec.json.decode(body)["error"]


def test_a_trader_that_does_not_answer_leaves_the_outcome_open(
    known: tuple[KnownTrader, DeskProcess],
) -> None:
    """503 after two seconds: it says that nobody knows and how to ask; what waits behind it is told that it was not given."""
    trader, desk = known
    trader.publish()
    results: list[tuple[int, Any]] = []
    body = {"symbol": "EURUSD", "qty": 1, "side": "buy"}
    with ThreadPoolExecutor(80) as pool:
        results = list(pool.map(lambda number: desk.post("/api/orders", {**body, "client_id": f"n {number}"}), range(80)))
    assert {status for status, _ in results} == {503, 429}
    unknown = [answer for _, answer in results if answer["status"] == "unknown"]
    assert len(unknown) >= module.AT_ONCE
    assert len(unknown) < len(results) // 2
    assert f"GET /api/orders?client_id={unknown[0]['client_id'].replace(' ', '%20')}" in unknown[0]["error"]
    assert all(answer["status"] == "not_given" for _, answer in results if answer not in unknown)
    assert desk.post("/api/halt", {})[0] == 202  # a halt has its place all the same
    assert [request.command for request in trader.control.poll()] == [HALT]  # who gave up is not obeyed
    with trader.running():
        desk.post("/api/resume", {"confirm": "RESUME"})
