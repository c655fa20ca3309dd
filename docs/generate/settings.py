"""Every key of `tercel.toml`, read from the classes that the file is parsed into."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, NamedTuple

from docs.generate.markup import field_notes, first_sentence, table
from tercel.drivers.settings import SECTIONS

NOTE = re.compile(r"(?P<meaning>.+?) \[(?P<unit>[^;\]]+); (?P<range>[^\]]+)\]", re.DOTALL)
KINDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "Per": "number or table",
    "float | None": "number",
    "list[str]": "list of texts",
}


class Setting(NamedTuple):
    """One key: its table, type, default, unit, bounds and meaning."""

    section: str
    key: str
    kind: str
    default: str
    unit: str
    bounds: str
    meaning: str


def settings(section: str, kind: type[Any]) -> list[Setting]:
    """The keys of one class. AssertionError naming the key that says nothing of itself."""
    notes, found = field_notes(kind), []
    for field in dataclasses.fields(kind):
        if field.name == "model" and section == "rule":
            continue  # given by the file's own key `model`, not by [rule]
        note = NOTE.fullmatch(notes.get(field.name, ""))
        assert note, f'{kind.__name__}.{field.name}: expected a string below the field: """What it means. [unit; bounds]"""'
        given = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        found.append(Setting(section, field.name, KINDS[str(field.type)], toml(given), note["unit"], note["range"], note["meaning"]))
    return found


def toml(value: Any) -> str:
    """A default as it would stand in the file."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key or chr(34) * 2} = {toml(one)}" for key, one in value.items()) + " }"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0") if value != int(value) else f"{int(value):_}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def page() -> str:
    """The tables of the settings, one for each table of the file."""
    parts = []
    for section, kind in SECTIONS:
        title = f"`[{section}]`" if section else "Before the first table"
        title += {"EmaCross": ", when the built-in rule decides", "ModelRule": ", when a model decides"}.get(kind.__name__, "")
        rows = [(f"`{one.key}`", one.kind, one.unit, f"`{one.default}`", one.bounds, one.meaning) for one in settings(section, kind)]
        parts.append(f"## {title}\n\n{first_sentence(kind)}\n\n{table(('key', 'type', 'unit', 'default', 'bounds', 'meaning'), rows)}")
    return "\n".join(parts)
