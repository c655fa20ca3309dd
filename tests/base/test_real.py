"""exp and log against arithmetic of more digits, their edges and their twins; tests/features/test_wasm.py has the browser."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base import real
from tercel.base.kernel import F, entry, i64, kernel
from tests.twins import bits, twin

Column = npt.NDArray[np.float64]
INF, NAN, TINY, LARGEST = math.inf, math.nan, 5e-324, 1.7976931348623157e308
EXP_EDGES = [NAN, INF, -INF, 0.0, -0.0, TINY, -TINY, 1e-300, -1e-17, 1.0, -1.0, 709.782712893384, 709.7827128933841, 709.79, 710.0, 1e308]
EXP_EDGES += [-708.3964185322641, -708.4, -745.13321910194, -745.1332191019412, -745.14, -746.0, -LARGEST, 0.34657359027997264]
LOG_EDGES = [NAN, INF, -INF, 0.0, -0.0, -TINY, -1.0, TINY, 3e-310, 2.2250738585072009e-308, 2.2250738585072014e-308, 0.5, LARGEST]
LOG_EDGES += [
    float(np.nextafter(1.0, 0.0)),
    1.0,
    float(np.nextafter(1.0, 2.0)),
    math.sqrt(2.0),
    float(np.nextafter(math.sqrt(2.0), 2.0)),
    2.0,
]


@kernel
def exp_column(X: F, Y: F, n: i64) -> None:
    """Y = exp(X)."""
    for k in range(n):
        Y[k] = real.exp(X[k])


@kernel
def log_column(X: F, Y: F, n: i64) -> None:
    """Y = log(X)."""
    for k in range(n):
        Y[k] = real.log(X[k])


COLUMNS = {"exp": exp_column, "log": log_column}


def values(name: str, rows: int, seed: int = 8) -> Column:
    """Arguments all over the range, half of them where people use the function, denormal results and arguments, edges."""
    chance = np.random.default_rng(seed)
    part = rows // 4
    if name == "exp":
        parts = [chance.uniform(-745.2, 709.8, part), chance.uniform(-40.0, 40.0, part), chance.normal(0.0, 0.01, part)]
        parts += [chance.uniform(-745.14, -708.0, rows - 3 * part - len(EXP_EDGES)), np.array(EXP_EDGES)]
    else:
        parts = [2.0 ** chance.uniform(-1074.0, 1024.0, part), chance.uniform(0.5, 2.0, part), 1.0 + chance.normal(0.0, 0.001, part)]
        parts += [2.0 ** chance.uniform(-1074.0, -1022.0, rows - 3 * part - len(LOG_EDGES)), np.array(LOG_EDGES)]
    return np.concatenate(parts)


def compiled(name: str, x: Column) -> Column:
    """The compiled function over a column."""
    out = np.empty(len(x))
    entry(COLUMNS[name]).bind(x, out)(len(x))
    return out


def ulps_off(found: Column, exact: npt.NDArray[np.longdouble]) -> npt.NDArray[np.longdouble]:
    """How far each value lies from the exact one, in units of its own last place."""
    return np.abs(found - exact) / np.spacing(np.abs(exact.astype(np.float64)))


@pytest.mark.parametrize("name", ["exp", "log"])
def test_a_million_values_are_within_one_unit_of_the_true_one(name: str) -> None:
    """Less than 0.9 of a unit in the last place from the value in extended precision, hence at most one from the nearest double."""
    assert np.finfo(np.longdouble).nmant > 60, "needs a long double of at least 64 bits"
    x = values(name, 1_000_000)
    found = compiled(name, x)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.longdouble))
        rounded = exact.astype(np.float64)
    ordinary = np.isfinite(rounded)
    assert ordinary.sum() > 999_000
    assert float(ulps_off(found[ordinary], exact[ordinary]).max()) < 0.9
    assert np.abs(bits(found[ordinary]) - bits(rounded[ordinary])).max() <= 1
    assert np.array_equal(bits(found[~ordinary]), bits(np.where(np.isnan(rounded), NAN, rounded)[~ordinary]))


@pytest.mark.parametrize("name", ["exp", "log"])
def test_the_judge_itself_agrees_with_decimal_arithmetic(name: str) -> None:
    """The same holds against 40 digits of decimal arithmetic, which shares nothing with extended precision."""
    x = values(name, 4_000)
    found = compiled(name, x)
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 40, -999_999, 999_999
        for argument, value in zip(x.tolist(), found.tolist(), strict=True):
            if math.isfinite(value) and value:
                exact = Decimal(argument).exp() if name == "exp" else Decimal(argument).ln()
                assert abs(Decimal(value) - exact) < Decimal("0.9") * Decimal(math.ulp(float(exact)))


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("exp", NAN, NAN),
        ("exp", INF, INF),
        ("exp", -INF, 0.0),
        ("exp", 0.0, 1.0),
        ("exp", -0.0, 1.0),
        ("exp", 709.782712893384, 1.797693134862273e308),
        ("exp", 709.7827128933841, INF),
        ("exp", -745.1332191019412, 0.0),
        ("exp", -745.13321910194, TINY),
        ("exp", 1.0, math.e),
        ("log", NAN, NAN),
        ("log", INF, INF),
        ("log", -INF, NAN),
        ("log", -TINY, NAN),
        ("log", 0.0, -INF),
        ("log", -0.0, -INF),
        ("log", 1.0, 0.0),
        ("log", TINY, -744.4400719213812),
        ("log", LARGEST, 709.782712893384),
        ("log", math.e, 1.0),
    ],
)
def test_edges(name: str, argument: float, expected: float) -> None:
    """What the functions are at the ends of their range, with the one NaN whose bits are portable."""
    found = compiled(name, np.array([argument]))
    if name == "exp" and math.isfinite(expected) and expected > 1.0:
        assert abs(int(bits(found)[0]) - int(bits([expected])[0])) <= 1
    else:
        assert bits(found).tolist() == bits([expected]).tolist()


@pytest.mark.parametrize("name", ["exp", "log"])
def test_compiled_and_plain_python_give_the_same_bits(name: str) -> None:
    """The twin agrees on a hundred thousand values and on every edge."""
    x = values(name, 100_000, seed=21)
    function = getattr(twin("python").real, name)
    assert np.array_equal(bits(compiled(name, x)), bits([function(value) for value in x.tolist()]))


@given(st.floats(allow_nan=False))
def test_log_undoes_exp(x: float) -> None:
    """Where the result is a normal number, log(exp(x)) is x within the roundings of both."""
    x = max(-708.0, min(709.0, x))
    back = compiled("log", compiled("exp", np.array([x])))[0]
    assert abs(back - x) <= 2.5e-16 * max(1.0, abs(x))


def test_bits_and_unbits_are_inverse() -> None:
    """Every word comes back, and the words are those of IEEE 754."""
    plain = twin("python").kernel
    for word in (0, 1, 1023 << 52, -(2**63), (2047 << 52) - 1, 2047 << 52, -(1 << 52)):
        assert plain.bits(plain.unbits(word)) == word
    assert plain.bits(1.0) == 1023 << 52
    assert plain.unbits(1) == TINY
