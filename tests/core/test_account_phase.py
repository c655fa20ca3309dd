"""The account phase: conversations, the reasons they produce, faults, and the same answers from plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tercel.base import codes
from tercel.base.records import OUT_STATE
from tercel.core.engine import CoreFault
from tercel.core.layout import H_FAULT, H_LEDGER, H_ORDER_TABLE
from tercel.execution.kernels import O_STATE
from tercel.execution.lifecycle import DENIED
from tercel.ledger.kernels import L_CASH, LEDGER_WORDS, MONEY_MAX
from tests.core import scenarios
from tests.core.scenarios import Conversation

ROOT = Path(__file__).parents[2]
TALKS = scenarios.everything()


@pytest.mark.parametrize("talk", TALKS, ids=[talk.where for talk in TALKS])
def test_conversation(talk: Conversation) -> None:
    """Each conversation goes as it is written, told one by one or at once; the ledger agrees with the core."""
    scenarios.check(talk)


def test_every_reason_is_produced() -> None:
    """Each reason code ends an evaluation in some conversation."""
    produced = {name for talk in TALKS for name in scenarios.tell(talk).engine.reasons()}
    assert produced == set(codes.NAMES.values())


def test_plain_python_says_the_same() -> None:
    """The kernels as plain Python, every index checked, say and keep the same as the compiled ones."""
    environment = {**os.environ, "TERCEL_KERNELS": "checked", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    command = [sys.executable, "-m", "tests.core.scenarios"]
    plain = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.strip() == scenarios.digest()


def _talk(*inputs: str) -> Conversation:
    return Conversation("made here", "made here", {}, [(text, []) for text in inputs])


def test_money_that_leaves_its_range_is_a_fault() -> None:
    """Cash beyond 63 bits stops the core before the fill is booked, and it stays stopped."""
    talk = _talk("0ms quote EURUSD 1.1 1.1", "1ms bar EURUSD then buy 3", "2ms quote EURUSD 1.1 1.1")
    engine, script = scenarios.engine_for(talk, [], room=8)
    records = [scenarios.record_of(text, script) for text, _ in talk.inputs]
    engine.push(np.concatenate(records[:2]))
    engine.account[engine.config.layout.section(H_LEDGER, LEDGER_WORDS) + L_CASH] = MONEY_MAX + 1
    for _ in range(2):
        with pytest.raises(CoreFault, match="input 3: cash or position left the range"):
            engine.push(records[2])
    assert engine.account[H_FAULT] == codes.FAULT_CASH
    assert engine.input_number == 2
    assert engine.fills == 0


def test_an_event_no_state_allows_is_a_fault() -> None:
    """An order in a state that its next event does not fit stops the core; nothing is guessed."""
    talk = _talk("0ms quote EURUSD 1.1 1.1", "1ms bar EURUSD then buy 3", "2ms quote EURUSD 1.1 1.1")
    engine, script = scenarios.engine_for(talk, [], room=8)
    records = [scenarios.record_of(text, script) for text, _ in talk.inputs]
    engine.push(np.concatenate(records[:2]))
    engine.account[engine.account[H_ORDER_TABLE] + O_STATE] = DENIED
    with pytest.raises(CoreFault, match="an order met an event"):
        engine.push(records[2])


def test_outputs_before_a_fault_are_delivered() -> None:
    """What the core said before the input it could not apply reaches the sink."""
    talk = _talk("0ms halt", "0ms resume", "1ms quote EURUSD 1.1 1.1", "2ms bar EURUSD then buy 3", "3ms quote EURUSD 1.1 1.1")
    sink: list[np.ndarray] = []  # type: ignore[type-arg]
    engine, script = scenarios.engine_for(talk, sink, room=8)
    engine.account[engine.config.layout.section(H_LEDGER, LEDGER_WORDS) + L_CASH] = MONEY_MAX + 1
    with pytest.raises(CoreFault):
        engine.push(np.concatenate([scenarios.record_of(text, script) for text, _ in talk.inputs]))
    said = np.concatenate(sink)
    assert said["kind"].tolist() == [OUT_STATE, OUT_STATE, 1]
    assert said["input"].tolist() == [1, 2, 4]
