"""What goes into the core and what comes out, from the dtypes of `tercel.base.records`; and what the journal holds."""

from __future__ import annotations

import msgspec
import numpy as np

from docs.generate.live_view import kind_name
from docs.generate.markup import note_below, said, side_notes, table
from tercel.base import records
from tercel.journal import entries

VIEWS = {"TICK": "Tick", "BAR_VIEW": "Bar", "TIMER_VIEW": "Timer", "COMMAND_VIEW": "Command", "REPORT_VIEW": "Report", "OUTPUT": "Output"}


def dtypes() -> set[str]:
    """The names of the record layouts in the module."""
    return {name for name, value in vars(records).items() if isinstance(value, np.dtype) and not name.startswith("_")}


def page() -> str:
    """The tables of kinds, records and entries."""
    header, parts = side_notes(records, "_HEADER"), [f"{said(records)}\n"]
    kinds = [
        (number, f"`{name}`", "market data" if number <= records.MARKET_KINDS_MAX else "control")
        for number, name in records.KIND_NAMES.items()
    ]
    parts.append(f"## Kinds of input\n\n{table(('number', 'kind', 'is'), kinds)}")
    parts.append(
        f"## Kinds of output\n\n{table(('number', 'kind'), [(number, f'`{name}`') for number, name in records.OUT_NAMES.items()])}"
    )
    for name, title in VIEWS.items():
        dtype, notes = getattr(records, name), {**header, **side_notes(records, name)}
        rows = [(f"`{field}`", f"`{dtype[field]}`", dtype.fields[field][1], notes.get(field, "")) for field in dtype.names]
        parts.append(
            f"## {title}\n\n{dtype.itemsize} bytes.\n\n{note_below(records, name)}\n\n{table(('field', 'type', 'at byte', 'note'), rows)}"
        )
    parts.append(f"## Journal\n\n{said(entries)}\n")
    for kind, struct in entries._STRUCTS.items():
        notes = side_notes(entries, struct.__name__)
        rows = [(f"`{one.name}`", f"`{kind_name(one.type)}`", notes.get(one.name, "")) for one in msgspec.structs.fields(struct)]
        parts.append(f"### Entry {kind}: {entries.KIND_NAMES[kind]}\n\n{said(struct)}\n\n{table(('field', 'type', 'note'), rows)}")
    return "\n".join(parts)
