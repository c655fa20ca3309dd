"""Exact integer arithmetic for money, as kernels: nothing wraps, rounding is half to even and said once.

`OVERFLOW_MARK` is the answer of every helper whose true result does not fit.
"""

from __future__ import annotations

from typing import Final

from tercel.base.kernel import f64, i64, kernel

OVERFLOW_MARK: Final = -(2**63)
_LARGEST = 2**63 - 1
_FITS = 9.0e18  # products of doubles below this are safely inside int64
_MAGIC = 6755399441055744.0  # 1.5 * 2**52: adding and subtracting it rounds a double to an integer, half to even
_TWO_ROUNDINGS = 4.440892098500626e-16  # 2**-51
LIMB = 30
_LIMB_MASK = (1 << 30) - 1
_BILLION = 1_000_000_000


@kernel
def round_even(x: f64) -> f64:
    """The integer nearest to `x`, half to even, as a float; exact for |x| < 2**51."""
    return (x + _MAGIC) - _MAGIC


@kernel
def divide_even(value: i64, divisor: i64) -> i64:
    """value / divisor, half to even; divisor > 0."""
    quotient = value // divisor
    rest = value - quotient * divisor
    other = divisor - rest
    if rest > other or (rest == other and (quotient & 1) == 1):
        quotient += 1
    return quotient


@kernel
def multiply_divide(a: i64, b: i64, divisor: i64) -> i64:
    """a * b / divisor with a product of up to 126 bits, half to even. divisor is 1 to 10**18, a power of ten above 10**9.

    Returns `OVERFLOW_MARK` when the result does not fit into 63 bits. |a| and |b| must be below 2**63.
    """
    if abs(float(a) * float(b)) < _FITS:
        return divide_even(a * b, divisor)
    negative = (a < 0) != (b < 0)
    a = abs(a)
    b = abs(b)
    a0 = a & _LIMB_MASK
    a1 = (a >> LIMB) & _LIMB_MASK
    a2 = a >> (2 * LIMB)
    b0 = b & _LIMB_MASK
    b1 = (b >> LIMB) & _LIMB_MASK
    b2 = b >> (2 * LIMB)
    c0 = a0 * b0
    c1 = a0 * b1 + a1 * b0 + (c0 >> LIMB)
    c2 = a0 * b2 + a1 * b1 + a2 * b0 + (c1 >> LIMB)
    c3 = a1 * b2 + a2 * b1 + (c2 >> LIMB)
    c4 = a2 * b2 + (c3 >> LIMB)
    c0 = c0 & _LIMB_MASK
    c1 = c1 & _LIMB_MASK
    c2 = c2 & _LIMB_MASK
    c3 = c3 & _LIMB_MASK
    # Divide by at most 10**9 at a time, so that rest * 2**30 + limb stays below 2**60; two floors compose to one.
    first = divisor
    second = 1
    if divisor > _BILLION:
        first = _BILLION
        second = divisor // _BILLION
    rest_first = 0
    rest_second = 0
    for turn in range(2):
        d = first if turn == 0 else second
        rest = c4 % d
        c4 = c4 // d
        t = (rest << LIMB) | c3
        c3 = t // d
        rest = t - c3 * d
        t = (rest << LIMB) | c2
        c2 = t // d
        rest = t - c2 * d
        t = (rest << LIMB) | c1
        c1 = t // d
        rest = t - c1 * d
        t = (rest << LIMB) | c0
        c0 = t // d
        rest = t - c0 * d
        if turn == 0:
            rest_first = rest
        else:
            rest_second = rest
    if c4 != 0 or c3 != 0 or c2 >= 8:
        return OVERFLOW_MARK
    quotient = (c2 << (2 * LIMB)) | (c1 << LIMB) | c0
    rest = rest_second * first + rest_first
    other = divisor - rest
    if rest > other or (rest == other and (quotient & 1) == 1):
        if quotient == _LARGEST:
            return OVERFLOW_MARK
        quotient += 1
    return -quotient if negative else quotient


@kernel
def to_units(x: f64, scale: f64, direction: i64) -> i64:
    """A price or size in integer units of 1/scale. A value off the grid goes down (direction -1), up (+1) or to the nearest (0).

    A double within 1e-6 of a grid point, or within two roundings of its own, is that grid point: decimal text does not survive binary
    exactly, and above 4e9 units a rounding alone is more than 1e-6. |x * scale| < 2**51.
    """
    y = x * scale
    near = round_even(y)
    if direction == 0 or abs(y - near) <= 1e-6 + abs(y) * _TWO_ROUNDINGS:
        return int(near)
    if direction > 0:
        return int(near) + 1 if near < y else int(near)
    return int(near) - 1 if near > y else int(near)


def exact_multiply_divide(a: int, b: int, divisor: int) -> int:
    """The definition of `multiply_divide` in Python integers: never overflows. The ledger recomputes with it."""
    quotient, rest = divmod(a * b, divisor)
    return quotient + (2 * rest > divisor or (2 * rest == divisor and quotient & 1))
