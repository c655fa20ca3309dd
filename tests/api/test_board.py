"""The board: what changed, for a client that has seen any version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tercel.api.board import Board
from tercel.base.errors import JournalError
from tercel.base.records import OUT_CANCEL, OUT_FILL, OUT_INTENT, OUT_SIGNAL
from tercel.base.time import NS_PER_S
from tercel.journal.entries import OUTPUTS, encode_outputs
from tercel.journal.journal import Journal
from tests.api.known import KnownTrader, output

KEYED = ("instruments", "candles", "orders", "events", "signals")


@pytest.fixture
def trader(tmp_path: Path) -> Iterator[KnownTrader]:
    """A trader with known values."""
    trader = KnownTrader(tmp_path / "run")
    yield trader
    trader.close()


@pytest.fixture
def board(trader: KnownTrader, tmp_path: Path) -> Board:
    """A board that has not looked yet."""
    return Board(trader.folder, tmp_path / "journal")


def merged(state: dict[str, Any], message: bytes) -> dict[str, Any]:
    """What a page holds after the message."""
    if not message:
        return state
    news = msgspec.json.decode(message)
    state = {} if news["full"] else dict(state)
    for section, value in news.items():
        state[section] = {**state.get(section, {}), **value} if section in KEYED else value
    return {section: value for section, value in state.items() if section not in ("v", "full", "now_ms")}


def test_a_client_that_missed_versions_ends_where_the_others_are(trader: KnownTrader, board: Board) -> None:
    """Whoever sees every version, every third or only the last holds the same at the end."""
    rng = np.random.default_rng(5)
    pages: list[tuple[int, dict[str, Any]]] = [(0, {}), (0, {}), (0, {})]
    for turn in range(1, 13):
        trader.publish(bids=(round(1.08 + rng.integers(0, 3) * 1e-5, 5), 156.214), fresh=False)
        board.refresh(turn * NS_PER_S)
        for page, every in enumerate((1, 3, 12)):
            if turn % every == 0:
                since, state = pages[page]
                pages[page] = board.version, merged(state, board.delta(since, 0))
    assert pages[0] == pages[1] == pages[2]
    assert set(pages[0][1]) == {"status", "desk", "totals", "stages", "reasons", *KEYED}


def test_only_what_changed_is_sent(trader: KnownTrader, board: Board) -> None:
    """One price moved: one instrument and the status, not the other one, no order, no candle."""
    board.refresh(1)
    seen = board.version
    trader.publish(bids=(1.08400, 156.214), fresh=False)
    board.refresh(2)
    news = msgspec.json.decode(board.delta(seen, 0))
    assert set(news) == {"v", "full", "now_ms", "status", "instruments"}
    assert list(news["instruments"]) == ["0"]
    board.refresh(3)
    assert board.delta(news["v"], 0) == b""


def test_it_is_encoded_once_for_all(trader: KnownTrader, board: Board) -> None:
    """Clients that have seen the same version get the very same bytes."""
    board.refresh(1)
    assert board.delta(0, 0) is board.delta(0, 5)


def test_after_a_restart_of_the_trader_everything_is_new(trader: KnownTrader, board: Board) -> None:
    """A client that had seen the old trader gets a full message about the new one."""
    board.refresh(1)
    seen = board.version
    trader.control.close()
    again = KnownTrader(trader.folder)
    board.refresh(2)
    news = msgspec.json.decode(board.delta(seen, 0))
    assert news["full"]
    assert set(KEYED) <= set(news)
    again.control.close()


def test_a_torn_or_absent_view_is_named_and_the_last_one_kept(trader: KnownTrader, tmp_path: Path) -> None:
    """No view yet: the problem says so. A writer that stopped in the middle: the last whole frame stays, with the problem beside it."""
    absent = Board(tmp_path / "nowhere", tmp_path / "journal")
    absent.refresh(1)
    assert absent.frame is None
    assert "tercel run" in absent.problem
    board = Board(trader.folder, tmp_path / "journal")
    board.refresh(1)
    trader.writer.begin()
    trader.writer.instruments["bid"] = 9.9
    board.refresh(2)
    assert "no consistent copy" in board.problem
    assert board.frame is not None
    assert board.frame.instruments["bid"].tolist() == [1.08412, 156.214]
    trader.writer.end()


def test_orders_come_from_the_journal_when_there_is_one(trader: KnownTrader, board: Board, tmp_path: Path) -> None:
    """The journal is the truth: what it holds is shown, once, and the live view's ring is left alone."""
    journal = Journal(tmp_path / "journal")
    journal.open()
    records = np.concatenate([
        output(kind=OUT_INTENT, instrument=7, side=1, order=11, size=1000, state=3, epoch=4, input=1),
        output(kind=OUT_FILL, instrument=7, side=1, order=11, price=108400, size=1000, filled=1000, state=9, epoch=4, input=2),
    ])  # fmt: skip
    journal.append(OUTPUTS, 1, encode_outputs(records[:1]))
    journal.commit()
    board.refresh(1)
    assert [(order.number, order.state) for order in board.blotter.orders.values()] == [(11, "submitted")]
    journal.append(OUTPUTS, 2, encode_outputs(records[1:]))
    journal.commit()
    board.refresh(2)
    assert [(order.number, order.state) for order in board.blotter.orders.values()] == [(11, "filled")]
    assert [event.kind for event in board.blotter.events] == ["fill"]
    journal.close()


def test_a_damaged_journal_is_reported_not_hidden(trader: KnownTrader, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page goes on with what it has and says what is wrong."""
    (board.journal_folder).mkdir()
    (board.journal_folder / f"journal-{1:020d}.log").write_bytes(b"no journal at all" * 10)
    board.refresh(1)
    assert board.journal_problem
    assert board.frame is not None
    with pytest.raises(JournalError):
        board._journal.poll()


def test_orders_and_events_are_bounded_and_open_orders_stay(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many orders the newest remain, and one that still works is not pushed out by those that are done."""
    monkeypatch.setattr("tercel.api.blotter.ORDERS_MAX", 5)
    blotter = board.blotter
    for number in range(1, 40):
        blotter.feed(output(kind=OUT_INTENT, instrument=7, side=1, order=number, size=1, state=3, epoch=1), {})
        if number > 1:
            blotter.feed(output(kind=OUT_CANCEL, instrument=7, side=1, order=number, size=1, state=10, epoch=1), {})
    assert [order.number for order in blotter.orders.values()] == [1, 36, 37, 38, 39]
    for _ in range(600):
        blotter.feed(output(kind=OUT_FILL, instrument=7, side=1, order=1, size=1, epoch=1), {})
    assert (len(blotter.events), blotter.events_seen) == (500, 600)


def test_news_about_a_filled_order_does_not_reopen_it(board: Board) -> None:
    """A cancel that lost the race leaves the order filled, and a fill without its intent is still shown."""
    fill = output(kind=OUT_FILL, instrument=7, side=-1, order=3, price=5, size=2, filled=2, state=9, epoch=1)
    board.blotter.feed(np.concatenate([fill, output(kind=OUT_CANCEL, instrument=7, order=3, state=9, epoch=1)]), {})
    (order,) = board.blotter.orders.values()
    assert (order.state, order.open, order.side, order.size, order.filled, order.filled_price) == ("filled", False, "sell", 2.0, 2.0, 5.0)
    board.blotter.feed(output(kind=OUT_SIGNAL, instrument=7, side=0, score=float("nan")), {})
    assert board.blotter.signals["id 7"].side == "flat"
