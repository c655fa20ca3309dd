"""What the next word of a command line can be: asked by the shells through `tercel __complete SHELL LINE`, a word a line.

Verbs and options are read from the verbs themselves; names come from what is stored. Nothing heavy is loaded: a person waits for it.
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from tercel.base import paths

BREAKS: Final = re.compile(r".*[@:=]")  # bash ends a word at these and replaces only what follows
STAGES: Final = ("candidate", "production", "archived")
FEEDS: Final = ("replay", "simulator")  # or a live venue with its symbols, which nobody can guess
KINDS: Final = ("quote", "trade", "bar", "book", "order")


class Command(NamedTuple):
    """One verb that can be called, with its words: ("data", "import")."""

    words: tuple[str, ...]
    function: Callable[..., Any]


def commands() -> Iterator[Command]:
    """Every verb and sub-verb that can be called; loads them all."""
    from tercel.cli.main import VERBS

    for verb in VERBS:
        yield from _commands_of(verb)


def _commands_of(verb: str) -> Iterator[Command]:
    from cyclopts import App

    from tercel.cli.main import VERBS

    module, _, name = VERBS[verb].target.partition(":")
    target = getattr(import_module(module), name)
    if not isinstance(target, App):
        yield Command((verb,), target)
        return
    for sub in target:
        if not sub.startswith("-"):
            function = target[sub].default_command
            assert function is not None
            yield Command((verb, sub), function)


class Option(NamedTuple):
    """A parameter of a verb: its word on the command line, its name and type, whether it is an option, whether it takes a value."""

    word: str
    name: str
    kind: Any
    keyword: bool
    valued: bool


def options(function: Callable[..., Any]) -> list[Option]:
    """The parameters of a verb as they are typed."""
    from cyclopts import Parameter

    hints = get_type_hints(function, include_extras=True)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        kind, said = hints[parameter.name], ""
        if get_origin(kind) is not None and hasattr(kind, "__metadata__"):
            named = [one.name for one in kind.__metadata__ if isinstance(one, Parameter) and one.name]
            said = next((name if isinstance(name, str) else next(iter(name)) for name in named), "")
            kind = get_args(kind)[0]
        keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        word = said or "--" + parameter.name.strip("_").replace("_", "-")
        found.append(Option(word, parameter.name, kind, keyword, kind is not bool))
    return found


def candidates(line: str) -> list[str]:
    """What the last, unfinished word of a line such as "tercel run --mo" can be; empty: perhaps a file."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    if line.endswith(" ") or not words:
        words.append("")
    words, current = words[1:-1], words[-1]
    return sorted({word for word in _possible(words, current) if word.startswith(current)})


def _possible(words: list[str], current: str) -> Iterable[str]:
    from tercel.cli.main import OPTIONS, VERBS

    if not words:
        return OPTIONS if current.startswith("-") else VERBS
    if words[0] not in VERBS:
        return ()
    found = list(_commands_of(words[0]))
    if len(found) > 1 or found[0].words[1:]:
        if len(words) == 1:
            return ["--help"] if current.startswith("-") else [one.words[1] for one in found]
        found = [one for one in found if one.words[1] == words[1]]
    if not found:
        return ()
    known = options(found[0].function)
    last = next((one for one in known if one.keyword and one.word == words[-1]), None)
    if last is not None and last.valued:
        return values(last)
    if current.startswith("-"):
        return [one.word for one in known if one.keyword] + ["--help"]
    positional = [one for one in known if not one.keyword]
    place = sum(not word.startswith("-") for word in words[len(found[0].words) :])
    return values(positional[min(place, len(positional) - 1)]) if positional else ()


def values(option: Option) -> list[str]:
    """What can be typed for a parameter, as far as that is known: choices, or names of what is stored."""
    kinds = (option.kind, *get_args(option.kind))
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    named = SOURCES.get(option.name)
    return choices or (list(named()) if named is not None else [])


class _Name(msgspec.Struct):
    symbol: str
    venue: str


class _Names(msgspec.Struct):
    instruments: list[_Name] = []


def instruments() -> list[str]:
    """Names of the catalog, from its manifest alone: the catalog's own reader loads NumPy, which takes longer than all the rest."""
    try:
        found = msgspec.json.decode((paths.catalog_dir() / "manifest.json").read_bytes(), type=_Names).instruments
    except (OSError, msgspec.MsgspecError):
        return []
    return list(dict.fromkeys(f"{one.symbol}@{one.venue}" for one in found))


def models() -> Iterator[str]:
    """Names of the registry, then each of their versions."""
    for folder in paths.models_dir().glob("*/"):
        yield folder.name
        yield from (f"{folder.name}@{version.name}" for version in folder.iterdir() if version.is_dir() and version.name.isdigit())


def accounts() -> list[str]:
    """Accounts that a trader ever ran for."""
    return [folder.name for folder in paths.home().glob("accounts/*/")]


def strategies() -> Iterator[str]:
    """module:Class of the strategies in the working folder, by reading the files: none of them is run."""
    for file in Path().glob("*.py"):
        try:
            tree = ast.parse(file.read_text())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and any("Strategy" in ast.unparse(base) for base in node.bases):
                yield f"{file.stem}:{node.name}"


def formats() -> Iterable[str]:
    """Formats that can be imported."""
    from tercel.market.importers.detect import formats as known

    return known()


SOURCES: Final[dict[str, Callable[[], Iterable[str]]]] = {
    "names": instruments,
    "instrument": instruments,
    "model": models,
    "account": accounts,
    "confirm": accounts,
    "strategy": strategies,
    "stage": lambda: STAGES,
    "feed": lambda: FEEDS,
    "kind": lambda: KINDS,
    "format": formats,
    "price": lambda: ("mid", "bid", "ask", "trade"),
}
"""By the name of a parameter: one word has one meaning in every verb."""


def answer(shell: str, line: str) -> str:
    """The candidates for a shell, a line each; for bash without what stands before the last sign at which it ends a word."""
    found = candidates(line)
    if shell == "bash":
        current = "" if line.endswith(" ") else line.split(" ")[-1]
        head = BREAKS.match(current)
        found = [word[len(head[0]) :] if head else word for word in found]
    return "\n".join(found)
