"""What a reviewer would otherwise repeat. A failure names the place and what to write instead."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

from tests import tidy_rules as rules
from tests.features.judges import JUDGES
from tests.tidy_rules import Found, Source, parse

ROOT = Path(__file__).resolve().parents[1]
TEXT_SUFFIXES = {"", ".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".sql", ".toml", ".ts", ".txt", ".yaml", ".yml"}
FOREIGN = {"LICENSE"}
LONG_BY_NATURE = {"constraints.txt"}
GENERATED_FOLDERS = {"build", "dist", "node_modules", "site"}
# Where an import's name is not its package's.
PACKAGE_OF = {
    "talib": "ta-lib",
    "importlinter": "import-linter",
    "hdrh": "hdrhistogram",
    "xdist": "pytest-xdist",
    "yaml": "pyyaml",
    "xgboost": "xgboost-cpu",
}
# Needed in a way other than an import: as a command or as a plugin of pytest.
USED_AS_COMMAND = {"import-linter", "mypy", "pytest-timeout", "pytest-xdist", "ruff"}


@cache
def sources(folder: str) -> tuple[Source, ...]:
    """Every Python file under a folder of the repository, parsed once."""
    files = sorted((ROOT / folder).rglob("*.py"))
    return tuple(parse(file.relative_to(ROOT).as_posix(), file.read_text()) for file in files)


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """(path, text) of every file people write: hidden and generated folders left out."""
    found = []
    for file in sorted([*ROOT.iterdir(), *(ROOT / ".ci").rglob("*")]):
        for path in sorted(file.rglob("*")) if file.is_dir() and not file.name.startswith(".") else [file]:
            parts = path.relative_to(ROOT).parts
            if (
                path.is_file()
                and path.suffix in TEXT_SUFFIXES
                and not {*parts, path.name} & (GENERATED_FOLDERS | FOREIGN | {"__pycache__"})
            ):
                found.append(("/".join(parts), path.read_text(errors="replace")))
    return tuple(found)


def expect_none(places: Iterable[tuple[str, Found]], instead: str) -> None:
    """Fail with every place and, once, what to write instead."""
    lines = [f"  {path}:{line}: {what}" for path, found in places for line, what in found]
    assert not lines, f"{instead}\n" + "\n".join(lines)


def over(folders: str, rule: rules.Rule, allowed: Callable[[str], bool] = lambda path: False) -> list[tuple[str, Found]]:
    """What a rule finds in the Python files of some folders, files that are allowed left out."""
    return [(source.path, rule(source)) for folder in folders.split() for source in sources(folder) if not allowed(source.path)]


def over_texts(rule: Callable[[str], Found], allowed: Callable[[str], bool] = lambda path: False) -> list[tuple[str, Found]]:
    """What a rule finds in every text file."""
    return [(path, rule(text)) for path, text in texts() if not allowed(path)]


def test_only_base_time_reads_a_clock() -> None:
    """Time is an argument: one file reads the clock, everything else is told."""
    expect_none(
        over("src", rules.clock, lambda path: path == "src/tercel/base/time.py"),
        "Take the time as an argument (core time comes with the input); in the shell use tercel.base.time.wall_ns or clock_ns:",
    )


def test_chance_has_a_seed() -> None:
    """Whatever is random can be repeated: it comes from a generator whose seed is an argument."""
    expect_none(over("src", rules.chance), "Use random.Random(seed) or numpy.random.default_rng(seed), or secrets for keys:")


def test_no_error_is_swallowed_unnamed() -> None:
    """Nothing catches every error, an interrupt included, by leaving the class out."""
    expect_none(over("src tests benchmarks", rules.bare_except), "Name the error class that is expected here:")


def test_only_the_command_line_prints() -> None:
    """A library does not write on its user's terminal."""
    expect_none(
        over("src", rules.printing, lambda path: path.startswith("src/tercel/cli/")),
        "Return the text, log it through structlog, or print it in tercel.cli:",
    )


