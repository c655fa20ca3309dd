"""`tercel data`: what people type and read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercel.base.time import NS_PER_DAY
from tercel.cli.data import app
from tercel.cli.main import run
from tests.market.history import START_NS, bar_table, quote_table, save, start_python, text


@pytest.fixture
def source(home: Path, tmp_path: Path) -> Path:
    """A file of quotes of OANDA."""
    return save(tmp_path / "fx_oanda.parquet", quote_table(100))


def test_import_list_show_check_and_remove(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is imported, listed, shown with its definition and source, checked, and removed again."""
    assert run(["data", "import", str(source)]) == 0
    assert "1 files, 100 rows: 100 new rows." in capsys.readouterr().out
    assert run(["data", "import", str(source)]) == 0
    assert "nothing new, no file was changed" in capsys.readouterr().out
    assert run(["data", "list"]) == 0
    assert "EURUSD@oanda" in capsys.readouterr().out
    assert run(["data", "show", "EURUSD"]) == 0
    shown = capsys.readouterr().out
    assert "100000" in shown
    assert "from fx_oanda.parquet (parquet, times UTC)" in shown
    assert run(["data", "check"]) == 0
    assert "good" in capsys.readouterr().out
    assert run(["data", "remove", "EURUSD", "quote"]) == 0
    assert "removed EURUSD@oanda quote: 100 rows" in capsys.readouterr().out
    assert run(["data", "list"]) == 0
    assert "The catalog is empty" in capsys.readouterr().out


def test_every_verb_speaks_json(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each verb prints one JSON value with the same facts."""
    assert run(["data", "import", str(source), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["changed"], report["files"][0]["series"][0]["counts"]["rows"]) == (True, 100)
    assert run(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["instrument"]["symbol"] == "EURUSD"
    assert run(["data", "show", "EURUSD", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["series"][0]["sources"][0]["name"] == "fx_oanda.parquet"
    assert run(["data", "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["damage"] == []
    assert run(["data", "remove", "EURUSD", "quote", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 100


def test_a_refused_file_is_one_line_and_a_status(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad file gives one line on stderr and exit status 3; no files give status 2."""
    path = text(tmp_path / "EURUSD.csv", "20200101 170000065,1.1,1.2,0", "20200101 170001065,x,1.2,0")
    assert run(["data", "import", str(path)]) == 3
    error = capsys.readouterr().err
    assert error == "error: EURUSD.csv: row 2, column bid: expected a number, found 'x'; nothing was imported\n"
    assert run(["data", "import"]) == 2


def test_a_folder_lists_what_it_skipped(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of unknown format in a folder are listed by name with the reason."""
    text(source.parent / "notes.txt", "buy low, sell high")
    assert run(["data", "import", str(source.parent)]) == 0
    out = capsys.readouterr().out
    assert "notes.txt" in out
    assert "unknown format" in out


def test_a_note_that_files_share_is_said_once(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is assumed of many files is one line with their number and the sum of its counts; names that differ in the middle differ."""
    names = [f"EURUSD_a_long_name_of_a_file_part_{part}_of_a_long_export.csv" for part in (1, 2)]
    for part, name in enumerate(names, 1):
        text(tmp_path / "in" / name, *[f"2017110{part} 01{minute:02}00;1;1;1;1;0" for minute in range(3)])
        text(tmp_path / "in" / f"BTCUSDT-1m-{part}.csv", kline(part))
    assert run(["data", "import", str(tmp_path / "in")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "note on 2 files: HistData's times are read as New York" in out
    assert "note on 2 files: 2 rows are taken as of the spot market" in out
    assert out.count("taken as of") == 1
    assert all(name[-29:] in out for name in names)


def kline(minute: int) -> str:
    """A Binance bar of one minute."""
    start = 1_735_689_600_000 + 60_000 * minute
    return f"{start},1.5,1.7,1.4,1.6,100,{start + 59_999},150,3,40,60,0"


def test_what_was_repaired_and_kept_is_said(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Out-of-order rows and repeated bars are reported as repaired, odd quotes as kept."""
    import pyarrow as pa

    table = quote_table(100)
    swapped = pa.concat_tables([table.slice(50), table.slice(0, 50)])
    assert run(["data", "import", str(save(tmp_path / "oanda_a.parquet", swapped))]) == 0
    assert "50 rows out of order: repaired, sorted by time" in capsys.readouterr().out
    locked = table.set_column(table.column_names.index("ask"), "ask", table["bid"])
    assert run(["data", "import", str(save(tmp_path / "fxcm_b.parquet", locked))]) == 0
    assert "100 locked quotes: kept" in capsys.readouterr().out
    repeated = bar_table([START_NS, START_NS, START_NS + 2 * NS_PER_DAY // 1440], [1.5, 1.5, 1.6])
    assert run(["data", "import", str(save(tmp_path / "c.parquet", repeated))]) == 0
    out = capsys.readouterr().out
    assert "1 repeated bars: repaired, kept once" in out
    assert "1 bars absent" in out


def test_a_damaged_catalog_has_its_own_status(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`data check` names damaged files and ends with status 3."""
    from tercel.base import paths

    run(["data", "import", str(source)])
    (part,) = paths.catalog_dir().rglob("*.parquet")
    part.write_bytes(b"nothing")
    capsys.readouterr()
    assert run(["data", "check"]) == 3
    captured = capsys.readouterr()
    assert "1 DAMAGED" in captured.out
    assert "1 of the catalog's files are damaged" in captured.err


def test_the_verb_loads_no_heavy_library() -> None:
    """Importing the command's module brings neither pyarrow nor numpy, so that help stays quick."""
    code = "import sys, tercel.cli.data; print(sorted({'pyarrow', 'numpy', 'rich'} & set(sys.modules)))"
    process = start_python(code)
    output = process.communicate()[0]
    assert "pyarrow" not in output
    assert app.name == ("data",)
