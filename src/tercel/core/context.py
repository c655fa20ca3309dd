"""What a Python strategy sees and asks: a view on the account state and a table of requests the kernel reads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tercel.base.codes import NOTHING_ASKED, REASONS
from tercel.base.errors import OrderRejected
from tercel.base.kernel import plain
from tercel.core import account_phase as phase
from tercel.core.layout import H_EXECUTION, H_LEDGER, H_QUOTES, H_RISK, H_STAMP
from tercel.core.setup import CoreConfig
from tercel.decision.kernels import size_for
from tercel.execution.kernels import E_OPEN, E_TAKER, EXECUTION_WORDS, GOOD_TILL_CANCEL, IMMEDIATE, RATE_UNIT
from tercel.ledger.kernels import L_DIV, L_MUL, L_POSITION, L_PRICE_SCALE, LEDGER_WORDS
from tercel.market.kernels import Q_ASK, Q_BID, Q_MID, Q_STATE, Q_TIME, QUOTE_LOST, QUOTE_NONE, QUOTE_WORDS
from tercel.risk.kernels import R_AGE_MAX, R_POSITION_MAX, RISK_WORDS, quote_code

NAN = float("nan")
_quote_code, _size_for = plain(quote_code), plain(size_for)  # the kernels the compiled rules call, as plain Python


class CoreContext:
    """The `Context` of `tercel.decision.strategy`, for one slot at a time."""

    def __init__(self, config: CoreConfig, account: npt.NDArray[np.int64], requests: npt.NDArray[np.int64]) -> None:
        self._config = config
        self._layout = config.layout
        self._state, self._reals = account, account.view(np.float64)
        self._requests, self._request_reals = requests, requests.view(np.float64)
        self._slot = 0
        self.features: Mapping[str, float] = {}

    def at(self, slot: int, features: Mapping[str, float]) -> None:
        """Look at another slot."""
        self._slot, self.features = slot, features

    def _word(self, section: int, words: int, word: int) -> int:
        return int(self._state[self._layout.section(section, words, self._slot) + word])

    def _real(self, section: int, words: int, word: int) -> float:
        return float(self._reals[self._layout.section(section, words, self._slot) + word])

    def _units(self, raw: int) -> float:
        return float(raw / 10 ** self._config.instruments[self._slot].size_decimals)

    @property
    def instrument(self) -> str:
        """Name of the instrument."""
        return self._config.instruments[self._slot].name

    @property
    def time_ns(self) -> int:
        """Core time."""
        return int(self._state[H_STAMP])

    @property
    def bid(self) -> float:
        """Bid of the standing quote, NaN without one."""
        return self._quote(Q_BID)

    @property
    def ask(self) -> float:
        """Ask of the standing quote, NaN without one."""
        return self._quote(Q_ASK)

    def _quote(self, word: int) -> float:
        unknown = self._word(H_QUOTES, QUOTE_WORDS, Q_STATE) in (QUOTE_NONE, QUOTE_LOST)
        return float("nan") if unknown else self._real(H_QUOTES, QUOTE_WORDS, word)

    @property
    def quote_code(self) -> int:
        """0 while the standing quote can be traded on, else the reason code."""
        quoted_at, age_max = self._word(H_QUOTES, QUOTE_WORDS, Q_TIME), self._word(H_RISK, RISK_WORDS, R_AGE_MAX)
        return int(_quote_code(self._word(H_QUOTES, QUOTE_WORDS, Q_STATE), self.time_ns, quoted_at, age_max))

    @property
    def position(self) -> float:
        """Position in whole units."""
        return self._units(self._word(H_LEDGER, LEDGER_WORDS, L_POSITION))

    @property
    def open_orders(self) -> int:
        """Open orders of this instrument."""
        return self._word(H_EXECUTION, EXECUTION_WORDS, E_OPEN)

    @property
    def fee_rate(self) -> float:
        """Taker's fee as a share of the value."""
        return self._word(H_EXECUTION, EXECUTION_WORDS, E_TAKER) / RATE_UNIT

    @property
    def size_step(self) -> float:
        """Smallest step of a size, in units."""
        return self._units(self._config.instruments[self._slot].size_increment)

    @property
    def size_min(self) -> float:
        """Smallest size of an order, in units."""
        return self._units(self._config.instruments[self._slot].size_min)

    @property
    def size_max(self) -> float:
        """Largest position the limits allow, in units."""
        return self._units(self._word(H_RISK, RISK_WORDS, R_POSITION_MAX))

    def size_for(self, risk: float, volatility: float) -> float:
        """The largest size whose profit and loss over one bar deviates by at most `risk`: what the compiled rules compute."""
        mul, div = self._word(H_LEDGER, LEDGER_WORDS, L_MUL), self._word(H_LEDGER, LEDGER_WORDS, L_DIV)
        unit_value = mul / div * self._real(H_LEDGER, LEDGER_WORDS, L_PRICE_SCALE) / 1_000_000.0
        step = self._config.instruments[self._slot].size_increment
        mid, size_max = self._real(H_QUOTES, QUOTE_WORDS, Q_MID), self._word(H_RISK, RISK_WORDS, R_POSITION_MAX)
        return self._units(int(_size_for(risk, volatility, mid, unit_value, step, size_max)))

    def target(self, units: float, *, score: float = 0.0, confidence: float = 0.0) -> None:
        """Ask for one market order from the position to `units`."""
        self._ask(phase.ASK_TARGET, size=self._size(units), score=score, confidence=confidence)

    def buy(self, units: float, *, limit: float | None = None, immediate: bool = False) -> None:
        """Ask to buy."""
        self._order(1, units, limit, immediate)

    def sell(self, units: float, *, limit: float | None = None, immediate: bool = False) -> None:
        """Ask to sell."""
        self._order(-1, units, limit, immediate)

    def cancel(self, order: int = 0) -> None:
        """Ask to cancel one order, or all of this instrument."""
        self._ask(phase.ASK_CANCEL, order=order)

    def signal(self, direction: int, *, score: float = 0.0, confidence: float = 0.0) -> None:
        """Record a signal."""
        self._ask(phase.ASK_SIGNAL, side=direction, score=score, confidence=confidence)

    def no_order(self, code: int = NOTHING_ASKED) -> None:
        """Count why this evaluation ends without an order."""
        if code not in REASONS:
            raise OrderRejected("bad_request", f"no_order: expected a reason code of tercel.base.codes, found {code}")
        self._ask(phase.ASK_REASON, size=code)

    def _order(self, side: int, units: float, limit: float | None, immediate: bool) -> None:
        price = self._grid(limit, self._config.instruments[self._slot].price_decimals, "limit") if limit is not None else 0
        kind = phase.ASK_MARKET if limit is None else phase.ASK_LIMIT
        tif = IMMEDIATE if immediate else GOOD_TILL_CANCEL
        self._ask(kind, side=side, size=self._size(units), price=price, tif=tif)

    def _size(self, units: float) -> int:
        return self._grid(units, self._config.instruments[self._slot].size_decimals, "size")

    def _grid(self, value: float, decimals: int, what: str) -> int:
        scaled: float = value * 10**decimals
        if not abs(scaled) < 2**51:
            raise OrderRejected("off_grid", f"{self.instrument}: {what}: expected a finite number below 2**51 steps, found {value!r}")
        if abs(scaled - round(scaled)) > 1e-6:
            raise OrderRejected(
                "off_grid", f"{self.instrument}: {what}: expected at most {decimals} decimals, found {value!r}; round it first"
            )
        return round(scaled)

    def _ask(
        self,
        kind: int,
        *,
        side: int = 0,
        size: int = 0,
        price: int = 0,
        tif: int = 0,
        order: int = 0,
        score: float = 0.0,
        confidence: float = 0.0,
    ) -> None:
        count = int(self._requests[0])
        if count == phase.REQUESTS_MAX:
            raise OrderRejected("bad_request", f"{self.instrument}: expected at most {phase.REQUESTS_MAX} requests for one bar")
        x = 1 + count * phase.REQUEST_WORDS
        self._requests[x : x + 6] = (kind, side, size, price, tif, order)
        self._request_reals[x + phase.REQ_SCORE] = score
        self._request_reals[x + phase.REQ_CONFIDENCE] = confidence
        self._requests[0] = count + 1
