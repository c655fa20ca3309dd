"""A trader that is killed between an order by hand and its answer: given again under its client_id, it is one order."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tercel.base.records import OUT_INTENT, client_order_id
from tercel.drivers.launch import FeedSpec, RunSpec
from tercel.journal.entries import REWARMED, Note, Order
from tests.api.known import DeskProcess
from tests.simulation.dies_giving import PLACES
from tests.simulation.test_kill import read_until
from tests.traders import finish, journal_of, outputs_of, start

ACCOUNT = "killed"
BODY = {"symbol": "EURUSD", "qty": "0.1", "side": "buy", "client_id": "ann-1"}


@pytest.mark.parametrize("place", PLACES)
def test_an_order_that_is_given_again_is_one_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Killed before the log has it, before the journal has it, before it is answered, and after: the second try is the only one, or the
    first one's answer, and what follows goes on from there."""
    (tmp_path / "plan.toml").write_text('bars.every = "1h"\n')  # the rule has nothing to say yet
    spec = RunSpec(account=ACCOUNT, feed=FeedSpec(kind="simulator", speed=20), settings=str(tmp_path / "plan.toml"), sync="interval")
    monkeypatch.setenv("TERCEL_DIE_AT", place)
    process = start(tmp_path, spec, "tests.simulation.dies_giving")
    read_until(process, "trading")
    desk = DeskProcess(ACCOUNT)
    try:
        give_up = time.monotonic() + 20.0
        while not all(row["bid"] for row in desk.get("/api/instruments").get("instruments", [{"bid": None}])):
            assert time.monotonic() < give_up, "no quote"
            time.sleep(0.05)
        status, first = desk.post("/api/orders", BODY)
        assert (status, first["status"]) == ((201, "submitted") if place == "answered" else (503, "unknown"))
        process.communicate(timeout=20)
        known = place in ("kept", "answered")
        assert len([one for one in journal_of(ACCOUNT) if isinstance(one, Order)]) == known
        process = start(tmp_path, spec)
        assert "recovered" in read_until(process, "trading")
        for turn in range(2):
            status, answer = desk.post("/api/orders", BODY)
            assert (status, answer["status"]) == (201, "submitted"), answer
            assert answer["repeated"] == (turn > 0 or place != "asked")
        assert desk.post("/api/orders", {**BODY, "side": "sell"})[0] == 409
        assert desk.post("/api/orders", {**BODY, "client_id": "ann-2", "qty": "0.2"})[0] == 201
    finally:
        desk.close()
    process.terminate()
    finish(process)
    outputs = outputs_of(ACCOUNT)
    intents = outputs[outputs["kind"] == OUT_INTENT]
    assert intents["size"].tolist() == [10_000, 20_000]
    assert client_order_id(int(intents[0]["epoch"]), int(intents[0]["order"])) == answer["id"]
    assert place != "answered" or answer["id"] == first["id"]
    journal = journal_of(ACCOUNT)
    assert [one.order for one in journal if isinstance(one, Order)] == intents["order"].tolist()
    assert not [one for one in journal if isinstance(one, Note) and one.about == REWARMED]
