"""The examples run as they are, as a user would start them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAYS = {
    "honest_model.py": ("no edge", "Out of sample", "round trips", "plots and report in plots"),
    "counted_sweep.py": ("the best of 12", "more than the luck of 12 trials", "looked at once", "verdict: no edge"),
}
LEAVES = {"honest_model.py": ("plots/training.png", "plots/backtest.png", "plots/report.html"), "counted_sweep.py": ()}


def run(words: list[str], folder: Path) -> str:
    """What a command prints."""
    environment = os.environ | {"TERCEL_HOME": str(folder / "home"), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(SAYS))
def test_an_example_runs_as_it_is(name: str, tmp_path: Path) -> None:
    """A program of examples/ ends by itself, says what it found and leaves the files it names."""
    printed = run([str(ROOT / "examples" / name)], tmp_path)
    for text in SAYS[name]:
        assert text in printed
    for file in LEAVES[name]:
        assert (tmp_path / file).stat().st_size > 1_000


def test_the_rule_by_hand_runs_by_its_name(tmp_path: Path) -> None:
    """examples/ema_cross.py trades as a strategy; that it equals the compiled rule is tested elsewhere."""
    names = "import tercel as tc; from examples.ema_cross import EmaCrossStrategy"
    code = f"{names}; print(tc.backtest(tc.SimulatedHistory(seed=7, hours=2), decide=EmaCrossStrategy()))"
    assert "fills" in run(["-c", code], tmp_path)


def test_every_example_is_run() -> None:
    """No example is left without a test."""
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {*SAYS, "ema_cross.py"}
