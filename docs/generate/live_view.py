"""What status, page and API show of a running trader: stages with their budgets, and every value of the views."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import msgspec

from docs.generate.markup import said, side_notes, table
from tercel.api import views
from tercel.observe import layout
from tercel.observe.stages import DECISION, STAGES, Stage


def view_structs() -> list[type[Any]]:
    """The structs that the API answers with, in the order of the file."""
    return [
        one for _, one in inspect.getmembers(views, inspect.isclass) if one.__module__ == views.__name__ and issubclass(one, msgspec.Struct)
    ]


def kind_name(hint: Any) -> str:
    """A type as it would be written."""
    return hint.__name__ if isinstance(hint, type) and not getattr(hint, "__args__", None) else str(hint).replace("typing.", "")


def budgets(first: str, stages: tuple[Stage, ...]) -> str:
    """A table of stages with their budgets."""
    rows = [
        (f"`{one.name}`", one.what, f"{one.budget_us:g} µs", f"{one.asked_ms:g} ms" if one.asked_ms is not None else "-", one.remedy)
        for one in stages
    ]
    return table((first, "what it covers", "budget", "asked at least", "what helps when it is above"), rows)


def page() -> str:
    """The tables of the stages and of every value."""
    parts = [
        f"## Stages\n\n{budgets('stage', STAGES)}",
        f"## Parts of a prediction on demand\n\nOf `/api/predictions/{{symbol}}`, all rows together.\n\n{budgets('part', DECISION)}",
        "## Values\n\nA number that the source does not say is `null`.\n",
    ]
    for struct in view_structs():
        rows = [(f"`{name}`", f"`{kind_name(hint)}`") for name, hint in get_type_hints(struct).items()]
        parts.append(f"### {struct.__name__}\n\n{said(struct)}\n\n{table(('value', 'type'), rows)}")
    for name in ("STATUS", "INSTRUMENT", "CANDLE", "STAGE"):
        dtype, notes = getattr(layout, name), side_notes(layout, name)
        rows = [(f"`{field}`", f"`{dtype[field]}`", notes.get(field, "")) for field in dtype.names]
        parts.append(f"### In shared memory: {name}\n\n{table(('field', 'type', 'note'), rows)}")
    return "\n".join(parts)
