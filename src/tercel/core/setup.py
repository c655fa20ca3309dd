"""From settings in lots, currencies and durations to the integers of the account state. Read once, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.money import per
from tercel.base.time import NS_PER_MIN, parse_duration
from tercel.core.layout import (
    H_ACCOUNT,
    H_CURRENCY,
    H_DECISION,
    H_EXECUTION,
    H_LEDGER,
    H_QUOTES,
    H_RISK,
    H_SCORE,
    H_SLOT_OF,
    H_STRATEGY,
    H_VOLATILITY,
    STRATEGY_MODEL,
    STRATEGY_NONE,
    STRATEGY_ONLOOKER,
    STRATEGY_PYTHON,
    STRATEGY_RULE,
    Layout,
)
from tercel.decision import kernels as decision
from tercel.decision.rules import EmaCross, ModelRule, Onlooker, Rule
from tercel.decision.strategy import Strategy
from tercel.execution import kernels as execution
from tercel.execution.venue import VenueModel
from tercel.features.program import TIME_CLOCK, Program
from tercel.ledger import kernels as ledger
from tercel.market import kernels as market
from tercel.market.instruments import Instrument
from tercel.risk import kernels as risk
from tercel.risk.limits import Limits

MICROS = 1_000_000
FAR = 2**62
RATE_WINDOW_NS = 1_000_000_000


@dataclass(frozen=True)
class CoreConfig:
    """Everything that decides what the core does; equal configurations and inputs give equal outputs."""

    program: Program
    instruments: Sequence[Instrument]
    decide: Rule | Strategy | Onlooker | None = None
    limits: Limits = field(default_factory=Limits)
    venue: VenueModel = field(default_factory=VenueModel)
    quoted: frozenset[str] | None = None  # names of instruments that have quotes; None: all. The others are quoted by their trades or bars.

    def __post_init__(self) -> None:
        names = [instrument.name for instrument in self.instruments]
        if not names:
            raise ConfigError("core: expected at least one instrument, found none")
        if len(set(names)) != len(names):
            raise ConfigError(f"core: expected every instrument once, found {', '.join(names)}")
        for instrument in self.instruments:
            if instrument.id <= 0:
                raise ConfigError(f"{instrument.name}: expected an instrument with an id; register it in the catalog first")
        if isinstance(self.decide, ModelRule) and self.decide.model.manifest.program != self.program.hash:
            found, wanted = self.program.hash[:16], self.decide.model.manifest.program[:16]
            raise ConfigError(
                f"model {self.decide.model.name}: it was trained on the feature program {wanted}, this one is {found}; "
                "leave the features to the model, or train again on these"
            )

    @property
    def currencies(self) -> tuple[str, ...]:
        """The quote currencies in use and the account's, sorted."""
        account = {self.limits.account_currency} if self.limits.account_loss else set()
        return tuple(sorted({instrument.quote for instrument in self.instruments} | account))

    @property
    def slot_of(self) -> npt.NDArray[np.int64]:
        """Dense slot of each instrument id, -1 where there is none."""
        table = np.full(max(instrument.id for instrument in self.instruments) + 1, -1, np.int64)
        for slot, instrument in enumerate(self.instruments):
            table[instrument.id] = slot
        return table

    @property
    def layout(self) -> Layout:
        """Layout of the account state."""
        return Layout(len(self.instruments), self.limits.open_orders, len(self.currencies), len(self.slot_of))


def to_integer(units: float, instrument: Instrument) -> int:
    """A size in whole units as an integer of the instrument, rounded down to the size step."""
    raw = int(units * 10**instrument.size_decimals + 1e-9)
    return raw // instrument.size_increment * instrument.size_increment


def lots_to_integer(lots: float, instrument: Instrument) -> int:
    """A size in lots as an integer of the instrument, rounded down to the size step; at most `FAR`, which no size reaches."""
    return min(int(lots * instrument.lot + 1e-9), FAR) // instrument.size_increment * instrument.size_increment


