"""What a researcher meets in a notebook: tables in and out, features to the bit, cells that render, plots that are returned."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure

import tercel as tc
from tercel.base import html
from tercel.base.errors import ConfigError, DataError
from tercel.base.records import QUOTE
from tercel.base.time import NS_PER_MIN, NS_PER_S, parse_instant
from tercel.drivers.history import History
from tercel.drivers.result import Result
from tercel.drivers.train import Trained
from tests.market.history import quote_table, save, take

START_NS = parse_instant("2024-03-04T09:00")
FEATURES = tc.FeatureSet(tc.bars("1m"), [tc.rsi(5), tc.zscore(20), tc.macd(3, 6, 3)])


@pytest.fixture(scope="module")
def market() -> tc.SimulatedHistory:
    """Three simulated hours."""
    return tc.SimulatedHistory(seed=7, hours=3)


@pytest.fixture(scope="module")
def result(market: tc.SimulatedHistory) -> Result:
    """A rule that trades often, so that there is something to see."""
    return tc.backtest(market, decide=tc.EmaCross(fast=3, slow=8, enter=0.2))


@pytest.fixture(scope="module")
def trained(market: tc.SimulatedHistory) -> Trained:
    """A small training."""
    features = tc.FeatureSet(tc.bars("30s"), [tc.zscore(60), tc.rsi(14)])
    return tc.train(market, features, labels=tc.triple_barrier(1.0, 1.0, "10m"), folds=3, register=False)


def quotes(count: int = 600) -> pd.DataFrame:
    """Quotes of ten minutes."""
    bid = np.round(1.08 + np.cumsum(np.random.default_rng(3).integers(-3, 4, count)) / 1e5, 5)
    times = pd.to_datetime(START_NS + NS_PER_S * np.arange(count))
    return pd.DataFrame({"time": times, "bid": bid, "ask": np.round(bid + 2e-5, 5), "bid_size": 1e6, "ask_size": 2e6})


def test_a_table_in_memory_is_an_imported_file(home: Path, tmp_path: Path) -> None:
    """A table that was taken out of the catalog and put in again plays to the same fills, equity and reasons, to the bit."""
    take(save(tmp_path / "eur.parquet", quote_table(4_000, step_ns=3 * NS_PER_S)), venue="mine")
    there = tc.history("EURUSD@mine")
    here = tc.from_frame(there.frame(), "EURUSD@mine")
    rule = tc.EmaCross(fast=3, slow=8, enter=0.0)
    one, two = (tc.backtest(source, decide=rule) for source in (there, here))
    assert len(one.fills)
    assert one.outputs.tobytes() == two.outputs.tobytes()
    assert one.state_hash == two.state_hash


@pytest.mark.parametrize("form", ["index", "zone", "text", "arrow", "arrays", "records", "epoch"])
def test_a_table_may_have_any_usual_form(form: str) -> None:
    """A time index, another zone, text, Arrow, arrays and whole numbers are the same history."""
    table = quotes()
    made: Any = {
        "index": lambda: table.set_index("time"),
        "zone": lambda: table.assign(time=table.time.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")),
        "text": lambda: table.assign(time=table.time.astype(str)),
        "arrow": lambda: pa.Table.from_pandas(table.assign(time=table.time.dt.tz_localize("UTC")), preserve_index=False),
        "arrays": lambda: {name: table[name].to_numpy() for name in table},
        "records": lambda: table.to_records(index=False),
        "epoch": lambda: table.assign(time=table.time.astype("int64")),
    }[form]()
    records = np.concatenate(list(tc.from_frame(made, "EURUSD@mine").stream(0)))
    assert (records["kind"] == QUOTE).all()
    assert records["ts_event"].tolist() == (START_NS + NS_PER_S * np.arange(600)).tolist()
    assert records["price"].tolist() == table.bid.tolist()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bid": -1.0}, r"EURUSD@mine: row 1, column bid: expected a price above 0, found -1\.0"),
        ({"bid": np.inf}, "column bid: expected a price above 0"),
        ({"ask": "dear"}, "column ask: expected numbers"),
        ({"time": pd.NaT}, "column time: expected a time, found 'none'"),
        ({"time": 1.5}, "column time: expected datetime64, text, or whole numbers"),
        ({"price": 1.0}, "the columns are those of quotes and of trades"),
        ({"symbol": "EURUSD"}, "give a table for each instrument"),
    ],
)
def test_a_table_is_checked_as_a_file_is(change: dict[str, Any], expected: str) -> None:
    """What an import refuses is refused, with row and column."""
    with pytest.raises(DataError, match=expected):
        tc.from_frame(quotes().assign(**change), "EURUSD@mine")


@pytest.mark.parametrize(
    ("names", "columns", "expected"),
    [
        ({"bid": "Geld"}, {}, r"found no column of the bid among .*; say which: columns=\{'bid': '…'\}$"),
        (
            {"bid_size": "timestamp"},
            {},
            r"two columns could be the time, 'time' and 'timestamp'; say which: columns=\{'time': 'timestamp'\}$",
        ),
        ({}, {"bid": "Geld"}, r"column 'Geld' for the bid: expected the name or the number of one column, found 'time'"),
    ],
)
def test_headings_are_asked_for_in_the_words_of_python(names: dict[str, str], columns: dict[str, str], expected: str) -> None:
    """What is missing, and the argument that says it: no option of the command line."""
    with pytest.raises(DataError, match=expected):
        tc.from_frame(quotes().assign(bid_size=1.0).rename(columns=names), "EURUSD@mine", columns=columns)


def test_names_and_forms_that_mean_nothing_are_refused() -> None:
    """A name without a venue, no name, and what is no table, say what is expected."""
    for table, name, expected in (
        (quotes(), "EURUSD", "such as EURUSD@mine"),
        (quotes(), None, "expected a name"),
        (3, "A@b", "a DataFrame"),
    ):
        with pytest.raises(ConfigError, match=expected):
            tc.from_frame(table, name)


def test_rows_out_of_order_are_sorted_and_told_and_bars_have_their_interval() -> None:
    """A shuffled table plays as the sorted one, and says so; bars take the commonest distance, and the basis that is said."""
    table = quotes()
    shuffled = tc.from_frame(table.sample(frac=1.0, random_state=1), "EURUSD@mine")
    assert "out of order: repaired" in shuffled.notes[0]
    assert shuffled.frame().equals(tc.from_frame(table, "EURUSD@mine").frame())
    minutes = pd.DataFrame(
        {"Date": pd.to_datetime(START_NS + NS_PER_MIN * np.arange(40)), "Open": 1.1, "High": 1.2, "Low": 1.0, "Close": 1.1}
    )
    bars = tc.from_frame({"EURUSD@mine": minutes, "GBPUSD@mine": minutes}, basis="mid")
    assert [(one.instrument.id, one.key.what) for one in bars.series] == [(1, "bar 1m mid"), (2, "bar 1m mid")]
    assert tc.backtest(bars, tc.FeatureSet(tc.bars("1m"), [])).bars == 80


class Recorder(tc.Strategy):
    """Keeps every feature that the core shows it."""

    features = FEATURES.features

    def on_start(self) -> None:
        """Forget."""
        self.seen: list[tuple[str, int, tuple[float, ...]]] = []

    def on_bar(self, context: Any, bar: Any) -> None:
        """Write down."""
        self.seen.append((context.instrument, bar.closed_ns, tuple(context.features[name] for name in FEATURES.names)))


def test_values_are_what_the_core_sees(market: tc.SimulatedHistory) -> None:
    """`features.values(history)` has the rows that a strategy is shown in a back-test, to the bit, in the same order."""
    recorder = Recorder()
    tc.backtest(market, FEATURES, recorder)
    found = FEATURES.values(market, as_="numpy")
    assert len(recorder.seen) == len(found["time"]) > 500
    assert [one[0] for one in recorder.seen] == found["instrument"].tolist()
    assert [one[1] for one in recorder.seen] == found["time"].astype(np.int64).tolist()
    seen = np.array([one[2] for one in recorder.seen])
    table = np.stack([found[name] for name in FEATURES.names], axis=1)
    assert seen.view(np.int64).tolist() == table.view(np.int64).tolist()


def test_trades_add_up_to_the_ledger(result: Result) -> None:
    """Round trips are counted, won and summed as the exact ledger does; equity ends at the net of its currency."""
    trades, equity = result.trades(), result.equity_frame()
    assert len(trades) > 20
    for one in result.by_instrument:
        mine = trades[trades.instrument == one.name]
        assert (len(mine), int((mine.net > 0).sum())) == (one.trades, one.wins)
        if one.position == 0.0:
            assert mine.net.sum() == pytest.approx(one.net, abs=0.02 * max(1, one.fills))
    assert (trades.closed >= trades.opened).all()
    assert (trades.net - trades.gross + trades.fees).abs().max() < 1e-9
    for money in result.by_currency:
        mine = equity[equity.currency == money.currency]
        assert mine.drawdown.min() == pytest.approx(-money.drawdown)


class Structure(HTMLParser):
    """Checks that tags close, and collects attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag opens."""
        self.open.append(tag)
        self.links += [f"{name}={value}" for name, value in attrs if name in ("src", "href")]
        assert tag not in ("script", "link", "img")

    def handle_endtag(self, tag: str) -> None:
        """A tag closes."""
        assert self.open.pop() == tag


def test_every_object_shows_itself_in_a_cell_and_in_a_terminal(
    home: Path, market: tc.SimulatedHistory, result: Result, trained: Trained
) -> None:
    """IPython has text and well-formed HTML of each; the text is short, the HTML asks for nothing from elsewhere."""
    show = DisplayFormatter().format
    memory = tc.from_frame(quotes(), "EURUSD@mine")
    rule = tc.ModelRule(trained.model)
    for one in (market, memory, result, trained, trained.model, FEATURES, tc.Limits(), tc.VenueModel(), tc.Plan(), tc.Registry(), rule):
        data, _ = show(one)
        assert len(data["text/plain"]) < 1_200, type(one)
        assert "array(" not in data["text/plain"]
        page = Structure()
        page.feed(data["text/html"])
        assert page.open == [] or isinstance(one, Trained)
        assert page.links == []
    assert "out of sample" in repr(trained)
    assert "net" in repr(result)


def test_text_in_a_cell_is_escaped() -> None:
    """What a file or a user called a thing cannot become markup."""
    bad = "<b onclick='x'>&"
    for made in (
        html.card(bad, bad, html.table((bad,), [(bad,)], title=bad)),
        tc.FeatureSet(tc.bars("1m"), [tc.ema(3, name=bad)])._repr_html_(),
    ):
        assert "<b " not in made
        assert "&lt;b onclick=&#x27;x&#x27;&gt;&amp;" in made


def test_plots_are_figures_that_nobody_has_shown(home: Path, market: tc.SimulatedHistory, result: Result, trained: Trained) -> None:
    """Each plot comes back as a figure with its data; the notebook gets a picture; pyplot, which would show things, is not even loaded."""
    figures = [result.plot(), result.plot("EURUSD"), trained.plot(), FEATURES.plot(market, "EURUSD"), tc.from_frame(quotes(), "A@b").plot()]
    for one in figures:
        assert isinstance(one, Figure)
        assert all(panel.has_data() for panel in one.axes)
        assert DisplayFormatter().format(one)[0]["image/png"][:4] == b"\x89PNG"
    drawn = figures[1].axes[0].lines[-1].get_ydata()
    assert np.asarray(drawn)[-1] == result.equity["USD"][1][-1]
    with pytest.raises(ConfigError, match="expected one of EURUSD@sim"):
        result.plot("DOGE")


def test_a_missing_extra_is_named() -> None:
    """Without Matplotlib or pandas the rest works, and what needs them says how to get them."""
    code = """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("matplotlib", "pandas"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
import tercel as tc

market = tc.SimulatedHistory(seed=7, hours=0.2)
result = tc.backtest(market)
assert result.trades(as_="arrow").num_rows >= 0
for call in (result.plot, result.trades, market.frame, market.plot):
    try:
        call()
    except tc.ConfigError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"pip install '(tercel\[\w+\])'", done.stdout) == [
        "tercel[plots]",
        "tercel[pandas]",
        "tercel[pandas]",
        "tercel[plots]",
    ]


def test_history_of_the_catalog_shows_itself(home: Path, tmp_path: Path) -> None:
    """A history of the catalog has the same tables and cells."""
    take(save(tmp_path / "eur.parquet", quote_table(200)), venue="one")
    chosen = tc.history("EURUSD@one")
    assert isinstance(chosen, History)
    assert len(chosen.frame()) == 200
    assert "EURUSD@one" in chosen._repr_html_()
