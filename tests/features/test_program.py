"""The program: registers, memory, a hash over its meaning, and the one door through which features are computed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.features.opcodes import OPCODES, Opcode
from tercel.features.program import BASE_COLUMNS, BASE_COUNT, BLOCK_ROWS, Clock, Program
from tercel.features.spec import (
    Feature,
    FeatureSet,
    atr,
    bars,
    bollinger,
    difference,
    donchian,
    ema,
    every,
    imbalance,
    lag,
    log_return,
    macd,
    micro_price,
    mid,
    order_flow,
    ratio,
    returns,
    rsi,
    sma,
    spread,
    stoch_rsi,
    time_of_day,
    volatility,
)
from tercel.features.stream import FeatureStream
from tests.features.judges import Column
from tests.features.running import real_quotes, run
from tests.twins import bits, twin

FEATURES = [ema(20), sma(5), rsi(14), volatility(20), returns(3), spread(), mid(), difference("close", "open"), ema(3, of=rsi(5))]
FEATURES += [macd(3, 6, 4), sma(3, of=macd(3, 6, 4).part("hist")), donchian(7).part("lower"), atr(5), stoch_rsi(5, 4, 3), bollinger(5)]
FROM_PRICES = tuple(FEATURES)  # known where prices are
FEATURES += [micro_price(), imbalance(), order_flow(7), time_of_day(), ratio(ema(3), "ask"), log_return(2), lag(4)]
FEATURES += [every("2m", ema(3)), every("2m", donchian(3))]


def program_of(*features: Feature, every: str = "1m", price: str = "mid") -> Program:
    """The program of some features."""
    return FeatureSet(bars(every, price), features).compile()


def table(rows: int, seed: int = 4) -> Column:
    """Bars, float64[13, rows], with a few unknown values."""
    chance = np.random.default_rng(seed)
    base = 100.0 + np.cumsum(chance.normal(0.0, 0.1, (BASE_COUNT, rows)), axis=1)
    base[BASE_COLUMNS.index("time")] = 1_700_000_100.0 + 60.0 * np.arange(rows)
    base[chance.random(base.shape) < 0.01] = np.nan
    return base


def test_equal_meaning_has_an_equal_hash() -> None:
    """Names, the object and the way a clause is written are no part of the meaning."""
    one = program_of(ema(20), difference(ema(20), sma(5)))
    assert one.hash == program_of(ema(20, name="slow"), difference(ema(20, name="slow"), sma(5, name="s"), name="d"), every="60s").hash
    assert re.fullmatch("[0-9a-f]{64}", one.hash)


def test_any_change_of_meaning_changes_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clock, price, opcode, version, parameter, source, order, output and anchor each make another program."""
    base = program_of(ema(20), rsi(14))
    before = base.hash
    others = [
        program_of(ema(20), rsi(14), every="2m"),
        program_of(ema(20), rsi(14), every="60000000000t"),
        program_of(ema(20), rsi(14), price="bid"),
        program_of(sma(20), rsi(14)),
        program_of(ema(21), rsi(14)),
        program_of(ema(20, of="high"), rsi(14)),
        program_of(ema(20), rsi(14, of=ema(20))),
        program_of(rsi(14), ema(20)),
        program_of(ema(20), rsi(14), sma(5)),
        program_of(ema(20)),
        Program(base.clock, base.nodes, base.outputs[::-1]),
        Program(base.clock, base.nodes, base.outputs, anchor="2014-05-01"),
        Program(Clock(base.clock.kind, base.clock.amount + 1.0, base.clock.price), base.nodes, base.outputs),
    ]
    risen = {name: getattr(OPCODES["rsi"], name) for name in Opcode.__dataclass_fields__} | {"version": OPCODES["rsi"].version + 1}
    monkeypatch.setitem(OPCODES, "rsi", Opcode(**risen))
    others.append(program_of(ema(20), rsi(14)))
    hashes = [before, *(other.hash for other in others)]
    assert len(set(hashes)) == len(hashes)


def test_the_declared_memory_is_that_of_the_longest_chain() -> None:
    """A feature that reads a feature waits for it: memories add up along a chain and do not along siblings."""
    assert program_of(sma(20)).memory_rows == 20
    assert program_of(sma(20), sma(7)).memory_rows == 20
    assert program_of(sma(7, of=sma(20))).memory_rows == 27
    assert program_of(difference(sma(7), sma(20))).memory_rows == 21
    assert program_of(returns(3), ema(10)).memory_rows == 90
    assert program_of().memory_rows == 0


@given(
    st.sampled_from([ema(1), rsi(4), returns(3), volatility(5)]), st.lists(st.sampled_from([sma, ema, rsi]), max_size=4), st.integers(2, 5)
)
def test_after_the_declared_memory_every_feature_is_known(feature: Feature, chain: list[Callable[..., Feature]], rows: int) -> None:
    """However features are nested, the rows after their memory have a value."""
    for make in chain:
        feature = make(rows, of=feature)
    program = program_of(feature)
    base = np.random.default_rng(3).uniform(1.0, 2.0, (BASE_COUNT, program.memory_rows + 5))
    assert np.isfinite(program.compute(base)[0, program.memory_rows :]).all()


