"""Every public name of `tercel`, with its signature and its docstring."""

from __future__ import annotations

import inspect
import re
from typing import Any

import tercel
from docs.generate.features import PAGES
from docs.generate.markup import field_notes, first_sentence, said, table


def signature(name: str, thing: Any) -> str:
    """The signature, annotations as written, a parameter a line when it is long."""
    plain = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(thing))).replace("<factory>", "…")
    plain = re.sub(r"<object object at 0x[0-9a-f]+>", "…", plain)
    if len(plain) <= 90:
        return f"{name}{plain}"
    inside, _, result = plain[1:].rpartition(")")
    pieces = re.split(r", (?![^\[({]*[\])}])", inside)
    return f"{name}(\n" + "".join(f"    {piece},\n" for piece in pieces) + f"){result}"


def members(kind: type[Any]) -> list[tuple[str, str]]:
    """(signature or name, docstring) of the public methods and properties a class defines itself."""
    found = []
    for name, value in vars(kind).items():
        thing = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if name.startswith("_") or not (inspect.isfunction(thing) or isinstance(value, property)):
            continue
        shown = name if isinstance(value, property) else re.sub(r"\(\s*(self|cls)(,\s*)?", "(", signature(name, thing))
        found.append((re.sub(r"\s+", " ", shown), said(value)))
    return found


def entry(name: str) -> str:
    """The section of one public name."""
    thing = getattr(tercel, name)
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return f"### tc.{name}\n\n{said(thing)} [Errors](errors.md) has all of them.\n"
    parts = [f"### tc.{name}\n\n```python\n{signature(name, thing)}\n```\n\n{said(thing)}\n"]
    if inspect.isclass(thing):
        notes = field_notes(thing)
        if notes:
            parts.append(
                table(("field", "meaning"), [(f"`{field}`", re.sub(r"\[(.*)\]$", r"(\1)", note)) for field, note in notes.items()])
            )
        parts += [f"`{shown}`\n:   {text.replace(chr(10) * 2, f'{chr(10)}{chr(10)}    ')}\n" for shown, text in members(thing)]
    return "\n".join(parts)


def names() -> list[str]:
    """The public names that have a section here: all but the version, and the makers of features, which have pages."""
    return [name for name in tercel.__all__ if name not in PAGES and not name.startswith("__")]


def page() -> str:
    """A section for each public name, and the list of the makers of features."""
    makers = [(f"[`tc.{name}`](features/{name}.md)", first_sentence(getattr(tercel, name))) for name in tercel.__all__ if name in PAGES]
    functions = [name for name in names() if not inspect.isclass(getattr(tercel, name))]
    classes = [name for name in names() if inspect.isclass(getattr(tercel, name))]
    return "\n".join([
        "## Functions\n", *(entry(name) for name in functions), "## Classes\n", *(entry(name) for name in classes),
        "## Makers of features\n\nEach gives a feature for `tc.FeatureSet`.\n", table(("maker", "is"), makers),
    ])  # fmt: skip
