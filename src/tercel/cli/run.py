"""`tercel run`: start the trader, and the desk beside it."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

from cyclopts import Parameter

from tercel.cli.options import BarsOf, PriceOf, SettingsFile, StrategyClass, TrainedModel
from tercel.cli.show import JsonLines, Teller

if TYPE_CHECKING:
    from tercel.cli.family import Family
    from tercel.drivers.launch import FeedSpec

INTERRUPTED: Final = 130  # 128 + SIGINT: it ended before it traded
POLL_S: Final = 0.05


def run(
    *names: str,
    paper: Annotated[bool, Parameter(negative="")] = False,
    live: Annotated[bool, Parameter(negative="")] = False,
    venue: str | None = None,
    confirm: str | None = None,
    feed: str | None = None,
    endpoint: str | None = None,
    rest: str | None = None,
    ca: Path | None = None,
    speed: float = 1.0,
    start: str | None = None,
    end: str | None = None,
    seed: int = 1,
    account: str = "paper",
    bars: BarsOf = None,
    price: PriceOf = None,
    settings: SettingsFile = None,
    strategy: StrategyClass = None,
    model: TrainedModel = None,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    port: int = 8700,
    desk: bool = True,
    sync: Literal["always", "interval", "never"] = "always",
    until_done: Annotated[bool, Parameter(negative="")] = False,
    spin: Annotated[bool, Parameter(negative="")] = False,
    json: JsonLines = False,
) -> int:
    """Start trading and the desk beside it; the page's address is printed. Ctrl-C ends both in order.

    The exit status is 0 when it traded and was stopped, by Ctrl-C too, and the trader's own when that failed.

    Example: tercel run EURUSD@oanda --speed 60. Without any data: tercel run --speed 60

    Parameters
    ----------
    names
        Instruments to replay from the catalog, such as EURUSD@oanda; without any the market is simulated.
    paper
        Live or recorded data against a modelled venue: what happens without being asked.
    live
        Real orders, after a check of the venue and the account's name, typed. This version has no venue to send them to.
    venue
        Which venue, with --live.
    confirm
        The account's name, instead of typing it, where there is no terminal; needs TERCEL_LIVE=1 in the environment.
    feed
        Where market data comes from: "replay" of the catalog (without names: all FX and metals), "simulator", or a live venue with its
        symbols, such as binance:BTCUSDT,ETHUSDT.
    endpoint
        Another address of the live venue, such as wss://127.0.0.1:9443.
    rest
        Another address of its HTTPS calls; by default that of --endpoint.
    ca
        A PEM file of certificate authorities; only they are trusted, instead of the machine's.
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
    spin
        Never sleep between ticks: two to three times faster, at the price of a whole core.
    """
    from tercel.base.errors import ConfigError
    from tercel.base.time import parse_duration
    from tercel.cli.control import DEFAULT_ACCOUNT, check_name
    from tercel.cli.family import Family
    from tercel.drivers.history import default_names
    from tercel.drivers.launch import FeedSpec, RunSpec
    from tercel.market.catalog import Catalog

    check_name(account)
    if live:
        _ask_for_live(paper, account, venue, names, confirm, Teller(json))
    elif venue is not None or confirm is not None:
        raise ConfigError(f"run {'--venue' if venue is not None else '--confirm'}: belongs to --live; without it trading is on paper")
    where = Reached(endpoint, rest, str(ca.resolve()) if ca else None)
    kind = feed or ("replay" if names or start or end else "simulator")
    if kind not in ("replay", "simulator"):
        source = _live(kind, where, names=bool(names), times=bool(start or end), speed=speed)
    elif any(where):
        raise ConfigError("run: --endpoint, --rest and --ca are for a live feed, such as --feed binance:BTCUSDT")
    elif kind == "simulator":
        if names or start or end:
            raise ConfigError(
                "run: the simulator has its own instruments and times; leave out names, --start and --end, or use --feed replay"
            )
        source = FeedSpec(kind="simulator", speed=speed, seed=seed)
    else:
        source = FeedSpec(kind="replay", names=tuple(names) or tuple(default_names(Catalog())), start=start, end=end, speed=speed)
    if not speed >= 0:
        raise ConfigError(f"run: --speed: expected 0 (as fast as it can) or more, was {speed}")
    spec = RunSpec(
        account=account,
        feed=source,
        settings=str(settings.resolve()) if settings else None,
        strategy=strategy,
        model=model,
        bars=bars,
        price=price,
        sync=sync,
        stop_when_done=until_done,
        spin=spin,
    )
    seconds = parse_duration(for_) / 1e9 if for_ else None
    named = f" --account {account}" if account != DEFAULT_ACCOUNT else ""
    return watch(Family(spec, port if desk else None, Teller(json)), seconds, f"`tercel run{named}` continues this account")


def _ask_for_live(paper: bool, account: str, venue: str | None, names: tuple[str, ...], confirm: str | None, say: Teller) -> None:
    """The gate, then the refusal that stands behind it while no driver sends real orders. Raises `TercelError` in any case."""
    from tercel.base.errors import ConfigError
    from tercel.cli.live_gate import pass_gate, terminal

    if paper:
        raise ConfigError("run: expected --paper or --live, found both; nothing was started")
    pass_gate(account, venue, names, confirm, say, terminal())
    raise ConfigError(f"run --live: {venue} is ready, but this version has no driver that sends real orders; nothing was started")


class Reached(NamedTuple):
    """How a live venue is reached, where that is not as usual."""

    endpoint: str | None
    rest: str | None
    ca: str | None


def _live(feed: str, where: Reached, *, names: bool, times: bool, speed: float) -> FeedSpec:
    """The description of a live feed. Raises `ConfigError` for what only a recording has."""
    from tercel.base.errors import ConfigError
    from tercel.base.words import hint
    from tercel.drivers.launch import FeedSpec
    from tercel.market.feeds import live_venues

    if ":" not in feed and feed not in live_venues.VENUES:
        helps = hint(feed, ("replay", "simulator", *live_venues.VENUES))
        raise ConfigError(f"run: --feed: expected replay, simulator or a live venue such as binance:BTCUSDT, found {feed!r}; {helps}")
    venue, symbols = live_venues.parse(feed)
    if names or times or speed != 1.0:
        raise ConfigError("run: a live feed names its symbols itself and has no past; leave out names, --start, --end and --speed")
    spec = FeedSpec(kind="live", venue=venue, names=symbols, endpoint=where.endpoint, rest=where.rest, ca=where.ca)
    live_venues.Source(venue=venue, symbols=symbols, endpoint=where.endpoint, rest=where.rest, authority=where.ca).line()
    return spec


def watch(family: Family, seconds: float | None, ending: str) -> int:
    """Start a family, print its address, wait until it ends, is interrupted, or `seconds` have passed; then stop it in order.

    Returns the exit status. `ending` is said last. Raises `TercelError` when the trader or, at the start, the desk failed.
    """
    from tercel.base.time import NS_PER_S, clock_ns
    from tercel.cli.show import progress

    say = family.say
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    account = family.spec.account
    say("starting", f"starting the trader of account {account}", account=account)
    final = ""
    try:
        with progress(quiet=say.json) as report:
            family.start(report)
        until = clock_ns() + round(seconds * NS_PER_S) if seconds is not None else None
        left = "Ctrl-C stops it" if seconds is None else f"it stops after {seconds:g} s, or with Ctrl-C"
        text = f"open {family.url}   ({left})" if family.url else f"trading without a page ({left})"
        say("page", text, url=family.url)
        while family.watch() and (until is None or clock_ns() < until):
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        say("interrupted", "")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # stopping is bounded, and must not be left half done
        final = family.stop()
    if not family.trading:
        say("ended", "stopped before it traded", status=INTERRUPTED)
        return INTERRUPTED
    say("stopped", f"stopped: {final}", account=account)
    say("ended", ending, status=0)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
