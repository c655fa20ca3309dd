"""Recorded sessions of the venue: every frame is accounted for, and the book's top is the recorded best quote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tercel.base.records import BOOK, BOOK_CLEAR, LAST, QUOTE, SNAPSHOT, TRADE, Records
from tercel.market.book import LEVELS_MAX, Book
from tercel.market.definitions import guessed
from tercel.market.feeds.binance import Binance
from tests.market.feeds.binance_frames import COLLECTOR, SNAPSHOT_START, WEBSOCKET, Session, instrument, lines, sessions

COMPARED_EVERY = 20
COMPARISONS = 2_025  # what the README of the data counts over the sessions


@pytest.fixture(scope="module")
def recorded(data_dir: Path) -> list[Session]:
    """The sessions of two perpetuals and a spot pair."""
    return list(sessions(data_dir))


def test_the_book_is_the_recorded_best_quote(recorded: list[Session]) -> None:
    """After every 20th update the best prices equal the newest best quote not above the book's id: 2,025 times; none is lost."""
    compared = 0
    for session in recorded:
        decoder, symbol = Binance([instrument(session.symbol)]), session.symbol
        book, replayed = decoder.book(symbol), Book()
        taken, parts = 0, []
        for message in session.messages:
            if message.snapshot:
                assert decoder.wanted_snapshots() == ((symbol,) if decoder.held else ())
                rows = decoder.snapshot(symbol, message.payload, message.recv_ns)
                assert book.valid
                taken += decoder.delivered["depth"]
            else:
                rows = decoder.frame(message.payload, message.recv_ns)
                taken += book.valid
            parts.append(rows)
            if not message.snapshot and book.valid and taken % COMPARED_EVERY == 0:
                at = int(np.searchsorted(session.quote_ids, book.last_id, side="right")) - 1
                if at >= 0:
                    best = book.best()
                    assert (best.bid, best.ask) == tuple(session.quotes[at]), (symbol, book.last_id)
                    compared += 1
        assert not decoder.gaps
        assert decoder.wanted_snapshots() in ((), (symbol,))
        assert set(decoder.dropped) <= {"in_snapshot"}
        assert decoder.received == decoder.delivered["depth"] + decoder.dropped["in_snapshot"] == len(session.messages) - 1
        replayed.apply(np.concatenate(parts))
        assert replayed.levels(LEVELS_MAX) == book.levels(LEVELS_MAX)
        assert (replayed.last_id, replayed.certain, replayed.thin) == (book.last_id, book.certain, book.thin)
    assert compared == COMPARISONS


def test_a_session_with_strange_streams_is_counted_to_the_last_frame(data_dir: Path) -> None:
    """Four perpetuals: every bookTicker is a quote, updates are held for want of a snapshot, other streams are counted, not errors."""
    symbols = ("SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT")
    decoder = Binance([guessed(f"{symbol}-PERP", "binance", 5, 0) for symbol in symbols])
    kinds: dict[int, int] = {}
    for recv_ns, payload in lines(data_dir / WEBSOCKET / "BINANCE_FUTURES.ws.1.0.gz"):
        for kind in decoder.frame(payload, recv_ns)["kind"].tolist():
            kinds[kind] = kinds.get(kind, 0) + 1
    assert kinds == {QUOTE: 613} == {QUOTE: decoder.delivered["bookTicker"]}
    assert decoder.dropped == {"unknown_stream": 158}  # 91 aggTrade and 67 kline
    assert decoder.received == 1_535 == 613 + 158 + decoder.held
    assert not decoder.gaps
    assert decoder.wanted_snapshots() == tuple(f"{symbol}-PERP" for symbol in symbols)


def test_a_collectors_file_is_whole(data_dir: Path) -> None:
    """Trades, best quotes, updates and the snapshot among them: every row is a legal record and the three streams tell one market."""
    symbol, folder = "BTCUSDT-PERP", data_dir / COLLECTOR
    decoder, parts = Binance([instrument(symbol)]), []
    for path in sorted(folder.glob("*.gz")):
        for recv_ns, payload in lines(path):
            parts.append(
                decoder.snapshot(symbol, payload, recv_ns) if payload.startswith(SNAPSHOT_START) else decoder.frame(payload, recv_ns)
            )
    rows = np.concatenate(parts)
    assert not decoder.gaps
    assert decoder.dropped == {"in_snapshot": 5}
    assert decoder.received == sum(decoder.delivered.values()) + 5
    assert counted(rows) == decoder.delivered
    levels = rows[rows["kind"] == BOOK]
    assert (rows["kind"] == BOOK_CLEAR).sum() == 1
    assert ((levels["flags"] & SNAPSHOT) != 0).sum() == 2_000
    assert (np.diff(rows["ref"][rows["kind"] == TRADE]) == 1).all()
    assert (np.diff(rows["ref"][rows["kind"] == QUOTE]) > 0).all()
    quotes = rows[rows["kind"] == QUOTE]
    assert (quotes["price"] < quotes["price2"]).all()


def counted(rows: Records) -> dict[str, int]:
    """Messages by kind of stream: rows that end one, but for the snapshot."""
    last = rows[((rows["flags"] & LAST) != 0) & ((rows["flags"] & SNAPSHOT) == 0)]
    names = {"trade": TRADE, "bookTicker": QUOTE, "depth": BOOK}
    return {name: int((last["kind"] == kind).sum()) for name, kind in names.items()}
