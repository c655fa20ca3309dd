"""A live feed on a real TLS socket, and what venues and networks do to it: each fault is counted, the books are true afterwards."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from picows import WSMsgType

from tercel.base.errors import ConfigError, VenueUnavailable
from tercel.base.records import BOOK, GAP, QUOTE, TRADE, Records
from tercel.base.time import wall_ns
from tercel.market.feeds import live_venues
from tercel.market.feeds.care import Care
from tests.market.feeds.sessions import QUICK, Watched
from tests.market.feeds.venue_market import MadeMarket, RecordedMarket
from tests.market.feeds.venue_server import Venue, frame_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    """A venue with two symbols."""
    with Venue(MadeMarket(SYMBOLS, seed=5), tmp_path / "venue") as made:
        yield made


def test_everything_arrives_once_and_in_order(venue: Venue) -> None:
    """What the venue says comes as records, each message once, stamps strictly in order; the books are the venue's."""
    with Watched(venue) as watched:
        watched.connected()
        watched.say(400)
        watched.books_are_true()
        records, state = watched.records, watched.state
        assert state.text == "live"
        assert (state.gaps, state.reconnects, dict(state.failures), dict(state.ended)) == (0, 0, {}, {})
        assert set(state.dropped) <= {"in_snapshot"}  # held for the snapshot, and known by it
        last = records["flags"] & 1
        stamps = records["ts_recv"][np.flatnonzero(last)]
        assert (np.diff(stamps) > 0).all()
        for kind in (QUOTE, TRADE):
            for number in (1, 2):
                refs = records["ref"][(records["kind"] == kind) & (records["instrument"] == number)]
                assert (np.diff(refs) == 1).all() if kind == TRADE else (np.diff(refs) > 0).all()
        assert watched.feed.position == len(records)
        assert set(np.unique(records["kind"])) >= {QUOTE, TRADE, BOOK}


def test_what_one_look_brings_is_decoded_together(venue: Venue) -> None:
    """A burst reaches the decoder in few calls, each message once, with stamps 1 ns apart within a call."""
    calls: list[tuple[int, int, int]] = []
    with Watched(venue) as watched:
        frames = watched.feed.decoder.frames

        def counted(payloads: list[bytes], recv_ns: int, step_ns: int) -> Records:
            calls.append((len(payloads), recv_ns, step_ns))
            return frames(payloads, recv_ns, step_ns)

        watched.feed.decoder.frames = counted  # type: ignore[method-assign]
        watched.connected()
        watched.say(2_000)
        watched.books_are_true()
        assert sum(count for count, _, _ in calls) == watched.feed.session.messages
        assert len(calls) < 1_000
        assert all(before_ns + count <= after_ns for (count, before_ns, _), (_, after_ns, _) in pairwise(calls))
        assert {step_ns for _, _, step_ns in calls} == {1}


def test_the_recorded_market(venue: Venue, data_dir: Path, tmp_path: Path) -> None:
    """3,000 recorded messages of BTCUSDT, sent again over TLS: the book at the end is the one the recording gives."""
    with Venue(RecordedMarket(data_dir, 3_000), tmp_path / "recorded") as recorded, Watched(recorded, silence=20.0) as watched:
        watched.connected()
        watched.say(3_000)
        watched.books_are_true()
        # The recorder's trade and quote streams begin where ours do; nothing is missing between.
        assert watched.state.gaps == 0
        assert watched.feed.session.messages >= 2_990


def test_missing_messages_are_found_by_their_numbers(venue: Venue) -> None:
    """Messages that never come are gaps of exactly their instrument; the book is fetched again and true."""
    with Watched(venue) as watched:
        watched.connected()
        watched.say(100)
        before = venue.asked["/api/v3/depth"]
        venue.drop(60)
        watched.say(120)
        watched.say(40)
        watched.books_are_true()
        assert watched.feed.decoder.gaps["trade"] == 2  # one of each symbol
        assert watched.feed.decoder.gaps["depth"] == 2
        assert venue.asked["/api/v3/depth"] == before + 2
        assert watched.gaps() == 4


