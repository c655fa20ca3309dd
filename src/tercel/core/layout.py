"""The account state as one flat memory: a header, then one section per package, then the identity.

Every section is owned by the package whose `kernels` names its words; the header holds where each begins. The identity (epoch, input
number, the epochs of open orders) is not part of the state hash: a restart raises the epoch and adds an input, and must change nothing
else.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from tercel.base.codes import COUNT
from tercel.decision.kernels import DECISION_WORDS
from tercel.execution.kernels import EXECUTION_WORDS, ORDER_WORDS
from tercel.ledger.kernels import LEDGER_WORDS
from tercel.market.kernels import BAR_WORDS, QUOTE_WORDS
from tercel.risk.kernels import ACCOUNT_RISK_WORDS, CURRENCY_WORDS, RATE_SLOTS, RISK_WORDS

# Header: counts, then where each section begins, then counters.
H_SLOTS, H_ORDERS, H_CURRENCIES, H_IDS = 0, 1, 2, 3
H_SLOT_OF, H_QUOTES, H_LEDGER, H_EXECUTION, H_RISK, H_DECISION = 4, 5, 6, 7, 8, 9
H_ORDER_TABLE, H_CURRENCY, H_ACCOUNT, H_REASONS, H_IDENTITY = 10, 11, 12, 13, 14
H_STRATEGY, H_SCORE, H_VOLATILITY = 15, 16, 17
H_TICKS, H_STAMP, H_ORDER_NUMBER, H_FILL_NUMBER, H_OPEN, H_TOP, H_EVALUATIONS, H_FAULT = 18, 19, 20, 21, 22, 23, 24, 25
HEADER_WORDS = 32
# Identity: account epoch, number of the last input, then the epoch of each place of the order table.
ID_EPOCH, ID_INPUT, ID_ORDERS = 0, 1, 2

STRATEGY_NONE, STRATEGY_RULE, STRATEGY_PYTHON, STRATEGY_MODEL, STRATEGY_ONLOOKER = 0, 1, 2, 3, 4

LAYOUT_VERSION = 3


class Layout:
    """Where everything is, for so many instruments, orders, currencies and instrument ids."""

    def __init__(self, slots: int, orders: int, currencies: int, ids: int) -> None:
        self.slots, self.orders, self.currencies, self.ids = slots, orders, currencies, ids
        at = HEADER_WORDS
        places: dict[int, int] = {}
        for place, words in (
            (H_SLOT_OF, ids),
            (H_QUOTES, slots * QUOTE_WORDS),
            (H_LEDGER, slots * LEDGER_WORDS),
            (H_EXECUTION, slots * EXECUTION_WORDS),
            (H_RISK, slots * RISK_WORDS),
            (H_DECISION, slots * DECISION_WORDS),
            (H_ORDER_TABLE, orders * ORDER_WORDS),
            (H_CURRENCY, currencies * CURRENCY_WORDS),
            (H_ACCOUNT, ACCOUNT_RISK_WORDS + RATE_SLOTS),
            (H_REASONS, slots * COUNT),
            (H_IDENTITY, ID_ORDERS + orders),
        ):
            places[place] = at
            at += words
        self.places = places
        self.words = at

    def new(self) -> npt.NDArray[np.int64]:
        """Zeroed account state with its header written."""
        state = np.zeros(self.words, np.int64)
        state[H_SLOTS], state[H_ORDERS], state[H_CURRENCIES], state[H_IDS] = self.slots, self.orders, self.currencies, self.ids
        for place, at in self.places.items():
            state[place] = at
        return state

    def section(self, place: int, words: int, slot: int = 0) -> int:
        """Where the section `place` of `slot` begins, for sections of `words` words a slot."""
        return self.places[place] + slot * words

    @property
    def hash(self) -> str:
        """Names this layout: a snapshot of another one is never read."""
        account = (QUOTE_WORDS, LEDGER_WORDS, EXECUTION_WORDS, RISK_WORDS, DECISION_WORDS, ORDER_WORDS, CURRENCY_WORDS, RATE_SLOTS, COUNT)
        sizes = (*account, BAR_WORDS)  # the market state that lies beside it in a snapshot
        text = repr((LAYOUT_VERSION, self.slots, self.orders, self.currencies, self.ids, sizes))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
