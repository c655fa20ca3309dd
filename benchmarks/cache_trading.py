"""The trading scenario: recorded trades at their own times, everything asked for with its own life, two levels, cold and warm.

At each trade the desk asks for the price of the symbol (1 s), three feature sets of the running minute (10 s in level 1, 60 s in level 2)
and the prediction for the rounded move (36 s, a confidence of 0.6). When a minute begins, three dashboards draw the last 100 closed minutes
of the symbol (300 s). Two trades in a hundred come with a person who pages through the last day.

Cold starts empty. Warm has what the warming job makes: the features of the last 100 closed minutes of the symbols, before the start and
every five minutes; what the job makes is not counted as asked.
"""

from __future__ import annotations

from collections import Counter
from itertools import repeat

import numpy as np

from benchmarks import traces
from benchmarks.harness import Answer
from tercel.base.time import NS_PER_S
from tercel.cache import lives
from tercel.cache.level1 import MISSING, Level1
from tercel.cache.lives import Life
from tercel.cache.warming import FEATURES_EVERY_S, PERIODS

LEVEL1_ENTRIES, LEVEL2_ENTRIES = 5_000, 500_000
DASHBOARDS = 3
DAY_MINUTES = 1_440
CLOSED_LIFE = lives.of(lives.OTHER_S)


class Desk:
    """Two levels whose clock is that of the recording; level 2 stands for Redis: the same lives, without the network."""

    def __init__(self) -> None:
        self.now_ns = 1
        clock = lambda: self.now_ns  # noqa: E731
        self.level1 = Level1(entries_max=LEVEL1_ENTRIES, clock=clock)
        self.level2 = Level1(entries_max=LEVEL2_ENTRIES, bytes_max=1 << 40, life_ns_max=3_600 * NS_PER_S, clock=clock)
        self.counts: Counter[str] = Counter()

    def ask(self, key: tuple[object, ...], life: Life) -> None:
        """One look, and what follows from a miss."""
        if self.level1.get(key, MISSING) is not MISSING:
            self.counts["level1"] += 1
        elif self.level2.get(key, MISSING) is not MISSING:
            self.counts["level2"] += 1
            self.level1.put(key, 1, life.level1_ns, weight=2_000)
        else:
            self.counts["computed"] += 1
            self.put(key, life)

    def put(self, key: tuple[object, ...], life: Life) -> None:
        """Keep a value in both levels."""
        self.level1.put(key, 1, life.level1_ns, weight=2_000)
        self.level2.put(key, 1, life.level2_ns, weight=8)


def scenario(count: int, *, warm: bool) -> Answer:
    """Shares of looks that hit, in all and by level, over so many recorded trades."""
    times, symbols, prices = traces.trades_in_a_row(count)
    desk, draw = Desk(), np.random.default_rng(traces.SEED)
    known = sorted(set(symbols))
    last_price, last_minute = dict[str, float](), dict[str, int]()
    warmed_ns = -(1 << 62)
    for time_ns, symbol, price in zip(times, symbols, prices, strict=True):
        desk.now_ns = time_ns
        minute = time_ns // traces.MINUTE_NS
        if warm and time_ns - warmed_ns >= FEATURES_EVERY_S * NS_PER_S:
            warmed_ns = time_ns
            for back in range(1, PERIODS + 1):
                for name in known:
                    desk.put(("features", name, time_ns // traces.MINUTE_NS - back, 0), CLOSED_LIFE)
        desk.ask(("price", symbol), lives.life("price", "open"))
        for features in range(3):
            desk.ask(("running", symbol, minute, features), lives.life("features"))
        move = round(price - last_price.get(symbol, price), 2)
        desk.ask(("prediction", symbol, move, round(price, 1)), lives.prediction_life(0.6))
        last_price[symbol] = price
        if last_minute.get(symbol) != minute:
            last_minute[symbol] = minute
            for _ in repeat(None, DASHBOARDS):
                for back in range(1, PERIODS + 1):
                    desk.ask(("features", symbol, minute - back, 0), CLOSED_LIFE)
        if draw.random() < 0.02:
            first = int(draw.integers(1, DAY_MINUTES - 30))
            for back in range(first, first + 30):
                desk.ask(("history", symbol, minute - back), CLOSED_LIFE)
    looks = desk.counts.total()
    return {
        "start": "warm" if warm else "cold", "trades": len(times), "looks": looks, "minutes": (times[-1] - times[0]) / traces.MINUTE_NS,
        "hit_percent": 100.0 * (1 - desk.counts["computed"] / looks), "level1_percent": 100.0 * desk.counts["level1"] / looks,
        "level2_percent": 100.0 * desk.counts["level2"] / looks,
    }  # fmt: skip