def test_messages_that_come_twice_count_once(venue: Venue) -> None:
    """A doubled message changes nothing and is counted."""
    with Watched(venue) as watched:
        watched.connected()
        watched.say(50)
        dropped = sum(watched.state.dropped.values())
        venue.twice(40)
        watched.say(80)
        watched.books_are_true()
        assert watched.state.gaps == 0
        assert sum(watched.state.dropped.values()) - dropped == 40


def test_messages_in_the_wrong_order(venue: Venue) -> None:
    """Two messages that changed places lose nothing but what their numbers say; the books are true afterwards."""
    with Watched(venue) as watched:
        watched.connected()
        watched.say(50)
        for _ in range(10):
            venue.swap()
            watched.say(8)
        watched.say(60)
        watched.books_are_true()


BAD_FRAMES = {
    b"": "bad_json", b"\x00\xff\xfe": "bad_json", b"[]": "bad_shape", b"{": "bad_json", b'{"stream":"btcusdt@trade","data":{': "bad_json",
    b'{"stream":"nobody@trade","data":{}}': "unknown_symbol", b'{"result":null,"id":1}': "not_a_stream",
    b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":"x","p":"1","q":"1","T":1,"m":true}}': "bad_id",
}  # fmt: skip


def test_bad_frames_are_dropped_and_counted(venue: Venue) -> None:
    """Garbage, halves, binary and foreign messages are dropped, each under its reason; the connection and the books stay."""
    with Watched(venue) as watched:
        watched.connected()
        watched.say(50)
        before = watched.state.dropped
        venue.garbage(*BAD_FRAMES)
        venue.garbage(b"\x01\x02", kind=WSMsgType.BINARY)
        watched.say(50)
        watched.books_are_true()
        after = watched.state
        counted = {reason: after.dropped.get(reason, 0) - before.get(reason, 0) for reason in {*BAD_FRAMES.values(), "binary"}}
        assert counted == {**{reason: list(BAD_FRAMES.values()).count(reason) for reason in BAD_FRAMES.values()}, "binary": 1}
        assert after.reconnects == 0


def test_a_message_in_parts_is_put_together(venue: Venue) -> None:
    """A message that comes in five frames is one message; one whose parts grow over the bound ends the socket."""
    with Watched(venue, frame_bytes_max=20_000) as watched:
        watched.connected()
        venue.parts(b'{"stream":"btcusdt@nothing","data":{}}', cuts=5)
        watched.settle()
        assert watched.state.dropped["unknown_stream"] == 1
        venue.parts(b"x" * 60_000, cuts=6)
        watched.until(lambda: watched.state.dropped.get("oversized"))
        watched.connected()
        watched.say(30)
        watched.books_are_true()
        assert watched.state.ended == {"closed": 1}


def test_an_oversized_frame_ends_the_socket_and_no_more(venue: Venue) -> None:
    """A frame above the bound is never taken in: the socket is replaced, the gap said, the books true again."""
    with Watched(venue, frame_bytes_max=20_000) as watched:
        watched.connected()
        watched.say(20)
        venue.garbage(b"y" * 50_000)
        watched.until(lambda: watched.state.ended.get("closed"))
        watched.connected()
        watched.say(60)
        watched.books_are_true()
        assert watched.state.ended == {"closed": 1}
        assert watched.feed.decoder.gaps["connection"] == 1


def test_a_slow_drip_is_no_fault(venue: Venue) -> None:
    """A frame that comes byte by byte arrives whole."""
    with Watched(venue) as watched:
        watched.connected()
        for byte in frame_of(b'{"stream":"btcusdt@drip","data":{}}'):
            venue.raw(bytes([byte]))
            watched.turns(0.004)
        watched.say(20)
        assert watched.state.dropped["unknown_stream"] == 1
        assert watched.state.reconnects == 0
        watched.books_are_true()


