"""Tables for people, in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def console() -> Console:
    """Standard output; 120 columns when it is no terminal, so that nothing is cut in a file."""
    return Console(width=None if sys.stdout.isatty() else 120)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> Table:
    """A rich table; columns not in `left` are aligned to the right."""
    made = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        made.add_column(column, justify="left" if place in left else "right", overflow="fold" if place in left else "ellipsis")
    for row in rows:
        made.add_row(*row)
    return made
