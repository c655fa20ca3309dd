"""Writes docs/benchmarks.md out of what `python -m benchmarks all --json` printed: `python -m benchmarks page RESULTS.json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from benchmarks.harness import OURS, Answer, Figure, number

OWN_KEYS = ("engine", "door", "library", "shape")  # what a row is, not what was measured
HEAD = """# Benchmarks

Every figure that this project publishes about itself, each beside its peers in the same run, rows that are lost included. This page is
written by `make bench`; whoever doubts a figure runs its command.
"""


def read(path: Path) -> list[Figure]:
    """The figures in a file of one JSON object a line. ValueError when there is none."""
    found = [msgspec.json.decode(line, type=Figure) for line in path.read_bytes().splitlines() if line.strip()]
    if not found:
        raise ValueError(f"{path}: expected at least one figure, found none (was it written with --json?)")
    return found


def page(figures: Sequence[Figure]) -> str:
    """The whole page: the machine, a summary, then a section per benchmark in the order of the run."""
    parts = [HEAD, *_machines(figures), _summary(figures)]
    for name, group in groupby(figures, key=lambda item: item.name.partition(".")[0]):
        parts += _section(name, list(group))
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _machines(figures: Sequence[Figure]) -> list[str]:
    """Machine, dates and versions of our side; one line each as long as the whole run was on one machine."""
    first, last = min(item.date for item in figures), max(item.date for item in figures)
    machines = dict.fromkeys(
        f"{item.machine['cpu']}, {item.machine['cores']} cores, {item.machine['memory_gib']} GiB, {item.machine['system']}, "
        f"Python {item.machine['python']}"
        for item in figures
    )
    loads = [item.machine["load_1m"] for item in figures]
    versions = ", ".join(f"{name} {version}" for name, version in figures[-1].versions.items())
    lines = [f"- Machine: {machine}" for machine in machines]
    lines += [f"- Measured: {first}" + (f" to {last}" if last != first else "")]
    lines += [f"- Load of the machine over a minute, while it was measured: {min(loads):g} to {max(loads):g}", f"- Our side: {versions}"]
    if any("--quick" in item.command for item in figures):
        lines += ["- **A quick look**: few rows and repeats. Not for publishing."]
    return ["\n".join(lines)]


def _summary(figures: Sequence[Figure]) -> str:
    """One row per figure."""
    rows: list[Answer] = [
        {
            "figure": f"[{item.name}](#{item.name.partition('.')[0]})", "unit": item.unit, "Tercel": item.value,
            "best peer": item.peer_value, "which": item.peer if item.peer_value is not None else "none", "": _judged(item),
        }
        for item in figures
    ]  # fmt: skip
    return f"## Summary\n\n{table(rows)}"


def _judged(item: Figure) -> str:
    """How many times better, or that it is lost."""
    if item.ratio is None or not item.ratio > 0.0:
        return "not compared"
    times = item.ratio if item.better == "higher" else 1.0 / item.ratio
    return f"{times:.3g} times better" if times >= 1.0 else f"**lost**: {1.0 / times:.3g} times worse"


def _section(name: str, group: Sequence[Figure]) -> list[str]:
    """A benchmark: its command, its figures, every table it has once, what it leaves out, versions of the peers, what failed."""
    parts = [f"## {name}\n\n```console\n{group[-1].command}\n```\n"]
    tables: dict[str, tuple[Figure, list[str]]] = {}
    for item in group:
        tables.setdefault(repr(item.table), (item, []))[1].append(item.name)
    for item, names in tables.values():
        parts.append(f"### {', '.join(names)}\n\nInput: {item.input}, {item.rows:,} rows.\n\n{table(_marked(item))}")
    left_out = dict.fromkeys(words for item in group for words in item.leaves_out)
    parts.append("What it leaves out:\n\n" + "\n".join(f"- {_cell(words)}" for words in left_out))
    versions = [
        f"- {peer}: " + ", ".join(f"{name} {version}" for name, version in ready["versions"].items())
        for peer, ready in group[-1].ready.items()
        if peer != OURS and "versions" in ready
    ]
    if versions:
        parts.append("Peers:\n\n" + "\n".join(versions))
    errors = dict.fromkeys(words for item in group for words in item.errors)
    if errors:
        parts.append("Not measured:\n\n" + "\n".join(f"- {_cell(words)}" for words in errors))
    return parts


def _marked(item: Figure) -> list[Answer]:
    """The rows of a figure's table; those of a peer that beats the best of ours in the figure's own measure say so."""
    key = _measure(item)
    if key is None:
        return item.table
    sign = 1.0 if item.better == "higher" else -1.0
    rows = []
    for row in item.table:
        mine = [
            sign * each[key] for each in item.table if _is_ours(each) and _number(each.get(key)) and each.get("shape") == row.get("shape")
        ]
        lost = _number(row.get(key)) and not _is_ours(row) and not _is_clock(row) and bool(mine) and sign * row[key] > max(mine)
        rows.append({**row, "": "we lose" if lost else ""})
    return rows if any(row[""] for row in rows) else item.table


def _measure(item: Figure) -> str | None:
    """The column of the table that holds the figure's value."""
    return next((key for row in item.table if _is_ours(row) for key, value in row.items() if value == item.value), None)


def _is_ours(row: Answer) -> bool:
    return any(str(row.get(key, "")).startswith(OURS) for key in OWN_KEYS) and not _is_clock(row)


def _is_clock(row: Answer) -> bool:
    return row.get("door") == "clock alone"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(rows: Sequence[Answer]) -> str:
    """Rows as a Markdown table whose columns are all that any row has, in the order of their first appearance."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    last = [key for key in keys if key == ""]
    keys = [key for key in keys if key != ""] + last
    lines = [_line(keys), _line("---:" if any(_number(row.get(key)) for row in rows) else "---" for key in keys)]
    return "\n".join(lines + [_line(_cell(row.get(key, "")) for key in keys) for row in rows])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: object) -> str:
    if value is None or _number(value):
        return number(value)  # type: ignore[arg-type]
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.split()).replace("|", "\\|")
