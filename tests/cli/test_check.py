"""`tercel check lookahead` from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercel.base.time import NS_PER_S
from tercel.cli import main
from tercel.features.opcodes import OPCODES
from tercel.models.registry import Registry
from tests.drivers import leaks
from tests.market.history import START_NS, quote_table, save, take
from tests.models import kept as training
from tests.models.kept import model

LEAKING = """
from tercel.decision.strategy import Strategy
from tests.drivers.leaks import leaking
class Peek(Strategy):
    features = (leaking("peek_next"),)
    def on_bar(self, context, bar):
        context.target(1000.0 if context.features["peek_next"] > bar.close else 0.0)
"""


@pytest.fixture(autouse=True)
def _quotes(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    take(save(tmp_path / "EURUSD.parquet", quote_table(3_000, START_NS, symbol="EURUSD")), venue="one")


def test_the_default_strategy_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0 and a table that says what was checked; the same as JSON."""
    assert main.run(["check", "lookahead", "EURUSD@one", "--bars", "10s", "--cuts", "2"]) == 0
    text = capsys.readouterr().out
    assert "Does anything look ahead?" in text
    assert "Nothing decided before a cut depends on what comes after it." in text
    assert main.run(["check", "lookahead", "--bars", "10s", "--cuts", "1", "--json"]) == 0
    (view,) = json.loads(capsys.readouterr().out)
    assert (view["clean"], view["records"], view["runs"], view["leaks"]) == (True, 3_000, 7, [])


def test_a_leak_ends_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A strategy with a feature that reads ahead is named, with the bar and the cut."""
    (tmp_path / "peeking.py").write_text(LEAKING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(OPCODES, "peek_next", leaks.LEAKING["peek_next"])
    assert main.run(["check", "lookahead", "--bars", "10s", "--cuts", "1", "--strategy", "peeking:Peek"]) == 1
    text = capsys.readouterr().out
    assert "feature peek_next: EURUSD@one, bar that closed at " in text
    assert "output " in text


def test_a_model_is_checked_with_its_labels_and_its_past(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The features and labels of a model are checked, and a period that it has learnt from is a leak."""
    Registry().save(model())
    table = quote_table(6_000, training.START_NS + training.HOUR_NS, 5 * NS_PER_S, symbol="GBPUSD")
    take(save(tmp_path / "GBPUSD.parquet", table), venue="one")
    words = ["check", "lookahead", "GBPUSD", "--model", "eurusd@1", "--cuts", "1", "--json"]
    assert main.run(words) == 0
    views = json.loads(capsys.readouterr().out)
    assert [view["about"] for view in views] == ["features and orders", "features and labels"]
    assert views[1]["rows"] > 300
    assert main.run([*words, "--start", "2023-11-14T23:00", "--end", "2023-11-15T09:00"]) == 1
    views = json.loads(capsys.readouterr().out)
    assert [view["clean"] for view in views] == [False, True, True]
    assert "no part may speak" in views[0]["leaks"][0]["what"]
    assert main.run(["check", "lookahead", "--model", "eurusd@7"]) == 2
