"""LEAN's data folder: the rows of its zips are those of the Parquet files made from them, and names that say too little are refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tercel.base import paths
from tercel.base.errors import ConfigError, DataError, TercelError
from tercel.base.records import LAST, SUSPECT, Records
from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_MS, parse_instant
from tercel.market.catalog import Catalog
from tercel.market.importers import lean
from tercel.market.importers.detect import detect, read_head
from tests.market.history import everything, picture, take

QUOTES = {  # raw file -> Parquet file, symbol, catalog name
    "cfd/oanda/tick/xauusd/20140504_quote.zip": ("fx_oanda_tick_201405", "XAUUSD", "XAUUSD@oanda"),
    "forex/oanda/tick/eurusd/20140505_quote.zip": ("fx_oanda_tick_201405", "EURUSD", "EURUSD@oanda"),
    "forex/fxcm/tick/eurusd/20140504_quote.zip": ("fx_fxcm_tick_201405", "EURUSD", "EURUSD@fxcm"),
    "equity/usa/tick/ibm/20131007_quote.zip": ("equity_venue_tick_201310", "IBM", "IBM@us"),
}


def between(path: Path, symbol: str, rows: Records) -> pa.Table:
    """The rows of a Parquet file of one symbol, from the time of the first record to that of the last."""
    table = pq.read_table(path, filters=pc.field("symbol") == symbol)
    times = table["ts_event"]
    return table.filter(pc.and_(pc.greater_equal(times, int(rows["ts_event"][0])), pc.less_equal(times, int(rows["ts_event"][-1]))))


def same(rows: Records, table: pa.Table, fields: dict[str, str]) -> None:
    """Every number of every row is the same double; NaN is null."""
    assert len(rows) == len(table)
    for column, field in fields.items():
        assert np.array_equal(rows[field], table[column].to_numpy().astype(rows[field].dtype), equal_nan=rows[field].dtype.kind == "f"), (
            column
        )


def tape(rows: Records, table: pa.Table) -> None:
    """Exchange letters, condition bits and doubts are those of the table."""
    assert [chr(code) for code in rows["ref"] & 255] == table["exchange"].to_pylist()
    assert np.array_equal(rows["ref"] >> 8, table["cond"].to_numpy())
    assert np.array_equal((rows["flags"] & SUSPECT) > 0, table["suspicious"].to_numpy() > 0)
    assert (rows["flags"] & LAST).all()


@pytest.mark.parametrize("file", sorted(QUOTES))
def test_quote_ticks_are_those_of_the_parquet_files(home: Path, data_dir: Path, file: str) -> None:
    """Times with their fractions of a millisecond, the market's clock, prices and sides are the same to the bit."""
    parquet, symbol, name = QUOTES[file]
    assert take(data_dir / "raw" / "lean" / file).files[0].format == "lean"
    rows = everything(Catalog().records(name, "quote"))
    table = between(data_dir / "quotes" / f"{parquet}.parquet", symbol, rows)
    same(rows, table, {"ts_event": "ts_event", "bid": "price", "ask": "price2", "bid_size": "size", "ask_size": "size2"})
    if "cond" in table.column_names:
        tape(rows, table)


def test_trade_ticks_are_those_of_the_parquet_file(home: Path, data_dir: Path) -> None:
    """Prices in ten-thousandths become dollars; exchange, conditions and size come along."""
    take(data_dir / "raw/lean/equity/usa/tick/ibm/20131009_trade.zip")
    rows = everything(Catalog().records("IBM@us", "trade"))
    table = between(data_dir / "trades" / "equity_tick_201310.parquet", "IBM", rows)
    same(rows, table, {"ts_event": "ts_event", "price": "price", "size": "size", "side": "side"})
    tape(rows, table)


def test_minute_bars_are_those_of_the_parquet_file(home: Path, data_dir: Path) -> None:
    """The bars of AAPL on 2014-06-05, extended hours included, are known already after the Parquet file."""
    parquet, raw = data_dir / "bars" / "equity_lean_1m.parquet", data_dir / "raw/lean/equity/usa/minute/aapl/20140605_trade.zip"
    take(parquet, venue="us")
    report = take(raw)
    assert not report.changed
    assert report.files[0].series[0].rows_known == 686


