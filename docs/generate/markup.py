"""Markdown from what the program says of itself: tables, docstrings, the comments beside fields."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any


def cell(value: object) -> str:
    """A value as one cell of a table."""
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|").strip()


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; an empty one is an error, because what a page lists is there."""
    lines = [f"| {' | '.join(cell(value) for value in row)} |" for row in rows]
    assert lines, f"the table of {', '.join(heads)} has no rows"
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines]) + "\n"


def said(thing: Any) -> str:
    """The docstring as paragraphs, indented examples as code; an error when there is none."""
    text = inspect.getdoc(thing)
    assert text, f"{thing} has no docstring"
    return "\n\n".join(_paragraph(part) for part in re.split(r"\n\s*\n", text))


def _paragraph(text: str) -> str:
    """A paragraph of a docstring, its lines joined; one that is indented is a block of code."""
    if all(line.startswith("    ") for line in text.splitlines()):
        return f"```text\n{textwrap.dedent(text)}\n```"
    return re.sub(r"\s*\n\s*", " ", escaped(text))


def escaped(text: str) -> str:
    """Text whose angle brackets and stars outside code letters are shown as they are."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_\[\]])", r"\\\1", part).replace("<", "&lt;") for part in parts)


def first_sentence(thing: Any) -> str:
    """The first sentence of a docstring."""
    return re.split(r"(?<=\.)\s", said(thing).partition("\n\n")[0])[0]


def field_notes(kind: type) -> dict[str, str]:
    """The strings that stand below the fields of a class: field -> what it says."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, note in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(note, ast.Expr):
            found[field.target.id] = inspect.cleandoc(ast.literal_eval(note.value))
    return found


def side_notes(module: Any, name: str) -> dict[str, str]:
    """What stands as a comment beside the fields of the dtype or struct called `name`: field -> comment."""
    lines, (node, _) = inspect.getsource(module).splitlines(), _statement(module, name)
    found = {}
    for line in lines[node.lineno - 1 : node.end_lineno]:
        code, mark, note = line.partition("  # ")
        names = re.findall(r'\("(\w+)", ', code) or re.findall(r"^    (\w+): ", code)
        if mark and names:
            found[names[-1]] = note
    return found


def note_below(module: Any, name: str) -> str:
    """The string below the value called `name` in a module, "" when there is none."""
    _, below = _statement(module, name)
    held = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    return escaped(inspect.cleandoc(below.value.value)) if held else ""  # type: ignore[union-attr]


def _statement(module: Any, name: str) -> tuple[ast.stmt, ast.stmt | None]:
    """The statement that gives `name` its value, and the one after it."""
    body = ast.parse(inspect.getsource(module)).body
    for node, below in zip(body, [*body[1:], None], strict=True):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else None
        if (isinstance(node, ast.ClassDef) and node.name == name) or (isinstance(target, ast.Name) and target.id == name):
            return node, below
    raise LookupError(f"{module.__name__}: expected {name}, found no such name")
