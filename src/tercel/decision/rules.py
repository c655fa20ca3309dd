"""Rules: how a score becomes a position, of features alone (`EmaCross`) or of a trained model (`ModelRule`); and one that only looks on."""

from __future__ import annotations

from dataclasses import dataclass, field

from tercel.base.errors import ConfigError
from tercel.base.html import Shown
from tercel.base.money import Per, checked
from tercel.base.time import parse_duration
from tercel.base.typed import typed
from tercel.features.spec import Feature, difference, ema, volatility
from tercel.models.model import Model


@typed()
@dataclass(frozen=True)
class EmaCross(Shown):
    """Trade the gap between a fast and a slow moving average.

    score = fast - slow, in price units, read as the expected move. A side is taken when the score exceeds `enter` times the cost of a
    round trip (spread + fees) and kept until it falls below `exit` times that cost.

    >>> import tercel as tc
    >>> tc.EmaCross(fast=5, slow=20).score.name
    'ema_cross_5_20'
    """

    fast: int = 20
    """Length of the fast average. [bars; 1 or more, less than `slow`]"""
    slow: int = 50
    """Length of the slow average. [bars; more than `fast`]"""
    volatility_rows: int = 50
    """Bars over which the volatility that sizes a position is taken. [bars; 2 or more]"""
    enter: float = 1.0
    """A side is taken when the score exceeds this many costs of a round trip. [costs; `exit` or more]"""
    exit: float = 0.0
    """A side is left when the score falls below this many costs of a round trip. [costs; 0 to `enter`]"""
    risk_per_bar: Per = field(default_factory=lambda: {"JPY": 1_000.0, "": 10.0})
    """One standard deviation of profit and loss over a bar sizes the position, for all or by quote currency. [quote currency; 0 or more]"""
    size_lots: float | None = None
    """A fixed size instead of one by volatility. [lots; more than 0]"""

    def __post_init__(self) -> None:
        if not 1 <= self.fast < self.slow:
            raise ConfigError(f"rule: expected 1 <= fast < slow, was fast = {self.fast}, slow = {self.slow}")
        if not 0 <= self.exit <= self.enter:
            raise ConfigError(f"rule: expected 0 <= exit <= enter, was exit = {self.exit}, enter = {self.enter}")
        if self.size_lots is not None and self.size_lots <= 0:
            raise ConfigError(f"rule.size_lots: expected a positive number of lots, was {self.size_lots}")
        checked(self.risk_per_bar, "rule.risk_per_bar")

    @property
    def score(self) -> Feature:
        """The feature whose value is the score, in price units."""
        return difference(ema(self.fast), ema(self.slow), name=f"ema_cross_{self.fast}_{self.slow}")

    @property
    def volatility(self) -> Feature:
        """The feature that sizes the position: standard deviation of one-bar returns."""
        return volatility(self.volatility_rows)

    @property
    def features(self) -> tuple[Feature, ...]:
        """What the rule needs a feature set to have."""
        return (self.score, self.volatility)


@typed()
@dataclass(frozen=True)
class ModelRule(Shown):
    """Trade what a trained model proposes, and hold it until a barrier of the model's label.

    A side is taken when its edge, in widths after costs, is large enough.
    """

    model: Model
    enter: float | None = None
    """The smallest edge at which a side is taken; by default the model's own. [widths; any]"""
    risk_per_trade: Per = field(default_factory=lambda: {"JPY": 2_000.0, "": 20.0})
    """What a position loses at its stop sizes it, for all or by quote currency. [quote currency; 0 or more]"""
    size_lots: float | None = None
    """A fixed size instead of one by risk. [lots; more than 0]"""
    stale_max: str = "90s"
    """While features come late, the last good ones serve for new positions up to this age. [duration; 0 or more]"""

    def __post_init__(self) -> None:
        checked(self.risk_per_trade, "rule.risk_per_trade")
        if self.size_lots is not None and self.size_lots <= 0:
            raise ConfigError(f"rule.size_lots: expected a positive number of lots, was {self.size_lots}")
        parse_duration(self.stale_max)

    @property
    def edge_min(self) -> float:
        """The edge from which a side is taken, in widths."""
        return self.model.manifest.enter if self.enter is None else self.enter

    @property
    def volatility(self) -> Feature:
        """The feature that gives the width of the barriers."""
        return self.model.manifest.barriers.volatility

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features of the model's program, all of them."""
        return self.model.manifest.features


@dataclass(frozen=True)
class Onlooker:
    """Trades nothing. Of each closed bar at which nothing could be entered, the core says why: halted, rewarmed, no good quote.

    What learns from the past asks it, so that it learns of no decision that could not have been made.
    """


Rule = EmaCross | ModelRule
