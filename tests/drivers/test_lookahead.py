"""Leaks are found and named; what looks only back passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tercel.base.errors import ConfigError
from tercel.base.records import BAR, empty
from tercel.base.time import NS_PER_MIN
from tercel.core.context import CoreContext
from tercel.decision.rules import EmaCross, ModelRule
from tercel.decision.strategy import Bar, Strategy
from tercel.drivers.history import SimulatedHistory
from tercel.drivers.lookahead import CHANGES, Recorded, changed, check_history, check_rows, recorded
from tercel.drivers.lookahead_training import check_folds, check_in_sample, check_labels
from tercel.drivers.session import Plan
from tercel.features.opcodes import OPCODES
from tercel.features.spec import FeatureSet, atr, bars, ema, macd, returns, rsi, sma, volatility, zscore
from tercel.models.barriers import triple_barrier
from tercel.models.manifest import FINAL
from tercel.models.model import Model
from tercel.models.training.dataset import Dataset
from tercel.models.training.folds import Fold, walk_forward
from tests.drivers import leaks
from tests.models.judged import walk
from tests.models.kept import HOUR_NS, START_NS, model
from tests.models.made import model_of, stump
from tests.real_ticks import PLAN, import_slice

MARKET = SimulatedHistory(seed=3, hours=0.4)
RULE = EmaCross(fast=3, slow=8, volatility_rows=10, enter=0.1, exit=0.0, size_lots=0.1)
CLEAN = Plan(FeatureSet(bars("5s"), [sma(20), rsi(14), macd(), atr(14), zscore(30, returns())]), RULE)


@pytest.fixture(autouse=True)
def _leaking_opcodes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, opcode in leaks.LEAKING.items():
        monkeypatch.setitem(OPCODES, name, opcode)


def test_a_clean_program_passes() -> None:
    """Features and a rule that look back only are the same whatever comes later, in any batches."""
    found = check_history(CLEAN, MARKET, cuts=3)
    assert found.clean, found.leaks
    assert (found.runs, len(found.cuts)) == (3 + 3 * len(CHANGES), 3)
    assert found.rows > 1_000
    assert found.outputs > 300


@pytest.mark.parametrize("clock", ["1s", "40t"])
def test_real_ticks_pass(data_dir: Path, tmp_path: Path, clock: str) -> None:
    """Gold and euro at OANDA, with limits, partial fills and a rule: nothing of it looks ahead."""
    history = import_slice(data_dir, tmp_path, "2014-05-02T12:25", "2014-05-02T12:40")
    found = check_history(PLAN.on(clock, None), history, cuts=2)
    assert found.clean, found.leaks
    assert found.outputs > 20


def test_a_model_in_the_path_passes() -> None:
    """Scores, signals, orders and exits of a model do not know what comes after them; its scores are among what is compared."""
    market = SimulatedHistory(3, 1.0)
    features = FeatureSet(bars("10s"), (returns(1), volatility(20)))
    contents = {"long.json": stump(0.0, -1.0, 1.0)}
    stumps = model_of(features, ("returns_1",), triple_barrier(1.0, 1.0, "2m", rows=20, every="10s"), contents)
    found = check_history(Plan(decide=ModelRule(stumps)), market, cuts=2)
    assert found.clean, found.leaks
    assert found.outputs > 100


@pytest.mark.parametrize("op", leaks.LEAKING)
def test_an_opcode_that_reads_ahead_in_its_block_is_caught(op: str) -> None:
    """A peek at the next row, or at the whole block: the feature, the bar and the cut are named, and features that are honest are not."""
    plan = replace(CLEAN, features=CLEAN.features.with_features([leaks.leaking(op)]))
    found = check_history(plan, MARKET, cuts=3)
    assert {leak.name for leak in found.leaks} == {op}
    by_kind = {leak.kind: leak for leak in found.leaks}
    assert set(by_kind) == {"batch", "feature"}
    leak = by_kind["feature"]
    assert leak.cut_ns in found.cuts
    assert leak.at_ns <= leak.cut_ns
    assert f"{op} is " in leak.what
    assert "bar that closed at 2026-01-05 12:" in leak.what
    assert "when, after 2026-01-05 12:" in leak.what


class Follower(Strategy):
    """Buys when its leaking feature is above the close."""

    features = (leaks.leaking("peek_next"), ema(3))

    def on_bar(self, context: CoreContext, bar: Bar) -> None:
        context.target(1000.0 if context.features["peek_next"] > bar.close else 0.0)


class Counter(Strategy):
    """An honest strategy with memory of its own: it buys at every seventh bar."""

    def __init__(self) -> None:
        self.bars = 0

    def on_bar(self, context: CoreContext, bar: Bar) -> None:
        self.bars += 1
        context.target(1000.0 if self.bars % 7 == 0 else 0.0)


def test_orders_of_a_leaking_strategy_are_caught() -> None:
    """What a strategy does with a leak is named too; an honest one with a memory passes, because each run begins with a copy."""
    plan = Plan(FeatureSet(bars("5s"), []), Follower())
    found = check_history(plan, MARKET, cuts=2)
    assert {"feature", "output"} <= {leak.kind for leak in found.leaks}
    counter = Counter()
    honest = check_history(replace(plan, decide=counter), MARKET, cuts=2)
    assert honest.clean, honest.leaks
    assert honest.outputs > 100
    assert counter.bars == 0


def bars_at(delay_ns: int) -> Recorded:
    """Recorded one-minute bars of the first simulated instrument that arrive so long after their open."""
    rng = np.random.default_rng(1)
    records = empty(300)
    records["kind"], records["instrument"] = BAR, MARKET.instruments[0].id
    records["ts_event"] = 1_767_614_400_000_000_000 + np.arange(300) * NS_PER_MIN
    records["ts_recv"] = records["ts_event"] + delay_ns
    close = np.round(1.1 + np.cumsum(rng.normal(0, 1e-4, 300)), 5)
    for field, value in (("price", close), ("size", close + 1e-4), ("price2", close - 1e-4), ("size2", close)):
        records[field] = value
    return Recorded(records, MARKET.instruments[:1], frozenset())


def test_a_bar_that_enters_at_its_open_is_caught() -> None:
    """A bar holds the prices of its whole interval: it may be known at its close and no earlier."""
    plan = Plan(FeatureSet(bars("1m"), [sma(3)]), None)
    assert check_history(plan, bars_at(NS_PER_MIN), cuts=2).clean
    found = check_history(plan, bars_at(0), cuts=2)
    assert [leak.kind for leak in found.leaks] == ["bar"]
    assert "300 of 300 bars are early: a bar arrives at its close" in found.leaks[0].what
    own = check_rows(leaks.at_the_open, MARKET)
    assert [leak.name for leak in own.leaks] == ["close"]


def test_an_honest_function_passes() -> None:
    """A function of one's own that looks back only passes, on ticks as on columns."""
    found = check_rows(leaks.honest, MARKET)
    assert found.clean, found.leaks
    assert found.rows > 20
    columns = {"close": np.cumsum(np.random.default_rng(2).normal(size=500))}
    times = np.arange(500) * NS_PER_MIN
    assert check_rows(lambda t, c: (t, {"change": np.diff(c["close"], prepend=np.nan)}), (times, columns)).clean