def test_the_folder_is_imported_by_one_command(home: Path, data_dir: Path) -> None:
    """Every zip is read; factor and map files are left out by name and reason; a second import is nothing new."""
    folder = data_dir / "raw" / "lean"
    report = take(folder)
    assert {Path(one.path).suffix for one in report.files} == {".zip"}
    assert {one.format for one in report.files} == {"lean"}
    assert len(report.files) == len(list(folder.rglob("*.zip"))) == 15
    left = {Path(one.path).parent.name: one.reason for one in report.skipped}
    assert left["factor_files"].startswith("LEAN factor file is not imported: the catalog has no place for splits and dividends")
    assert left["map_files"].startswith("LEAN map file is not imported")
    assert len(report.skipped) == 8
    rows = {(data.instrument.name, data.key.what): data.rows for data in Catalog().datasets()}
    assert rows["EURUSD@oanda", "bar 1s bid"] == rows["EURUSD@oanda", "bar 1s ask"] == 638
    assert (rows["ESZ13@cme", "bar 1m trade"], rows["ESH14@cme", "bar 1m trade"], rows["ESM14@cme", "bar 1m trade"]) == (1_344, 325, 2)
    before = picture(paths.catalog_dir())
    assert not take(folder).changed
    assert picture(paths.catalog_dir()) == before


def test_quote_bars_agree_with_the_ticks_they_are_made_of(home: Path, data_dir: Path) -> None:
    """OANDA's minute bars of 2014-05-05 open, high, low and close where its ticks of that minute do."""
    take(data_dir / "raw/lean/forex/oanda/minute", data_dir / "raw/lean/forex/oanda/tick")
    catalog = Catalog()
    ticks = everything(catalog.records("EURUSD@oanda", "quote"))
    for basis, field in (("bid", "price"), ("ask", "price2")):
        bars = everything(catalog.records("EURUSD@oanda", "bar", basis=basis))
        assert np.isnan(bars["volume"]).all()
        minutes = ticks["ts_event"] // NS_PER_MIN * NS_PER_MIN
        equal = []
        for bar in bars[:200]:
            seen = ticks[field][minutes == bar["ts_event"]]
            if len(seen):
                equal.append((bar["high"], bar["low"], bar["close"]) == (seen.max(), seen.min(), seen[-1]))
        assert sum(equal) / len(equal) > 0.95


