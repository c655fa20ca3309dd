"""Frames of Binance become records: decoded, bounded, in order, each message once, with every loss said.

`Binance` is one logical session over some instruments, however many sockets carry it. It promises:

- Nothing that comes in raises. A frame gives records or is counted in `dropped` by reason; nothing of a refused message is applied.
  `received` = messages in `delivered` + messages in `dropped` + messages `held` for a snapshot, at any moment.
- A trade is one TRADE (`ref` trade id, `side` the aggressor), a bookTicker one QUOTE (`ref` update id), a depth update one BOOK row per
  level, all with `ref` = its last id `u`; a snapshot is BOOK_CLEAR, then BOOK rows with SNAPSHOT. LAST is on the last row of each message.
- Each message is delivered once and in the order of its ids, also while two sockets deliver the same (make-before-break). Trade ids follow
  each other: a jump is a GAP row before the trade (`size` = trades missed). bookTicker ids only rise; a loss there cannot be seen.
- A GAP row says that something of its instrument is missing: `ref` is the last id before it or -1, `size` the count missing or NaN.
- A book that is `valid` is the venue's at its `last_id`, as far as it is `certain`. When it cannot be, GAP and BOOK_CLEAR are delivered,
  updates are held (at most `HELD_MESSAGES_MAX` and `HELD_LEVELS_MAX`; at the bound all are dropped), and the symbol is in
  `wanted_snapshots` until a snapshot that joins them is handed in: from the first held update on, since one taken before may not join.
- A book that grows `thin` stays valid and is wanted too: a snapshot then replaces it without a gap, the updates it lacks put on top, and
  is delivered as one snapshot at the book's id. The BOOK_CLEAR before a snapshot tells its horizons (`Book.apply`).
- `ts_recv` is the time handed in. `ts_event` is the venue's (milli- or microseconds, told by magnitude); where it sends none (bookTicker
  and snapshots of spot) it is the time handed in. A time more than `AWAY_NS_MAX` from the arrival is refused.

An update carries the sizes at its last id of every level that changed after the id `before` it (`U` - 1; futures name it: `pu`). So it may
be applied to a book at any id from `before` to `u` - 1 and gives the book at `u`: one rule for the first update after a snapshot, for
those that follow, and for two sockets that cut the stream differently. `before` above the book's id is a gap, `u` not above it a repeat.
This is the venue's own rule of 2025 for spot, and for futures the same as theirs, because between `pu` and `U` nothing of a book changes.

Trade and quote ids are remembered over disconnects, so what a new socket repeats is dropped and what it missed is counted. Should the
venue ever number anew from below, a stream that gave nothing new during a whole connection starts afresh with the next.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct as Layout
from typing import Any, Final, NamedTuple

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.records import BOOK, BOOK_CLEAR, GAP, LAST, QUOTE, RECORD_BYTES, SNAPSHOT, TICK, TRADE, Records
from tercel.market.book import LEVELS_MAX, NAN, NO_ID, ROWS_CUT, Book
from tercel.market.feeds.binance import wire
from tercel.market.feeds.binance.scanner import (
    K_FIRST,
    K_RECV,
    K_STEP,
    L_QUOTE_ID,
    L_QUOTE_NEW,
    L_TRADE_ID,
    L_TRADE_NEW,
    ROWS_MAX,
    S_DEPTHS,
    S_QUOTES,
    S_RECEIVED,
    S_TRADES,
    Line,
    Scanner,
)
from tercel.market.feeds.binance.wire import AWAY_NS_MAX, ID_STEP_MAX, PERPETUAL
from tercel.market.instruments import Instrument

VENUE: Final = "binance"
FRAME_BYTES_MAX: Final = 1 << 20  # a depth update of 1,000 levels has some 30,000
SNAPSHOT_BYTES_MAX: Final = 4 << 20
STREAMS_MAX: Final = 1_024  # of a connection, the venue's bound
HELD_MESSAGES_MAX: Final = 2_000  # 200 s of updates at one per 100 ms
HELD_LEVELS_MAX: Final = 200_000  # of an instrument

_TRADE, _TICKER, _DEPTH = "trade", "bookTicker", "depth"
_SPEEDS: Final = ("", "@100ms", "@250ms", "@500ms", "@0ms")
_PREFIX: Final = b'{"stream":"'
_BOOK_STREAM: Final = "@depth@100ms"
_ROW: Final = Layout("<qqIBbHddddq").pack  # TICK
assert Layout("<qqIBbHddddq").size == TICK.itemsize

Decode = Callable[[bytes], Any]


class _Line:
    """What is known of one instrument's streams."""

    __slots__ = ("at", "book", "futures", "held", "held_levels", "id", "symbol", "wire_symbol")

    def __init__(self, instrument: Instrument, number: int) -> None:
        self.id, self.symbol = instrument.id, instrument.symbol
        self.futures = instrument.symbol.endswith(PERPETUAL)
        self.wire_symbol = instrument.symbol.removesuffix(PERPETUAL)
        self.at = Scanner.line_at(number)  # where its ids are in the state
        self.book = Book()
        self.held: deque[wire.Depth] = deque()  # updates that join up: those that wait for a snapshot, or the newest in a valid book
        self.held_levels = 0

    def keep(self, update: wire.Depth) -> None:
        """One more held update."""
        self.held.append(update)
        self.held_levels += len(update.b) + len(update.a)

    def full(self, update: wire.Depth) -> bool:
        """Whether the bounds leave no room for an update."""
        levels = self.held_levels + len(update.b) + len(update.a)
        return len(self.held) >= HELD_MESSAGES_MAX or levels > HELD_LEVELS_MAX

    def forget(self) -> int:
        """Let go of what is held; how many updates that were."""
        count = len(self.held)
        self.held.clear()
        self.held_levels = 0
        return count


