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
    "mid": talib.MEDPRICE,
    "difference": talib.SUB,
    "ratio": talib.DIV,
}
# TA-Lib knows no average of one row, and what it makes of an RSI of two rows is roundings (see below).
CASES = [
    (op, parameters)
    for op in TALIB
    for parameters in JUDGES[op].parameters
    if min(parameters[:2], default=9) > (2 if op == "stoch_rsi" else 1)
]


def assert_agrees(op: str, parameters: tuple[float, ...], columns: list[Column]) -> None:
    """The same rows are unknown, and the others are equal up to rounding; bands as wide as the roundings of TA-Lib's squares are wide."""
    actual, expected = run(op, parameters, columns), np.asarray(TALIB[op](*columns, *parameters))
    assert np.isfinite(expected).any()
    if op == "stoch_rsi":
        still = stands_still(columns[0], *parameters)
        assert (actual[0, still[0]] == 0.0).all()
        assert still.mean() < 0.05
        actual, expected = np.where(still, 0.0, actual), np.where(still, 0.0, expected)
    atol = 1e-7 if op == "bollinger" else 1e-10
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=atol)


def stands_still(x: Column, rows: int, k_rows: int, d_rows: int) -> np.ndarray:
    """Rows of k and d in which TA-Lib divides one rounding of an RSI that does not move by another: a span below 1e-9, but not zero."""
    strength = talib.RSI(x, rows)
    span = talib.MAX(strength, k_rows) - talib.MIN(strength, k_rows)
    k = span < 1e-9
    k[: rows + k_rows + d_rows - 3] = False
    near = np.convolve(span < 1e-9, np.ones(d_rows))[: len(x)] > 0
    near[: rows + k_rows + d_rows - 3] = False
    return np.stack([k, near])


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
