"""The modelled venue as a user configures it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tercel.base.html import Shown
from tercel.base.money import Per, checked
from tercel.base.time import parse_duration
from tercel.base.typed import typed


@typed()
@dataclass(frozen=True)
class VenueModel(Shown):
    """How the modelled venue behaves, in paper trading and back-test alike.

    Tables have instruments and asset classes (fx, metal, crypto, equity, …) as keys, "" for the rest.

    >>> import tercel as tc
    >>> tc.VenueModel(latency="50ms", taker_fee=0.0001).latency_ns
    50000000
    """

    latency: str = "20ms"
    """From our decision to the order at the venue. [duration; 0 or more]"""
    taker_fee: Per = field(default_factory=lambda: {"crypto": 0.0005, "equity": 0.00005, "": 0.00002})
    """Fee of an order that takes liquidity. [share of the value; 0 or more]"""
    maker_fee: Per = field(default_factory=lambda: {"crypto": 0.0002, "equity": 0.00005, "": 0.00002})
    """Fee of an order that waited in the book. [share of the value; 0 or more]"""
    liquidity_lots: Per = 10.0
    """What the touch holds when the source does not say. [lots; 0 or more]"""
    half_spread_steps: float = 1.0
    """Half the spread to assume for instruments that have trades or bars but no quotes. [price increments; 0 or more]"""

    def __post_init__(self) -> None:
        for name in ("taker_fee", "maker_fee", "liquidity_lots", "half_spread_steps"):
            checked(getattr(self, name), f"venue.{name}")
        parse_duration(self.latency)

    @property
    def latency_ns(self) -> int:
        """`latency` in ns."""
        return parse_duration(self.latency)
