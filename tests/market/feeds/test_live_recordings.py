"""Recorded frames of the venue, byte for byte over TLS to the live feed, with faults among them: every frame is accounted for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tercel.base.records import BOOK, BOOK_CLEAR, GAP, LAST
from tercel.market.book import Book
from tests.market.feeds.binance_frames import WEBSOCKET
from tests.market.feeds.counted import FAULTS, Counted
from tests.market.feeds.venue_frames import FOREIGN, RECORDINGS, RecordedFrames, foreign_frames
from tests.market.feeds.venue_server import Venue

SEEDS = (20_261, 20_262)
COUNTS = {1_535: (613, 0, 764, 158, 576), 11_413: (7_113, 974, 3_326, 0, 3_322)}  # quotes, trades, updates, other streams, tops compared
SILENCE_S = 2.0  # a busy machine may take its time, and is not mute


@pytest.fixture(params=RECORDINGS)
def venue(request: pytest.FixtureRequest, data_dir: Path, tmp_path: Path) -> Iterator[Venue]:
    """A venue that plays one recording."""
    with Venue(RecordedFrames(data_dir / RECORDINGS[request.param]), tmp_path / "venue") as made:
        yield made


@pytest.fixture(scope="module")
def foreign(data_dir: Path) -> list[bytes]:
    """Messages of the venues that the feed is not for."""
    return foreign_frames(data_dir, 20)


def frames_of(venue: Venue) -> int:
    """How many the recording has."""
    assert isinstance(venue.market, RecordedFrames)
    return len(venue.market.frames)


def tops_compared(feed: Counted) -> int:
    """Follows the delivered rows of every book; how many updates left it with the recorded best quote at its top: all that can tell."""
    compared = 0
    for instrument in feed.instruments:
        book, rows = Book(), feed.records[feed.records["instrument"] == instrument.id]
        updates = rows[np.isin(rows["kind"], (BOOK, BOOK_CLEAR, GAP))]
        ends = np.flatnonzero(updates["flags"] & LAST) + 1
        for number, (start, end) in enumerate(pairwise([0, *ends.tolist()])):
            book.apply(updates[start:end])
            if number >= feed.market.settled:
                best = book.best()
                assert (best.bid, best.ask) == feed.market.best(instrument.symbol, book.last_id)
                compared += 1
    return compared


def test_every_recording_is_served_or_named(data_dir: Path) -> None:
    """No recorded stream of the data is left out unnoticed: Binance's is served, the others are named, for want of a decoder."""
    found = {f"{WEBSOCKET}/{path.name}" for path in (data_dir / WEBSOCKET).iterdir()}
    assert found == {RECORDINGS["websocket"], *FOREIGN}


def test_a_recording_arrives_whole(venue: Venue) -> None:
    """Every recorded frame is delivered or counted; the recorded quotes are the best prices after each update, the books the venue's."""
    total = frames_of(venue)
    with Counted(venue) as feed:
        feed.begin()
        feed.heal()
        feed.say(total - venue.said)
        feed.books_are_true()
        assert feed.account.received == total == venue.said
        assert feed.account.gaps == {}
        quotes, trades, updates, others, compared = COUNTS[total]
        delivered, dropped = feed.account.delivered, feed.account.dropped
        assert (delivered["bookTicker"], delivered["trade"], dropped["unknown_stream"]) == (quotes, trades, others)
        assert delivered["depth"] + dropped["in_snapshot"] + dropped["duplicate"] == updates
        assert tops_compared(feed) == compared
        assert (feed.state.reconnects, dict(feed.state.failures), dict(feed.state.ended)) == (0, {}, {})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_heals(venue: Venue, foreign: list[bytes], fault: str) -> None:
    """Among recorded frames each fault costs what its numbers say and no more, and the books are true again."""
    with Counted(venue, silence=SILENCE_S) as feed:
        feed.begin()
        feed.heal()
        FAULTS[fault](feed, random.Random(SEEDS[0]), foreign)
        feed.heal()
        feed.say(200)
        assert feed.compared > 0


def test_the_day_is_over_while_the_new_socket_waits(venue: Venue) -> None:
    """The venue ends the old socket during the change: the new one takes over with all that it held, so nothing is missing or double."""
    with Counted(venue, overlap=20.0) as feed:
        feed.begin()
        feed.heal()
        venue.announce()
        old = venue.clients[0].transport
        assert old is not None
        feed.change(80, lambda: venue._call(lambda: old.disconnect(False)))
        feed.heal()
        assert feed.account.gaps == {}


def test_old_sockets_are_replaced_before_the_venue_ends_them(venue: Venue) -> None:
    """Four days in four seconds: each message once and in order, over five sockets."""
    with Counted(venue, life=1.0) as feed:
        feed.begin()
        for _ in range(4):
            feed.change(120)  # messages are said while both sockets are open, and only then
        feed.books_are_true()
        assert feed.account.gaps == {}
        assert feed.state.ended == {"old": 4}
        assert feed.account.received == 1 + 2 * 480


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_one_after_the_other(venue: Venue, foreign: list[bytes], seed: int) -> None:
    """A whole recording with every fault on the way, in any order: nothing is left over that would not heal, or not be counted."""
    chance, total = random.Random(seed), frames_of(venue)
    with Counted(venue, silence=SILENCE_S) as feed:
        feed.begin()
        for fault in chance.sample(list(FAULTS.values()), len(FAULTS)):
            fault(feed, chance, foreign)
            feed.heal()
            feed.say(chance.randint(0, total // 50))
        feed.say(total - venue.said)
        feed.books_are_true()
        assert venue.said == total
