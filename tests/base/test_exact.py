"""Money arithmetic against Python integers and fractions, which neither wrap nor round."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.exact import OVERFLOW_MARK, divide_even, exact_multiply_divide, multiply_divide, round_even, to_units
from tercel.base.kernel import entry
from tests.twins import MODES, twin

LARGEST = 2**63 - 1
EDGES = [0, 1, 2, 3, 5, 10, 2**30 - 1, 2**30, 2**31, 10**9, 2**60 - 1, 2**60, 2**62, LARGEST - 1, LARGEST]
whole = st.integers(-LARGEST, LARGEST) | st.sampled_from(EDGES + [-edge for edge in EDGES]) | st.integers(-(10**6), 10**6)
divisors = st.integers(1, 10**9) | st.integers(0, 18).map(lambda digits: 10**digits)


def half_even(value: Fraction) -> int:
    """The definition: Python's round of a fraction is exact and half to even."""
    return round(value)


def fitting(value: int) -> int:
    """The value, or the mark of an overflow."""
    return value if -LARGEST <= value <= LARGEST else OVERFLOW_MARK


@pytest.fixture(params=MODES)
def exact(request: pytest.FixtureRequest) -> object:
    """The kernels in each mode, called by name."""

    class Callable:
        def __getattr__(self, name: str) -> object:
            there = twin(request.param)
            return there.kernel.entry(getattr(there.exact, name)).bind()

    return Callable()


@given(whole, whole, divisors)
def test_a_product_is_divided_exactly_or_marked(a: int, b: int, divisor: int) -> None:
    """Over the whole range the result is the nearest integer, half to even, or the mark when that does not fit; twins agree."""
    expected = fitting(half_even(Fraction(a * b, divisor)))
    for mode in MODES:
        there = twin(mode)
        assert there.kernel.entry(there.exact.multiply_divide).bind()(a, b, divisor) == expected, mode


@pytest.mark.parametrize("b", EDGES)
def test_every_pair_of_edges(b: int) -> None:
    """Where limbs fill, carry and overflow: all pairs of edges, all signs, all powers of ten."""
    call = entry(multiply_divide).bind()
    for a in EDGES:
        for divisor in [10**digits for digits in range(19)] + [3, 7, 2**29 - 1]:
            for sign in (1, -1):
                assert call(sign * a, b, divisor) == fitting(half_even(Fraction(sign * a * b, divisor))), (sign * a, b, divisor)
                assert call(a, sign * b, divisor) == fitting(half_even(Fraction(sign * a * b, divisor))), (a, sign * b, divisor)


@given(st.integers(-LARGEST, LARGEST), st.sampled_from([10**9, 10**10, 10**18]))
def test_a_tie_goes_to_the_even_neighbour(quotient: int, divisor: int) -> None:
    """Halves are exact ties however long the product: never up by habit."""
    a, b = 2 * quotient + 1, divisor // 2
    if abs(a) <= LARGEST:
        expected = fitting(quotient + (quotient & 1))
        assert entry(multiply_divide).bind()(a, b, divisor) == expected == fitting(exact_multiply_divide(a, b, divisor))


def test_the_last_value_that_fits_is_not_an_overflow(exact: object) -> None:
    """2**63 - 1 is a result; half a unit more is rounded up to the even 2**63, which is not, on either side of zero."""
    call = exact.multiply_divide  # type: ignore[attr-defined]
    assert call(LARGEST, 10**9, 10**9) == LARGEST
    assert call(-LARGEST, 10**9, 10**9) == -LARGEST
    for divisor in (10, 10**10):
        # a * b / divisor = 2**63 - 1/2 exactly.
        a, b = (2**64 - 1) // 5, divisor // 2 * 5
        assert Fraction(a * b, divisor) == Fraction(2**64 - 1, 2)
        assert call(a, b, divisor) == call(-a, b, divisor) == OVERFLOW_MARK
    assert call(LARGEST, LARGEST, 1) == call(LARGEST, -LARGEST, 10**18) == OVERFLOW_MARK


