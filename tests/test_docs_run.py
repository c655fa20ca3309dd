"""Pages that say that every block of theirs runs are run, in order, as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import docs_run


@pytest.mark.timeout(docs_run.DEADLINE_S + 60)
@pytest.mark.parametrize("page", docs_run.pages(), ids=lambda page: page.relative_to(docs_run.ROOT).as_posix())
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """Every command, program and file of the page works in an empty home and folder, and prints what the page shows."""
    shell = docs_run.Shell(tmp_path)
    try:
        for step in docs_run.steps(page):
            shell.take(step)
    finally:
        shell.close()


def test_the_tutorial_is_among_them() -> None:
    """The page for newcomers runs."""
    assert "from-csv-to-paper.md" in [page.name for page in docs_run.pages()]


def test_a_page_that_prints_something_else_fails(tmp_path: Path) -> None:
    """A wrong figure, a failing command and a block that nobody runs are found; an ellipsis stands for anything."""
    assert docs_run.matches("a …\nb", "a 3.5 s\nb\n")
    assert not docs_run.matches("a …\nc", "a 3.5 s\nb\n")
    page = tmp_path / "page.md"
    shell = docs_run.Shell(tmp_path)
    try:
        for block in ("```console\n$ echo 3\n4\n```\n", "```console\n$ false\n```\n", "```python\nprint(3)\n```\n\n```text\n4\n```\n"):
            page.write_text(block)
            with pytest.raises(AssertionError, match=r"line \d: expected"):
                shell.take(docs_run.steps(page)[0])
    finally:
        shell.close()
    page.write_text("```text\nnobody prints this\n```\n")
    with pytest.raises(AssertionError, match="neither run"):
        docs_run.steps(page)
