"""The trader on a live feed: it is the back-test of its recording, trades through a lost connection, goes on after a restart."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tercel.base.codes import REWARMED
from tercel.base.records import GAP, OUT_FILL, QUOTE, Records
from tercel.base.time import wall_ns
from tercel.core.layout import H_LEDGER
from tercel.decision.rules import EmaCross
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import history
from tercel.drivers.launch import FeedSpec, make_feed, quoted_of
from tercel.drivers.session import Plan
from tercel.drivers.trader import Trader, TraderOptions
from tercel.execution.venue import VenueModel
from tercel.features.spec import FeatureSet, bars
from tercel.journal.input_log import InputLog
from tercel.ledger.kernels import L_POSITION, LEDGER_WORDS
from tercel.market.catalog import Catalog
from tercel.market.feeds import live_venues
from tercel.market.feeds.binance import Binance
from tercel.market.feeds.care import Care
from tercel.market.feeds.recording import Recording
from tercel.market.importers.batch import Options
from tercel.market.importers.run import import_files
from tercel.market.instruments import Instrument
from tercel.risk.limits import Limits
from tests.market.feeds.sessions import QUICK, numbered, replayed
from tests.market.feeds.venue_market import MadeMarket
from tests.market.feeds.venue_server import Venue
from tests.traders import comparable, outputs_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")
RULE = EmaCross(fast=1, slow=3, volatility_rows=3, enter=0.1, exit=0.0, size_lots=0.01)
PLAN = Plan(
    features=FeatureSet(bars("50ms"), ()), decide=RULE, grace="10ms", venue=VenueModel(latency="20ms", taker_fee=0.0, maker_fee=0.0),
    limits=Limits(position_lots=1, order_lots=1, orders_per_second=0),
)  # fmt: skip

Event = tuple[float, Callable[[], object]]  # what is to happen after so many seconds


@pytest.fixture
def venue(home: Path, tmp_path: Path) -> Iterator[Venue]:
    """A venue that speaks 300 times a second."""
    with Venue(MadeMarket(SYMBOLS, seed=11), tmp_path / "venue") as made:
        made.play(300.0)
        yield made


def spec_of(venue: Venue) -> FeedSpec:
    """How a run is described."""
    return FeedSpec(kind="live", venue="binance", names=SYMBOLS, endpoint=venue.url, ca=str(venue.authority), care=Care(**QUICK))


def run(venue: Venue, seconds: float, *events: Event) -> Trader:
    """A trader in this process for some seconds, with what is to happen meanwhile."""
    spec = spec_of(venue)
    options = TraderOptions("live", sync="never", seconds=seconds, feed=spec.identity)
    trader = Trader(PLAN, make_feed(spec, PLAN), options, quoted_of(spec, PLAN))
    play(trader, events)
    return trader


def play(trader: Trader, events: Sequence[Event]) -> None:
    """Start, trade, stop."""
    trader.start()
    timers = [threading.Timer(after_s, what) for after_s, what in events]
    for timer in timers:
        timer.start()
    trader.run()
    trader.close()
    for timer in timers:
        timer.join()


def log_of(trader: Trader) -> Records:
    """The whole input log of a trader that has ended."""
    log = InputLog(trader.folder / "inputs")
    log.open()
    try:
        return np.concatenate([part.copy() for part in log.read(1)])
    finally:
        log.close()


def connections_lost(records: Records) -> int:
    """Gaps that say that a connection was lost; other gaps name the last id they know."""
    return int(np.count_nonzero((records["kind"] == GAP) & (records["ref"] == -1)))


def fills(trader: Trader) -> int:
    """Fills so far."""
    return trader.engine.fills


@dataclass(frozen=True)
class Decoded:
    """Records of a recording as a history to back-test."""

    instruments: tuple[Instrument, ...]
    records: Records
    quoted: frozenset[str] | None = None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.records)

    def check(self, clock: Any) -> None:
        """There are quotes."""

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """All of it; the arrivals are the recorded ones."""
        yield self.records

    def describe(self) -> str:
        """One line."""
        return "a recording"


def same(live: Records, tested: Records, last_ns: int) -> None:
    """To the bit the same up to the end of the recording; behind it only bars close that both had open."""
    until_end = [comparable(outputs[outputs["time"] <= last_ns]) for outputs in (live, tested)]
    assert until_end[0] == until_end[1]


def test_live_is_the_back_test_of_its_recording(venue: Venue, tmp_path: Path) -> None:
    """Recorded while it traded, through two sockets and a lost connection: decoded anew or imported, and back-tested, the same orders."""
    instruments = tuple(Catalog().register(one) for one in numbered(venue))
    recording = Recording(tmp_path / "to", instruments, 10**9)
    source = live_venues.Source(venue="binance", symbols=SYMBOLS, endpoint=venue.url, authority=str(venue.authority), care=Care(**QUICK))
    feed = live_venues.open_feed(
        source, instruments, clock=wall_ns, chance=random.Random(1), depth=False, kinds=live_venues.kinds_for("mid"), tape=recording
    )
    trader = Trader(PLAN, feed, TraderOptions("live", sync="never", seconds=3.0))
    play(trader, [(0.8, venue.announce), (1.8, venue.reset)])
    recording.flush(wall_ns(), force=True)
    live = outputs_of("live")
    assert np.count_nonzero(live["kind"] == OUT_FILL) > 5

    decoded = replayed(recording.files, Binance(instruments, depth=False))
    decoded = decoded[np.isin(decoded["kind"], (QUOTE, GAP))]
    logged = log_of(trader)
    assert logged[np.isin(logged["kind"], (QUOTE, GAP))].tobytes() == decoded[: trader.feed.position].tobytes()
    # One connection was lost; the change of sockets before lost nothing. Trades that were missed meanwhile are gaps with their last id.
    assert connections_lost(decoded) == len(SYMBOLS)
    assert len(SYMBOLS) <= np.count_nonzero(decoded["kind"] == GAP) <= 2 * len(SYMBOLS)
    played = decoded[: trader.feed.position]
    tested = Backtest(PLAN, Decoded(instruments, played)).run()
    same(live, tested.outputs, int(played["ts_recv"][-1]))

    # The same through the catalog, as `tercel data import` and `tercel backtest` do it: the outage is in the series.
    import_files([tmp_path / "to"], Options(), Catalog().root)
    tested = Backtest(PLAN, history([one.name for one in instruments])).run()
    same(live, tested.outputs[tested.outputs["time"] <= int(played["ts_recv"][-1])], int(played["ts_recv"][-1]))
    assert tested.outputs["time"][-1] > played["ts_recv"][played["kind"] == GAP][-1]


def test_imported_quotes_give_the_same_orders(venue: Venue, tmp_path: Path) -> None:
    """A session without a loss, put into the catalog: `tercel backtest` of it is the live session."""
    trader = run(venue, 2.0)
    logged = log_of(trader)
    catalog = Catalog()
    for one in trader.feed.instruments:
        mine = logged[(logged["kind"] == QUOTE) & (logged["instrument"] == one.id)]
        assert len(mine) > 50
        catalog.add(one, "quote", mine)
    tested = Backtest(PLAN, history([one.name for one in trader.feed.instruments])).run()
    live = outputs_of("live")
    assert np.count_nonzero(live["kind"] == OUT_FILL) > 5
    quotes = logged[logged["kind"] == QUOTE]
    same(live, tested.outputs, int(quotes["ts_recv"][-1]))


def test_it_trades_through_a_lost_connection(venue: Venue) -> None:
    """A reset in the middle: gaps for every instrument are in the log, no fill lies between gap and next quote, and trading goes on."""
    trader = run(venue, 3.5, (1.5, venue.reset))
    logged = log_of(trader)
    gaps = np.flatnonzero(logged["kind"] == GAP)
    assert connections_lost(logged) == len(SYMBOLS)
    filled = outputs_of("live")
    filled = filled[filled["kind"] == OUT_FILL]
    lost_ns = int(logged["ts_recv"][gaps[0]])
    assert np.count_nonzero(filled["time"] < lost_ns) > 1
    assert np.count_nonzero(filled["time"] > lost_ns) > 1
    for one in trader.feed.instruments:
        of_it = logged[(logged["kind"] == QUOTE) & (logged["instrument"] == one.id)]
        back_ns = int(of_it["ts_recv"][of_it["ts_recv"] > lost_ns][0])
        between = filled[(filled["instrument"] == one.id) & (filled["time"] >= lost_ns) & (filled["time"] < back_ns)]
        assert not len(between)
    state = trader.feed.state(wall_ns())
    assert (state.reconnects, dict(state.ended)) == (1, {"closed": 1})


def test_a_restart_keeps_the_account_and_distrusts_the_hole(venue: Venue) -> None:
    """Positions live on; the first inputs are gaps; entries wait for the declared memory because bars are missing, then come again."""
    first = run(venue, 1.5)
    held = [int(first.engine.account[first.core.layout.section(H_LEDGER, LEDGER_WORDS, slot) + L_POSITION]) for slot in range(2)]
    assert any(held)
    number, before = first.engine.input_number, fills(first)
    second = run(venue, 4.0)
    assert second.recovered is not None
    assert second.recovered.how == "recovered"
    assert second.epoch == first.epoch + 1
    logged = log_of(second)
    market = logged[number:][logged["kind"][number:] <= 31]
    assert market["kind"][: len(SYMBOLS)].tolist() == [GAP] * len(SYMBOLS)
    outputs = outputs_of("live")
    book = outputs[(outputs["kind"] == OUT_FILL)]
    for slot, one in enumerate(first.feed.instruments):
        known = book[(book["instrument"] == one.id) & (book["input"] <= number)]
        assert int(known["position"][-1]) == held[slot]
    assert second.engine.reasons().get("rewarmed", 0) > 0
    assert fills(second) > before
    denied = outputs[(outputs["input"] > number) & (outputs["code"] == REWARMED)]
    assert len(denied)
