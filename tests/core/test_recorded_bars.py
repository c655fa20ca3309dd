"""Recorded bars: orders see the open and the close, never what lies between."""

from __future__ import annotations

import numpy as np
import pytest

from tercel.base.records import BAR, BAR_VIEW, OUT_FILL, OUT_INTENT, TICK, Records
from tercel.core.engine import Engine
from tercel.core.setup import CoreConfig
from tercel.decision.strategy import Bar, Context, Strategy
from tercel.execution.venue import VenueModel
from tercel.features.spec import FeatureSet, bars
from tercel.market.instruments import Instrument

MINUTE_NS = 60_000_000_000
START_NS = 1_700_000_040 * 1_000_000_000
COIN = Instrument(
    symbol="BTCUSD", venue="test", asset="crypto", base="BTC", quote="USD", price_decimals=2, size_decimals=3, lot=1000,
    session="24x7", day_roll="00:00 UTC", id=1,
)  # fmt: skip


class BuyOnce(Strategy):
    """Buys one coin at the first bar."""

    def on_bar(self, context: Context, bar: Bar) -> None:
        """See the class."""
        if context.position == 0 and context.open_orders == 0 and bar.close == 100.0:
            context.buy(1.0)


def recorded(*prices: tuple[float, float, float, float]) -> Records:
    """Minute bars of (open, high, low, close), one after the other, arriving a millisecond after their close."""
    records = np.zeros(len(prices), BAR_VIEW)
    records["ts_event"] = START_NS + np.arange(len(prices)) * MINUTE_NS
    records["ts_recv"] = records["ts_event"] + MINUTE_NS + 1_000_000
    records["instrument"], records["kind"], records["volume"] = COIN.id, BAR, 5.0
    for name, column in zip(("open", "high", "low", "close"), zip(*prices, strict=True), strict=True):
        records[name] = column
    return records.view(TICK)


def played(latency: str) -> Records:
    """The outputs of a purchase at the close of the first of three bars."""
    outputs: list[Records] = []
    venue = VenueModel(latency=latency, taker_fee=0.0, half_spread_steps=1.0)
    config = CoreConfig(
        FeatureSet(bars("1m", "trade"), ()).compile(), (COIN,), BuyOnce(), venue=venue, quoted=frozenset()
    )  # fmt: skip
    engine = Engine(config, lambda made: outputs.append(made.copy()))
    engine.push(recorded((99.0, 101.0, 98.0, 100.0), (100.5, 109.0, 90.0, 108.0), (108.0, 108.0, 108.0, 108.0)))
    return np.concatenate(outputs)


@pytest.mark.parametrize(("latency", "price"), [("20ms", 100.51), ("5s", 100.51), ("30s", 108.01)])
def test_an_order_trades_at_the_next_open_unless_it_comes_late(latency: str, price: float) -> None:
    """It trades around the open of the next bar when it arrives in its first tenth, around its close otherwise, never between."""
    outputs = played(latency)
    assert outputs["kind"].tolist() == [OUT_INTENT, OUT_FILL]
    assert outputs["price"][1] / 100 == price


def test_no_order_trades_on_the_bar_that_caused_it() -> None:
    """The fill carries the number of the second bar."""
    assert played("0ms")["input"].tolist() == [1, 2]
