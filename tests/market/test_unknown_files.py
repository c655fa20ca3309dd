"""A file that cannot be read as it stands: the refusal says what was found, all that is missing at once, and a command line that works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tercel.cli.main import run
from tercel.market.importers import detect
from tests.market.history import text

COMMAND = re.compile(r": tercel (data import .+?)(?: \(with your own .*?\))?(?:; all formats: tercel data formats)?$")


@pytest.mark.parametrize(
    ("lines", "columns", "series"),
    [
        (("Zeit;Geld;Brief", "01.02.2021 00:00:00;1,1;1,2"), "time=Zeit,bid=Geld,ask=Brief", "EURUSD@mine quote"),
        (("Datum,Uhr,Kurs", "2021-02-01,00:00:01,17.5"), "date=Datum,time=Uhr,price=Kurs", "EURUSD@mine trade"),
        (("1612137600,1.1,1.2,7", "1612137601,1.1,1.2,7"), "time=1,bid=2,ask=3", "EURUSD@mine quote"),
        (("t0|p1|p2|p3|p4|n", "2021-02-01 00:00|1|2|0.5|1.5|3", "2021-02-01 00:01|1|2|0.5|1.5|3"),
         "time=t0,open=p1,high=p2,low=p3,close=p4,volume=n", "EURUSD@mine bar 1m trade"),
        (("When,What,bid,B=", "2021-02-01 00:00,EUR/USD,1.1,1.1"), "time=When,ask=4,symbol=What", "EURUSD@mine quote"),
        (("time,bid,ask", "2021-02-01 00:00,1.1,1.1"), None, "EURUSD@mine quote"),
        (("time,price,odd", "2021-02-01 00:00,1.1,x"), None, "EURUSD@mine trade"),
    ],
)  # fmt: skip
def test_one_refusal_says_all_and_the_command_that_works(
    lines: tuple[str, ...], columns: str | None, series: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Headings, symbol and venue that nothing says are asked for in one line; the command in it imports the file."""
    path = text(tmp_path / "my prices.csv", *lines)
    assert run(["data", "import", str(path)]) in (2, 3)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "its venue" in error
    assert ("its symbol" in error) != (columns is not None and "symbol=" in columns)
    found = COMMAND.search(error)
    assert found, error
    words = shlex.split(found[1])
    assert words[2] == str(path)
    assert (words[words.index("--columns") + 1] if "--columns" in words else None) == columns
    assert run(words) == 0
    assert series in capsys.readouterr().out


def test_what_was_said_already_is_in_the_command_too(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Options that were given are kept; a column that was mapped is not guessed again."""
    path = text(tmp_path / "x.csv", "Zeit;Geld;Brief", "01.02.2021 00:00:00;1,123;1,124")
    assert run(["data", "import", str(path), "--columns", "bid=Geld", "--symbol", "EURUSD", "--timezone", "UTC", "--decimal-comma"]) == 3
    error = capsys.readouterr().err
    assert "its symbol" not in error
    found = COMMAND.search(error)
    assert found, error
    assert run(shlex.split(found[1])) == 0
    assert "EURUSD@mine quote" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello world\nand more\n", "found text whose first line is 'hello world'; it is no table"),
        (b'{"a": 1, "b": 2}\n', 'found text whose first line is \'{"a": 1, "b": 2}\'; it is no table'),
        (b"\x01\x00\xff" * 10, "found 30 bytes that are no text, beginning 01 00 ff 01"),
        (b"p,q\nx,y\n", "found a table of 2 columns between commas; as a table (csv): found no column of the time and of prices"),
    ],
)
def test_what_was_found_is_said_before_anything_else(
    data: bytes, expected: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The refusal begins with what the file holds; the names of the formats are in a command of their own."""
    path = tmp_path / "some.file"
    path.write_bytes(data)
    assert run(["data", "import", str(path)]) == 3
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: unknown format; {expected}")
    assert error.endswith("all formats: tercel data formats\n")
    assert "histdata" not in error


def test_the_formats_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each name that --format takes, with what it is."""
    assert run(["data", "formats", "--json"]) == 0
    assert [one["format"] for one in json.loads(capsys.readouterr().out)] == list(detect.formats())
    assert run(["data", "formats"]) == 0
    assert "HistData tick CSV" in capsys.readouterr().out
