"""Recorded history for charts, kept by the cache: making the candles of a day takes milliseconds, and a day once recorded changes seldom.

Values are named by the content they were made of, so none can be stale: an import that changes a day gives it another name. With
`TERCEL_REDIS` set, desks share what they made. What is asked for is kept warm while its symbol is asked for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_DAY, NS_PER_S, format_duration, parse_duration, parse_instant
from tercel.cache.cache import Cache
from tercel.cache.care import Care
from tercel.cache.keys import key
from tercel.cache.level1 import Level1
from tercel.cache.lives import Life
from tercel.cache.warming import FEATURES_EVERY_S, Active, Wanted, Warmer
from tercel.market.candles import candles, joined
from tercel.market.catalog import Catalog, Dataset
from tercel.market.manifest import Part

if TYPE_CHECKING:
    from tercel.cache.level2 import Level2

LIFE: Final = Life(3600.0, 86_400.0)
ENTRIES_MAX: Final = 4_096
BYTES_MAX: Final = 64 << 20
CANDLES_MAX: Final = 20_000
WAIT_S_MAX: Final = 10.0
PREFERENCE: Final = ("quote", "trade", "bar")
NEWEST: Final = 2  # partitions of an active symbol that are kept warm
EVERY: Final = "1m"

Candles = npt.NDArray[np.float64]


class Recorded(NamedTuple):
    """Candles (float64[n, 7], see `market.candles`), the series they were made of, and their interval."""

    data: Dataset
    interval_ns: int
    rows: Candles


class Past:
    """Candles of the catalog. Belongs to one event loop; use inside `async with`, `care` is a task of the caller's."""

    def __init__(self, catalog: Catalog | None = None, redis: str | None = None) -> None:
        self.catalog = catalog or Catalog()
        level1 = Level1(entries_max=ENTRIES_MAX, bytes_max=BYTES_MAX, life_ns_max=LIFE.level1_ns)
        self.cache = Cache("charts", level1=level1, level2=shared(redis), life=LIFE)
        self.active = Active()
        self.warmer = Warmer(self.cache)
        self.warmer.every(FEATURES_EVERY_S, self._newest)

    async def __aenter__(self) -> Past:
        await self.cache.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cache.aclose()

    async def care(self) -> None:
        """Keep what is asked for warm and the cache fit, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.warmer.run())
            group.create_task(Care(self.cache, warmer=self.warmer).run())

    async def candles(self, symbol: str, start: str, end: str | None = None, every: str = EVERY) -> Recorded:
        """Candles of the best series that open from `start` to before `end` (ISO, UTC; None: all).

        Quotes are taken where there are any, else trades, else bars. Raises `ConfigError` for a symbol the catalog has not, times or an
        interval that are none, or more than `CANDLES_MAX` candles; `DataError` for a damaged partition; `TimeoutError`.
        """
        start_ns, interval_ns = parse_instant(start), _interval(every)
        data = self._series(symbol, interval_ns)
        end_ns = parse_instant(end) if end else data.last_ns + 1
        found = await asyncio.gather(*(
            self.cache.get_or_compute(one.key, one.compute, tags=one.tags, deadline_s=WAIT_S_MAX)
            for one in self._wanted(data, interval_ns, start_ns, end_ns)
        ))  # fmt: skip
        self.active.saw(symbol)
        rows = joined(found)
        rows = rows[(rows[:, 0] >= start_ns / 1e6) & (rows[:, 0] < end_ns / 1e6)]
        if len(rows) > CANDLES_MAX:
            raise ConfigError(
                f"chart of {symbol}: expected at most {CANDLES_MAX:,} candles, found {len(rows):,}; ask for larger ones, or less"
            )
        return Recorded(data, interval_ns, rows)

    def _series(self, symbol: str, interval_ns: int) -> Dataset:
        one = self.catalog.resolve(symbol)
        mine = [data for data in self.catalog.datasets() if data.instrument.name == one.name and data.kind in PREFERENCE]
        fits = [data for data in mine if data.kind != "bar" or interval_ns % data.interval_ns == 0]
        if not fits:
            have = "; ".join(data.key.what for data in mine) or "nothing"
            raise ConfigError(f"chart of {symbol}: nothing that candles of {format_duration(interval_ns)} can be made of, it has: {have}")
        return min(fits, key=lambda data: (PREFERENCE.index(data.kind), data.interval_ns))

    def _wanted(self, data: Dataset, interval_ns: int, start_ns: int, end_ns: int) -> Iterator[Wanted]:
        """What to have for a range: one value for each partition it touches."""
        series = self.catalog.manifest().find(data.key)
        assert series is not None
        for part in series.parts:
            if part.last_ns >= start_ns and part.first_ns < end_ns:
                name = key("candles", data.instrument.name, data.key.what, interval_ns, part.fingerprint)
                yield Wanted(name, partial(asyncio.to_thread, self._make, data, part, interval_ns), tags=(data.instrument.name,))

    def _make(self, data: Dataset, part: Part, interval_ns: int) -> Candles:
        return candles(self.catalog.open_part(data.key, part, data.instrument), data.kind, interval_ns)

    def _newest(self) -> Iterator[Wanted]:
        """The newest candles of every symbol that was asked for lately."""
        interval_ns = parse_duration(EVERY)
        for symbol in self.active.symbols():
            data = self._series(symbol, interval_ns)
            series = self.catalog.manifest().find(data.key)
            assert series is not None
            yield from self._wanted(data, interval_ns, series.parts[-NEWEST:][0].first_ns, data.last_ns + 1)


def shared(redis: str | None) -> Level2 | None:
    """Redis at an address (None: at `TERCEL_REDIS`), or nothing without one; its packages, an extra, are asked for only with one."""
    address = os.environ.get("TERCEL_REDIS") if redis is None else redis
    if not address:
        return None
    from tercel.cache.level2 import Level2

    return Level2(address)


def _interval(every: str) -> int:
    """A whole number of seconds that divides a day, in ns."""
    interval_ns = parse_duration(every)
    if interval_ns < NS_PER_S or interval_ns > NS_PER_DAY or NS_PER_DAY % interval_ns or interval_ns % NS_PER_S:
        raise ConfigError(f"candles of {every}: expected a whole number of seconds that divides a day, such as 10s, 1m, 4h, 1d")
    return interval_ns