def test_nothing_read_from_outside_runs() -> None:
    """No format and no text that we read can carry code."""
    expect_none(over("src", rules.unsafe_format), "Use msgspec, or numpy.load(..., allow_pickle=False):")
    expect_none(over("src", rules.code_from_text), "Use a table of functions:")


def test_every_task_has_an_owner() -> None:
    """Each concurrent task belongs to a group that sees it fail."""
    expect_none(over("src", rules.orphan_task), "Use `async with asyncio.TaskGroup() as group: group.create_task(...)`:")


def test_every_package_opens_with_what_it_owns() -> None:
    """A stranger learns from the first lines of a package what it owns and what it never does."""
    expect_none(over("src", rules.package_docstring), 'Open __init__.py with "<name> owns ..., It never ..., Start in ...":')


def test_every_file_and_public_function_is_explained() -> None:
    """The reference is the docstrings: each file opens with one, each public function has one."""
    expect_none(over("src", rules.function_docstring), "Say in a sentence what it returns, with shapes, units and errors:")
    expect_none(over("src benchmarks", rules.module_docstring), "Open the file with a sentence that says what it is:")


def test_every_test_says_what_is_true() -> None:
    """A test is a claim: its first line is a sentence."""
    expect_none(over("tests", rules.silent_test), "Open the test with a sentence that says what is true:")


def test_no_file_names_the_machine_it_was_written_on() -> None:
    """The repository works anywhere: no path of one machine, no address of one package index."""
    expect_none(over_texts(rules.machine_path), "Use a relative path, tmp_path, TERCEL_HOME or TERCEL_TEST_DATA:")
    expect_none(over_texts(rules.index_host), "Leave the package index to the configuration of the installer:")


def test_nothing_is_marked_unfinished() -> None:
    """What is not done is written down where it is planned, not as a mark in a file."""
    expect_none(over_texts(rules.unfinished), "Do it, or leave it out and say so in docs/requirements.md:")


def test_no_file_is_too_long() -> None:
    """Each file is one thing."""
    expect_none(over_texts(rules.too_long, lambda path: path in LONG_BY_NATURE), "Split it along what it owns:")


def test_every_opcode_has_its_judges() -> None:
    """Each opcode is compared, to the bit, with its twin and its golden vector, and closely with its definition."""
    absent = sorted(opcodes() - judged_opcodes())
    instead = "Add its definition to tests/features/judges.py, then run python -m tests.features.golden"
    assert not absent, f"{instead}: {', '.join(absent)}"


def opcodes() -> set[str]:
    """The names of all opcodes, read from the source."""
    return {name for source in sources("src") if "/features/opcodes/" in source.path for _, name in rules.decorated(source, "opcode")}


def judged_opcodes() -> set[str]:
    """The opcodes that the tests of tests/features walk: those with a definition, parameters to try and a golden vector."""
    vectors = json.loads((ROOT / "tests" / "golden" / "opcodes.json").read_text())["opcodes"]
    return {op for op, judge in JUDGES.items() if judge.parameters} & set(vectors)


def test_declared_packages_are_the_imported_ones() -> None:
    """pyproject.toml requires exactly what src/ imports, and `dev` what only the tests and benchmarks import."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = _canonical_names(project["dependencies"])
    extras = {name: _canonical_names(lines) for name, lines in project.get("optional-dependencies", {}).items()}
    optional = set().union(*(names for extra, names in extras.items() if extra != "dev"))
    used = _third_party("src")
    undeclared = sorted(used - core - optional)
    assert not undeclared, (
        f"src/ imports what pyproject.toml does not declare (add it under dependencies or an extra): {', '.join(undeclared)}"
    )
    idle = sorted(core - used)
    assert not idle, f"pyproject.toml requires what src/ never imports (delete it there and in constraints.txt): {', '.join(idle)}"
    absent = sorted(_third_party("tests") - core - optional - extras["dev"])
    assert not absent, f"tests import what the extra dev does not declare: {', '.join(absent)}"
    pinned = _canonical_names((ROOT / "constraints.txt").read_text().splitlines())
    loose = sorted((core | extras["dev"]) - pinned)
    assert not loose, f"constraints.txt pins no version of: {', '.join(loose)}"


def test_constraints_are_names_and_versions() -> None:
    """The constraints work with any package index: a name and a version a line, nothing else."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    strange = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)]
    assert lines
    assert not strange, f"constraints.txt: expected name==version, found {strange}"


