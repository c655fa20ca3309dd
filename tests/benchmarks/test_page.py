"""The page of benchmarks: every row of the results stands on it, losses are marked, and nothing is invented."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.harness import Figure
from benchmarks.page import page, read, table
from tests.test_docs import anchors, blocks

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {"cpu": "Made Up 9000", "cores": 4, "memory_gib": 7.5, "system": "Linux x86_64", "python": "3.11.9", "load_1m": 0.25}
FOREST = [
    {"shape": "200 trees", "engine": "tercel", "door": "tercel one", "p99_us": 4.125, "scores": "single rows are the batch"},
    {"shape": "200 trees", "engine": "tercel", "door": "clock alone", "p99_us": 0.1},
    {"shape": "200 trees", "engine": "other", "door": "other predict", "p99_us": 3.0, "scores": "differ | by 1e-9"},
    {"shape": "200 trees", "engine": "third", "door": "third predict", "p99_us": 41.5, "scores": "equal to the bit"},
]
BACKTEST = [{"engine": "tercel", "ticks_per_s": 9_000_000.0, "fills": 1_234}, {"engine": "slow", "ticks_per_s": None, "fills": None}]


def made(name: str, value: float | None, peer: float | None, better: Any, rows: list[Any], **more: Any) -> Figure:
    """A figure with made-up numbers."""
    fields: dict[str, Any] = {
        "name": name, "value": value, "unit": "µs/row", "peer": "other predict", "peer_value": peer, "better": better,
        "ratio": value / peer if value and peer else None, "input": "rows that were made up", "rows": 20_000, "result_hash": "ab" * 8,
        "leaves_out": ["loading the model"], "errors": [], "table": rows, "raw": {},
        "command": f"python -m benchmarks {name.partition('.')[0]}",
        "ready": {"tercel": {}, "other": {"versions": {"python": "3.11.9", "other": "1.2.3"}}}, "date": "2026-01-02T03:04:05+00:00",
        "machine": MACHINE, "versions": {"tercel": "0.1.0"},
    }  # fmt: skip
    return Figure(**{**fields, **more})


FIGURES = [
    made("forest.batch", 900_000.0, 300_000.0, "higher", FOREST[:1]),
    made("forest", 4.125, 3.0, "lower", FOREST, errors=["lleaves: could not be\ninstalled"]),
    made("backtest", 9e6, None, "higher", BACKTEST, machine={**MACHINE, "load_1m": 1.5}),
]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A file as `--json` writes it."""
    path = tmp_path / "results.json"
    path.write_bytes(b"".join(msgspec.json.encode(item) + b"\n" for item in FIGURES))
    return path


def test_a_file_of_results_becomes_a_page(results: Path, tmp_path: Path) -> None:
    """The command prints it; links lead to sections of it, and every block is closed."""
    command = [sys.executable, "-m", "benchmarks", "page", str(results)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == page(FIGURES)
    path = tmp_path / "benchmarks.md"
    path.write_text(done.stdout)
    assert {"summary", "forest", "backtest"} <= anchors(path)
    assert [block.text for block in blocks(path)] == ["python -m benchmarks forest", "python -m benchmarks backtest"]


def test_the_page_says_where_and_when_and_what_it_leaves_out() -> None:
    """Machine, dates, load, versions of both sides, commands, errors by name."""
    text = page(FIGURES)
    for words in (
        "- Machine: Made Up 9000, 4 cores, 7.5 GiB, Linux x86_64, Python 3.11.9\n", "- Measured: 2026-01-02T03:04:05+00:00\n",
        "0.25 to 1.5", "- other: python 3.11.9, other 1.2.3", "- loading the model", "- lleaves: could not be installed",
        "Input: rows that were made up, 20,000 rows.", "- Our side: tercel 0.1.0",
    ):  # fmt: skip
        assert words in text
    assert "quick" not in text.lower()
    assert "**A quick look**" in page([made("forest", 1.0, 2.0, "lower", FOREST, command="python -m benchmarks forest --quick")])


def test_every_row_is_there_and_those_we_lose_say_so() -> None:
    """Only the peer that is better is marked: not the slower one, not ours, not the clock."""
    lines = page(FIGURES).splitlines()
    for row in FOREST:
        assert any(f"| {row['door']} |" in line for line in lines)
    marked = [line for line in lines if line.endswith("| we lose |")]
    assert len(marked) == 1
    assert "| other predict | 3 | differ \\| by 1e-9 |" in marked[0]


def test_the_summary_says_better_lost_or_not_compared() -> None:
    """Whichever way is better, and whoever was not measured."""
    lines = [line for line in page(FIGURES).splitlines() if line.startswith("| [")]
    assert lines[0] == "| [forest.batch](#forest) | µs/row | 900,000 | 300,000 | other predict | 3 times better |"
    assert lines[1].endswith("| 4.12 | 3 | other predict | **lost**: 1.38 times worse |")
    assert lines[2].endswith("| 9,000,000 | not measured | none | not compared |")


def test_columns_that_only_some_rows_have_are_left_empty() -> None:
    """The table has every column that any row has."""
    assert table([{"a": 1}, {"b": None}]).splitlines() == ["| a | b |", "| ---: | --- |", "| 1 |  |", "|  | not measured |"]


@pytest.mark.parametrize("content", [b"", b"\n", b"forest: 3\n", b'{"name": "forest"}\n'])
def test_a_file_without_figures_is_refused(tmp_path: Path, content: bytes) -> None:
    """Text of a run without --json, an empty file, half a figure: no page, and an exit code that `make` sees."""
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"expected|missing|malformed"):
        read(path)
    command = [sys.executable, "-m", "benchmarks", "page", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected the file that `python -m benchmarks all --json` wrote" in done.stderr
