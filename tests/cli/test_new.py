"""`tercel new`: a folder whose commands run as printed, made whole or not at all."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tercel.base.time import NS_PER_S
from tercel.cli import main, scaffold
from tercel.drivers import settings
from tercel.drivers.session import Plan
from tests.cli.processes import tercel
from tests.market.history import quote_table, save

SHORT = "14h"  # of the simulated market instead of a day: enough to train on


@pytest.fixture(autouse=True)
def _folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def printed(folder: Path) -> list[str]:
    """The commands of a README, without what is said about them."""
    block = (folder / "README.md").read_text().split("```")[1]
    return [line.partition("  #")[0].strip() for line in block.splitlines()[1:]]


def test_a_desk_is_made_and_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four files, the commands of the README on the screen, settings that are valid as written and equal to the defaults."""
    assert main.run(["new", "my-desk"]) == 0
    said = capsys.readouterr().out
    folder = tmp_path / "my-desk"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "my_desk.py", "tercel.toml", "test_my_desk.py"]
    assert all(command in said for command in printed(folder))
    assert len((folder / "README.md").read_text().splitlines()) <= 24
    assert settings.hash_of(settings.load(folder / "tercel.toml")) == settings.hash_of(Plan())
    text = (folder / "tercel.toml").read_text()
    for key in settings.resolved(Plan()):
        assert f"{key.rpartition('.')[2]} = " in text
    assert max(map(len, text.splitlines())) <= scaffold.WIDTH


def test_its_commands_run_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of the README ends with status 0, in a folder outside the sources; paper trading for less long than it says."""
    monkeypatch.setattr(scaffold, "SPAN", SHORT)
    assert main.run(["new", "my-desk"]) == 0
    monkeypatch.chdir(tmp_path / "my-desk")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    capsys.readouterr()
    for line in printed(Path()):
        words = shlex.split(line.replace("--for 5m", "--for 2s"))
        if words[0] == "python":
            continue  # of the test behind this one
        if words[1] == "run":
            done = tercel(*words[1:])
            assert done.returncode == 0, done.stderr
            continue
        assert main.run(words[1:]) == 0, (line, capsys.readouterr().err)
    said = capsys.readouterr().out
    assert "my-desk@1" in said
    assert "Out of sample: my-desk@1" in said
    assert "Nothing decided before a cut depends on what comes after it." in said


def test_its_own_test_passes(tmp_path: Path) -> None:
    """In a folder that is no part of the sources, by the command that its README prints, which needs nothing but Tercel; by pytest too."""
    assert main.run(["new", "desk2"]) == 0
    (line,) = (line for line in printed(tmp_path / "desk2") if line.startswith("python "))
    for words, said in ((shlex.split(line)[1:], "Ran 2 tests"), (["-m", "pytest", "-q"], "2 passed")):
        done = subprocess.run([sys.executable, *words], cwd="desk2", capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout + done.stderr
    assert "pytest" not in line


def test_with_data_the_commands_name_its_instruments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file is imported first, and the back-test that is printed plays it."""
    file = save(tmp_path / "oanda.parquet", quote_table(4_000, step_ns=5 * NS_PER_S))
    assert main.run(["new", "fx", "--data", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["instruments"] == ["EURUSD@oanda"]
    line = next(command for command, _ in found["commands"] if command.startswith("tercel backtest"))
    assert line == "tercel backtest EURUSD@oanda"
    assert main.run(shlex.split(line)[1:]) == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", "expected a name of up to 32 letters"),
        ("1st", "expected a name of up to 32 letters"),
        ("json", "Python has a module json already"),
        ("numpy", "Python has a module numpy already"),
        ("class", "Python has a module class already"),
        ("there", "there exists already and is left as it is"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, one line, nothing written and nothing overwritten."""
    Path("there").mkdir()
    assert main.run(["new", name]) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert output.err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["there"]
    assert list(Path("there").iterdir()) == []


def test_data_that_cannot_be_used_leaves_no_folder(tmp_path: Path) -> None:
    """Refused before anything is made."""
    assert main.run(["new", "fx", "--data", "absent.csv"]) != 0
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "home"])


def test_a_simulated_market_goes_with_nothing_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and times are refused beside it, and so is no length at all; the seed is the market."""
    for words, said in (
        (["EURUSD", "--simulated", "1h"], "leave out names"),
        (["--simulated", "0s"], "expected more than 0"),
        (["--simulated", "long"], "duration: expected"),
    ):
        assert main.run(["backtest", *words]) == 2
        assert said in capsys.readouterr().err
    hashes = []
    for seed in ("1", "1", "2"):
        assert main.run(["backtest", "--simulated", "10m", "--seed", seed, "--json"]) == 0
        hashes.append(json.loads(capsys.readouterr().out)["state_hash"])
    assert hashes[0] == hashes[1] != hashes[2]
