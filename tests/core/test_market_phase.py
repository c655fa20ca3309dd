"""The market phase: the same rows however inputs are cut and instruments are sharded, in the order (input, slot)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.kernel import entry
from tercel.base.records import BAR, COMMAND, DEGRADE, FEATURES_LATE, MODEL, QUOTE, TRADE, Records, empty
from tercel.core.market_phase import (
    ROW_CLOSE,
    ROW_GOOD,
    ROW_INPUT,
    ROW_MODEL,
    ROW_NEXT,
    ROW_SLOT,
    ROW_STALE,
    ROW_WORDS,
    market_run,
    merge_rows,
    new_state,
    rows_per_input,
)
from tercel.core.sequencer import Sequencer
from tercel.features.program import BASE_COUNT, BLOCK_ROWS
from tercel.features.spec import FeatureSet, bars, difference, ema, returns, rsi, sma, spread, volatility
from tercel.models.barriers import triple_barrier
from tests.market_runs import NAN, MarketRun, bar, quote, real_ticks, record, timer, together
from tests.models.made import model_of, stump
from tests.twins import bits, twin

EVERY, SLOTS = 60, 5
FEATURES = (sma(3), ema(2), rsi(2), volatility(3), returns(2), spread(), difference(ema(2), "open"))


def features(every: str = f"{EVERY}ns") -> FeatureSet:
    """A set with every kind of state."""
    return FeatureSet(bars(every), FEATURES)


def ticks(seed: int, count: int, slots: int = SLOTS) -> Records:
    """Sequenced quotes, trades, bars and timers of several instruments, one of which nobody trades, some late and some one-sided."""
    chance = np.random.default_rng(seed)
    out, stamp = empty(count), 600_000
    for place in range(count):
        stamp += int(chance.choice([0, 1, 5, 12, 40, 400]))
        kind = int(chance.choice([QUOTE, QUOTE, QUOTE, QUOTE, TRADE, BAR]))
        price = float(chance.integers(90, 110))
        body = (price, NAN, price + float(chance.choice([0.0, 1.0, 2.0, NAN])), NAN)
        values = {QUOTE: body, TRADE: (price, 2.0), BAR: (price, price + 1, price - 1, price, 5.0)}[kind]
        lag = int(chance.choice([0, 0, 3, 30, 100]))
        out[place] = record(kind, stamp - lag, stamp, int(chance.integers(0, slots + 1)), values)[0]
    sequencer = Sequencer(interval_ns=EVERY, grace_ns=7)
    return together(*[part.copy() for part in sequencer.push(out)], *[part.copy() for part in sequencer.finish()])


def control(records: Records, numbers: list[int], seed: int) -> Records:
    """The records with models put in place, taken away and exchanged, and features late and in time again, at seeded places."""
    chance = np.random.default_rng(seed)
    out: list[Records] = []
    for one in np.split(records, range(1, len(records))):
        out.append(one)
        if chance.random() < 0.15:
            extra = empty(1)
            extra["ts_event"] = extra["ts_recv"] = one["ts_recv"]
            late = chance.random() < 0.4
            extra["kind"] = DEGRADE if late else COMMAND
            extra["instrument"] = int(chance.integers(0, SLOTS + 2))
            extra.view(np.int64)[3:5] = (FEATURES_LATE, int(chance.integers(0, 2))) if late else (MODEL, int(chance.choice([0, *numbers])))
            out.append(extra)
    return together(*out)


def run_of(every: str = f"{EVERY}ns", **options: object) -> MarketRun:
    """A market phase with two models in its table, whose last instrument id has no slot."""
    chosen = features(every)
    inputs = ("rsi_2", "returns_2", "spread")
    models = [
        model_of(chosen, inputs, triple_barrier(rows=3), {"long.json": stump(50.0, low, high, column=0, columns=3)})
        for low, high in ((-1.0, 1.0), (0.5, -0.25))
    ]
    return MarketRun(chosen, SLOTS, slot_of=[*range(SLOTS), -1], models=models, **options)  # type: ignore[arg-type]


def meaning(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows without the word that links them inside one call."""
    return np.delete(rows, ROW_NEXT, axis=1)


