"""The modelled venue as a user configures it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tercel.base.html import Shown
from tercel.base.money import Per, checked
from tercel.base.time import parse_duration


@dataclass(frozen=True)
class VenueModel(Shown):
    """How the modelled venue behaves, in paper trading and back-test alike.

    `latency`: from our decision to the order at the venue. `taker_fee`, `maker_fee`: share of the value, by asset class or for all.
    `liquidity_lots`: what the touch holds when the source does not say. `half_spread_steps`: for instruments that have trades or bars but
    no quotes, half the spread to assume, in price increments.

    >>> import tercel as tc
    >>> tc.VenueModel(latency="50ms", taker_fee=0.0001).latency_ns
    50000000
    """

    latency: str = "20ms"
    taker_fee: Per = field(default_factory=lambda: {"crypto": 0.0005, "equity": 0.00005, "": 0.00002})
    maker_fee: Per = field(default_factory=lambda: {"crypto": 0.0002, "equity": 0.00005, "": 0.00002})
    liquidity_lots: Per = 10.0
    half_spread_steps: float = 1.0

    def __post_init__(self) -> None:
        for name in ("taker_fee", "maker_fee", "liquidity_lots", "half_spread_steps"):
            checked(getattr(self, name), f"venue.{name}")
        parse_duration(self.latency)

    @property
    def latency_ns(self) -> int:
        """`latency` in ns."""
        return parse_duration(self.latency)
