"""`tercel train`: history in, a judged and registered model out, errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercel.base.time import NS_PER_S
from tercel.cli.main import run
from tercel.models.registry import Registry
from tests.market.history import quote_table, save, take

SMALL = ["--folds", "2", "--horizon", "5m", "--features", "zscore_20", "--features", "rsi_14"]


@pytest.fixture
def catalog(home: Path, tmp_path: Path) -> Path:
    """Half a day of quotes of one instrument, five seconds apart."""
    take(save(tmp_path / "oanda.parquet", quote_table(9_000, step_ns=5 * NS_PER_S)))
    return home


def test_a_model_is_trained_judged_registered_and_shown(catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A walk has no edge, and is kept with that verdict; the page lies beside it; both are named."""
    assert run(["train", *SMALL, "--name", "walk"]) == 0
    text = capsys.readouterr().out
    assert "walk@1" in text
    assert "NO EDGE" in text
    assert "zscore_20" in text
    assert max(map(len, text.splitlines())) <= 120
    page = catalog / "models" / "walk" / "1.html"
    assert "page:" in text
    assert "walk@1" in page.read_text()
    assert Registry().load("walk").manifest.metrics["verdict"] == "no edge"
    assert [one.damage for one in Registry().verify()] == [""]


def test_json_is_the_whole_judgement(catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One JSON value; the same again but for the time it took; the page where it was asked for."""
    page = tmp_path / "there" / "walk.html"
    found = []
    for _ in range(2):
        assert run(["train", "EURUSD", *SMALL, "--html", str(page), "--json"]) == 0
        output = capsys.readouterr()
        assert output.err == ""
        found.append(json.loads(output.out))
    assert [one["model"] for one in found] == ["model@1", "model@1"]
    assert found[0]["evaluation"] == found[1]["evaluation"]
    assert found[0]["evaluation"]["verdict"] == "no edge"
    assert page.is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["EURUS"], "instrument 'EURUS'"),
        (["--features", "rsi"], "train --features"),
        (["--folds", "0"], "folds: expected 1"),
        (["--take", "0"], "take: expected a positive number"),
        (["--horizon", "soon"], "'soon'"),
        (["--bars", "100t"], "--horizon-bars"),
        (["--threads", "0"], "--threads: expected 1 to "),
        (["--horizon", "1d"], "known outcome"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    catalog: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """Status 2 and one line that names what was wrong."""
    assert run(["train", *words]) == 2
    said_lines = capsys.readouterr().err.splitlines()
    assert said_lines[-1].startswith("error: ")
    assert said in said_lines[-1]
    assert all(line.startswith("   compiling ") for line in said_lines[:-1])  # where the kernels were not there yet
