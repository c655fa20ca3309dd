"""The course is true: every block of a lesson runs, in order, and its solution's assertions hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_docs import blocks

LESSONS = sorted((Path(__file__).resolve().parents[1] / "docs" / "course").glob("[0-9]-*.md"))
pytestmark = pytest.mark.timeout(600)  # the first run of changed kernels compiles them


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.stem)
def test_a_lesson_runs(page: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks build on each other, as for somebody who types them in."""
    names: dict[str, object] = {"__name__": "lesson"}
    ran = 0
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, f"{page.name}:{block.line}", "exec"), names)
            ran += 1
    assert ran


@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.stem)
def test_a_lesson_has_exercises_with_a_solution(page: Path) -> None:
    """Exercises are numbered, and the solution follows them, hidden until it is opened."""
    text = page.read_text()
    exercises, mark, solution = text.partition("## Exercises")[2].partition("<details")
    assert len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) >= 3
    assert mark
    assert "</details>" in solution
    assert "assert " in solution or page.stem.startswith("5-")
