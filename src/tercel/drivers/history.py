"""History as the drivers use it: instruments, the series each is played from, a period, one merged stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from tercel.base.errors import ConfigError
from tercel.base.records import Records
from tercel.base.time import NS_PER_H, format_duration, format_instant, parse_instant
from tercel.base.typed import typed
from tercel.drivers.look import Look
from tercel.features.spec import Bars
from tercel.market.catalog import Catalog, Dataset
from tercel.market.feeds.base import UNLIMITED
from tercel.market.feeds.merge import CHUNK_ROWS, merge
from tercel.market.feeds.simulator import Simulator
from tercel.market.instruments import Instrument

FAR = 2**62
SIMULATED_START_NS = 1_767_614_400 * 1_000_000_000  # Monday 2026-01-05 12:00 UTC: London and New York are both open
NAMES = 'an instrument such as "EURUSD@oanda", or a list of them'
INSTANT = 'a text such as "2014-05-01" or "2014-05-01T12:30"'
PREFERENCE = ("quote", "trade", "bar")
PREFERENCE_OF_TRADES = ("trade", "bar", "quote")


@runtime_checkable
class Source(Protocol):
    """What a back-test plays."""

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments, in the order in which equal arrivals are merged."""

    @property
    def quoted(self) -> frozenset[str] | None:
        """Names of the instruments that have quotes; None: all."""

    @property
    def rows(self) -> int:
        """About how many records there are."""

    def check(self, clock: Bars) -> None:
        """Raise `ConfigError` when bars are wanted that this history cannot give."""

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """All records in order of arrival."""

    def describe(self) -> str:
        """One line for people."""


@typed()
@dataclass(frozen=True, repr=False)
class SimulatedHistory(Look):
    """The first hours of a simulated market; the simulator as a feed continues exactly there.

    The same seed gives the same market to the bit. It has five instruments with quotes and trades, and hardly anything to be earned.
    `depth`: levels of the book a side.

    >>> import tercel as tc
    >>> tc.SimulatedHistory(seed=7, hours=1).instruments[0].name
    'EURUSD@sim'
    """

    seed: int
    hours: float
    start_ns: int = SIMULATED_START_NS
    depth: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.hours < FAR / NS_PER_H:
            raise ConfigError(f"SimulatedHistory: hours: expected more than 0, found {self.hours!r}")

    @property
    def end_ns(self) -> int:
        """Where it ends."""
        return self.start_ns + round(self.hours * NS_PER_H)

    @cached_property
    def simulator(self) -> Simulator:
        """The market."""
        lasts_ns = self.end_ns - self.start_ns
        return Simulator(seed=self.seed, start_ns=self.start_ns, pace=UNLIMITED, duration_ns=lasts_ns, depth=self.depth)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The simulated instruments."""
        return self.simulator.instruments

    @property
    def quoted(self) -> frozenset[str] | None:
        """All are quoted."""
        return None

    @property
    def rows(self) -> int:
        """About how many records there are."""
        return self.simulator.expected_rows(self.start_ns, self.end_ns)

    def check(self, clock: Bars) -> None:
        """There are quotes and trades, so any bars can be taken."""

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """The simulated records; they carry their arrival, so `latency_ns` is not used."""
        feed = self.simulator
        feed.seek(0)
        while not feed.done:
            yield feed.poll(0, CHUNK_ROWS)

    def describe(self) -> str:
        """One line for people."""
        names = ", ".join(one.name for one in self.instruments)
        return f"simulated market, seed {self.seed}: {names}; {format_instant(self.start_ns, 0)} to {format_instant(self.end_ns, 0)}"


class OfSeries(Look):
    """What histories of recorded series share: `series`, and the period they are cut to."""

    series: tuple[Dataset, ...]
    start_ns: int
    end_ns: int

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The instruments, in order of id: the order in which equal arrivals are merged."""
        return tuple(dict.fromkeys(one.instrument for one in self.series))

    @property
    def quoted(self) -> frozenset[str]:
        """Names of the instruments that have quotes."""
        return frozenset(one.instrument.name for one in self.series if one.kind == "quote")

    @property
    def rows(self) -> int:
        """Rows of all series (of the whole series, when the period is shorter: an upper bound for progress bars)."""
        return sum(one.rows for one in self.series)

    def check(self, clock: Bars) -> None:
        """Raise `ConfigError` when bars are wanted of prices an instrument has not, or of another interval than the recorded one."""
        for one in self.series:
            given = f"{one.instrument.name}: its history is {one.key.what}"
            if one.kind == "bar" and (clock.unit, int(clock.amount), clock.price) != ("time", one.interval_ns, one.basis):
                interval = format_duration(one.interval_ns)
                raise ConfigError(
                    f"{given}, the features want bars of {clock.text} {clock.price}; use --bars {interval} --price {one.basis}"
                )
            if one.kind == "quote" and clock.price == "trade":
                raise ConfigError(f"{given}, the features want bars of the trade price, which needs trades; use --price mid")
            if one.kind == "trade" and clock.price != "trade":
                raise ConfigError(f"{given}, the features want bars of the {clock.price}, which needs quotes; use --price trade")

    def describe(self) -> str:
        """One line for people."""
        first, last = min(one.first_ns for one in self.series), max(one.last_ns for one in self.series)
        names = ", ".join(f"{one.instrument.name} {one.key.kind}s" for one in self.series[:6])
        more = f" and {len(self.series) - 6} more" if len(self.series) > 6 else ""
        start, end = max(first, self.start_ns), min(last, self.end_ns)
        return f"{names}{more}; {format_instant(start, 0)} to {format_instant(end, 0)}"


