"""Markets of one instrument that are made: a random walk of quotes, and the same with an edge planted in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from tercel.base.records import QUOTE, Records, empty
from tercel.base.time import NS_PER_MIN, NS_PER_S, format_instant, parse_instant
from tercel.drivers.train import train
from tercel.features.spec import Bars
from tercel.market.definitions import definition
from tercel.market.instruments import Instrument
from tercel.models.barriers import triple_barrier
from tercel.models.training.fit import Boosting

START_NS = parse_instant("2026-01-05T08:00:00")
QUOTES_PER_BAR = 4
STEP_NS = NS_PER_MIN // QUOTES_PER_BAR
SIGMA = 1.5e-4  # of a minute, as a share of the price: a lively hour of EURUSD


@dataclass(frozen=True)
class Walk:
    """Quotes of EURUSD, four a minute, spread 0.6 to 1.4 pips.

    `drift`: of a hidden state that pushes the price up or down, in SIGMA a minute. The state changes at random, on average every `stay`
    minutes, so the moves just past tell something of those to come; a drift of 0 is a walk that tells nothing.
    """

    seed: int
    minutes: int = 4_000
    drift: float = 0.0
    stay: float = 60.0

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """EURUSD alone."""
        return (EURUSD,)

    @property
    def quoted(self) -> frozenset[str] | None:
        """It has quotes."""
        return None

    @property
    def rows(self) -> int:
        """How many quotes there are."""
        return self.minutes * QUOTES_PER_BAR

    def check(self, clock: Bars) -> None:
        """Bars of the mid can be taken."""

    def describe(self) -> str:
        """One line for people."""
        return f"random walk {self.seed}, drift {self.drift:g}, from {format_instant(START_NS, 0)}"

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """The quotes; they arrive `latency_ns` after they happened."""
        chance = np.random.default_rng(self.seed)
        steps = chance.normal(0.0, SIGMA / QUOTES_PER_BAR**0.5, self.rows)
        if self.drift:
            turns = chance.random(self.rows) < 1.0 / (self.stay * QUOTES_PER_BAR)
            state = np.where(np.cumsum(turns) % 2 == chance.integers(0, 2), 1.0, -1.0)
            steps += state * self.drift * SIGMA / QUOTES_PER_BAR
        mid = 1.1 * np.exp(np.cumsum(steps))
        half = chance.integers(3, 8, self.rows) / 1e5
        records = empty(self.rows)
        records["ts_event"] = START_NS + STEP_NS * np.arange(self.rows) + chance.integers(0, 10 * NS_PER_S, self.rows)
        records["ts_recv"] = records["ts_event"] + latency_ns
        records["kind"], records["instrument"] = QUOTE, EURUSD.id
        records["price"], records["price2"] = np.round(mid - half, 5), np.round(mid + half, 5)
        records["size"] = records["size2"] = np.nan
        yield records


def _eurusd() -> Instrument:
    found = definition("EURUSD", "oanda")
    assert found is not None
    return replace(found, id=1)


EURUSD = _eurusd()
LABELS = triple_barrier(horizon="10m")
SMALL = Boosting(trees=40)


def verdicts(seeds: Iterable[int], drift: float) -> dict[int, str]:
    """The verdict of a whole training on each walk, by seed; everything but barriers and trees as it is by default."""
    return {
        seed: train(Walk(seed, drift=drift), labels=LABELS, boosting=SMALL, threads=1, register=False).evaluation.verdict for seed in seeds
    }