def micros(money: float) -> int:
    """An amount of a currency in micro-units; at most `FAR`, which no amount reaches."""
    return min(round(money * MICROS), FAR)


def value_ratio(instrument: Instrument) -> tuple[int, int]:
    """(mul, div): micro-units of quote currency = price * size * mul / div for integer price and size."""
    digits = instrument.price_decimals + instrument.size_decimals - 6
    return (instrument.multiplier, 10**digits) if digits >= 0 else (instrument.multiplier * 10**-digits, 1)


def new_account(config: CoreConfig) -> npt.NDArray[np.int64]:
    """The account state at the start. Raises `ConfigError` for a limit that cannot be kept (a missing rate, a missing entry)."""
    layout = config.layout
    state = layout.new()
    reals = state.view(np.float64)
    state[layout.places[H_SLOT_OF] : layout.places[H_SLOT_OF] + layout.ids] = config.slot_of
    if isinstance(config.decide, EmaCross):
        state[H_STRATEGY] = STRATEGY_RULE
        state[H_SCORE] = config.program.register(config.decide.score.name)
        state[H_VOLATILITY] = config.program.register(config.decide.volatility.name)
    elif isinstance(config.decide, ModelRule):
        state[H_STRATEGY] = STRATEGY_MODEL
        state[H_SCORE] = config.program.registers  # the scores stand behind them
        state[H_VOLATILITY] = config.program.register(config.decide.volatility.name)
    elif isinstance(config.decide, Onlooker):
        state[H_STRATEGY] = STRATEGY_ONLOOKER
    else:
        state[H_STRATEGY] = STRATEGY_PYTHON if config.decide is not None else STRATEGY_NONE
    for slot, instrument in enumerate(config.instruments):
        _instrument(config, layout, state, reals, slot, instrument)
    _account(config, layout, state)
    return state


