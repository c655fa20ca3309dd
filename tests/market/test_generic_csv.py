"""Tables with a header: the usual names, any usual time, European numbers; what is ambiguous is refused with what to pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.errors import ConfigError, DataError, TercelError
from tercel.base.records import TRADE, Records
from tercel.base.time import NS_PER_MIN, NS_PER_MS, parse_instant
from tercel.market.catalog import Catalog
from tercel.market.importers.batch import Batch, Options
from tercel.market.importers.generic import read
from tercel.market.importers.validate import validate
from tests.market.history import picture, take, text

AT_NS = parse_instant("2024-03-01T09:30:00.250")
NAN = float("nan")


def rows_of(path: Path, **options: Any) -> Records:
    """The records of a file, in file order."""
    given = {"symbol": "EURUSD", "venue": "mine"} | options
    return np.concatenate([batch.records for batch in read(path, Options(**given))])


@pytest.mark.parametrize(
    "said",
    [
        "2024-03-01 09:30:00.250", "2024-03-01T09:30:00.25Z", "2024-03-01T10:30:00.250+01:00", "2024-03-01 04:30:00.250 -0500",
        "2024.03.01 09:30:00.250", "2024/03/01 09:30:00,25", "01.03.2024 09:30:00.250", "20240301 093000.250", "20240301093000250",
        "1709285400250", "1709285400.250", "1709285400250000", "1709285400250000000", "1709285400250.000000",
    ],
)  # fmt: skip
def test_any_usual_time_is_understood(said: str, tmp_path: Path) -> None:
    """Dates in every usual order and with offsets, seconds, milli-, micro- and nanoseconds since 1970 are the same instant."""
    sep = ";" if "," in said else ","
    rows = rows_of(text(tmp_path / "x.csv", f"time{sep}bid{sep}ask", f"{said}{sep}1.1{sep}1.2"))
    assert rows["ts_event"].tolist() == [AT_NS]


def test_nanoseconds_are_exact(tmp_path: Path) -> None:
    """No time passes through a double: nineteen digits come back as they were, as digits of a second too."""
    at = 1_709_285_400_123_456_789
    assert rows_of(text(tmp_path / "a.csv", "ts,bid,ask", f"{at},1,2"))["ts_event"].tolist() == [at]
    assert rows_of(text(tmp_path / "b.csv", "ts,bid,ask", "1709285400.123456789,1,2"))["ts_event"].tolist() == [at]
    assert rows_of(text(tmp_path / "c.csv", "ts,bid,ask", "2024-03-01 09:30:00.123456789,1,2"))["ts_event"].tolist() == [at]


def test_fractions_of_any_length_stand_in_one_column(tmp_path: Path) -> None:
    """What programs write when they drop trailing zeros is read."""
    lines = ["2024-03-01 09:30:00,1,2", "2024-03-01 09:30:00.25,1,2", "2024-03-01 09:30:00.250001,1,2"]
    found = rows_of(text(tmp_path / "x.csv", "Date Time,Bid Price,Offer", *lines))["ts_event"] - AT_NS
    assert found.tolist() == [-250 * NS_PER_MS, 0, 1_000]


def test_local_times_follow_the_zone_that_is_named(tmp_path: Path) -> None:
    """`--timezone` reads times without an offset; with an offset or since 1970 it is refused, because they say it themselves."""
    path = text(tmp_path / "x.csv", "date,time,bid,ask", "2024-03-01,04:30:00.250,1,2", "2024-07-01,05:30:00.250,1,2")
    rows = rows_of(path, timezone="America/New_York")
    assert rows["ts_event"].tolist() == [AT_NS, parse_instant("2024-07-01T09:30:00.250")]
    for said in ("2024-03-01T09:30:00Z", "1709285400250"):
        with pytest.raises(ConfigError, match=r"--timezone America/New_York: the file has times .* leave the option out"):
            rows_of(text(tmp_path / "y.csv", "time,bid,ask", f"{said},1,2"), timezone="America/New_York")


def test_day_and_month_are_not_guessed(tmp_path: Path) -> None:
    """Slashes with the year last need a 13th month somewhere, or `--dates`."""
    path = text(tmp_path / "x.csv", "time,bid,ask", "02/03/2024 10:00,1,2")
    with pytest.raises(DataError, match=r"order of day and month can be told .*--dates dmy"):
        rows_of(path)
    assert rows_of(path, dates="dmy")["ts_event"].tolist() == [parse_instant("2024-03-02T10:00")]
    assert rows_of(path, dates="mdy")["ts_event"].tolist() == [parse_instant("2024-02-03T10:00")]
    shown = text(tmp_path / "y.csv", "time,bid,ask", "02/03/2024 10:00,1,2", "02/13/2024 10:00,1,2")
    assert rows_of(shown)["ts_event"].tolist() == [parse_instant("2024-02-03T10:00"), parse_instant("2024-02-13T10:00")]


def test_quotes_trades_and_bars_by_their_names(home: Path, tmp_path: Path) -> None:
    """The usual names decide what a table holds; empty cells are what the source does not say; columns of no use are named."""
    take(
        text(tmp_path / "EURUSD_quotes.csv", "timestamp,bid,ask,bid_size,ask size,comment", "1709285400250,1.1,1.2,5,,x"),
        text(tmp_path / "EURUSD_trades.csv", "Time,Price,Qty,Side", "1709285400250,1.15,3,buy", "1709285400251,1.15,,Sell"),
        venue="mine",
        format="csv",
    )
    quote = next(Catalog().records("EURUSD@mine", "quote"))[0]
    assert (quote["price"], quote["size"], quote["price2"]) == (1.1, 5.0, 1.2)
    assert np.isnan(quote["size2"])
    made = next(Catalog().records("EURUSD@mine", "trade"))
    assert (made["kind"].tolist(), made["side"].tolist()) == ([TRADE, TRADE], [1, -1])
    assert made["size"][0] == 3.0
    assert np.isnan(made["size"][1])
    lines = [f"2024-03-01 09:{minute:02d},1.1,1.3,1.0,1.2,{minute}" for minute in (30, 31, 33)]
    report = take(text(tmp_path / "EURUSD_minutes.csv", "Date,Open,High,Low,Close,Volume", *lines), venue="mine")
    bar = next(Catalog().records("EURUSD@mine", "bar"))[0]
    assert (bar["ts_recv"] - bar["ts_event"], bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"]) == (
        NS_PER_MIN, 1.1, 1.3, 1.0, 1.2, 30.0,
    )  # fmt: skip
    assert any("assumed for the bars: trade" in note for note in report.files[0].notes)


def test_a_table_with_unknown_columns_is_taken_only_when_the_user_says_so(home: Path, tmp_path: Path) -> None:
    """Price, size and side are the columns of a book too: beside columns that are not known, `--format csv` has to say what a row is."""
    path = text(tmp_path / "EURUSD.csv", "time,price,size,side,is_snapshot", "1709285400250,1.1,2,buy,true")
    with pytest.raises(DataError, match=r"not known: is_snapshot; if each row is a trade all the same: tercel .* --format csv"):
        take(path, venue="mine")
    report = take(path, venue="mine", format="csv")
    assert any("columns left out: is_snapshot" in note for note in report.files[0].notes)


def test_a_column_of_symbols_makes_several_series(home: Path, tmp_path: Path) -> None:
    """Rows of several instruments go to their own series; a slash between currencies is dropped."""
    lines = ["1709285400250,EUR/USD,1.1,1.2", "1709285400251,GBPUSD,1.3,1.4", "1709285400252,EUR/USD,1.1,1.2"]
    report = take(text(tmp_path / "x.csv", "time,symbol,bid,ask", *lines), venue="mine")
    assert {one.instrument: one.counts.rows for one in report.files[0].series} == {"EURUSD@mine": 2, "GBPUSD@mine": 1}
    with pytest.raises(ConfigError, match="--symbol is for files that do not name their symbol"):
        take(tmp_path / "x.csv", venue="mine", symbol="EURUSD")


def test_other_headings_are_mapped(home: Path, tmp_path: Path) -> None:
    """`--columns` says what headings in another language mean, by name or number; without a header too; unknown ones say what to pass."""
    path = text(tmp_path / "kurse.csv", "Zeit;Geld;Brief", "01.03.2024 09:30:00,250;1,0812;1,0814")
    with pytest.raises(DataError, match=r"unknown format.*as a table .*: found no column of the time and .*: tercel .* --columns"):
        take(path, symbol="EURUSD", venue="mine")
    report = take(path, symbol="EURUSD", venue="mine", columns="time=Zeit,bid=Geld,ask=3")
    row = next(Catalog().records("EURUSD@mine", "quote"))[0]
    assert (int(row["ts_event"]), row["price"], row["price2"]) == (AT_NS, 1.0812, 1.0814)
    assert any("decimals: the comma" in note for note in report.files[0].notes)
    bare = text(tmp_path / "bare.csv", "1709285400251,1.1,1.2", "1709285400252,1.1,1.2")
    with pytest.raises(DataError, match=r'expected a header, .*--columns "time=1,bid=2,ask=3"'):
        take(bare, symbol="EURUSD", venue="mine")
    assert take(bare, symbol="EURUSD", venue="mine", columns="time=1,bid=2,ask=3").rows == 2


def test_a_decimal_comma_is_not_guessed(tmp_path: Path) -> None:
    """Three digits behind every comma could be thousands: `--decimal-comma` says they are not; points between thousands are refused."""
    yen = text(tmp_path / "x.csv", "time;bid;ask", "2024-03-01 09:30;149,123;149,125")
    with pytest.raises(DataError, match=r"three decimals or a thousand.*--decimal-comma"):
        rows_of(yen, symbol="USDJPY")
    assert rows_of(yen, symbol="USDJPY", decimal_comma=True)["price"].tolist() == [149.123]
    both = text(tmp_path / "y.csv", "time;bid;ask", "2024-03-01 09:30;1.149,12;1.149,13")
    with pytest.raises(DataError, match="found both"):
        rows_of(both)
    later = "time;bid;ask\n" + "2024-03-01 09:30;1,12;1,13\n" * 250_000 + "2024-03-01 09:31;1.12;1,13\n"
    (tmp_path / "z.csv").write_text(later)
    with pytest.raises(DataError, match=r"row 250,002, column bid: expected a number with a decimal comma.*'1\.12'"):
        rows_of(tmp_path / "z.csv")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("time,bid,ask,last_price,price", "1,1,1,1,1"), r"two columns could be the price, 'last_price' and 'price'.*--columns"),
        (("time,bid,ask,price", "1,1,1,1"), r"those of quotes and of trades"),
        (("time,timestamp,bid,ask", "1,1,1,1"), r"two columns could be the time"),
        (("time,bid", "1,1"), r"found no column of the ask among 'time', 'bid'; say which: --columns \"ask=…\""),
        (("bid,ask", "1,1"), r"found no column of the time"),
        (("time,bid,ask", "yesterday,1,2"), r"row 2, column time: expected a time such as"),
        (("time,bid,ask", "1709285400,1,2", "1709285400250,1,2"), r"row 3, column time: expected a time in seconds"),
        (("time,bid,ask", "2024-03-01 09:30,1,2", "2024-03-01T09:30Z,1,2"), r"row 3, column time: expected a time without an offset"),
        (("time,bid,ask", "2024-02-30 09:30,1,2"), r"row 2, column time: expected a time .* that exists"),
        (("time,bid,ask", "2024-03-01 09:30,1,x"), r"row 2, column ask: expected a number, found 'x'"),
        (("time,bid,ask", "2024-03-01 09:30,1,2,3"), r"row 2: expected 3 columns, found 4"),
        (("time,price,side", "2024-03-01 09:30,1,up"), r"row 2, column side: expected buy, sell"),
        (("time,open,high,low,close", "2024-03-01 09:30,1,1,1,1"), r"a single time; say it with --interval"),
    ],
)
def test_what_cannot_be_right_is_refused_by_place(lines: tuple[str, ...], expected: str, home: Path, tmp_path: Path) -> None:
    """A table that leaves something open or has a wrong cell is refused with row, column and what to pass; the catalog stays empty."""
    with pytest.raises(DataError, match=expected):
        take(text(tmp_path / "x.csv", *lines), symbol="EURUSD", venue="mine", format="csv")
    assert Catalog().datasets() == []


def test_a_wrong_option_is_refused_before_anything_is_read(home: Path, tmp_path: Path) -> None:
    """An unknown role, basis or order of dates is refused with those there are."""
    path = text(tmp_path / "x.csv", "time,bid,ask", "2024-03-01 09:30,1,2")
    for options, expected in (
        ({"columns": "bit=Geld"}, "did you mean 'bid'"),
        ({"basis": "last"}, "--basis"),
        ({"dates": "ymd"}, "--dates"),
    ):
        with pytest.raises(ConfigError, match=expected):
            take(path, symbol="EURUSD", venue="mine", **options)
    assert picture(home) == {}


CELL = st.text(alphabet="0123456789.,;-+:TZeE \"'xé\t/", max_size=14)


@settings(max_examples=300)
@given(rows=st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=4), separator=st.sampled_from([",", ";", "\t", "|"]))
def test_any_cells_give_valid_records_or_a_refusal(rows: list[list[str]], separator: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever stands in the cells, a reader gives records or an error for people, nothing else."""
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_text("\n".join(separator.join(row) for row in [["time", "bid", "ask"], *rows]) + "\n")
    try:
        made: list[Batch] = list(read(path, Options(symbol="EURUSD", venue="mine")))
        for one in made:
            validate(path, one)
    except TercelError:
        return
    assert sum(len(one.records) for one in made) >= 1
