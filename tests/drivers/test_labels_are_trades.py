"""A label is what the core would have made of the decision: trades of a Python strategy at the modelled venue, fill by fill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.codes import REWARMED
from tercel.base.records import BAR, GAP, OUT_DENIED, OUT_FILL, OUT_INTENT, QUOTE, TRADE, Records, empty
from tercel.base.time import NS_PER_MIN, NS_PER_S
from tercel.core.layout import H_EXECUTION
from tercel.decision.strategy import Bar, Context, Strategy
from tercel.drivers.backtest import Backtest
from tercel.drivers.collect import Collector
from tercel.drivers.history import Source
from tercel.drivers.session import Plan
from tercel.execution.kernels import E_TAKER, EXECUTION_WORDS, RATE_UNIT
from tercel.execution.venue import VenueModel
from tercel.features.spec import Bars, FeatureSet, bars
from tercel.market.instruments import Instrument
from tercel.models.barriers import TripleBarrier
from tercel.models.training.labels import label
from tercel.risk.limits import Limits
from tests.drivers.random_walks import EURUSD, START_NS
from tests.real_ticks import import_slice

UNITS = 1_000.0
WIDE = Limits(order_lots=100, position_lots=100, notional=1e12, daily_loss=0, quote_age_max="7d", orders_per_second=0, collar=1.0)


class Holder(Strategy):
    """Enters at chance and holds to a barrier, looking at each bar as the core looks at each quote."""

    def __init__(self, barriers: TripleBarrier, width: float, seed: int, units: float) -> None:
        self._barriers, self._width, self._units, self._chance = barriers, width, units, np.random.default_rng(seed)
        self._held: dict[str, tuple[int, float, float, int]] = {}

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Enter when out, leave at a barrier."""
        held = self._held.get(context.instrument)
        if context.open_orders or context.quote_code:
            return
        if context.position == 0:
            self._held.pop(context.instrument, None)
            if self._chance.random() < 0.2:
                side = 1 if self._chance.random() < 0.5 else -1
                touch, width = context.ask if side > 0 else context.bid, self._width
                high, low = touch + side * self._barriers.take * width, touch - side * self._barriers.stop * width
                self._held[context.instrument] = side, high, low, context.time_ns + self._barriers.horizon_ns
                context.target(side * self._units)
        elif held is not None:
            side, high, low, until = held
            leave = context.bid if side > 0 else context.ask
            if context.time_ns >= until or (leave - high) * side >= 0 or (leave - low) * side <= 0:
                context.target(0.0)


@dataclass(frozen=True)
class Recorded:
    """Records of EURUSD as a history."""

    records: Records
    quotes_itself: bool

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """EURUSD alone."""
        return (EURUSD,)

    @property
    def quoted(self) -> frozenset[str] | None:
        """Whether there are quotes or others stand in for them."""
        return None if self.quotes_itself else frozenset()

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.records)

    def check(self, clock: Bars) -> None:
        """All is well."""

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """The records in pieces."""
        for first in range(0, len(self.records), 1_000):
            yield self.records[first : first + 1_000].copy()

    def describe(self) -> str:
        """One line."""
        return "records of a test"


