"""Tables for notebooks: escaped HTML with no script, font or picture, in the notebook's own colours, so that light and dark both read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from html import escape
from typing import Any, Final

# Only lines and weights are ours; text and ground are the notebook's. A grey of half strength shows on white and on black.
_FRAME: Final = "border:1px solid rgba(128,128,128,.35);border-radius:8px;padding:10px 14px;margin:4px 0;max-width:1000px;overflow-x:auto"
_CELL: Final = "padding:3px 10px;border:0;border-top:1px solid rgba(128,128,128,.18);background:transparent"
_HEAD: Final = "padding:3px 10px;border:0;font-weight:500;opacity:.7;white-space:nowrap;background:transparent"
_WRAP: Final = {"left": "", "right": ";white-space:nowrap"}  # words may be broken, numbers not
ROWS_MAX: Final = 60

Row = Sequence[object]


def card(title: str, about: str = "", *parts: str) -> str:
    """A framed box: a title, a line under it, and parts made by `table` or `pairs`."""
    line = f'<div style="opacity:.75;margin:2px 0 6px">{escape(about)}</div>' if about else ""
    head = f'<div style="font-weight:600;font-size:1.05em">{escape(title)}</div>'
    return f'<div style="{_FRAME}">{head}{line}{"".join(parts)}</div>'


def table(columns: Sequence[str], rows: Iterable[Row], left: Sequence[int] = (0,), title: str = "") -> str:
    """A table of at most `ROWS_MAX` rows, and how many more there are; columns not in `left` are aligned to the right."""
    given = list(rows)
    sides = ["left" if place in left else "right" for place in range(len(columns))]
    heads = "".join(f'<th style="{_HEAD};text-align:{side}">{escape(name)}</th>' for name, side in zip(columns, sides, strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, row, sides))}</tr>" for row in given[:ROWS_MAX])
    more = f'<div style="opacity:.75">and {len(given) - ROWS_MAX:,} more</div>' if len(given) > ROWS_MAX else ""
    name = f'<div style="font-weight:500;margin:8px 0 2px">{escape(title)}</div>' if title else ""
    look = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:2px 0"
    return f'{name}<table style="{look}"><thead><tr style="background:transparent">{heads}</tr></thead><tbody>{body}</tbody></table>{more}'


def _cell(value: object, side: str) -> str:
    return f'<td style="{_CELL};text-align:{side}{_WRAP[side]}">{escape(str(value))}</td>'


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    """Names and what they stand for."""
    return table(("", ""), rows, left=(0, 1))


class Shown:
    """A dataclass of settings as a table in a notebook: a row for each field, with its value."""

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = [(one.name, plain(getattr(self, one.name))) for one in fields(self)]  # type: ignore[arg-type]
        first = (type(self).__doc__ or "").strip().partition("\n")[0]
        return card(type(self).__name__, first, pairs(rows))


def plain(value: Any) -> str:
    """A setting in words: a table by key as "JPY 1,000, others 10"."""
    if isinstance(value, dict):
        return ", ".join(f"{key or 'others'} {plain(one)}" for key, one in value.items())
    if isinstance(value, float):
        return f"{value:,.10g}"
    return "none" if value is None else str(value)
