"""Rules: how a score becomes a position, of features alone (`EmaCross`) or of a trained model (`ModelRule`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from tercel.base.errors import ConfigError
from tercel.base.html import Shown
from tercel.base.money import Per, checked
from tercel.base.time import parse_duration
from tercel.features.spec import Feature, difference, ema, volatility
from tercel.models.model import Model


@dataclass(frozen=True)
class EmaCross(Shown):
    """Trade the gap between a fast and a slow moving average.

    score = fast - slow, in price units, read as the expected move. A side is taken when the score exceeds `enter` times the cost of a
    round trip (spread + fees) and kept until it falls below `exit` times that cost. The size gives a profit and loss of one standard
    deviation of `risk_per_bar` (quote currency, per bar; a number or a table by currency), or is fixed at `size_lots`.

    >>> import tercel as tc
    >>> tc.EmaCross(fast=5, slow=20).score.name
    'ema_cross_5_20'
    """

    fast: int = 20
    slow: int = 50
    volatility_rows: int = 50
    enter: float = 1.0
    exit: float = 0.0
    risk_per_bar: Per = field(default_factory=lambda: {"JPY": 1_000.0, "": 10.0})
    size_lots: float | None = None

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


@dataclass(frozen=True)
class ModelRule(Shown):
    """Trade what a trained model proposes, and hold it until a barrier of the model's label.

    A side is taken when its edge, in widths after costs, is at least `enter` (default: the model's own). The size loses `risk_per_trade`
    (quote currency; a number or a table by currency) at the stop, or is fixed at `size_lots`. While features come late, the last good ones
    serve for new positions up to an age of `stale_max`.
    """

    model: Model
    enter: float | None = None
    risk_per_trade: Per = field(default_factory=lambda: {"JPY": 2_000.0, "": 20.0})
    size_lots: float | None = None
    stale_max: str = "90s"

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


Rule = EmaCross | ModelRule
