"""Limits as a user configures them. All are on by default."""

from __future__ import annotations

from dataclasses import dataclass, field

from tercel.base.errors import ConfigError
from tercel.base.html import Shown
from tercel.base.money import Per, checked
from tercel.base.time import parse_duration
from tercel.base.typed import typed
from tercel.risk.kernels import RATE_SLOTS


@typed()
@dataclass(frozen=True)
class Limits(Shown):
    """What an order must satisfy. A number holds for all, a table holds per key with "" for the rest.

    An order that only reduces a position passes the limits that stop new risk: position, notional, losses.

    >>> import tercel as tc
    >>> tc.Limits(position_lots={"EURUSD@mine": 3, "": 1}, daily_loss=200).position_lots["EURUSD@mine"]
    3
    """

    order_lots: Per = 20.0
    """The largest order, for all or by instrument. [lots; 0 (nothing) or more]"""
    position_lots: Per = 10.0
    """The largest position, long or short, for all or by instrument. [lots; 0 (only reductions) or more]"""
    notional: Per = field(default_factory=lambda: {"JPY": 500_000_000.0, "": 5_000_000.0})
    """The most that an order may be worth, for all or by quote currency. [quote currency; 0 or more]"""
    collar: float = 0.01
    """How far a limit price may be from the mid. [share of the mid; 0 or more]"""
    quote_age_max: str = "60s"
    """The oldest quote to trade on. [duration; more than 0]"""
    orders_per_second: int = 20
    """How many orders may be sent within a second. [orders; 0 (no limit) to 1024]"""
    daily_loss: Per = field(default_factory=lambda: {"JPY": 50_000.0, "": 500.0})
    """The loss of a day that stops new risk in a currency, for all or by quote currency. [quote currency; 0 (no limit) or more]"""
    account_loss: float = 0.0
    """The same for the sum of all currencies, at rates known at that time; an unknown rate refuses. [account currency; 0 (off) or more]"""
    account_currency: str = "USD"
    """What `account_loss` is counted in. [currency code; any]"""
    open_orders: int = 64
    """How many orders may be open at once. [orders; 1 to 4096]"""
    day_roll: str = "17:00 America/New_York"
    """When a day ends, for the losses of a day. [time and zone; HH:MM and a name of the time zone database]"""

    def __post_init__(self) -> None:
        for name in ("order_lots", "position_lots", "notional", "daily_loss"):
            checked(getattr(self, name), f"risk.{name}")
        checked(self.collar, "risk.collar")
        checked(self.account_loss, "risk.account_loss")
        if not 0 <= self.orders_per_second <= RATE_SLOTS:
            raise ConfigError(f"risk.orders_per_second: expected 0 (no limit) to {RATE_SLOTS}, was {self.orders_per_second}")
        if not 1 <= self.open_orders <= 4096:
            raise ConfigError(f"risk.open_orders: expected 1 to 4096, was {self.open_orders}")
        if self.quote_age_ns_max <= 0:
            raise ConfigError(f"risk.quote_age_max: expected more than 0, was {self.quote_age_max!r}")

    @property
    def quote_age_ns_max(self) -> int:
        """`quote_age_max` in ns."""
        return parse_duration(self.quote_age_max)
