"""Flows, sizes and larger bars of a real recording of two instruments, quotes with sizes and trades with sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tercel.core.market_phase import ROW_SLOT
from tercel.core.sequencer import Sequencer
from tercel.features.spec import FeatureSet, bars, every, imbalance, macd, order_flow, time_of_day
from tests.core.test_market_phase import meaning
from tests.market_runs import MarketRun, real_ticks, together


def test_larger_bars_and_flows_of_a_real_recording_come_the_same_way_however_it_is_cut(data_dir: Path) -> None:
    """Features that wait for larger bars, of sizes and of flows: the same bits in shards, in odd batches and record by record."""
    sequencer = Sequencer(interval_ns=1_000_000_000, grace_ns=250_000_000)
    records = together(*[part.copy() for part in sequencer.push(real_ticks(data_dir)[:30_000])])
    chosen = [every("5s", macd(2, 4, 3)), every("10s", "high"), order_flow(20), imbalance(), time_of_day()]
    runs = [MarketRun(FeatureSet(bars("1s"), chosen), 2, shards=shards) for shards in (1, 3, 1)]
    expected = runs[0].push(records)
    assert np.isfinite(runs[0].registers(expected)[-1, list(runs[0].program.outputs)]).all()
    assert np.array_equal(meaning(runs[1].push_cut(records, range(0, len(records), 997))), meaning(expected))
    few = records[:2_000]
    one_by_one = runs[2].push_cut(few, range(len(few)))
    assert len(one_by_one) > 10
    assert np.array_equal(meaning(one_by_one), meaning(expected)[: len(one_by_one)])


def test_prices_of_a_real_recording_move_with_the_flow_of_orders(data_dir: Path) -> None:
    """As published (Cont, Kukanov and Stoikov, 2014): over seconds the mid goes the way of the order-flow imbalance of its quotes."""
    sequencer = Sequencer(interval_ns=1_000_000_000, grace_ns=250_000_000)
    run = MarketRun(FeatureSet(bars("1s"), []), 2)
    rows = run.push(together(*[part.copy() for part in sequencer.push(real_ticks(data_dir))]))
    for slot in range(2):
        columns = dict(zip(run.program.names, run.registers(rows[rows[:, ROW_SLOT] == slot]).T, strict=True))
        change, flow = np.diff(columns["close"]), columns["flow"][1:]
        assert len(flow) > 200
        assert np.corrcoef(change, flow)[0, 1] > 0.5