@pytest.mark.parametrize(
    ("compute", "name"), [(leaks.normalised, "normalised"), (leaks.label_among_features, "future_return"), (leaks.at_the_open, "close")]
)
def test_a_function_that_looks_ahead_is_caught(compute: Callable[..., object], name: str) -> None:
    """Normalised over the whole sample, a label among the features, a bar known at its open: the column is named, honest ones are not."""
    found = check_rows(compute, MARKET)  # type: ignore[arg-type]
    assert [leak.name for leak in found.leaks] == [name]
    assert f"{name} is " in found.leaks[0].what
    assert found.leaks[0].at_ns <= found.leaks[0].cut_ns


def test_a_function_that_answers_with_other_lengths_is_refused() -> None:
    """As many values as times, or an error that names the column."""
    with pytest.raises(ConfigError, match=r"short: expected [\d,]+ values, one for each time, found 2"):
        check_rows(lambda t, c: (t, {"short": np.zeros(2)}), MARKET)


def folds_of(data: Dataset, embargo_ns: int = 0) -> list[Fold]:
    """Four purged folds and the final one."""
    return walk_forward(data, 4, embargo_ns)


def unpurged(data: Dataset, fold: Fold) -> Fold:
    """The fold with every row before its test, whatever its label's end."""
    begin = np.searchsorted(data.stamp, data.stamp[fold.calibrate].min())
    test = np.searchsorted(data.stamp, fold.test_first_ns)
    return replace(fold, train=np.arange(begin), calibrate=np.arange(begin, test))


