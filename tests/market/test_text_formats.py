"""HistData, TrueFX and MetaTrader files: recognised by content, right times, right symbols."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tercel.base.errors import ConfigError, DataError
from tercel.base.time import NS_PER_H, NS_PER_MIN, parse_instant
from tercel.market.catalog import Catalog
from tercel.market.importers import clock, detect
from tests.market.history import everything, take, text

RAW = {
    "histdata/DAT_ASCII_EURUSD_M1_201703_1_10.csv": ("histdata-bars", 11_092, "EURUSD@histdata", "bar 1m bid"),
    "histdata/DAT_MT_EURUSD_M1_202006.csv": ("histdata-mt", 6_771, "EURUSD@histdata", "bar 1m bid"),
    "histdata/EURUSD_ticks_20200101.csv": ("histdata-ticks", 9_500, "EURUSD@histdata", "quote"),
    "truefx/USDJPY_ticks.csv": ("truefx", 1_000, "USDJPY@truefx", "quote"),
    "metatrader/mt4/CADJPY1.csv": ("mt4", 2_048, "CADJPY@metatrader", "bar 1m bid"),
    "metatrader/mt5/US30m_H4_202401012000_202509082000.csv": ("mt5", 2_662, "US30m@metatrader", "bar 4h bid"),
}


def test_every_raw_file_is_recognised_and_read(home: Path, data_dir: Path) -> None:
    """Each real vendor file is known by its content and gives its rows, symbol, venue and bar interval."""
    for name, (form, rows, instrument, what) in RAW.items():
        report = take(data_dir / "raw" / name)
        assert (report.files[0].format, report.rows) == (form, rows), name
        assert [data.key.what for data in Catalog().datasets() if data.instrument.name == instrument and data.key.what == what], name


def test_a_folder_skips_unknown_files_by_name(home: Path, tmp_path: Path) -> None:
    """A folder imports what is known; everything else is listed with a reason; the same file given by name is refused."""
    text(tmp_path / "data" / "EURUSD.csv", "20200101 170000065,1.1,1.2,0")
    unknown = text(tmp_path / "data" / "notes" / "BCHEUR.csv", "buy low", "sell high")
    report = take(tmp_path / "data")
    assert [Path(one.path).name for one in report.files] == ["EURUSD.csv"]
    (skipped,) = report.skipped
    assert (skipped.path, skipped.reason.partition(" found ")[0]) == (str(unknown), "unknown format;")
    with pytest.raises(DataError, match=r"BCHEUR\.csv: unknown format"):
        take(unknown)


def test_content_decides_not_the_name(home: Path, tmp_path: Path) -> None:
    """A TrueFX file called .parquet is a TrueFX file, and the pair comes from the rows."""
    path = text(tmp_path / "DAT_ASCII_GBPUSD.parquet", "EUR/USD,20130101 22:00:00.295,1.32,1.33", "USD/JPY,20130101 22:00:01.000,86.6,86.7")
    report = take(path)
    assert report.files[0].format == "truefx"
    assert [one.instrument for one in report.files[0].series] == ["EURUSD@truefx", "USDJPY@truefx"]


def test_an_unknown_format_name_is_refused_with_the_nearest() -> None:
    """`--format truefy` names truefx."""
    with pytest.raises(ConfigError, match="'truefy'; did you mean 'truefx'"):
        detect.named("truefy")


def test_new_york_times_follow_the_daylight_saving_rule(home: Path, tmp_path: Path) -> None:
    """HistData's 17:00 is 22:00 UTC in winter and 21:00 in summer; --timezone -05:00 reads the vendor's documentation instead."""
    winter, summer = "20170306 170000;1;1;1;1;0", "20170313 170000;1;1;1;1;0"
    take(text(tmp_path / "EURUSD.csv", winter, summer))
    times = everything(Catalog().records("EURUSD@histdata", "bar"))["ts_event"].tolist()
    assert times == [parse_instant("2017-03-06T22:00"), parse_instant("2017-03-13T21:00")]
    take(text(tmp_path / "GBPUSD.csv", winter, summer), timezone="-05:00")
    times = everything(Catalog().records("GBPUSD@histdata", "bar"))["ts_event"].tolist()
    assert times == [parse_instant("2017-03-06T22:00"), parse_instant("2017-03-13T22:00")]


def test_a_repeated_hour_is_told_apart_by_the_step_back(home: Path, tmp_path: Path) -> None:
    """When New York's clock goes back, the rows before the step belong to the first pass and those after it to the second."""
    lines = [f"20171105 {hour}{minute:02}00000,1.1,1.2,0" for hour in ("01", "01", "02") for minute in (0, 30)]
    report = take(text(tmp_path / "EURUSD_ticks.csv", *lines))
    times = everything(Catalog().records("EURUSD@histdata", "quote"))["ts_event"]
    assert times[0] == parse_instant("2017-11-05T05:00")
    assert set(np.diff(times).tolist()) == {NS_PER_H // 2}
    assert any(note == f"4 {clock.AMBIGUOUS}" for note in report.files[0].notes)
    assert report.files[0].series[0].rows_out_of_order == 0


def test_a_skipped_hour_is_repaired_and_counted(home: Path, tmp_path: Path) -> None:
    """A time that New York's clock never showed is read with the offset before the change."""
    report = take(text(tmp_path / "EURUSD_ticks.csv", "20170312 023000000,1.1,1.2,0", "20170312 033000000,1.1,1.2,0"))
    assert everything(Catalog().records("EURUSD@histdata", "quote"))["ts_event"].tolist() == [parse_instant("2017-03-12T07:30")] * 2
    assert any(note == f"1 {clock.NONEXISTENT}" for note in report.files[0].notes)


def test_the_brokers_clock_is_stated_and_can_be_changed(home: Path, tmp_path: Path) -> None:
    """MetaTrader's times are taken as UTC+3 and the report says so; with --timezone it is the zone given."""
    lines = [f"2022.09.29,13:4{minute},1.1,1.2,1.0,1.1,64" for minute in range(3)]
    report = take(text(tmp_path / "EURUSD1.csv", *lines))
    assert report.files[0].timezone == "UTC+3"
    assert "taken as UTC+3" in report.files[0].notes[0]
    assert Catalog().datasets()[0].first_ns == parse_instant("2022-09-29T10:40")
    take(text(tmp_path / "GBPUSD1.csv", *lines), timezone="UTC+2")
    assert Catalog().datasets()[1].first_ns == parse_instant("2022-09-29T11:40")


def test_the_same_bytes_with_another_clock_are_refused(home: Path, tmp_path: Path) -> None:
    """A file that was imported cannot come in again hours apart; the error says how to read it anew."""
    path = text(tmp_path / "EURUSD1.csv", *[f"2022.09.29,13:4{minute},1.1,1.2,1.0,1.1,64" for minute in range(3)])
    take(path)
    with pytest.raises(ConfigError, match=r"imported before with times UTC\+3, now UTC; .*data remove EURUSD@metatrader bar"):
        take(path, timezone="UTC")


def test_the_interval_is_the_commonest_step(home: Path, tmp_path: Path) -> None:
    """Bars of 15 minutes with a hole are 15-minute bars; a single bar needs --interval."""
    lines = [f"2022.09.29,{hour:02}:{minute:02},1.1,1.2,1.0,1.1,64" for hour in (1, 4) for minute in (0, 15, 30, 45)]
    take(text(tmp_path / "EURUSD15.csv", *lines))
    assert Catalog().datasets()[0].interval_ns == 15 * NS_PER_MIN
    single = text(tmp_path / "GBPUSD.csv", lines[0])
    with pytest.raises(DataError, match="found a single bar; say it with --interval"):
        take(single)
    take(single, interval_ns=NS_PER_H)
    assert Catalog().datasets()[1].interval_ns == NS_PER_H


def test_a_file_that_does_not_name_its_symbol_needs_the_option(home: Path, tmp_path: Path) -> None:
    """Neither rows nor name say the symbol: refused naming --symbol, accepted with it."""
    path = text(tmp_path / "ticks.csv", "20200101 170000065,1.121200,1.121720,0")
    with pytest.raises(ConfigError, match="--symbol"):
        take(path)
    assert take(path, symbol="EURUSD").files[0].series[0].instrument == "EURUSD@histdata"


def test_blocks_give_every_line_once_with_its_number(tmp_path: Path) -> None:
    """However a text is cut into blocks, each line comes once, in order and with the right row number."""
    from tercel.market.importers.textfile import blocks

    lines = [f"{'x' * (index % 17)}{index}" for index in range(500)]
    path = text(tmp_path / "lines.txt", *lines)
    for size in (64, 100, 997, 1 << 20):
        seen = [
            (block.first_row + place, line)
            for block in blocks(path, 1, size)
            for place, line in enumerate(block.data.decode().splitlines())
        ]
        assert seen == [(index + 1, line) for index, line in enumerate(lines)][1:], size
