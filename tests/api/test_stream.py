"""The stream: everybody gets the newest state, nobody costs more than four messages."""

from __future__ import annotations

import time

import pytest

from tercel.api.stream import SILENT_NS_MAX, UNANSWERED_MAX, Client, _SilentError
from tests.api.known import DeskProcess, KnownTrader
from tests.api.wire import Wire


def test_the_first_message_is_everything_and_the_next_what_changed(trader: KnownTrader, desk: DeskProcess) -> None:
    """A new price arrives without the rest."""
    wire = Wire(desk.port)
    first = wire.message()
    assert first["full"]
    assert {"status", "instruments", "candles", "orders", "stages", "reasons"} <= set(first)
    trader.publish(bids=(1.08333, 156.214))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        news = wire.message()
        if news.get("instruments", {}).get("0", {}).get("bid") == 1.08333:
            break
    assert not news["full"]
    assert "orders" not in news
    wire.close()


def test_an_idle_stream_beats(trader: KnownTrader, desk: DeskProcess) -> None:
    """Nothing changes, and still a message comes within two seconds, so that silence means a broken connection."""
    wire = Wire(desk.port)
    versions = [wire.message()["v"] for _ in range(3)]
    assert versions == sorted(set(versions))
    wire.close()


def test_a_slow_client_is_skipped_then_brought_up_to_date(trader: KnownTrader, desk: DeskProcess) -> None:
    """Without answers four messages come, not more; after one answer the next message holds the newest price of all that was missed."""
    with trader.running():
        wire = Wire(desk.port)
        unanswered = [wire.message(answer=False)["v"] for _ in range(UNANSWERED_MAX)]
        wire.socket.settimeout(0.7)
        with pytest.raises(TimeoutError):
            wire.message(answer=False)
        wire.close()
        late = Wire(desk.port)
        seen = [late.message(answer=False)["v"] for _ in range(UNANSWERED_MAX)]
        time.sleep(0.5)
        late.send(str(seen[-1]))
        newest = late.message()
        assert newest["v"] >= seen[-1] + 4
        assert not newest["full"]
        late.close()
    assert len(unanswered) == UNANSWERED_MAX


def test_a_silent_client_is_closed_with_try_again(trader: KnownTrader, desk: DeskProcess) -> None:
    """Who answers nothing for five seconds is closed with 1013, and the desk forgets it."""
    with trader.running():
        wire = Wire(desk.port)
        wire.socket.settimeout(9)
        started = time.monotonic()
        assert wire.until_closed(answer=False) == "1013"
        assert time.monotonic() - started > 4
    wire.close()
    assert desk.get("/api/status")["clients"] == 0


def test_a_foreign_page_cannot_watch(desk: DeskProcess) -> None:
    """A WebSocket from another origin or under another host name is refused."""
    for refused in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        with pytest.raises(ConnectionError, match="403"):
            Wire(desk.port, **refused)
    Wire(desk.port, origin=f"http://127.0.0.1:{desk.port}").close()


def test_talk_that_is_no_answer_ends_the_connection(desk: DeskProcess) -> None:
    """The desk takes version numbers and nothing else from a client."""
    wire = Wire(desk.port)
    wire.message()
    wire.send("{'halt': true}")
    assert wire.until_closed() == "1008"
    wire.close()


def test_fifty_watchers_all_get_the_newest_price(trader: KnownTrader, desk: DeskProcess) -> None:
    """One publication reaches fifty connections, and all are forgotten when they go."""
    wires = [Wire(desk.port) for _ in range(50)]
    for wire in wires:
        wire.message()
    trader.publish(bids=(1.07777, 156.214))
    for wire in wires:
        for _ in range(20):
            if wire.message().get("instruments", {}).get("0", {}).get("bid") == 1.07777:
                break
        else:
            pytest.fail("the price did not arrive")
    assert desk.get("/api/status")["clients"] == 50
    for wire in wires:
        wire.close()
    deadline = time.monotonic() + 5
    while desk.get("/api/status")["clients"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert desk.get("/api/status")["clients"] == 0


def test_answers_count_for_what_they_name() -> None:
    """An answer frees every message up to its version; only decimal versions are answers; five silent seconds are the limit."""
    client = Client(0)
    client.unanswered.extend((3, 5, 8, 9))
    assert not client.ready(1)
    assert client.answer("5", 2)
    assert list(client.unanswered) == [8, 9]
    assert client.ready(3)
    for text in ("", "-1", "1.5", "nine", "1" * 21):
        assert not client.answer(text, 3)
    with pytest.raises(_SilentError):
        client.ready(3 + SILENT_NS_MAX)
