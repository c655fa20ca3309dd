"""The real recordings, all of them: what goes in comes out, and the report says what the data's own README says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tercel.base.errors import ConfigError
from tercel.base.records import LAST, SNAPSHOT, SUSPECT
from tercel.market.catalog import Catalog
from tercel.market.importers.report import ImportReport, SeriesReport
from tercel.market.instruments import on_grid
from tests.market.history import everything, picture, take

ACTIONS = {"A": 5, "C": 6, "M": 7, "T": 2, "F": 8, "R": 9}


@pytest.fixture(scope="module")
def imported(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImportReport]:
    """Every Parquet file of the real data, imported once into a home that lasts as long as this file."""
    before = os.environ.get("TERCEL_HOME")
    os.environ["TERCEL_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield take(*(data_dir / name for name in ("quotes", "trades", "bars", "book")))
    if before is None:
        del os.environ["TERCEL_HOME"]
    else:
        os.environ["TERCEL_HOME"] = before


def series(report: ImportReport, file: str, name: str, kind: str = "quote") -> SeriesReport:
    """The report of one series of one file."""
    found = next(one for one in report.files if Path(one.path).stem == file)
    return next(one for one in found.series if one.instrument == name and one.kind == kind)


def test_every_row_is_there(imported: ImportReport, data_dir: Path) -> None:
    """Every Parquet file is imported and no row is lost, added or found out of order."""
    assert not imported.skipped
    for one in imported.files:
        assert one.rows == pq.ParquetFile(one.path).metadata.num_rows, one.path
        assert all(part.rows_added == part.counts.rows and part.rows_out_of_order == 0 for part in one.series), one.path
    assert sum(data.rows for data in Catalog().datasets()) == imported.rows


def test_oddities_are_counted_as_documented(imported: ImportReport) -> None:
    """Crossed, locked, one-sided, repeated and absent rows are those that the README of the data lists."""
    fxcm = series(imported, "fx_fxcm_tick_201405", "EURUSD@fxcm").counts
    assert (fxcm.crossed, fxcm.locked) == (69_354, 82_118)
    oanda = series(imported, "fx_oanda_tick_201405", "EURUSD@oanda").counts
    assert (oanda.same_time, oanda.duplicates) == (2_848, 6)
    audusd = series(imported, "fx_truefx_histdata_tick", "AUDUSD@truefx-histdata").counts
    assert (audusd.locked, audusd.same_time) == (3_498, 179)
    assert series(imported, "equity_venue_tick_201310", "BAC@us").counts.one_sided == 476_855
    absent = {
        name: series(imported, f"crypto_bitfinex_1m_{name}", f"{name}@bitfinex", "bar").counts.bars_absent for name in ("BTCUSD", "LTCUSD")
    }
    assert absent == {"BTCUSD": 859, "LTCUSD": 1_744}
    assert all("ids do not follow" not in note for one in imported.files for note in one.notes)


def test_two_venues_do_not_mix(imported: ImportReport) -> None:
    """EURUSD of OANDA and of FXCM on the same days stay apart, and a bare EURUSD is refused with the list."""
    catalog = Catalog()
    assert {data.rows for data in catalog.datasets() if data.kind == "quote" and data.dates[:1] == ("2014-05-01",)} == {
        321_559,
        675_401,
        752_404,
    }
    with pytest.raises(ConfigError, match="EURUSD@fxcm, EURUSD@histdata, EURUSD@oanda"):
        catalog.resolve("EURUSD")
    assert catalog.resolve("SPY").name == "SPY@us"


@pytest.mark.parametrize(
    ("file", "name", "symbol", "reference"),
    [
        ("quotes/fx_oanda_tick_201405", "EURUSD@oanda", "EURUSD", None),
        ("quotes/fx_dukascopy_tick", "GBPJPY@dukascopy", "GBPJPY", None),
        ("quotes/equity_venue_tick_201310", "IBM@us", "IBM", "cond"),
        ("quotes/crypto_binance_bbo", "BTCUSDT@binance", "BTCUSDT", "update_id"),
    ],
)
def test_quotes_come_back_bit_for_bit(
    imported: ImportReport, data_dir: Path, file: str, name: str, symbol: str, reference: str | None
) -> None:
    """Records hold the bits of the source's quotes in the source's order, and null as NaN."""
    table = pq.read_table(data_dir / f"{file}.parquet")
    table = table.filter(pc.equal(table["symbol"], symbol))
    rows = everything(Catalog().records(name, "quote"))
    assert (rows["kind"] == 1).all()
    assert (rows["instrument"] == Catalog().resolve(name).id).all()
    assert np.array_equal(rows["ts_event"], table["ts_event"].to_numpy())
    for column, field in (("bid", "price"), ("bid_size", "size"), ("ask", "price2"), ("ask_size", "size2")):
        assert np.array_equal(rows[field].copy().view(np.int64), table[column].to_numpy().copy().view(np.int64)), column
    received = table["ts_recv"].to_numpy() if "ts_recv" in table.column_names else 0
    assert np.array_equal(rows["ts_recv"], np.zeros(len(rows), np.int64) + received)
    if reference == "update_id":
        assert np.array_equal(rows["ref"], table["update_id"].to_numpy())
    if reference == "cond":
        assert np.array_equal(rows["ref"] >> 8, table["cond"].to_numpy())
        assert [chr(code) for code in rows["ref"][:500] & 255] == table["exchange"].to_pylist()[:500]
        assert int(((rows["flags"] & SUSPECT) > 0).sum()) == 2


def test_trades_come_back_bit_for_bit(imported: ImportReport, data_dir: Path) -> None:
    """Records hold the source's trades: price, size, aggressor, id and arrival."""
    table = pq.read_table(data_dir / "trades" / "crypto_binance_tick.parquet")
    table = table.filter(pc.equal(table["symbol"], "BTCUSDT-PERP"))
    rows = everything(Catalog().records("BTCUSDT-PERP@binance", "trade"))
    for column, field in (("ts_event",) * 2, ("ts_recv",) * 2, ("price",) * 2, ("size",) * 2, ("side",) * 2, ("trade_id", "ref")):
        assert np.array_equal(rows[field], table[column].to_numpy()), column


