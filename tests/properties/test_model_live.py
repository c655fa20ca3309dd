"""A trained forest in the path: live equals back-test to the bit on real ticks, whatever is exchanged, restarted or late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from tercel.base import paths
from tercel.base.records import COMMAND, DEGRADE, MODEL, OUT_FILL, OUT_SIGNAL
from tercel.base.time import parse_instant
from tercel.core.engine import Engine
from tercel.decision.rules import ModelRule
from tercel.drivers import seats
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import History
from tercel.drivers.launch import FeedSpec
from tercel.drivers.result import Result
from tercel.drivers.session import Plan
from tercel.drivers.trader import Trader
from tercel.journal.entries import Note
from tercel.journal.input_log import InputLog
from tercel.models.model import Model
from tercel.observe.control import REFUSED, TAKEN, Ack, ControlClient
from tests.models.trained_on_ticks import trained_model
from tests.real_ticks import LIMITS, NAMES, VENUE, home_at, import_slice
from tests.traders import comparable, journal_of, outputs_of, trader_of

HOURS = FeedSpec(kind="replay", names=NAMES, speed=0)
LIMITS_HERE = replace(LIMITS, position_lots=5.0, order_lots=10.0, daily_loss=1e6)
LIQUID = replace(VENUE, liquidity_lots=10.0)


def plan_of(model: Model, **more: str) -> Plan:
    """Trade a model with the venue and limits of the real ticks; features may take as long as they like unless said otherwise."""
    return Plan(decide=ModelRule(model, size_lots=1.0), limits=LIMITS_HERE, venue=LIQUID, **{"late_after": "0s", **more})


@pytest.fixture(scope="module")
def hours(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Six hours around the payrolls of 2 May 2014."""
    with home_at(tmp_path_factory.mktemp("hours")) as home:
        yield import_slice(data_dir, home, "2014-05-02T10:00", "2014-05-02T16:00")


@pytest.fixture(scope="module")
def models(hours: History) -> tuple[Model, Model]:
    """Two models of two forests with 200 trees of 31 leaves each."""
    return trained_model(hours), trained_model(hours, seed=2, trees=50, name="other")


@pytest.fixture(scope="module")
def tested(hours: History, models: tuple[Model, Model]) -> Result:
    """The back-test of the first."""
    result = Backtest(plan_of(models[0]), hours).run()
    assert np.count_nonzero(result.outputs["kind"] == OUT_FILL) > 200
    return result


def test_live_equals_back_test_to_the_bit(hours: History, models: tuple[Model, Model], tested: Result) -> None:
    """Sequencer, input log, core with two forests, journal: equal outputs and state; a signal has side, confidence and score."""
    trader = trader_of(plan_of(models[0]), HOURS, "model")
    trader.start()
    trader.run()
    trader.close()
    outputs = outputs_of("model")
    assert comparable(outputs) == comparable(tested.outputs)
    assert trader.engine.state_hash() == tested.state_hash
    signals = outputs[outputs["kind"] == OUT_SIGNAL]
    assert set(signals["side"].tolist()) == {-1, 0, 1}
    assert np.all((signals["confidence"] > 0.0) & (signals["confidence"] < 1.0))
    assert len(np.unique(signals["score"])) > 100


def test_the_scores_are_those_of_the_library(hours: History, models: tuple[Model, Model], tested: Result) -> None:
    """Every raw score in a signal is one that the forest gives for a row of the back-test's own features."""
    import lightgbm

    from tests.models.trained_on_ticks import FEATURES, rows_of

    rows = rows_of(hours, Plan(FEATURES, None))
    program = FEATURES.compile()
    x = rows.view(np.float64)[:, 8 : 8 + program.registers][:, list(program.outputs)]
    scores = [
        lightgbm.Booster(model_str=models[0].contents[file].decode()).predict(x, raw_score=True) for file in ("long.txt", "short.txt")
    ]
    known = set(np.concatenate(scores).tolist())
    signals = tested.outputs[tested.outputs["kind"] == OUT_SIGNAL]
    assert all(score in known for score in signals["score"].tolist())


def test_folds_change_live_as_in_the_back_test(hours: History, models: tuple[Model, Model]) -> None:
    """Over a recording of its training the trader, too, lets each fold speak about its own stretch and the final part about the rest."""
    (final,) = models[0].manifest.parts
    noon = parse_instant("2014-05-02T12:00")
    hour = 3_600 * 10**9
    folds = [
        structs.replace(
            final, name=f"fold-{number}", long=long, short="", test_first_ns=noon + first * hour, test_last_ns=noon + last * hour
        )
        for number, long, first, last in ((1, "long.txt", -1, 0), (2, "short.txt", 0, 1))
    ]
    parts = (*folds, structs.replace(final, seen_last_ns=noon + 2 * hour))
    model = Model(structs.replace(models[0].manifest, parts=parts), models[0].contents)
    expected = Backtest(plan_of(model), hours).run()
    assert set(expected.reasons) >= {"no_model", "holding"}
    trader = trader_of(plan_of(model), HOURS, "folds")
    trader.start()
    trader.run()
    trader.close()
    assert comparable(outputs_of("folds")) == comparable(expected.outputs)
    assert trader.engine.state_hash() == expected.state_hash
    for path in paths.session_dir("folds").glob("snapshot-*"):
        path.unlink()
    again = trader_of(plan_of(model), HOURS, "folds")
    assert again.start().how == "recovered"
    assert again.engine.state_hash() == expected.state_hash
    again.close()


