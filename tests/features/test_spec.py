"""What a user writes: clauses, features, their names, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tercel.features.spec as spec
from tercel.base.errors import ConfigError
from tercel.features.opcodes import OPCODES
from tercel.features.program import BASE_COLUMNS
from tercel.features.spec import (
    MEMORY_ROWS_MAX,
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
    rolling_max,
    rolling_min,
    rsi,
    sma,
    spread,
    stoch_rsi,
    time_of_day,
    volatility,
    volume_ratio,
    zscore,
)
from tests.features.judges import FRAMES


def test_every_opcode_can_be_written() -> None:
    """Each opcode has a function of its own name, whose feature names that opcode and has its parameters."""
    arguments: dict[str, tuple[Any, ...]] = {"spread": (), "mid": (), "difference": ("close", "open"), "macd": (), "stoch_rsi": ()}
    arguments |= {"micro_price": (), "imbalance": (), "time_of_day": (), "ratio": ("close", "open")}
    for op, opcode in OPCODES.items():
        if op in FRAMES:
            continue  # written as `every`
        feature = getattr(spec, op)(*arguments.get(op, (5,)))
        assert feature.op == op
        assert len(feature.parameters) == len(opcode.parameters)
        assert len(feature.of) == len(opcode.inputs)


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (sma(20), "sma_20"),
        (ema(1_000_000), "ema_1000000"),
        (rsi(14, of="high"), "rsi_14_high"),
        (returns(), "returns_1"),
        (spread(), "spread"),
        (mid(), "mid"),
        (volatility(30, of=mid()), "volatility_30_mid"),
        (ema(5, of=rsi(14)), "ema_5_rsi_14"),
        (difference(ema(5), ema(20)), "difference_ema_5_ema_20"),
        (difference("ask", "bid"), "difference_ask_bid"),
        (difference("close", "bid"), "difference_close_bid"),
        (difference("bid", "close"), "difference_bid_close"),
        (sma(3, name="fast"), "fast"),
        (macd(), "macd_12_26_9"),
        (macd(name="m").part("hist"), "m_hist"),
        (macd().part("line"), "macd_12_26_9"),
        (ema(5, of=macd().part("signal")), "ema_5_macd_12_26_9_signal"),
        (bollinger(), "bollinger_20_2"),
        (bollinger(10, 1.5, of="high"), "bollinger_10_1.5_high"),
        (stoch_rsi(), "stoch_rsi_14_5_3"),
        (rolling_min(5), "rolling_min_5"),
        (rolling_max(5, of="close"), "rolling_max_5_close"),
        (donchian(20), "donchian_20"),
        (atr(), "atr_14"),
        (volume_ratio(20), "volume_ratio_20"),
        (micro_price(), "micro_price"),
        (imbalance(), "imbalance"),
        (order_flow(50), "order_flow_50"),
        (time_of_day(), "time_of_day"),
        (time_of_day().part("cos"), "time_of_day_cos"),
        (ratio("close", ema(5)), "ratio_close_ema_5"),
        (log_return(), "log_return_1"),
        (lag(3, of=rsi(14)), "lag_3_rsi_14"),
        (every("5m", ema(20)), "ema_20_5m"),
    ],
)
def test_a_feature_has_a_name_that_tells_it_apart(feature: spec.Feature, name: str) -> None:
    """The name is the opcode, its parameters and whatever it reads that is not the usual column, or what the user says."""
    assert feature.name == name


@pytest.mark.parametrize(
    ("text", "unit", "amount"),
    [
        ("1m", "time", 60e9),
        ("250ms", "time", 250e6),
        (" 4h ", "time", 4 * 3600e9),
        ("100t", "ticks", 100.0),
        ("1234567t", "ticks", 1_234_567.0),
        ("5000v", "volume", 5_000.0),
        ("0.0000025v", "volume", 2.5e-6),
    ],
)
def test_a_clause_reads_back_as_it_was_written(text: str, unit: str, amount: float) -> None:
    """Time, ticks and volume are understood, and `text` is the clause again."""
    clause = bars(text, price="trade")
    assert clause == spec.Bars(unit, amount, "trade")
    assert clause.text == text.strip()


@given(
    st.one_of(
        st.integers(1, 10**7).map("{}t".format), st.integers(1, 10**12).map("{}ns".format), st.floats(1e-9, 1e12).map("{:.9f}v".format)
    )
)
def test_every_clause_reads_back(text: str) -> None:
    """Whatever amount a clause has, its text gives the same clause."""
    if float(text.rstrip("tnsv")) > 0:
        assert bars(bars(text).text) == bars(text)


@pytest.mark.parametrize("text", ["", "1", "t", "0t", "1.5t", "-1t", "0v", "0s", "0.1ns", "1 m", "m", "²t", "1e3v", "nan", "9999999999d"])
def test_a_clause_that_says_nothing_is_refused(text: str) -> None:
    """Zero, fractions of a tick, unknown units and words are refused with what was found."""
    with pytest.raises(ConfigError, match="expected"):
        bars(text)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: bars("1m", price="last"), "bars: expected price to be one of trade, bid, ask, mid, found 'last'"),
        (lambda: bars("0t"), "bars: expected a positive whole number of ticks or a positive volume, found '0t'"),
        (lambda: sma(0), "sma: expected a whole number of rows from 1 to 1,000,000, found 0"),
        (lambda: ema(MEMORY_ROWS_MAX + 1), "ema: expected a whole number of rows from 1 to 1,000,000, found 1000001"),
        (lambda: rsi(2.5), "rsi: rows: expected a whole number, found 2.5"),  # type: ignore[arg-type]
        (lambda: returns(float("nan")), "returns: rows: expected a whole number, found nan"),  # type: ignore[arg-type]
        (lambda: volatility(1), "volatility: expected at least 2 rows, found 1"),
        (lambda: zscore(2), "zscore: expected at least 3 rows, found 2"),
        (lambda: bollinger(1), "bollinger: expected at least 2 rows, found 1"),
        (lambda: bollinger(20, 0.0), "bollinger: expected a positive number, found 0.0"),
        (lambda: bollinger(20, float("nan")), "bollinger: expected a positive number, found nan"),
        (lambda: macd(26, 12), "macd: expected fast_rows < slow_rows, found 26 and 12"),
        (lambda: macd(name="m").part("line").part("d"), "m: expected an output among line, signal, hist, found 'd'"),
        (
            lambda: FeatureSet(bars("1m"), [macd(), ema(5, name="macd_12_26_9_signal")]).compile(),
            "features: two different features are called 'macd_12_26_9_signal'; give one of them a name of its own",
        ),
        (lambda: sma(5, of="last"), f"sma: expected a feature or one of the columns {', '.join(BASE_COLUMNS)}, found 'last'"),
        (lambda: sma(5, name="close"), "sma: 'close' is a column of every bar; give the feature another name"),
        (
            lambda: FeatureSet(bars("1m"), [sma(5, name="x"), ema(5, name="x")]).compile(),
            "features: two different features are called 'x'; give one of them a name of its own",
        ),
    ],
)
def test_a_refusal_says_what_was_expected_and_found(make: Callable[[], object], words: str) -> None:
    """The text names the place, what it expected and what it found."""
    with pytest.raises(ConfigError) as refused:
        make()
    assert str(refused.value).startswith(words)


def test_a_set_takes_what_it_lacks() -> None:
    """`with_features` adds the features whose names are new, in order, and changes neither set."""
    features = FeatureSet(bars("1m"), [ema(5), rsi(14)])
    more = features.with_features([rsi(14), ema(20)])
    assert features.names == ("ema_5", "rsi_14")
    assert more.names == ("ema_5", "rsi_14", "ema_20")
    assert more.clock == features.clock
    assert more.with_features([macd(3, 6, 4).part("line")]).with_features([macd(3, 6, 4)]).names[3:5] == ("macd_3_6_4", "macd_3_6_4")


def test_what_two_features_share_is_computed_once() -> None:
    """A feature that others read appears once in the program, and only the wanted ones are put out, in the order asked."""
    program = FeatureSet(bars("1m"), [difference(ema(5), ema(20)), ema(5), difference(rsi(14, of=ema(5)), ema(20), name="d")]).compile()
    assert [node.name for node in program.nodes] == ["ema_5", "ema_20", "difference_ema_5_ema_20", "rsi_14_ema_5", "d"]
    assert [program.names[register] for register in program.outputs] == ["difference_ema_5_ema_20", "ema_5", "d"]
    assert all(max(node.sources) < len(BASE_COLUMNS) + place for place, node in enumerate(program.nodes))
