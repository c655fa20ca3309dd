"""The back-test tests the label: what a trade earns in the core is the outcome its decision was labelled with."""

from __future__ import annotations

import numpy as np
import pytest

from tercel.base.records import OUT_FILL, OUT_INTENT
from tercel.decision.rules import ModelRule
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import SimulatedHistory, Source
from tercel.drivers.result import Result
from tercel.drivers.session import Plan
from tercel.drivers.train import Trained, train
from tercel.execution.venue import VenueModel
from tercel.features.spec import FeatureSet, bars, zscore
from tercel.models.barriers import triple_barrier
from tercel.models.training.fit import Boosting
from tercel.risk.limits import Limits

# What the touch holds is no part of a label, and no limit may stand between a decision and its order.
VENUE = VenueModel(liquidity_lots=1e6, latency="50ms")
WIDE = Limits(daily_loss=1e12, orders_per_second=0, order_lots=1e6, position_lots=1e6, notional=1e15)
ROUNDING = 2e-3  # of a width: prices and fees are integers in the core


@pytest.mark.parametrize(("take", "stop", "horizon"), [(1.0, 1.0, "5m"), (0.5, 2.0, "10m")])
def test_trades_earn_their_labels(take: float, stop: float, horizon: str) -> None:
    """Every trade of a model that takes all it can: its net outcome in widths, both fees included, is the label's."""
    assert len(earn_their_labels(SimulatedHistory(5, 2.0), take, stop, horizon)[2]) > 20


def earn_their_labels(market: Source, take: float, stop: float, horizon: str) -> tuple[Trained, Result, list[tuple[int, int]]]:
    """Train and back-test, compare trade by trade; returns the two, and when each trade that was compared began and ended, ns."""
    features = FeatureSet(bars("30s"), (zscore(5), zscore(20)))
    small = Boosting(trees=5, leaves=4)
    trained = train(
        market, features, labels=triple_barrier(take, stop, horizon), folds=2, enter=-9.0, venue=VENUE, boosting=small, register=False
    )
    result = Backtest(Plan(decide=ModelRule(trained.model, size_lots=0.01), limits=WIDE, venue=VENUE), market).run()
    data, trades = trained.data, []
    for slot, instrument in enumerate(result.instruments):
        mine = result.outputs[result.outputs["instrument"] == instrument.id]
        intents = {int(one["order"]): one for one in mine[mine["kind"] == OUT_INTENT]}
        fills = mine[mine["kind"] == OUT_FILL]
        if len(np.unique(fills["order"])) < len(fills):
            continue  # a touch that held less than the order: what a quote holds is no part of a label
        for entry, leave in zip(fills[0::2], fills[1::2], strict=False):
            assert leave["position"] == 0
            intent = intents[int(entry["order"])]
            (row,) = np.flatnonzero((data.slot == slot) & (data.stamp == intent["time"]))
            side = 0 if intent["side"] > 0 else 1
            cash = sum(int(one["cash_micros"]) - int(one["fee_micros"]) for one in (entry, leave)) / 1e6
            size = int(intent["size"]) / 10**instrument.size_decimals * instrument.multiplier
            width = data.relative[row] * float(intent["mid"])
            assert cash / size / width == pytest.approx(data.outcome[row, side], abs=ROUNDING)
            assert entry["time"] < leave["time"] <= data.end[row, side]
            trades.append((int(entry["time"]), int(leave["time"])))
    return trained, result, trades
