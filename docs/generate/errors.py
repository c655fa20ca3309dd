"""Every error that Tercel raises on purpose, with its exit status, from the classes themselves."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import tercel
from docs.generate.markup import said, table
from tercel.base.errors import TercelError
from tercel.cli import main


def errors() -> list[type[TercelError]]:
    """`TercelError` and every class below it in the package, those of `base.errors` first."""
    for module in pkgutil.walk_packages(tercel.__path__, "tercel."):
        importlib.import_module(module.name)
    found = [TercelError, *_below(TercelError)]
    return sorted(dict.fromkeys(found), key=lambda kind: (kind.__module__ != TercelError.__module__, kind.exit_code, kind.__name__))


def _below(kind: type[TercelError]) -> Iterator[type[TercelError]]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("tercel."):
            yield child
            yield from _below(child)


def page() -> str:
    """The table of the errors, and the statuses that no error has."""
    rows = [(f"`{kind.__name__}`", kind.exit_code, f"`{kind.__module__}`", said(kind).replace("\n\n", " ")) for kind in errors()]
    statuses = [
        (0, "it did what it was asked"),
        (main.USAGE_ERROR, "the words typed are wrong; `tercel VERB --help` shows the right ones"),
        (main.INTERRUPTED, "it was interrupted before it was done"),
        (main.PIPE_CLOSED, "whoever read its output went away"),
    ]
    return (
        f"{table(('error', 'exit status', 'from', 'who must act'), rows)}\n"
        f"## Other exit statuses\n\n{table(('exit status', 'meaning'), statuses)}\n"
        "A verb may have a status 1 of its own, such as `tercel doctor` with a failed check; the [command line](command-line.md) says so.\n"
    )
