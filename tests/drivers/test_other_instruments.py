"""An account that is continued with other instruments: their state is never taken for another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercel.base.errors import ConfigError
from tercel.decision.rules import EmaCross
from tercel.drivers.backtest import ledger_of
from tercel.drivers.launch import FeedSpec
from tercel.drivers.session import Plan
from tercel.features.spec import FeatureSet, bars
from tests.market.history import quote_table, save, take
from tests.traders import trader_of

SYMBOLS = ("EURUSD", "GBPUSD", "XAUUSD")
PLAN = Plan(FeatureSet(bars("10s"), ()), EmaCross(1, 2, 2, enter=0.0, exit=0.0, size_lots=0.1))


@pytest.fixture(autouse=True)
def _quotes(home: Path, tmp_path: Path) -> None:
    for seed, symbol in enumerate(SYMBOLS):
        take(save(tmp_path / f"{symbol}.parquet", quote_table(600, symbol=symbol, seed=seed)), venue="one")


def feed(*names: str) -> FeedSpec:
    """These instruments, as fast as it can."""
    return FeedSpec(kind="replay", names=names, speed=0)


def test_as_many_other_instruments_are_refused_while_a_position_is_held() -> None:
    """State of as many instruments, with equal settings, is not restored for others: the position would be booked on the wrong one."""
    trader = trader_of(PLAN, feed("EURUSD", "XAUUSD"))
    trader.start()
    trader.run()
    trader.close()
    assert any(position for position, _, _ in ledger_of(trader.engine).values())
    other = trader_of(PLAN, feed("GBPUSD", "XAUUSD"))
    with pytest.raises(ConfigError, match="which this run does not trade"):
        other.start()