def test_a_reset_is_survived(venue: Venue) -> None:
    """After a TCP reset a gap of every instrument is said at once, the socket is opened again, the books are fetched and true."""
    with Watched(venue) as watched:
        watched.connected()
        watched.say(80)
        gaps = watched.gaps()
        venue.reset()
        watched.until(lambda: watched.gaps() > gaps)
        assert watched.gaps() == gaps + len(SYMBOLS)
        assert watched.state.text in ("reconnecting", "live")
        watched.connected()
        watched.say(80)
        watched.books_are_true()
        assert watched.state.ended == {"closed": 1}
        assert watched.state.reconnects == 1


def test_a_mute_socket_is_found_by_the_age_of_its_data(venue: Venue) -> None:
    """An open socket that says nothing, and answers pings, is replaced; meanwhile the feed says how old its data is."""
    with Watched(venue, silence=1.2, stale=0.6) as watched:
        watched.connected()
        watched.say(50)
        venue.mute()
        watched.until(lambda: watched.state.text.startswith("stale"))
        venue.ping()
        watched.until(lambda: watched.gaps() and watched.state.ended.get("mute"))
        assert watched.gaps() == len(SYMBOLS)
        watched.connected()
        watched.say(50)
        watched.books_are_true()
        assert watched.state.text == "live"
        assert watched.state.ended == {"mute": 1}


def test_a_socket_that_is_mute_from_the_start_never_serves(venue: Venue) -> None:
    """Half-open sockets are tried again and again, with waits; the first one that speaks serves."""
    venue.mute_new = True
    with Watched(venue, silence=0.2) as watched:
        watched.until(lambda: watched.state.failures.get("timeout", 0) >= 2)
        assert watched.state.text == "connecting"
        venue.mute_new = False
        watched.connected()
        watched.say(40)
        watched.books_are_true()


def test_a_silent_instrument_gets_a_new_socket_without_a_gap(venue: Venue) -> None:
    """One stream that falls silent while others speak: a second socket takes over, nothing is lost and nothing doubled."""
    with Watched(venue, quiet=0.5, silence=30.0) as watched:
        watched.connected()
        watched.say(60)
        watched.books_are_true()
        venue.play(100.0)
        for client in venue.clients:
            client.streams = frozenset(stream for stream in client.streams if not stream.startswith("ethusdt"))
        watched.until(lambda: watched.state.ended.get("quiet"))
        watched.until(lambda: watched.state.reconnects == 1 and venue.count() == 1)
        venue.pause()
        watched.settle()
        watched.say(60)
        watched.books_are_true()
        assert watched.feed.decoder.gaps.get("connection", 0) == 0


def test_the_venue_closes_after_24_hours(venue: Venue) -> None:
    """A close by the venue is answered and the session goes on with a new socket."""
    with Watched(venue) as watched:
        watched.connected()
        watched.say(30)
        venue.close_all()
        watched.until(lambda: watched.state.ended.get("closed"))
        watched.connected()
        watched.say(60)
        watched.books_are_true()
        assert watched.feed.decoder.gaps["connection"] == 1


@pytest.mark.parametrize("why", ["announced", "old"])
def test_a_change_of_sockets_loses_and_doubles_nothing(venue: Venue, why: str) -> None:
    """Make before break: the new socket delivers before the old one is closed; under full traffic no message is lost, doubled or late."""
    with Watched(venue, life=0.9 if why == "old" else 1e6) as watched:
        venue.play(400.0)
        watched.until(lambda: watched.state.text == "live" and all(watched.feed.decoder.book(one).valid for one in SYMBOLS))
        venue.lag(12)  # the new socket will be ahead of the old one
        if why == "announced":
            venue.announce()
        watched.until(lambda: watched.state.ended.get(why) and watched.state.reconnects >= 1)
        watched.turns(0.3)
        venue.pause()
        watched.settle()
        watched.books_are_true()
        assert watched.feed.decoder.gaps == {}
        assert watched.gaps() == 0
        records = watched.records
        for number in (1, 2):
            trades = records["ref"][(records["kind"] == TRADE) & (records["instrument"] == number)]
            assert (np.diff(trades) == 1).all()
            quotes = records["ref"][(records["kind"] == QUOTE) & (records["instrument"] == number)]
            assert (np.diff(quotes) > 0).all()
        everything = records[(records["kind"] == QUOTE) | (records["kind"] == TRADE)]
        assert len(np.unique(everything[["instrument", "kind", "ref"]])) == len(everything)
        watched.until(lambda: venue.count() == 1)


