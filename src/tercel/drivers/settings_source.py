"""Where settings come from: the command line before the environment before the file before the defaults, and which of them said what.

`TERCEL__RISK__DAILY_LOSS=500` is `daily_loss = 500` of `[risk]`: two underscores between the parts, the value as TOML would have it, or
else a text. A list or table is written as TOML writes it inline.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tercel.base.errors import ConfigError

FILE_NAME: Final = "tercel.toml"
ENVIRONMENT: Final = "TERCEL__"
DEFAULT: Final = "default"
_EITHER: Final = ("strategy", "model")  # a layer that names one replaces both of the layers below


@dataclass(frozen=True)
class Origins:
    """The place at which each setting was made: "tercel.toml:14", "TERCEL__RISK__COLLAR", "--strategy". `whole` is that of all others."""

    whole: str = "defaults"
    places: Mapping[str, str] = field(default_factory=dict)

    def of(self, key: str) -> str:
        """The place of a key, of the section around it, or of the whole."""
        while key and key not in self.places:
            key = key.rpartition(".")[0]
        return self.places.get(key, self.whole)

    def source(self, key: str) -> str:
        """The place of this very key, or `DEFAULT`."""
        return self.places.get(key, DEFAULT)

    def with_place(self, place: str, *keys: str) -> Origins:
        """The same, some keys set by a place of a higher layer."""
        return Origins(self.whole, {**self.places, **dict.fromkeys(keys, place)})


def from_file(path: Path) -> tuple[dict[str, Any], Origins]:
    """The table of a TOML file, with the line of each of its keys. Raises `ConfigError` naming file and line."""
    try:
        text = path.read_text()
        table = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"settings: expected a file {path}, found none; `tercel new` makes a folder with one") from None
    except OSError as error:
        raise ConfigError(f"settings: {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return table, Origins(str(path), {key: f"{path}:{line}" for key, line in lines_of(text).items()})


def lines_of(text: str) -> dict[str, int]:
    """The line, counted from 1, at which each key of a valid TOML text is first set or opened: {"risk": 3, "risk.daily_loss": 4}.

    tomllib gives no lines, so the text is read statement by statement: a statement ends where tomllib understands it alone.
    """
    found: dict[str, int] = {}
    section: list[str] = []
    first, statement = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        statement += line + "\n"
        try:
            table = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # a text or list of several lines
        header = statement.lstrip().startswith("[")
        paths = list(_paths(table))
        section = max(paths, key=len, default=[]) if header else section
        for path in paths:
            whole = path if header else [*section, *path]
            for length in range(1, len(whole) + 1):
                found.setdefault(".".join(whole[:length]), first)
        first, statement = 0, ""
    return found


def _paths(table: Any) -> Iterator[list[str]]:
    """Every path of keys into nested tables: [["a"], ["a", "b"]] of {"a": {"b": 1}}."""
    inner = table[0] if isinstance(table, list) and table else table
    for key, value in inner.items() if isinstance(inner, dict) else ():
        yield [key]
        for rest in _paths(value):
            yield [key, *rest]


def from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """(table, place by key) of the settings in the environment. Raises `ConfigError` for a name that has no or too many parts."""
    table: dict[str, Any] = {}
    places: dict[str, str] = {}
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT):
            continue
        path = name.removeprefix(ENVIRONMENT).lower().split("__")
        if not 1 <= len(path) <= 2 or not all(path):
            raise ConfigError(f"environment: expected {ENVIRONMENT}KEY or {ENVIRONMENT}SECTION__KEY, found {name}")
        place = table
        for part in path[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"environment: {name}: {part} was given a value of its own, too ({ENVIRONMENT}{part.upper()})")
        place[path[-1]] = _value(environ[name])
        places[".".join(path)] = name
    return table, places


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def layered(path: Path | None, environ: Mapping[str, str]) -> tuple[dict[str, Any], Origins]:
    """The settings of a file (the one given, else `tercel.toml` in the working folder, else none) under those of the environment."""
    if path is None and Path(FILE_NAME).is_file():
        path = Path(FILE_NAME)
    table, origins = from_file(path) if path is not None else ({}, Origins())
    above, places = from_environment(environ)
    if any(key in above for key in _EITHER):
        table = {key: value for key, value in table.items() if key not in _EITHER}
    for key, value in above.items():
        below = table.get(key)
        table[key] = {**below, **value} if isinstance(below, dict) and isinstance(value, dict) else value
    return table, Origins(origins.whole if path is not None or not places else "the environment", {**origins.places, **places})