class _Route(NamedTuple):
    """What a frame of one stream is decoded by, and who takes the message."""

    decode: Decode
    take: Callable[[_Line, Any, int, bytearray], str]
    line: _Line


class Binance:
    """Decoder of one logical session; see above for what it promises. All symbols are the instruments' own ("BTCUSDT", "BTCUSDT-PERP")."""

    def __init__(self, instruments: Sequence[Instrument], *, depth: bool = True) -> None:
        """Instruments of venue "binance", registered or not, either all spot or all perpetuals. Raises `ConfigError` for others."""
        _check(instruments, 3 if depth else 2)
        self._lines = {instrument.symbol: _Line(instrument, number) for number, instrument in enumerate(instruments)}
        self._depth = depth
        self._futures = instruments[0].symbol.endswith(PERPETUAL)
        kinds = ("@trade", "@bookTicker", _BOOK_STREAM) if depth else ("@trade", "@bookTicker")
        self.streams: tuple[str, ...] = tuple(
            line.wire_symbol.lower() + kind for line in self._lines.values() for kind in kinds
        )  # fmt: skip
        self._routes = dict(self._all_routes())
        self._dropped: Counter[str] = Counter()
        self._gaps: Counter[str] = Counter()
        scanner = Scanner([Line(line.id, line.wire_symbol) for line in self._lines.values()], self._futures)
        self._state, self._block, self._scan = scanner.state, scanner.block, scanner.rows
        self.closing = False  # the server said that it will close: make a new connection, then break this one; whoever does sets it back

    @property
    def received(self) -> int:
        """Frames handed in."""
        return self._state[S_RECEIVED]

    @property
    def dropped(self) -> Mapping[str, int]:
        """Messages that gave no record, by reason, since the beginning; refused snapshots too, under "snapshot_…"."""
        return self._dropped

    @property
    def gaps(self) -> Mapping[str, int]:
        """Losses seen, by kind of stream: "trade", "depth" (an update missing, or a crossed book), "connection"."""
        return self._gaps

    @property
    def delivered(self) -> Mapping[str, int]:
        """Messages turned into records, by kind of stream; a depth update counts when it is in the book, even if it has no level."""
        counts = {_TRADE: self._state[S_TRADES], _TICKER: self._state[S_QUOTES], _DEPTH: self._state[S_DEPTHS]}
        return Counter({kind: count for kind, count in counts.items() if count})

    @property
    def held(self) -> int:
        """Depth updates that wait for a snapshot, over all instruments."""
        return sum(len(line.held) for line in self._lines.values() if not line.book.valid)

    def path(self) -> str:
        """Path and query of the combined stream; times in microseconds, where the venue offers that (spot).

        Since April 2026 each path of futures carries a part of the streams; all of ours are `public` ones ("Important WebSocket Change
        Notice").
        """
        place, unit = ("/public/stream", "") if self._futures else ("/stream", "&timeUnit=MICROSECOND")
        return f"{place}?streams={'/'.join(self.streams)}{unit}"

    def frame(self, payload: bytes | memoryview, recv_ns: int) -> Records:
        """The records of one frame (dtype TICK, `ts_recv` = `recv_ns`), possibly none; the array is the caller's."""
        self._block[K_RECV] = recv_ns
        payload = bytes(payload)
        out = self._scan(payload)
        if not out:
            self._frame(payload, recv_ns, out)
        return np.frombuffer(out, TICK)

    def frames(self, payloads: Iterable[bytes], recv_ns: int, step_ns: int = 0) -> Records:
        """The records of frames that came together, exactly as of one after the other, each stamped `step_ns` later than the one before."""
        frames = payloads if type(payloads) is list else list(payloads)
        self._block[K_RECV], self._block[K_STEP] = recv_ns, step_ns
        out = bytearray()
        done, count = 0, len(frames)
        while done < count:
            self._block[K_FIRST] = done
            rows = self._scan(frames)
            out += rows
            taken = len(rows) // RECORD_BYTES
            done += taken
            if taken < ROWS_MAX and done < count:
                self._frame(frames[done], recv_ns + done * step_ns, out)
                done += 1
        return np.frombuffer(out, TICK)

    def wanted_snapshots(self) -> tuple[str, ...]:
        """Symbols whose book waits for a snapshot now; empty without `depth`."""
        return tuple(line.symbol for line in self._lines.values() if (line.book.thin if line.book.valid else line.held))

    def snapshot_path(self, symbol: str) -> str:
        """Path and query of the REST call that answers with the book of a symbol. Raises KeyError for a symbol of no instrument."""
        place = "/fapi/v1/depth" if self._futures else "/api/v3/depth"
        return f"{place}?symbol={self._lines[symbol].wire_symbol}&limit={ROWS_CUT}"

    def snapshot(self, symbol: str, body: bytes, recv_ns: int) -> Records:
        """Start a book from the answer to that call: BOOK_CLEAR, the snapshot, the held updates that follow it.

        Gives no records and leaves the book as it was when the answer is refused (counted as "snapshot_" + reason), in particular
        "snapshot_old": updates between it and the first held one are missing; ask again, not at once.
        """
        out = bytearray()
        line = self._lines.get(symbol)
        if line is None or (line.book.valid and not line.book.thin):
            self._dropped["snapshot_unwanted"] += 1
        elif len(body) > SNAPSHOT_BYTES_MAX:
            self._dropped["snapshot_oversize"] += 1
        else:
            try:
                found = wire.snapshot_body(body)
            except wire.BAD as error:
                self._dropped[f"snapshot_{wire.reason_of(error)}"] += 1
            else:
                reason = self._start(line, found, recv_ns, out)
                if reason:
                    self._dropped[reason] += 1
        return np.frombuffer(out, TICK)

    def disconnected(self, recv_ns: int) -> Records:
        """No socket is left: a GAP for every instrument; a BOOK_CLEAR where the book was valid. Books wait for updates, then snapshots."""
        out = bytearray()
        self.closing = False
        self._gaps["connection"] += 1
        for line in self._lines.values():
            if not line.book.valid:
                self._release(line, "disconnected")
            self._lose(line, recv_ns, recv_ns, NO_ID, NAN, out)
            state, at = self._state, line.at
            if not state[at + L_TRADE_NEW]:
                state[at + L_TRADE_ID] = NO_ID
            if not state[at + L_QUOTE_NEW]:
                state[at + L_QUOTE_ID] = NO_ID
            state[at + L_TRADE_NEW] = state[at + L_QUOTE_NEW] = 0
        return np.frombuffer(out, TICK)

    def book(self, symbol: str) -> Book:
        """The book of a symbol, kept up to date in place; read it, never change it. Raises KeyError for a symbol of no instrument."""
        return self._lines[symbol].book

    def _all_routes(self) -> Iterable[tuple[bytes, _Route]]:
        """By the beginning of a frame, up to the end of the stream's name."""
        for line in self._lines.values():
            name = line.wire_symbol.lower()
            yield _PREFIX + f"{name}@trade".encode(), _Route(wire.trade_frame, self._trade, line)
            yield _PREFIX + f"{name}@bookTicker".encode(), _Route(wire.ticker_frame, self._ticker, line)
            for speed in _SPEEDS if self._depth else ():
                yield _PREFIX + f"{name}@depth{speed}".encode(), _Route(wire.depth_frame, self._update, line)

    def _frame(self, payload: bytes, recv_ns: int, out: bytearray) -> None:
        """The slow way, for what the scanner leaves."""
        self._state[S_RECEIVED] += 1
        if len(payload) > FRAME_BYTES_MAX:
            self._dropped["oversize"] += 1
            return
        route = self._routes.get(payload[: payload.find(b'"', len(_PREFIX))])
        if route is None:
            self._dropped[self._other(payload)] += 1
            return
        decode, take, line = route
        try:
            message = decode(payload).data
        except wire.BAD as error:
            self._dropped[wire.reason_of(error)] += 1
            return
        reason = take(line, message, recv_ns, out) if message.s == line.wire_symbol else "unknown_symbol"
        if reason:
            self._dropped[reason] += 1

    def _other(self, payload: bytes) -> str:
        """Why a frame that is of no stream of ours gives nothing."""
        try:
            found = wire.envelope(payload)
        except wire.BAD as error:
            return wire.reason_of(error)
        event = found.e or (found.data.e if found.data else "")
        if event == "serverShutdown":
            self.closing = True
            return "shutdown"
        if not found.stream:
            return "not_a_stream"
        symbol, _, kind = found.stream.partition("@")
        ours = any(line.wire_symbol.lower() == symbol for line in self._lines.values())
        return "unknown_stream" if ours or kind.partition("@")[0] not in (_TRADE, _TICKER, _DEPTH) else "unknown_symbol"

    def _trade(self, line: _Line, trade: wire.Trade, recv_ns: int, out: bytearray) -> str:
        number, last = trade.t, self._state[line.at + L_TRADE_ID]
        if number <= last:
            return "duplicate"
        ts_event = _ns(trade.T, recv_ns)
        if not ts_event:
            return "bad_time"
        if number != last + 1 and last != NO_ID:
            if number > last + ID_STEP_MAX:
                return "bad_id"
            self._gaps[_TRADE] += 1
            out += _ROW(ts_event, recv_ns, line.id, GAP, 0, 0, NAN, number - last - 1, NAN, NAN, last)
        self._new(S_TRADES, line.at + L_TRADE_ID, line.at + L_TRADE_NEW, number)
        out += _ROW(ts_event, recv_ns, line.id, TRADE, -1 if trade.m else 1, LAST, trade.p, trade.q, NAN, NAN, number)
        return ""

    def _ticker(self, line: _Line, ticker: wire.Ticker, recv_ns: int, out: bytearray) -> str:
        number, last = ticker.u, self._state[line.at + L_QUOTE_ID]
        if number <= last:
            return "duplicate" if number == last else "stale"
        if ticker.b > ticker.a:
            return "crossed"
        if last != NO_ID and number > last + ID_STEP_MAX:
            return "bad_id"
        ts_event = recv_ns if ticker.T is None else _ns(ticker.T, recv_ns)
        if not ts_event:
            return "bad_time"
        self._new(S_QUOTES, line.at + L_QUOTE_ID, line.at + L_QUOTE_NEW, number)
        out += _ROW(ts_event, recv_ns, line.id, QUOTE, 0, LAST, ticker.b, ticker.B, ticker.a, ticker.A, number)
        return ""

    def _new(self, count: int, at: int, new: int, number: int) -> None:
        """Note in the state that a message is delivered."""
        self._state[count] += 1
        self._state[at] = number
        self._state[new] = 1

    def _update(self, line: _Line, update: wire.Depth, recv_ns: int, out: bytearray) -> str:
        """Apply an update to a valid book, else hold it."""
        if update.u < update.U or (line.futures and update.pu is None) or not _before(line, update) < update.u:
            return "bad_id"
        ts_event = _ns(update.E, recv_ns)
        if not ts_event:
            return "bad_time"
        book = line.book
        if not book.valid:
            return self._hold(line, update)
        if update.u <= book.last_id:
            return "duplicate"
        if update.u > book.last_id + ID_STEP_MAX:
            return "bad_id"
        if _before(line, update) > book.last_id:
            self._gaps[_DEPTH] += 1
            self._lose(line, ts_event, recv_ns, book.last_id, NAN, out)
            return self._hold(line, update)
        while line.held and line.full(update):
            old = line.held.popleft()
            line.held_levels -= len(old.b) + len(old.a)
        return self._apply(line, update, ts_event, recv_ns, out)

    def _apply(self, line: _Line, update: wire.Depth, ts_event: int, recv_ns: int, out: bytearray) -> str:
        """Put an update that joins into the book and its rows out; a book that is crossed after it is given up."""
        book, before = line.book, line.book.last_id
        book.update(update.b, update.a, update.u)
        if book.crossed:
            self._gaps[_DEPTH] += 1
            self._lose(line, ts_event, recv_ns, before, NAN, out)
            return "crossed"
        line.keep(update)
        self._state[S_DEPTHS] += 1
        _levels(line, update.b, update.a, update.u, ts_event, recv_ns, 0, out)
        return ""

    def _hold(self, line: _Line, update: wire.Depth) -> str:
        """Keep an update until a snapshot comes. What is held joins up: a gap drops what came before it."""
        held = line.held
        if held:
            last = held[-1].u
            if update.u <= last:
                return "duplicate"
            if update.u > last + ID_STEP_MAX:
                return "bad_id"
            if _before(line, update) > last:
                self._gaps[_DEPTH] += 1
                self._release(line, "unjoined")
        if line.full(update):
            self._release(line, "overflow")
        line.keep(update)
        return ""

    def _start(self, line: _Line, found: wire.Snapshot, recv_ns: int, out: bytearray) -> str:
        """Start a book from a snapshot that joins the held updates, or replace a thin one; why not, when it cannot be."""
        last, held, thin = found.lastUpdateId, tuple(line.held), line.book.valid
        ts_event = recv_ns if found.E is None else _ns(found.E, recv_ns)
        if not ts_event:
            return "snapshot_bad_time"
        if held and last > held[-1].u + ID_STEP_MAX:
            return "snapshot_bad_id"
        if last < (_before(line, held[0]) if held else line.book.last_id if thin else NO_ID):
            return "snapshot_old"
        fresh = Book()
        fresh.replace(found.bids, found.asks, last)
        if thin:
            for update in held:
                if update.u > last:
                    fresh.update(update.b, update.a, update.u)
        if fresh.crossed:
            return "snapshot_crossed"
        line.book.take(fresh)
        rows = fresh.levels(LEVELS_MAX)
        _clear(line, ts_event, recv_ns, out, 0 if len(fresh) else LAST, fresh.horizons)
        _levels(line, *rows, fresh.last_id, ts_event, recv_ns, SNAPSHOT, out)
        if thin:
            return ""
        line.forget()
        for update in held:
            reason = self._update(line, update, recv_ns, out) if update.u > last else "in_snapshot"
            if reason:
                self._dropped[reason] += 1
        return ""

    def _lose(self, line: _Line, ts_event: int, recv_ns: int, last: int, missed: float, out: bytearray) -> None:
        """Say that something is missing, and give up the book."""
        valid = line.book.valid
        out += _ROW(ts_event, recv_ns, line.id, GAP, 0, 0 if valid else LAST, NAN, missed, NAN, NAN, last)
        if valid:
            line.book.clear()
            line.forget()  # they were delivered
            _clear(line, ts_event, recv_ns, out, LAST)

    def _release(self, line: _Line, reason: str) -> None:
        """Drop what waits."""
        if line.held:
            self._dropped[reason] += line.forget()


