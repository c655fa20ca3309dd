"""Dukascopy's bi5 files: rows equal to the Parquet file made from them, place and rows checked."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest

from tercel.base.errors import ConfigError, DataError
from tercel.base.time import NS_PER_H, NS_PER_MIN, parse_instant
from tercel.market.catalog import Catalog
from tercel.market.importers import dukascopy
from tests.market.history import everything, take
from tests.market.test_lean import between, same

TICKS = np.array([(index, 114_457, 114_452, 1.01, 1.75) for index in range(30)], dukascopy.TICK_ROW)
CANDLES = np.array([(60 * index, 114_540, 114_550, 114_530, 114_560, 293.76) for index in range(30)], dukascopy.CANDLE_ROW)


def bi5(root: Path, name: str, data: bytes, symbol: str = "EURUSD", month: str = "01") -> Path:
    """A bi5 file in the vendor's folders."""
    path = root / symbol / "2019" / month / "04" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(data, format=lzma.FORMAT_ALONE))
    return path


def test_an_hour_of_ticks_is_that_of_the_parquet_file(home: Path, data_dir: Path) -> None:
    """Folder month 01 is February; prices and sizes are the same doubles."""
    report = take(data_dir / "raw/dukascopy/EURUSD/2019/01/04/10h_ticks.bi5")
    assert (report.files[0].format, report.rows) == ("dukascopy-ticks", 8_438)
    rows = everything(Catalog().records("EURUSD@dukascopy", "quote"))
    hour = parse_instant("2019-02-04T10:00")
    assert hour <= rows["ts_event"][0]
    assert rows["ts_event"][-1] < hour + NS_PER_H
    table = between(data_dir / "quotes" / "fx_dukascopy_tick.parquet", "EURUSD", rows)
    same(rows, table, {"ts_event": "ts_event", "bid": "price", "ask": "price2", "bid_size": "size", "ask_size": "size2"})


def test_a_day_of_candles_agrees_with_its_ticks(home: Path, data_dir: Path) -> None:
    """The candles of 10:00 to 11:00 have the highest and lowest bid of the ticks of their minute, and the day is whole."""
    report = take(data_dir / "raw" / "dukascopy")
    assert {one.format for one in report.files} == {"dukascopy-ticks", "dukascopy-candles"}
    catalog = Catalog()
    bars, ticks = everything(catalog.records("EURUSD", "bar")), everything(catalog.records("EURUSD", "quote"))
    assert len(bars) == 1_440
    assert catalog.dataset("EURUSD", "bar", None, None).key.basis == "bid"
    hour = parse_instant("2019-02-04T10:00")
    minutes = ticks["ts_event"] // NS_PER_MIN * NS_PER_MIN
    mine = bars[(bars["ts_event"] >= hour) & (bars["ts_event"] < hour + NS_PER_H)]
    assert len(mine) == 60
    for bar in mine:
        seen = ticks["price"][minutes == bar["ts_event"]]
        assert (bar["high"], bar["low"], bar["close"]) == (seen.max(), seen.min(), seen[-1])


def test_the_point_follows_from_the_pair_or_is_asked_for(home: Path, tmp_path: Path) -> None:
    """A pair against the yen has 3 decimals; an instrument nobody knows needs --decimals."""
    take(bi5(tmp_path, "10h_ticks.bi5", TICKS.tobytes(), "USDJPY"))
    assert everything(Catalog().records("USDJPY", "quote"))["price"][0] == 114.452
    path = bi5(tmp_path, "10h_ticks.bi5", TICKS.tobytes(), "BRENTCMDUSD")
    with pytest.raises(ConfigError, match=r"a point of BRENTCMDUSD has is not known; say it with --decimals"):
        take(path)
    take(path, decimals=2)
    assert everything(Catalog().records("BRENTCMDUSD", "quote"))["price"][0] == 1144.52


def test_months_count_from_zero(home: Path, tmp_path: Path) -> None:
    """Folder 11 is December and folder 12 is refused."""
    take(bi5(tmp_path, "ASK_candles_min_1.bi5", CANDLES.tobytes(), month="11"))
    (data,) = Catalog().datasets()
    assert (data.first_ns, data.basis) == (parse_instant("2019-12-04"), "ask")
    with pytest.raises(DataError, match="months from 00 to 11"):
        take(bi5(tmp_path, "10h_ticks.bi5", TICKS.tobytes(), month="12"))


def test_a_file_out_of_its_folders_is_refused(home: Path, tmp_path: Path) -> None:
    """Without the folders nothing says symbol and date, and the message says what is expected."""
    path = bi5(tmp_path, "10h_ticks.bi5", TICKS.tobytes()).rename(tmp_path / "ticks.bi5")
    with pytest.raises(DataError, match=r"expected the vendor's folders .*EURUSD/2019/01/04/10h_ticks\.bi5"):
        take(path)


def test_wrong_rows_are_named(home: Path, tmp_path: Path) -> None:
    """A time outside the hour, a price of 0, half a row and a size below 0 are refused with their row."""
    late, free, less = TICKS.copy(), TICKS.copy(), TICKS.copy()
    late["ms"][16], free["bid"][17], less["bid_size"][18] = 3_600_000, 0, -1
    for data, match in (
        (late.tobytes(), r"row 17, column time: expected milliseconds of an hour, 0 to 3,599,999, found 3600000"),
        (free.tobytes(), r"row 18, column bid: expected a price above 0, found 0\.0"),
        (less.tobytes(), r"row 19, column bid_size: expected a size of 0 or more, found -1\.0"),
        (TICKS.tobytes() + b"\0\0\0", r"row 31: expected 20 bytes, found 3"),
    ):
        with pytest.raises(DataError, match=match):
            take(bi5(tmp_path, "10h_ticks.bi5", data), format="dukascopy-ticks")
    assert not Catalog().datasets()