def test_folds_without_purge_are_caught() -> None:
    """A row whose outcome was open when the test began has seen the test: purged folds pass, plain ones are named with the row."""
    data, _ = walk(1, count=600)
    folds = folds_of(data)
    assert check_folds(data, folds).clean
    found = check_folds(data, [unpurged(data, folds[0]), *folds[1:]])
    assert [leak.name for leak in found.leaks] == ["fold 1, calibrated on, tests", "fold 1, trained on, calibrates"]
    assert (
        "38 of 200 rows calibrated on reach into what fold 1 tests" in found.leaks[0].what
        or "rows calibrated on reach" in found.leaks[0].what
    )
    mixed = replace(folds[2], train=np.append(folds[2].train, folds[2].test[:3]))
    assert [leak.name for leak in check_folds(data, [mixed]).leaks] == ["fold 3, trained on, tests", "fold 3, trained on, calibrates"]
    unknown = replace(data, outcome=np.where(np.arange(len(data.stamp))[:, None] == 5, np.nan, data.outcome))
    assert [leak.name for leak in check_folds(unknown, folds[:1]).leaks] == ["fold 1, trained on, unknown"]


def test_labels_do_not_end_before_they_are_known() -> None:
    """Features and outcomes of the data a model is trained on depend on nothing after the time at which they are said to be known."""
    plan = Plan(FeatureSet(bars("5s"), [rsi(14), zscore(20)]), None)
    told: list[tuple[float, float]] = []
    barriers = triple_barrier(horizon="2m", every="5s", rows=20)
    found = check_labels(plan, MARKET, barriers, cuts=2, progress=lambda what, done, total: told.append((done, total)))
    assert told == [(done, found.runs) for done in range(found.runs)]
    assert found.clean, found.leaks
    assert found.rows > 500
    leaky = replace(plan, features=plan.features.with_features([leaks.leaking("peek_next", returns())]))
    caught = check_labels(leaky, MARKET, triple_barrier(horizon="2m", every="5s", rows=20), cuts=1)
    assert [leak.name for leak in caught.leaks] == ["peek_next"]


def test_a_model_tested_on_what_it_was_trained_on_is_caught() -> None:
    """The test stretches of the folds and what comes after the training are honest; everything else is in sample, to the second."""
    kept = model()
    folds = [part for part in kept.manifest.parts if part.name != FINAL]
    first, last = folds[0].test_first_ns, folds[-1].test_last_ns
    assert check_in_sample(kept, first, last).clean
    seen = kept.manifest.part(FINAL).seen_last_ns
    assert check_in_sample(kept, seen + 1, seen + 1000 * HOUR_NS).clean
    found = check_in_sample(kept, START_NS, last)
    assert [(leak.at_ns, leak.kind) for leak in found.leaks] == [(START_NS, "model")]
    assert "no part may speak" in found.leaks[0].what
    alone = Model(msgspec.structs.replace(kept.manifest, parts=kept.manifest.parts[-1:]), kept.contents)
    assert [leak.at_ns for leak in check_in_sample(alone, first, last).leaks] == [first]


def test_a_fold_that_saw_its_own_test_is_caught() -> None:
    """A part whose training reached into its test stretch is a leak whatever the period."""
    kept = model()
    fold = kept.manifest.parts[0]
    worse = msgspec.structs.replace(fold, seen_last_ns=fold.test_first_ns + HOUR_NS)
    found = check_in_sample(Model(msgspec.structs.replace(kept.manifest, parts=(worse, *kept.manifest.parts[1:])), kept.contents), 0, 0)
    assert [leak.name for leak in found.leaks] == ["fold-1"]
    assert "has learnt from" in found.leaks[0].what


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_alters_all_that_comes_later_and_nothing_before(change: str) -> None:
    """Up to the cut every byte stays; after it prices move, on the grid, or records go or come twice."""
    data = recorded(MARKET, 0, 20_000)
    cut = int(data.records["ts_recv"][9_000])
    first = int(np.searchsorted(data.records["ts_recv"], cut, side="right"))
    other = changed(data.records, cut, change, data.instruments, np.random.default_rng(1))
    assert other[:first].tobytes() == data.records[:first].tobytes()
    if "price" in change:
        assert (other["price"][first:] != data.records["price"][first:]).all()
        assert (other["price2"][first:] > other["price"][first:])[other["kind"][first:] == 1].all()
        one = data.instruments[0]
        mine = other["price"][first:][other["instrument"][first:] == one.id] * 10**one.price_decimals / one.price_increment
        assert np.abs(mine - np.round(mine)).max() < 1e-6
    else:
        assert abs(len(other) - len(data.records)) > 3_000
