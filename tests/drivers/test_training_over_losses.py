"""Training over a history in which data was lost: no decision that the core could not make, and none learned from that was still open."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tercel.base.codes import DATA_LOST, REWARMED
from tercel.base.errors import ConfigError
from tercel.base.records import BAR, GAP, OUT_DENIED, OUT_INTENT, QUOTE, TRADE, Records
from tercel.base.time import NS_PER_MIN, NS_PER_S
from tercel.decision.rules import EmaCross
from tercel.decision.strategy import Bar, Context, Strategy
from tercel.drivers.backtest import Backtest
from tercel.drivers.collect import Collector
from tercel.drivers.history import SimulatedHistory, history
from tercel.drivers.lookahead import check_history
from tercel.drivers.lookahead_training import check_labels
from tercel.drivers.session import Plan
from tercel.execution.venue import VenueModel
from tercel.features.spec import Bars, FeatureSet, bars, ema, zscore
from tercel.market.catalog import Catalog
from tercel.market.instruments import Instrument
from tercel.models.barriers import TripleBarrier
from tercel.models.training.dataset import Dataset
from tercel.models.training.folds import walk_forward
from tercel.risk.limits import Limits
from tests.drivers.random_walks import START_NS
from tests.drivers.test_label_is_traded import earn_their_labels
from tests.drivers.test_labels_are_trades import Recorded, made, torn

FREE = Limits(
    order_lots=1e6, position_lots=1e6, notional=1e15, daily_loss=0, quote_age_max="3m", orders_per_second=0, open_orders=1_000, collar=1.0
)
BARRIERS = TripleBarrier(take=1.5, stop=1.0, horizon_ns=5 * NS_PER_MIN, rows=10, width_scale=1.0)


class Buyer(Strategy):
    """Buys at every bar that has a width, whatever the state of the core: an order goes out where one can, and else a denial says why."""

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Buy."""
        if context.features[BARRIERS.volatility.name] > 0.0:
            context.buy(1_000.0)


def plan_of(clock: Bars, limits: Limits = FREE) -> Plan:
    """What the training and the buyer share; the average makes the declared memory longer than the barriers'."""
    return Plan(FeatureSet(clock, (BARRIERS.volatility, ema(25))), None, limits, VenueModel(liquidity_lots=1e6, half_spread_steps=0.5))


def collected(market: Recorded, plan: Plan, barriers: TripleBarrier = BARRIERS) -> Dataset:
    """The decisions of a training."""
    return Collector(plan, market, (barriers.volatility.name,), barriers, None).collect()


