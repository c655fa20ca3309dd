"""What the harness promises: turns, medians, and nothing hidden."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import msgspec
import pytest

from benchmarks import harness
from benchmarks.harness import Answer, Engine, InProcess, figure, race
from benchmarks.peers import PeerUnavailable

ASKED = {"name", "value", "unit", "peer", "peer_value", "ratio", "command", "date", "machine", "versions", "rows", "raw", "result_hash"}


def counting(label: str, log: list[str], fails_at: int = 0) -> Callable[[], AbstractContextManager[Engine]]:
    """An engine that writes its label into `log` and answers 1.0, 2.0, ...; it fails in repeat `fails_at`."""
    answers: list[Answer] = []

    def repeat() -> Answer:
        log.append(label)
        if len(answers) + 1 == fails_at:
            raise PeerUnavailable("it died")
        answers.append({"seconds": float(len(answers) + 1)})
        return answers[-1]

    return lambda: contextlib.nullcontext(InProcess({"versions": {label: "1"}}, repeat))


def missing() -> AbstractContextManager[Engine]:
    """An engine that cannot be installed."""
    raise PeerUnavailable("no such package")


def test_engines_take_turns() -> None:
    """Each round runs every engine once, and a different one goes first."""
    log: list[str] = []
    race({"a": counting("a", log), "b": counting("b", log)}, 3)
    assert log == ["a", "b", "b", "a", "a", "b"]


def test_a_peer_that_cannot_start_is_reported_and_the_others_are_measured() -> None:
    """The missing one is kept with its error, and its absence changes nobody's repeats."""
    sides = race({"ours": counting("ours", []), "peer": missing}, 2)
    assert sides["peer"].error == "no such package"
    assert sides["peer"].median(lambda answer: answer["seconds"]) is None
    assert [answer["seconds"] for answer in sides["ours"].answers] == [1.0, 2.0]


def test_a_peer_that_dies_keeps_the_repeats_it_finished() -> None:
    """What was measured before a failure stays, beside the error."""
    sides = race({"peer": counting("peer", [], fails_at=3), "ours": counting("ours", [])}, 4)
    assert len(sides["peer"].answers) == 2
    assert sides["peer"].error == "it died"
    assert len(sides["ours"].answers) == 4


@pytest.mark.parametrize(("value", "peer_value", "ratio"), [(6.0, 2.0, 3.0), (6.0, None, None), (None, 2.0, None), (6.0, 0.0, None)])
def test_the_ratio_is_value_over_peer_value(value: float | None, peer_value: float | None, ratio: float | None) -> None:
    """It is there exactly when both were measured and the peer's is not zero; the JSON has every field that is asked for."""
    sides = race({"ours": counting("ours", []), "peer": missing}, 1)
    made: Any = figure(
        "x", value, peer_value, unit="s", peer="peer", better="lower", source="none", rows=1, sides=sides, table=[], leaves_out=[]
    )
    read = json.loads(msgspec.json.encode(made))
    assert read["ratio"] == ratio
    assert set(read) >= ASKED
    assert read["errors"] == ["peer: no such package"]
    assert read["raw"]["ours"] == [{"seconds": 1.0}]
    assert "not measured: peer: no such package" in harness.text(made)


def test_the_machine_is_described_without_its_name() -> None:
    """Processor, cores, memory and load are told; the host's name is not."""
    import socket

    told = harness.machine()
    assert told["cores"] >= 1
    assert told["memory_gib"] > 0
    assert socket.gethostname() not in json.dumps(told)