def test_books_come_back_bit_for_bit(imported: ImportReport, data_dir: Path) -> None:
    """L2 rows keep level, id and order; a snapshot is marked, and LAST stands on the last row of each message and nowhere else."""
    table = pq.read_table(data_dir / "book" / "crypto_binance_l2.parquet")
    for symbol in ("BTCUSDT-PERP", "BTCUSDT"):
        mine = table.filter(pc.equal(table["symbol"], symbol))
        rows = everything(Catalog().records(f"{symbol}@binance", "book"))
        for column, field in (("ts_event",) * 2, ("ts_recv",) * 2, ("price",) * 2, ("size",) * 2, ("side",) * 2, ("last_id", "ref")):
            assert np.array_equal(rows[field], mine[column].to_numpy()), column
        message = mine["msg"].to_numpy()
        assert np.array_equal((rows["flags"] & LAST) > 0, np.append(message[1:] != message[:-1], True))
        assert np.array_equal((rows["flags"] & SNAPSHOT) > 0, mine["kind"].to_numpy() == 0)


def test_orders_come_back_bit_for_bit(imported: ImportReport, data_dir: Path) -> None:
    """L3 rows keep action, order id, price, size and the vendor's last-of-event and snapshot bits."""
    table = pq.read_table(data_dir / "book" / "es_mbo.parquet")
    rows = everything(Catalog().records("ESH4", "order"))
    for column, field in (("ts_event",) * 2, ("ts_recv",) * 2, ("price",) * 2, ("size",) * 2, ("side",) * 2, ("order_id", "ref")):
        assert np.array_equal(rows[field], table[column].to_numpy()), column
    assert rows["kind"].tolist() == [ACTIONS[action] for action in table["action"].to_pylist()]
    assert np.array_equal((rows["flags"] & LAST) > 0, (table["flags"].to_numpy() & 128) > 0)
    assert np.array_equal((rows["flags"] & SNAPSHOT) > 0, (table["flags"].to_numpy() & 32) > 0)


def test_bars_come_back_bit_for_bit(imported: ImportReport, data_dir: Path) -> None:
    """Bars keep their five numbers, bid and ask apart, and are known at open + interval."""
    table = pq.read_table(data_dir / "bars" / "fx_1m.parquet")
    for basis, code in (("bid", 1), ("ask", -1)):
        mine = table.filter(pc.and_(pc.equal(table["symbol"], "GBPUSD"), pc.equal(table["price_type"], basis)))
        rows = everything(Catalog().records("GBPUSD@fxcm", "bar", basis=basis))
        for name in ("ts_event", "open", "high", "low", "close", "volume"):
            assert np.array_equal(rows[name], mine[name].to_numpy()), name
        assert (rows["ts_recv"] == rows["ts_event"] + 60 * 10**9).all()
        assert (rows["side"] == code).all()


def test_every_price_is_on_its_instruments_grid(imported: ImportReport) -> None:
    """The decimals of each definition hold every real price exactly, and nothing had to be inferred."""
    catalog = Catalog()
    for data in catalog.datasets():
        fields = {"bar": ("open", "high", "low", "close"), "quote": ("price", "price2")}.get(data.kind, ("price",))
        for rows in catalog.records(data.instrument, data.kind, interval_ns=data.interval_ns, basis=data.basis):
            assert all(on_grid(rows[field], data.instrument.price_decimals).all() for field in fields), data.key
    assert not [note for one in imported.files for note in one.notes if "inferred" in note or "decimals" in note]


def test_a_second_import_touches_no_file(imported: ImportReport, data_dir: Path) -> None:
    """Importing everything again leaves all bytes and times of the catalog as they are, and says so."""
    root = Catalog().root
    before = picture(root)
    again = take(data_dir / "quotes", data_dir / "bars", data_dir / "book" / "es_mbo.parquet")
    assert not again.changed
    assert again.rows_added == 0
    assert picture(root) == before


def test_raw_files_meet_what_was_converted_from_them(imported: ImportReport, data_dir: Path) -> None:
    """The vendors' own minute bars are, row for row, those of the Parquet file: the time zones are right and nothing is new."""
    raw = data_dir / "raw"
    report = take(raw / "histdata" / "DAT_ASCII_EURUSD_M1_201703_1_10.csv", raw / "metatrader" / "mt4" / "CADJPY1.csv")
    assert [(one.rows, one.format, one.timezone) for one in report.files] == [
        (11_092, "histdata-bars", "America/New_York"), (2_048, "mt4", "UTC+3"),
    ]  # fmt: skip
    assert not report.changed
    assert [part.rows_known for one in report.files for part in one.series] == [11_092, 2_048]
