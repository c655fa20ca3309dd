"""Two hours around the payrolls of 2 May 2014, the back-test of them, and a settings file that names the same plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tercel.base.records import OUT_FILL
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import History
from tercel.drivers.result import Result
from tests.real_ticks import PLAN, PLAN_TOML, home_at, import_slice


@pytest.fixture(scope="package")
def hours(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """About 90,000 ticks in a home that all of these tests share; each uses an account of its own."""
    with home_at(tmp_path_factory.mktemp("hours")) as home:
        (home / "plan.toml").parent.mkdir(exist_ok=True)
        (home / "plan.toml").write_text(PLAN_TOML)
        yield import_slice(data_dir, home, "2014-05-02T12:00", "2014-05-02T14:00")


@pytest.fixture(scope="package")
def tested(hours: History) -> Result:
    """The back-test of these hours: what an uninterrupted trader says."""
    result = Backtest(PLAN, hours).run()
    assert np.count_nonzero(result.outputs["kind"] == OUT_FILL) > 100
    return result
