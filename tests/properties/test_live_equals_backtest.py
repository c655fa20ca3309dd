"""Paper trading over a replayed day is the back-test of that day: the same outputs and the same state, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples.ema_cross import EmaCrossStrategy
from tercel.base import paths
from tercel.base.records import OUT_FILL, Records
from tercel.base.time import parse_instant
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import History
from tercel.drivers.launch import FeedSpec, RunSpec
from tercel.drivers.result import Result
from tercel.drivers.session import Plan
from tercel.drivers.settings import hash_of, load
from tercel.features.spec import FeatureSet, bars, every, macd, sma, time_of_day
from tercel.journal.entries import Hash, Session
from tercel.observe.live import LiveReader
from tests.core.scenarios import assert_books_agree
from tests.real_ticks import NAMES, PLAN, PLAN_TOML, home_at, import_slice
from tests.traders import comparable, finish, hash_in, journal_of, outputs_of, start, trader_of

DAY = FeedSpec(kind="replay", names=NAMES, speed=0)


@pytest.fixture(scope="module")
def day(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The last 25 hours of the week to 2 May 2014: more than 300,000 ticks, and the day roll at 17:00 in New York."""
    with home_at(tmp_path_factory.mktemp("day")) as home:
        yield import_slice(data_dir, home, "2014-05-01T20:00", "2014-05-03")


@pytest.fixture(scope="module")
def tested(day: History) -> Result:
    """The back-test of the day."""
    result = Backtest(PLAN, day).run()
    assert result.ticks > 300_000
    assert np.count_nonzero(result.outputs["kind"] == OUT_FILL) > 200
    return result


def test_the_trader_in_this_process(day: History, tested: Result) -> None:
    """Through sequencer, input log, core and journal: equal outputs, one input later because of the epoch, and the equal state."""
    trader = trader_of(PLAN, DAY, "here")
    trader.start()
    trader.run()
    trader.close()
    outputs = outputs_of("here")
    assert comparable(outputs) == comparable(tested.outputs)
    assert np.array_equal(outputs["input"], tested.outputs["input"] + 1)
    assert set(outputs["epoch"].tolist()) == {1}
    assert trader.engine.state_hash() == tested.state_hash
    assert trader.engine.input_number == trader.log.last == tested.inputs + 1
    assert trader.sequencer.market_inputs == tested.ticks
    assert_books_agree(trader.engine, outputs)


def test_the_trader_in_its_own_process(day: History, tested: Result, tmp_path: Path) -> None:
    """Started from a description and a settings file, as people start it, it says the same and journals the same state hash."""
    path = tmp_path / "tercel.toml"
    path.write_text(PLAN_TOML)
    assert hash_of(load(path)) == hash_of(PLAN)
    spec = RunSpec(account="apart", feed=DAY, settings=str(path), stop_when_done=True, sync="interval")
    assert hash_in(finish(start(tmp_path, spec))) == tested.state_hash
    assert comparable(outputs_of("apart")) == comparable(tested.outputs)
    journal = journal_of("apart")
    assert [one.epoch for one in journal if isinstance(one, Session)] == [1]
    assert [one.state_hash for one in journal if isinstance(one, Hash)] == [tested.state_hash]


def test_silence_closes_bars_and_changes_nothing(day: History) -> None:
    """Played at a pace, timers fire while nothing comes; the stream of inputs is that of the back-test all the same."""
    feed = FeedSpec(kind="replay", names=NAMES, speed=2_000.0, start="2014-05-01T20:00", end="2014-05-01T21:30")
    trader = trader_of(PLAN, feed, "paced")
    trader.start()
    passed = []
    push = trader.sequencer.push

    def spy(records: Records, now_ns: int = 0) -> Iterator[Records]:
        for part in push(records, now_ns):
            passed.append((len(records), len(part)))
            yield part

    trader.sequencer.push = spy  # type: ignore[method-assign]
    trader.run()
    trader.close()
    assert any(given == 0 for given, _ in passed[:-10]), "no timer fired in a silence"
    expected = Backtest(PLAN, replace(day, start_ns=parse_instant("2014-05-01T20:00"), end_ns=parse_instant("2014-05-01T21:30"))).run()
    assert comparable(outputs_of("paced")) == comparable(expected.outputs)
    assert trader.engine.state_hash() == expected.state_hash


