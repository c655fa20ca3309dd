"""The records that travel through the system, each declared once.

Every input of the core is 64 bytes: a 24-byte header and a 40-byte body whose meaning follows from `kind`. The same 64 bytes are read
through different views (`TICK`, `BAR`, `TIMER`, `COMMAND`, `REPORT`), so one array, one file and one log hold every input in one order.
Compiled code reads a record as eight 8-byte words (`WORDS`); word 2 packs instrument, kind, side and flags.

NaN in a float field means "the source does not say".
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[Any]

RECORD_BYTES: Final = 64
WORDS: Final = 8

# Words of an input record, for compiled code.
TS_EVENT, TS_RECV, HEAD, BODY = 0, 1, 2, 3
KIND_SHIFT, SIDE_SHIFT, FLAGS_SHIFT = 32, 40, 48
INSTRUMENT_MASK, BYTE_MASK = 0xFFFFFFFF, 0xFF

# Kinds: market data first, then what the sequencer and the shell add.
QUOTE, TRADE, BAR, BOOK = 1, 2, 3, 4
ORDER_ADD, ORDER_CANCEL, ORDER_MODIFY, ORDER_FILL = 5, 6, 7, 8
BOOK_CLEAR, GAP, SESSION, DAY_ROLL, ADJUST, DEFINITION = 9, 10, 11, 12, 13, 14
TIMER, COMMAND, REPORT, ADVICE, DEGRADE = 32, 33, 34, 35, 36
MARKET_KINDS_MAX: Final = 31  # kinds up to here are market data, above they are control

KIND_NAMES: Final = {
    QUOTE: "quote", TRADE: "trade", BAR: "bar", BOOK: "book", ORDER_ADD: "order_add", ORDER_CANCEL: "order_cancel",
    ORDER_MODIFY: "order_modify", ORDER_FILL: "order_fill", BOOK_CLEAR: "book_clear", GAP: "gap", SESSION: "session",
    DAY_ROLL: "day_roll", ADJUST: "adjust", DEFINITION: "definition", TIMER: "timer", COMMAND: "command", REPORT: "report",
    ADVICE: "advice", DEGRADE: "degrade",
}  # fmt: skip

# Flags of a record.
LAST, SNAPSHOT, SUSPECT = 1, 2, 4
# Price basis of a bar, kept in `side`.
BASIS_TRADE, BASIS_BID, BASIS_ASK, BASIS_MID = 0, 1, -1, 2
# Commands.
HALT, RESUME, EPOCH, REWARM = 1, 2, 3, 4
MODEL: Final = 5  # from here on the model `value` scores the instrument of the header, or all when that is 0; value 0 is none
ORDER: Final = 6  # an order that a person gives: see `COMMAND_VIEW`
# Degradations.
FEATURES_LATE: Final = 1  # value 1: features take too long, stand on the last good ones; 0: they are in time again

_HEADER: Final = [
    ("ts_event", "<i8"),  # ns since 1970 UTC: when it happened, by the source's clock. Data, never an order.
    ("ts_recv", "<i8"),  # ns since 1970 UTC: arrival; after the sequencer it never decreases and is core time.
    ("instrument", "<u4"),
    ("kind", "u1"),
    ("side", "i1"),
    ("flags", "<u2"),
]

TICK: Final = np.dtype([*_HEADER, ("price", "<f8"), ("size", "<f8"), ("price2", "<f8"), ("size2", "<f8"), ("ref", "<i8")])
"""quote: bid, bid size, ask, ask size, update id. trade: price, size, -, -, trade id; `side` is the aggressor.
book: level price, new total size (0 deletes), -, -, update id. order_*: price, size, -, -, order id."""

BAR_VIEW: Final = np.dtype([*_HEADER, ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8"), ("volume", "<f8")])
"""`ts_event` is the open; it enters the core at open + interval (`ts_recv`), never earlier. `side` is the price basis."""

TIMER_VIEW: Final = np.dtype([*_HEADER, ("interval_ns", "<i8"), ("unused", "<i8", (4,))])
"""`ts_event` is the boundary that has passed; `ts_recv` = boundary + grace."""

COMMAND_VIEW: Final = np.dtype([*_HEADER, ("code", "<i8"), ("value", "<i8"), ("unused", "<i8", (2,)), ("ref", "<i8")])
"""An ORDER is for the instrument and `side` of its header: `value` is its size, the first `unused` word its limit price (0: at the market),
both integers in the instrument's decimals; `ref` names it, see `tercel.journal.entries.ref_of`."""

REPORT_VIEW: Final = np.dtype([*_HEADER, ("order", "<i8"), ("price", "<i8"), ("size", "<i8"), ("fee_micros", "<i8"), ("execution", "<i8")])
"""A venue's execution report; price and size are integers in the instrument's decimals, `side` is the execution type."""

for _view in (TICK, BAR_VIEW, TIMER_VIEW, COMMAND_VIEW, REPORT_VIEW):
    assert _view.itemsize == RECORD_BYTES, _view

OUTPUT: Final = np.dtype([
    ("input", "<i8"),  # number of the input that caused it
    ("time", "<i8"),  # core time, ns
    ("instrument", "<u4"),
    ("kind", "u1"),
    ("side", "i1"),
    ("code", "<u2"),  # reason code of a denial, order type of an intent, liquidity flag of a fill
    ("order", "<i8"),  # core order number, 0 when there is none
    ("price", "<i8"),  # integer in 10^-price_decimals; 0 for a market order
    ("size", "<i8"),  # integer in 10^-size_decimals
    ("filled", "<i8"),  # cumulative size after this output
    ("state", "<i8"),  # order state after this output
    ("cash_micros", "<i8"),  # change of cash in the quote currency, fee excluded
    ("fee_micros", "<i8"),  # in the quote currency
    ("position", "<i8"),  # position after this output, in size units
    ("score", "<f8"),  # raw score of the signal
    ("confidence", "<f8"),
    ("epoch", "<i8"),  # account epoch of the order
    ("execution", "<i8"),  # number of the fill, 0 when it is none
    ("mid", "<f8"),  # mid price of the instrument at that moment, NaN when there is none
])  # fmt: skip
"""What the core says: 128 bytes, always in input order."""
OUTPUT_WORDS: Final = OUTPUT.itemsize // 8
assert OUTPUT.itemsize == 128

# Kinds of output.
OUT_INTENT, OUT_FILL, OUT_CANCEL, OUT_DENIED, OUT_SIGNAL, OUT_EXPIRED, OUT_STATE = 1, 2, 3, 4, 5, 6, 7
OUT_NAMES: Final = {
    OUT_INTENT: "intent", OUT_FILL: "fill", OUT_CANCEL: "cancel", OUT_DENIED: "denied", OUT_SIGNAL: "signal",
    OUT_EXPIRED: "expired", OUT_STATE: "state",
}  # fmt: skip


def empty(count: int) -> Records:
    """`count` zeroed input records with dtype `TICK`; the caller sets `kind` and every body field its kind uses."""
    return np.zeros(count, TICK)


def words(records: Records) -> npt.NDArray[np.int64]:
    """The same memory as flat int64 words, 8 per input record or 16 per output record; no copy. Needs C order."""
    return records.view(np.int64).reshape(-1)


def client_order_id(epoch: int, order: int) -> str:
    """32 lowercase hex digits of (account epoch, core order number): unique for the life of the account.

    The epoch is raised durably at every start, so an id made after a crash can never repeat one made before it.
    """
    return f"{epoch & 0xFFFFFFFFFFFFFFFF:016x}{order & 0xFFFFFFFFFFFFFFFF:016x}"
