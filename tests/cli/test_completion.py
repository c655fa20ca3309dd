"""Completion: the words a verb knows and the names that are stored, asked by a real shell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tercel.base.time import NS_PER_S
from tercel.cli import complete
from tercel.cli.completion import SCRIPTS
from tercel.cli.main import VERBS
from tercel.market.manifest import Kind
from tercel.models.registry import STAGES, Registry
from tests.market.history import quote_table, save, take
from tests.models.kept import model


@pytest.fixture
def filled(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Quotes of one instrument, a stored model, an account, a strategy in the working folder."""
    monkeypatch.chdir(tmp_path)
    take(save(tmp_path / "oanda.parquet", quote_table(100, step_ns=5 * NS_PER_S)))
    Registry().save(model())
    (home / "accounts" / "paper-2").mkdir(parents=True)
    (tmp_path / "my_desk.py").write_text("import tercel as tc\nclass Quiet(tc.Strategy):\n    pass\n")
    (tmp_path / "broken.py").write_text("class (")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("tercel back", ["backtest"]),
        ("tercel --ver", ["--version"]),
        ("tercel data ", ["check", "formats", "import", "list", "remove", "show"]),
        ("tercel data im", ["import"]),
        ("tercel run --sp", ["--speed", "--spin"]),
        ("tercel run --fo", ["--for"]),
        ("tercel run --feed ", ["replay", "simulator"]),
        ("tercel status --js", ["--json"]),
        ("tercel backtest E", ["EURUSD@oanda"]),
        ("tercel backtest EURUSD@oanda --price ", ["ask", "bid", "mid", "trade"]),
        ("tercel run --model ", ["eurusd", "eurusd@1"]),
        ("tercel run --strategy m", ["my_desk:Quiet"]),
        ("tercel status --account ", ["paper-2"]),
        ("tercel models stage eurusd@1 p", ["production"]),
        ("tercel data remove EURUSD q", ["quote"]),
        ("tercel nothing ", []),
        ("tercel run --settings ", []),
    ],
)
def test_a_line_is_completed(filled: Path, line: str, found: list[str]) -> None:
    """Verbs, sub-verbs, options, choices, and the names of what is stored; where a file may stand, nothing."""
    assert complete.candidates(line) == found


@pytest.mark.parametrize("line", ["tercel ", *(f"tercel {verb} " for verb in VERBS), "tercel run --model ", "tercel feed watch --f"])
def test_nothing_heavy_is_loaded_for_an_answer(filled: Path, line: str) -> None:
    """Whoever presses the key waits for it: no answer loads NumPy, the compiler or the formats of history."""
    code = "import sys; from tercel.cli.complete import answer; print(answer('bash', sys.argv[1])); print('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, line], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.partition("loaded ")[2].split())
    assert "tercel.cli.complete" in loaded
    assert not {"numpy", "numba", "pyarrow", "starlette"} & loaded


def test_the_words_are_those_of_the_program() -> None:
    """Stages and kinds are those of registry and catalog; every verb is offered."""
    assert set(complete.STAGES) == set(STAGES)
    assert set(complete.KINDS) == set(Kind.__args__)
    assert complete.candidates("tercel ") == sorted(VERBS)


@pytest.mark.parametrize(
    ("line", "found"), [("tercel back", ["backtest"]), ("tercel backtest EURUSD@o", ["oanda"]), ("tercel backtest E", ["EURUSD@oanda"])]
)
def test_bash_completes(filled: Path, line: str, found: list[str]) -> None:
    """A real bash asks and gets its answer; behind "@", at which bash ends a word, only the rest of the name."""
    script = f"""
    tercel() {{ {sys.executable} -m tercel.cli.main "$@"; }}
    eval "$(tercel completion bash)"
    COMP_LINE="$1"; COMP_POINT=${{#COMP_LINE}}; _tercel; printf '%s\\n' "${{COMPREPLY[@]}}"; complete -p tercel
    """
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", line], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [*found, "complete -o default -F _tercel tercel"], done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(shell: str) -> None:
    """The script is valid in that shell, where it is installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell} (Debian: apt-get install {shell})")
    assert subprocess.run([shell, "-n"], input=SCRIPTS[shell], text=True, timeout=60).returncode == 0  # type: ignore[index]
