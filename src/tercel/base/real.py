"""exp and log as kernels: the same bits in compiled code, plain Python and the browser, within one unit in the last place.

The libraries of C, NumPy and JavaScript each round these differently. Here they are sums, products and one division in a written order,
over the series everybody knows; never mix them with `math.exp` and `math.log`, which differ in the last bit now and then.
"""

from __future__ import annotations

from typing import Final

from tercel.base.kernel import bits, f64, kernel, unbits

NAN: Final = float("nan")
INFINITY: Final = float("inf")
# ln 2 in two parts. The first has 32 significant bits, so its product with an exponent is exact.
LN2_HIGH: Final = 0.6931471803691238
LN2_LOW: Final = 1.9082149292705877e-10
LOG2_E: Final = 1.4426950408889634
EXP_MAX, EXP_MIN = 709.79, -745.14  # beyond these exp is infinity and zero
SQRT2: Final = 1.4142135623730951
NORMAL_MIN: Final = 2.2250738585072014e-308
TWO_54: Final = 18014398509481984.0
MANTISSA: Final = (1 << 52) - 1
EXPONENT_ONE: Final = 1023 << 52  # the bits of 1.0
# 1/2!, 1/3!, ..
E2, E3, E4, E5, E6, E7 = 1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0
E8, E9, E10, E11, E12, E13 = 1.0 / 40320.0, 1.0 / 362880.0, 1.0 / 3628800.0, 1.0 / 39916800.0, 1.0 / 479001600.0, 1.0 / 6227020800.0
# 2/3, 2/5, ..
L1, L2, L3, L4, L5 = 2.0 / 3.0, 2.0 / 5.0, 2.0 / 7.0, 2.0 / 9.0, 2.0 / 11.0
L6, L7, L8, L9, L10 = 2.0 / 13.0, 2.0 / 15.0, 2.0 / 17.0, 2.0 / 19.0, 2.0 / 21.0


@kernel
def exp(x: f64) -> f64:
    """e to the power x; infinity above 709.78, 0 below -745.13, denormals in between, NaN for NaN.

    x = k ln 2 + r with |r| <= ln 2 / 2. e^r is 1 + r + r^2 (1/2! + r/3! + .. + r^11/13!), whose rest is below 4e-18; 2^k in two factors,
    of which only the second can round, where the result is denormal.
    """
    if x != x:
        return NAN
    if x > EXP_MAX:
        return INFINITY
    if x < EXP_MIN:
        return 0.0
    k = int(x * LOG2_E + (0.5 if x > 0.0 else -0.5))
    high = x - float(k) * LN2_HIGH
    low = float(k) * LN2_LOW
    r = high - low
    lost = (high - r) - low
    q = r * r
    q2 = q * q
    q4 = q2 * q2
    first = (E2 + r * E3) + q * (E4 + r * E5)
    second = (E6 + r * E7) + q * (E8 + r * E9)
    third = (E10 + r * E11) + q * (E12 + r * E13)
    y = 1.0 + (r + (lost + q * (first + q2 * second + q4 * third)))
    half = k >> 1
    return y * unbits((half + 1023) << 52) * unbits((k - half + 1023) << 52)


@kernel
def log(x: f64) -> f64:
    """The natural logarithm; -infinity for either zero, NaN below zero and for NaN.

    x = 2^k m with m from sqrt(1/2) to sqrt(2), f = m - 1, s = f / (2 + f): log m = 2 artanh s = 2s + s (2/3 s^2 + 2/5 s^4 + ..), whose rest
    after ten terms is below 1e-18 of it. 2s is f - f^2/2 + s f^2/2, which keeps the digits of f; the order of this sum is that of fdlibm's
    e_log.c (Sun Microsystems, 1993).
    """
    if x != x or x < 0.0:
        return NAN
    if x == 0.0:
        return -INFINITY
    if x == INFINITY:
        return INFINITY
    k = 0
    if x < NORMAL_MIN:
        x = x * TWO_54
        k = -54
    word = bits(x)
    k += (word >> 52) - 1023
    m = unbits((word & MANTISSA) | EXPONENT_ONE)
    if m > SQRT2:
        m = m * 0.5
        k += 1
    f = m - 1.0
    s = f / (2.0 + f)
    q = s * s
    q2 = q * q
    q4 = q2 * q2
    odd = (L1 + q * L2) + q2 * (L3 + q * L4)
    even = (L5 + q * L6) + q2 * (L7 + q * L8)
    rest = q * (odd + q4 * (even + q4 * (L9 + q * L10)))
    half = 0.5 * f * f
    return float(k) * LN2_HIGH - ((half - (s * (half + rest) + float(k) * LN2_LOW)) - f)
