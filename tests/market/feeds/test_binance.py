"""What each message of Binance becomes, what is refused and why, and how losses are told."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tercel.base.errors import ConfigError
from tercel.base.records import BOOK, BOOK_CLEAR, GAP, LAST, QUOTE, SNAPSHOT, TICK, TRADE, Records
from tercel.market.feeds.binance import Binance, decoder
from tests.market.feeds.binance_frames import T0_NS, framed, instrument, snapshot, ticker, trade, update

BTC, ETH = instrument("BTCUSDT", 7), instrument("ETHUSDT", 8)
NOW = T0_NS + 5_000_000
BIDS, ASKS = [(100.0, 1.0), (99.0, 2.0)], [(101.0, 3.0), (102.0, 4.0)]


def kinds(rows: Records) -> list[int]:
    """Kinds in order."""
    return [int(kind) for kind in rows["kind"]]


def started() -> Binance:
    """A session whose book of BTCUSDT stands at id 20."""
    made = Binance([BTC])
    made.frame(update(11, 20, [(100.0, 1.0)]), NOW)
    made.snapshot("BTCUSDT", snapshot(15, BIDS, ASKS), NOW)
    return made


def test_the_session_names_its_streams_and_paths() -> None:
    """Three streams an instrument, two without depth, in one combined path with microseconds."""
    made = Binance([BTC, ETH])
    assert made.streams[:4] == ("btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms", "ethusdt@trade")
    assert made.path() == f"/stream?streams={'/'.join(made.streams)}&timeUnit=MICROSECOND"
    assert made.snapshot_path("ETHUSDT") == "/api/v3/depth?symbol=ETHUSDT&limit=1000"
    assert Binance([BTC], depth=False).streams == ("btcusdt@trade", "btcusdt@bookTicker")


def test_a_perpetual_has_the_paths_of_futures() -> None:
    """The wire says BTCUSDT, the server is another, times are milliseconds."""
    made = Binance([instrument("BTCUSDT-PERP")])
    assert made.path() == "/public/stream?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@depth@100ms"
    assert made.snapshot_path("BTCUSDT-PERP") == "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"


def test_a_trade_is_one_record() -> None:
    """Every field is where the record's definition puts it; a buyer who was the maker means a seller came to trade."""
    made = Binance([BTC, ETH])
    (row,) = made.frame(memoryview(trade(41, "3418.53", "0.25", maker=True, symbol="ETHUSDT")), NOW)
    assert row.tolist()[:7] == (T0_NS, NOW, 8, TRADE, -1, LAST, 3418.53)
    assert row["size"] == 0.25
    assert row["ref"] == 41
    assert np.isnan([row["price2"], row["size2"]]).all()
    (row,) = made.frame(trade(42, symbol="ETHUSDT", T=T0_NS // 1_000_000), NOW)
    assert (row["side"], row["ts_event"]) == (1, T0_NS)


def test_a_best_quote_is_one_record() -> None:
    """Spot sends no time with it: the event is its arrival; where there is a time it counts."""
    made = Binance([BTC])
    (row,) = made.frame(ticker(5, (100.0, 1.5), (100.1, 2.5)), NOW)
    assert row.tolist() == (NOW, NOW, 7, QUOTE, 0, LAST, 100.0, 1.5, 100.1, 2.5, 5)
    (row,) = made.frame(ticker(6, T=T0_NS // 1_000), NOW)
    assert row["ts_event"] == T0_NS
    assert row.dtype == TICK


def test_a_book_begins_with_a_snapshot_and_the_updates_held_for_it() -> None:
    """Updates before the snapshot are dropped, the first that reaches beyond it joins, every row of a message has its id, the last LAST."""
    made = Binance([BTC])
    assert made.wanted_snapshots() == ()
    assert len(made.frame(update(1, 10, [(100.0, 9.0)]), NOW)) == 0
    assert len(made.frame(update(11, 20, [(100.0, 5.0)], [(101.0, 0.0), (103.0, 1.0)]), NOW)) == 0
    assert made.wanted_snapshots() == ("BTCUSDT",)
    assert made.held == 2
    rows = made.snapshot("BTCUSDT", snapshot(15, BIDS, ASKS), NOW)
    assert kinds(rows) == [BOOK_CLEAR] + [BOOK] * 7
    assert rows["flags"].tolist() == [0, SNAPSHOT, SNAPSHOT, SNAPSHOT, SNAPSHOT | LAST, 0, 0, LAST]
    assert rows["ref"].tolist()[1:] == [15] * 4 + [20] * 3
    assert rows["side"].tolist()[1:] == [1, 1, -1, -1, 1, -1, -1]
    assert (rows["ts_event"][:5] == NOW).all()
    assert (rows["ts_event"][5:] == T0_NS).all()
    assert made.wanted_snapshots() == ()
    book = made.book("BTCUSDT")
    assert book.best() == (100.0, 5.0, 102.0, 4.0)
    assert book.levels(9) == ([(100.0, 5.0), (99.0, 2.0)], [(102.0, 4.0), (103.0, 1.0)])
    assert book.last_id == 20
    assert made.dropped == {"in_snapshot": 1}
    assert made.delivered == {"depth": 1}


def test_a_snapshot_older_than_the_updates_is_refused() -> None:
    """Between id 9 and the first update held an update is missing: nothing changes, the book stays wanted."""
    made = Binance([BTC])
    made.frame(update(11, 20), NOW)
    assert len(made.snapshot("BTCUSDT", snapshot(9, BIDS, ASKS), NOW)) == 0
    assert made.dropped == {"snapshot_old": 1}
    assert made.wanted_snapshots() == ("BTCUSDT",)
    assert len(made.snapshot("BTCUSDT", snapshot(10, BIDS, ASKS), NOW)) > 0
    assert made.book("BTCUSDT").valid


def test_a_gap_in_the_updates_gives_the_book_up_and_gets_it_back() -> None:
    """GAP and BOOK_CLEAR come at once, the update is held, and the next snapshot goes on with it."""
    made = started()
    rows = made.frame(update(22, 30, [(100.0, 7.0)]), NOW)
    assert kinds(rows) == [GAP, BOOK_CLEAR]
    assert rows["ref"].tolist() == [20, 20]
    assert rows["flags"].tolist() == [0, LAST]
    assert made.gaps == {"depth": 1}
    assert not made.book("BTCUSDT").valid
    assert np.isnan(made.book("BTCUSDT").best()).all()
    assert made.wanted_snapshots() == ("BTCUSDT",)
    made.snapshot("BTCUSDT", snapshot(25, BIDS, ASKS), NOW)
    assert made.book("BTCUSDT").best() == (100.0, 7.0, 101.0, 3.0)


def test_a_crossed_book_is_given_up() -> None:
    """A venue's own book is never crossed, so what we hold is wrong: its rows are not delivered."""
    made = started()
    rows = made.frame(update(21, 22, [(101.5, 1.0)]), NOW)
    assert kinds(rows) == [GAP, BOOK_CLEAR]
    assert made.dropped == {"crossed": 1}
    assert not made.book("BTCUSDT").valid


def test_updates_cut_differently_by_two_sockets_join() -> None:
    """An update that begins inside what the book holds and ends beyond it gives the book at its end."""
    made = started()
    assert kinds(made.frame(update(16, 25, [(100.0, 8.0)]), NOW)) == [BOOK]
    assert made.book("BTCUSDT").last_id == 25
    made.frame(update(18, 24, [(100.0, 1.0)]), NOW)
    assert made.dropped == {"duplicate": 1}
    assert made.book("BTCUSDT").best().bid_size == 8.0
    assert not made.gaps


def test_a_thin_book_is_replaced_without_a_gap() -> None:
    """Few certain levels are left: the book stays valid and wanted; a snapshot, even one behind the book, replaces it at the book's id."""
    made = Binance([BTC])
    bids = [(100.0 - 0.01 * place, 1.0) for place in range(1_000)]
    made.frame(update(1, 2), NOW)
    made.snapshot("BTCUSDT", snapshot(2, bids, ASKS), NOW)
    made.frame(update(3, 4, [(price, 0.0) for price, _ in bids[:950]]), NOW)
    book = made.book("BTCUSDT")
    assert book.certain == (50, 2)
    assert book.valid
    assert made.wanted_snapshots() == ("BTCUSDT",)
    made.frame(update(5, 6, [(90.0, 6.0)]), NOW)
    assert len(made.snapshot("BTCUSDT", snapshot(1, bids, ASKS), NOW)) == 0
    assert (made.dropped, book.last_id) == ({"in_snapshot": 1, "snapshot_old": 1}, 6)
    wider = [(price, 1.0) for price, _ in bids[950:]] + [(80.0 - place, 2.0) for place in range(60)]
    rows = made.snapshot("BTCUSDT", snapshot(4, wider, ASKS), NOW)
    assert set(kinds(rows)) == {BOOK_CLEAR, BOOK}
    assert set(rows["ref"].tolist()) == {6}
    assert (rows["flags"][1:] & SNAPSHOT).all()
    assert book.certain == (111, 2)
    assert book.last_id == 6
    assert made.wanted_snapshots() == ()
    assert not made.gaps
    assert made.delivered == {"depth": 2}


def test_a_jump_of_trade_ids_is_a_gap_and_the_trade_is_delivered() -> None:
    """GAP says after which id and how many; a trade not above the last is dropped."""
    made = Binance([BTC])
    made.frame(trade(10), NOW)
    rows = made.frame(trade(14), NOW)
    assert kinds(rows) == [GAP, TRADE]
    assert (rows["ref"][0], rows["size"][0], rows["flags"].tolist()) == (10, 3.0, [0, LAST])
    assert len(made.frame(trade(14), NOW)) == len(made.frame(trade(12), NOW)) == 0
    assert made.gaps == {"trade": 1}
    assert made.dropped == {"duplicate": 2}


def test_quotes_only_go_forward() -> None:
    """The same id is a duplicate, a lower one stale; both are dropped."""
    made = Binance([BTC])
    made.frame(ticker(5), NOW)
    assert len(made.frame(ticker(5), NOW)) == len(made.frame(ticker(4), NOW)) == 0
    assert made.dropped == {"duplicate": 1, "stale": 1}


def test_a_disconnect_is_a_gap_for_every_instrument() -> None:
    """Books become invalid, held updates go, ids stay: what a new socket repeats is dropped and what it missed is a gap."""
    made = Binance([BTC, ETH])
    made.frame(update(11, 20), NOW)
    made.snapshot("BTCUSDT", snapshot(15, BIDS, ASKS), NOW)
    made.frame(update(1, 2, symbol="ETHUSDT"), NOW)
    made.frame(trade(10), NOW)
    made.closing = True
    rows = made.disconnected(NOW + 1)
    assert kinds(rows) == [GAP, BOOK_CLEAR, GAP]
    assert rows["instrument"].tolist() == [7, 7, 8]
    assert made.held == 0
    assert made.wanted_snapshots() == ()
    assert not made.closing
    assert made.gaps == {"connection": 1}
    assert made.dropped == {"disconnected": 1}
    assert len(made.frame(trade(10), NOW)) == 0
    assert kinds(made.frame(trade(12), NOW)) == [GAP, TRADE]


def test_ids_that_start_anew_from_below_are_taken_after_a_connection_without_news() -> None:
    """A wrong or reset numbering costs one connection, not the session."""
    made = Binance([BTC])
    made.frame(trade(1_000), NOW)
    made.frame(ticker(1_000), NOW)
    made.disconnected(NOW)
    assert len(made.frame(trade(5), NOW)) == len(made.frame(ticker(5), NOW)) == 0
    made.disconnected(NOW)
    assert kinds(made.frame(trade(6), NOW)) == [TRADE]
    assert kinds(made.frame(ticker(6), NOW)) == [QUOTE]


def test_a_shutdown_is_heard_in_either_form() -> None:
    """Alone or in the envelope of a stream: the waiting half is told to make a new connection."""
    for frame in (b'{"e":"serverShutdown","E":1700000000000000}', framed("btcusdt@trade!", {"e": "serverShutdown", "E": 1})):
        made = Binance([BTC])
        assert len(made.frame(frame, NOW)) == 0
        assert made.closing
        assert made.dropped == {"shutdown": 1}


LONG_AGO, SOON = 1_500_000_000_000, T0_NS // 1_000 + 2 * 86_400_000_000
REFUSED: list[tuple[bytes, str]] = [
    (b"", "bad_json"), (b"{", "bad_json"), (b"[" * 100_000, "bad_shape"),
    (b'{"stream":' + b"[" * 100_000, "bad_shape"), (b"\xff\xfe", "bad_json"),
    (b"null", "bad_shape"), (b"[]", "bad_shape"), (b'{"result":null,"id":1}', "not_a_stream"),
    (b'{"stream":"btcusdt@trade","data":' + b'{"a":' * 100_000, "bad_json"), (b" " * (decoder.FRAME_BYTES_MAX + 1), "oversize"),
    (framed("btcusdt@kline_1m", {"e": "kline"}), "unknown_stream"), (framed("xrpusdt@trade", {"e": "trade"}), "unknown_symbol"),
    (framed("btcusdt@trade", {}), "bad_shape"), (trade(1, s="ETHUSDT"), "unknown_symbol"), (trade(1, p=None), "bad_number"),
    (trade(1, "0"), "bad_number"), (trade(1, "-1"), "bad_number"), (trade(1, "nan"), "bad_number"), (trade(1, "1e400"), "bad_number"),
    (trade(1, "1e13"), "bad_number"), (trade(1, "1,5"), "bad_number"), (trade(1, ""), "bad_number"), (trade(1, 1, "-0.1"), "bad_number"),
    (trade(1, 1, "inf"), "bad_number"), (trade(1, 1, "1e18"), "bad_number"), (trade(-1), "bad_id"), (trade(2**63), "bad_id"),
    (trade(1, t="x"), "bad_id"), (trade(1, T=LONG_AGO), "bad_time"), (trade(1, T=SOON), "bad_time"), (trade(1, T=-1), "bad_time"),
    (trade(1, T=0), "bad_time"), (trade(1, T=10**30), "bad_time"), (trade(1, m="maybe"), "bad_shape"),
    (ticker(1, (101.5, 1.0)), "crossed"), (ticker(1, (0.0, 0.0)), "bad_number"), (update(5, 4), "bad_id"), (update(1, 2, E=1), "bad_time"),
    (update(1, 2, b=[["1"]]), "bad_number"),
    (update(1, 2, [(-1.0, 1.0)]), "bad_number"), (update(1, 2, b={}), "bad_number"),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "reason"), REFUSED, ids=[f"{place}-{reason}" for place, (_, reason) in enumerate(REFUSED)])
def test_what_is_wrong_is_counted_by_reason_and_gives_nothing(frame: bytes, reason: str) -> None:
    """A refused message is one count, no row and no change: the good one after it is taken as if it had never come."""
    made = Binance([BTC])
    assert len(made.frame(frame, NOW)) == 0
    assert made.dropped == {reason: 1}
    assert made.received == 1
    assert [kinds(made.frame(good, NOW)) for good in (trade(1), ticker(1), update(1, 2))] == [[TRADE], [QUOTE], []]
    assert made.held == 1


def test_an_id_far_beyond_all_is_refused() -> None:
    """One wrong id would make every later message old."""
    made = started()
    made.frame(trade(1), NOW)
    made.frame(ticker(1), NOW)
    far = 2**41
    for frame in (trade(far), ticker(far), update(21, far)):
        assert len(made.frame(frame, NOW)) == 0
    assert made.dropped["bad_id"] == 3
    assert made.book("BTCUSDT").valid


def test_a_perpetual_update_must_name_the_one_before() -> None:
    """Without `pu` nothing joins; with it, `pu` decides and not `U`."""
    made = Binance([instrument("BTCUSDT-PERP")])
    made.frame(update(11, 20), NOW)
    assert made.dropped == {"bad_id": 1}
    made.frame(update(15, 20, pu=9), NOW)
    made.snapshot("BTCUSDT-PERP", snapshot(12, BIDS, ASKS), NOW)
    assert made.book("BTCUSDT-PERP").last_id == 20
    assert kinds(made.frame(update(30, 31, [(100.0, 2.0)], pu=20), NOW)) == [BOOK]
    assert kinds(made.frame(update(32, 40, pu=32), NOW)) == [GAP, BOOK_CLEAR]


BODIES: list[tuple[bytes, str]] = [
    (b"", "bad_json"), (b'{"code":-1003,"msg":"Too many requests"}', "bad_shape"), (snapshot(-1, BIDS, ASKS), "bad_id"),
    (snapshot(20, [(-1.0, 1.0)], ASKS), "bad_number"), (snapshot(20, ASKS, BIDS), "crossed"), (snapshot(20, BIDS, ASKS, E=5), "bad_time"),
    (snapshot(2**50, BIDS, ASKS), "bad_id"), (b" " * (decoder.SNAPSHOT_BYTES_MAX + 1), "oversize"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), BODIES, ids=[reason for _, reason in BODIES])
def test_a_bad_snapshot_changes_nothing(body: bytes, reason: str) -> None:
    """It is counted, the book stays wanted and what is held stays held."""
    made = Binance([BTC])
    made.frame(update(11, 20), NOW)
    assert len(made.snapshot("BTCUSDT", body, NOW)) == 0
    assert made.dropped == {f"snapshot_{reason}": 1}
    assert made.wanted_snapshots() == ("BTCUSDT",)
    assert made.held == 1


def test_a_snapshot_nobody_wants_is_not_taken() -> None:
    """A late answer does not move a good book; one for a symbol of no instrument is counted too."""
    made = started()
    assert len(made.snapshot("BTCUSDT", snapshot(30, BIDS, ASKS), NOW)) == len(made.snapshot("XRPUSDT", snapshot(1, BIDS, ASKS), NOW)) == 0
    assert made.dropped["snapshot_unwanted"] == 2
    assert made.book("BTCUSDT").last_id == 20


def test_what_waits_for_a_snapshot_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound, of messages or of levels, all that is held goes and the newest begins anew; the book is still wanted."""
    monkeypatch.setattr(decoder, "HELD_MESSAGES_MAX", 3)
    made = Binance([BTC])
    for number in range(1, 5):
        made.frame(update(number, number, [(100.0, 1.0)]), NOW)
    assert (made.held, made.dropped) == (1, {"overflow": 3})
    monkeypatch.setattr(decoder, "HELD_LEVELS_MAX", 2)
    made.frame(update(5, 5, [(100.0, 1.0), (99.0, 1.0)]), NOW)
    assert (made.held, made.dropped) == (1, {"overflow": 4})
    assert made.wanted_snapshots() == ("BTCUSDT",)


def test_a_batch_is_its_frames_one_by_one() -> None:
    """`frames` gives the bytes that `frame` gives, and the array is the caller's to write."""
    frames = [trade(1), ticker(1), b"?", update(1, 2), trade(4), ticker(2)]
    one, many = Binance([BTC]), Binance([BTC])
    rows = many.frames(frames, NOW)
    assert np.concatenate([one.frame(frame, NOW) for frame in frames]).tobytes() == rows.tobytes()
    assert (one.dropped, one.gaps, one.delivered, one.received) == (many.dropped, many.gaps, many.delivered, many.received)
    rows["size"] = 0.0


def test_prices_are_the_nearest_doubles() -> None:
    """As many digits as the venue may send become the double that Python reads."""
    chance = np.random.default_rng(11)
    made = Binance([BTC])
    for number in range(2_000):
        text = f"{chance.integers(0, 10 ** chance.integers(1, 12))}.{chance.integers(0, 10**8):08d}"
        if float(text) > 0:
            assert made.frame(trade(number, text, text), NOW)["price"].tolist()[-1] == float(text)


def other(**more: Any) -> Any:
    """An instrument that is not quite right."""
    return msgspec.structs.replace(BTC, **more)


MANY = [other(symbol=f"A{place}USDT") for place in range(342)]


@pytest.mark.parametrize(
    ("instruments", "said"),
    [
        ([], "at least one"), ([other(venue="kraken")], "BTCUSDT@kraken"), ([BTC, BTC], "once"),
        ([BTC, instrument("ETHUSDT-PERP")], "servers of their own"), (MANY, "at most 341"),
    ],
)  # fmt: skip
def test_what_no_session_can_be_is_refused(instruments: list[Any], said: str) -> None:
    """No instrument, another venue's, one twice, two servers, more streams than a connection carries."""
    with pytest.raises(ConfigError, match=said):
        Binance(instruments)