def _instrument(
    config: CoreConfig, layout: Layout, state: npt.NDArray[np.int64], reals: npt.NDArray[np.float64], slot: int, instrument: Instrument
) -> None:
    limits, venue = config.limits, config.venue
    names, currency, asset = (instrument.name, instrument.symbol), (instrument.quote,), (instrument.asset,)
    quotes_itself = config.quoted is None or instrument.name in config.quoted

    q = layout.section(H_QUOTES, market.QUOTE_WORDS, slot)
    state[q + market.Q_INSTRUMENT] = instrument.id
    state[q + market.Q_TRADES_QUOTE] = 0 if quotes_itself else 1
    reals[q + market.Q_HALF_SPREAD] = venue.half_spread_steps * instrument.price_increment / 10**instrument.price_decimals

    a = layout.section(H_LEDGER, ledger.LEDGER_WORDS, slot)
    state[a + ledger.L_MUL], state[a + ledger.L_DIV] = value_ratio(instrument)
    state[a + ledger.L_CURRENCY] = config.currencies.index(instrument.quote)
    reals[a + ledger.L_PRICE_SCALE] = 10.0**instrument.price_decimals
    state[a + ledger.L_PRICE_STEP] = instrument.price_increment
    state[a + ledger.L_SIZE_STEP] = instrument.size_increment
    state[a + ledger.L_SIZE_MIN] = instrument.size_min

    e = layout.section(H_EXECUTION, execution.EXECUTION_WORDS, slot)
    reals[e + execution.E_SIZE_SCALE] = 10.0**instrument.size_decimals * instrument.size_unit
    state[e + execution.E_LATENCY] = venue.latency_ns
    state[e + execution.E_TAKER] = round(per(venue.taker_fee, (*names, *asset), "venue.taker_fee") * execution.RATE_UNIT)
    state[e + execution.E_MAKER] = round(per(venue.maker_fee, (*names, *asset), "venue.maker_fee") * execution.RATE_UNIT)
    state[e + execution.E_LIQUIDITY] = lots_to_integer(per(venue.liquidity_lots, (*names, *asset), "venue.liquidity_lots"), instrument)

    r = layout.section(H_RISK, risk.RISK_WORDS, slot)
    position_max = lots_to_integer(per(limits.position_lots, names, "risk.position_lots"), instrument)
    state[r + risk.R_ORDER_MAX] = lots_to_integer(per(limits.order_lots, names, "risk.order_lots"), instrument)
    state[r + risk.R_POSITION_MAX] = position_max
    state[r + risk.R_NOTIONAL_MAX] = micros(per(limits.notional, currency, "risk.notional"))
    reals[r + risk.R_COLLAR] = limits.collar
    state[r + risk.R_AGE_MAX] = limits.quote_age_ns_max
    clock = config.program.clock
    state[r + risk.R_HOLE_MAX] = int(clock.amount) if clock.kind == TIME_CLOCK else NS_PER_MIN  # a bar may be missing
    state[r + risk.R_MEMORY_ROWS] = config.program.memory_rows

    rule = config.decide
    if not isinstance(rule, EmaCross | ModelRule):
        return
    d = layout.section(H_DECISION, decision.DECISION_WORDS, slot)
    state[d + decision.D_POSITION_MAX] = position_max
    state[d + decision.D_FIXED] = lots_to_integer(rule.size_lots, instrument) if rule.size_lots is not None else 0
    if isinstance(rule, EmaCross):
        reals[d + decision.D_ENTER], reals[d + decision.D_EXIT] = rule.enter, rule.exit
        reals[d + decision.D_RISK] = per(rule.risk_per_bar, currency, "rule.risk_per_bar")
        reals[d + decision.D_FEE] = state[e + execution.E_TAKER] / execution.RATE_UNIT
    else:
        barriers = rule.model.manifest.barriers
        reals[d + decision.D_ENTER] = rule.edge_min
        reals[d + decision.D_RISK] = per(rule.risk_per_trade, currency, "rule.risk_per_trade")
        reals[d + decision.D_TAKE], reals[d + decision.D_STOP] = barriers.take, barriers.stop
        reals[d + decision.D_WIDTH_SCALE], state[d + decision.D_HORIZON] = barriers.width_scale, barriers.horizon_ns
        state[d + decision.D_STALE_MAX] = parse_duration(rule.stale_max)


def _account(config: CoreConfig, layout: Layout, state: npt.NDArray[np.int64]) -> None:
    limits = config.limits
    k = layout.places[H_ACCOUNT]
    state[k + risk.K_RATE_MAX] = limits.orders_per_second
    state[k + risk.K_RATE_WINDOW] = RATE_WINDOW_NS
    state[k + risk.K_ACCOUNT_LOSS] = micros(limits.account_loss)
    for number, currency in enumerate(config.currencies):
        y = layout.section(H_CURRENCY, risk.CURRENCY_WORDS, number)
        state[y + risk.Y_LOSS_MAX] = micros(per(limits.daily_loss, (currency,), "risk.daily_loss"))
        if not limits.account_loss:
            continue
        if currency == limits.account_currency:
            state[k + risk.K_ACCOUNT_CURRENCY] = number
            continue
        slot, inverse = _rate_source(config, currency)
        state[y + risk.Y_RATE_SLOT], state[y + risk.Y_RATE_INVERSE] = slot + 1, inverse


def _rate_source(config: CoreConfig, currency: str) -> tuple[int, int]:
    account = config.limits.account_currency
    for slot, instrument in enumerate(config.instruments):
        if (instrument.base, instrument.quote) == (currency, account):
            return slot, 0
        if (instrument.base, instrument.quote) == (account, currency):
            return slot, 1
    raise ConfigError(
        f"risk.account_loss: a limit in {account} needs an exchange rate for {currency}, and no instrument quotes one; "
        f"add {currency}{account} or {account}{currency}, or set risk.daily_loss for {currency} instead"
    )
