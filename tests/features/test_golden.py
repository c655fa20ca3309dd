"""The golden vectors hold, in every engine, and a change of one raises its opcode's version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tercel.features.opcodes import OPCODES
from tests.features import golden
from tests.features.judges import JUDGES

FEW_VALUES = {"rolling_min": 12, "rolling_max": 12, "donchian": 12, "time_of_day": 7, "ratio": 12}  # an extreme stays for some rows


@pytest.mark.parametrize("mode", ["compiled", "python"])
@pytest.mark.parametrize("op", JUDGES)
def test_an_opcode_gives_its_golden_vector(op: str, mode: str) -> None:
    """The stored vector of this version comes out, to the bit."""
    stored = golden.stored()[op]
    again = "raise its version in @opcode(...) if this is meant, then run: python -m tests.features.golden"
    assert golden.vector(op, mode) == stored["output"], f"{op} gives other numbers than its version {stored['version']} did; {again}"
    assert OPCODES[op].version == stored["version"], f"{op}: the stored vector is of another version; run: python -m tests.features.golden"


@pytest.mark.parametrize("op", JUDGES)
def test_a_golden_vector_says_something(op: str) -> None:
    """Each vector has numbers that differ and, where the input is unknown, NaN."""
    stored = golden.stored()[op]["output"]
    for output in stored if isinstance(stored[0], list) else [stored]:
        assert len(set(output)) > FEW_VALUES.get(op, 20)
        assert op == "hold" or output[20] == output[21] == output[33] == "nan"


def test_a_vector_changes_only_with_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer refuses to replace a vector whose version has not risen, and leaves the file alone."""
    changed = json.loads(golden.FILE.read_text())
    changed["opcodes"]["rsi"]["output"][40] = "0x1.0p+0"
    copy = tmp_path / "opcodes.json"
    copy.write_text(json.dumps(changed))
    monkeypatch.setattr(golden, "FILE", copy)
    assert golden.write().startswith("rsi: expected a version above 1")
    assert json.loads(copy.read_text()) == changed
    changed["opcodes"]["rsi"]["version"] = 0
    copy.write_text(json.dumps(changed))
    assert golden.write() == ""
    assert golden.stored()["rsi"]["version"] == 1
