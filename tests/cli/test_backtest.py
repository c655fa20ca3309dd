"""`tercel backtest`: recorded history in, a report out, errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercel.base.time import NS_PER_S
from tercel.cli.main import run
from tests.market.history import quote_table, save, take

ROWS = 20_000


@pytest.fixture
def catalog(home: Path, tmp_path: Path) -> Path:
    """Quotes of one instrument, five seconds apart."""
    take(save(tmp_path / "oanda.parquet", quote_table(ROWS, step_ns=5 * NS_PER_S)))
    return home


def result(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """The JSON of a back-test, without what a clock measured."""
    assert run(["backtest", "--json", *words]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    found = json.loads(output.out)
    assert found.pop("seconds") > 0
    assert found.pop("core_seconds") > 0
    assert found.pop("ticks_per_second") > 0
    return dict(found)


def test_json_is_the_whole_report(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON value: counts, money per currency and instrument, reasons, a state hash; the same for any number of threads."""
    found = result(capsys, "EURUSD")
    assert found["ticks"] == ROWS
    assert found["orders"]
    assert found["by_currency"][0]["currency"] == "USD"  # type: ignore[index]
    assert found["by_instrument"][0]["name"] == "EURUSD@oanda"  # type: ignore[index]
    assert len(str(found["state_hash"])) == 32
    assert result(capsys, "--threads", "2") == found


def test_the_report_for_people_says_the_same(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables with the instrument, the orders and the state hash of the JSON."""
    found = result(capsys)
    assert run(["backtest"]) == 0
    text = capsys.readouterr().out
    for part in ("EURUSD@oanda", f"{ROWS:,} ticks", f"{found['orders']:,} orders sent", str(found["state_hash"])):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_period_is_cut_out(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The start is included, the end is not."""
    found = result(capsys, "--start", "2014-05-01T01:00", "--end", "2014-05-01T02:00")
    assert found["ticks"] == 720


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["EURUS"], "instrument 'EURUS'"),
        (["EURUSD", "--every", "4h"], "EURUSD@oanda: expected quotes, trades or bars of 4h"),
        (["--start", "2020-01-01"], "nothing of EURUSD@oanda between 2020-01-01 and None"),
        (["--start", "2014-05-02", "--end", "2014-05-01"], "expected a start before the end"),
        (["--settings", "absent.toml"], "absent.toml, found none"),
        (["--strategy", "nowhere:Strategy"], "nowhere"),
        (["--threads", "0"], "--threads: expected 1 to "),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(
    catalog: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """A wrong name, period or setting ends with status 2 and one line that names it."""
    assert run(["backtest", *words]) == 2
    output = capsys.readouterr()
    assert output.err.startswith("error: ")
    assert said in output.err
    assert output.err.count("\n") == 1


def test_a_settings_file_counts_and_its_faults_are_named(
    catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """tercel.toml of the working folder is read; a wrong key in it is an error with the nearest right one."""
    by_default = result(capsys)
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "tercel.toml"
    settings.write_text("[rule]\nfast = 5\nslow = 15\n")
    assert result(capsys)["state_hash"] != by_default["state_hash"]
    settings.write_text("[rule]\nfst = 5\n")
    assert run(["backtest"]) == 2
    assert "error: rule.fst: unknown setting; did you mean rule.fast? (tercel.toml:2)\n" in capsys.readouterr().err


def test_an_empty_catalog_says_what_to_do(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without history the error names the verb that brings some."""
    assert run(["backtest"]) == 2
    assert "tercel data import" in capsys.readouterr().err