def test_the_old_socket_dies_during_the_change(venue: Venue) -> None:
    """Should the old socket end while the new one waits for its turn, the new one takes over with all it held: no gap is needed."""
    with Watched(venue, overlap=5.0) as watched:
        venue.play(300.0)
        watched.until(lambda: watched.state.text == "live" and all(watched.feed.decoder.book(one).valid for one in SYMBOLS))
        venue.announce()
        watched.until(lambda: venue.count() == 2)
        watched.turns(0.3)
        first = venue.clients[0]
        venue._call(lambda: first.transport.disconnect(False))  # type: ignore[union-attr]
        watched.until(lambda: venue.count() == 1)
        watched.turns(0.2)
        venue.pause()
        watched.settle()
        watched.books_are_true()
        assert watched.feed.decoder.gaps == {}


def test_refused_handshakes_wait_longer_each_time(venue: Venue) -> None:
    """503 and 429 to a handshake are counted by status and tried again; the session works as soon as the venue does."""
    venue.refuse.extend([503, 429, 503])
    with Watched(venue) as watched:
        watched.until(lambda: sum(watched.state.failures.values()) == 3)
        watched.connected()
        watched.say(30)
        watched.books_are_true()
        assert dict(watched.state.failures) == {"http_503": 2, "http_429": 1}


def test_snapshots_that_are_refused_pause_all_requests(venue: Venue) -> None:
    """503 is tried again; 429 with Retry-After stops every request for that long; the books come in the end."""
    venue.answers.extend([(503, {}), (429, {"Retry-After": "1"})])
    with Watched(venue) as watched:
        venue.play(200.0)
        watched.until(lambda: watched.state.failures.get("snapshot_429"))
        asked, since = venue.asked["/api/v3/depth"], time.monotonic()
        watched.turns(0.7)
        assert venue.asked["/api/v3/depth"] == asked
        watched.until(lambda: all(watched.feed.decoder.book(one).valid for one in SYMBOLS))
        assert time.monotonic() - since >= 0.9
        venue.pause()
        watched.settle()
        watched.books_are_true()
        assert dict(watched.state.failures) == {"snapshot_503": 1, "snapshot_429": 1}


def test_a_rest_server_that_never_answers_costs_only_the_books(venue: Venue) -> None:
    """A mute REST server times out, counted; quotes and trades go on meanwhile."""
    deaf = socket.create_server(("127.0.0.1", 0))
    with deaf, Watched(venue, rest=f"https://127.0.0.1:{deaf.getsockname()[1]}", request=0.2) as watched:
        venue.play(200.0)
        watched.until(lambda: watched.state.failures.get("snapshot_timeout", 0) >= 2)
        assert watched.state.text == "live"
        assert not watched.feed.decoder.book("BTCUSDT").valid
        assert np.count_nonzero(watched.records["kind"] == QUOTE) > 20


def test_pings_are_answered(venue: Venue) -> None:
    """The venue's pings are answered without anybody polling for them."""
    with Watched(venue) as watched:
        watched.connected()
        venue.ping()
        watched.until(lambda: venue.pongs == 1)


def test_a_restart_begins_with_a_gap(venue: Venue) -> None:
    """A venue has no past: who continues after some records is told that data of every instrument is missing."""
    with Watched(venue) as watched:
        watched.feed.seek(1_234)
        first = watched.feed.poll(wall_ns(), 10)
        assert (first["kind"] == GAP).all()
        assert len(first) == len(SYMBOLS)
        assert watched.feed.position == 1_234 + len(SYMBOLS)


