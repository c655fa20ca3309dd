"""TA-Lib as a judge: where it has an indicator, the opcode gives the same numbers in the same rows, and each wanted difference is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import talib

from tests.features.judges import JUDGES, Column
from tests.features.running import inputs, real_quotes, run

TALIB: dict[str, Callable[..., object]] = {
    "sma": talib.SMA,
    "ema": talib.EMA,
    "wma": talib.WMA,
    "rsi": talib.RSI,
    "returns": talib.ROCP,
    "roc": talib.ROC,
    "macd": talib.MACD,
    "bollinger": lambda x, rows, deviations: [talib.BBANDS(x, rows, deviations, deviations)[place] for place in (1, 0, 2)],
    "stoch_rsi": talib.STOCHRSI,
    "rolling_min": talib.MIN,
    "rolling_max": talib.MAX,
    "atr": talib.ATR,
}
# TA-Lib knows no average of one row, and what it makes of an RSI of two rows is roundings (see below).
CASES = [(op, parameters) for op in TALIB for parameters in JUDGES[op].parameters if min(parameters[:2]) > (2 if op == "stoch_rsi" else 1)]


def assert_agrees(op: str, parameters: tuple[float, ...], columns: list[Column]) -> None:
    """The same rows are unknown, and the others are equal up to rounding; bands as wide as the roundings of TA-Lib's squares are wide."""
    expected = np.asarray(TALIB[op](*columns, *parameters))
    assert np.isfinite(expected).any()
    atol = 1e-7 if op == "bollinger" else 1e-10
    np.testing.assert_allclose(run(op, parameters, columns), expected, rtol=1e-10, atol=atol)


@pytest.mark.parametrize(("op", "parameters"), CASES, ids=["_".join([op, *map(str, parameters)]) for op, parameters in CASES])
def test_an_opcode_agrees_with_talib(op: str, parameters: tuple[float, ...], data_dir: Path) -> None:
    """On real quotes."""
    columns = inputs(op, *real_quotes(data_dir, 4_000))
    assert_agrees(op, parameters, columns)


def test_rsi_of_a_market_that_does_not_move_is_50() -> None:
    """Neither gains nor losses are the middle, 50, where TA-Lib says 0, the sign of a crash: the one difference, and a wanted one."""
    flat = np.full(40, 1.38)
    assert set(run("rsi", (14,), [flat])[14:]) == {50.0}
    assert set(talib.RSI(flat, 14)[14:]) == {0.0}
