"""What the verbs share for people: progress without a terminal, paths, files left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tercel.base.time import NS_PER_MS
from tercel.cli import data_tables, show
from tercel.market.importers.report import Skipped


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing for what is quick, then a plain line every two seconds, none at the end; kernels are named as being compiled."""
    now = iter(range(0, 10_000 * NS_PER_MS, 300 * NS_PER_MS))
    monkeypatch.setattr(show, "clock_ns", lambda: next(now))
    with show.progress() as report:
        for done in range(8):
            report("tercel.core.step.step_run", done, 8)
        report("", 8, 8)
        report("ticks", 1, 2)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == "   compiling step_run, 12%\n"


def test_quiet_progress_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json nothing is said, however long it takes."""
    now = iter(range(0, 10**15, 10**13))
    monkeypatch.setattr(show, "clock_ns", lambda: next(now))
    with show.progress(quiet=True) as report:
        for done in range(8):
            report("ticks", done, 8)
    assert capsys.readouterr() == ("", "")


def test_a_path_below_the_users_home_is_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """People know where ~ is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert show.short(tmp_path / ".tercel" / "catalog") == "~/.tercel/catalog"
    assert show.short(tmp_path) == str(tmp_path)
    assert show.short(tmp_path.parent / "x") == str(tmp_path.parent / "x")


def test_files_left_out_are_counted_by_folder_ending_and_reason() -> None:
    """A single file is named; those below two levels of folders that are alike are one row."""
    skipped = [
        Skipped("d/README.md", "unknown format; found a table"),
        *(Skipped(f"d/raw/lean/{name}/x.zip", "unknown format; found a table") for name in "abc"),
        Skipped("d/raw/lean/a/y.zip", "the archive is damaged"),
    ]
    assert data_tables.left_out(skipped) == [
        ("d", ".md", "README.md", "unknown format"),
        ("d/raw/lean", ".zip", "3 files", "unknown format"),
        ("d/raw/lean", ".zip", "y.zip", "the archive is damaged"),
    ]
