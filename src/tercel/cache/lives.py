"""How long what kind of data is good, in which market, at which level. The figures are those asked of the product (C2, P3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_S

LEVEL1_S_MAX: Final = 30.0
PREDICTION_S: Final = 30.0
OTHER_S: Final = 300.0


class Life(NamedTuple):
    """Seconds: good in level 1, good in level 2, and servable after that while a refresh runs."""

    level1_s: float
    level2_s: float
    stale_s: float = 0.0

    @property
    def level1_ns(self) -> int:
        """Nanoseconds in level 1."""
        return int(self.level1_s * NS_PER_S)

    @property
    def level2_ns(self) -> int:
        """Nanoseconds in level 2."""
        return int(self.level2_s * NS_PER_S)

    @property
    def stale_ns(self) -> int:
        """Nanoseconds of grace."""
        return int(self.stale_s * NS_PER_S)


def of(seconds: float, stale_s: float = 0.0) -> Life:
    """A life of so many seconds, in level 1 no longer than 30. Raises `ConfigError` when it is not above 0."""
    if not seconds > 0 or not stale_s >= 0:
        raise ConfigError(f"cache life: expected more than 0 s and a grace of 0 s or more, found {seconds} and {stale_s}")
    return Life(min(seconds, LEVEL1_S_MAX), seconds, stale_s)


RULES: Final[dict[tuple[str, str], Life]] = {
    ("price", "open"): of(1.0),
    ("price", "closed"): of(60.0),
    ("indicator", "volatile"): of(5.0),
    ("indicator", "calm"): of(30.0),
    ("features", ""): Life(10.0, 60.0),
}
"""(kind of data, state of the market) -> life; a state of "" holds in every state."""


def life(kind: str, state: str = "") -> Life:
    """The life of a kind of data in a state of its market; kinds without a rule live 300 s, in level 1 at most 30.

    Raises `ConfigError` when the kind has rules but none for the state.
    """
    found = RULES.get((kind, state)) or RULES.get((kind, ""))
    if found is not None:
        return found
    states = [known for name, known in RULES if name == kind]
    if states:
        raise ConfigError(f"cache life of {kind!r}: expected the market to be one of {', '.join(states)}, found {state!r}")
    return of(OTHER_S)


def prediction_life(confidence: float) -> Life:
    """30 s x min(2 x confidence, 3): what the model is surer of is good for longer. A confidence of 0, or none, gives a life of 0."""
    seconds = PREDICTION_S * min(2.0 * confidence, 3.0) if confidence > 0 else 0.0
    return Life(min(seconds, LEVEL1_S_MAX), seconds)
