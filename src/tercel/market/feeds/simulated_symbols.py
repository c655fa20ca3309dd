"""Which instruments the simulated market has, how each of them behaves, and the five it has by default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_DAY, NS_PER_MIN, NS_PER_S
from tercel.market.definitions import definition
from tercel.market.instruments import Instrument
from tercel.market.sessions import HOURS, windows

Floats = npt.NDArray[np.float64]

VENUE: Final = "sim"
FACTORS: Final = 2  # the dollar's weakness, the appetite for risk
BLOCK_NS: Final = NS_PER_MIN  # the market is simulated minute by minute
CELL_NS: Final = NS_PER_S // 10  # step of the latent price
DELAY_CELLS: Final = 200  # a common move has arrived after so many steps
DELAY_S_MAX: Final = 4.0
QUIET_SPREAD: Final = 0.03
QUIET_MIN: Final = 0.08  # of the mean activity: no hour costs more than this one


class SimulatedSymbol(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument of the simulated market. To continue a history, replace `price` by its last mid."""

    instrument: Instrument
    price: float  # mid at the start
    events_per_s: float  # quotes and trades together, mean over an open day
    volatility: float  # standard deviation of a year's return, such as 0.08
    spread_increments: float  # mean in the normal regime at mean activity, before what the last move adds; at least 1 is quoted
    size: float  # mean quoted size, in whole units
    factors: tuple[float, ...] = (0.0,) * FACTORS  # correlation with the dollar's weakness and with the appetite for risk
    delay_s: float = 0.0  # mean time that moves of the factors take to reach this price, at most `DELAY_S_MAX`
    activity: tuple[float, ...] = (1.0,)  # by equal parts of the day in `zone`, relative, in between interpolated: 24 values are hours
    zone: str = "UTC"
    always_open: bool = False  # trade when the instrument's session is closed, too


