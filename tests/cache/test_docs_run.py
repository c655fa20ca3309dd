"""The examples of docs/reference/cache.md run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.redis_servers import Server
from tests.test_docs import blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cache.md"
EXAMPLES = [block for block in blocks(PAGE) if block.language == "python"]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run(number: int, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block does what its text says; the one with Redis uses a real one and has its invalidation acknowledged."""
    monkeypatch.setenv("TERCEL_REDIS", server.url)
    exec(compile(EXAMPLES[number].text, f"{PAGE.name}:{EXAMPLES[number].line}", "exec"), {"__name__": "example"})
    out = capsys.readouterr().out
    assert "owed" not in out
    if "Warmer" in EXAMPLES[number].text:
        assert out.startswith("100 []")
