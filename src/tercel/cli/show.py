"""Progress, paths and lines shared by the verbs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from tercel.base.time import NS_PER_MS, NS_PER_S, clock_ns

Report = Callable[[str, float, float], None]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document, and nothing else, on standard output.")]
JsonLines = Annotated[bool, Parameter(name="--json", negative="", help="Print a JSON document a line, each an event, and nothing else.")]

PLAIN_FIRST_NS: Final = 500 * NS_PER_MS  # what takes less is not spoken of
PLAIN_EVERY_NS: Final = 2 * NS_PER_S


@contextmanager
def progress(quiet: bool = False) -> Iterator[Report]:
    """Progress on stderr for `report(what, done, total)`: a bar on a terminal, else a plain line every two seconds, nothing when quiet."""
    if quiet or not sys.stderr.isatty():
        yield _plain(sys.maxsize if quiet else PLAIN_FIRST_NS)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("   {task.description:<34.34}"), BarColumn(30), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda what, done, total: bars.update(task, description=_label(what), completed=done, total=total)


def _plain(first_ns: int) -> Report:
    due = 0
    compiling: bool | None = None

    def report(what: str, done: float, total: float) -> None:
        nonlocal due, compiling
        if compiling != what.startswith("tercel."):
            compiling = what.startswith("tercel.")
            due = clock_ns() + first_ns  # counted from the first report of its kind: what begins late is not slow
        if done < total and clock_ns() >= due:
            due = clock_ns() + PLAIN_EVERY_NS
            print(f"   {_label(what)}, {done / total:.0%}", file=sys.stderr, flush=True)

    return report


def _label(what: str) -> str:
    """A kernel's full name means that it is being compiled; anything else is said as it is."""
    return f"compiling {what.rpartition('.')[2]}" if what.startswith("tercel.") else what


def say(text: str) -> None:
    """One line for people, on stdout."""
    print(text, flush=True)


def print_json(view: Any) -> None:
    """One JSON document on a line of its own, on stdout: what `--json` asks for. NaN and infinities become null."""
    print(msgspec.json.encode(view).decode(), flush=True)


class Teller:
    """What a verb that goes on says: sentences for people, or with `json` an event a line."""

    def __init__(self, json: bool = False) -> None:
        self.json = json

    def __call__(self, event: str, text: str, **facts: Any) -> None:
        """Say that `event` happened; `facts` are for programs."""
        if self.json:
            print_json({"event": event, "text": text.strip(), **facts})
        else:
            say(text)


def short(path: Path) -> str:
    """A path for people: "~/.tercel/catalog"."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) and path != home else str(path)
