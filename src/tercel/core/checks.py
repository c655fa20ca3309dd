"""Whether one order may be sent: the risk checks of `tercel.risk` in their order, on the state of the account as it is."""

from __future__ import annotations

from tercel.base.codes import DAILY_LOSS, NOTIONAL, OK, ORDER_SIZE, OVERFLOW, POSITION, RATE_UNKNOWN, REWARMED
from tercel.base.exact import OVERFLOW_MARK, to_units
from tercel.base.kernel import F, I, i64, kernel
from tercel.core.layout import (
    H_ACCOUNT,
    H_CURRENCIES,
    H_CURRENCY,
    H_EXECUTION,
    H_LEDGER,
    H_ORDER_TABLE,
    H_QUOTES,
    H_RISK,
    H_SLOTS,
    H_STAMP,
    H_TOP,
)  # fmt: skip
from tercel.execution.kernels import E_OPEN, EXECUTION_WORDS, open_size
from tercel.ledger.kernels import L_CURRENCY, L_POSITION, L_PRICE_SCALE, L_SIZE_MIN, L_SIZE_STEP, LEDGER_WORDS, equity_of, value_of
from tercel.market.kernels import Q_ASK, Q_BID, Q_MID, Q_STATE, Q_TIME, QUOTE_WORDS
from tercel.risk.kernels import (
    CURRENCY_WORDS,
    K_ACCOUNT_CURRENCY,
    K_ACCOUNT_LOSS,
    R_AGE_MAX,
    RISK_WORDS,
    Y_DAY_START,
    Y_LOSS_MAX,
    Y_RATE_INVERSE,
    Y_RATE_SLOT,
    account_code,
    loss_code,
    price_code,
    quote_code,
    rate_code,
    size_code,
)  # fmt: skip


@kernel
def currency_equity(A: I, AF: F, currency: i64) -> i64:
    """Equity of all instruments quoted in one currency, micro-units."""
    total = 0
    for slot in range(A[H_SLOTS]):
        ledger = A[H_LEDGER] + slot * LEDGER_WORDS
        if A[ledger + L_CURRENCY] == currency:
            equity = equity_of(A, AF, ledger, AF[A[H_QUOTES] + slot * QUOTE_WORDS + Q_MID])
            if equity == OVERFLOW_MARK:
                return OVERFLOW_MARK
            total += equity
    return total


@kernel
def loss_check(A: I, AF: F, currency: i64) -> i64:
    """The day's loss: in the currency of the order, then over all in the account's currency at rates that are known."""
    account = A[H_ACCOUNT]
    y = A[H_CURRENCY] + currency * CURRENCY_WORDS
    if A[y + Y_LOSS_MAX] > 0:
        code = loss_code(A[y + Y_LOSS_MAX], currency_equity(A, AF, currency), A[y + Y_DAY_START])
        if code != OK:
            return code
    if A[account + K_ACCOUNT_LOSS] == 0:
        return OK
    change = 0.0
    for c in range(A[H_CURRENCIES]):
        y = A[H_CURRENCY] + c * CURRENCY_WORDS
        equity = currency_equity(A, AF, c)
        if equity == OVERFLOW_MARK:
            return OVERFLOW
        day = float(equity - A[y + Y_DAY_START])
        if c == A[account + K_ACCOUNT_CURRENCY]:
            change += day
        elif day != 0.0 or c == currency:
            if A[y + Y_RATE_SLOT] == 0:
                return RATE_UNKNOWN
            rate = AF[A[H_QUOTES] + (A[y + Y_RATE_SLOT] - 1) * QUOTE_WORDS + Q_MID]
            if not rate > 0.0:
                return RATE_UNKNOWN
            change += day / rate if A[y + Y_RATE_INVERSE] == 1 else day * rate
    return DAILY_LOSS if -change >= float(A[account + K_ACCOUNT_LOSS]) else OK


@kernel
def state_code(A: I, slot: i64, reducing: i64) -> i64:
    """OK when account and market are in a state in which an order of this instrument may be sent at all: the first checks of each."""
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    r = A[H_RISK] + slot * RISK_WORDS
    code = account_code(A, A[H_ACCOUNT], r, reducing)
    return code if code != OK else quote_code(A[q + Q_STATE], A[H_STAMP], A[q + Q_TIME], A[r + R_AGE_MAX])


@kernel
def check_order(A: I, AF: F, slot: i64, side: i64, size: i64, price: i64) -> i64:
    """Every check of one order, in order; OK or the first denial. `price` 0 is a market order."""
    q = A[H_QUOTES] + slot * QUOTE_WORDS
    ledger = A[H_LEDGER] + slot * LEDGER_WORDS
    r = A[H_RISK] + slot * RISK_WORDS
    position = A[ledger + L_POSITION]
    after = size  # with what is open on this side: as far as the position may come
    if A[A[H_EXECUTION] + slot * EXECUTION_WORDS + E_OPEN] > 0:
        after += open_size(A, A[H_ORDER_TABLE], A[H_TOP], slot, side)
    reducing = 1 if position * side < 0 and after <= abs(position) else 0
    code = state_code(A, slot, reducing)
    if code == OK:
        code = size_code(A, r, reducing, position + side * after, size, A[ledger + L_SIZE_STEP], A[ledger + L_SIZE_MIN])
    if code == OK:
        touch = AF[q + Q_ASK] if side > 0 else AF[q + Q_BID]
        at = price if price > 0 else to_units(touch, AF[ledger + L_PRICE_SCALE], side)
        limit = float(price) / AF[ledger + L_PRICE_SCALE]
        code = price_code(A, AF, r, reducing, limit, AF[q + Q_MID], value_of(A, ledger, at, size))
    if code == OK:
        code = rate_code(A, A[H_ACCOUNT], A[H_STAMP])
    if code == OK and reducing == 0:
        code = loss_check(A, AF, A[ledger + L_CURRENCY])
    return code


@kernel
def denies_risk(code: i64) -> i64:
    """1 for a denial that forbids new risk only: the part of the order that reduces may still pass."""
    if code == DAILY_LOSS or code == POSITION or code == NOTIONAL or code == ORDER_SIZE:
        return 1
    return 1 if code == REWARMED or code == RATE_UNKNOWN or code == OVERFLOW else 0
