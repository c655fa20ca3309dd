"""The stylised facts of recorded and simulated markets, by the same functions; `python -m tests.market.stylised_facts` prints them.

What is measured follows Cont, "Empirical properties of asset returns: stylized facts and statistical issues", Quantitative Finance 1, 2001,
and for single facts the source named at the function. The recorded markets are found as in the tests (`TERCEL_TEST_DATA`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tercel.base.records import QUOTE, TRADE
from tercel.base.time import NS_PER_MIN, NS_PER_S, parse_instant
from tercel.market.feeds.base import UNLIMITED
from tercel.market.feeds.simulated_symbols import default_symbols
from tercel.market.feeds.simulator import Simulator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Facts = dict[str, float]

SILENCE_NS = 600 * NS_PER_S  # a market that has not quoted for so long is closed
TAIL = 0.02  # share of the largest values that make a tail
START, END = "2014-05-01", "2014-05-09"  # of the simulated market: the days of the recorded EURUSD, with their payrolls
PAYROLLS = "2014-05-02T12:30:00"
PAYROLLS_OF_2012 = "2012-12-07T13:30:00"
SEEDS = (1, 2, 3, 4, 5)


class Quotes(NamedTuple):
    """Quotes that are neither crossed nor locked."""

    times: Ints
    bid: Floats
    ask: Floats

    @property
    def mid(self) -> Floats:
        """The mid of each quote."""
        result: Floats = 0.5 * (self.bid + self.ask)
        return result


class Trades(NamedTuple):
    """Trades; `side` 0 where the source does not say."""

    times: Ints
    size: Floats
    side: Floats


class Series(NamedTuple):
    """A recorded series: the file under the folder of market data, and the symbol in it."""

    file: str
    symbol: str


QUOTED = {
    "EURUSD OANDA": Series("quotes/fx_oanda_tick_201405.parquet", "EURUSD"),
    "EURUSD FXCM": Series("quotes/fx_fxcm_tick_201405.parquet", "EURUSD"),
    "XAUUSD OANDA": Series("quotes/fx_oanda_tick_201405.parquet", "XAUUSD"),
    "GBPJPY Dukascopy": Series("quotes/fx_dukascopy_tick.parquet", "GBPJPY"),
    "EURUSD Dukascopy": Series("quotes/fx_dukascopy_tick.parquet", "EURUSD"),
    "AUDUSD TrueFX": Series("quotes/fx_truefx_histdata_tick.parquet", "AUDUSD"),
}
TRADED = {
    "BTCUSDT-PERP Binance": Series("trades/crypto_binance_tick.parquet", "BTCUSDT-PERP"),
    "BTCUSDT Binance": Series("trades/crypto_binance_tick.parquet", "BTCUSDT"),
    "ETHUSDT-PERP Binance": Series("trades/crypto_binance_tick.parquet", "ETHUSDT-PERP"),
    "SPY": Series("trades/equity_tick_201310.parquet", "SPY"),
    "BAC": Series("trades/equity_tick_201310.parquet", "BAC"),
}


def recorded_quotes(root: Path, series: Series) -> Quotes:
    """The quotes of a recorded series."""
    times, bid, ask = _columns(root, series, "ts_event", "bid", "ask")
    whole = ask > bid
    return Quotes(times[whole].astype(np.int64), bid[whole], ask[whole])


def recorded_trades(root: Path, series: Series) -> Trades:
    """The trades of a recorded series; prints of one side with one time are one trade, what an order met at several prices."""
    times, size, side = _columns(root, series, "ts_event", "size", "side")
    first = np.flatnonzero(np.concatenate(([True], (np.diff(times) != 0) | (np.diff(side) != 0) | (side[1:] == 0))))
    return Trades(times[first].astype(np.int64), np.add.reduceat(size.astype(np.float64), first), side[first].astype(np.float64))


def _columns(root: Path, series: Series, *names: str) -> list[npt.NDArray[np.generic]]:
    table = pq.read_table(root / series.file, columns=["symbol", *names])
    table = table.filter(pc.equal(table["symbol"], series.symbol))
    return [table[name].to_numpy() for name in names]


def simulated(seed: int, symbols: tuple[str, ...] = ("EURUSD", "XAUUSD")) -> tuple[dict[str, Quotes], dict[str, Trades]]:
    """The simulated quotes and trades of the days of the recorded ones, by symbol."""
    chosen = [symbol for symbol in default_symbols() if symbol.instrument.symbol in symbols]
    quotes: dict[str, list[Quotes]] = {symbol: [] for symbol in symbols}
    trades: dict[str, list[Trades]] = {symbol: [] for symbol in symbols}
    start_ns = parse_instant(START)
    for day in Simulator(chosen, seed=seed, start_ns=start_ns, pace=UNLIMITED).records(start_ns, parse_instant(END)):
        for symbol in chosen:
            mine = day[day["instrument"] == symbol.instrument.id]
            quote, trade = mine[mine["kind"] == QUOTE], mine[mine["kind"] == TRADE]
            quotes[symbol.instrument.symbol].append(Quotes(quote["ts_event"], quote["price"], quote["price2"]))
            trades[symbol.instrument.symbol].append(Trades(trade["ts_event"], trade["size"], trade["side"].astype(np.float64)))
    return (
        {name: Quotes(*map(np.concatenate, zip(*parts, strict=True))) for name, parts in quotes.items()},
        {name: Trades(*map(np.concatenate, zip(*parts, strict=True))) for name, parts in trades.items()},
    )


def mids_by(quotes: Quotes, step_s: int, start_ns: int = 0, end_ns: int = 0) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The mid in force at every step of a period, and whether the market was open then."""
    step = step_s * NS_PER_S
    times = np.arange((start_ns or int(quotes.times[0])) // step * step + step, end_ns or int(quotes.times[-1]), step)
    place = np.maximum(np.searchsorted(quotes.times, times, side="right") - 1, 0)
    return quotes.mid[place], times - quotes.times[place] < SILENCE_NS


def returns(quotes: Quotes, step_s: int) -> Floats:
    """Log returns of the mid over steps that begin and end in an open market."""
    mids, open_ = mids_by(quotes, step_s)
    result: Floats = np.diff(np.log(mids))[open_[1:] & open_[:-1]]
    return result


def kurtosis(values: Floats) -> float:
    """Fourth moment over squared variance: 3 for normal numbers."""
    centred = values - values.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2)


