"""Fixtures of the live view and the control block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observe.views import remove_view


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    """An account's run folder; what its live view left in shared memory is removed."""
    folder = tmp_path / "run"
    yield folder
    remove_view(folder)
