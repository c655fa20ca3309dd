"""`tercel run`: start the trader, and the desk beside it."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def run(
    *names: str,
    paper: Annotated[bool, Parameter(negative="")] = True,
    feed: Literal["replay", "simulator"] = "simulator",
    speed: float = 1.0,
    start: str | None = None,
    end: str | None = None,
    seed: int = 1,
    account: str = "paper",
    settings: Path | None = None,
    strategy: str | None = None,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    port: int = 8700,
    desk: bool = True,
    sync: Literal["always", "interval", "never"] = "always",
    until_done: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Start trading and the desk beside it; the page's address is printed. Ctrl-C ends both in order.

    Parameters
    ----------
    names
        Instruments of the replay, such as EURUSD@oanda; the simulator has its own.
    paper
        Live or recorded data against a modelled venue. The only mode there is yet.
    feed
        Where market data comes from: the catalog replayed, or the simulated market.
    speed
        1 is real time, 60 an hour in a minute, 0 as fast as it can.
    start
        First instant of the replay, ISO, UTC.
    end
        Last instant of the replay, ISO, UTC.
    seed
        Seed of the simulator.
    account
        Name of the account; its journal, log and snapshots live under it, and a restart continues it.
    settings
        A settings file; by default tercel.toml in the working folder, else the defaults.
    strategy
        A strategy written in Python, as module:Class.
    for_
        Stop by itself after this time, such as 30s or 10m.
    port
        Port of the page; the next free one is taken when it is in use.
    desk
        Start the page.
    sync
        Durability of the journal: always (every batch), interval, never.
    until_done
        Stop when the replay has ended.
    """
    from tercel.base.time import parse_duration
    from tercel.cli.family import Family
    from tercel.cli.show import say
    from tercel.drivers.history import default_names
    from tercel.drivers.launch import FeedSpec, RunSpec
    from tercel.market.catalog import Catalog

    chosen = tuple(names) or (tuple(default_names(Catalog())) if feed == "replay" else ())
    source = FeedSpec(kind=feed, names=chosen, start=start, end=end, speed=speed, seed=seed)
    spec = RunSpec(
        account=account,
        feed=source,
        settings=str(settings.resolve()) if settings else None,
        strategy=strategy,
        sync=sync,
        stop_when_done=until_done,
    )
    seconds = parse_duration(for_) / 1e9 if for_ else None
    family = Family(spec, port if desk else None, say)
    watch(family, seconds)


def watch(family: object, seconds: float | None) -> None:
    """Start a family, print its address, wait until it ends, is interrupted, or `seconds` have passed; then stop it in order."""
    from tercel.cli.family import Family
    from tercel.cli.show import say

    assert isinstance(family, Family)

    def interrupted(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    say(f"starting the trader of account {family.spec.account} (the first start compiles, about half a minute)")
    try:
        family.start()
        if family.url:
            say(f"open {family.url}")
        until = time.monotonic() + seconds if seconds is not None else None
        while family.watch() and (until is None or time.monotonic() < until):
            time.sleep(0.1)
    except KeyboardInterrupt:
        sys.stdout.write("\n")
    finally:
        final = family.stop()
    say(f"stopped: {final}")
    if family.url:
        say(f"the page was at {family.url}; `tercel run` continues this account")
