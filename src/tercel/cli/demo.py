"""`tercel demo`: the whole job once, from data to paper trading with the page; what `make run` does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tercel.base.time import NS_PER_H, format_instant
from tercel.cli.options import SettingsFile
from tercel.cli.show import JsonLines, Teller, progress, short

if TYPE_CHECKING:
    from tercel.drivers.history import Source
    from tercel.drivers.launch import FeedSpec
    from tercel.drivers.session import Plan

ACCOUNT = "demo"
SIMULATED_HOURS = 24  # the longest of the default features is known after six
MODEL = "demo"
SEED = 7
KEPT = ("control.map", "control.lock", "trader.lock")
REPLAY_HOURS, LIVE_HOURS = 30, 6  # of the newest recording: so much is traded on paper, the last part of it at the pace asked for


def demo(
    *,
    data: Path | None = None,
    settings: SettingsFile = None,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    speed: float = 20.0,
    port: int = 8700,
    json: JsonLines = False,
) -> int:
    """History, features, training, back-test, then paper trading with the page: on your data, or on a simulated market.

    Example: tercel demo --for 30s. On your own files: tercel demo --data ticks.csv

    Parameters
    ----------
    data
        A folder or file to import first; without it your catalog is used, and without one the simulator.
    for_
        Stop paper trading by itself after this time, such as 30s.
    speed
        How fast the feed of the paper trading plays: 1 is real time.
    port
        Port of the page.
    """
    from tercel.base.kernel import CACHE
    from tercel.base.time import parse_duration
    from tercel.cli.control import refuse_second
    from tercel.cli.family import Family
    from tercel.cli.run import watch
    from tercel.drivers.backtest import Backtest
    from tercel.drivers.launch import RunSpec
    from tercel.drivers.settings import load

    refuse_second(ACCOUNT)
    seconds = parse_duration(for_) / 1e9 if for_ else None
    plan, say = load(settings), Teller(json)
    say("step", "1. history")
    chosen, feed = _source(data, speed, say)
    say("history", f"   {chosen.describe()}; about {chosen.rows:,} rows", rows=chosen.rows)
    first = "" if any(CACHE.rglob("*.nbc")) else " (the first run compiles the kernels, a minute)"
    plan, model = _model(plan, chosen, first, say)
    what = "the model, out of sample" if model else "the rule"
    say("step", f"4. back-test of {what}")
    with progress(quiet=json) as report:
        result = Backtest(plan, chosen, progress=report).run()
    if json:
        say("backtest", "", result=result.summary())
    else:
        result.show()
    say("step", "\n5. paper trading: the same core on a feed, with the page")
    spec = RunSpec(account=ACCOUNT, feed=feed, settings=str(settings.resolve()) if settings else None, model=model, sync="interval")
    family = Family(spec, port, say)
    _forget()
    return watch(family, seconds, "the next demonstration starts anew; `tercel run` has an account that continues")


def _model(plan: Plan, chosen: Source, first: str, say: Teller) -> tuple[Plan, str | None]:
    """Train, show the verdict, and trade the model; the plan's own rule when the model proposes nothing, or the settings name another."""
    from dataclasses import replace

    from tercel.base import paths
    from tercel.base.errors import ConfigError
    from tercel.decision.rules import EmaCross, ModelRule
    from tercel.drivers.train import default_features, train

    given = plan.features.features
    if not isinstance(plan.decide, EmaCross):
        say("step", f"2. features: {', '.join(plan.complete_features.names)}, on bars of {plan.features.clock.text}")
        say("step", "3. training: none, the settings say what decides")
        return plan, None
    clock = plan.features.clock
    features = plan.features if given else default_features(clock.text, clock.price)
    say("step", f"2. features: {', '.join(features.names)}, on bars of {clock.text}")
    say("step", f"3. training{first}")
    try:
        with progress(quiet=say.json) as report:
            trained = train(
                chosen, features, name=MODEL, limits=plan.limits, venue=plan.venue, grace=plan.grace, feed_latency=plan.feed_latency,
                progress=report,
            )  # fmt: skip
    except ConfigError as error:
        say("untrained", f"   not enough to train on, so the built-in rule trades ({error})")
        return plan, None
    if not say.json:
        trained.show()
    page = paths.models_dir() / MODEL / f"{trained.model.manifest.version}.html"
    trained.html(page)
    facts = {"model": trained.model.name, "page": str(page), "verdict": trained.evaluation.verdict}
    say("trained", f"   model {trained.model.name}, report {short(page)}", **facts)
    if not trained.evaluation.trades:
        say("no trades", "   it proposes no trade that pays for its costs, so the built-in rule trades on")
        return plan, None
    return replace(plan, features=replace(plan.features, features=()), decide=ModelRule(trained.model)), trained.model.name