def made(kind: int, seed: int, count: int) -> Recorded:
    """Records of one kind at irregular instants, some at the same; quotes are crossed or one-sided now and then."""
    chance = np.random.default_rng(seed)
    records = empty(count)
    gaps = chance.choice([0, 1, NS_PER_S // 50, NS_PER_S // 3, 4 * NS_PER_S], count)
    walk = (110_000 + np.cumsum(chance.integers(-4, 5, count))) / 1e5
    records["kind"], records["instrument"] = kind, EURUSD.id
    records["ts_recv"] = records["ts_event"] = START_NS + np.cumsum(gaps)
    records["size"] = records["size2"] = np.nan
    records["price"] = walk
    if kind == QUOTE:
        records["price2"] = np.round(walk + chance.choice([0, 1, 2, 3, -2], count, p=[0.2, 0.3, 0.3, 0.15, 0.05]) / 1e5, 5)
        records["price2"][chance.random(count) < 0.03] = np.nan
    elif kind == BAR:
        records["ts_event"] = START_NS + 60 * NS_PER_S * np.cumsum(chance.choice([1, 1, 1, 30], count))
        records["ts_recv"] = records["ts_event"] + 60 * NS_PER_S
        records["size2"] = np.round(walk + chance.integers(-3, 4, count) / 1e5, 5)  # open, high, low, close
        records["size"], records["price2"] = walk + 1e-4, walk - 1e-4
    return Recorded(records, kind == QUOTE)


def torn(history: Recorded, seed: int, longest_ns: int, losses: int = 40) -> Recorded:
    """The same with data lost at random places, some twice; the records behind each come up to `longest_ns` later, by whole minutes."""
    chance = np.random.default_rng(seed)
    records = history.records.copy()
    at = np.sort(chance.integers(0, len(records), losses))
    later = np.zeros(len(records), np.int64)
    np.add.at(later, at, chance.choice([0, 0, longest_ns // 2, longest_ns], losses) // NS_PER_MIN * NS_PER_MIN)
    lost = empty(losses)
    lost["kind"], lost["instrument"] = GAP, EURUSD.id
    lost["price"] = lost["size"] = lost["price2"] = lost["size2"] = np.nan
    before = records["ts_recv"][np.maximum(at - 1, 0)] + (np.cumsum(later) - later)[at]
    lost["ts_recv"] = lost["ts_event"] = np.where(at > 0, before, records["ts_recv"][0])
    for name in ("ts_recv", "ts_event"):
        records[name] += np.cumsum(later)
    return Recorded(np.insert(records, at, lost), history.quotes_itself)


def agree(
    history: Source, clock: Bars, latency: str, barriers: TripleBarrier, width: float, seed: int, trades_min: int, units: float = UNITS
) -> tuple[Records, Records]:
    """Every closed trade of the strategy is the label of its decision: entry to exit, fees, and the instant of the last fill.

    Returns the outputs of the core, and the fills that closed a trade.
    """
    venue = VenueModel(latency=latency, liquidity_lots=1e6, half_spread_steps=0.5)
    plan = Plan(FeatureSet(clock, (barriers.volatility,)), Holder(barriers, width, seed, units), WIDE, venue)
    outputs = Backtest(plan, history).run().outputs
    collector = Collector(replace(plan, decide=None), history, (barriers.volatility.name,), barriers, None)
    sequencer = plan.sequencer(collector.core)
    for records in history.stream(plan.feed_latency_ns):
        for sequenced in sequencer.push(records):
            collector._push(sequenced)
    for sequenced in sequencer.finish():
        collector._push(sequenced)
    lasts = []
    for slot, instrument in enumerate(history.instruments):
        quotes = collector._quotes_of(slot)
        mine = outputs[outputs["instrument"] == instrument.id]
        intents, fills = mine[mine["kind"] == OUT_INTENT], mine[mine["kind"] == OUT_FILL]
        closed = len(fills) // 2
        entries, first, last = intents[0::2][:closed], fills[0::2][:closed], fills[1::2][:closed]
        assert (first["side"] == entries["side"]).all()
        assert (last["position"] == 0).all()
        standing = np.searchsorted(quotes.number, entries["input"], "right") - 1
        fee_rate = collector._word(H_EXECUTION, EXECUTION_WORDS, slot, E_TAKER) / RATE_UNIT
        found = label(
            quotes, standing, entries["time"].copy(), np.full(closed, width), barriers,
            latency_ns=plan.venue.latency_ns, fee_rate=fee_rate, price_scale=10.0**instrument.price_decimals,
        )  # fmt: skip
        column = np.where(entries["side"] > 0, 0, 1)
        bought, sold = first["price"] / 10.0**instrument.price_decimals, last["price"] / 10.0**instrument.price_decimals
        wanted = ((sold - bought) * entries["side"] - fee_rate * (bought + sold)) / width
        assert found.outcome[np.arange(closed), column] == pytest.approx(wanted, rel=1e-9)
        assert (found.end[np.arange(closed), column] == last["time"]).all()
        lasts.append(last)
    assert sum(map(len, lasts)) >= trades_min
    return outputs, np.concatenate(lasts)


BARRIERS = TripleBarrier(take=1.5, stop=1.0, horizon_ns=60 * NS_PER_S, rows=10, width_scale=1.0)


@pytest.mark.parametrize("latency", ["0ms", "20ms", "900ms"])
@pytest.mark.parametrize("kind", [QUOTE, TRADE])
def test_of_quotes_and_of_trades(kind: int, latency: str) -> None:
    """Each tick is a bar, so the strategy sees what the core's barriers see; prompt and slow venues."""
    clock = bars("1t", price="mid" if kind == QUOTE else "trade")
    for seed in range(2):
        agree(made(kind, seed, 2_500), clock, latency, BARRIERS, 8e-5, seed, 25)


@pytest.mark.parametrize("latency", ["20ms", "5s", "70s"])
def test_of_recorded_bars(latency: str) -> None:
    """An order that is there early trades at the next open, one that comes late at its close."""
    hours = TripleBarrier(take=1.5, stop=1.0, horizon_ns=1_200 * NS_PER_S, rows=10, width_scale=1.0)
    for seed in range(2):
        agree(made(BAR, seed, 1_500), bars("1m", price="trade"), latency, hours, 8e-5, seed, 50)


@pytest.mark.parametrize("latency", ["0ms", "20ms", "70s"])
@pytest.mark.parametrize("kind", [QUOTE, TRADE, BAR])
def test_over_losses_of_data(kind: int, latency: str) -> None:
    """Entries and exits on their way into a hole, barriers met and times over in it; entries that wait behind it are no trades."""
    clock = bars("1m" if kind == BAR else "1t", price="mid" if kind == QUOTE else "trade")
    barriers = TripleBarrier(take=1.5, stop=1.0, horizon_ns=(1_200 if kind == BAR else 60) * NS_PER_S, rows=10, width_scale=1.0)
    waited = crossed = 0
    for seed in range(3):
        history = torn(made(kind, seed, 1_200), seed, 90 * NS_PER_MIN)
        outputs, lasts = agree(history, clock, latency, barriers, 8e-5, seed, 8)
        waited += np.count_nonzero((outputs["kind"] == OUT_DENIED) & (outputs["code"] == REWARMED))
        lost = history.records["ts_recv"][history.records["kind"] == GAP]
        entries = outputs["time"][outputs["kind"] == OUT_INTENT][0::2][: len(lasts)]
        crossed += np.count_nonzero(np.searchsorted(lost, entries) < np.searchsorted(lost, lasts["time"]))
    assert waited
    assert crossed >= 10


@given(seed=st.integers(0, 10**6), kind=st.sampled_from([QUOTE, TRADE, BAR]), latency=st.sampled_from(["0ms", "7ms", "2s", "70s"]))
@settings(max_examples=25)
def test_over_any_losses(seed: int, kind: int, latency: str) -> None:
    """Any history, torn anywhere."""
    clock = bars("1m" if kind == BAR else "1t", price="mid" if kind == QUOTE else "trade")
    agree(torn(made(kind, seed, 200), seed, 3 * NS_PER_MIN, losses=20), clock, latency, BARRIERS, 8e-5, seed, 0)


def test_of_real_ticks(data_dir: Path, tmp_path: Path) -> None:
    """Twenty minutes around the payrolls of May 2014, gold and euro."""
    history = import_slice(data_dir, tmp_path, "2014-05-02T12:25", "2014-05-02T12:45")
    agree(history, bars("1t"), "150ms", BARRIERS, 3e-4, 5, 40)
