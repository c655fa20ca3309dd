"""Time as a feature, and larger bars among smaller ones: when they are known, what they hold, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.core.sequencer import Sequencer
from tercel.drivers.settings import feature as feature_of_text
from tercel.features.opcodes.times import END, FIRST, GREATEST, LAST, SMALLEST, SUM
from tercel.features.program import BASE_COLUMNS, BASE_COUNT, Program
from tercel.features.spec import (
    Feature,
    FeatureSet,
    atr,
    bars,
    difference,
    donchian,
    ema,
    every,
    macd,
    order_flow,
    rsi,
    sma,
    time_of_day,
    volatility,
)
from tests.features.judges import Column
from tests.features.running import run
from tests.market_runs import MarketRun, Rows, real_ticks, together
from tests.twins import bits

MINUTE, START = 60.0, 1_700_000_100.0  # a multiple of five minutes
LARGER = (ema(3), sma(4), rsi(5), macd(3, 5, 2), atr(4), donchian(3), volatility(3), difference(ema(2), "open"))


def minutes(rows: int, seed: int = 2, first: float = START + MINUTE) -> Column:
    """Bars of a minute, float64[13, rows], one after the other from the one that closes at `first`; all else walks."""
    chance = np.random.default_rng(seed)
    base = 100.0 + np.cumsum(chance.normal(0.0, 0.1, (BASE_COUNT, rows)), axis=1)
    base[0:4] = np.sort(base[0:4], axis=0)[[1, 3, 0, 2]]
    base[BASE_COLUMNS.index("time")] = first + MINUTE * np.arange(rows)
    return base


def resampled(times: list[float], values: list[float], fold: float, seconds: float = 300.0) -> list[float | None]:
    """What the opcode says row by row; times are minutes after `START`."""
    column = np.array([START + MINUTE * time for time in times])
    found = run("resample", (seconds, fold), [np.array(values), column])
    return [None if value != value else value for value in found.tolist()]


def test_hour_and_day_are_those_of_the_calendar() -> None:
    """Every second of a day, instants between, before 1970 and far ahead: sine and cosine are those of the C library to 2e-15."""
    chance = np.random.default_rng(1)
    day = 1_700_006_400.0 + np.arange(86_400.0)
    times = np.concatenate([day, chance.uniform(-6e9, 6e10, 20_000), np.arange(-400.0, 400.0) * 86_400.0, day[:100] - 2.0**-22])
    hours, sine, cosine, weekday = run("time_of_day", (), [times])
    assert hours.min() == 0.0 < hours.max() < 24.0
    for at, hour, s, c, name in zip(times.tolist(), hours, sine, cosine, weekday, strict=True):
        angle = 2.0 * math.pi * math.fmod(math.fmod(at, 86_400.0) + 86_400.0, 86_400.0) / 86_400.0
        assert abs(s - math.sin(angle)) < 2e-15  # the roundings of an angle of 6
        assert abs(c - math.cos(angle)) < 2e-15  # the roundings of an angle of 6
        assert hour == (at % 86_400.0) / 3_600.0
        assert name == (math.floor(at / 86_400.0) + 3) % 7
    tuesday = datetime(2026, 11, 24, 18, 30, tzinfo=UTC)
    found = run("time_of_day", (), [np.array([tuesday.timestamp()])])[:, 0]
    np.testing.assert_allclose(found, [18.5, -math.cos(math.pi / 24.0), math.sin(math.pi / 24.0), 1.0], rtol=1e-15)


@pytest.mark.parametrize(
    ("fold", "whole", "part"),
    [
        (FIRST, 3.0, 9.0),
        (GREATEST, 7.0, 9.0),
        (SMALLEST, 1.0, 2.0),
        (LAST, 4.0, 2.0),
        (SUM, 20.0, 11.0),
        (END, START + 300.0, START + 600.0),
    ],
)
def test_a_larger_bar_is_known_at_its_last_row(fold: float, whole: float, part: float) -> None:
    """Five minutes are complete at the row that closes with them; where that row is missing, at the next there is, and never before."""
    said = resampled([1, 2, 3, 4, 5, 6, 7, 11], [3.0, 7.0, 1.0, 5.0, 4.0, 9.0, 2.0, 8.0], fold)
    assert said == [None, None, None, None, whole, None, None, part]


def test_two_larger_bars_that_end_at_one_row_are_said_one_after_the_other() -> None:
    """A row that shows an earlier bar to have ended and completes its own says the earlier one; its own comes with the next row."""
    assert resampled([3, 10, 11, 12], [1.0, 2.0, 3.0, 4.0], LAST) == [None, 1.0, 2.0, None]
    assert resampled([3, 10, 15, 20, 21, 22], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], LAST) == [None, 1.0, 2.0, 3.0, 4.0, None]


def test_what_is_unknown_or_late_changes_no_larger_bar() -> None:
    """Unknown values are left out, save that the last may be one; a row without a time, or after its bar was complete, is passed over."""
    nan = float("nan")
    assert resampled([1, 2, 5, 6, 10], [nan, 2.0, nan, nan, nan], SUM) == [None, None, 2.0, None, None]
    assert resampled([1, 2, 5], [1.0, 2.0, nan], LAST) == [None, None, None]
    assert resampled([1, nan, 5, 4, 10], [1.0, 50.0, 2.0, 70.0, 3.0], SUM) == [None, None, 3.0, None, 3.0]


def test_a_feature_of_larger_bars_is_that_of_the_bars_themselves(data_dir: Path) -> None:
    """On real ticks, five seconds made of bars of one second give, bar by bar and to the bit, what bars of five seconds give."""
    records = real_ticks(data_dir)

    def rows_of(features: FeatureSet) -> tuple[MarketRun, Rows]:
        sequencer = Sequencer(interval_ns=int(features.clock.amount), grace_ns=250_000_000)
        parts = [part.copy() for part in sequencer.push(records)] + [part.copy() for part in sequencer.finish()]
        run = MarketRun(features, 2)
        return run, run.push(together(*parts))

    small, rows = rows_of(FeatureSet(bars("1s"), [every("5s", one) for one in LARGER]))
    large, larger_rows = rows_of(FeatureSet(bars("5s"), LARGER))
    for slot in range(2):
        mine, theirs = rows[rows[:, 1] == slot], larger_rows[larger_rows[:, 1] == slot]
        held = small.registers(mine)[:, list(small.program.outputs)]
        own = large.registers(theirs)[:, list(large.program.outputs)]
        assert len(own) > 30
        assert (np.diff(mine[:, 3]) > 0).all()
        # The newest larger bar that had ended when the row closed: complete data, so that it is known at once.
        newest = np.searchsorted(theirs[:, 3], mine[:, 3], side="right") - 1
        assert (newest[8:] >= 0).all()
        complete = np.isin(theirs[:, 3], mine[:, 3])
        assert complete.mean() > 0.9
        for row, at in zip(range(8, len(mine)), newest[8:], strict=True):
            if complete[: at + 1].all():
                assert np.array_equal(bits(held[row]), bits(own[at])), row


def test_larger_bars_look_at_no_later_row() -> None:
    """What is computed of the first rows does not depend on how many follow."""
    program = FeatureSet(bars("1m"), [every("5m", one) for one in LARGER]).compile()
    base = minutes(700)
    whole = program.compute(base)
    assert np.isfinite(whole[:, -1]).all()
    for rows in (1, 4, 5, 6, 333):
        assert np.array_equal(bits(program.compute(base[:, :rows])), bits(whole[:, :rows]))


def test_sums_of_larger_bars_are_sums() -> None:
    """Volume, ticks and flows add up, the quote is that of the last row, and the time is the end."""
    base = minutes(20)
    found = FeatureSet(bars("1m"), [every("5m", column) for column in BASE_COLUMNS]).compile().compute(base)
    parts = dict(zip(BASE_COLUMNS, base[:, 5:10], strict=True))
    expected = {column: values[-1] for column, values in parts.items()}
    expected |= {column: parts[column].sum() for column in ("volume", "ticks", "flow", "signed_volume")}
    expected |= {"open": parts["open"][0], "high": parts["high"].max(), "low": parts["low"].min(), "time": START + 600.0}
    np.testing.assert_allclose(found[:, 9], [expected[column] for column in BASE_COLUMNS], rtol=1e-15)


@given(holes=st.lists(st.integers(0, 199), max_size=80), seed=st.integers(0, 99))
def test_missing_rows_delay_a_larger_bar_by_one_row_at_most(holes: list[int], seed: int) -> None:
    """Whatever rows are missing: each larger bar that had a row is said once, in order, after its end, and as soon as rows allow."""
    base = np.delete(minutes(200, seed), holes, axis=1)
    times = base[BASE_COLUMNS.index("time")]
    said = run("resample", (300.0, END), [base[3], times])
    rows = np.flatnonzero(np.isfinite(said))
    ends = np.unique(np.ceil(times / 300.0) * 300.0)
    assert said[rows].tolist() == ends[: len(rows)].tolist()
    assert (times[rows] >= said[rows]).all()
    first_after = np.searchsorted(times, ends[: len(rows)])
    assert (rows - first_after <= 1).all()
    assert len(ends) - len(rows) <= 2


def test_declared_memory_counts_the_rows_of_larger_bars() -> None:
    """A feature over twenty larger bars of five rows remembers as many rows as those and the bars it began and ends in."""

    def memory(*features: Feature, clock: str = "1m") -> int:
        return FeatureSet(bars(clock), features).compile().memory_rows

    assert memory(every("5m", sma(20))) == 5 * (1 + 20 + 1)
    assert memory(every("5m", sma(20)), clock="1s") == 300 * (1 + 20 + 1)
    assert memory(every("5m", sma(20)), sma(200)) == 200
    assert memory(sma(7, of=every("5m", sma(20)))) == 110 + 7
    assert memory(every("5m", difference(ema(2), "open"))) == 5 * (1 + 18 + 1 + 1)


@pytest.mark.parametrize("offset", range(5))
def test_after_the_declared_memory_the_first_row_no_longer_matters(offset: int) -> None:
    """Begun in the middle of a larger bar, `memory_rows` rows before, everything says what it says begun long before."""
    features = [every("5m", sma(6)), every("5m", donchian(4)), sma(3, of=every("5m", volatility(5))), every("15m", "close")]
    program = FeatureSet(bars("1m"), features).compile()
    base = minutes(900)
    begin = 500 + offset
    late = program.compute(base[:, begin:])[:, program.memory_rows :]
    np.testing.assert_allclose(late, program.compute(base)[:, begin + program.memory_rows :], rtol=1e-9)


def test_larger_bars_share_what_they_can() -> None:
    """Names say the interval, several outputs are held one by one, and a column of larger bars is made once."""
    program = FeatureSet(bars("1m"), [every("5m", macd(3, 6, 4)), every("300s", ema(3)), every("5m", macd(3, 6, 4)).part("hist")]).compile()
    assert [program.names[register] for register in program.outputs] == [
        "macd_3_6_4_5m", "macd_3_6_4_5m_signal", "macd_3_6_4_5m_hist", "ema_3_5m", "macd_3_6_4_5m_hist",
    ]  # fmt: skip
    assert [node.name for node in program.nodes if node.op == "resample"] == ["close_at_5m"]
    assert every("5m", macd().part("signal")) == every("5m", macd()).part("signal")
    assert every("1h", atr(14)).names == ("atr_14_1h",)
    assert every("5m", ema(3, name="fast")).name == "fast_5m"
    assert every("1d", ema(3), name="daily").name == "daily"
    assert every("5m", time_of_day()).names == ("time_of_day_5m", "time_of_day_5m_sin", "time_of_day_5m_cos", "time_of_day_5m_weekday")
    alone = FeatureSet(bars("1m"), [every("5m", macd(3, 6, 4).part("hist"))]).compile()
    assert [node.name for node in alone.nodes if node.op == "hold"] == ["macd_3_6_4_5m_hist"]


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("ema_20_5m", every("5m", ema(20))),
        ("macd_12_26_9_1h_signal", every("1h", macd()).part("signal")),
        ("order_flow_50_30s", every("30s", order_flow(50))),
        ("time_of_day", time_of_day()),
        ("time_of_day_sin", time_of_day().part("sin")),
        ("order_flow_5", order_flow(5)),
    ],
)
def test_a_text_names_a_feature_of_larger_bars(text: str, made: Feature) -> None:
    """Settings write the interval after the numbers and before the output, as the name of the column has it."""
    assert feature_of_text(text) == made
    assert made.name == text


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: every("1.5s", ema(3)), "every: expected a whole number of seconds such as '5m', found '1.5s'"),
        (lambda: every("0s", ema(3)), "every: expected a whole number of seconds such as '5m', found '0s'"),
        (lambda: every("5x", ema(3)), "duration: expected a number and one of"),
        (lambda: every("5m", "last"), "every: expected a feature or one of the columns open, "),
        (lambda: every("1h", every("5m", ema(3))), "every: expected a feature of the bars themselves, found 'ema_3_5m', which is one of"),
        (
            lambda: FeatureSet(bars("2m"), [every("5m", ema(3))]).compile(),
            "every: expected bars of time whose interval divides 5m, found bars of 2m",
        ),
        (
            lambda: FeatureSet(bars("100t"), [every("5m", ema(3))]).compile(),
            "every: expected bars of time whose interval divides 5m, found bars of 100t",
        ),
    ],
)
def test_larger_bars_that_cannot_be_are_refused(make: Callable[[], Feature | Program], words: str) -> None:
    """The text says what was expected and found."""
    with pytest.raises(ConfigError) as refused:
        make()
    assert str(refused.value).startswith(words)