def test_a_program_computes_what_its_opcodes_compute() -> None:
    """Every register of a program holds what its opcode, run alone, makes of the registers it reads; blocks end where they may."""
    program = program_of(*FEATURES)
    whole = Program(program.clock, program.nodes, tuple(range(len(BASE_COLUMNS), program.registers)))
    base = table(2_500)
    registers = [*base, *whole.compute(base)]
    for first, node in zip(program.firsts, program.nodes, strict=True):
        expected = run(node.op, node.parameters, [registers[source] for source in node.sources], cuts=(1, 700))
        written = np.stack(registers[first : first + len(node.labels)])
        assert np.array_equal(bits(written), bits(np.atleast_2d(expected))), node.name


@pytest.mark.parametrize("mode", ["python", "checked"])
def test_a_program_equals_its_twin(mode: str) -> None:
    """A whole program, compiled and as plain Python, gives the same bits, and no index leaves the memory."""
    program, base = program_of(*FEATURES), table(1_500)
    plain = twin(mode).program
    clock = plain.Clock(program.clock.kind, program.clock.amount, program.clock.price)
    nodes = tuple(plain.Node(node.op, node.parameters, node.sources, node.name) for node in program.nodes)
    other = plain.Program(clock, nodes, program.outputs)
    assert other.hash == program.hash
    assert np.array_equal(bits(program.compute(base)), bits(other.compute(base)))


def test_one_price_at_a_time_gives_the_bits_of_the_batch() -> None:
    """A stream names and fills the columns of the batch, several outputs of a feature included."""
    program = program_of(macd(3, 6, 4), donchian(7), ema(3, of=macd(3, 6, 4).part("hist")), atr(5), stoch_rsi(5, 4, 3), bollinger(5))
    stream = FeatureStream(program)
    base = np.full((BASE_COUNT, 300), np.nan)
    base[:4] = 100.0 + np.cumsum(np.random.default_rng(8).normal(0.0, 0.1, 300))
    rows = np.array([stream.update(float(price)) for price in base[3]])
    assert stream.names == tuple(program.names[register] for register in program.outputs)
    assert np.array_equal(bits(rows.T), bits(program.compute(base)))


def test_features_look_at_no_later_row() -> None:
    """What is computed of the first rows does not depend on how many follow."""
    program, base = program_of(*FEATURES), table(1_400)
    whole = program.compute(base)
    for rows in (0, 1, 37, BLOCK_ROWS, BLOCK_ROWS + 1):
        assert np.array_equal(bits(program.compute(base[:, :rows])), bits(whole[:, :rows]))


def test_features_of_real_prices_are_sensible(data_dir: Path) -> None:
    """On real quotes every feature is known once its memory is filled, and averages lie among the prices."""
    bid, ask = real_quotes(data_dir, 3_000)
    close = bid * 0.5 + ask * 0.5
    program = program_of(*FROM_PRICES)
    out = program.compute(np.stack([close, close, close, close, close, close, bid, ask, *[np.full_like(bid, np.nan)] * 5]))
    assert np.isfinite(out[:, program.memory_rows :]).all()
    for place, low, high in ((0, close.min(), close.max()), (1, close.min(), close.max()), (2, 0.0, 100.0), (5, 0.0, 0.01)):
        known = out[place, program.memory_rows :]
        assert low <= known.min() < known.max() <= high, program.nodes[place].name


def test_registers_are_found_by_name() -> None:
    """A register is a column or a feature; an unknown name is refused with those there are."""
    program = program_of(ema(20), rsi(14))
    assert [program.register(name) for name in ("open", "close", "ema_20", "rsi_14")] == [0, 3, BASE_COUNT, BASE_COUNT + 1]
    with pytest.raises(KeyError, match=r"no register 'macd'; there are open, .*, ema_20, rsi_14"):
        program.register("macd")


def test_a_feature_of_several_outputs_has_a_register_for_each() -> None:
    """The first output has the feature's name; the features after it, and those that read one of its outputs, find their registers."""
    program = program_of(macd(3, 6, 4), sma(2, of=macd(3, 6, 4).part("hist")), ema(2, of=macd(3, 6, 4)))
    assert program.names[BASE_COUNT:] == ("macd_3_6_4", "macd_3_6_4_signal", "macd_3_6_4_hist", "sma_2_macd_3_6_4_hist", "ema_2_macd_3_6_4")
    assert (program.firsts, program.outputs) == ((13, 16, 17), (13, 14, 15, 16, 17))
    assert [node.sources for node in program.nodes] == [(3,), (15,), (13,)]
    assert program.memory_rows == 9 * (6 + 4) + 18
    found = program.compute(table(300))
    assert np.array_equal(bits(found[3]), bits(run("sma", (2,), [found[2]])))


def test_a_part_is_the_column_of_its_whole() -> None:
    """One output asked for alone is one column, with the same bits, and the whole is computed once."""
    program = program_of(donchian(7).part("lower"), donchian(7).part("middle"))
    assert [program.names[register] for register in program.outputs] == ["donchian_7_lower", "donchian_7"]
    assert len(program.nodes) == 1
    whole = program_of(donchian(7)).compute(table(300))
    assert np.array_equal(bits(program.compute(table(300))), bits(whole[[2, 0]]))


def test_a_program_of_nothing_is_a_program() -> None:
    """Bars alone need no feature."""
    program = program_of()
    assert program.registers == len(BASE_COLUMNS)
    assert program.compute(table(5)).shape == (0, 5)