def _source(data: Path | None, speed: float, say: Teller) -> tuple[Source, FeedSpec]:
    """What to trade: FX and metals (else whatever has quotes) of the data given, else of the catalog, else the simulator; says which."""
    from tercel.base import paths
    from tercel.drivers.history import SimulatedHistory, history
    from tercel.drivers.launch import FeedSpec
    from tercel.market.catalog import Catalog

    quoted = _import(data, say) if data is not None else []
    catalog = Catalog()
    if data is None:
        quoted = [one.instrument.name for one in catalog.datasets() if one.kind == "quote"]
    if not quoted:
        say("simulated", f"   the simulated market: no data was given, and your catalog ({short(paths.catalog_dir())}) has no quotes")
        simulated = SimulatedHistory(SEED, SIMULATED_HOURS)
        feed = FeedSpec(kind="simulator", seed=SEED, start_ns=simulated.start_ns, fast_until_ns=simulated.end_ns, speed=speed)
        return simulated, feed
    if data is None:
        say("catalog", f"   your catalog ({short(paths.catalog_dir())})")
    preferred = [name for name in quoted if catalog.resolve(name).asset in ("fx", "metal")]
    chosen = history(preferred or quoted, catalog=catalog)
    newest = max(one.last_ns for one in chosen.series)
    start_ns, live_ns = newest - REPLAY_HOURS * NS_PER_H, newest - LIVE_HOURS * NS_PER_H
    names = tuple(one.instrument.name for one in chosen.series if one.last_ns > live_ns)
    feed = FeedSpec(kind="replay", names=names, start=format_instant(start_ns), fast_until_ns=live_ns, speed=speed)
    return chosen, feed


def _import(data: Path, say: Teller) -> list[str]:
    """Import, say what came in, and return the instruments that have quotes. Raises `ConfigError` when none has."""
    from tercel.base import paths
    from tercel.base.errors import ConfigError
    from tercel.market.importers.batch import Options
    from tercel.market.importers.run import import_files

    say("importing", f"   importing {data} into {short(paths.catalog_dir())}")
    with progress(quiet=say.json) as report:
        done = import_files([data], Options(), paths.catalog_dir(), lambda text, share: report(text, share, 1.0))
    left_out = f"; {len(done.skipped)} files of no known format left out" if done.skipped else ""
    text = f"   {len(done.files)} files, {done.rows:,} rows, {done.rows_added:,} of them new{left_out}"
    say("imported", text, files=len(done.files), rows=done.rows, new=done.rows_added)
    series = [one for file in done.files for one in file.series]
    quoted = list(dict.fromkeys(one.instrument for one in series if one.kind == "quote"))
    if not quoted:
        kinds = ", ".join(sorted({f"{one.kind}s" for one in series}))
        raise ConfigError(f"demo: expected quotes in {data}, found {kinds}; they are in the catalog: `tercel backtest NAME` plays them")
    return quoted


def _forget() -> None:
    """The demonstration begins anew each time; only its own account is removed, and its kill flag stays."""
    from tercel.base import paths
    from tercel.cli.control import refuse_second

    refuse_second(ACCOUNT)
    for path in [*paths.session_dir(ACCOUNT).glob("*"), *paths.run_dir(ACCOUNT).glob("*")]:
        if path.is_file() and path.name not in KEPT:
            path.unlink()
        elif path.is_dir() and path.name != "run":
            shutil.rmtree(path)