def zipped(path: Path, member: str, *lines: str) -> Path:
    """A zip of one table, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, "\r\n".join(lines) + "\r\n")
    return path


TICKS = [f"{34_200_000 + index},1790500,200,P,20002020,0" for index in range(30)]


@pytest.mark.parametrize(
    ("row", "line", "match"),
    [
        (5, "34200004,hello,200,P,2000,0", r"row 5, column price: expected a number, found 'hello'"),
        (6, "34200004,0,200,P,2000,0", r"row 6, column price: expected a price above 0, found 0\.0"),
        (7, "86400000,1790500,200,P,2000,0", r"row 7, column time: expected milliseconds of a day, 0 to 86,399,999, found 86400000\.0"),
        (8, "34200004,1790500,200,P,XY,0", r"row 8, column condition: expected hexadecimal condition bits, found 'XY'"),
        (9, "34200004,1790500,200,P,2000,2", r"row 9, column suspicious: expected 0 or 1, found '2'"),
        (10, "34200004,1790500,200,P,2000", r"row 10: expected 6 columns, found 5"),
        (11, "34200004,1790500,-200,P,2000,0", r"row 11, column size: expected a size of 0 or more"),
    ],
)
def test_a_wrong_row_is_named(home: Path, tmp_path: Path, row: int, line: str, match: str) -> None:
    """Row and column are those of the table in the zip and nothing is imported."""
    path = tmp_path / "equity/usa/tick/ibm/20131009_trade.zip"
    with pytest.raises(TercelError, match=match):
        take(zipped(path, "20131009_ibm_Trade_Tick.csv", *TICKS[: row - 1], line, *TICKS[row:]), format="lean")
    assert not Catalog().datasets()


IBM_TICKS, TICK_FOLDER = "20131009_ibm_Trade_Tick.csv", "equity/usa/tick/ibm"


@pytest.mark.parametrize(
    ("place", "member", "error", "match"),
    [
        (f"{TICK_FOLDER}/20131009_trade.zip", "20131009_spy_Trade_Tick.csv", DataError, "the symbol is 'ibm' by the file's .* and 'spy'"),
        (f"{TICK_FOLDER}/20131009_trade.zip", "20131010_ibm_Trade_Tick.csv", DataError, "the date is '20131009' .* and '20131010' by"),
        (f"{TICK_FOLDER}/20131309_trade.zip", "20131309_ibm_Trade_Tick.csv", DataError, "expected a date in the name, found '20131309'"),
        ("equity/usa/minute/ibm/20131009_trade.zip", IBM_TICKS, DataError, "the resolution is 'minute' .* and 'tick' by its"),
        ("some/a.zip", "a.csv", DataError, "LEAN's rows have no date and no symbol; expected a file named like"),
        ("some/a.zip", "20131009_zzz_Trade_Tick.csv", DataError, "nothing says whether ZZZ is a share"),
        ("equity/moon/tick/ibm/20131009_trade.zip", IBM_TICKS, ConfigError, "clock .* of moon is not known; say it with --timezone"),
    ],
)
def test_names_that_say_too_little_or_two_things_are_refused(
    home: Path, tmp_path: Path, place: str, member: str, error: type[TercelError], match: str
) -> None:
    """The message says what is missing or at odds and what to do."""
    with pytest.raises(error, match=match):
        take(zipped(tmp_path / place, member, *TICKS))


def test_a_lone_file_of_a_known_symbol_needs_no_folders(home: Path, tmp_path: Path) -> None:
    """IBM is known as a US share: its table alone has venue, clock and scale; EURUSD alone needs its venue."""
    path = tmp_path / "20131009_ibm_Trade_Tick.csv"
    path.write_text("\n".join(TICKS))
    report = take(path)
    assert (report.files[0].timezone, report.files[0].series[0].instrument) == ("America/New_York", "IBM@us")
    row = everything(Catalog().records("IBM", "trade"))[0]
    assert (row["ts_event"], row["price"], row["ref"]) == (parse_instant("2013-10-09T13:30"), 179.05, 0x20002020 << 8 | ord("P"))
    fx = zipped(tmp_path / "x.zip", "20140505_eurusd_tick_quote.csv", "1000.25,1.1,1.2", "2000,1.1,1.2")
    with pytest.raises(ConfigError, match="say it with --venue"):
        take(fx)
    assert take(fx, venue="fxcm").files[0].timezone == "UTC-5"
    times = everything(Catalog().records("EURUSD@fxcm", "quote"))["ts_event"]
    assert times.tolist() == [parse_instant("2014-05-05T05:00") + NS_PER_MS * 1_000 + 250_000, parse_instant("2014-05-05T05:00:02")]


def test_day_bars_start_at_new_yorks_midnight(home: Path, tmp_path: Path) -> None:
    """In winter and in summer, and a scaled price with decimals of its own is the nearest double to the quotient."""
    path = zipped(
        tmp_path / "equity/usa/daily/spy.zip", "spy.csv", "20130102 00:00,96300,96300,96299.9,96300,3000", "20130702 00:00,1,2,1,2,5"
    )
    take(path)
    rows = everything(Catalog().records("SPY", "bar"))
    assert rows["ts_event"].tolist() == [parse_instant("2013-01-02T05:00"), parse_instant("2013-07-02T04:00")]
    assert rows["low"].tolist() == [9.62999, 0.0001]
    assert Catalog().datasets()[0].interval_ns == NS_PER_DAY


def test_a_bar_of_one_side_only_is_a_bar_of_that_side(home: Path, tmp_path: Path) -> None:
    """Where a quote bar has no bid, the ask is kept and no bid is made up."""
    lines = ["0,1,2,1,2,5,3,4,3,4,6", "60000,,,,,0,3,4,3,4,6"]
    take(zipped(tmp_path / "crypto/coinbase/minute/btcusd/20140505_quote.zip", "20140505_btcusd_minute_quote.csv", *lines))
    assert {data.basis: data.rows for data in Catalog().datasets()} == {"bid": 1, "ask": 2}


def test_a_quote_tick_of_neither_side_is_counted(home: Path, tmp_path: Path) -> None:
    """The vendor writes zeros on both sides when a halt ends: no quote, left out and said."""
    lines = ["34200000,0,0,1836300,100,Q,1,0", "34200001,0,0,0,0,P,2000,0", "34200002,1800100,300,0,0,P,1,1"]
    report = take(zipped(tmp_path / "equity/usa/tick/ibm/20131007_quote.zip", "20131007_ibm_Quote_Tick.csv", *lines))
    assert f"1 {lean.NO_SIDE}" in report.files[0].notes
    rows = everything(Catalog().records("IBM", "quote"))
    assert [bool(flag & SUSPECT) for flag in rows["flags"]] == [False, True]
    assert np.isnan(rows["price"]).tolist() == np.isnan(rows["size"]).tolist() == [True, False]


def test_a_wrong_row_of_one_contract_names_its_table(home: Path, tmp_path: Path) -> None:
    """In a zip of several tables the message names the table; --symbol is refused because it would join the contracts."""
    path = tmp_path / "future/cme/minute/es/20131007_trade.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20131007_es_minute_trade_201312.csv", "0,1,1,1,1,9\n")
        archive.writestr("20131007_es_minute_trade_201403.csv", "0,1,1,1,1,9\n60000,1,1,2,1,9\n")
    with pytest.raises(DataError, match=r"^20131007_es_minute_trade_201403\.csv: row 2, column high"):
        take(path)
    with pytest.raises(ConfigError, match="--symbol names one series, the zip holds 2 contracts"):
        take(path, symbol="ES")


def test_other_tables_of_numbers_are_not_taken_for_lean(tmp_path: Path) -> None:
    """The shape alone, in a file with another name, is no LEAN file; in LEAN's name or a zip it is."""
    for name, found in (("ticks.csv", None), ("20140505_eurusd_tick_quote.csv", "lean")):
        path = tmp_path / name
        path.write_text("1000,1.1,1.2\n2000,1.1,1.2\n")
        form = detect(read_head(path))
        assert (form and form.name) == found
    unix = zipped(tmp_path / "kraken.zip", "XBTUSD.csv", "1380000000,123.1,0.5", "1380000001,123.1,0.5")
    form = detect(read_head(unix))
    assert form is None or form.name != "lean"


