"""The same inputs give the same outputs and the same state, whatever the batches, the threads, the room for outputs and the restarts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tercel.base.records import OUT_DENIED, OUT_FILL, OUT_INTENT, Records
from tercel.core.engine import Engine
from tercel.core.layout import H_LEDGER
from tercel.core.sequencer import Sequencer
from tercel.core.setup import CoreConfig
from tercel.core.step import Step
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import History
from tercel.ledger.kernels import LEDGER_WORDS
from tests.core.scenarios import assert_books_agree
from tests.real_ticks import LIMITS, PLAN, all_ticks

SEEDS = range(8)


@dataclass
class Ran:
    """What a run said, the state it ended in, and the engine."""

    outputs: Records
    state_hash: str
    engine: Engine


def cut(rows: Records, chance: random.Random, longest: int) -> Iterator[Records]:
    """The rows in pieces of random lengths, from one row to `longest`."""
    first = 0
    while first < len(rows):
        count = int(np.exp(chance.uniform(0, np.log(longest)))) + chance.randint(0, 1)
        yield rows[first : first + count]
        first += count


def run(chosen: History, rows: Records, pieces: Iterator[Records] | None = None, core: CoreConfig | None = None, **options: int) -> Ran:
    """Play the rows to a new core."""
    core = core or PLAN.core(chosen.instruments, chosen.quoted)
    sink: list[Records] = []
    engine = Engine(core, lambda outputs: sink.append(outputs.copy()), **options)
    sequencer = PLAN.sequencer(core)
    for piece in pieces if pieces is not None else iter([rows]):
        for part in sequencer.push(piece):
            engine.push(part)
    for part in sequencer.finish():
        engine.push(part)
    engine.close()
    return Ran(np.concatenate(sink), engine.state_hash(), engine)


@pytest.fixture(scope="module")
def ticks(slice_of_may: History) -> Records:
    """All ticks in order of arrival."""
    return all_ticks(slice_of_may)


@pytest.fixture(scope="module")
def reference(slice_of_may: History, ticks: Records) -> Ran:
    """One run, one batch, one thread."""
    return run(slice_of_may, ticks)


def test_the_run_is_worth_comparing(reference: Ran, ticks: Records) -> None:
    """The slice trades, in parts, is denied for several reasons, and meets a day roll; ledger and core agree."""
    kinds = np.bincount(reference.outputs["kind"], minlength=8)
    assert len(ticks) > 100_000
    assert kinds[OUT_FILL] > 2 * kinds[OUT_INTENT] > 100
    assert kinds[OUT_DENIED] > 100
    assert len(reference.engine.reasons()) >= 6
    assert_books_agree(reference.engine, reference.outputs)


@pytest.mark.parametrize("seed", SEEDS)
def test_cuts_threads_and_room_change_nothing(slice_of_may: History, ticks: Records, reference: Ran, seed: int) -> None:
    """Random pieces, 1 to 4 threads, room for one output or many, small batches: outputs and state are equal to the bit."""
    chance = random.Random(seed)
    options = {"threads": 1 + seed % 4, "output_room": chance.choice([1, 2, 7, 4096]), "batch": chance.choice([64, 1000, 16_384])}
    ran = run(slice_of_may, ticks, cut(ticks, chance, 60_000), **options)
    assert ran.outputs.tobytes() == reference.outputs.tobytes(), f"seed {seed}: {options}"
    assert ran.state_hash == reference.state_hash, f"seed {seed}: {options}"


@pytest.mark.parametrize("seed", SEEDS)
def test_restarts_change_nothing(slice_of_may: History, ticks: Records, reference: Ran, seed: int) -> None:
    """State taken out after a random input and put into a new core goes on as if nothing had happened."""
    chance = random.Random(100 + seed)
    core = PLAN.core(slice_of_may.instruments, slice_of_may.quoted)
    sink: list[Records] = []

    def begin() -> tuple[Engine, Sequencer]:
        return Engine(core, lambda outputs: sink.append(outputs.copy()), output_room=chance.choice([1, 512])), PLAN.sequencer(core)

    engine, sequencer = begin()
    for piece in cut(ticks, chance, 40_000):
        for part in sequencer.push(piece):
            engine.push(part)
        if chance.random() < 0.2:
            kept = {name: memory.copy() for name, memory in engine.arrays().items()}
            stamped = sequencer.state.copy()
            engine, sequencer = begin()
            engine.restore(kept)
            sequencer.state[:] = stamped
    for part in sequencer.finish():
        engine.push(part)
    assert np.concatenate(sink).tobytes() == reference.outputs.tobytes(), f"seed {seed}"
    assert engine.state_hash() == reference.state_hash, f"seed {seed}"


@pytest.mark.parametrize("seed", range(4))
def test_one_entry_changes_nothing(slice_of_may: History, ticks: Records, reference: Ran, seed: int) -> None:
    """The live path's single entry says the same, and hands out every sequenced input, also when they are more than it has room for."""
    chance = random.Random(200 + seed)
    core = PLAN.core(slice_of_may.instruments, slice_of_may.quoted)
    sink: list[Records] = []
    engine = Engine(
        core, lambda outputs: sink.append(outputs.copy()), batch=[48, 100, 1024, 16_384][seed], output_room=chance.choice([1, 512])
    )
    sequencer = PLAN.sequencer(core)
    step = Step(sequencer, engine, 1024)
    logged = [step(piece).copy() for piece in cut(ticks, chance, 1000)]
    for part in sequencer.finish():
        engine.push(part)
        logged.append(part.copy())
    assert np.concatenate(sink).tobytes() == reference.outputs.tobytes(), f"seed {seed}"
    assert engine.state_hash() == reference.state_hash
    again = PLAN.sequencer(core)
    expected = [part.copy() for part in again.push(ticks)] + [part.copy() for part in again.finish()]
    assert np.concatenate(logged).tobytes() == np.concatenate(expected).tobytes()


