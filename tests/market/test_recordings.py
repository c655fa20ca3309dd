"""What `tercel feed record` wrote comes into the catalog as the live session had it: each message once, every hole said."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tercel.base.errors import DataError
from tercel.base.records import BOOK, BOOK_CLEAR, GAP, QUOTE, TRADE, Records
from tercel.base.time import wall_ns
from tercel.drivers.history import history
from tercel.features.spec import bars
from tercel.market.book import Book
from tercel.market.catalog import Catalog
from tercel.market.feeds.binance import Binance
from tercel.market.feeds.recording import Ours, Recording, read
from tercel.market.importers import recordings
from tercel.market.importers.batch import Options
from tercel.market.importers.report import ImportReport
from tercel.market.importers.run import import_files
from tercel.market.instruments import Instrument
from tercel.models.barriers import TripleBarrier
from tests.drivers.test_labels_are_trades import agree
from tests.market.feeds.sessions import LEVELS, Watched, numbered, replayed
from tests.market.feeds.venue_market import MadeMarket
from tests.market.feeds.venue_server import Venue

SYMBOLS = ("BTCUSDT", "ETHUSDT")
KINDS = {"quote": (QUOTE,), "trade": (TRADE,), "book": (BOOK, BOOK_CLEAR)}


@pytest.fixture
def venue(home: Path, tmp_path: Path) -> Iterator[Venue]:
    """A venue of two symbols."""
    with Venue(MadeMarket(SYMBOLS, seed=4), tmp_path / "venue") as made:
        yield made


def imported(*paths: Path) -> ImportReport:
    """The report of an import."""
    return import_files(paths, Options(), Catalog().root)


def stored(symbol: str, kind: str) -> Records:
    """A whole series of the catalog."""
    return np.concatenate(list(Catalog().records(f"{symbol}@binance", kind)))


def without_gaps(records: Records, *names: str) -> bytes:
    """Rows that are no gaps, without what an import gives its own value."""
    kept = records[records["kind"] != GAP].copy()
    kept["instrument"] = 0
    for name in names:
        kept[name] = 0
    return kept.tobytes()


def session(venue: Venue, folder: Path, file_bytes_max: int = 1 << 20) -> tuple[Recording, Records, tuple[Instrument, ...]]:
    """A recorded session: messages in peace, some lost, a lost connection, messages again; a flush after each part."""
    recording = Recording(folder, numbered(venue), 10**9, file_bytes_max)
    with Watched(venue, tape=recording) as watched:
        watched.connected()
        for step in (lambda: None, lambda: venue.drop(20), venue.reset):
            step()
            if step == venue.reset:
                watched.until(lambda: watched.state.ended.get("closed"))
                watched.connected()
            for _ in range(40):  # a market takes its time: what one look at the socket brings has one
                venue.say(5)
                watched.turns(0.003)
            watched.settle()
            recording.flush(wall_ns(), force=True)
            watched.until(lambda: not recording.wanted)
            watched.settle()
        watched.books_are_true()
        recording.flush(wall_ns(), force=True)
        return recording, watched.records, watched.instruments


def test_a_recording_is_what_the_session_was_given(venue: Venue, tmp_path: Path) -> None:
    """Quotes and trades to the bit, the book to the row; the gaps of each series between the rows between which they were live."""
    recording, live, instruments = session(venue, tmp_path / "to")
    report = imported(tmp_path / "to")
    assert not report.skipped
    assert {one.name: one.price_decimals for one in Catalog().instruments()} == {one.name: one.price_decimals for one in instruments}
    for one in instruments:
        mine = live[live["instrument"] == one.id]
        for kind, codes in KINDS.items():
            found, wanted = stored(one.symbol, kind), mine[np.isin(mine["kind"], codes)]
            late = ("ts_event",) if kind == "book" else ()
            assert without_gaps(found, *late) == without_gaps(wanted, *late), (one.symbol, kind)
            assert (np.diff(found["ts_recv"]) >= 0).all()
        depth = (mine["kind"] == GAP) & np.isnan(mine["size"]) & (mine["ref"] >= 0)
        quotes = stored(one.symbol, "quote")
        told = mine[(mine["kind"] == QUOTE) | ((mine["kind"] == GAP) & ~depth)]
        assert quotes["kind"].tolist() == [GAP, *told["kind"].tolist()]  # the first says that nothing is known of before
        assert quotes["ts_recv"][1:].tolist() == told["ts_recv"].tolist()
    found = [series.counts.holes for one in report.files for series in one.series]
    assert all(count >= 1 for count in found), found
    again = imported(tmp_path / "to")
    assert not again.changed
    assert len(recording.files) == 2


def test_labels_over_a_recording_are_its_trades(venue: Venue, tmp_path: Path) -> None:
    """Imported with its holes: what a training says of a decision is what a strategy earns from it, hole or not."""
    session(venue, tmp_path / "to")
    imported(tmp_path / "to")
    market = history([f"{symbol}@binance" for symbol in SYMBOLS])
    assert sum(np.count_nonzero(part["kind"] == GAP) for part in market.stream(0)) >= 4
    barriers = TripleBarrier(take=1.5, stop=1.0, horizon_ns=50_000_000, rows=5, width_scale=1.0)
    for seed in range(3):
        agree(market, bars("1t"), "2ms", barriers, 0.1, seed, 3, units=0.001)


def test_files_of_one_recording_are_one(venue: Venue, tmp_path: Path) -> None:
    """A recording in many files, each read by itself: no quote or trade is missing or twice, and the book ends as the venue's."""
    recording, live, instruments = session(venue, tmp_path / "to", file_bytes_max=2_000)
    assert len(recording.files) >= 6
    imported(tmp_path / "to")
    for one in instruments:
        mine = live[live["instrument"] == one.id]
        for kind in ("quote", "trade"):
            assert without_gaps(stored(one.symbol, kind)) == without_gaps(mine[np.isin(mine["kind"], KINDS[kind])]), (one.symbol, kind)
        book, true = Book(), venue.market.books[one.symbol]
        book.apply(stored(one.symbol, "book"))
        assert book.valid
        assert book.last_id == true.last_id
        bids, asks = true.levels(LEVELS)
        assert book.levels(LEVELS) == ([(float(p), float(s)) for p, s in bids], [(float(p), float(s)) for p, s in asks])
    again = replayed(recording.files, Binance(instruments, depth=True))
    assert again.tobytes() == live.tobytes()