@given(whole, whole, st.integers(1, 10**30))
def test_the_ledgers_definition_never_overflows(a: int, b: int, divisor: int) -> None:
    """`exact_multiply_divide` is the nearest integer, half to even, of any size."""
    assert exact_multiply_divide(a, b, divisor) == half_even(Fraction(a * b, divisor))


@given(st.integers(-(2**62), 2**62), st.integers(1, 2**62))
def test_a_quotient_goes_to_the_nearest_half_to_even(value: int, divisor: int) -> None:
    """Also for negative values, where flooring would go the wrong way."""
    assert entry(divide_even).bind()(value, divisor) == half_even(Fraction(value, divisor))


@given(st.floats(-(2.0**51), 2.0**51) | st.integers(-(2**50), 2**50).map(lambda n: n + 0.5))
def test_a_float_is_rounded_half_to_even(x: float) -> None:
    """As Python's `round` does, in every mode."""
    for mode in MODES:
        there = twin(mode)
        assert there.kernel.entry(there.exact.round_even).bind()(x) == float(round(x)), mode
    assert entry(round_even).bind()(x) == np.rint(x)


@given(st.integers(-(10**14), 10**14), st.integers(0, 8), st.sampled_from([-1, 0, 1]))
def test_decimal_text_is_its_grid_point_in_every_direction(units: int, decimals: int, direction: int) -> None:
    """The double nearest to a decimal is that decimal, though it lies a little beside: 1.1 is 110 hundredths, not 109 or 111."""
    x = float(f"{'-' if units < 0 else ''}{abs(units) // 10**decimals}.{abs(units) % 10**decimals:0{decimals or 1}d}")
    assert entry(to_units).bind()(x, 10.0**decimals, direction) == units


@given(st.floats(-1e9, 1e9), st.integers(0, 5), st.sampled_from([-1, 0, 1]))
def test_a_value_off_the_grid_goes_where_it_is_sent(x: float, decimals: int, direction: int) -> None:
    """Down, up or to the nearest, never past the neighbour; twins agree."""
    y = x * 10.0**decimals
    for mode in MODES:
        there = twin(mode)
        got = there.kernel.entry(there.exact.to_units).bind()(x, 10.0**decimals, direction)
        assert abs(got - y) <= (0.5 if direction == 0 else 1.0), mode
        if abs(y - round(y)) > 1e-6 + abs(y) * 2.0**-51:
            assert got == {-1: int(np.floor(y)), 0: round(y), 1: int(np.ceil(y))}[direction], mode
        else:
            assert got == round(y), mode


@pytest.mark.parametrize(
    ("x", "scale", "direction", "units"),
    [
        (1.084125, 1e5, -1, 108412),
        (1.084125, 1e5, 1, 108413),
        (1.084115, 1e5, 0, 108412),
        (-1.5, 1.0, 0, -2),
        (2.5, 1.0, 0, 2),
        (0.0, 1e5, 1, 0),
        (-1089728.64, 1e4, 1, -10897286400),
        (98765.43212345, 1e8, -1, 9876543212345),
    ],
)
def test_prices_become_units(x: float, scale: float, direction: int, units: int, exact: object) -> None:
    """Examples: down, up, nearest, ties, both signs."""
    assert exact.to_units(x, scale, direction) == units  # type: ignore[attr-defined]


@given(st.integers(-(10**6), 10**6), st.floats(1e-7, 1e-5) | st.floats(1e-7, 0.4), st.sampled_from([-1, 1]))
def test_a_millionth_of_a_unit_is_the_grid_and_more_is_not(units: int, off: float, side: int) -> None:
    """What rounding of decimals can cause is forgiven, a price a little beside the grid is not."""
    call, x = entry(to_units).bind(), units + side * off
    if abs(off - 1e-6) > 1e-9:
        assert call(x, 1.0, 1) == (units if off < 1e-6 or side < 0 else units + 1)
        assert call(x, 1.0, -1) == (units if off < 1e-6 or side > 0 else units - 1)
    assert call(x, 1.0, 0) == units
