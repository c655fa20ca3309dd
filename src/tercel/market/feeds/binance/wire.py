"""Messages as Binance writes them, decoded and checked in one pass of compiled code; only what is used is named.

Prices and sizes come as decimal text and become the nearest double. The bounds stand in the types: a message that breaks one, or is no
JSON, gives a reason (`reason_of`) and nothing else. Sources: the venue's pages "WebSocket Streams" and "Market data endpoints" (spot),
"Market Streams" (USD-M futures).
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

PERPETUAL: Final = "-PERP"  # behind our names of USD-M perpetuals, which the venue calls as it calls their spot pairs
ID_MAX: Final = 2**62
PRICE_MAX: Final = 1e12
SIZE_MAX: Final = 1e18
AWAY_NS_MAX: Final = 86_400 * 10**9  # between the time of an event and its arrival
ID_STEP_MAX: Final = 2**40  # a jump that no outage explains: the id is wrong, not the messages between

Id = Annotated[int, Meta(ge=0, lt=ID_MAX)]
Time = Annotated[int, Meta(ge=0, lt=ID_MAX)]
Price = Annotated[float, Meta(gt=0.0, lt=PRICE_MAX)]
Size = Annotated[float, Meta(ge=0.0, lt=SIZE_MAX)]
Levels = list[tuple[Price, Size]]


class Trade(msgspec.Struct, frozen=True, gc=False):
    """`symbol@trade`."""

    s: str
    t: Id
    p: Price
    q: Size
    T: Time
    m: bool  # the buyer was the maker, so the seller came to trade


class Ticker(msgspec.Struct, frozen=True, gc=False):
    """`symbol@bookTicker`; spot sends no time, futures do."""

    s: str
    u: Id
    b: Price
    B: Size
    a: Price
    A: Size
    T: Time | None = None


class Depth(msgspec.Struct, frozen=True, gc=False):
    """`symbol@depth@100ms`: ids U to u of one book; futures name the last id of the message before (pu) too."""

    s: str
    E: Time
    U: Id
    u: Id
    b: Levels
    a: Levels
    pu: Annotated[int, Meta(ge=-1, lt=ID_MAX)] | None = None


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """The answer of `/api/v3/depth`; futures add a time."""

    lastUpdateId: Id  # noqa: N815 - the venue's word
    bids: Levels
    asks: Levels
    E: Time | None = None


class TradeFrame(msgspec.Struct, frozen=True, gc=False):
    """A trade in the envelope of a combined stream."""

    data: Trade


class TickerFrame(msgspec.Struct, frozen=True, gc=False):
    """A bookTicker in the envelope of a combined stream."""

    data: Ticker


class DepthFrame(msgspec.Struct, frozen=True, gc=False):
    """A depth update in the envelope of a combined stream."""

    data: Depth


class Event(msgspec.Struct, frozen=True, gc=False):
    """What names an event."""

    e: str = ""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Anything else that the venue may send: a frame of a stream, the event of a server, the answer to a request."""

    stream: str = ""
    e: str = ""
    data: Event | None = None


# lax: numbers come as text
trade_frame: Final = msgspec.json.Decoder(TradeFrame, strict=False).decode
ticker_frame: Final = msgspec.json.Decoder(TickerFrame, strict=False).decode
depth_frame: Final = msgspec.json.Decoder(DepthFrame, strict=False).decode
snapshot_body: Final = msgspec.json.Decoder(Snapshot, strict=False).decode
envelope: Final = msgspec.json.Decoder(Envelope).decode

# What a decoder raises for bytes that are not what it expects: no JSON, not UTF-8, nested too deep, another shape, out of bounds.
BAD: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)

_FIELD: Final = re.compile(r"at `\$\.(?:data\.)?(\w+)")
_REASONS: Final = {
    **dict.fromkeys(("p", "q", "b", "B", "a", "A", "bids", "asks"), "bad_number"),
    **dict.fromkeys(("t", "U", "u", "pu", "lastUpdateId"), "bad_id"), **dict.fromkeys(("E", "T"), "bad_time"),
}  # fmt: skip


def reason_of(error: Exception) -> str:
    """Why a message was refused: "bad_json", or by the field that is wrong "bad_number", "bad_id", "bad_time", else "bad_shape"."""
    if not isinstance(error, msgspec.ValidationError):
        return "bad_json"
    found = _FIELD.search(str(error))
    return _REASONS.get(found[1], "bad_shape") if found else "bad_shape"
