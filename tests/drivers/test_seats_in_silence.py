"""A change of models that falls into a silence of the market: live as in the back-test, over a restart, and after a start that failed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from msgspec import structs

from tercel.base import paths
from tercel.base.errors import ConfigError
from tercel.base.records import QUOTE, Records, empty
from tercel.base.time import NS_PER_MS, NS_PER_S, clock_ns
from tercel.core.market_phase import ROW_CLOSE, ROW_MODEL
from tercel.decision.rules import ModelRule
from tercel.drivers import seats
from tercel.drivers.backtest import Backtest
from tercel.drivers.lookahead import Recorded
from tercel.drivers.session import Plan
from tercel.drivers.trader import Trader, TraderOptions
from tercel.features.spec import FeatureSet, bars, returns, volatility
from tercel.journal.entries import Note
from tercel.market.feeds.base import FeedState
from tercel.models.barriers import triple_barrier
from tercel.models.manifest import FINAL, Calibration, Part
from tercel.models.model import Model
from tests.drivers.random_walks import EURUSD, START_NS
from tests.models.made import model_of, stump
from tests.traders import journal_of

FEATURES = FeatureSet(bars("10s"), (returns(1), volatility(5)))
PLAIN = Calibration(slope=1.0, offset=0.0, win=1.0, loss=1.0)
CHANGE_NS = START_NS + 200 * NS_PER_S + 100 * NS_PER_MS  # behind a boundary, before the timer that closes its bar
FILES = {"a.json": stump(0.0, -1.0, 1.0), "b.json": stump(0.0, 1.0, -1.0)}


def part(name: str, file: str, first: int, last: int, seen: int = 0) -> Part:
    """A part that may speak in [first, last)."""
    return Part(
        name=name, long=file, long_calibration=PLAIN, short_calibration=PLAIN, seen_first_ns=0, seen_last_ns=seen, test_first_ns=first,
        test_last_ns=last,
    )  # fmt: skip


def model(*parts: Part) -> Model:
    """A model of these parts."""
    return model_of(FEATURES, ("returns_1",), triple_barrier(1.0, 1.0, "2m", rows=5, every="10s"), FILES, parts)


FOLDS = model(
    part("fold-1", "a.json", START_NS, CHANGE_NS),
    part("fold-2", "b.json", CHANGE_NS, START_NS + 10**13),
    part(FINAL, "a.json", 0, 0, seen=START_NS + 10**13),
)
PLAN = Plan(decide=ModelRule(FOLDS, size_lots=1.0), feed_latency="0s", late_after="0s")


def quotes() -> Records:
    """A quote every two seconds, and none from 200 to 205 seconds after the start."""
    count = 300
    records = empty(count)
    records["ts_recv"] = records["ts_event"] = START_NS + np.arange(count) * 2 * NS_PER_S - NS_PER_S // 2
    mid = 1.1 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 1e-4, count)))
    records["kind"], records["instrument"] = QUOTE, 1
    records["price"], records["price2"] = np.round(mid - 2e-5, 5), np.round(mid + 2e-5, 5)
    records["size"] = records["size2"] = np.nan
    seconds = (records["ts_recv"] - START_NS) / NS_PER_S
    return records[(seconds < 200) | (seconds > 205)]


class Clockwork:
    """A feed whose time the test moves on."""

    name = "clockwork"
    instruments = (EURUSD,)

    def __init__(self) -> None:
        self.records, self.position, self.now = quotes(), 0, 0

    @property
    def done(self) -> bool:
        """Whether all has come."""
        return self.position >= len(self.records)

    def poll(self, wall: int, limit: int) -> Records:
        """What has arrived by the time the test says it is."""
        last = int(np.searchsorted(self.records["ts_recv"], self.now, "right"))
        found = self.records[self.position : last].copy()
        self.position = last
        return found

    def seek(self, position: int) -> None:
        """Go on from there."""
        self.position = position

    def next_due_ns(self, wall: int) -> int:
        """At once."""
        return wall

    def state(self, wall: int) -> FeedState:
        """All is well."""
        return FeedState()

    def close(self) -> None:
        """Nothing is held."""

    def source_now_ns(self, wall: int) -> int:
        """The time the test says it is."""
        return self.now


def trader_of(account: str, plan: Plan = PLAN) -> tuple[Trader, Clockwork]:
    """A trader of an account on a feed of its own."""
    feed = Clockwork()
    return Trader(plan, feed, TraderOptions(account, sync="never")), feed  # type: ignore[arg-type]


def heard(engine: Any) -> list[npt.NDArray[np.int64]]:
    """The rows that an engine makes from here on."""
    found: list[npt.NDArray[np.int64]] = []
    inner = engine._on_rows

    def take(rows: npt.NDArray[np.int64]) -> None:
        found.append(rows.copy())
        inner(rows)

    engine._on_rows = take
    return found


def pass_time(trader: Trader, feed: Clockwork, first_s: float, last_s: float) -> None:
    """Let the trader live through some seconds of the feed, three turns a second, as its loop would."""
    for second in np.arange(first_s, last_s, 0.3):
        feed.now = int(START_NS + second * NS_PER_S)
        while trader._turn(clock_ns()):
            pass


def speakers(rows: list[npt.NDArray[np.int64]]) -> dict[int, int]:
    """Close of a bar -> the model that scored it."""
    return {int(row[ROW_CLOSE]): int(row[ROW_MODEL]) for row in np.concatenate(rows)}


@pytest.fixture
def expected() -> dict[int, int]:
    """Who speaks when in the back-test: both folds."""
    test = Backtest(PLAN, Recorded(quotes(), (EURUSD,), None))
    rows = heard(test.engine)
    test.run()
    found = speakers(rows)
    assert len(set(found.values())) == 2
    return found


def test_in_a_silence_the_change_comes_before_what_time_causes(home: Any, expected: dict[int, int]) -> None:
    """Nothing arrives, a timer falls due, and a change lies before it: the bar is scored by the part that had the word then."""
    trader, feed = trader_of("silence")
    trader.start()
    rows = heard(trader.engine)
    pass_time(trader, feed, 0, 620)
    trader.close()
    found = speakers(rows)
    assert len(found) > 50
    assert {close: expected[close] for close in found} == found


def test_a_stop_in_the_silence_loses_no_change(home: Any, expected: dict[int, int]) -> None:
    """Stopped behind the change's time and before anything came, the next trader seats it."""
    trader, feed = trader_of("stopped")
    trader.start()
    pass_time(trader, feed, 0, 203)
    trader.close()
    trader, feed = trader_of("stopped")
    assert trader.start().how == "recovered"
    rows = heard(trader.engine)
    pass_time(trader, feed, 203, 620)
    trader.close()
    found = speakers(rows)
    assert len(found) > 30
    assert {close: expected[close] for close in found} == found