def _check(instruments: Sequence[Instrument], streams_each: int) -> None:
    """Refuse what one session cannot be."""
    if not instruments:
        raise ConfigError("feed binance: expected at least one instrument, found none")
    foreign = [instrument.name for instrument in instruments if instrument.venue != VENUE]
    if foreign:
        raise ConfigError(f"feed binance: expected instruments of the venue 'binance', found {', '.join(foreign)}")
    names = [instrument.symbol for instrument in instruments]
    if len(set(names)) < len(names):
        raise ConfigError(f"feed binance: expected each instrument once, found {', '.join(names)}")
    if len({name.endswith(PERPETUAL) for name in names}) > 1:
        raise ConfigError(f"feed binance: spot and perpetuals have servers of their own: give each a feed, found {', '.join(names)}")
    if len(names) * streams_each > STREAMS_MAX:
        most = STREAMS_MAX // streams_each
        raise ConfigError(
            f"feed binance: a connection carries {STREAMS_MAX} streams: expected at most {most} instruments, found {len(names)}"
        )


def _ns(stamp: int, recv_ns: int) -> int:
    """Nanoseconds of a time of the venue, in whichever unit brings it within `AWAY_NS_MAX` of its arrival; 0 when none does."""
    for scale in (1_000_000, 1_000):
        ns = stamp * scale
        if -AWAY_NS_MAX <= ns - recv_ns <= AWAY_NS_MAX:
            return ns
    return 0


def _before(line: _Line, update: wire.Depth) -> int:
    """The id that the book may have reached for the update to join; checked to be there for futures when the update came."""
    return update.pu if line.futures and update.pu is not None else update.U - 1


def _clear(line: _Line, ts_event: int, recv_ns: int, out: bytearray, flags: int, horizons: tuple[float, float] = (NAN, NAN)) -> None:
    out += _ROW(ts_event, recv_ns, line.id, BOOK_CLEAR, 0, flags, horizons[0], NAN, horizons[1], NAN, line.book.last_id)


def _levels(
    line: _Line, bids: wire.Levels, asks: wire.Levels, number: int, ts_event: int, recv_ns: int, flags: int, out: bytearray
) -> None:  # fmt: skip
    """A row per level, LAST on the last of them."""
    rest = len(bids) + len(asks)
    for side, levels in ((1, bids), (-1, asks)):
        for price, size in levels:
            rest -= 1
            out += _ROW(ts_event, recv_ns, line.id, BOOK, side, flags if rest else flags | LAST, price, size, NAN, NAN, number)