def test_a_file_cut_off_in_the_middle_gives_its_whole_lines(venue: Venue, tmp_path: Path) -> None:
    """As a power failure leaves it: what is whole comes in, with a note; any other damage is refused."""
    recording, live, instruments = session(venue, tmp_path / "to")
    path = next(one for one in recording.files if one.name.startswith("btcusdt"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    kept = list(read([path]))
    assert 50 < len(kept) < len(live)
    report = imported(path)
    assert f"1 {recordings.CUT_OFF}" in report.files[0].notes
    mine = live[(live["instrument"] == instruments[0].id) & (live["kind"] == QUOTE) & (live["ts_recv"] <= kept[-1][0])]
    quotes = stored("BTCUSDT", "quote")
    assert abs(np.count_nonzero(quotes["kind"] == QUOTE) - len(mine)) <= 1  # one may be in the last line, which is not whole
    path.write_bytes(whole[:400] + b"\0" * 40 + whole[440:])
    with pytest.raises(DataError, match="truncated or damaged"):
        imported(path)


def test_a_new_start_of_the_recorder_is_a_hole(venue: Venue, tmp_path: Path) -> None:
    """Two recordings in one folder: between them nothing is known, and the series says so."""
    for _ in range(2):
        recording = Recording(tmp_path / "to", numbered(venue), 10**9)
        with Watched(venue, tape=recording) as watched:
            watched.connected()
            watched.say(60)
            recording.flush(wall_ns(), force=True)
    imported(tmp_path / "to")
    quotes = stored("BTCUSDT", "quote")
    gaps = np.flatnonzero(quotes["kind"] == GAP)
    assert len(gaps) == 2
    assert gaps[0] == 0
    assert 1 < gaps[1] < len(quotes) - 1


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"version": 99}, "version 1 to 1, found 'start', version 99; use the Tercel that recorded it"),
        ({"venue": "kraken"}, "expected a recording of binance, found one of kraken"),
    ],
)
def test_what_cannot_be_read_is_refused(venue: Venue, tmp_path: Path, head: dict[str, object], said: str) -> None:
    """A later version and an unknown venue are named; so is a line that is none, with its row."""
    one = numbered(venue)[0]
    if "venue" in head:
        one = msgspec.structs.replace(one, venue=str(head["venue"]))
    begin = msgspec.json.encode(Ours("start", int(str(head.get("version", 1))), one))
    path = tmp_path / "btcusdt_20240718.gz"
    path.write_bytes(gzip.compress(b"1721304000000000000 %b\n" % begin))
    with pytest.raises(DataError, match=said):
        imported(path)
    good = msgspec.json.encode(Ours("start", 1, numbered(venue)[0]))
    path.write_bytes(gzip.compress(b"1721304000000000000 %b\nhello\n" % good))
    with pytest.raises(DataError, match="row 2: expected a time of arrival"):
        imported(path)
