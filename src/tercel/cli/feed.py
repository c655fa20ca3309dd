"""`tercel feed`: watch and record what a live venue sends, without an account and without trading."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from tercel.base.time import NS_PER_MS, NS_PER_S, clock_ns, parse_duration, wall_ns
from tercel.cli.show import JsonLines, Report, Teller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Group

    from tercel.market.feeds.live import LiveFeed
    from tercel.market.feeds.live_venues import Source
    from tercel.market.feeds.recording import Recording
    from tercel.market.feeds.session import Tape
    from tercel.market.instruments import Instrument

app = App(name="feed", help="Watch or record a live venue's market data.")

TURN_NS: Final = 20 * NS_PER_MS
POLL_LIMIT: Final = 65_536
LEVELS: Final = 5
GB: Final = 1e9

Endpoint = Annotated[str | None, Parameter(help="Another address of the venue, such as wss://127.0.0.1:9443.")]
Rest = Annotated[str | None, Parameter(help="Another address of its HTTPS calls; by default that of --endpoint.")]
Ca = Annotated[Path | None, Parameter(help="A PEM file of certificate authorities; only they are trusted, instead of the machine's.")]
For = Annotated[str | None, Parameter(name="--for", help="Stop by itself after this time, such as 30s or 1h.")]


@app.command
def record(
    source: str, *, to: Path | None = None, for_: For = None, size_max: float = 10.0, endpoint: Endpoint = None, rest: Rest = None,
    ca: Ca = None, json: JsonLines = False,
) -> int:  # fmt: skip
    """Record a venue's messages as they come, with the time they came and the snapshots of its books. Ctrl-C ends it in order.

    A file per symbol and day, a line `nanoseconds json` per message, compressed; written every second, so a kill loses no more than that.
    The exit status is 9 when the bound is reached; nothing is ever deleted.

    Example: tercel feed record binance:BTCUSDT,ETHUSDT --for 1h

    Parameters
    ----------
    source
        The venue and its symbols, such as binance:BTCUSDT,ETHUSDT.
    to
        The folder to record to; by default recordings/VENUE in the working folder.
    size_max
        Stop after so many GB of this session, compressed.
    """
    from tercel.cli.show import progress, short
    from tercel.market.feeds import live_venues
    from tercel.market.feeds.recording import Recording

    venue, symbols = live_venues.parse(source)
    folder = to or Path("recordings") / venue
    say = Teller(json)
    with progress(quiet=json) as tell:
        tell(f"asking {venue} for its symbols", 0, 1)
        reached, instruments = _define(source, endpoint, rest, ca)
        recording = Recording(folder, instruments, round(size_max * GB))
        feed = _open(reached, instruments, recording, tell)
    text = f"recording {', '.join(symbols)} of {venue} to {short(folder.resolve())}   (Ctrl-C ends it)"
    say("recording", text, venue=venue, symbols=symbols, folder=str(folder.resolve()))
    told_ns = clock_ns()
    try:
        for _ in _turns(feed, for_):
            recording.flush(wall_ns())
            if clock_ns() - told_ns >= 10 * NS_PER_S:
                told_ns = clock_ns()
                state = feed.state(wall_ns())
                say("state", f"{state.text}: {_amount(recording)}, {state.reconnects} reconnects", state=state.text, **_facts(recording))
    finally:
        feed.close()
        recording.flush(wall_ns(), force=True)
        text = f"recorded {recording.messages:,} messages in {len(recording.files)} files, {recording.bytes_written / 1e6:,.1f} MB"
        say("recorded", text, files=len(recording.files), **_facts(recording))
    return 0


def _amount(recording: Recording) -> str:
    return f"{recording.messages:,} messages, {recording.bytes_written / 1e6:,.1f} MB"


def _facts(recording: Recording) -> dict[str, int]:
    return {"messages": recording.messages, "bytes": recording.bytes_written}


@app.command
def watch(
    source: str, *, for_: For = None, json: JsonLines = False, endpoint: Endpoint = None, rest: Rest = None,
    ca: Ca = None,
) -> int:  # fmt: skip
    """Watch a venue's market data: prices, books, ages, rates, gaps, what was dropped and why. Ctrl-C ends it.

    With --json it is a document a second, each the whole view.

    Example: tercel feed watch binance:BTCUSDT

    Parameters
    ----------
    source
        The venue and its symbols, such as binance:BTCUSDT,ETHUSDT.
    """
    import msgspec

    from tercel.cli.show import progress

    with progress(quiet=json) as tell:
        tell(f"asking {source.partition(':')[0]} for its symbols", 0, 1)
        feed = _open(*_define(source, endpoint, rest, ca), None, tell)
    view = View(feed)
    due_ns = clock_ns()
    try:
        with _screen(json) as show:
            for records in _turns(feed, for_):
                view.take(records)
                if clock_ns() >= due_ns:
                    due_ns += NS_PER_S if json else NS_PER_S // 4
                    now = view.state(wall_ns(), clock_ns())
                    if json:
                        sys.stdout.write(msgspec.json.encode(now).decode() + "\n")
                        sys.stdout.flush()
                    else:
                        show(_drawn(now))
    finally:
        feed.close()
    return 0


class View:
    """What `watch` shows: the last quote of each instrument, its rate and book, and what the session says about itself."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed
        self._quotes: dict[int, Any] = {}
        self._arrived_ns: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        self._messages = 0
        self._since_ns = clock_ns()

    def take(self, records: Any) -> None:
        """Records that were polled."""
        from tercel.base.records import GAP, QUOTE

        for one in records[records["kind"] == QUOTE]:
            self._quotes[int(one["instrument"])] = one
        for one in records[records["kind"] == GAP]:
            self._quotes.pop(int(one["instrument"]), None)  # not known to stand any more
        for number in self._feed.session.heard_s:
            of_it = records["instrument"] == number
            if of_it.any():
                self._counts[number] = self._counts.get(number, 0) + int(of_it.sum())
                self._arrived_ns[number] = int(records["ts_recv"][of_it].max())

    def state(self, now_ns: int, clock: int) -> dict[str, Any]:
        """Everything as plain values; rates since the last call, ages in seconds, null for what is not known."""
        feed, state = self._feed, self._feed.state(now_ns)
        elapsed_s = max(1e-9, (clock - self._since_ns) / NS_PER_S)
        rate = (state.messages - self._messages) / elapsed_s
        self._messages, self._since_ns = state.messages, clock
        instruments = [self._instrument(one, now_ns, elapsed_s) for one in feed.instruments]
        self._counts.clear()
        return {
            "time_ns": now_ns, "venue": feed.name, "state": state.text, "age_s": None if state.age_ns is None else state.age_ns / NS_PER_S,
            "messages": state.messages, "messages_per_s": round(rate, 1), "reconnects": state.reconnects, "gaps": dict(feed.decoder.gaps),
            "dropped": dict(state.dropped), "ended": dict(state.ended), "failures": dict(state.failures), "problem": state.problem,
            "snapshots": feed.session.snapshots, "instruments": instruments,
        }  # fmt: skip

    def _instrument(self, one: Any, now_ns: int, elapsed_s: float) -> dict[str, Any]:
        quote, book = self._quotes.get(one.id), self._feed.decoder.book(one.symbol)
        bid, ask = (float(quote["price"]), float(quote["price2"])) if quote is not None else (None, None)
        arrived_ns = self._arrived_ns.get(one.id)
        bids, asks = book.levels(LEVELS) if book.valid else ([], [])
        return {
            "symbol": one.symbol, "bid": bid, "ask": ask, "decimals": one.price_decimals,
            "spread": None if bid is None or ask is None else round(ask - bid, one.price_decimals),
            "age_s": None if arrived_ns is None else (now_ns - arrived_ns) / NS_PER_S,
            "records_per_s": round(self._counts.get(one.id, 0) / elapsed_s, 1), "book_valid": book.valid, "book_id": book.last_id,
            "bids": bids, "asks": asks,
        }  # fmt: skip


