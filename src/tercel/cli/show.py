"""Progress and tables shared by the verbs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Report = Callable[[str, int, int], None]


@contextmanager
def progress(quiet: bool = False) -> Iterator[Report]:
    """A progress bar on stderr for `report(what, done, total)`; silent when quiet or when nobody looks at a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    columns = (TextColumn("{task.description:<24.24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)

        def report(what: str, done: int, total: int) -> None:
            bars.update(task, description=what.rpartition(".")[2], completed=done, total=total)

        yield report


def say(text: str) -> None:
    """One line for people, on stdout."""
    print(text, flush=True)