@pytest.mark.parametrize("poll", [1, 37])
def test_few_ticks_at_a_time(day: History, monkeypatch: pytest.MonkeyPatch, poll: int) -> None:
    """However few ticks a turn takes, the trader says what the back-test says, of larger bars and the time of day too."""
    monkeypatch.setattr("tercel.drivers.trader.POLL_LIMIT", poll)
    feed = FeedSpec(kind="replay", names=NAMES, speed=0, start="2014-05-02T12:25", end="2014-05-02T12:35")
    quarter = replace(day, start_ns=1_399_033_500 * 10**9, end_ns=1_399_034_100 * 10**9)
    plan = replace(PLAN, features=FeatureSet(bars("5s"), (every("10s", macd(2, 4, 3)), every("1m", sma(3)), time_of_day())))
    tested = Backtest(plan, quarter).run()
    trader = trader_of(plan, feed, f"few-{poll}")
    trader.start()
    trader.run()
    trader.close()
    assert len(tested.fills) > 10
    assert comparable(outputs_of(f"few-{poll}")) == comparable(tested.outputs)
    assert trader.engine.state_hash() == tested.state_hash


def test_more_timers_than_a_step_holds(day: History) -> None:
    """Bars of 20 ms make more timers than one entry into compiled code has room for; log and outputs are complete all the same."""
    plan = replace(PLAN, features=FeatureSet(bars("20ms"), ()), grace="10ms", limits=replace(PLAN.limits, quote_age_max="60s"))
    feed = FeedSpec(kind="replay", names=NAMES, speed=0, start="2014-05-02", end="2014-05-02T00:40")
    quiet = replace(day, start_ns=1_398_988_800 * 10**9, end_ns=1_398_991_200 * 10**9)
    tested = Backtest(plan, quiet).run()
    trader = trader_of(plan, feed, "timers")
    trader.start()
    trader.run()
    trader.close()
    assert tested.inputs > 2 * tested.ticks
    assert comparable(outputs_of("timers")) == comparable(tested.outputs)
    assert trader.engine.state_hash() == tested.state_hash
    for path in (paths.session_dir("timers")).glob("snapshot-*"):
        path.unlink()
    again = trader_of(plan, feed, "timers")
    recovered = again.start()
    assert (recovered.how, recovered.replayed) == ("recovered", tested.inputs + 1)
    assert again.engine.state_hash() == tested.state_hash
    again.close()


def test_a_strategy_in_python(day: History) -> None:
    """A strategy written in Python trades live as it was tested, and a restart replays it to the same state."""
    plan: Plan = replace(PLAN, decide=EmaCrossStrategy(5, 12, 10, 0.2, 0.05, 3.0))
    feed = FeedSpec(kind="replay", names=NAMES, speed=0, start="2014-05-02T12:00", end="2014-05-02T13:00")
    hour = replace(day, start_ns=1_399_032_000 * 10**9, end_ns=1_399_035_600 * 10**9)
    tested = Backtest(plan, hour).run()
    for how, replayed in (("new", 0), ("recovered", tested.inputs + 1)):
        trader = trader_of(plan, feed, "python")
        recovered = trader.start()
        assert (recovered.how, recovered.replayed) == (how, replayed), recovered.why
        trader.run()
        trader.close()
        assert trader.engine.state_hash() == tested.state_hash
        assert comparable(outputs_of("python")) == comparable(tested.outputs)
    assert len(tested.fills) > 10


def test_the_live_view_shows_the_end(day: History, tested: Result) -> None:
    """What the desk reads after the trader has stopped is the core's own state: positions, counts, and that it stopped."""
    trader = trader_of(PLAN, DAY, "shown")
    trader.start()
    trader.run()
    trader.close()
    view = LiveReader(paths.run_dir("shown") / "live.map").read()
    assert (view.status["state"], view.status["fills"]) == (b"stopped", len(tested.fills))
    assert view.instruments["position"].tolist() == [round(one.position) for one in tested.by_instrument]
    shown, lost = view.outputs_since(0)
    assert comparable(shown) == comparable(tested.outputs[lost:])
    for row, one in zip(view.instruments, tested.by_instrument, strict=True):
        assert abs(int(row["pnl_micros"]) / 1e6 - one.net) < 1e-4
