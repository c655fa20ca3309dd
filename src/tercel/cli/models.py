"""`tercel models`: list, show, verify and stage trained models."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from tercel.base.errors import ConfigError, DataError

app = App(name="models", help="List, show, verify and stage trained models.")

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of tables.")]


@app.command(name="list")
def list_(name: str | None = None, *, json: Json = False) -> None:
    """List every version of every model.

    Parameters
    ----------
    name
        List the versions of one model only.
    """
    from tercel.cli import models_tables
    from tercel.models.registry import Registry

    _print(Registry().list(name), json, models_tables.print_list)


@app.command
def show(model: str, *, json: Json = False) -> None:
    """Show one model: what it was trained on, its features, barriers, parts, figures, stages and hashes.

    Parameters
    ----------
    model
        A name (its newest version), NAME@3 or NAME@production.
    """
    from tercel.cli import models_tables
    from tercel.models.registry import Registry

    registry = Registry()
    found = registry.load(model)
    name, version = found.manifest.name, found.manifest.version
    view = {"manifest": found.manifest, "stage": registry.stage_of(name, version), "history": registry.history(name)}
    _print(view, json, models_tables.print_model)


@app.command
def verify(model: str | None = None, *, json: Json = False) -> None:
    """Read stored models again: is every byte what was saved, and can this Tercel use them? Exit status 3 when one is damaged.

    Parameters
    ----------
    model
        Verify one model (NAME) or one version of it (NAME@3) only.
    """
    from tercel.cli import models_tables
    from tercel.models.registry import Registry

    results = Registry().verify(model)
    _print(results, json, models_tables.print_checks)
    damage = [one.damage for one in results if one.damage]
    if damage:
        raise DataError(f"{len(damage)} of {len(results)} models cannot be used; the first: {damage[0]}")


@app.command
def stage(model: str, stage: str, *, note: str = "", json: Json = False) -> None:
    """Make a version the candidate, the one in production, or archived; the one that was in production before is archived.

    Parameters
    ----------
    model
        NAME@VERSION, such as eurusd@3.
    stage
        candidate, production or archived.
    note
        Why, for the history.
    """
    from tercel.cli import models_tables
    from tercel.models.registry import Registry

    if "@" not in model:
        raise ConfigError(f"tercel models stage: expected NAME@VERSION, found {model!r}; `tercel models list {model}` shows the versions")
    registry = Registry()
    name, version = registry.resolve(model)
    changes = registry.stage(name, version, stage, note)
    entry = next(one for one in registry.list(name) if one.version == version)
    view = {"model": f"{name}@{version}", "stage": entry.stage, "verdict": entry.verdict, "changes": changes}
    _print(view, json, models_tables.print_changes)


def _print(view: Any, as_json: bool, table: Any) -> None:
    if as_json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(view)).decode())
    else:
        table(view)
