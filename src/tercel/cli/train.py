"""`tercel train`: from recorded history to a model that is judged, registered and reported."""

from __future__ import annotations

from pathlib import Path

from tercel.cli.options import BarsOf, PriceOf, SettingsFile
from tercel.cli.show import Json, print_json
from tercel.cli.source import Simulated, source


def train(
    *names: str,
    start: str | None = None,
    end: str | None = None,
    every: str | None = None,
    bars: BarsOf = None,
    price: PriceOf = None,
    features: tuple[str, ...] = (),
    take: float = 1.5,
    stop: float = 1.0,
    horizon: str = "30m",
    horizon_bars: float | None = None,
    folds: int = 5,
    embargo: str | None = None,
    search: int = 0,
    name: str = "model",
    seed: int = 1,
    threads: int = 2,
    settings: SettingsFile = None,
    html: Path | None = None,
    simulated: Simulated = None,
    json: Json = False,
) -> None:
    """Train on recorded history and say honestly whether there is an edge; the model is registered either way.

    Example: tercel train EURUSD@oanda --name eurusd. Without any data: tercel train --simulated 24h

    Parameters
    ----------
    names
        Instruments such as EURUSD@oanda; without any, all FX and metals that have quotes.
    start
        First instant, ISO, UTC; included.
    end
        Last instant, ISO, UTC; not included.
    every
        Play bars of this interval instead of ticks.
    features
        Features such as rsi_14 or zscore_60, each with a --features of its own; without any, a set without scales.
    take
        Widths from the entry at which a trade takes its profit.
    stop
        Widths from the entry at which it is stopped.
    horizon
        How long a trade may last, such as 30m.
    horizon_bars
        How many bars the horizon has, for bars of ticks or volume.
    folds
        Stretches to be tested one after another, each by a model that never saw it.
    embargo
        Distance between what is learned and what is tested; by default the horizon.
    search
        Try so many sets of parameters; all of them count against the verdict.
    name
        What the model is called; it gets the next version of this name.
    seed
        Seed of everything random, the simulated market included.
    threads
        Threads that fit; they change no bit of the result.
    html
        Where to write the report as a page; by default beside the model.
    """
    from tercel.base import paths
    from tercel.base.errors import ConfigError
    from tercel.base.time import format_duration
    from tercel.cli.backtest import THREADS_MAX
    from tercel.cli.show import progress, say, short
    from tercel.drivers import train as driver
    from tercel.drivers.settings import feature, load
    from tercel.features.spec import FeatureSet
    from tercel.models.barriers import triple_barrier

    if not 1 <= threads <= THREADS_MAX:
        raise ConfigError(f"train --threads: expected 1 to {THREADS_MAX}, found {threads}")
    plan = load(settings).on(bars, price)
    clock = plan.features.clock
    if clock.unit != "time" and horizon_bars is None:
        raise ConfigError(f"train: bars of {clock.text} have no fixed length: say how many the horizon has with --horizon-bars")
    chosen = source("train", names, start, end, every=every, price=clock.price, simulated=simulated, seed=seed)
    wanted = FeatureSet(clock, [feature(text, "train --features") for text in features]) if features else None
    interval = format_duration(int(clock.amount)) if clock.unit == "time" else "1m"
    with progress(quiet=json) as report:
        trained = driver.train(
            chosen,
            wanted or driver.default_features(clock.text, clock.price, bool(chosen.quoted)),
            labels=triple_barrier(take, stop, horizon, horizon_bars=horizon_bars, every=interval),
            folds=folds,
            embargo=embargo,
            name=name,
            seed=seed,
            search=search,
            limits=plan.limits,
            venue=plan.venue,
            grace=plan.grace,
            feed_latency=plan.feed_latency,
            threads=threads,
            progress=report,
        )
    manifest = trained.model.manifest
    page = html or paths.models_dir() / manifest.name / f"{manifest.version}.html"
    trained.html(page)
    if json:
        found = {"model": trained.model.name, "page": str(page), "seconds": trained.seconds, "evaluation": trained.evaluation}
        print_json(found)
    else:
        trained.show()
        say(f"model: {trained.model.name} in {short(paths.models_dir() / manifest.name / str(manifest.version))}")
        say(f"page:  {short(page)}")
