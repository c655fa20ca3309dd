"""Limits as a user configures them. All are on by default."""

from __future__ import annotations

from dataclasses import dataclass, field

from tercel.base.errors import ConfigError
from tercel.base.html import Shown
from tercel.base.money import Per, checked
from tercel.base.time import parse_duration
from tercel.risk.kernels import RATE_SLOTS


@dataclass(frozen=True)
class Limits(Shown):
    """What an order must satisfy. A number holds for all, a table holds per key with "" for the rest.

    `order_lots`, `position_lots`: by instrument name. `notional`, `daily_loss`: by quote currency, in that currency. `collar`: how far a
    limit price may be from the mid, as a share. `quote_age_max`: the oldest quote to trade on. `account_loss` in `account_currency` adds
    all currencies up at rates that are known at that time; an order that needs an unknown rate is refused.

    >>> import tercel as tc
    >>> tc.Limits(position_lots={"EURUSD@mine": 3, "": 1}, daily_loss=200).position_lots["EURUSD@mine"]
    3
    """

    order_lots: Per = 20.0
    position_lots: Per = 10.0
    notional: Per = field(default_factory=lambda: {"JPY": 500_000_000.0, "": 5_000_000.0})
    collar: float = 0.01
    quote_age_max: str = "60s"
    orders_per_second: int = 20
    daily_loss: Per = field(default_factory=lambda: {"JPY": 50_000.0, "": 500.0})
    account_loss: float = 0.0
    account_currency: str = "USD"
    open_orders: int = 64
    day_roll: str = "17:00 America/New_York"

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