class Market:
    """The symbols as arrays, one row each. Raises `ConfigError` when one cannot be simulated or the ids are not all different."""

    def __init__(self, symbols: Sequence[SimulatedSymbol]) -> None:
        _check_ids(symbols)
        for symbol in symbols:
            _check(symbol)
        self.symbols = tuple(symbols)
        instruments = [symbol.instrument for symbol in symbols]
        self.ids = np.array([instrument.id for instrument in instruments], np.uint32)
        self.price_scale = np.array([10.0**instrument.price_decimals for instrument in instruments])
        self.price_units = np.array([float(instrument.price_increment) for instrument in instruments])
        self.size_scale = np.array([10.0**instrument.size_decimals for instrument in instruments])
        self.size_units = np.array([float(instrument.size_increment) for instrument in instruments])
        self.size_mean = np.array([symbol.size for symbol in symbols]) * self.size_scale / self.size_units
        self.mid = np.array([symbol.price for symbol in symbols]) * self.price_scale / self.price_units  # in increments
        self.events_per_s = np.array([symbol.events_per_s for symbol in symbols])
        self.spread = np.array([symbol.spread_increments for symbol in symbols])
        self.factors = np.array([symbol.factors for symbol in symbols], np.float64)
        self.own = np.sqrt(1.0 - (self.factors * self.factors).sum(axis=1))
        self.deviation = np.array([_step_deviation(symbol) for symbol in symbols])
        self.delays = [_delays(symbol.delay_s) for symbol in symbols]
        self._profiles = [tuple(part * len(symbol.activity) / sum(symbol.activity) for part in symbol.activity) for symbol in symbols]
        self._zones = [symbol.zone for symbol in symbols]
        self._sessions = ["24x7" if symbol.always_open else symbol.instrument.session for symbol in symbols]
        self._variance = np.array([sum(part * math.sqrt(part) for part in profile) / len(profile) for profile in self._profiles])

    def activity(self, block: int) -> Floats:
        """Per symbol: activity in this block relative to its mean, 0 when closed."""
        start_ns = block * BLOCK_NS
        day = start_ns // NS_PER_DAY
        return np.array([
            _between(profile, start_ns + _offset_ns(zone, block // 60)) if _open(session, day, start_ns) else 0.0
            for profile, zone, session in zip(self._profiles, self._zones, self._sessions, strict=True)
        ])  # fmt: skip

    def expected_events(self, start_ns: int, end_ns: int) -> float:
        """How many quotes and trades of all symbols a period has on average, by what is usual for each quarter of an hour."""
        quarters = range(start_ns // BLOCK_NS, -(-end_ns // BLOCK_NS), 15)
        return (
            sum(float((self.events_per_s * self.activity(block)).sum()) for block in quarters)
            / max(1, len(quarters))
            * ((end_ns - start_ns) / NS_PER_S)
        )

    def volatility_at(self, activity: Floats) -> Floats:
        """Per symbol: volatility relative to its mean, activity to the power of 3/4 as in the recorded hours; 0 when closed."""
        result: Floats = np.sqrt(activity * np.sqrt(activity) / self._variance)
        return result

    def spread_at(self, activity: Floats) -> Floats:
        """Per symbol: spread relative to that of a busy hour; only the quietest hours differ."""
        result: Floats = 1.0 + QUIET_SPREAD / np.square(np.maximum(activity, QUIET_MIN))
        return result


def default_symbols(always_open: bool = False) -> tuple[SimulatedSymbol, ...]:
    """EURUSD, GBPUSD, USDJPY, XAUUSD and BTCUSDT @sim with ids 1 to 5; `always_open`: also when FX and gold are closed."""
    return tuple(
        SimulatedSymbol(
            instrument=msgspec.structs.replace(_known(name), id=number), price=price, events_per_s=rate, volatility=volatility,
            spread_increments=spread, size=size, factors=factors, delay_s=delay_s, activity=hours, zone="America/New_York",
            always_open=always_open,
        )
        for number, (name, price, rate, volatility, spread, size, factors, delay_s, hours) in enumerate(_DEFAULTS, start=1)
    )  # fmt: skip


# Relative activity by hour in New York: FX has its peak while London and New York are both open and its low when the day rolls at 17:00.
_FX_HOURS: Final = (8, 9, 16, 31, 32, 28, 24, 25, 34, 38, 42, 33, 23, 21, 18, 16, 13, 2, 6, 11, 15, 14, 12, 10)
_COIN_HOURS: Final = (8, 8, 8, 9, 10, 10, 10, 10, 11, 13, 15, 14, 12, 11, 10, 10, 10, 9, 9, 10, 10, 9, 8, 8)
_DEFAULTS: Final = (
    ("EURUSD", 1.085, 5.0, 0.08, 4.0, 1_000_000.0, (0.80, 0.05), 0.2, _FX_HOURS),
    ("GBPUSD", 1.27, 4.0, 0.09, 6.0, 800_000.0, (0.70, 0.25), 1.0, _FX_HOURS),
    ("USDJPY", 151.5, 4.5, 0.10, 5.0, 1_000_000.0, (-0.60, 0.35), 1.0, _FX_HOURS),
    ("XAUUSD", 2_350.0, 5.0, 0.15, 250.0, 200.0, (0.50, -0.20), 3.0, _FX_HOURS),
    ("BTCUSDT", 64_000.0, 6.0, 0.50, 150.0, 0.8, (0.20, 0.45), 3.0, _COIN_HOURS),
)


def _known(symbol: str) -> Instrument:
    found = definition(symbol, VENUE)
    assert found is not None, symbol
    return found


def _between(profile: Sequence[float], local_ns: int) -> float:
    """The profile of a day at a time, on straight lines between the middles of its parts."""
    parts = len(profile)
    place, rest = divmod(2 * (local_ns % NS_PER_DAY) * parts - NS_PER_DAY, 2 * NS_PER_DAY)
    share = rest / (2 * NS_PER_DAY)
    return profile[place % parts] * (1.0 - share) + profile[(place + 1) % parts] * share


@lru_cache(maxsize=256)
def _offset_ns(zone: str, hour: int) -> int:
    """What a zone's clock shows more than UTC in an hour since 1970."""
    offset = datetime.fromtimestamp(hour * 3_600, ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return round(offset.total_seconds()) * NS_PER_S


def _delays(delay_s: float) -> Floats:
    """Which share of a common move arrives in each step, sums to 1; geometric, at once for a delay of 0."""
    kept = delay_s / (delay_s + CELL_NS / NS_PER_S)
    shares = np.cumprod(np.concatenate(([1.0], np.full(DELAY_CELLS - 1, kept))))
    result: Floats = shares / shares.sum()
    return result


@lru_cache(maxsize=64)
def _day_windows(session: str, day: int) -> tuple[tuple[int, int], ...]:
    """Open and close of the windows of a session that touch a UTC day, ns."""
    start_ns = day * NS_PER_DAY
    found = windows(session, start_ns, start_ns + NS_PER_DAY)
    assert found is not None, session
    touches = (found.closes > start_ns) & (found.opens < start_ns + NS_PER_DAY)
    return tuple(zip(found.opens[touches].tolist(), found.closes[touches].tolist(), strict=True))


def _open(session: str, day: int, at_ns: int) -> bool:
    return session == "24x7" or any(opens <= at_ns < closes for opens, closes in _day_windows(session, day))


def _step_deviation(symbol: SimulatedSymbol) -> float:
    """Standard deviation of the return of one step at mean activity: a year's variance falls into the hours that are open."""
    open_share, hours = 1.0, HOURS.get(symbol.instrument.session)
    if hours is not None and not symbol.always_open:
        minutes = hours.opens_before * 1440 + (hours.closes[0] - hours.opens[0]) * 60 + hours.closes[1] - hours.opens[1]
        open_share = minutes * len(hours.days) / (7 * 1440)
    return symbol.volatility / math.sqrt(365.25 * NS_PER_DAY * open_share / CELL_NS)


def _check_ids(symbols: Sequence[SimulatedSymbol]) -> None:
    ids = [symbol.instrument.id for symbol in symbols]
    if not ids or 0 in ids or len(set(ids)) < len(ids):
        raise ConfigError(f"simulated market: expected instruments with different ids above 0, found {ids}: register them first")


def _check(symbol: SimulatedSymbol) -> None:
    name = symbol.instrument.name
    for field in ("price", "events_per_s", "volatility", "spread_increments", "size"):
        value = getattr(symbol, field)
        if not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"simulated symbol {name}: {field}: expected a number above 0, found {value!r}")
    if not symbol.activity or not min(symbol.activity) > 0:
        raise ConfigError(f"simulated symbol {name}: activity: expected numbers above 0, one per part of a day, found {symbol.activity!r}")
    if symbol.zone not in available_timezones():
        raise ConfigError(f"simulated symbol {name}: zone: expected a name such as America/New_York, found {symbol.zone!r}")
    if not 0.0 <= symbol.delay_s <= DELAY_S_MAX:
        raise ConfigError(f"simulated symbol {name}: delay_s: expected seconds from 0 to {DELAY_S_MAX:g}, found {symbol.delay_s!r}")
    if len(symbol.factors) != FACTORS or not sum(part * part for part in symbol.factors) <= 1.0:
        raise ConfigError(
            f"simulated symbol {name}: factors: expected {FACTORS} numbers, squares at most 1 in sum, found {symbol.factors!r}"
        )
