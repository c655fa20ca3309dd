"""Reason codes: why an evaluation ended without an order. The numbers are stable; a code is never reused.

`tercel why` shows them counted. Codes from 16 on are denials by the risk checks, in the order in which they are tried.
"""

from __future__ import annotations

from typing import Final

OK = 0
# Decided by the strategy.
WARMING, NO_SIGNAL, AT_TARGET, ORDER_WORKING, SIZE_BELOW_MIN, NO_QUOTE = 1, 2, 3, 4, 5, 6
NO_MODEL, HOLDING, LATE_FEATURES, NOTHING_ASKED, SMALL_EDGE = 7, 8, 9, 10, 11
# Denied by a check.
HALTED, REWARMED, ONE_SIDED, CROSSED, STALE, OFF_GRID = 16, 17, 18, 19, 20, 21
ORDER_SIZE, POSITION, NOTIONAL, COLLAR, RATE, DAILY_LOSS = 22, 23, 24, 25, 26, 27
RATE_UNKNOWN, ORDER_TABLE, OVERFLOW, BAD_REQUEST, DATA_LOST = 28, 29, 30, 31, 32
DENIALS_MIN: Final = 16
COUNT: Final = 64

REASONS: Final[dict[int, tuple[str, str, str]]] = {
    WARMING: ("warming", "a feature has not seen enough data yet", "wait, or give the back-test a longer history"),
    NO_SIGNAL: ("no_signal", "the expected move does not pay for its cost", "lower rule.enter, or trade where costs are lower"),
    AT_TARGET: ("at_target", "the position already is what the signal asks for", "nothing"),
    ORDER_WORKING: ("order_working", "an earlier order of this instrument is still open", "nothing, or a shorter latency"),
    SIZE_BELOW_MIN: ("size_below_min", "the risk allows less than the smallest size", "allow more: rule.risk_per_bar, or risk_per_trade"),
    NO_QUOTE: ("no_quote", "no quote has arrived yet", "check the feed"),
    NO_MODEL: ("no_model", "no model may speak about this instrument at this time", "train on earlier data, or put a model in place"),
    HOLDING: ("holding", "a position is held until one of its barriers", "nothing"),
    LATE_FEATURES: ("late_features", "features took too long and the last good ones are too old", "trade fewer symbols or smaller models"),
    NOTHING_ASKED: ("nothing_asked", "the strategy asked for nothing at this bar", "look at its conditions"),
    SMALL_EDGE: ("small_edge", "the model sees too small an edge after costs", "nothing, or a lower rule.enter"),
    HALTED: ("halted", "trading is halted", "find out why, then `tercel resume`"),
    REWARMED: ("rewarmed", "state was rebuilt from a gap and is not yet trusted for entries", "wait for the declared memory length"),
    ONE_SIDED: ("one_sided", "the last quote lacks a bid or an ask", "check the feed"),
    CROSSED: ("crossed", "the last quote has a bid above its ask", "check the feed; aggregated feeds do this"),
    STALE: ("stale", "the last quote is older than risk.quote_age_max", "check the feed"),
    OFF_GRID: ("off_grid", "price or size is not a multiple of the instrument's increment", "round it before ordering"),
    ORDER_SIZE: ("order_size", "the order is larger than risk.order_lots", "raise the limit or order less"),
    POSITION: ("position", "the position would exceed risk.position_lots", "raise the limit or order less"),
    NOTIONAL: ("notional", "the order is worth more than risk.notional", "raise the limit or order less"),
    COLLAR: ("collar", "the limit price is too far from the market", "check the price, or widen risk.collar"),
    RATE: ("rate", "more orders in a second than risk.orders_per_second", "order less often"),
    DAILY_LOSS: ("daily_loss", "the loss of the day has reached risk.daily_loss", "wait for the next trading day"),
    RATE_UNKNOWN: ("rate_unknown", "no known exchange rate to the account currency", "add the pair, or set a limit in that currency"),
    ORDER_TABLE: ("order_table", "too many orders are open", "cancel some"),
    OVERFLOW: ("overflow", "price times size does not fit into 63 bits", "order less"),
    DATA_LOST: ("data_lost", "market data was lost and no quote has come since", "wait for the next quote, or check the feed"),
    BAD_REQUEST: ("bad_request", "the strategy asked for something that is no order", "mend the strategy"),
}  # fmt: skip
"""code -> (name, meaning, remedy)."""

NAMES: Final = {code: text[0] for code, text in REASONS.items()}

# Faults: a kernel met something it must not guess about. Trading halts before the input that caused it.
FAULT_NONE, FAULT_LIFE_CYCLE, FAULT_CASH, FAULT_OUTBOX = 0, 1, 2, 4
FAULTS: Final = {
    FAULT_LIFE_CYCLE: "an order met an event its state does not allow",
    FAULT_CASH: "cash or position left the range of 63 bits",
    FAULT_OUTBOX: "one input caused more outputs than the outbox holds",
}
