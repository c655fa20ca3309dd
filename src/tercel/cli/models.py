"""`tercel models`: list, show, verify, stage and use trained models."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from tercel.base.errors import ConfigError, DataError
from tercel.cli.show import Json, print_json

app = App(name="models", help="List, show, verify, stage and use trained models.")

REFUSAL = "it has other features, barriers or edge to enter, or has learnt what is still to come: the account's journal says which"


@app.command(name="list")
def list_(name: str | None = None, *, json: Json = False) -> None:
    """List every version of every model.

    Example: tercel models list

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

    Example: tercel models show eurusd@3

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

    Example: tercel models verify eurusd

    Parameters
    ----------
    model
        Verify one model (NAME) or one version of it (NAME@3) only.
    """
    from tercel.cli import models_tables
    from tercel.cli.show import progress
    from tercel.models.registry import Registry

    with progress(quiet=json) as tell:
        results = Registry().verify(model, tell)
    _print(results, json, models_tables.print_checks)
    damage = [one.damage for one in results if one.damage]
    if damage:
        raise DataError(f"{len(damage)} of {len(results)} models cannot be used; the first: {damage[0]}")


@app.command
def use(model: str, *, account: str | None = None, instrument: str = "", json: Json = False) -> int:
    """Let the running trader score with another model from now on, without a stop. Exit status 1 when it refuses.

    The model must have been trained on the same features and barriers as the one it runs; the trader's journal says why it refused.

    Example: tercel models use eurusd@4 --account paper

    Parameters
    ----------
    model
        A name (its newest version), NAME@3 or NAME@production.
    account
        The account whose trader is meant; needed when several run.
    instrument
        For this instrument alone, such as EURUSD@oanda.
    """
    from tercel.cli.control import chosen
    from tercel.cli.show import say
    from tercel.drivers.seats import exchange
    from tercel.models.registry import Registry
    from tercel.observe.control import REFUSED, TAKEN

    found, name = Registry().load(model), chosen(account, "models use")
    answers = exchange(found, name, instrument)
    if json:
        _print({"account": name, "model": found.name, "answers": answers}, json, say)
    else:
        for answer in answers:
            why = f"; {REFUSAL}" if answer.state == REFUSED else ""
            say(f"account {name}: {found.name} {answer.state} at input {answer.input_number:,} (trader pid {answer.pid}){why}")
    return 0 if answers and all(answer.state == TAKEN for answer in answers) else 1


@app.command
def stage(model: str, stage: str, *, note: str = "", json: Json = False) -> None:
    """Make a version the candidate, the one in production, or archived; the one that was in production before is archived.

    Example: tercel models stage eurusd@4 production --note "better in spring"

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
        print_json(view)
    else:
        table(view)