def test_memory_is_bounded_when_nobody_polls(venue: Venue) -> None:
    """Records beyond the bound push out the oldest; gaps stand in their place and the losses are counted."""
    with Watched(venue, records_max=1_000) as watched:
        watched.connected()
        watched.settle()
        watched.got.clear()
        venue.play(2_000.0)
        for _ in range(600):
            watched.feed._run(0.002)  # the loop reads, nobody takes
        venue.pause()
        state = watched.state
        assert len(watched.feed._inbox) <= 1_000 + len(SYMBOLS)
        assert state.dropped["overflow"] > 0
        records = watched.feed.poll(wall_ns(), 100_000)
        assert (records["kind"][: len(SYMBOLS)] == GAP).all()
        assert (np.diff(records["ts_recv"]) >= 0).all()


def source_of(venue: Venue, *symbols: str, authority: str | None = None, endpoint: str | None = None) -> live_venues.Source:
    """How a user names a feed."""
    trust = str(venue.authority) if authority is None else authority or None
    return live_venues.Source(
        venue="binance", symbols=symbols, endpoint=endpoint or venue.url, authority=trust, care=Care(**{**QUICK, "request": 0.5})
    )


def test_an_unknown_symbol_is_told_with_the_nearest(venue: Venue) -> None:
    """The venue is asked once for its symbols, and the nearest are offered."""
    with pytest.raises(ConfigError, match=r"no symbol BTCUSTD; did you mean BTCUSDT"):
        live_venues.define(source_of(venue, "ETHUSDT", "BTCUSTD"))


def test_an_unknown_authority_is_refused(venue: Venue, tmp_path: Path) -> None:
    """A certificate that the trust does not cover is refused before a byte is read, with what to do; so is another name."""
    with pytest.raises(ConfigError, match=r"certificate is not trusted .* --ca FILE"):
        live_venues.define(source_of(venue, "BTCUSDT", authority=""))
    with Venue(MadeMarket(SYMBOLS, 1), tmp_path / "other") as other, pytest.raises(ConfigError, match="not trusted"):
        live_venues.define(source_of(other, "BTCUSDT", authority=str(venue.authority)))
    (tmp_path / "empty.pem").write_text("nothing\n")
    with pytest.raises(ConfigError, match="expected a readable file of PEM certificates"):
        live_venues.define(source_of(venue, "BTCUSDT", authority=str(tmp_path / "empty.pem")))


def test_an_untrusted_stream_is_never_read(venue: Venue, tmp_path: Path) -> None:
    """A feed whose venue shows another certificate counts it and says it; no message comes through."""
    with Venue(MadeMarket(SYMBOLS, 1), tmp_path / "other") as other, Watched(venue, endpoint=other.url) as watched:
        other.play(100.0)
        watched.until(lambda: watched.state.failures.get("tls", 0) >= 2)
        assert watched.state.messages == 0
        assert "not trusted" in watched.state.problem


def test_no_network_says_what_to_do(venue: Venue) -> None:
    """A port nobody listens on, a name nobody knows, a server that never speaks: each is said in a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    with pytest.raises(VenueUnavailable, match=r"no connection .* check the network"):
        live_venues.define(source_of(venue, "BTCUSDT", endpoint=f"wss://127.0.0.1:{free}"))
    with pytest.raises(VenueUnavailable, match="cannot be resolved"):
        live_venues.define(source_of(venue, "BTCUSDT", endpoint="wss://nobody.invalid"))
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(VenueUnavailable, match="no answer in time"):
        live_venues.define(source_of(venue, "BTCUSDT", endpoint=f"wss://127.0.0.1:{deaf.getsockname()[1]}"))


def test_a_server_without_tls_is_refused(venue: Venue) -> None:
    """Something that speaks no TLS is not spoken to in the clear."""
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            connection, _ = plain.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 20)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(VenueUnavailable, match=r"no TLS with it|no connection"):
            live_venues.define(source_of(venue, "BTCUSDT", endpoint=f"wss://127.0.0.1:{plain.getsockname()[1]}"))
        thread.join(5.0)
