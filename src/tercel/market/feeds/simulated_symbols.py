"""Which instruments the simulated market has, how each of them behaves, and the five it has by default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

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


class SimulatedSymbol(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument of the simulated market. To continue a history, replace `price` by its last mid."""

    instrument: Instrument
    price: float  # mid at the start
    events_per_s: float  # quotes and trades together, mean over an open day
    volatility: float  # standard deviation of a year's return, such as 0.08
    spread_increments: float  # mean in the normal regime at mean activity, before what the last move adds; at least 1 is quoted
    size: float  # mean quoted size, in whole units
    factors: tuple[float, ...] = (0.0,) * FACTORS  # correlation with the dollar's weakness and with the appetite for risk
    activity: tuple[float, ...] = (1.0,)  # by equal parts of the UTC day, relative: 24 values are hours
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
        self._profiles = [tuple(part * len(symbol.activity) / sum(symbol.activity) for part in symbol.activity) for symbol in symbols]
        self._sessions = ["24x7" if symbol.always_open else symbol.instrument.session for symbol in symbols]

    def activity(self, block: int) -> Floats:
        """Per symbol: activity in this block relative to its mean, 0 when closed."""
        start_ns = block * BLOCK_NS
        day, since_ns = divmod(start_ns, NS_PER_DAY)
        return np.array([
            profile[since_ns * len(profile) // NS_PER_DAY] if _open(session, day, start_ns) else 0.0
            for profile, session in zip(self._profiles, self._sessions, strict=True)
        ])  # fmt: skip


def default_symbols(always_open: bool = False) -> tuple[SimulatedSymbol, ...]:
    """EURUSD, GBPUSD, USDJPY, XAUUSD and BTCUSDT @sim with ids 1 to 5; `always_open`: also when FX and gold are closed."""
    return tuple(
        SimulatedSymbol(
            instrument=msgspec.structs.replace(_known(name), id=number), price=price, events_per_s=rate, volatility=volatility,
            spread_increments=spread, size=size, factors=factors, activity=hours, always_open=always_open,
        )
        for number, (name, price, rate, volatility, spread, size, factors, hours) in enumerate(_DEFAULTS, start=1)
    )  # fmt: skip


# Relative activity by UTC hour: FX has its peak while London and New York are both open, crypto never sleeps.
_FX_HOURS: Final = (5, 5, 5, 4, 4, 5, 8, 14, 16, 15, 13, 12, 15, 19, 20, 18, 15, 10, 8, 7, 6, 4, 4, 5)
_COIN_HOURS: Final = (10, 9, 8, 8, 8, 8, 9, 10, 10, 10, 10, 10, 11, 13, 15, 14, 12, 11, 10, 10, 10, 9, 9, 10)
_DEFAULTS: Final = (
    ("EURUSD", 1.085, 5.0, 0.08, 4.0, 1_000_000.0, (0.80, 0.05), _FX_HOURS),
    ("GBPUSD", 1.27, 4.0, 0.09, 6.0, 800_000.0, (0.70, 0.25), _FX_HOURS),
    ("USDJPY", 151.5, 4.5, 0.10, 5.0, 1_000_000.0, (-0.60, 0.35), _FX_HOURS),
    ("XAUUSD", 2_350.0, 5.0, 0.15, 250.0, 200.0, (0.50, -0.20), _FX_HOURS),
    ("BTCUSDT", 64_000.0, 6.0, 0.50, 150.0, 0.8, (0.20, 0.45), _COIN_HOURS),
)


def _known(symbol: str) -> Instrument:
    found = definition(symbol, VENUE)
    assert found is not None, symbol
    return found


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
    if len(symbol.factors) != FACTORS or not sum(part * part for part in symbol.factors) <= 1.0:
        raise ConfigError(
            f"simulated symbol {name}: factors: expected {FACTORS} numbers, squares at most 1 in sum, found {symbol.factors!r}"
        )