def tail_index(values: Floats) -> float:
    """Index of the tail of the size of values (Hill, Annals of Statistics 3, 1975); 3 or so for returns."""
    ordered = np.sort(np.abs(values))[::-1]
    count = max(20, int(len(ordered) * TAIL))
    return float(1.0 / np.mean(np.log(ordered[:count] / ordered[count])))


def memory(values: Floats, lag: int) -> float:
    """Autocorrelation at a lag."""
    centred = values - values.mean()
    return float(np.mean(centred[:-lag] * centred[lag:]) / np.mean(centred**2))


def together(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic]) -> float:
    """Rank correlation (Spearman)."""
    return float(np.corrcoef(*(np.argsort(np.argsort(values)) for values in (first, second)))[0, 1])


def clustering(times: Ints, window_s: int) -> float:
    """Branching ratio that the variance of counts tells: 1 - sqrt(mean / variance); 0 for Poisson (Hardiman and Bouchaud, PRE 90, 2014)."""
    counts = np.bincount((times - times[0]) // (window_s * NS_PER_S))
    open_ = np.repeat(np.bincount((times - times[0]) // SILENCE_NS) > 0, SILENCE_NS // NS_PER_S // window_s)[: len(counts)]
    counts = counts[: len(open_)][open_]
    return float(1.0 - np.sqrt(min(1.0, counts.mean() / counts.var())))


def quote_facts(quotes: Quotes) -> Facts:
    """Facts of one series of quotes."""
    minute, half_hour = returns(quotes, 60), returns(quotes, 1_800)
    clipped = np.clip(minute, -8 * np.median(np.abs(minute)), 8 * np.median(np.abs(minute)))  # so that one piece of news does not decide
    spread = quotes.ask - quotes.bid
    wait = np.diff(quotes.times)
    wait = wait[wait < SILENCE_NS]
    moved = np.diff(quotes.mid)
    signs = np.sign(moved[moved != 0])
    return {
        "kurtosis, 1 min": kurtosis(minute),
        "kurtosis, 30 min": kurtosis(half_hour),
        "tail index, 1 min": tail_index(minute),
        "memory of returns, 1 min": memory(clipped, 1),
        "memory of returns, 2 to 10 min": max((memory(clipped, lag) for lag in range(2, 11)), key=abs),
        "memory of their size, 1 min": memory(np.abs(clipped), 1),
        "memory of their size, 10 min": memory(np.abs(clipped), 10),
        "memory of their size, 1 h": memory(np.abs(clipped), 60),
        "variance of seconds over that of minutes": 60.0 * float(np.mean(returns(quotes, 1) ** 2) / np.mean(minute**2)),
        "spread, 90 % over median": float(np.quantile(spread, 0.9) / np.median(spread)),
        "spread, 99 % over median": float(np.quantile(spread, 0.99) / np.median(spread)),
        "branching, 1 s": clustering(quotes.times, 1),
        "branching, 10 s": clustering(quotes.times, 10),
        "branching, 60 s": clustering(quotes.times, 60),
        "waits, deviation over mean": float(wait.std() / wait.mean()),
        "quotes that leave the mid": float(np.mean(moved == 0)),
        "memory of the mid's direction": memory(signs, 1),
        **minute_facts(quotes),
    }


class Minutes(NamedTuple):
    """Columns by minute with quotes: minutes since 1970, number of quotes, mean spread, range of the mid."""

    minute: Ints
    count: Ints
    spread: Floats
    span: Floats


def by_minute(quotes: Quotes) -> Minutes:
    """Sums of each minute."""
    minute, first = np.unique(quotes.times // NS_PER_MIN, return_index=True)
    count = np.diff(np.append(first, len(quotes.times)))
    span = np.maximum.reduceat(quotes.mid, first) - np.minimum.reduceat(quotes.mid, first)
    return Minutes(minute, count, np.add.reduceat(quotes.ask - quotes.bid, first) / count, span)


def hours(quotes: Quotes, column: Callable[[Minutes], npt.NDArray[np.generic]]) -> Floats:
    """Mean of a column by hour of the UTC day over their mean, 0 for an hour without minutes."""
    minutes = by_minute(quotes)
    hour = minutes.minute // 60 % 24
    means = np.bincount(hour, column(minutes), 24) / np.maximum(1, np.bincount(hour, minlength=24))
    result: Floats = means / means[means > 0].mean()
    return result


def minute_facts(quotes: Quotes) -> Facts:
    """How activity, movement and spread go together from minute to minute, compared within each hour of the day."""
    minutes = by_minute(quotes)
    hour = minutes.minute // 60 % 24

    def beside_hour(values: npt.NDArray[np.generic]) -> Floats:
        usual = np.array([np.median(values[hour == each]) if (hour == each).any() else 0.0 for each in range(24)])
        result: Floats = values - usual[hour]
        return result

    count, spread, span = (beside_hour(column) for column in minutes[1:])
    active = hours(quotes, lambda each: each.count)
    return {
        "activity goes with movement": together(count, span),
        "spread goes with movement": together(spread, span),
        "busiest hour over quietest": float(active.max() / active[active > 0.1].min()),
        "spread of the widest hour over median": float(
            hours(quotes, lambda each: each.spread).max() / np.median(hours(quotes, lambda each: each.spread))
        ),
    }


def trade_facts(trades: Trades) -> Facts:
    """Facts of one series of trades; sides where they are known."""
    facts = {
        "size, 90 % over median": float(np.quantile(trades.size, 0.9) / np.median(trades.size)),
        "size, 99 % over median": float(np.quantile(trades.size, 0.99) / np.median(trades.size)),
        "size, tail index": tail_index(trades.size),
        "branching of trades, 1 s": clustering(trades.times, 1),
        "branching of trades, 10 s": clustering(trades.times, 10),
    }
    if trades.side.any():
        facts |= {f"memory of sides, {lag} trades": memory(trades.side, lag) for lag in (1, 10, 50)}
    return facts


def joint_facts(first: Quotes, second: Quotes) -> Facts:
    """Correlation of two symbols' returns by step, their largest moves cut (Epps, J. Am. Stat. Assoc. 74, 1979)."""
    start_ns, end_ns = max(first.times[0], second.times[0]), min(first.times[-1], second.times[-1])
    facts = {}
    for step_s in (1, 10, 60, 300):
        (mids, open_), (others, also) = (mids_by(one, step_s, int(start_ns), int(end_ns)) for one in (first, second))
        usable = (open_ & also)[1:] & (open_ & also)[:-1]
        moves = [np.diff(np.log(each))[usable] for each in (mids, others)]
        cut = [np.clip(each, -5 * each.std(), 5 * each.std()) for each in moves]
        facts[f"correlation, {step_s} s"] = float(np.corrcoef(*cut)[0, 1])
    return facts


def news_facts(quotes: Quotes, at: str) -> Facts:
    """What a release does, over the hour before it: spread and deviation of one-second moves."""
    at_ns = parse_instant(at)

    def window(start_s: int, end_s: int) -> tuple[float, float]:
        start_ns, end_ns = at_ns + start_s * NS_PER_S, at_ns + end_s * NS_PER_S
        inside = (quotes.times >= start_ns) & (quotes.times < end_ns)
        moves = np.diff(mids_by(quotes, 1, start_ns, end_ns + 1)[0])
        return float(np.mean((quotes.ask - quotes.bid)[inside])), float(np.sqrt(np.mean(moves**2)))

    spread, deviation = window(-3_600, -300)
    return {
        "news: spread 10 s before": window(-10, 0)[0] / spread,
        "news: spread 10 s after": window(0, 10)[0] / spread,
        "news: spread 2 min after": window(60, 180)[0] / spread,
        "news: volatility 1 min after": window(30, 90)[1] / deviation,
        "news: volatility 15 min after": window(600, 1_200)[1] / deviation,
        "news: volatility 90 min after": window(3_600, 7_200)[1] / deviation,
    }


def recorded(root: Path) -> dict[str, list[float]]:
    """Every fact of every recorded series that has it."""
    found: dict[str, list[float]] = {}
    quotes = {name: recorded_quotes(root, series) for name, series in QUOTED.items()}
    facts = [quote_facts(one) for one in quotes.values()]
    facts += [trade_facts(recorded_trades(root, series)) for series in TRADED.values()]
    facts.append(joint_facts(quotes["EURUSD OANDA"], quotes["XAUUSD OANDA"]))
    facts.append(joint_facts(quotes["AUDUSD TrueFX"], recorded_quotes(root, Series(QUOTED["AUDUSD TrueFX"].file, "EURUSD"))))
    facts += [news_facts(quotes[name], PAYROLLS) for name in ("EURUSD OANDA", "XAUUSD OANDA")]
    facts.append(news_facts(quotes["GBPJPY Dukascopy"], PAYROLLS_OF_2012))
    for each in facts:
        for name, value in each.items():
            found.setdefault(name, []).append(value)
    return found


def simulated_facts(seed: int) -> Facts:
    """Every fact of the simulated EURUSD, and of it with gold."""
    quotes, trades = simulated(seed)
    return {
        **quote_facts(quotes["EURUSD"]),
        **trade_facts(trades["EURUSD"]),
        **joint_facts(quotes["EURUSD"], quotes["XAUUSD"]),
        **news_facts(quotes["EURUSD"], PAYROLLS),
    }


def main() -> None:
    """Print the table of `docs/explanation/simulator.md`."""
    root = Path(os.environ.get("TERCEL_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    real = recorded(root)
    ours = [simulated_facts(seed) for seed in SEEDS]
    print(f"| fact | recorded, lowest to highest | simulated, median of {len(SEEDS)} seeds (lowest to highest) |\n|---|---|---|")
    for name, values in real.items():
        mine = sorted(facts[name] for facts in ours)
        print(
            f"| {name} | {min(values):.2f} to {max(values):.2f} ({len(values)} series) "
            f"| {mine[len(mine) // 2]:.2f} ({mine[0]:.2f} to {mine[-1]:.2f}) |"
        )


if __name__ == "__main__":
    main()