def _define(source: str, endpoint: str | None, rest: str | None, ca: Path | None) -> tuple[Source, list[Instrument]]:
    """A venue and its own definitions of the symbols, numbered; the catalog is not touched."""
    import msgspec

    from tercel.market.feeds import live_venues

    venue, symbols = live_venues.parse(source)
    reached = live_venues.Source(venue=venue, symbols=symbols, endpoint=endpoint, rest=rest, authority=str(ca) if ca else None)
    return reached, [msgspec.structs.replace(one, id=number) for number, one in enumerate(live_venues.define(reached), 1)]


def _open(reached: Source, instruments: Sequence[Instrument], tape: Tape | None, tell: Report) -> LiveFeed:
    """A feed of everything the venue has of them, books too."""
    import random

    from tercel.market.feeds import live_venues

    chance = random.Random(wall_ns())  # noqa: S311 - it spreads reconnects, no more
    return live_venues.open_feed(reached, instruments, clock=wall_ns, chance=chance, depth=True, tape=tape, progress=tell)


def _turns(feed: LiveFeed, for_: str | None) -> Any:
    """What the feed gives, turn by turn, until the time is over or somebody asks to stop."""
    seconds = parse_duration(for_) / NS_PER_S if for_ else None
    until = None if seconds is None else clock_ns() + round(seconds * NS_PER_S)
    stopped: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    while not stopped and (until is None or clock_ns() < until):
        feed.wait(TURN_NS)
        yield feed.poll(wall_ns(), POLL_LIMIT)


