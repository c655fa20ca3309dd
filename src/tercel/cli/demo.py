"""`tercel demo`: the whole job once, from data to paper trading with the page; what `make run` does."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tercel.base.time import NS_PER_H, format_instant

if TYPE_CHECKING:
    from tercel.drivers.history import Source
    from tercel.drivers.launch import FeedSpec

ACCOUNT = "demo"
SIMULATED_HOURS = 6
SEED = 7
REPLAY_HOURS, LIVE_HOURS = 30, 6  # of the newest recording: so much is traded on paper, the last part of it at the pace asked for


def demo(
    *,
    data: Path | None = None,
    settings: Path | None = None,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    speed: float = 20.0,
    port: int = 8700,
) -> None:
    """History, features, rule, back-test, then paper trading with the page: on your data, or on a simulated market.

    Parameters
    ----------
    data
        A folder or file to import first; without it your catalog is used, and without one the simulator.
    settings
        A settings file; by default tercel.toml in the working folder, else the defaults.
    for_
        Stop paper trading by itself after this time, such as 30s.
    speed
        How fast the feed of the paper trading plays: 1 is real time.
    port
        Port of the page.
    """
    from tercel.base.time import parse_duration
    from tercel.cli.family import Family
    from tercel.cli.run import watch
    from tercel.cli.show import progress, say
    from tercel.drivers.backtest import Backtest
    from tercel.drivers.launch import RunSpec
    from tercel.drivers.settings import load

    seconds = parse_duration(for_) / 1e9 if for_ else None
    plan = load(settings)
    say("1. history")
    chosen, feed = _source(data, speed)
    say(f"   {chosen.describe()}: {chosen.rows:,} rows")
    names = ", ".join(plan.complete_features.names)
    say(f"2. features: {names}, on bars of {plan.features.clock.text}")
    say("3. back-test of the rule (a first run compiles the kernels: half a minute)")
    with progress() as report:
        result = Backtest(plan, chosen, progress=report).run()
    result.show()
    say("\n4. paper trading: the same core on a feed, with the page")
    spec = RunSpec(account=ACCOUNT, feed=feed, settings=str(settings.resolve()) if settings else None, sync="interval")
    _forget(ACCOUNT)
    watch(Family(spec, port, say), seconds)


def _source(data: Path | None, speed: float) -> tuple[Source, FeedSpec]:
    """What to trade: the data given, else the user's catalog, else the simulator; says which."""
    from tercel.base import paths
    from tercel.cli.show import say
    from tercel.drivers.history import SimulatedHistory, default_names, history
    from tercel.drivers.launch import FeedSpec
    from tercel.market.catalog import Catalog

    if data is not None:
        _import(data)
    catalog = Catalog()
    if not any(one.kind == "quote" for one in catalog.datasets()):
        say(f"   the simulated market: no data was given, and your catalog ({paths.catalog_dir()}) has no quotes")
        simulated = SimulatedHistory(SEED, SIMULATED_HOURS)
        feed = FeedSpec(kind="simulator", seed=SEED, start_ns=simulated.start_ns, fast_until_ns=simulated.end_ns, speed=speed)
        return simulated, feed
    say(f"   {data}" if data is not None else f"   your catalog ({paths.catalog_dir()})")
    chosen = history(default_names(catalog), catalog=catalog)
    newest = max(one.last_ns for one in chosen.series)
    start_ns, live_ns = newest - REPLAY_HOURS * NS_PER_H, newest - LIVE_HOURS * NS_PER_H
    names = tuple(one.instrument.name for one in chosen.series if one.last_ns > live_ns)
    feed = FeedSpec(kind="replay", names=names, start=format_instant(start_ns), fast_until_ns=live_ns, speed=speed)
    return chosen, feed


def _import(data: Path) -> None:
    from tercel.base import paths
    from tercel.cli.data_tables import progress
    from tercel.cli.show import say
    from tercel.market.importers.batch import Options
    from tercel.market.importers.run import import_files

    say(f"   importing {data} into {paths.catalog_dir()}")
    with progress(quiet=not sys.stderr.isatty()) as show_progress:
        done = import_files([data], Options(), paths.catalog_dir(), show_progress)
    skipped = f", {len(done.skipped)} of a format not known yet skipped" if done.skipped else ""
    say(f"   {len(done.files)} files, {done.rows:,} rows, {done.rows_added:,} of them new{skipped}")


def _forget(account: str) -> None:
    """The demonstration begins anew each time; only its own account is ever removed."""
    from tercel.base import paths
    from tercel.base.errors import ConfigError
    from tercel.cli.control import alive

    folder = paths.session_dir(account)
    if folder.is_dir():
        if alive(account):
            raise ConfigError(f"demo: a trader of account {account} is running; stop it first")
        shutil.rmtree(folder)