def run_with_exchange(trader: Trader, account: str, model: Model) -> Ack:
    """Let a trader run and exchange its model while it does; the answer."""
    answers: list[Ack] = []
    worker = threading.Thread(target=lambda: answers.extend(seats.exchange(model, account, timeout_s=10.0)))
    worker.start()
    trader.run()
    worker.join()
    trader.close()
    return answers[0]


def test_a_model_is_exchanged_while_it_trades(hours: History, models: tuple[Model, Model], tested: Result) -> None:
    """The exchange is an input: up to it the trader did what the back-test did, and its own log replayed gives the same state again."""
    paced = structs.replace(HOURS, speed=8_000.0)  # six hours in less than three seconds
    trader = trader_of(plan_of(models[0]), paced, "exchange")
    trader.start()
    answer = run_with_exchange(trader, "exchange", models[1])
    assert answer.state == TAKEN
    log = InputLog(paths.session_dir("exchange") / "inputs")
    log.open()
    logged = np.concatenate([part.copy() for part in log.read(1)])
    log.close()
    orders = logged[(logged["kind"] == COMMAND) & (logged.view(np.int64).reshape(-1, 8)[:, 3] == MODEL)]
    assert len(orders) == 2
    at = answer.input_number
    outputs = outputs_of("exchange")
    before = outputs[outputs["input"] < at]
    assert comparable(before) == comparable(tested.outputs[: len(before)])
    assert comparable(outputs) != comparable(tested.outputs)
    again = Engine(trader.core, lambda outputs: None)
    for number in trader.engine.models.numbers:
        again.models._memory.setdefault(number, trader.engine.models._memory[number])
    again.models.table[:] = trader.engine.models.table
    again.push(logged)
    assert again.state_hash() == trader.engine.state_hash()


def test_a_restart_goes_on_with_the_model_that_was_taken(hours: History, models: tuple[Model, Model]) -> None:
    """With its snapshots gone, a trader replays the whole log, both models included, and ends in the same state."""
    paced = structs.replace(HOURS, speed=8_000.0, end="2014-05-02T13:00")
    trader = trader_of(plan_of(models[0]), paced, "restart")
    trader.start()
    assert run_with_exchange(trader, "restart", models[1]).state == TAKEN
    for path in paths.session_dir("restart").glob("snapshot-*"):
        path.unlink()
    again = trader_of(plan_of(models[0]), paced, "restart")
    recovered = again.start()
    assert recovered.how == "recovered"
    assert recovered.replayed > 10_000
    assert again.engine.state_hash() == trader.engine.state_hash()
    again.close()


def test_what_does_not_fit_is_refused_and_trading_goes_on(hours: History, models: tuple[Model, Model], tested: Result) -> None:
    """A model with other barriers, and a number that nobody has stored, are refused by the trader, which says why in its journal."""
    trader = trader_of(plan_of(models[0]), HOURS, "refusal")
    trader.start()
    manifest = models[1].manifest
    barriers = structs.replace(manifest.barriers, take=3.0)
    other = Model(structs.replace(manifest, barriers=barriers), models[1].contents)
    answers: list[Ack] = []

    def ask() -> None:
        answers.extend(seats.exchange(other, "refusal", timeout_s=10.0))
        answers.append(ControlClient(paths.run_dir("refusal"), "test").take_model(12345, timeout_s=10.0))

    worker = threading.Thread(target=ask)
    worker.start()
    while len(answers) < 2:
        for request in trader.control.poll():
            trader._obey(request)
        time.sleep(0.001)
    worker.join()
    trader.run()
    trader.close()
    assert [answer.state for answer in answers] == [REFUSED, REFUSED]
    notes = [one.text for one in journal_of("refusal") if isinstance(one, Note)]
    assert "it has other features, barriers or edge to enter than what this trader runs" in notes[0]
    assert "12345.bound: cannot be read" in notes[1]
    assert comparable(outputs_of("refusal")) == comparable(tested.outputs)


def test_late_features_are_an_input(hours: History, models: tuple[Model, Model]) -> None:
    """With a limit nothing can meet, the core hears of it once, trades on the last good scores, and a restart replays to the same state."""
    short = structs.replace(HOURS, end="2014-05-02T12:40")
    plan = plan_of(models[0], late_after="1us")
    trader = trader_of(plan, short, "late")
    trader.start()
    trader.run()
    trader.close()
    notes = [one.text for one in journal_of("late") if isinstance(one, Note) and one.about == "features"]
    assert notes == ["late"]
    assert trader.engine.late
    for path in paths.session_dir("late").glob("snapshot-*"):
        path.unlink()
    again = trader_of(plan, short, "late")
    assert again.start().how == "recovered"
    assert not again.engine.late  # it has yet to see for itself, and says so to the core by an input of its own
    again.close()
    log = InputLog(paths.session_dir("late") / "inputs")
    log.open()
    logged = np.concatenate([part.copy() for part in log.read(1)])
    log.close()
    assert [int(word) for word in logged.view(np.int64).reshape(-1, 8)[logged["kind"] == DEGRADE, 4]] == [1, 0]
