"""`tercel models` from outside: what it shows, what it refuses, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercel.cli import main
from tercel.models.registry import Registry
from tests.models.kept import model


def test_models_are_listed_and_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`list` has a row for each version, `show` everything about one, both also as JSON."""
    assert main.run(["models", "list"]) == 0
    assert "No model was saved yet" in capsys.readouterr().out
    Registry().save(model())
    Registry().save(model(seed=2))
    assert main.run(["models", "list"]) == 0
    text = capsys.readouterr().out
    assert "eurusd@1" in text
    assert "no edge" in text
    assert main.run(["models", "list", "eurusd", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["version"], one["stage"]) for one in entries] == [("eurusd", 1, "candidate"), ("eurusd", 2, "candidate")]
    assert main.run(["models", "show", "eurusd@1"]) == 0
    text = capsys.readouterr().out
    for word in (
        "eurusd@1",
        "candidate",
        "take 1.5, stop 1 widths, 30m",
        "fold-2",
        "final.long.txt",
        "0123456789abcdef",
        "at least 30",
        "settings boosting leaves",
        "Trials: 1",
    ):
        assert word in text
    assert main.run(["models", "show", "eurusd", "--json"]) == 0
    view = json.loads(capsys.readouterr().out)
    assert (view["manifest"]["version"], view["stage"]) == (2, "candidate")


def test_a_stage_is_given(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`stage` says what changed, minds a verdict of no edge, and wants a version."""
    Registry().save(model())
    Registry().save(model(seed=2))
    assert main.run(["models", "stage", "eurusd@1", "production", "--note", "first"]) == 0
    text = capsys.readouterr().out
    assert "eurusd@1: candidate to production" in text
    assert "no edge" in text
    assert main.run(["models", "stage", "eurusd@2", "production", "--json"]) == 0
    view = json.loads(capsys.readouterr().out)
    assert [(one["version"], one["stage"]) for one in view["changes"]] == [(1, "archived"), (2, "production")]
    assert main.run(["models", "stage", "eurusd@2", "production"]) == 0
    assert "is production already" in capsys.readouterr().out
    for words, said in (
        (["eurusd", "production"], "expected NAME@VERSION"),
        (["eurusd@2", "live"], "stage: expected one of candidate, production, archived, found 'live'"),
        (["eurusd@9", "archived"], "expected a version among eurusd@1, eurusd@2"),
    ):
        assert main.run(["models", "stage", *words]) == 2
        assert said in capsys.readouterr().err


def test_damage_ends_with_status_3(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify` reads every byte; a damaged file is named and the status is 3."""
    Registry().save(model())
    assert main.run(["models", "verify"]) == 0
    assert "as saved" in capsys.readouterr().out
    path = home / "models" / "eurusd" / "1" / "final.short.txt"
    path.write_bytes(path.read_bytes()[:-1])
    assert main.run(["models", "verify", "eurusd"]) == 3
    error = capsys.readouterr().err
    assert "1 of 1 models cannot be used" in error
    assert "final.short.txt" in error
    assert main.run(["models", "show", "eurusd"]) == 3
