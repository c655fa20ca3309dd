"""nautilus_trader in its own environment: `python -m benchmarks.peers.nautilus backtest|features OPTIONS` (see `worker`)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.indicators import averages, momentum
from nautilus_trader.model.currencies import EUR, USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide, PriceType
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import QuoteTickDataWrangler
from nautilus_trader.trading.strategy import Strategy

from benchmarks.peers.worker import Answer, digest, serve, timed, versions

VENUE = Venue("SIM")


class CrossConfig(StrategyConfig, frozen=True):  # type: ignore[misc, call-arg]
    """The rule: periods in quotes, size in units of the base currency."""

    instrument_id: InstrumentId
    fast: int
    slow: int
    size: int


class Cross(Strategy):  # type: ignore[misc]
    """Holds +size while the fast EMA of the mid is above the slow one, -size while below; one market order per flip."""

    def __init__(self, config: CrossConfig) -> None:
        super().__init__(config)
        self.fast = averages.ExponentialMovingAverage(config.fast, PriceType.MID)
        self.slow = averages.ExponentialMovingAverage(config.slow, PriceType.MID)
        self.target = 0
        self.fills: list[tuple[int, int, str, str]] = []

    def on_start(self) -> None:
        """Have the engine's own compiled code update both averages before each call of `on_quote_tick`."""
        self.register_indicator_for_quote_ticks(self.config.instrument_id, self.fast)
        self.register_indicator_for_quote_ticks(self.config.instrument_id, self.slow)
        self.subscribe_quote_ticks(self.config.instrument_id)
        self.first, self.flip = Quantity.from_int(self.config.size), Quantity.from_int(2 * self.config.size)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        """Flip when the averages say so; nothing before the slow one is warm."""
        if not self.slow.initialized:
            return
        edge = self.fast.value - self.slow.value
        if edge > 0.0 and self.target <= 0:
            self.turn(OrderSide.BUY, 1)
        elif edge < 0.0 and self.target >= 0:
            self.turn(OrderSide.SELL, -1)

    def turn(self, side: OrderSide, target: int) -> None:
        """Send the one order that takes the position to the other side."""
        quantity = self.flip if self.target else self.first
        self.target = target
        self.submit_order(self.order_factory.market(self.config.instrument_id, side, quantity))

    def on_order_filled(self, event: Any) -> None:
        """Keep what is needed to compare the two engines fill by fill."""
        self.fills.append((event.ts_event, 1 if event.is_buy else -1, str(event.last_px), str(event.last_qty)))


def euro_dollar() -> CurrencyPair:
    """EUR/USD with five decimals, a lot of one unit and no fees; margin small enough never to refuse an order."""
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol("EUR/USD"), VENUE), raw_symbol=Symbol("EUR/USD"), base_currency=EUR, quote_currency=USD,
        price_precision=5, size_precision=0, price_increment=Price.from_str("0.00001"), size_increment=Quantity.from_int(1),
        margin_init=Decimal("0.03"), margin_maint=Decimal("0.03"), maker_fee=Decimal(0), taker_fee=Decimal(0), ts_event=0, ts_init=0,
    )  # fmt: skip


def engine_of(instrument: CurrencyPair, ticks: list[QuoteTick], options: dict[str, Any]) -> tuple[BacktestEngine, Cross]:
    """A fresh engine with the quotes and the rule; building it is not timed."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(
        venue=VENUE, oms_type=OmsType.NETTING, account_type=AccountType.MARGIN, base_currency=USD,
        starting_balances=[Money(10_000_000, USD)], latency_model=LatencyModel(base_latency_nanos=options["latency_ns"]),
    )  # fmt: skip
    engine.add_instrument(instrument)
    engine.add_data(ticks)
    strategy = Cross(CrossConfig(instrument_id=instrument.id, fast=options["fast"], slow=options["slow"], size=options["size"]))
    engine.add_strategy(strategy)
    return engine, strategy


def backtest(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """Read the quotes, wrangle them into ticks (reported, not timed), then one fresh engine per repeat."""
    quotes = np.load(options["input"])[: options["rows"]]
    instrument = euro_dollar()
    start = time.perf_counter()
    frame = pd.DataFrame({"bid": quotes["bid"], "ask": quotes["ask"]}, index=pd.to_datetime(quotes["ts_ns"], utc=True))
    ticks = QuoteTickDataWrangler(instrument).process(frame, default_volume=float(options["liquidity"]))
    wrangle_s = time.perf_counter() - start

    def repeat() -> Answer:
        engine, strategy = engine_of(instrument, ticks, options)
        measured = timed(engine.run)
        account = engine.trader.generate_account_report(VENUE)
        orders = engine.cache.orders_total_count()
        engine.dispose()
        return {
            "seconds": measured.seconds, "cpu_seconds": measured.cpu_seconds, "orders": orders, "fills": len(strategy.fills),
            "balance_usd": float(account["total"].iloc[-1]), "hash": digest(strategy.fills),
        }  # fmt: skip

    return {"versions": versions("nautilus_trader"), "rows": len(ticks), "wrangle_s": wrangle_s}, repeat


RUST = {
    "ema": nautilus_pyo3.ExponentialMovingAverage, "sma": nautilus_pyo3.SimpleMovingAverage,
    "rsi": lambda rows: nautilus_pyo3.RelativeStrengthIndex(rows, nautilus_pyo3.MovingAverageType.Wilder),
    "returns": lambda rows: nautilus_pyo3.RateOfChange(rows + 1, False),
}  # fmt: skip
CYTHON = {
    "ema": averages.ExponentialMovingAverage, "sma": averages.SimpleMovingAverage,
    "rsi": lambda rows: momentum.RelativeStrengthIndex(rows, averages.MovingAverageType.WILDER),
    "returns": lambda rows: momentum.RateOfChange(rows + 1, False),
}  # fmt: skip
SCALE = {"rsi": 100.0}  # from 0 to 1 there


def update_each(indicator: Any, prices: list[float]) -> float:
    """One update and one look at the value per price."""
    update = indicator.update_raw
    value = 0.0
    for price in prices:
        update(price)
        value = indicator.value
    return value


def features(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """One-by-one updates of every indicator it has, after a warm-up; the library has no batch and no deviation."""
    prices = np.load(options["input"]).tolist()
    warm, later = prices[: options["warm"]], prices[options["warm"] : options["warm"] + options["updates"]]

    def costs(family: dict[str, Any]) -> Answer:
        found = {}
        for name in options["names"]:
            op, rows = name.split("_")
            if op in family:
                indicator = family[op](int(rows))
                update_each(indicator, warm)
                measured = timed(partial(update_each, indicator, later))
                found[name] = {"ns": measured.seconds / len(later) * 1e9, "last": measured.result * SCALE.get(op, 1.0)}
        return found

    return {"versions": versions("nautilus_trader")}, lambda: {f"nautilus_trader ({k})": costs(v) for k, v in FAMILIES.items()}


FAMILIES = {"Rust": RUST, "Cython": CYTHON}

if __name__ == "__main__":
    serve(partial({"backtest": backtest, "features": features}[sys.argv[1]], json.loads(sys.argv[2])))
