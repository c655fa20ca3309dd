"""A slice of the real ticks in a catalog of its own, and plans that trade it often."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tercel.base.records import Records
from tercel.base.time import parse_instant
from tercel.decision.rules import EmaCross
from tercel.drivers.history import History, history
from tercel.drivers.session import Plan
from tercel.execution.venue import VenueModel
from tercel.features.spec import FeatureSet, bars, rsi, sma
from tercel.market.catalog import Catalog
from tercel.market.importers.batch import Options
from tercel.market.importers.run import import_files
from tercel.risk.limits import Limits

NAMES = ("XAUUSD@oanda", "EURUSD@oanda")
RULE = EmaCross(fast=5, slow=12, volatility_rows=10, enter=0.2, exit=0.05, risk_per_bar=3.0)
# Limits that bite now and then, liquidity that makes partial fills, so that every path of the core is walked.
LIMITS = Limits(position_lots={"XAUUSD": 0.3, "": 0.2}, order_lots=0.5, orders_per_second=1, daily_loss=500, quote_age_max="8s")
VENUE = VenueModel(latency="150ms", liquidity_lots=0.05)
# Without a limit on the time of features: a hiccup of the machine would be an input that no back-test has.
PLAN = Plan(FeatureSet(bars("5s"), (sma(20), rsi(14))), RULE, LIMITS, VENUE, late_after="0s")


@contextmanager
def home_at(folder: Path) -> Iterator[Path]:
    """TERCEL_HOME for as long as this is open."""
    before = os.environ.get("TERCEL_HOME")
    os.environ["TERCEL_HOME"] = str(folder)
    try:
        yield folder
    finally:
        os.environ.pop("TERCEL_HOME")
        if before is not None:
            os.environ["TERCEL_HOME"] = before


def import_slice(data_dir: Path, folder: Path, start: str, end: str) -> History:
    """Gold and euro at OANDA between two instants (UTC) in a catalog below `folder`, as a history."""
    table = pq.read_table(data_dir / "quotes" / "fx_oanda_tick_201405.parquet")
    times = table["ts_event"]
    table = table.filter(pc.and_(pc.greater_equal(times, parse_instant(start)), pc.less(times, parse_instant(end))))
    return _history_of(table, folder, "oanda", NAMES)


def import_bitcoin(data_dir: Path, folder: Path) -> History:
    """The best bid and offer of the bitcoin perpetual: real sizes, three decimals of size, arrival times of their own."""
    table = pq.read_table(data_dir / "quotes" / "crypto_binance_bbo.parquet", filters=[("symbol", "=", "BTCUSDT-PERP")])
    return _history_of(table, folder, "binance", ("BTCUSDT-PERP@binance",))


def _history_of(table: pa.Table, folder: Path, venue: str, names: Sequence[str]) -> History:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "slice.parquet")
    import_files([folder / "slice.parquet"], Options(venue=venue), folder / "catalog")
    return history(names, catalog=Catalog(folder / "catalog"))


def all_ticks(chosen: History, plan: Plan = PLAN) -> Records:
    """The history as one array in order of arrival."""
    return np.concatenate(list(chosen.stream(plan.feed_latency_ns)))


PLAN_TOML = """
features = ["sma_20", "rsi_14"]
[bars]
every = "5s"
late_after = "0s"
[rule]
fast = 5
slow = 12
volatility_rows = 10
enter = 0.2
exit = 0.05
risk_per_bar = 3.0
[risk]
position_lots = { XAUUSD = 0.3, "" = 0.2 }
order_lots = 0.5
orders_per_second = 1
daily_loss = 500
quote_age_max = "8s"
[venue]
latency = "150ms"
liquidity_lots = 0.05
"""