@pytest.mark.parametrize("every", [f"{EVERY}ns", "3t", "4v"])
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 400), max_size=30), shards=st.integers(1, 4))
def test_neither_cuts_nor_shards_change_a_bit(every: str, seed: int, cuts: list[int], shards: int) -> None:
    """One call and one shard, or any number of both: the same rows in the same order, and the same state behind them."""
    whole, other = run_of(every), run_of(every, shards=shards)
    records = control(ticks(seed, 120), whole.numbers, seed)
    expected = whole.push(records)
    assert np.array_equal(meaning(other.push_cut(records, cuts)), meaning(expected))
    assert np.array_equal(other.state, whole.state)


def test_one_by_one_is_as_good_as_at_once() -> None:
    """A live trader gives inputs one at a time, a back-test many thousand."""
    records = ticks(3, 400)
    expected = run_of().push(records)
    assert len(expected) > 150
    assert np.array_equal(meaning(run_of(shards=3).push_cut(records, range(len(records)))), meaning(expected))


def test_the_market_phase_equals_its_twin() -> None:
    """Compiled and as plain Python in checked memory: the same rows and the same state, to the bit."""
    compiled, plain = run_of(), run_of(mode="checked")
    records = control(ticks(8, 300), compiled.numbers, 8)
    rows = compiled.push(records)
    assert np.array_equal(rows, plain.push(records))
    assert set(rows[:, ROW_STALE]) == {0, 1}
    assert set(rows[:, ROW_MODEL]) == {0, *compiled.numbers}
    assert np.array_equal(compiled.state, plain.state)


@given(seed=st.integers(0, 2**32), shards=st.integers(1, 4))
def test_rows_are_in_the_order_of_their_inputs_and_slots(seed: int, shards: int) -> None:
    """Numbers never decrease, slots rise within an input, bars of one slot within an input rise in time."""
    rows = run_of(shards=shards).push(ticks(seed, 150))
    keys = [tuple(row[:3]) for row in rows.tolist()]
    assert keys == sorted(keys)


def test_features_are_those_of_the_bars() -> None:
    """Row by row of one instrument, the features are what the program computes of its bars, over any number of blocks."""
    records = together(
        *[together(quote(now, 90.0 + now * 7 % 13, 105.0), timer(now + EVERY, EVERY)) for now in range(6_000, 216_000, EVERY)]
    )
    run = run_of()
    registers = run.registers(run.push(records))
    assert len(registers) > 3 * BLOCK_ROWS
    program = features().compile()
    computed = program.compute(np.ascontiguousarray(registers[:, :BASE_COUNT].T))
    assert np.array_equal(bits(registers[:, list(program.outputs)]), bits(computed.T))


def test_a_row_has_the_scores_of_the_model_in_place_when_its_bar_closed() -> None:
    """Side, raw score, probability and edge of the better side; NaN without a model; late features stand on the last good row.

    The scores of that row stand in for its own model only.
    """
    run = run_of()
    records = control(ticks(11, 600), run.numbers, 11)
    rows = run.push(records)
    registers, scores = run.registers(rows), run.scores(rows)
    good: dict[int, tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64], int]] = {}
    counted = [0, 0, 0]
    for row, values, found in zip(rows, registers, scores, strict=True):
        slot = int(row[ROW_SLOT])
        if row[ROW_STALE]:
            closed, last, expected, whose = good.get(slot, (0, np.full(len(values), NAN), np.full(4, NAN), 0))
            if whose != row[ROW_MODEL]:
                expected = np.full(4, NAN)
            assert row[ROW_GOOD] == closed
            assert np.array_equal(bits(values[BASE_COUNT:]), bits(last[BASE_COUNT:]))
            counted[0] += 1
        elif not row[ROW_MODEL]:
            expected = np.full(4, NAN)
            counted[1] += 1
        else:
            low, high = ((-1.0, 1.0), (0.5, -0.25))[run.numbers.index(int(row[ROW_MODEL]))]
            raw = low if values[run.program.register("rsi_2")] < 50.0 else high
            probability = 1.0 / (1.0 + np.exp(-abs(raw)))
            expected = np.array([np.sign(raw), abs(raw), probability, 2.0 * probability - 1.0])
            counted[2] += 1
        assert np.allclose(found, expected, rtol=1e-15, equal_nan=True)
        if not row[ROW_STALE]:
            good[slot] = (int(row[ROW_CLOSE]), values, found, int(row[ROW_MODEL]))
            assert row[ROW_GOOD] == row[ROW_CLOSE]
    assert min(counted) > 30