def _canonical_names(lines: Iterable[str]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", line, maxsplit=1)[0]).lower() for line in lines}


def _third_party(folder: str) -> set[str]:
    """Packages imported under a folder that are neither Python's nor ours, by their names on the index."""
    own = {"tercel", "tests", "benchmarks", "conftest", "docs", "examples"}
    tops = {name.partition(".")[0] for source in sources(folder) for _, name in rules.imports(source)}
    names = {PACKAGE_OF.get(top, top) for top in tops if top not in sys.stdlib_module_names and top not in own}
    return _canonical_names(names)


CANARIES: list[tuple[Callable[[Source], Found], str, str]] = [
    (rules.clock, "from time import perf_counter_ns as now\nnow()", "import time\ntime.sleep(1)"),
    (rules.clock, "import datetime\ndatetime.datetime.now()", "from datetime import datetime\ndatetime.fromisoformat('2020-01-01')"),
    (rules.chance, "import random\nrandom.random()", "import random\nrandom.Random(7).random()"),
    (
        rules.chance,
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\ndef f(rng: np.random.Generator): np.random.default_rng(1)",
    ),
    (rules.bare_except, "try:\n  pass\nexcept:\n  pass", "try:\n  pass\nexcept OSError:\n  pass"),
    (rules.printing, "print('x')", "self.print('x')"),
    (rules.code_from_text, "exec('x')", "model.eval()"),
    (rules.unsafe_format, "import pickle", "import msgspec"),
    (rules.unsafe_format, "load(f, allow_pickle=True)", "load(f, allow_pickle=False)"),
    (rules.orphan_task, "import asyncio\nasyncio.create_task(f())", "async def g():\n  async with T() as t:\n    t.create_task(f())"),
    (rules.orphan_task, "from asyncio import ensure_future\n_ = ensure_future(f())", "import asyncio\nkept = asyncio.create_task(f())"),
    (rules.package_docstring, "'''x owns y.'''", "'''x owns y. It never z.'''"),
    (rules.function_docstring, "class A:\n  def b(self): pass", "def _b(): pass\nclass _A:\n  def b(self): pass"),
    (rules.silent_test, "def test_x(): pass", "def test_x():\n  '''It is so.'''"),
    (rules.module_docstring, "x = 1", "'''x'''"),
    (lambda source: rules.unfinished(source.text), "x = 1  # TO" + "DO later", "todo = 1"),
    (lambda source: rules.machine_path(source.text), "x = '/ho" + "me/ann/x'", "x = 'https://site/api/home/x', './work/x', '/tmp/x'"),
    (lambda source: rules.index_host(source.text), "x = 'py" + "pi.org'", "x = 'pypi'"),
    (lambda source: rules.too_long(source.text), "x = 1\n" * (rules.FILE_LINES_MAX + 1), "x = 1\n" * rules.FILE_LINES_MAX),
]


@pytest.mark.parametrize(("rule", "bad", "good"), CANARIES, ids=[f"{number}" for number in range(len(CANARIES))])
def test_each_rule_finds_its_canary(rule: Callable[[Source], Found], bad: str, good: str) -> None:
    """A rule that could not fail would guard nothing: each finds the fault it is for and leaves the cure alone."""
    assert rule(parse("src/tercel/x/__init__.py", bad))
    assert not rule(parse("src/tercel/x/__init__.py", good))