def test_open_interest_and_options_are_left_out_by_name(home: Path, tmp_path: Path) -> None:
    """They are known, and the reason says that there is no place for them."""
    path = zipped(tmp_path / "future/cme/minute/es/20131007_openinterest.zip", "20131007_es_minute_openinterest_201312.csv", "0,100")
    with pytest.raises(DataError, match="LEAN options, indices and open interest is not imported: the catalog has no place for them"):
        take(path)


EDITS: list[Callable[[bytes], bytes]] = [
    lambda data: data[:-7],
    lambda data: data.replace(b",P,", b",,,", 1),
    lambda data: data.replace(b"1790500", b"1e400", 1),
    lambda data: b"\xff" + data,
]


@pytest.mark.parametrize("edit", EDITS)
def test_a_damaged_table_is_refused_or_read(home: Path, tmp_path: Path, edit: Callable[[bytes], bytes]) -> None:
    """Whatever is changed, the reader fails with nothing but a refusal."""
    path = tmp_path / "20131009_ibm_Trade_Tick.csv"
    path.write_bytes(edit("\n".join(TICKS).encode()))
    try:
        take(path, format="lean")
    except TercelError:
        assert not Catalog().datasets()


def test_the_shapes_are_told_by_the_hour_of_the_day() -> None:
    """A first cell of a day or more milliseconds is none of LEAN's."""
    shape = lean._SHAPES[0]
    assert shape.fullmatch(b"86399999.9,1,2")
    assert not shape.fullmatch(b"86400000,1,2")
    assert 24 * NS_PER_H == 86_400_000 * NS_PER_MS