def _screen(json: bool) -> Any:
    """A context that gives a function which shows a view; a live screen on a terminal."""
    from contextlib import nullcontext

    from rich.live import Live

    from tercel.base.text import console

    if json:
        return nullcontext(lambda view: None)
    live = Live(console=console(), auto_refresh=False)

    class Screen:
        def __enter__(self) -> Any:
            live.__enter__()
            return lambda view: live.update(view, refresh=True)

        def __exit__(self, *error: Any) -> None:
            live.__exit__(*error)

    return Screen()


def _drawn(now: dict[str, Any]) -> Group:
    """The live view."""
    from rich.console import Group
    from rich.text import Text

    from tercel.base.text import table

    colour = "green" if now["state"] == "live" else "yellow"
    rates = f"   age {_age(now['age_s'])}   {now['messages_per_s']:,.0f} messages/s   {now['messages']:,} in all"
    head = Text.assemble(f"{now['venue']}: ", (now["state"], colour), rates)
    rows = [
        (
            one["symbol"], _number(one["bid"], one["decimals"]), _number(one["ask"], one["decimals"]),
            _number(one["spread"], one["decimals"]), _age(one["age_s"]), f"{one['records_per_s']:,.0f}",
            "valid" if one["book_valid"] else "waiting", _levels(one["bids"], one["decimals"]), _levels(one["asks"], one["decimals"]),
        )
        for one in now["instruments"]
    ]  # fmt: skip
    columns = ("symbol", "bid", "ask", "spread", "age", "records/s", "book", "bids", "asks")
    counts = [
        f"{name}: {', '.join(f'{reason} {count:,}' for reason, count in now[name].items()) or 'none'}"
        for name in ("gaps", "dropped", "ended", "failures")
    ]
    foot = f"reconnects: {now['reconnects']}   snapshots: {now['snapshots']}   " + "   ".join(counts)
    parts: list[Any] = [head, table("", columns, rows), Text(foot)]
    return Group(*parts, *([Text(now["problem"], "yellow")] if now["problem"] else []))


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1e3:,.0f} ms" if seconds < 1.0 else f"{seconds:,.1f} s"


def _levels(levels: Any, decimals: int) -> str:
    return "\n".join(f"{price:,.{decimals}f} x {size:.8g}" for price, size in levels[:LEVELS])