def test_each_instrument_has_a_state_of_its_own() -> None:
    """An instrument's rows do not depend on what else is in the batch."""
    records = ticks(5, 500)
    rows = run_of().push(records)
    for slot in range(SLOTS):
        alone = run_of()
        mine = alone.push(records[(records["instrument"] == slot) | (records["kind"] > 31)])
        together_with_all = rows[rows[:, ROW_SLOT] == slot]
        assert np.array_equal(meaning(mine)[:, 1:], meaning(together_with_all)[:, 1:])


def test_a_real_recording_gives_the_same_rows_in_any_number_of_shards(data_dir: Path) -> None:
    """Two instruments of a real recording, in shards and odd batches."""
    sequencer = Sequencer(interval_ns=1_000_000_000, grace_ns=250_000_000)
    records = together(*[part.copy() for part in sequencer.push(real_ticks(data_dir))])
    one, four = MarketRun(features("1s"), 2), MarketRun(features("1s"), 2, shards=4)
    expected = one.push(records)
    assert len(expected) > 400
    assert np.array_equal(meaning(four.push_cut(records, range(0, len(records), 997))), meaning(expected))


row_lists = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), max_size=12)


@given(lists=row_lists, stride=st.integers(2, 5), mode=st.sampled_from(["compiled", "checked"]))
def test_merging_keeps_the_order_and_loses_nothing(lists: list[tuple[int, int]], stride: int, mode: str) -> None:
    """Two ordered lists of even and odd slots become one ordered list of all rows, each whole, equal keys in their own order."""

    def rows(shard: int) -> npt.NDArray[np.int64]:
        chosen = sorted(key for key in lists if key[1] % 2 == shard)
        out = np.zeros((len(chosen), stride), np.int64)
        for place, key in enumerate(chosen):
            out[place] = [*key, *(1_000 * shard + 10 * place + word for word in range(stride - 2))]
        return out

    even, odd, there = rows(0), rows(1), twin(mode)
    out = np.full((len(lists), stride), -1, np.int64)
    merge = there.kernel.entry(there.market.merge_rows).bind(even.reshape(-1), odd.reshape(-1), out.reshape(-1))
    assert merge(stride, len(even), len(odd)) == len(lists)
    expected = sorted([*even.tolist(), *odd.tolist()], key=lambda row: (row[ROW_INPUT], row[ROW_SLOT]))
    assert out.tolist() == expected


def test_rows_fit_where_the_engine_puts_them() -> None:
    """A tick causes at most one row, a timer at most one per open bar; the worst case is reached and not exceeded."""
    per_tick, per_timer = rows_per_input(SLOTS)
    run = run_of()
    fill = [quote(600_000 + step * EVERY, 1.0, 2.0, stamp=600_000 + EVERY, instrument=slot) for slot in range(SLOTS) for step in range(4)]
    assert len(run.push(together(*fill))) == 0
    assert len(run.push(timer(600_000 + 4 * EVERY, EVERY))) == per_timer
    assert len(run_of("1t").push(together(*fill))) == per_tick * len(fill)
    assert len(run.push(bar(0, EVERY, (1.0, 1.0, 1.0, 1.0, 1.0)))) == per_tick


def test_nothing_but_rows_is_written() -> None:
    """Memory behind the last row and behind the lists stays as it was."""
    records = ticks(4, 200)
    run = run_of()
    expected = len(run_of().push(records))
    program, guard = run.program, 0x5A5A
    memory = np.full(expected * run.stride + 64, guard, np.int64)
    heads = np.concatenate([[0], np.full(3 * SLOTS, -1), np.full(8, guard)])
    state = np.append(new_state(program, np.array([*range(SLOTS), -1])), np.full(8, guard))
    block = np.zeros(program.registers * BLOCK_ROWS)
    flat = records.view(np.int64).reshape(-1)
    scratch = (block, run.models.table, run.models.table, run.models.keys())
    count = entry(market_run).bind(state, state, *program.tables, *scratch, memory, memory, heads, flat, flat)(1, len(records), 0, 1)
    assert count == expected
    assert set(memory[count * run.stride :]) == set(heads[-8:]) == set(state[-8:]) == {guard}
    assert heads[0] == 0
    assert set(heads[1 + SLOTS : 1 + 2 * SLOTS]) == {-1}
    assert ROW_WORDS == 8
    assert merge_rows is twin("compiled").market.merge_rows