def late(records: Records, seed: int, interval_ns: int) -> Records:
    """The same with times of events up to two bars before their arrival, in order: then a timer may close two bars of one instrument."""
    behind = np.random.default_rng(seed).choice([0, 0, interval_ns // 2, 2 * interval_ns], len(records))
    made = records.copy()
    made["ts_event"] = np.maximum.accumulate(records["ts_recv"] - behind)
    return made


@given(seed=st.integers(0, 10**6), kind=st.sampled_from([QUOTE, TRADE, BAR]), timed=st.booleans(), longest=st.sampled_from([1, 5, 200]))
@settings(max_examples=40)
def test_decisions_stand_where_the_core_could_trade(seed: int, kind: int, timed: bool, longest: int) -> None:
    """Torn anywhere, bars of time and of ticks: exactly the bars at which an order of a strategy is not denied."""
    interval_ns = 10 * NS_PER_S
    timed |= kind == BAR
    clock = bars("1m" if kind == BAR else "10s" if timed else "3t", price="mid" if kind == QUOTE else "trade")
    market = torn(made(kind, seed, 400), seed, longest * NS_PER_MIN, losses=20)
    if timed and kind != BAR:
        market = replace(market, records=late(market.records, seed, interval_ns))
    plan = plan_of(clock)
    told = Backtest(replace(plan, decide=Buyer()), market).run().outputs
    wanted = told[told["kind"] == OUT_INTENT]["time"]
    with suppress(ConfigError):  # no outcome is known where history is torn to pieces
        assert collected(market, plan).stamp.tolist() == wanted.tolist()


def test_no_decision_in_a_hole_or_while_the_core_waits_behind_it() -> None:
    """The reasons of the core are met: data lost at a closing bar, and entries that wait for the declared memory."""
    market = torn(made(TRADE, 4, 30_000), 4, 5 * NS_PER_MIN, losses=20)
    plan = plan_of(bars("10s", price="trade"))
    told = Backtest(replace(plan, decide=Buyer()), market).run().outputs
    denied = told[told["kind"] == OUT_DENIED]
    for code, times_min in ((DATA_LOST, 3), (REWARMED, 100)):
        assert np.count_nonzero(denied["code"] == code) >= times_min, code
    data = collected(market, plan)
    assert not np.isin(data.stamp, denied["time"]).any()
    assert len(data) > 100


def test_of_two_bars_that_one_timer_closes_the_second_may_end_the_wait() -> None:
    """A hole, bars until two are missing to the memory, a silence, and behind it a late quote: its bar and the next close together."""
    plan = plan_of(bars("10s"))
    memory, second = plan.complete_features.compile().memory_rows, 10 * NS_PER_S
    before, waited, after = 40 * second, (memory - 2) * second, 60 * second
    steps = [np.arange(0, long, second // 2) for long in (before, waited, after)]
    began = [0, before + 30 * second, before + waited + 60 * second + NS_PER_S]
    stamps = START_NS + np.concatenate([at + step for at, step in zip(began, steps, strict=True)])
    market = made(QUOTE, 1, len(stamps))
    market.records["price2"] = market.records["price"] + 1e-5
    market.records["ts_recv"], market.records["ts_event"] = stamps, stamps
    market.records["ts_event"][len(steps[0]) + len(steps[1])] -= second // 4
    lost = market.records[:1].copy()
    lost["kind"], lost["ts_recv"] = GAP, stamps[len(steps[0]) - 1]
    market = replace(market, records=np.insert(market.records, len(steps[0]), lost))
    told = Backtest(replace(plan, decide=Buyer()), market).run().outputs
    inputs, kinds = told["input"], told["kind"]
    split = np.intersect1d(inputs[(kinds == OUT_DENIED) & (told["code"] == REWARMED)], inputs[kinds == OUT_INTENT])
    assert len(split) == 1
    assert collected(market, plan).stamp.tolist() == told["time"][kinds == OUT_INTENT].tolist()


@pytest.mark.parametrize("kind", [QUOTE, TRADE, BAR])
def test_nothing_looks_ahead_over_a_hole(kind: int) -> None:
    """Changes behind a cut, where data is lost too, change neither what was decided before it nor an outcome known by it."""
    market = torn(made(kind, 2, 4_000), 2, 5 * NS_PER_MIN, losses=12)
    clock = bars("1m" if kind == BAR else "10s", price="mid" if kind == QUOTE else "trade")
    plan = replace(plan_of(clock), features=FeatureSet(clock, (ema(3), zscore(5))))
    checked = check_labels(plan, market, structs.replace(BARRIERS, rows=3), cuts=3)
    assert checked.clean, checked.leaks
    assert checked.rows > 100
    trading = check_history(replace(plan, decide=EmaCross(fast=1, slow=3, volatility_rows=3, enter=0.0)), market, cuts=3)
    assert trading.clean, trading.leaks
    assert trading.outputs > 20


@cache
def market_with_holes() -> list[tuple[Instrument, Records]]:
    """Quotes of a simulated market of which some minutes are lost every hundred, of every instrument, as recordings say it."""
    market = SimulatedHistory(5, 8.0)
    every = np.concatenate([part[part["kind"] == QUOTE] for part in market.stream(0)])
    return [(one, _with_holes(every[every["instrument"] == one.id], market.start_ns)) for one in market.instruments[:3]]


def _with_holes(rows: Records, start_ns: int) -> Records:
    number, since = np.divmod(rows["ts_event"] - start_ns, 100 * NS_PER_MIN)
    lost = since >= 100 * NS_PER_MIN - np.array([12, 6, 4, 3])[number % 4] * NS_PER_MIN
    first = np.flatnonzero(lost & ~np.append(False, lost[:-1]))
    rows["kind"][first] = GAP
    for name in ("price", "size", "price2", "size2"):
        rows[name][first] = np.nan
    return rows[~lost | (rows["kind"] == GAP)]


@pytest.fixture
def stored(home: Path) -> Catalog:
    """A catalog with such a market."""
    catalog = Catalog()
    for one, rows in market_with_holes():
        catalog.add(one, "quote", rows)
    return catalog


@pytest.mark.parametrize(("take", "stop", "horizon"), [(1.0, 1.0, "5m"), (0.5, 2.0, "15m")])
def test_trades_of_a_model_over_holes_earn_their_labels(stored: Catalog, take: float, stop: float, horizon: str) -> None:
    """From the catalog: trained and back-tested, every trade's outcome is its label's, those held across a hole too."""
    names = [one.name for one in stored.instruments()]
    market = history(names)
    lost = np.sort(np.concatenate([part["ts_recv"][part["kind"] == GAP] for part in market.stream(1_000_000)]))
    assert len(lost) >= 10
    assert market.frame("gap", as_="numpy")["time"].astype(np.int64).tolist() == (lost - 1_000_000).tolist()
    trained, result, trades = earn_their_labels(market, take, stop, horizon)
    crossed = sum(np.searchsorted(lost, entry) < np.searchsorted(lost, leave) for entry, leave in trades)
    assert crossed >= 3
    denied = result.outputs[result.outputs["kind"] == OUT_DENIED]
    assert (denied["code"] == REWARMED).any()
    assert not np.isin(trained.data.stamp, denied["time"]).any()
    refused = trained.model.manifest.data["refused"]["rewarmed"]
    assert refused > 100
    assert f"nothing could be entered at these bars: {refused:,} rewarmed" in trained.report()


def test_where_nothing_could_ever_be_entered_the_error_says_why() -> None:
    """Torn every few bars: with the reason of the core, and the memory that each hole costs."""
    market = torn(made(TRADE, 1, 2_000), 1, 5 * NS_PER_MIN, losses=300)
    clock = bars("10s", price="trade")
    plan = replace(plan_of(clock), features=FeatureSet(clock, (BARRIERS.volatility, ema(100))))
    with pytest.raises(ConfigError, match=r"found none among \d decisions; .*: \d+ rewarmed.* a shorter memory than 9\d\d bars"):
        collected(market, plan)


def test_what_was_open_over_a_hole_is_purged_by_its_true_end() -> None:
    """A hole longer than horizon and embargo before a block: the rows before it are known only behind it, and are not learned from."""
    whole = made(QUOTE, 3, 12_000)
    records = whole.records.copy()
    half = len(records) // 2
    records[half:]["ts_recv"] += 6 * 60 * NS_PER_MIN
    records[half:]["ts_event"] += 6 * 60 * NS_PER_MIN
    records[half]["kind"], records[half]["ts_recv"] = GAP, records[half - 1]["ts_recv"]
    wide = structs.replace(BARRIERS, width_scale=10.0)
    data = collected(replace(whole, records=records), plan_of(bars("10s")), wide)
    hole_ns = int(records[half - 1]["ts_recv"])
    before = np.flatnonzero(data.stamp <= hole_ns)
    open_ = before[data.known[before] & (data.ended[before] > hole_ns)]
    assert len(open_) >= 3
    assert (data.ended[open_] - data.stamp[open_] > 6 * 60 * NS_PER_MIN).all()
    embargo_ns = BARRIERS.horizon_ns
    for folds in (1, 2, 3):
        for fold in walk_forward(data, folds, embargo_ns):
            for rows, following in ((fold.train, fold.calibrate), (fold.calibrate, fold.test)):
                if len(following):
                    assert (data.ended[rows] + embargo_ns < data.stamp[following].min()).all()