@dataclass(frozen=True, repr=False)
class History(OfSeries):
    """Some instruments over a period, each from the best series the catalog has: quotes, else trades, else bars."""

    catalog: Catalog
    series: tuple[Dataset, ...]
    start_ns: int = 0
    end_ns: int = FAR

    def stream(self, latency_ns: int) -> Iterator[Records]:
        """All records in order of (arrival, instrument, row), `ts_recv` = arrival, or `ts_event` + `latency_ns` where none was recorded."""
        streams = [
            self.catalog.records(one.instrument, one.kind, self.start_ns, self.end_ns, one.interval_ns or None, one.basis or None)
            for one in self.series
        ]
        return merge(streams, latency_ns, max(4096, CHUNK_ROWS // max(1, len(streams))))


@typed(names=NAMES, start=INSTANT, end=INSTANT)
def history(
    names: str | Sequence[str],
    start: str | None = None,
    end: str | None = None,
    *,
    every: str | None = None,
    price: str = "mid",
    catalog: Catalog | None = None,
) -> History:
    """History of one or several instruments from the catalog: `history("EURUSD@oanda", "2014-05-01", "2014-05-14")`.

    `start` is included, `end` is not (ISO, UTC). Quotes are taken where there are any, else trades, else bars; with `price` "trade" it is
    trades, else bars, else quotes. `every` ("1m") asks for bars of that interval. Raises `ConfigError` for an unknown or ambiguous name, an
    empty period, or nothing to play.

    >>> import tercel as tc
    >>> try:
    ...     tc.history("EURUSD")
    ... except tc.ConfigError as error:
    ...     print("tercel data import FILE" in str(error))
    True
    """
    catalog = catalog or Catalog()
    wanted = [names] if isinstance(names, str) else list(names)
    if not wanted:
        raise ConfigError(f"history: names: expected {NAMES}, found an empty list")
    start_ns, end_ns = parse_instant(start) if start else 0, parse_instant(end) if end else FAR
    if start_ns >= end_ns:
        raise ConfigError(f"history: expected a start before the end, found {start} to {end}")
    named = {one.name: one for one in map(catalog.resolve, wanted)}
    chosen = [_choose(catalog, one, every, PREFERENCE_OF_TRADES if price == "trade" else PREFERENCE) for one in named.values()]
    chosen = [one for one in chosen if one.first_ns < end_ns and one.last_ns >= start_ns]
    if not chosen:
        raise ConfigError(f"history: nothing of {', '.join(wanted)} between {start} and {end}; `tercel data list` shows what there is")
    return History(catalog, tuple(sorted(chosen, key=lambda one: one.instrument.id)), start_ns, end_ns)


def _choose(catalog: Catalog, instrument: Instrument, every: str | None, preference: tuple[str, ...]) -> Dataset:
    held = [one for one in catalog.datasets() if one.instrument.name == instrument.name]
    mine = held
    if every is not None:
        mine = [one for one in held if one.kind == "bar" and format_duration(one.interval_ns) == every]
    for kind in preference:
        of_kind = sorted(
            (one for one in mine if one.kind == kind), key=lambda one: (one.interval_ns, one.basis != "trade", one.basis != "bid")
        )
        if of_kind:
            return of_kind[0]
    have = "; ".join(one.key.what for one in held) or "nothing"
    raise ConfigError(f"{instrument.name}: expected quotes, trades or bars{f' of {every}' if every else ''}, the catalog has {have}")


def default_names(catalog: Catalog) -> list[str]:
    """Every FX pair and metal with quotes. Raises `ConfigError` when there is none."""
    names = [one.instrument.name for one in catalog.datasets() if one.kind == "quote" and one.instrument.asset in ("fx", "metal")]
    if not names:
        raise ConfigError(
            "history: the catalog has no FX or metal quotes; name instruments, or `tercel data import FILE…` first; "
            "`tercel backtest --simulated 24h` needs no data"
        )
    return names