def test_the_order_of_the_instruments_changes_nothing(slice_of_may: History, ticks: Records) -> None:
    """With the slots the other way round each instrument says and ends the same; only numbers that count over all of them differ.

    The order rate is the one limit that the first of two orders of the same instant takes from the second, so it is wide here.
    """
    plan = replace(PLAN, limits=replace(LIMITS, orders_per_second=100))
    ways = [slice_of_may.instruments, slice_of_may.instruments[::-1]]
    runs = [run(slice_of_may, ticks, core=plan.core(way, slice_of_may.quoted)) for way in ways]
    for one in slice_of_may.instruments:
        said, ledgers = [], []
        for way, ran in zip(ways, runs, strict=True):
            mine = ran.outputs[ran.outputs["instrument"] == one.id]
            mine["order"] = mine["execution"] = 0
            said.append(mine.tobytes())
            at = ran.engine.config.layout.section(H_LEDGER, LEDGER_WORDS, way.index(one))
            ledgers.append(ran.engine.account[at : at + LEDGER_WORDS].tobytes())
        assert said[0] == said[1], one.name
        assert ledgers[0] == ledgers[1], one.name


def test_another_input_is_another_state(slice_of_may: History, ticks: Records, reference: Ran) -> None:
    """A hash that could not differ would prove nothing: the last price changed by one step, or any one tick left out, shows."""
    changed = ticks.copy()
    changed["price"][-1] += 0.001
    assert run(slice_of_may, changed).state_hash != reference.state_hash
    assert run(slice_of_may, np.delete(ticks, 70_000)).state_hash != reference.state_hash


def test_the_backtest_is_this_run(slice_of_may: History, reference: Ran) -> None:
    """The back-test driver, with one thread and with three, says what the core says when it is fed by hand."""
    for threads in (1, 3):
        result = Backtest(replace(PLAN), slice_of_may, threads).run()
        assert result.outputs.tobytes() == reference.outputs.tobytes()
        assert result.state_hash == reference.state_hash
