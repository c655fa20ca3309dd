"""What `tercel why --at` says of a bar that closed while data was lost; against a running trader it is in `test_control`."""

from __future__ import annotations

import numpy as np
import pytest

from tercel.base.records import GAP, QUOTE, empty
from tercel.base.time import NS_PER_S
from tercel.cli import why_at
from tercel.decision.rules import EmaCross
from tercel.drivers.reenact import Replay
from tercel.drivers.session import Plan
from tercel.features.spec import FeatureSet, bars
from tests.drivers.random_walks import EURUSD, START_NS


def test_a_quote_from_before_a_hole_is_said_to_be_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar before stands on a good quote; the next closes after the loss, whatever else keeps it from trading."""
    plan = Plan(FeatureSet(bars("10s"), ()), EmaCross(fast=1, slow=2, volatility_rows=2))
    records = empty(9)
    records["kind"], records["instrument"] = QUOTE, EURUSD.id
    records["ts_recv"] = records["ts_event"] = START_NS + NS_PER_S * np.array([0, 11, 21, 31, 32, 33, 36, 51, 52])
    records["price"], records["price2"], records["size"], records["size2"] = 1.1, 1.1001, np.nan, np.nan
    records["kind"][6], records["price"][6], records["price2"][6] = GAP, np.nan, np.nan
    core = plan.core((EURUSD,))
    replay, sequencer = Replay(core), plan.sequencer(core)
    for part in sequencer.push(records):
        replay._look(part, timed=True)
    found = [one for _, one in replay.found]
    assert [one.quote_lost for one in found] == [False, False, False, True]
    shown = {"account": "a", "at": "then", "evaluations": [why_at._view(one) for one in found[-2:]]}
    assert [one["quote_lost"] for one in shown["evaluations"]] == [False, True]
    why_at.show(shown)
    before, lost = (line for line in capsys.readouterr().out.splitlines() if "quote  " in line)
    assert before.endswith("s old")
    assert lost.endswith("s old, data lost since")
    row = why_at._row(shown["evaluations"][1])
    assert row[2:4] == ("lost", "lost")
    assert row[5:] == ("data_lost", "wait for the next quote, or check the feed")
