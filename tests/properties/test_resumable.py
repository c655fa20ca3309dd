"""A strategy written in Python is the compiled rule to the bit: the core stops, asks it, and goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples.ema_cross import EmaCrossStrategy
from tercel.base.records import OUT_FILL, Records
from tercel.core.engine import Engine
from tercel.decision.rules import EmaCross
from tercel.drivers.backtest import ledger_of
from tercel.drivers.history import History
from tercel.drivers.session import Plan
from tercel.features.spec import FeatureSet, bars
from tests.core.scenarios import assert_books_agree
from tests.real_ticks import LIMITS, PLAN, RULE, VENUE, all_ticks, home_at, import_bitcoin

BITCOIN_RULE = EmaCross(fast=5, slow=12, volatility_rows=10, enter=0.05, exit=0.01, risk_per_bar=0.7)
BITCOIN = Plan(FeatureSet(bars("40t"), ()), BITCOIN_RULE, replace(LIMITS, position_lots=0.5), VENUE)


def by_hand(rule: EmaCross) -> EmaCrossStrategy:
    """The strategy in Python with the numbers of a rule."""
    assert isinstance(rule.risk_per_bar, float)
    return EmaCrossStrategy(rule.fast, rule.slow, rule.volatility_rows, rule.enter, rule.exit, rule.risk_per_bar)


def run(plan: Plan, chosen: History, ticks: Records, room: int) -> tuple[Records, Engine]:
    """Outputs and engine of one run with room for so many outputs."""
    core = plan.core(chosen.instruments, chosen.quoted)
    sink: list[Records] = []
    engine, sequencer = Engine(core, lambda outputs: sink.append(outputs.copy()), output_room=room), plan.sequencer(core)
    for part in sequencer.push(ticks):
        engine.push(part)
    for part in sequencer.finish():
        engine.push(part)
    return np.concatenate(sink), engine


def assert_equal_to_the_bit(plan: Plan, chosen: History, fills_min: int) -> None:
    """Rule with a large buffer against strategy with room for one output and for many."""
    assert isinstance(plan.decide, EmaCross)
    ticks = all_ticks(chosen, plan)
    outputs, engine = run(plan, chosen, ticks, 4096)
    assert np.count_nonzero(outputs["kind"] == OUT_FILL) > fills_min
    strategy = by_hand(plan.decide)
    for room in (1, 300):
        said, asked = run(replace(plan, decide=strategy), chosen, ticks, room)
        assert said.tobytes() == outputs.tobytes()
        assert ledger_of(asked) == ledger_of(engine)
        assert asked.reasons() == engine.reasons()
        assert (asked.orders, asked.fills, asked.evaluations) == (engine.orders, engine.fills, engine.evaluations)
        assert_books_agree(asked, said)


def test_the_strategy_is_the_rule_on_gold_and_euro(slice_of_may: History) -> None:
    """Signals, intents, fills, denials, positions, cash and counted reasons are equal, by time bars and whole sizes."""
    assert_equal_to_the_bit(PLAN, slice_of_may, fills_min=100)


@pytest.fixture
def bitcoin(data_dir: Path, tmp_path: Path) -> Iterator[History]:
    """The bitcoin perpetual in a home of its own."""
    with home_at(tmp_path) as home:
        yield import_bitcoin(data_dir, home)


def test_the_strategy_is_the_rule_on_bitcoin(bitcoin: History) -> None:
    """The same by tick bars, with sizes of three decimals that the source shows."""
    assert_equal_to_the_bit(BITCOIN, bitcoin, fills_min=20)


def test_a_different_number_is_a_different_run(slice_of_may: History) -> None:
    """The comparison can fail: one threshold a little higher gives other outputs."""
    ticks = all_ticks(slice_of_may)
    outputs, _ = run(PLAN, slice_of_may, ticks, 4096)
    other, _ = run(replace(PLAN, decide=by_hand(replace(RULE, enter=RULE.enter * 1.01))), slice_of_may, ticks, 4096)
    assert other.tobytes() != outputs.tobytes()
