"""The simulated market behaves like one: clusters, regimes, fat tails, correlation, spreads, and prices a venue could quote."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from tercel.base.records import LAST, QUOTE, TRADE, Records
from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S, parse_instant
from tercel.market.feeds.base import UNLIMITED
from tercel.market.feeds.simulated_symbols import SimulatedSymbol, default_symbols
from tercel.market.feeds.simulator import Simulator
from tercel.market.instruments import on_grid

START_NS = parse_instant("2024-05-14")
SYMBOLS = default_symbols()
BY_SYMBOL = pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda symbol: symbol.instrument.symbol)


@pytest.fixture(scope="module")
def day() -> dict[int, Records]:
    """One Tuesday, by instrument id."""
    (rows,) = Simulator(seed=5, start_ns=START_NS, pace=UNLIMITED).records(START_NS, START_NS + NS_PER_DAY)
    return {symbol.instrument.id: rows[rows["instrument"] == symbol.instrument.id] for symbol in SYMBOLS}


def mids(rows: Records, step_ns: int) -> npt.NDArray[np.float64]:
    """The mid in force at every step of the day, from the second on."""
    quotes = rows[rows["kind"] == QUOTE]
    place = np.searchsorted(quotes["ts_event"], START_NS + np.arange(step_ns, NS_PER_DAY, step_ns), side="right") - 1
    return 0.5 * (quotes["price"] + quotes["price2"])[place]


def spread_by_minute(rows: Records) -> npt.NDArray[np.float64]:
    """The mean spread in each minute of the day, 0 in one without quotes."""
    quotes = rows[rows["kind"] == QUOTE]
    minute = (quotes["ts_event"] - START_NS) // NS_PER_MIN
    return np.bincount(minute, quotes["price2"] - quotes["price"], 1_440) / np.maximum(1, np.bincount(minute, minlength=1_440))


def returns(rows: Records, step_ns: int) -> npt.NDArray[np.float64]:
    """Log returns per step."""
    return np.diff(np.log(mids(rows, step_ns)))


@BY_SYMBOL
def test_every_number_is_one_a_venue_could_send(day: dict[int, Records], symbol: SimulatedSymbol) -> None:
    """Prices and sizes are positive and on the grid, ask is above bid, trades have a side and quotes have none."""
    rows = day[symbol.instrument.id]
    quotes, trades = rows[rows["kind"] == QUOTE], rows[rows["kind"] == TRADE]
    assert len(quotes) + len(trades) == len(rows)
    assert (quotes["price2"] > quotes["price"]).all()
    assert np.isnan(trades["price2"]).all()
    assert np.isnan(trades["size2"]).all()
    assert set(np.unique(trades["side"])) == {-1, 1}
    assert not quotes["side"].any()
    assert (rows["flags"] == LAST).all()
    for field, decimals in (("price", symbol.instrument.price_decimals), ("size", symbol.instrument.size_decimals)):
        for values in (rows[field], quotes[field + "2"]):
            assert values.min() > 0
            assert on_grid(values, decimals).all()


def test_prices_and_sizes_are_multiples_of_the_increments() -> None:
    """A future that moves in quarters is quoted in quarters."""
    future = msgspec.structs.replace(SYMBOLS[0].instrument, price_decimals=2, price_increment=25, size_increment=1_000)
    symbol = msgspec.structs.replace(SYMBOLS[0], instrument=future, price=5_000.0, spread_increments=1.0)
    rows = Simulator([symbol], seed=2, start_ns=START_NS, pace=UNLIMITED).poll(0, 2_000)
    quotes = rows[rows["kind"] == QUOTE]
    for prices in (rows["price"], quotes["price2"]):
        assert (prices * 4 == np.rint(prices * 4)).all()
    assert (rows["size"] % 1_000 == 0).all()
    assert (quotes["price2"] - quotes["price"]).min() == 0.25
    assert abs(np.median(rows["price"]) - 5_000.0) < 100.0


def test_a_spread_below_one_increment_is_quoted_as_one() -> None:
    """The ask stays above the bid where a venue could not quote them closer."""
    tight = msgspec.structs.replace(SYMBOLS[0], spread_increments=0.1, volatility=0.001)
    rows = Simulator([tight], seed=2, start_ns=START_NS, pace=UNLIMITED).poll(0, 2_000)
    quotes = rows[rows["kind"] == QUOTE]
    assert (np.rint((quotes["price2"] - quotes["price"]) * 1e5) == 1).all()


@BY_SYMBOL
def test_prices_wander_over_the_day_and_do_not_jump_between_minutes(day: dict[int, Records], symbol: SimulatedSymbol) -> None:
    """The variance of hours is that of seconds added up, as for any price without memory; the first second of a minute is like others."""
    seconds = returns(day[symbol.instrument.id], NS_PER_S)
    borders, inside = seconds[58::60], np.delete(seconds, np.s_[58::60])
    assert np.median(np.abs(borders)) < 1.5 * np.median(np.abs(inside[inside != 0]))
    hour = np.add.reduceat(seconds, np.arange(0, len(seconds), 3_600))
    minute = np.add.reduceat(seconds, np.arange(0, len(seconds), 60))
    assert np.mean(hour**2) > 10 * np.mean(minute**2)


@BY_SYMBOL
def test_the_mean_rate_is_the_one_asked_for(day: dict[int, Records], symbol: SimulatedSymbol) -> None:
    """Regimes move a single day; over it one event in five is a trade."""
    rows = day[symbol.instrument.id]
    assert 0.7 < len(rows) / (NS_PER_DAY / NS_PER_S) / symbol.events_per_s < 1.4
    assert 0.19 < np.mean(rows["kind"] == TRADE) < 0.21


@BY_SYMBOL
def test_events_come_in_clusters(day: dict[int, Records], symbol: SimulatedSymbol) -> None:
    """Inside a minute, where hour and regime hardly change, counts per second vary more than 1.5 times as much as Poisson counts."""
    seconds = (day[symbol.instrument.id]["ts_event"] - START_NS) // NS_PER_S
    counts = np.bincount(seconds, minlength=86_400).reshape(-1, 60)
    assert counts.var(axis=1).sum() / counts.mean(axis=1).sum() > 1.5


@BY_SYMBOL
def test_returns_have_fat_tails_and_their_size_persists(day: dict[int, Records], symbol: SimulatedSymbol) -> None:
    """Kurtosis is above the normal 3, and large moves follow large moves: regimes are visible."""
    moves = returns(day[symbol.instrument.id], 10 * NS_PER_S)
    kurtosis = np.mean((moves - moves.mean()) ** 4) / moves.var() ** 2
    assert kurtosis > 4
    sizes = np.minimum(np.abs(moves), 6 * moves.std())  # so that one jump does not decide
    persistence = np.corrcoef(sizes[:-1], sizes[1:])[0, 1]
    assert persistence > 5 / np.sqrt(len(sizes))
    assert abs(np.corrcoef(moves[:-1], moves[1:])[0, 1]) < 0.2  # their sign hardly does


def test_symbols_move_together_as_their_factors_say(day: dict[int, Records]) -> None:
    """Pairs that share a factor clearly have a correlation of the right sign and about the right size."""
    measured = np.corrcoef([returns(day[symbol.instrument.id], 10 * NS_PER_S) for symbol in SYMBOLS])
    factors = np.array([symbol.factors for symbol in SYMBOLS])
    expected = factors @ factors.T
    clear = (np.abs(expected) > 0.2) & ~np.eye(len(SYMBOLS), dtype=bool)
    assert clear.sum() >= 10
    assert (np.sign(measured[clear]) == np.sign(expected[clear])).all()
    assert np.abs(measured - expected)[clear].max() < 0.25


@BY_SYMBOL
def test_a_trade_prints_at_the_last_quote_and_tells_a_little(day: dict[int, Records], symbol: SimulatedSymbol) -> None:
    """Buyers pay the ask, sellers get the bid, sides persist, and the mid drifts a little their way: far less than it moves."""
    rows = day[symbol.instrument.id]
    rows = rows[int(np.argmax(rows["kind"] == QUOTE)) :]
    quoted = np.maximum.accumulate(np.where(rows["kind"] == QUOTE, np.arange(len(rows)), 0))
    trade = rows["kind"] == TRADE
    last = rows[quoted[trade]]
    side = rows["side"][trade].astype(np.float64)
    assert (rows["price"][trade] == np.where(side > 0, last["price2"], last["price"])).all()
    assert 0.15 < np.corrcoef(side[:-1], side[1:])[0, 1] < 0.35
    quotes = rows[rows["kind"] == QUOTE]
    mid = 0.5 * (quotes["price"] + quotes["price2"])
    later = np.searchsorted(quotes["ts_event"], rows["ts_event"][trade] + 5 * NS_PER_S, side="right") - 1
    move = mid[later] - 0.5 * (last["price"] + last["price2"])
    information = np.corrcoef(side, np.clip(move, -4 * move.std(), 4 * move.std()))[0, 1]
    assert 4 / np.sqrt(len(side)) < information < 0.2


def test_the_spread_widens_in_storms(day: dict[int, Records]) -> None:
    """It is wider in the tenth of minutes that moved most, compared with the hour they are in: a little, as in recorded markets."""
    ratios = []
    for rows in day.values():
        quotes = rows[rows["kind"] == QUOTE]
        by_minute = spread_by_minute(quotes)
        moved = np.abs(returns(quotes, NS_PER_S)[: 1_439 * 60].reshape(-1, 60)).sum(axis=1)
        usual = np.repeat(np.median(by_minute.reshape(24, 60), axis=1), 60)[:1_439]
        quoted = (usual > 0) & (by_minute[:1_439] > 0)  # metals pause for an hour
        relative, moved = by_minute[:1_439][quoted] / usual[quoted], moved[quoted]
        loud = moved >= np.quantile(moved, 0.9)
        ratios.append(relative[loud].mean() / relative[~loud].mean())
    assert np.mean(ratios) > 1.04


@pytest.mark.parametrize("symbol", SYMBOLS[:3], ids=lambda symbol: symbol.instrument.symbol)
def test_the_spread_is_widest_when_the_day_rolls(day: dict[int, Records], symbol: SimulatedSymbol) -> None:
    """FX costs most in the hour after 17:00 New York, 21:00 UTC in summer."""
    hours = np.median(spread_by_minute(day[symbol.instrument.id]).reshape(24, -1), axis=1)
    assert hours[21] > 1.3 * np.median(hours)


def test_activity_follows_the_hours_of_the_day(day: dict[int, Records]) -> None:
    """London afternoon is busier than Asian night."""
    hours = np.bincount((day[1]["ts_event"] - START_NS) // NS_PER_H, minlength=24)
    assert hours[13:16].min() > 1.5 * hours[0:4].max()
