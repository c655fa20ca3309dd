"""`tercel config`: the settings as they are used, each with the place that said it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from tercel.cli.options import BarsOf, PriceOf, SettingsFile, StrategyClass, TrainedModel
from tercel.cli.show import Json, print_json

if TYPE_CHECKING:
    from tercel.drivers.settings import Read
    from tercel.drivers.settings_source import Origins

app = App(name="config", help="Show and check the settings as they are used.")


@app.command
def show(
    *, settings: SettingsFile = None, strategy: StrategyClass = None, model: TrainedModel = None, bars: BarsOf = None,
    price: PriceOf = None, json: Json = False,
) -> None:  # fmt: skip
    """Show every setting with its value and where it was set: command line, environment, file and line, or default. Secrets are left out.

    Example: tercel config show --settings tercel.toml
    """
    found, rows = _rows(settings, strategy, model, bars, price)
    if json:
        print_json({"hash": hash_text(found), "home": home_row(), "settings": rows})
        return
    from tercel.base.text import console, table
    from tercel.cli.show import short

    out = console()
    cells = [(row["key"], value_text(row["value"]), row["source"]) for row in rows]
    out.print(table("", ("setting", "value", "source"), cells, left=(0, 1, 2)))
    place = home_row()
    out.print(
        f"Settings hash {hash_text(found)}; everything is kept in {short(Path(place['value']))} ({place['source']}).", highlight=False
    )


@app.command
def check(*, settings: SettingsFile = None, strategy: StrategyClass = None, model: TrainedModel = None, json: Json = False) -> None:
    """Read the settings as a run would and say whether they are good. Exit status 2 when not, with the key, the file and the line.

    Example: tercel config check
    """
    found, rows = _rows(settings, strategy, model, None, None)
    changed = [row for row in rows if row["source"] != "default"]
    if json:
        print_json({"valid": True, "from": found.origins.whole, "set": len(changed), "hash": hash_text(found)})
        return
    from tercel.cli.show import say

    count = f"{len(changed)} of {len(rows)} settings {'is' if len(changed) == 1 else 'are'} set, the others are defaults"
    say(f"{found.origins.whole}: good; {count} (hash {hash_text(found)})")


def _rows(
    settings: Path | None, strategy: str | None, model: str | None, bars: str | None, price: str | None
) -> tuple[Read, list[dict[str, Any]]]:
    """The settings as read, and (key, value, source, meaning) of each."""
    from tercel.drivers import settings_words as words
    from tercel.drivers.settings import Read, read, redacted, resolved

    found = read(settings, strategy, model)
    origins: Origins = found.origins
    for option, key in ((("--bars", "bars.every")), ("--price", "bars.price")):
        origins = origins.with_place(option, key) if (bars if key == "bars.every" else price) is not None else origins
    plan = found.plan.on(bars, price)
    values = resolved(plan)
    meanings = {**words.SETTINGS, **(words.MODEL_RULE if "model" in values else {})}
    rows = [
        {"key": key, "value": redacted(key, value), "source": origins.source(key), "meaning": meanings[key]}
        for key, value in values.items()
    ]
    return Read(plan, origins), rows


def value_text(value: Any) -> str:
    """A value as TOML would have it; "" for one that is not set."""
    import json

    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key_text(key)} = {value_text(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:_.1f}" if value.is_integer() else f"{Decimal(repr(value)):f}"
    return "" if value is None else json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def key_text(key: str) -> str:
    """A key as TOML would have it: quoted where it must be."""
    import json
    import re

    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def hash_text(found: Read) -> str:
    """16 hex digits over the settings as resolved: what the journal keeps of a run."""
    from tercel.drivers.settings import hash_of

    return hash_of(found.plan)


def home_row() -> dict[str, str]:
    """Where everything is kept, and what said so."""
    import os

    from tercel.base.paths import home

    return {"key": "TERCEL_HOME", "value": str(home()), "source": "TERCEL_HOME" if os.environ.get("TERCEL_HOME") else "default"}
