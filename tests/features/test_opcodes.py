"""Every opcode before its judges: the twin to the bit, the definition closely, its cuts, and what it does with the unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.features.opcodes import OPCODES
from tests.features.judges import FRAMES, JUDGES, Column
from tests.features.running import CASES, IDS, hostile, inputs, real_quotes, run
from tests.twins import bits

each_case = pytest.mark.parametrize(("op", "parameters"), CASES, ids=IDS)
each_op = pytest.mark.parametrize("op", JUDGES)
PLAIN = [case for case in CASES if case[0] not in FRAMES]  # those that follow the common rule for the unknown
plain_case = pytest.mark.parametrize(("op", "parameters"), PLAIN, ids=["_".join([op, *map(str, parameters)]) for op, parameters in PLAIN])
# The range of an opcode that never quite forgets; the others forget up to roundings, of which a weighted sum and a quotient have more.
RANGES = {"rsi": 100.0, "stoch_rsi": 100.0, "ema": 1.0, "macd": 1.0, "atr": 1.0, "wma": 1e-5, "zscore": 1e-3}


def assert_close(op: str, actual: Column, expected: Column) -> None:
    """Equal up to rounding. A deviation is so in its square: a sum of squares that cancels keeps the error of the greatest of them."""
    if op == "bollinger":
        assert_close("sma", actual[0], expected[0])
        for side, wanted in zip(np.abs(actual[1:] - actual[0]), np.abs(expected[1:] - expected[0]), strict=True):
            assert np.array_equal(np.isnan(side), np.isnan(wanted))
            roundings = 1e-15 * np.abs(expected[0]) * (side + wanted)  # of the bands themselves, which lie at the price
            room = roundings + 1e-11 * wanted**2 + 1e-13 * np.nanmax(wanted) ** 2
            assert not (np.abs(side**2 - wanted**2) > room).any()
    elif op == "macd":  # the difference of two averages keeps the roundings of both
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-10)
    elif op in ("zscore", "stoch_rsi"):  # quotients of differences
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)
    elif op == "volatility":
        np.testing.assert_allclose(actual**2, expected**2, rtol=1e-11, atol=1e-13 * np.nanmax(expected) ** 2)
    else:
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-12)


def walk(rows: int, seed: int = 3) -> tuple[Column, Column]:
    """(bid, ask) of a random walk with gaps of unknown values."""
    chance = np.random.default_rng(seed)
    bid = 100.0 + np.cumsum(chance.normal(0.0, 0.05, rows))
    ask = bid + chance.integers(1, 9, rows) * 0.01
    for at in chance.integers(0, rows, rows // 100):
        bid[at : at + int(chance.integers(1, 6))] = np.nan
    return bid, ask


def test_every_opcode_has_its_judges() -> None:
    """The table of judges and the table of opcodes name the same opcodes, with as many columns and parameters."""
    assert set(JUDGES) == set(OPCODES)
    for op, judge in JUDGES.items():
        assert len(judge.columns) == len(OPCODES[op].inputs), op
        assert {len(parameters) for parameters in judge.parameters} == {len(OPCODES[op].parameters)}, op
        outputs = judge.definition(*(np.ones(2) for _ in judge.columns), *judge.usual)
        assert outputs.size == 2 * len(OPCODES[op].outputs), op
    assert sorted(opcode.number for opcode in OPCODES.values()) == list(range(1, 1 + len(OPCODES)))


@each_case
def test_an_opcode_equals_its_twin_on_real_quotes(op: str, parameters: tuple[float, ...], data_dir: Path) -> None:
    """Compiled and plain Python give the same bits on real quotes, and no index leaves the memory."""
    columns = inputs(op, *real_quotes(data_dir, 4_000))
    assert np.array_equal(bits(run(op, parameters, columns)), bits(run(op, parameters, columns, mode="checked")))


@each_case
def test_an_opcode_equals_its_twin_on_hostile_values(op: str, parameters: tuple[float, ...]) -> None:
    """Compiled and plain Python give the same bits on NaN, zero, huge, tiny and infinite values and on flat markets."""
    columns = inputs(op, *hostile())
    assert np.array_equal(bits(run(op, parameters, columns)), bits(run(op, parameters, columns, mode="python")))


@each_op
@given(data=st.data())
def test_an_opcode_equals_its_twin_on_any_values(op: str, data: st.DataObject) -> None:
    """Compiled and plain Python give the same bits on whatever floats there are."""
    parameters = [float(data.draw(st.integers(2, 6))) for _ in OPCODES[op].parameters]
    rows = data.draw(st.integers(1, 30))
    columns = [np.array(data.draw(st.lists(st.floats(), min_size=rows, max_size=rows))) for _ in OPCODES[op].inputs]
    assert np.array_equal(bits(run(op, parameters, columns)), bits(run(op, parameters, columns, mode="checked")))


@each_case
def test_an_opcode_follows_its_definition_on_real_quotes(op: str, parameters: tuple[float, ...], data_dir: Path) -> None:
    """The textbook formula gives the same numbers on real quotes."""
    columns = inputs(op, *real_quotes(data_dir, 4_000))
    expected = JUDGES[op].definition(*columns, *parameters)
    assert np.isfinite(expected).any()
    assert_close(op, run(op, parameters, columns), expected)


@each_case
def test_an_opcode_follows_its_definition_on_a_walk_with_holes(op: str, parameters: tuple[float, ...]) -> None:
    """The textbook formula over the known values gives the same numbers, row by row."""
    columns = inputs(op, *walk(4_000))
    expected = JUDGES[op].definition(*columns, *parameters)
    assert op == "hold" or np.isnan(expected[..., 1_600:]).any()
    assert_close(op, run(op, parameters, columns), expected)


@each_case
def test_an_opcode_follows_its_definition_on_values_of_either_sign(op: str, parameters: tuple[float, ...]) -> None:
    """Zero and negative values, such as spreads and differences have, follow the definition too; no return is taken from them."""
    chance = np.random.default_rng(6)
    columns = [chance.integers(-3, 9, 4_000) * 0.25 for _ in JUDGES[op].columns]
    assert_close(op, run(op, parameters, columns), JUDGES[op].definition(*columns, *parameters))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows", [3, 20, 500])
def test_a_market_that_stands_still_leaves_no_roundings(rows: int, seed: int) -> None:
    """Whatever moved before, once a window holds one value its bands are that value, its score 0, its strength 50 and no ratio of zeros."""
    moved = np.random.default_rng(seed).normal(1e4, 1e3, 2 * rows + rows // 2 + 1)  # ends within a block
    x = np.append(moved, np.full(rows + 3, 1.38681))
    assert set(run("bollinger", (rows, 2.0), [x])[:, -3:].flat) == {1.38681}
    assert set(run("zscore", (rows,), [x])[-3:]) == {0.0}
    assert set(run("rsi_simple", (rows,), [x])[-3:]) == {50.0}
    assert np.isnan(run("volume_ratio", (rows,), [np.append(moved, np.zeros(rows + 3))])[-3:]).all()
    ulps = np.append(np.full(rows, 1.38681), np.where(np.arange(3 * rows) % 3 == 0, 1.38681, np.nextafter(1.38681, 2.0)))
    assert set(run("zscore", (rows,), [ulps])[-rows:]) == {0.0}


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("shape", ["up", "down", "saw", "level", "peaks"])
def test_extremes_of_hard_shapes_are_exact(shape: str, rows: int) -> None:
    """Long rises and falls, which leave nothing or everything to remember, give the very values of the definition."""
    k = np.arange(500.0)
    x = {"up": k, "down": -k, "saw": k % 11.0, "level": 0.0 * k, "peaks": np.where(k % rows == 0.0, -k, -1e9)}[shape]
    for op in ("rolling_min", "rolling_max"):
        np.testing.assert_array_equal(run(op, (rows,), [x]), JUDGES[op].definition(x, rows))


@each_case
def test_any_cut_into_blocks_gives_the_same_bits(op: str, parameters: tuple[float, ...]) -> None:
    """One by one, in odd pieces or as long as a block allows: the numbers do not change."""
    columns = inputs(op, *hostile(2_500))
    whole = bits(run(op, parameters, columns))
    assert np.array_equal(whole, bits(run(op, parameters, columns, cuts=range(2_500))))
    assert np.array_equal(whole, bits(run(op, parameters, columns, cuts=range(0, 2_500, 7))))


@each_op
@given(cuts=st.lists(st.integers(0, 400), max_size=40))
def test_random_cuts_give_the_same_bits(op: str, cuts: list[int]) -> None:
    """Wherever a batch ends, the next one goes on as if it had not ended."""
    columns = inputs(op, *walk(400))
    assert np.array_equal(bits(run(op, JUDGES[op].usual, columns)), bits(run(op, JUDGES[op].usual, columns, cuts=cuts)))


@plain_case
def test_an_unknown_input_gives_an_unknown_output_and_nothing_else(op: str, parameters: tuple[float, ...]) -> None:
    """NaN in, NaN out, and the state does not advance: without those rows every other row is the same to the bit."""
    columns = inputs(op, *walk(3_000))
    columns[-1] = np.where(np.random.default_rng(1).random(3_000) < 0.2, np.nan, columns[-1])
    unknown = np.isnan(np.stack(columns)).any(axis=0)
    out = run(op, parameters, columns)
    assert np.isnan(out[..., unknown]).all()
    assert np.isfinite(out[..., ~unknown]).any()
    assert np.array_equal(bits(out[..., ~unknown]), bits(run(op, parameters, [column[~unknown] for column in columns])))


@each_case
def test_every_unknown_output_is_the_same_nan(op: str, parameters: tuple[float, ...]) -> None:
    """An output has one NaN, whatever made it: sign and payload are not portable."""
    out = run(op, parameters, inputs(op, *hostile()))
    assert set(bits(out[np.isnan(out)])) <= {int(bits([np.nan])[0])}


@plain_case
def test_after_its_memory_an_unknown_past_no_longer_matters(op: str, parameters: tuple[float, ...]) -> None:
    """Begun `memory_rows` rows before, an opcode says what it says begun long before, up to 2e-7 of the range it had seen."""
    memory = OPCODES[op].memory_rows([float(value) for value in parameters])
    bid, ask = walk(memory + 3_000, seed=9)
    columns = inputs(op, np.where(np.isnan(bid), 100.0, bid), ask)
    columns = [np.where(np.isnan(column), 100.0, column) for column in columns]
    late = [column[-memory - 200 :] for column in columns]
    long, short = run(op, parameters, columns)[..., -200:], run(op, parameters, late)[..., -200:]
    assert np.isfinite(short).all()
    scale = RANGES.get(op, 1e-6) * max(1.0, float(np.ptp(columns[0])) if op == "ema" else 1.0)
    np.testing.assert_allclose(short, long, rtol=0.0, atol=2e-7 * scale)


@each_op
def test_the_state_of_an_opcode_has_the_size_it_declares(op: str) -> None:
    """Checked memory of exactly the declared size is enough, and one word less is not."""
    parameters = JUDGES[op].usual
    columns = inputs(op, *walk(300))
    words = OPCODES[op].state_words([float(value) for value in parameters])
    run(op, parameters, columns, mode="checked", words=words)
    if words:
        with pytest.raises(IndexError, match="words"):
            run(op, parameters, columns, mode="checked", words=words - 1)
