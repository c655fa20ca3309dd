"""A restart that cannot replay: positions and cash come from the journal, market state is warmed up, and entries wait."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tercel.base import paths
from tercel.base.errors import ConfigError, JournalError
from tercel.base.records import OUT_CANCEL, OUT_INTENT
from tercel.base.time import format_instant
from tercel.drivers.backtest import ledger_of, marks_of
from tercel.drivers.history import History
from tercel.drivers.launch import FeedSpec
from tercel.drivers.recovery import Recovered
from tercel.drivers.result import Result
from tercel.drivers.session import Plan
from tercel.drivers.trader import Trader
from tercel.execution.lifecycle import CANCELED, OPEN
from tercel.journal.entries import REWARMED, Note
from tests.core.scenarios import assert_books_agree
from tests.real_ticks import NAMES, PLAN
from tests.traders import journal_of, outputs_of, trader_of

WHOLE = FeedSpec(kind="replay", names=NAMES, speed=0)
OTHER = replace(PLAN, limits=replace(PLAN.limits, order_lots=0.4))
THIRD = replace(PLAN, limits=replace(PLAN.limits, order_lots=0.6))


def until(time_ns: int) -> FeedSpec:
    """The feed up to an instant."""
    return FeedSpec(kind="replay", names=NAMES, speed=0, end=format_instant(time_ns, 9).replace(" ", "T"))


def played(plan: Plan, feed: FeedSpec, account: str, killed: bool = False) -> tuple[Trader, Recovered]:
    """A trader that played its feed to the end and was closed, or let go as if killed: no last snapshot, no hash."""
    trader = trader_of(plan, feed, account)
    recovered = trader.start()
    trader.run()
    if killed:
        for part in (trader.journal, trader.log, trader.engine, trader.control):
            part.close()
    else:
        trader.close()
    return trader, recovered


@pytest.fixture
def with_position(tested: Result) -> int:
    """An instant at which the account holds a position and has an order open: that of an order that closes a position."""
    for one in tested.outputs[tested.outputs["kind"] == OUT_INTENT][4:]:
        if one["position"] != 0:
            return int(one["time"])
    raise AssertionError("the slice has no order that closes a position")


@pytest.mark.parametrize("killed", [False, True], ids=["after a stop", "after a kill"])
def test_other_settings_rewarm(hours: History, tested: Result, with_position: int, killed: bool) -> None:
    """With other settings nothing is replayed: position and cash are the journal's, the open order is cancelled, the feed goes on."""
    account = f"other-{killed}"
    before, _ = played(PLAN, until(with_position), account, killed)
    held = ledger_of(before.engine)
    assert any(position for position, _, _ in held.values())
    trader = trader_of(OTHER, WHOLE, account)
    recovered = trader.start()
    assert recovered.how == "rewarmed"
    assert "other settings or another version" in recovered.why
    assert ledger_of(trader.engine) == held
    marks = marks_of(trader.engine)
    assert all(marks[one] > 0 for one, (position, _, _) in held.items() if position)  # else the day's loss would count its cash alone
    assert trader.engine.orders == before.engine.orders
    assert trader.engine.fills == before.engine.fills
    assert trader.sequencer.market_inputs == before.sequencer.market_inputs == trader.feed.position
    assert trader.engine.input_number > before.engine.input_number
    newest = {int(one["order"]): one for one in outputs_of(account) if one["order"]}
    assert not [one for one in newest.values() if int(one["state"]) in OPEN]
    last = newest[before.engine.orders]
    assert (last["kind"], last["state"], last["input"]) == (OUT_CANCEL, CANCELED, before.engine.input_number)
    trader.run()
    trader.close()
    assert trader.sequencer.market_inputs == tested.ticks
    assert_books_agree(trader.engine, outputs_of(account))
    assert [one.about for one in journal_of(account) if isinstance(one, Note)] == [REWARMED]


def test_entries_wait_for_the_memory(hours: History, tested: Result, with_position: int) -> None:
    """After a rewarm entries are denied as `rewarmed` until the declared memory has passed, closing is not; then trading goes on."""
    played(PLAN, until(with_position), "waits")
    trader, recovered = played(OTHER, WHOLE, "waits")
    assert recovered.how == "rewarmed"
    memory_ns = OTHER.core(hours.instruments).program.memory_rows * 5_000_000_000
    outputs = outputs_of("waits")
    later = outputs[outputs["epoch"] == 2]
    intents = later[later["kind"] == OUT_INTENT]
    early = intents[intents["time"] < with_position + memory_ns]
    assert trader.engine.reasons()["rewarmed"] > 0
    assert len(early)
    assert all(abs(one["position"] + int(one["side"]) * one["size"]) < abs(one["position"]) for one in early)
    assert len(intents) > len(early)


