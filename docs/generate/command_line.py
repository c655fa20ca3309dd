"""Every verb and option, from the functions behind them as the command line itself reads them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from docs.generate.markup import cell, escaped, table
from tercel.cli.main import OPTIONS, VERBS, build


class Option(NamedTuple):
    """One argument or option: its names, what it takes, its default and what it does."""

    names: str
    takes: str
    default: str
    help: str


def verbs() -> Iterator[tuple[str, Any]]:
    """(words, application) of every verb and of the verbs below it."""
    for name in VERBS:
        yield from _walk(name, build(name)[name])


def _walk(words: str, app: Any) -> Iterator[tuple[str, Any]]:
    yield words, app
    for name in app:
        if name not in OPTIONS:
            yield from _walk(f"{words} {name}", app[name])


def options(app: Any) -> list[Option]:
    """The arguments and options of a verb, none for one that only has verbs of its own."""
    if app.default_command is None:
        return []
    notes = _parameters(inspect.getdoc(app.default_command) or "")
    return [_option(argument, notes) for argument in app.assemble_argument_collection() if argument.show]


def _option(argument: Any, notes: dict[str, str]) -> Option:
    name = argument.field_info.name
    options = [one for one in argument.names if one.startswith("-") and not one.startswith("--empty-")]
    names = ", ".join(f"`{one}`" for one in options) or f"`{name.strip('_').upper()}`"
    positional = argument.field_info.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if options and positional:
        names = f"`{name.strip('_').upper()}` or {names}"
    default = argument.field_info.default
    shown = "required" if argument.required else "" if default in (None, inspect.Parameter.empty, False, "", ()) else f"`{default}`"
    return Option(names, takes(argument.hint), "yes" if default is True else shown, notes.get(name) or argument.parameter.help or "")


def takes(hint: Any) -> str:
    """What may stand for a type."""
    words = [str(one) for one in _literals(hint)]
    if words:
        return ", ".join(f"`{word}`" for word in words)
    kinds = {"bool": "", "int": "whole number", "float": "number", "str": "text", "Path": "path"}
    many = " (several)" if "tuple" in str(hint) else ""
    return next((f"{shown}{many}" for kind, shown in kinds.items() if re.search(rf"\b{kind}\b", str(hint))), str(hint))


def _literals(hint: Any) -> list[Any]:
    inner = get_args(hint)
    if "Literal" in str(getattr(hint, "__origin__", "")):
        return list(inner)
    return [word for one in inner for word in _literals(one)]


def _parameters(doc: str) -> dict[str, str]:
    """The "Parameters" of a docstring: name -> text."""
    _, mark, below = doc.partition("\nParameters\n----------\n")
    found = re.findall(r"^(\w+)\n((?:    .*\n?)+)", below, re.MULTILINE) if mark else []
    return {name: " ".join(text.split()) for name, text in found}


def summary(app: Any) -> str:
    """What a verb does: its docstring above the parameters, or the help of an application."""
    text = inspect.getdoc(app.default_command) if app.default_command else app.help
    assert text, f"{app.name}: no docstring"
    return escaped(text.partition("\nParameters\n---")[0].strip())


def page() -> str:
    """A section for each verb."""
    lines = [(f"[`tercel {name}`](#tercel-{name})", verb.line) for name, verb in VERBS.items()]
    parts = [table(("verb", "what it does"), lines)]
    for words, app in verbs():
        level = "##" if " " not in words else "###"
        parts.append(f"{level} tercel {words}\n\n{summary(app)}\n")
        rows = [(one.names, one.takes, one.default, escaped(cell(one.help))) for one in options(app)]
        if rows:
            parts.append(table(("option", "takes", "default", "meaning"), rows))
    return "\n".join(parts)
