"""Every format that `tercel data import` reads, from the table that recognises files."""

from __future__ import annotations

from docs.generate.markup import table
from tercel.market.importers.detect import formats


def page() -> str:
    """The table of the formats, in the order in which they are asked."""
    rows = [(f"`{one.name}`", one.title, one.timezone, one.assumed or "-") for one in formats().values()]
    return table(("name", "what it is", "clock of its times", "what the report says of that clock"), rows)