def test_a_recovery_after_a_rewarm_replays_again(hours: History, with_position: int) -> None:
    """What was rewarmed once is recovered to the bit from then on, also by replay of the whole log since."""
    played(PLAN, until(with_position), "again")
    trader, _ = played(OTHER, until(with_position + 600 * 10**9), "again")
    ended = trader.engine.state_hash()
    stored = sorted(paths.session_dir("again").glob("snapshot-*.snap"))
    stored[-1].unlink()
    same, recovered = played(OTHER, until(with_position + 600 * 10**9), "again")
    assert recovered.how == "recovered"
    assert recovered.replayed > 1_000
    assert same.engine.state_hash() == ended


def test_two_rewarms_keep_the_place_in_the_feed(hours: History, tested: Result, with_position: int) -> None:
    """A log that was begun anew still knows how many ticks came before it."""
    played(PLAN, until(with_position), "twice")
    second, _ = played(OTHER, until(with_position + 300 * 10**9), "twice")
    third = trader_of(THIRD, WHOLE, "twice")
    assert third.start().how == "rewarmed"
    assert third.sequencer.market_inputs == second.sequencer.market_inputs
    assert third.engine.stamp == 0 or third.engine.stamp >= second.engine.stamp
    third.run()
    third.close()
    assert third.sequencer.market_inputs == tested.ticks
    outputs = outputs_of("twice")
    assert np.all(np.diff(outputs["time"]) >= 0)
    assert np.all(np.diff(outputs["input"]) >= 0)
    assert_books_agree(third.engine, outputs)


def damage(account: str, act: Callable[[Path], None]) -> None:
    """Do something to the newest segment of the input log."""
    act(sorted((paths.session_dir(account) / "inputs").glob("input-*.log"))[-1])


def test_a_torn_tail_that_nothing_needed_is_no_loss(hours: History, tested: Result, with_position: int) -> None:
    """Inputs the journal does not know of come again from the feed when the log lost them."""
    played(PLAN, until(with_position + 2 * 10**9), "torn", killed=True)
    lost = outputs_of("torn")
    damage("torn", lambda path: os.truncate(path, path.stat().st_size - 64 * 3 - 7))
    trader, recovered = played(PLAN, WHOLE, "torn")
    assert recovered.how in ("recovered", "rewarmed")
    known = int(lost["input"].max()) if len(lost) else 0
    assert recovered.how == ("recovered" if known <= recovered.replayed else "rewarmed")
    assert_books_agree(trader.engine, outputs_of("torn"))
    if recovered.how == "recovered":
        assert trader.engine.state_hash() == tested.state_hash


def test_a_log_that_lost_what_the_journal_knows_rewarms(hours: History, with_position: int) -> None:
    """When the log ends before an input the journal knows, or is gone altogether, the account is the journal's."""
    before, _ = played(PLAN, until(with_position), "lost")
    damage("lost", lambda path: os.truncate(path, 64 + 64 * 100))
    trader = trader_of(PLAN, until(with_position + 60 * 10**9), "lost")
    recovered = trader.start()
    assert recovered.how == "rewarmed"
    assert "the input log ends at 100" in recovered.why
    assert ledger_of(trader.engine) == ledger_of(before.engine)
    trader.close()
    for path in (paths.session_dir("lost") / "inputs").glob("input-*.log"):
        path.unlink()
    trader = trader_of(PLAN, until(with_position + 60 * 10**9), "lost")
    assert trader.start().how == "rewarmed"
    assert ledger_of(trader.engine) == ledger_of(before.engine)
    trader.run()
    trader.close()
    assert_books_agree(trader.engine, outputs_of("lost"))


def test_a_position_that_is_not_named_is_not_forgotten(hours: History, with_position: int) -> None:
    """A run that leaves out an instrument in which the account holds a position is refused."""
    before, _ = played(PLAN, until(with_position), "stranger")
    held = next(one.name for one in before.core.instruments if ledger_of(before.engine)[one.id][0])
    names = tuple(name for name in NAMES if name != held)
    trader = trader_of(PLAN, FeedSpec(kind="replay", names=names, speed=0), "stranger")
    with pytest.raises(ConfigError, match="which this run does not trade"):
        trader.start()


def test_a_journal_that_a_replay_contradicts_stops_everything(hours: History, with_position: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """When replay does not give the journal's outputs again, nothing is traded."""
    played(PLAN, until(with_position), "contradicted", killed=True)
    monkeypatch.setattr("tercel.drivers.trader.hash_of", lambda plan: "0" * 16)
    trader = trader_of(PLAN, WHOLE, "contradicted")
    trader.core = replace(trader.core, venue=replace(PLAN.venue, liquidity_lots=0.07))
    monkeypatch.setattr("tercel.drivers.recovery.Recovery._impossible", lambda *_: "")
    with pytest.raises(JournalError, match="the replay does not give the journal's outputs again: output"):
        trader.start()
