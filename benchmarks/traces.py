"""What a cache is asked for: keys in order, from seeds or from recorded trades, the same for every policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from benchmarks import data

SEED: Final = 20140501
MINUTE_NS: Final = 60_000_000_000
CHART_MINUTES: Final = 100
HISTORY_MINUTES: Final = 5_000
RECORDED: Final = Path("trades") / "equity_tick_201310.parquet"


class Trace(NamedTuple):
    """Keys in the order they are asked for, and how many entries a cache may hold."""

    name: str
    keys: list[int]
    held_max: int


def zipf(count: int, keys: int, exponent: float, seed: int = SEED) -> list[int]:
    """Independent draws; key k has a weight of (k + 1) ** -exponent."""
    weights = np.cumsum(np.arange(1, keys + 1, dtype=np.float64) ** -exponent)
    found: list[int] = np.searchsorted(weights / weights[-1], np.random.default_rng(seed).random(count)).tolist()
    return found


def scans(count: int) -> list[int]:
    """Zipf draws with stretches of keys that are asked for once and never again."""
    draw = np.random.default_rng(SEED)
    popular, asked, fresh = zipf(count, 50_000, 1.15), list[int](), 10**6
    place = 0
    while place < count:
        stretch = int(draw.integers(200, 3_000))
        asked += popular[place : place + stretch]
        place += stretch
        scan = int(draw.integers(100, 1_500))
        asked += range(fresh, fresh + scan)
        fresh += scan
    return asked


def trading(count: int) -> list[int]:
    """Recorded trades (a seeded walk without the recording) and what a desk asks for at each.

    A trade asks for the price of its symbol, three feature sets of the current minute and the prediction for its rounded move. The first
    trade of a minute also draws a chart of the last 100 minutes. Two trades in a hundred come with a person who pages through history.
    """
    times, symbols, prices = _trades(count)
    draw = np.random.default_rng(SEED)
    names: dict[tuple[object, ...], int] = {}
    asked: list[int] = []
    last_price, last_minute = dict[str, float](), dict[str, int]()

    def ask(*parts: object) -> None:
        asked.append(names.setdefault(parts, len(names)))

    for time_ns, symbol, price in zip(times, symbols, prices, strict=True):
        minute = time_ns // MINUTE_NS
        ask("price", symbol)
        for features in range(3):
            ask("features", symbol, minute, features)
        ask("prediction", symbol, round(price - last_price.get(symbol, price), 2), round(price, 1))
        last_price[symbol] = price
        if last_minute.get(symbol) != minute:
            last_minute[symbol] = minute
            for back in range(CHART_MINUTES):
                ask("features", symbol, minute - back, 0)
        if draw.random() < 0.02:
            for back in draw.integers(0, HISTORY_MINUTES, 30).tolist():
                ask("history", symbol, minute - back)
    return asked


def trades_in_a_row(count: int) -> tuple[list[int], list[str], list[float]]:
    """So many recorded trades without a gap, from half an hour after the first one on (a seeded walk without the recording)."""
    path = data.folder() / RECORDED
    if not path.is_file():
        return _trades(count)
    import pyarrow.parquet as parquet

    table = parquet.read_table(path, columns=["ts_event", "symbol", "price"])
    start = int(np.searchsorted(table["ts_event"].to_numpy(), table["ts_event"][0].as_py() + 30 * MINUTE_NS))
    table = table[start : start + count]
    return table["ts_event"].to_pylist(), table["symbol"].to_pylist(), table["price"].to_pylist()


def _trades(count: int) -> tuple[list[int], list[str], list[float]]:
    path = data.folder() / RECORDED
    if not path.is_file():
        walk = data.random_walk(count).rows
        return walk["ts_ns"].tolist(), [("A", "B", "C")[number % 3] for number in range(count)], (walk["bid"] * 100).round(2).tolist()
    import pyarrow.parquet as parquet

    table = parquet.read_table(path, columns=["ts_event", "symbol", "price"])
    every = max(1, table.num_rows // count)
    table = table.take(np.arange(0, table.num_rows, every)[:count])
    return table["ts_event"].to_pylist(), table["symbol"].to_pylist(), table["price"].to_pylist()


def all_traces(count: int) -> list[Trace]:
    """The traces that are published, about `count` looks each; one is made when it is asked for."""
    scale: Callable[[int], int] = lambda held: max(20, held * count // 400_000) if count < 400_000 else held  # noqa: E731
    popular, mixed, desk = zipf(count, max(200, min(100_000, count // 4)), 0.99), scans(count * 2 // 3), trading(count // 12)
    return [
        Trace("zipf 0.99, 1% held", popular, scale(1_000)),
        Trace("zipf 0.99, 10% held", popular, scale(10_000)),
        Trace("zipf 1.15 and scans, 500 held", mixed, scale(500)),
        Trace("zipf 1.15 and scans, 2,000 held", mixed, scale(2_000)),
        Trace("recorded trading, 500 held", desk, max(400, scale(500))),
        Trace("recorded trading, 2,000 held", desk, max(400, scale(2_000))),
        Trace("recorded trading, 5,000 held", desk, max(400, scale(5_000))),
    ]
