"""The replay of the input log: wherever it was cut into segments, and wherever it was torn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tercel.base.records import DAY_ROLL, QUOTE, TIMER, empty
from tercel.core.engine import Engine
from tercel.core.sequencer import day_rolls
from tercel.drivers.history import history
from tercel.drivers.recovery import Recovery
from tercel.journal.input_log import InputLog
from tercel.journal.journal import Journal
from tests.drivers.test_backtest import PLAN
from tests.market.history import START_NS, quote_table, save, take

NO_GRACE = replace(PLAN, grace="0s")


@pytest.mark.parametrize("torn", [False, True], ids=["segments", "torn"])
def test_a_timer_and_a_day_roll_of_one_instant_may_be_parted(home: Path, tmp_path: Path, torn: bool) -> None:
    """Without grace a timer falls on the day roll: the log may end, or its segment, between the two, and replays all the same."""
    take(save(tmp_path / "eur.parquet", quote_table(2)), venue="one")
    core = NO_GRACE.core(history("EURUSD").instruments)
    rolls = day_rolls(PLAN.limits.day_roll)
    roll_ns = int(rolls[rolls > START_NS][0])
    records = empty(2)
    records["kind"], records["instrument"], records["price"], records["price2"] = QUOTE, core.instruments[0].id, 1.0, 1.5
    records["ts_event"] = records["ts_recv"] = [roll_ns - 10**9, roll_ns + 10**9]
    sequenced = np.concatenate([part.copy() for part in NO_GRACE.sequencer(core).push(records)])
    assert sequenced["kind"].tolist() == [QUOTE, DAY_ROLL, TIMER, QUOTE]
    with InputLog(tmp_path / "inputs", segment_bytes_max=64 * 3) as log, Journal(tmp_path / "journal") as journal:
        log.append(sequenced[: 2 if torn else 4])
        made, sequencer = Engine(core, lambda _: None), NO_GRACE.sequencer(core)
        recovered = Recovery(tmp_path, made, sequencer, log, journal, "")
        assert recovered._replay(1) == (3 if torn else 4)
        assert log.last == made.input_number == sequencer.number == (3 if torn else 4)
        assert np.concatenate(list(log.read(1))).tobytes() == sequenced[: log.last].tobytes()
