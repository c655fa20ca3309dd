"""What every driver does alike: from a feature set, a decision and instruments to an engine and a sequencer that belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tercel.base.html import Shown
from tercel.base.kernel import COMPILED, compile_all, entry
from tercel.base.time import parse_duration
from tercel.base.typed import typed
from tercel.core.engine import kernels
from tercel.core.sequencer import Sequencer, sequence
from tercel.core.setup import CoreConfig
from tercel.core.step import step_run
from tercel.decision.rules import EmaCross, ModelRule, Rule
from tercel.decision.strategy import Strategy
from tercel.execution.venue import VenueModel
from tercel.features.program import TIME_CLOCK
from tercel.features.spec import FeatureSet, bars
from tercel.market.instruments import Instrument
from tercel.risk.limits import Limits

Progress = Callable[[str, int, int], None]


@typed()
@dataclass(frozen=True)
class Plan(Shown):
    """What to trade and how; the same plan drives back-test, paper and live.

    `grace`: how long after a boundary a time bar still takes late ticks. `feed_latency`: modelled delay of recordings without arrival
    times. `late_after`: features that take longer are late; the core then stands on the last good ones until they are in time again ("0s":
    never).

    >>> import tercel as tc
    >>> tc.Plan(decide=tc.EmaCross(), limits=tc.Limits(position_lots=2)).on("5m", "bid").features
    FeatureSet(bars('5m', 'bid'), [])
    """

    features: FeatureSet = field(default_factory=lambda: FeatureSet(bars("1m"), ()))
    decide: Rule | Strategy | None = field(default_factory=EmaCross)
    limits: Limits = field(default_factory=Limits)
    venue: VenueModel = field(default_factory=VenueModel)
    grace: str = "250ms"
    feed_latency: str = "1ms"
    late_after: str = "25ms"

    def __post_init__(self) -> None:
        if isinstance(self.decide, ModelRule) and not self.features.features:
            object.__setattr__(self, "features", self.decide.model.feature_set)  # a model brings its bars and features

    def on(self, every: str | None, price: str | None) -> Plan:
        """The same plan on other bars: `every` ("1m", "100t") or `price` ("trade"), where given."""
        clock = self.features.clock
        changed = bars(every or clock.text, price or clock.price)
        return replace(self, features=replace(self.features, clock=changed))

    @property
    def feed_latency_ns(self) -> int:
        """`feed_latency` in ns."""
        return parse_duration(self.feed_latency)

    @property
    def late_after_ns(self) -> int:
        """`late_after` in ns."""
        return parse_duration(self.late_after)

    @property
    def complete_features(self) -> FeatureSet:
        """The feature set with what the decision needs added."""
        return self.features.with_features(self.decide.features) if self.decide is not None else self.features

    def core(self, instruments: Sequence[Instrument], quoted: frozenset[str] | None = None) -> CoreConfig:
        """The core's configuration for these instruments; `quoted`: names of those that have quotes (None: all)."""
        return CoreConfig(self.complete_features.compile(), tuple(instruments), self.decide, self.limits, self.venue, quoted)

    def sequencer(self, core: CoreConfig) -> Sequencer:
        """A sequencer at its start that belongs to this core."""
        clock = core.program.clock
        interval_ns = int(clock.amount) if clock.kind == TIME_CLOCK else 0
        return Sequencer(interval_ns=interval_ns, grace_ns=parse_duration(self.grace), day_roll=self.limits.day_roll)


def compile_core(core: CoreConfig, progress: Progress | None = None) -> None:
    """Compile, or load from the cache, all that the core will enter; seconds the first time, milliseconds later."""

    live = [entry(step_run)] if COMPILED else []
    compile_all([*kernels(core), entry(sequence), *live], progress)