def test_a_start_that_fails_behind_a_rewarm_seats_the_new_model(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings with another model, a start that dies half way: the one after it trades the new model, not the old, not none."""
    old = model(part(FINAL, "a.json", 0, 0, seen=START_NS))
    other = structs.replace(PLAIN, slope=1.1)
    parts = (structs.replace(old.manifest.parts[0], long_calibration=other, short_calibration=other),)
    new = Model(structs.replace(old.manifest, parts=parts), old.contents)
    trader, feed = trader_of("failed", replace(PLAN, decide=ModelRule(old, size_lots=1.0)))
    trader.start()
    pass_time(trader, feed, 0, 203)
    trader.close()
    plan = replace(PLAN, decide=ModelRule(new, size_lots=2.0))
    trader, feed = trader_of("failed", plan)

    def gone(position: int) -> None:
        raise RuntimeError("the feed is not there")

    monkeypatch.setattr(feed, "seek", gone)
    with pytest.raises(RuntimeError, match="the feed is not there"):
        trader.start()
    for one in (trader.journal, trader.log, trader.control):
        one.close()
    trader, feed = trader_of("failed", plan)
    assert trader.start().how in ("recovered", "rewarmed")
    rows = heard(trader.engine)
    pass_time(trader, feed, 203, 620)
    trader.close()
    assert set(speakers(rows).values()) == {trader._seats._engine.models.place(new, parts[0])}


def test_a_stored_model_that_is_damaged_stops_no_start(home: Any) -> None:
    """It is skipped, and the journal says so."""
    folder = paths.bound_dir("damaged")
    folder.mkdir(parents=True)
    (folder / "12345.bound").write_bytes(b"")
    trader, _ = trader_of("damaged")
    assert trader.start().how == "new"
    trader.close()
    notes = [one.text for one in journal_of("damaged") if isinstance(one, Note)]
    assert any("skipped: " in note and "12345.bound: expected a bound model, found 0 words" in note for note in notes)


def test_a_model_that_has_learnt_what_is_to_come_is_not_taken(home: Any) -> None:
    """Bound and stored it may be; it is seated once the trader has lived through what it has seen."""
    trader, feed = trader_of("early")
    trader.start()
    seen = structs.replace(PLAIN, slope=1.3)
    final = structs.replace(part(FINAL, "a.json", 0, 0, seen=START_NS + 100 * NS_PER_S), long_calibration=seen, short_calibration=seen)
    ((_, number),) = seats.store(model(final), "early")
    with pytest.raises(ConfigError, match="it has learnt from what was known until"):
        trader._seats.take(str(number))
    pass_time(trader, feed, 0, 120)
    assert int(trader._seats.take(str(number)).view(np.int64)[4]) == number
    trader.close()


def test_an_anchor_needs_a_past(home: Any) -> None:
    """A feed without history before it cannot bring features from their anchor to its start, so the trader does not start."""
    anchored = replace(PLAN, features=replace(PLAN.features, anchor="2026-01-01"), decide=None)
    trader, _ = trader_of("anchored", anchored)
    with pytest.raises(ConfigError, match=r"bars\.anchor: expected a feed with history of the catalog before it, found clockwork"):
        trader.start()
    for one in (trader.journal, trader.log, trader.control):
        one.close()
