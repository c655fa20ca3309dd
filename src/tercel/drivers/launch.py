"""Starting a trader from a description: the feed it names, the plan it names, in a process of its own.

`python -m tercel.drivers.launch SPEC.json` is that process; whoever starts it reads its lines: `phase …`, then `trading …`, then `stopped
…`.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from tercel.base.errors import TercelError
from tercel.base.records import Records
from tercel.base.time import wall_ns
from tercel.drivers import settings
from tercel.drivers.anchor import arrivals, start_of
from tercel.drivers.history import SIMULATED_START_NS, History, history
from tercel.drivers.session import Plan, Progress
from tercel.drivers.settings_source import layered
from tercel.drivers.trader import Trader, TraderOptions, handle_signals
from tercel.market.catalog import Catalog
from tercel.market.feeds.base import Feed, Pace, PacedFeed, skip_rows
from tercel.market.feeds.care import Care
from tercel.market.feeds.simulated_symbols import SimulatedSymbol, default_symbols
from tercel.market.feeds.simulator import Simulator

SPEC = "spec.json"  # in the run folder of a session
SYNC = Literal["always", "interval", "never"]


class FeedSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Which feed: the catalog replayed, the simulator, or a live venue. `speed` 0 is as fast as it can.

    Of a live venue `names` are its symbols; `endpoint`, `rest` and `ca` replace its addresses and the machine's trust.
    """

    kind: Literal["replay", "simulator", "live"]
    venue: str = ""
    endpoint: str | None = None
    rest: str | None = None
    ca: str | None = None
    care: Care = Care()
    names: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    every: str | None = None
    speed: float = 1.0
    seed: int = 1
    start_ns: int = SIMULATED_START_NS
    fast_until_ns: int = 0  # what arrived before is due at once; the speed holds from there

    @property
    def identity(self) -> str:
        """What it is, whatever its speed and end."""
        if self.kind == "simulator":
            return f"the simulator, seed {self.seed}"
        if self.kind == "live":
            return f"live data of {self.venue}"
        return f"a replay of {', '.join(self.names)} from {self.start or 'the beginning'}" + (f", every {self.every}" if self.every else "")

    @property
    def pace(self) -> Pace:
        """How fast it plays."""
        return Pace(self.speed if self.speed > 0 else None)


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a trader process needs to know."""

    account: str
    feed: FeedSpec
    settings: str | None = None  # path of a settings file
    strategy: str | None = None
    model: str | None = None
    bars: str | None = None
    price: str | None = None
    seconds: float | None = None
    stop_when_done: bool = False
    spin: bool = False
    sync: SYNC = "always"


class HistoryFeed(PacedFeed):
    """History played as a feed: exactly the series a `History` has chosen, in the order a back-test sees them."""

    def __init__(self, chosen: History, latency_ns: int, pace: Pace, fast_until_ns: int = 0, anchor: str = "") -> None:
        super().__init__("replay", chosen.instruments, pace, fast_until_ns)
        self.history, self._latency_ns, self._anchor = chosen, latency_ns, anchor

    def _open(self, position: int) -> Iterator[Records]:
        if self._anchor:
            stream = arrivals(self.history, self._latency_ns, start_of(self.history, self._anchor), self.history.end_ns)
        else:
            stream = self.history.stream(self._latency_ns)
        return skip_rows(stream, position)


def make_feed(spec: FeedSpec, plan: Plan, progress: Progress | None = None) -> Feed:
    """The feed. Raises `ConfigError`."""
    if spec.kind == "simulator":
        return Simulator(simulated(), seed=spec.seed, start_ns=spec.start_ns, pace=spec.pace, fast_until_ns=spec.fast_until_ns)
    if spec.kind == "live":
        return live_feed(spec, plan, progress)
    chosen = replayed(spec, plan)
    return HistoryFeed(chosen, plan.feed_latency_ns, spec.pace, spec.fast_until_ns, plan.complete_features.anchor)


def replayed(spec: FeedSpec, plan: Plan) -> History:
    """The history that a replay plays. Raises `ConfigError`."""
    chosen = history(spec.names, spec.start, spec.end, every=spec.every, price=plan.features.clock.price)
    chosen.check(plan.features.clock)
    return chosen


def quoted_of(spec: FeedSpec, plan: Plan) -> frozenset[str] | None:
    """Which of a feed's instruments have quotes (None: all). Raises `ConfigError`."""
    if spec.kind == "replay":
        return replayed(spec, plan).quoted
    return frozenset() if spec.kind == "live" and plan.features.clock.price == "trade" else None


