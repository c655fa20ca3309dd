"""Pure half of the ledger: position, cash and marks of one instrument in integers.

Money is int64 micro-units (10**-6) of the quote currency. The value of size at a price is price * size * multiplier / 10**shift
micro-units, rounded half to even once per fill; `MUL` and `DIV` hold that ratio.
"""

from __future__ import annotations

from tercel.base.exact import OVERFLOW_MARK, multiply_divide, to_units
from tercel.base.kernel import F, I, f64, i64, kernel

# Words of one instrument's ledger.
L_POSITION, L_CASH, L_FEES, L_FILLS, L_BOUGHT, L_SOLD, L_MUL, L_DIV = 0, 1, 2, 3, 4, 5, 6, 7
L_CURRENCY, L_PRICE_SCALE, L_PRICE_STEP, L_SIZE_STEP, L_SIZE_MIN, L_TURNOVER = 8, 9, 10, 11, 12, 13
LEDGER_WORDS = 14

MONEY_MAX = 2**61  # cash beyond this is a fault: sums of a few such values still fit


@kernel
def value_of(A: I, l: i64, price: i64, size: i64) -> i64:
    """Value in micro-units of `size` at `price`, both integers of the instrument; `OVERFLOW_MARK` when it does not fit."""
    if abs(float(size) * float(A[l + L_MUL])) > 9.0e18:
        return OVERFLOW_MARK
    return multiply_divide(price, size * A[l + L_MUL], A[l + L_DIV])


@kernel
def apply_fill(A: I, l: i64, side: i64, price: i64, size: i64, fee: i64) -> i64:
    """Book one fill. Returns the change of cash without the fee, or `OVERFLOW_MARK` with nothing booked."""
    value = value_of(A, l, price, size)
    if value == OVERFLOW_MARK or abs(A[l + L_CASH]) > MONEY_MAX or value > MONEY_MAX or abs(A[l + L_POSITION]) > MONEY_MAX:
        return OVERFLOW_MARK
    A[l + L_POSITION] += side * size
    A[l + L_CASH] -= side * value
    A[l + L_FEES] += fee
    A[l + L_FILLS] += 1
    A[l + L_TURNOVER] += value if A[l + L_TURNOVER] < MONEY_MAX else 0
    if side > 0:
        A[l + L_BOUGHT] += size
    else:
        A[l + L_SOLD] += size
    return -side * value


@kernel
def equity_of(A: I, AF: F, l: i64, mid: f64) -> i64:
    """Cash - fees + position at `mid`, micro-units; a position without a mid counts at cash only. `OVERFLOW_MARK` when it does not fit."""
    equity = A[l + L_CASH] - A[l + L_FEES]
    if A[l + L_POSITION] == 0 or mid != mid or mid == 0.0:
        return equity
    # Marks keep ten times the resolution of an order price, so that the middle of an odd spread is not rounded away.
    mark = to_units(mid, AF[l + L_PRICE_SCALE] * 10.0, 0)
    if abs(float(A[l + L_POSITION]) * float(A[l + L_MUL])) > 9.0e17:
        return OVERFLOW_MARK
    value = multiply_divide(mark, A[l + L_POSITION] * A[l + L_MUL], A[l + L_DIV] * 10)
    return OVERFLOW_MARK if value == OVERFLOW_MARK else equity + value
