"""The command line: verbs found by name, errors for people, nothing loaded that is not needed."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec

import pytest
from cyclopts import CycloptsError

from tercel import __version__
from tercel.base.errors import NotRunning
from tercel.base.time import clock_ns
from tercel.cli import complete, main

STARTS_MAX = 25  # of a Python that does nothing: 0.3 s where that takes 12 ms; it was 12 when this was written


def tercel(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a new interpreter."""
    return subprocess.run([sys.executable, "-m", "tercel.cli.main", *words], capture_output=True, text=True, timeout=60)


def test_help_lists_every_verb_and_loads_none() -> None:
    """`tercel --help` shows each verb with its line without importing a verb or a heavy library."""
    code = "import sys; from tercel.cli import main; main.run(['--help']); print('loaded', *sys.modules)"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    overview, _, loaded = text.partition("loaded ")
    flat = " ".join(overview.replace("│", " ").split())
    for name, verb in main.VERBS.items():
        assert f"{name} {verb.line}" in flat
        assert verb.target.partition(":")[0] not in loaded.split()
    assert not {"numpy", "numba", "pyarrow", "starlette", "granian", "asyncio"} & set(loaded.split())


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_has_its_file(verb: str) -> None:
    """A verb that the overview shows can be run: its file exists and its own help is answered."""
    assert find_spec(main.VERBS[verb].target.partition(":")[0]) is not None
    assert main.run([verb, "--help"]) == 0


def examples(verb: complete.Command) -> list[list[str]]:
    """The command lines of a verb's "Example" line, such as "Example: tercel run A. Without any data: tercel run", as words."""
    lines = [line for line in (inspect.getdoc(verb.function) or "").splitlines() if line.startswith("Example: ")]
    assert len(lines) == 1, f"tercel {' '.join(verb.words)}: expected one line that begins with 'Example: ', found {len(lines)}"
    parts = re.split(r"(?:^|\. |, )(?:[A-Z][\w ]*: )?(?=tercel )", lines[0])
    return [shlex.split(part)[1:] for part in parts if part]


@pytest.mark.parametrize("verb", list(complete.commands()), ids=lambda verb: " ".join(verb.words))
def test_every_verb_shows_an_example_that_it_understands(verb: complete.Command, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a verb has a line "Example: tercel …", and the command line takes each of its commands for that very verb."""
    shown = examples(verb)
    assert shown
    for words in shown:
        assert tuple(words[: len(verb.words)]) == verb.words
        command, bound, _ = main.build(verb.words[0]).parse_args(words, exit_on_error=False, print_error=False)
        assert command is verb.function
        assert bound.args or bound.kwargs or len(words) == len(verb.words)
    assert main.run([*verb.words, "--help"]) == 0
    assert f"Example: tercel {' '.join(verb.words)}" in " ".join(capsys.readouterr().out.split())


def test_a_wrong_example_would_be_found() -> None:
    """The check above refuses an option that the verb does not have."""
    with pytest.raises(CycloptsError, match="--spede"):
        main.build("run").parse_args(["run", "--spede", "60"], exit_on_error=False, print_error=False)


def test_version_is_printed() -> None:
    """`tercel --version` prints the name and the version."""
    answer = tercel("--version")
    assert (answer.returncode, answer.stdout) == (0, f"tercel {__version__}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["statsu"], "error: tercel: there is no verb 'statsu'; did you mean 'status'?"),
        (["xyzzy"], "error: tercel: there is no verb 'xyzzy'; the verbs are new, demo, "),
        (["doctor", "--jsn"], "error: Unknown option: --jsn. Did you mean --json?"),
        (["--verbos"], "error: tercel: there is no option '--verbos'; did you mean '--version'?"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt verb or option ends with status 2 and one line on stderr that names the nearest right one."""
    assert main.run(words) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(said)
    assert output.err.count("\n") == 1


def test_our_errors_show_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error raised for the user is printed as a line, and its class gives the exit status."""

    def absent(*_: object, **__: object) -> None:
        raise NotRunning("status: no trader runs for account 'main'; start one with tercel run")

    monkeypatch.setattr("tercel.cli.doctor.examine", absent)
    assert main.run(["doctor"]) == NotRunning.exit_code
    assert capsys.readouterr().err == "error: status: no trader runs for account 'main'; start one with tercel run\n"


def test_a_closed_pipe_is_no_error() -> None:
    """A reader that goes away early, such as `head`, causes no traceback."""
    code = "import os, sys; os.close(1); os.dup2(os.pipe()[1], 1); from tercel.cli import main; sys.exit(main.run(['doctor']))"
    answer = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=60)
    assert "Traceback" not in answer.stderr


def test_help_starts_as_quickly_as_an_interpreter_can() -> None:
    """`tercel --help` is answered in the time of some bare starts of Python: it loads the command parser and nothing else."""

    def best(*words: str) -> int:
        took = []
        for _ in range(5):
            start = clock_ns()
            subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True, timeout=60)
            took.append(clock_ns() - start)
        return min(took)

    assert best("-m", "tercel.cli.main", "--help") < STARTS_MAX * best("-c", "pass")