def live_feed(spec: FeedSpec, plan: Plan, progress: Progress | None = None) -> Feed:
    """A live venue's feed. The venue is asked what its symbols are; nothing is connected yet. Raises `ConfigError`, `VenueUnavailable`."""
    from tercel.market.feeds import live_venues

    source = live_venues.Source(
        venue=spec.venue, symbols=spec.names, endpoint=spec.endpoint, rest=spec.rest, authority=spec.ca, care=spec.care
    )
    catalog = Catalog()
    instruments = tuple(catalog.register(one) for one in live_venues.define(source))
    price = plan.features.clock.price
    chance = random.Random(wall_ns())  # noqa: S311 - it spreads reconnects, no more
    kinds = live_venues.kinds_for(price)
    return live_venues.open_feed(source, instruments, clock=wall_ns, chance=chance, depth=False, kinds=kinds, progress=progress)


def simulated() -> tuple[SimulatedSymbol, ...]:
    """The default symbols with ids of the catalog's table, so that an account never takes one instrument for another."""
    catalog = Catalog()
    return tuple(msgspec.structs.replace(one, instrument=catalog.register(one.instrument)) for one in default_symbols())


def make_trader(spec: RunSpec, progress: Progress | None = None) -> Trader:
    """The trader of a description, not started."""
    plan = settings.load(Path(spec.settings) if spec.settings else None, spec.strategy, spec.model).on(spec.bars, spec.price)
    feed = make_feed(spec.feed, plan, progress)
    past = feed.history if isinstance(feed, HistoryFeed) else None
    quoted = past.quoted if past is not None else quoted_of(spec.feed, plan)
    options = TraderOptions(spec.account, "PAPER", spec.sync, spec.stop_when_done, spec.seconds, spec.spin, spec.feed.identity)
    return Trader(plan, feed, options, quoted, past)


def session_of(run_folder: Path) -> tuple[str | None, dict[str, Any]]:
    """The model that the session of a run folder was told to trade, and the timing of bars in its settings, as far as they say any."""
    try:
        spec = msgspec.json.decode((run_folder / SPEC).read_bytes(), type=RunSpec)
    except (FileNotFoundError, msgspec.MsgspecError):
        spec = None
    table, _ = layered(Path(spec.settings) if spec and spec.settings else None, os.environ)
    model = spec.model or (None if spec.strategy else table.get("model")) if spec else None
    return model, {name: table["bars"][name] for name in ("grace", "feed_latency") if name in table.get("bars", {})}


def say(word: str, text: str) -> None:
    """One line to whoever started this process."""
    assert sys.__stdout__ is not None
    sys.__stdout__.write(f"{word} {text}\n")
    sys.__stdout__.flush()


def run(spec: RunSpec) -> None:
    """Start, trade, stop."""

    def compiling(name: str, done: int, total: int) -> None:
        say("phase", f"compiling {done}/{total} {name}")

    trader = make_trader(spec, compiling)
    handle_signals(trader)
    recovered = trader.start(compiling)
    how = recovered.how if recovered.how == "new" else f"{recovered.how}, {recovered.replayed:,} inputs replayed"
    how += f": {recovered.why}" if recovered.why else ""
    say("trading", f"account {spec.account} ({how}), epoch {trader.epoch}, feed {trader.feed.name}{', HALTED' if trader.halted else ''}")
    try:
        trader.run()
    finally:
        trader.close()
    say("stopped", trader.summary())


def main() -> None:
    """The trader process."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m tercel.drivers.launch SPEC.json\n")
        sys.exit(2)
    try:
        # Nobody reads our lines while we trade: what a strategy prints would fill the pipe and stop us, so it goes to the errors.
        with contextlib.redirect_stdout(sys.stderr):
            run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=RunSpec))
    except TercelError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
