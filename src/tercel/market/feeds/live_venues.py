"""The live venues by name: where each is, how its instruments are asked for, and which decoder speaks its language."""

from __future__ import annotations

import asyncio
import difflib
import random
import re
import ssl
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from tercel.base.errors import ConfigError, FeedDataError, TercelError, VenueUnavailable
from tercel.base.kernel import Entry, compile_all
from tercel.base.records import GAP, QUOTE, TRADE
from tercel.market.feeds import https
from tercel.market.feeds.binance import PERPETUAL, Binance, exchange_info_path, instruments_of, scanner
from tercel.market.feeds.care import Care
from tercel.market.feeds.https import Answer
from tercel.market.feeds.live import Line, LiveFeed
from tercel.market.feeds.session import Decoder, Tape
from tercel.market.instruments import Instrument

SYMBOLS_MAX: Final = 340  # three streams each, 1,024 on a connection
_SYMBOL: Final = re.compile(rf"[A-Z0-9]{{1,32}}({PERPETUAL})?")
UNKNOWN_SYMBOL: Final = 400

Progress = Callable[[str, int, int], None]


class Venue(NamedTuple):
    """What a venue is: addresses, the paths that define and that list symbols, the reader of definitions, the decoder and its kernels."""

    stream: str
    rest: str
    definitions: Callable[[Sequence[str]], str]
    listing: str
    instruments: Callable[[bytes, Sequence[str]], tuple[Instrument, ...]]
    decoder: Callable[[Sequence[Instrument], bool], Decoder]
    kernels: Callable[[], Sequence[Entry]]


class _Priced(msgspec.Struct):
    symbol: str


VENUES: Final = {
    # Both serve public market data alone, without a key (Binance Spot API documentation, "General Info", "WebSocket Streams").
    "binance": Venue(
        "wss://data-stream.binance.vision", "https://data-api.binance.vision", exchange_info_path, "/api/v3/ticker/price",
        instruments_of, lambda instruments, depth: Binance(instruments, depth=depth), scanner.kernels,
    ),
}  # fmt: skip
PERPETUALS: Final = {  # of the same venues, which have servers of their own for them
    "binance": VENUES["binance"]._replace(
        stream="wss://fstream.binance.com", rest="https://fapi.binance.com", listing="/fapi/v1/ticker/price"
    ),
}  # fmt: skip


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A live venue, some of its symbols, and how it is reached; `endpoint` and `rest` replace its usual addresses."""

    venue: str
    symbols: tuple[str, ...]
    endpoint: str | None = None
    rest: str | None = None
    authority: str | None = None  # a PEM file; only it is trusted then
    care: Care = Care()

    @property
    def place(self) -> Venue:
        """Where the symbols are."""
        return (PERPETUALS if self.symbols[0].endswith(PERPETUAL) else VENUES)[self.venue]

    def line(self) -> Line:
        """Addresses and trust. Raises `ConfigError`."""
        venue = self.place
        stream = https.address_of(self.endpoint or venue.stream)
        rest = https.address_of(self.rest or (self.endpoint or venue.rest))
        return Line(stream=stream, rest=rest, context=https.tls(self.authority), care=self.care)


def parse(text: str) -> tuple[str, tuple[str, ...]]:
    """("binance", ("BTCUSDT", "ETHUSDT")) of "binance:BTCUSDT,ETHUSDT". Raises `ConfigError`."""
    venue, colon, names = text.partition(":")
    symbols = tuple(dict.fromkeys(name.strip().upper() for name in names.split(",") if name.strip()))
    if venue not in VENUES:
        near = difflib.get_close_matches(venue, VENUES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the live venues are {', '.join(VENUES)}"
        raise ConfigError(f"feed {text!r}: there is no live venue {venue!r}; {hint}")
    if not colon or not symbols:
        raise ConfigError(f"feed {text!r}: expected symbols behind the venue, such as {venue}:BTCUSDT,ETHUSDT")
    odd = [symbol for symbol in symbols if _SYMBOL.fullmatch(symbol) is None]
    if odd:
        raise ConfigError(f"feed {text!r}: expected symbols of letters and digits, such as BTCUSDT or BTCUSDT-PERP, found {odd[0]!r}")
    if len({symbol.endswith(PERPETUAL) for symbol in symbols}) > 1:
        raise ConfigError(f"feed {text!r}: spot and perpetuals have servers of their own; name one kind")
    if len(symbols) > SYMBOLS_MAX:
        raise ConfigError(f"feed {venue}: expected at most {SYMBOLS_MAX} symbols on one session, found {len(symbols)}; name fewer")
    return venue, symbols


def define(source: Source) -> tuple[Instrument, ...]:
    """The venue's own definitions of the symbols, in the order asked for, not yet registered.

    Raises `ConfigError` for an unknown symbol (with the nearest) and where the venue or the trust refuses, `VenueUnavailable` when it
    cannot be reached now.
    """
    line = source.line()
    return asyncio.run(_define(source, line))


async def _define(source: Source, line: Line) -> tuple[Instrument, ...]:
    venue = source.place
    answer = await _ask(line, venue.definitions(source.symbols))
    if answer.status == UNKNOWN_SYMBOL:
        raise await _unknown(source, line)
    refused = https.refuse(answer, line.rest, "definitions of instruments")
    if refused is not None:
        raise refused
    try:
        return venue.instruments(answer.body, source.symbols)
    except FeedDataError as problem:
        raise VenueUnavailable(f"{line.rest.netloc}: its definitions of instruments cannot be read ({problem})") from None


async def _unknown(source: Source, line: Line) -> TercelError:
    """The error for a symbol the venue does not know; the nearest come from its list of all, which is short."""
    listed = await _ask(line, source.place.listing)
    try:
        known = [one.symbol for one in msgspec.json.decode(listed.body, type=list[_Priced])]
    except msgspec.MsgspecError:
        known = []
    wrong = next((symbol for symbol in source.symbols if symbol not in known), source.symbols[0])
    near = difflib.get_close_matches(wrong, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "a symbol is such as BTCUSDT"
    return ConfigError(f"feed {source.venue}: there is no symbol {wrong}; {hint}")


async def _ask(line: Line, path: str) -> Answer:
    try:
        return await https.get(line.rest, path, line.context, seconds=line.care.request, bytes_max=line.care.body_bytes_max)
    except (OSError, TimeoutError, ssl.SSLError, TercelError) as problem:
        raise https.explain(problem, line.rest) from None


def open_feed(
    source: Source, instruments: Sequence[Instrument], *, clock: Callable[[], int], chance: random.Random, depth: bool,
    kinds: frozenset[int] | None = None, tape: Tape | None = None, progress: Progress | None = None,
) -> LiveFeed:  # fmt: skip
    """A feed of registered instruments; `depth`: books too. Nothing is connected before the first poll.

    What reads the venue's text is compiled first, or loaded: `progress` is told as by `compile_all`.
    """
    compile_all(source.place.kernels(), progress)
    decoder = source.place.decoder(instruments, depth)
    return LiveFeed(source.venue, tuple(instruments), decoder, source.line(), clock=clock, chance=chance, kinds=kinds, tape=tape)


def kinds_for(price: str) -> frozenset[int]:
    """What a core with bars of `price` is fed: the one series that a back-test of a recording plays too, and gaps."""
    return frozenset({TRADE if price == "trade" else QUOTE, GAP})
