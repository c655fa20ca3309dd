"""zipline's day bars and CME's minute bars stamped at the close."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tercel.base.errors import DataError
from tercel.base.time import NS_PER_MIN, parse_instant
from tercel.market.catalog import Catalog
from tests.market.history import everything, take, text
from tests.market.test_lean import same

CSVDIR = "date,open,high,low,close,volume,dividend,split"
CME = "timestamp_utc,open,high,low,close,volume"


def test_day_bars_are_the_decimals_of_the_file(home: Path, data_dir: Path) -> None:
    """754 bars of AAPL at New York's midnight, each number the nearest double; dividends and the split are counted."""
    path = data_dir / "raw/csvdir/daily/AAPL.csv.gz"
    report = take(path)
    assert (report.files[0].format, report.files[0].series[0].instrument) == ("csvdir", "AAPL@csvdir")
    assert "10 dividends: left out, the catalog has no place for them" in report.files[0].notes
    assert "1 splits: left out, the catalog has no place for them" in report.files[0].notes
    rows = everything(Catalog().records("AAPL@csvdir", "bar"))
    with gzip.open(path, "rt") as file:
        lines = list(csv.DictReader(file))
    assert len(rows) == len(lines) == 754
    for row, line in zip(rows, lines, strict=True):
        assert [row[name] for name in ("open", "high", "low", "close", "volume")] == [
            float(line[name]) for name in ("open", "high", "low", "close", "volume")
        ]
    assert rows["ts_event"][0] == parse_instant("2012-01-03T05:00")
    assert not take(path).changed


def test_a_share_nobody_knows_is_called_as_its_file(home: Path, tmp_path: Path) -> None:
    """csvdir names a file by its symbol; a bar that contradicts itself is refused with its row."""
    take(text(tmp_path / "zzzz.csv", CSVDIR, "2012-01-03,1.5,2,1,1.25,100,0.0,1.0"))
    assert Catalog().datasets()[0].instrument.name == "ZZZZ@csvdir"
    bad = text(tmp_path / "yyyy.csv", CSVDIR, "2012-01-03,1.5,2,1,1.25,100,0.0,1.0", "2012-01-04,1.5,1,1,1.25,100,0.0,1.0")
    with pytest.raises(DataError, match=r"yyyy\.csv: row 3, column high: expected a high that is not below open and close, found 1\.0"):
        take(bad)
    with pytest.raises(DataError, match="row 2, column date: expected a time as YYYY-MM-DD"):
        take(text(tmp_path / "x.csv", CSVDIR, "2012-01-03 09:31:00,1.5,2,1,1.25,100,0.0,1.0"))


def test_close_stamps_become_openings(home: Path, data_dir: Path) -> None:
    """All 29,996 minutes of 6EH4 are those of the Parquet file, which then brings nothing new."""
    report = take(data_dir / "raw" / "cme")
    assert (report.files[0].format, report.rows) == ("cme-bars", 29_996)
    assert report.files[0].notes[0].startswith("each stamp is the close of its bar")
    table = pq.read_table(data_dir / "bars" / "futures_cme_1m.parquet")
    rows = everything(Catalog().records("6EH4@cme", "bar"))
    same(rows, table, {name: name for name in ("ts_event", "open", "high", "low", "close", "volume")})
    assert not take(data_dir / "bars" / "futures_cme_1m.parquet").changed


def test_a_stamp_off_the_minute_is_refused(home: Path, tmp_path: Path) -> None:
    """A bar that does not close on a multiple of its length is none of that length."""
    lines = [CME, "2024-01-01 23:01:00,1.1,1.2,1.0,1.1,5", "2024-01-01 23:02:30,1.1,1.2,1.0,1.1,5"]
    with pytest.raises(DataError, match=r"row 3, column timestamp_utc: expected the close of a bar of 1m .*found '2024-01-01 23:02:30'"):
        take(text(tmp_path / "6EH4.csv", *lines))
    take(text(tmp_path / "6EH4.csv", CME, "2024-01-01 23:05:00,1.1,1.2,1.0,1.1,5"), interval_ns=5 * NS_PER_MIN)
    assert Catalog().datasets()[0].first_ns == parse_instant("2024-01-01T23:00")
