"""How `tercel models` shows what it found: tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tercel.base.text import console, table
from tercel.base.time import format_duration, format_instant
from tercel.drivers.training_report import flat, plain

if TYPE_CHECKING:
    from tercel.models.manifest import Manifest
    from tercel.models.registry import Checked, Entry, StageChange

NO_EDGE: Final = "no edge"
TRIALS_SHOWN: Final = 20


def print_list(entries: Sequence[Entry]) -> None:
    """A row for each version; damage under the table."""
    out = console()
    if not entries:
        out.print("No model was saved yet; `tercel train` makes one.")
        return
    rows = [
        (
            f"{one.name}@{one.version}", one.stage, _when(one.since_ns), one.verdict or "-", ", ".join(one.instruments) or "-",
            str(one.inputs), str(one.parts), size(one.bytes), one.program[:12],
        )
        for one in entries
    ]  # fmt: skip
    columns = ("model", "stage", "since", "verdict", "instruments", "inputs", "parts", "size", "program")
    out.print(table("", columns, rows, left=(0, 1, 2, 3, 4, 8)))
    for one in entries:
        if one.damage:
            out.print(one.damage, markup=False, highlight=False, soft_wrap=True)


def print_model(view: dict[str, Any]) -> None:
    """One model, top to bottom."""
    out = console()
    manifest: Manifest = view["manifest"]
    barriers = manifest.barriers
    facts = [
        ("stage", view["stage"]),
        ("verdict", str(manifest.metrics.get("verdict", "not judged"))),
        ("instruments", ", ".join(manifest.instruments) or "any"),
        ("bars", f"{manifest.clock.text} {manifest.clock.price}"),
        (
            "barriers",
            f"take {barriers.take:g}, stop {barriers.stop:g} widths, {format_duration(barriers.horizon_ns)}; width of {barriers.rows} bars",
        ),
        ("enters at", f"an edge of {manifest.enter:g} widths"),
        ("program", manifest.program),
        *((f"data: {name}", text) for name, text in flat(manifest.data)),
        *(
            (f"training: {name}", text)
            for name, text in flat({key: manifest.training[key] for key in manifest.training if key != "trials"})
        ),
    ]
    out.print(table(f"{manifest.name}@{manifest.version}", ("what", "value"), facts, left=(0, 1)))
    for text in manifest.metrics.get("because", ()):
        out.print(f"  {text}", highlight=False)
    _print_trials(manifest.training.get("trials", ()))
    parts = [
        (
            part.name,
            part.instrument or "all",
            _when(part.seen_first_ns),
            _when(part.seen_last_ns),
            _when(part.test_first_ns),
            _when(part.test_last_ns),
        )
        for part in manifest.parts
    ]
    out.print(table("Parts", ("part", "instrument", "saw from", "to", "may trade from", "to"), parts, left=(0, 1, 2, 3, 4, 5)))
    out.print(table("Files", ("file", "SHA-256"), sorted(manifest.files.items()), left=(0, 1)))
    _print_history(view["history"])


def print_checks(results: Sequence[Checked]) -> None:
    """A row for each version."""
    rows = [(f"{one.name}@{one.version}", str(one.files), one.damage or "as saved") for one in results]
    console().print(table("", ("model", "files", "found"), rows, left=(0, 2)) if rows else "No model was saved yet.")


def print_changes(view: dict[str, Any]) -> None:
    """What `stage` did."""
    out = console()
    if not view["changes"]:
        out.print(f"{view['model']} is {view['stage']} already.", highlight=False)
    for one in view["changes"]:
        name = view["model"].partition("@")[0]
        out.print(f"{name}@{one.version}: {one.before} to {one.stage}", highlight=False)
    if view["stage"] == "production" and view["verdict"] == NO_EDGE:
        out.print(f"Mind: {view['model']} was judged to have no edge.", highlight=False)


def _print_trials(trials: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            *(plain(one.get(name)) for name in ("number", "trades", "sharpe")),
            ", ".join(f"{name} {text}" for name, text in flat(one["parameters"])),
        )
        for one in trials[:TRIALS_SHOWN]
    ]
    if rows:
        title = f"Trials: {len(trials):,}" + (f", the first {TRIALS_SHOWN}" if len(trials) > TRIALS_SHOWN else "")
        console().print(table(title, ("trial", "trades", "Sharpe ratio of a trade", "parameters"), rows, left=(3,)))


def _print_history(history: Sequence[StageChange]) -> None:
    rows = [(str(one.version), one.stage, one.before or "-", _when(one.at_ns), one.note) for one in history]
    console().print(table("Stages", ("version", "stage", "before", "since", "note"), rows, left=(0, 1, 2, 3, 4)))


def size(count: int) -> str:
    """Bytes for people: "1.2 MB"."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


def _when(ns: int) -> str:
    return format_instant(ns, 0) if ns else "-"
