"""The slice of real ticks these properties are about: the evening before and the morning of 2 May 2014, payrolls included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tercel.drivers.history import History
from tests.real_ticks import home_at, import_slice


@pytest.fixture(scope="module")
def slice_of_may(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """About 150,000 ticks of two instruments, a day roll among them, in a home that lasts as long as the file."""
    with home_at(tmp_path_factory.mktemp("slice")) as home:
        yield import_slice(data_dir, home, "2014-05-01T20:00", "2014-05-02T13:00")
