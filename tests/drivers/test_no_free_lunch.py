"""The simulated market gives nothing away: who trades it without knowing anything loses the costs, and an edge put into it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tercel.base.records import Records
from tercel.base.time import NS_PER_H, NS_PER_MIN
from tercel.decision.rules import EmaCross
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import SIMULATED_START_NS
from tercel.drivers.result import CurrencyResult
from tercel.drivers.session import Plan
from tercel.features.spec import Bars, FeatureSet, bars
from tercel.market.feeds.base import UNLIMITED
from tercel.market.feeds.simulated_symbols import default_symbols
from tercel.market.feeds.simulator import Simulator
from tercel.market.instruments import Instrument

SEEDS = range(8)
HOURS = 4
PLAN = Plan(FeatureSet(bars("10s"), ()), EmaCross(6, 30, 30, enter=0.0, exit=0.0, size_lots=0.1))


@dataclass(frozen=True)
class Market:
    """Some hours of the simulated EURUSD; `drift`: what is planted, in increments a minute, up or down and turning at random."""

    seed: int
    drift: float = 0.0

    @cached_property
    def simulator(self) -> Simulator:
        """The market before anything is planted."""
        return Simulator(default_symbols()[:1], seed=self.seed, start_ns=SIMULATED_START_NS, duration_ns=HOURS * NS_PER_H, pace=UNLIMITED)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """EURUSD alone."""
        return self.simulator.instruments

    @property
    def quoted(self) -> frozenset[str] | None:
        """It has quotes."""
        return None

    @property
    def rows(self) -> int:
        """About how many records there are."""
        return HOURS * 3_600 * 5

    def check(self, clock: Bars) -> None:
        """Any bars can be taken."""

    def describe(self) -> str:
        """One line for people."""
        return f"EURUSD, seed {self.seed}, drift {self.drift:g}"

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """The market's records with whole increments added to every price."""
        chance = np.random.default_rng(self.seed)
        turns = np.cumsum(chance.random(HOURS * 60) < 1 / 20)
        planted = np.cumsum(np.where(turns % 2 == 0, self.drift, -self.drift))
        for rows in self.simulator.records(SIMULATED_START_NS, SIMULATED_START_NS + HOURS * NS_PER_H):
            minutes = (rows["ts_event"] - SIMULATED_START_NS) / NS_PER_MIN
            added = np.rint(np.interp(minutes, np.arange(1, len(planted) + 1), planted))
            for field in ("price", "price2"):
                rows[field] = np.rint(rows[field] * 1e5 + added) / 1e5
            yield rows


def traded(drift: float) -> list[CurrencyResult]:
    """What the rule makes of each market."""
    return [Backtest(PLAN, Market(seed, drift)).run().by_currency[0] for seed in SEEDS]


def statistic(values: list[float]) -> float:
    """Mean over its standard error."""
    return float(np.mean(values) / (np.std(values, ddof=1) / np.sqrt(len(values))))


def test_a_rule_that_knows_nothing_loses_its_costs() -> None:
    """Before costs a moving-average cross makes nothing that could be told from chance; after them it loses clearly, about the costs."""
    results = traded(0.0)
    costs = [one.fees + one.spread_cost for one in results]
    gross = [one.net + cost for one, cost in zip(results, costs, strict=True)]
    assert min(costs) > 0
    assert abs(statistic(gross)) < 3
    assert statistic([one.net for one in results]) < -3
    assert 0.5 < -np.mean([one.net for one in results]) / np.mean(costs) < 1.5


def test_an_edge_that_is_planted_is_seen() -> None:
    """A drift that lasts twenty minutes, half as large as a minute's deviation, pays the same rule before costs."""
    results = traded(8.0)
    assert statistic([one.net + one.fees + one.spread_cost for one in results]) > 3
