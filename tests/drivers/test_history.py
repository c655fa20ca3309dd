"""History as the drivers see it: the best series of each instrument, one merged stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tercel.base.errors import ConfigError
from tercel.base.records import BAR, LAST, QUOTE, TRADE, Records, empty
from tercel.base.time import NS_PER_MS, NS_PER_S
from tercel.drivers.history import History, default_names, history
from tercel.features.spec import bars
from tercel.market.catalog import Catalog
from tests.market.history import START_NS, bar_table, quote_table, save, take

MINUTE_NS = 60 * NS_PER_S


@pytest.fixture
def filled(home: Path, tmp_path: Path) -> Catalog:
    """Quotes of two pairs at one venue, one of them at another venue as well, and minute bars without quotes of a third."""
    take(save(tmp_path / "eur.parquet", quote_table(200)), venue="one")
    take(save(tmp_path / "gbp.parquet", quote_table(100, step_ns=2 * NS_PER_S, symbol="GBPUSD", seed=2)), venue="one")
    take(save(tmp_path / "eur2.parquet", quote_table(50, symbol="EURUSD", seed=3)), venue="two")
    opens = [START_NS + minute * MINUTE_NS for minute in range(3)]
    take(save(tmp_path / "bars.parquet", bar_table(opens, [0.9, 0.91, 0.92], symbol="AUDUSD")), venue="one")
    return Catalog()


def trades(times: list[int]) -> Records:
    """One trade of one unit at each time."""
    rows = empty(len(times))
    rows["ts_event"], rows["kind"], rows["flags"], rows["price"], rows["size"] = times, TRADE, LAST, 1.1, 1.0
    rows["price2"] = rows["size2"] = np.nan
    return rows


def stream(chosen: History) -> Records:
    """All of it, with 1 ms of modelled latency."""
    return np.concatenate(list(chosen.stream(NS_PER_MS)))


def test_several_instruments_are_one_stream_in_order_of_arrival(filled: Catalog) -> None:
    """Every row of every series is there, in order of (arrival, instrument); quotes without an arrival time arrive one latency later."""
    chosen = history(["GBPUSD", "EURUSD@one"])
    rows = stream(chosen)
    assert [one.name for one in chosen.instruments] == ["EURUSD@one", "GBPUSD@one"]
    assert len(rows) == chosen.rows == 300
    keys = list(zip(rows["ts_recv"].tolist(), rows["instrument"].tolist(), strict=True))
    assert keys == sorted(keys)
    assert (rows["ts_recv"] - rows["ts_event"] == NS_PER_MS).all()


def test_a_period_includes_its_start_and_not_its_end(filled: Catalog) -> None:
    """Rows are taken from the start on and before the end, by the time at which they happened."""
    rows = stream(history("EURUSD@one", "2014-05-01T00:00:10", "2014-05-01T00:00:20"))
    assert ((rows["ts_event"] - START_NS) // NS_PER_S).tolist() == list(range(10, 20))


def test_quotes_are_taken_before_bars(filled: Catalog) -> None:
    """An instrument is played from its quotes; one without any from its bars, which are known when they close, and says so."""
    chosen = history(["EURUSD@one", "AUDUSD"])
    assert chosen.quoted == {"EURUSD@one"}
    rows = stream(chosen)
    assert {*rows["kind"].tolist()} == {QUOTE, BAR}
    closed = rows[rows["kind"] == BAR]
    assert (closed["ts_recv"] - closed["ts_event"] == MINUTE_NS + NS_PER_MS).all()


def test_bars_of_trades_are_not_built_from_quotes(filled: Catalog) -> None:
    """Asked for the trade price, an instrument that has only quotes is refused, and one with bars of trades plays those."""
    with pytest.raises(ConfigError, match="needs trades; use --price mid"):
        history("EURUSD@one", price="trade").check(bars("1m", "trade"))
    opens = [START_NS + minute * MINUTE_NS for minute in range(3)]
    filled.add(filled.resolve("EURUSD@one"), "trade", trades(opens))
    chosen = history("EURUSD@one", price="trade")
    chosen.check(bars("1m", "trade"))
    assert set(stream(chosen)["kind"].tolist()) == {TRADE}
    assert history("EURUSD@one").quoted == {"EURUSD@one"}


def test_an_ambiguous_name_is_refused_with_the_choices(filled: Catalog) -> None:
    """A symbol that two venues have is never guessed."""
    with pytest.raises(ConfigError, match="2 venues have it, say which: EURUSD@one, EURUSD@two"):
        history("EURUSD")
    with pytest.raises(ConfigError, match="did you mean"):
        history("EURUSF@one")


def test_an_empty_choice_is_refused(filled: Catalog) -> None:
    """A period that ends before it starts, one without data and bars nobody has are refused with what to do."""
    with pytest.raises(ConfigError, match="expected a start before the end"):
        history("GBPUSD", "2014-05-02", "2014-05-01")
    with pytest.raises(ConfigError, match="nothing of GBPUSD between 2015-01-01 and None"):
        history("GBPUSD", "2015-01-01")
    with pytest.raises(ConfigError, match=r"AUDUSD@one: expected quotes, trades or bars of 1h, the catalog has"):
        history("AUDUSD", every="1h")


def test_bars_may_be_asked_for(filled: Catalog) -> None:
    """`every` chooses bars of that interval and nothing else."""
    chosen = history("AUDUSD", every="1m")
    assert [one.key.what for one in chosen.series] == ["bar 1m bid"]
    assert "AUDUSD@one bars" in chosen.describe()


def test_a_name_given_twice_is_played_once(filled: Catalog) -> None:
    """The same instrument under its two names is one series."""
    assert len(history(["GBPUSD", "GBPUSD", "GBPUSD@one"]).series) == 1


def test_defaults_are_the_quoted_pairs(filled: Catalog) -> None:
    """Without names every currency pair and metal with quotes is traded; an empty catalog says what to do."""
    assert default_names(filled) == ["EURUSD@one", "EURUSD@two", "GBPUSD@one"]
    with pytest.raises(ConfigError, match="tercel data import"):
        default_names(Catalog(filled.root / "elsewhere"))
