"""A live venue as a feed: sockets are read in the turn of whoever polls, on the one thread there is.

How it works: the session lives on an asyncio loop that runs only inside `poll` and `wait`. `poll` lets it look once at what is ready,
without waiting; `wait` lets it sleep in the selector until a message has come or the time is over, so a tick wakes the trader by itself.
A thread for the sockets was tried on paper and lost: beside a busy Python thread a compiled call of 7 µs took 5 ms, because both want the
interpreter's lock. Why so, and what it costs: docs/decisions/0011-sockets-in-the-turn.md.

A venue has no past: after a restart the first records are gaps, so the core trusts no quote until a new one has come.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from picows import WSError

from tercel.base.errors import ConfigError
from tercel.base.records import Records
from tercel.base.time import NS_PER_S, steady_ns
from tercel.market.feeds.base import FeedState
from tercel.market.feeds.care import STREAMS_MAX, Care
from tercel.market.feeds.inbox import Inbox
from tercel.market.feeds.session import Decoder, Session, Tape

if TYPE_CHECKING:
    import ssl

    from tercel.market.feeds.https import Address
    from tercel.market.instruments import Instrument

IDLE_NS: Final = NS_PER_S
CLOSE_S_MAX: Final = 2.0
GOODBYE_TURNS: Final = 3  # transports say goodbye in turns of their own


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue is reached: its addresses, the trust, the patience."""

    stream: Address
    rest: Address
    context: ssl.SSLContext
    care: Care = Care()


class LiveFeed:
    """One venue's session as a `Feed`. `clock` is the wall clock in ns, `chance` spreads reconnects, `tape` writes down what came.
    `kinds`: deliver only these kinds of records (None: all).

    Stamps (`ts_recv`) are the clock's when the message was read, strictly increasing, so that a recording has one order: messages that one
    look at the sockets brings are 1 ns apart. At most `care.records_max` records wait for a poll; see `Inbox` for what happens then.
    """

    def __init__(
        self, name: str, instruments: tuple[Instrument, ...], decoder: Decoder, line: Line, *, clock: Callable[[], int],
        chance: random.Random, kinds: frozenset[int] | None = None, tape: Tape | None = None,
    ) -> None:  # fmt: skip
        if len(decoder.streams) > STREAMS_MAX:
            raise ConfigError(
                f"feed {name}: expected at most {STREAMS_MAX} streams on a connection, found {len(decoder.streams)}; name fewer symbols"
            )
        self._name, self._instruments, self._care, self._clock = name, instruments, line.care, clock
        self._wanted = np.full(256, kinds is None)
        self._wanted[list(kinds or ())] = True
        self._inbox = Inbox(line.care.records_max)
        self._position = self._floor_ns = 0
        self._woken = self._waiting = False
        symbols = {one.id: one.symbol for one in instruments}
        self.decoder = decoder
        self.session = Session(
            decoder, symbols, line.stream, line.rest, line.context, line.care, chance, self._stamp, self._deliver, self._wake, tape
        )
        self._loop: asyncio.AbstractEventLoop | None = None  # made on first use: a feed that is never polled leaves nothing behind
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """See `Feed`."""
        return self._name

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """See `Feed`."""
        return self._instruments

    @property
    def position(self) -> int:
        """See `Feed`."""
        return self._position

    @property
    def done(self) -> bool:
        """See `Feed`: a market never ends."""
        return False

    def poll(self, now_ns: int, limit: int) -> Records:
        """See `Feed`. Looks at the sockets first, unless `wait` has just done so. Raises what our own code raised in the session."""
        if not self._woken:
            self._run(0.0)
        self._woken = False
        records = self._inbox.take(limit)
        self._position += len(records)
        return records

    def seek(self, position: int) -> None:
        """See `Feed`; nothing can be given again, so what follows begins with a gap of every instrument, when anything came before."""
        if position < 0:
            raise ConfigError(f"feed {self._name}: position to continue from: expected 0 or more, found {position}")
        self._position = position
        if position:
            self._deliver(self.decoder.disconnected(self._stamp()))

    def next_due_ns(self, now_ns: int) -> int | None:
        """See `Feed`; when nothing is here nobody knows, so it is a second from now."""
        return now_ns if len(self._inbox) else now_ns + IDLE_NS

    def source_now_ns(self, now_ns: int) -> int:
        """See `Feed`: the wall clock itself, and nothing is stamped before it from here on."""
        self._floor_ns = max(self._floor_ns, now_ns)
        return self._floor_ns

    def wait(self, wait_ns: int) -> None:
        """Sleep for at most `wait_ns`, less when records come."""
        if not len(self._inbox):
            until_ns = steady_ns() + wait_ns
            self._run(wait_ns / NS_PER_S)
            while not len(self._inbox) and (left_ns := until_ns - steady_ns()) > 0:  # what woke it was of no kind wanted
                self._run(left_ns / NS_PER_S)
            self._woken = len(self._inbox) > 0

    def state(self, now_ns: int) -> FeedState:
        """What there is to say about it at wall time `now_ns`."""
        session = self.session
        age_ns = max(0, now_ns - session.newest_ns) if session.newest_ns else None
        if not session.connected:
            text = "reconnecting" if session.connects else "connecting"
        else:
            text = f"stale {age_ns // NS_PER_S} s" if age_ns is not None and age_ns > self._care.stale * NS_PER_S else "live"
        dropped = {**self.decoder.dropped, **session.odd, "overflow": self._inbox.lost}
        return FeedState(
            text=text, age_ns=age_ns, messages=session.messages, gaps=sum(self.decoder.gaps.values()),
            dropped={reason: count for reason, count in dropped.items() if count}, reconnects=max(0, session.connects - 1),
            failures=dict(session.failures), ended=dict(session.ended), problem=session.problem,
        )  # fmt: skip

    def close(self) -> None:
        """End the session and release the sockets, within seconds; an error of the session has been raised before."""
        loop, task = self._loop, self._task
        if loop is None or task is None or loop.is_closed():
            return
        task.cancel()
        loop.run_until_complete(asyncio.wait([task], timeout=CLOSE_S_MAX))
        self.session.end()
        for _ in range(GOODBYE_TURNS):
            loop.call_soon(loop.stop)
            loop.run_forever()
        loop.close()

    def _run(self, wait_s: float) -> None:
        """One look of the loop at its sockets and timers; with `wait_s` it sleeps until records come or the time is over."""
        if self._loop is None or self._task is None:
            self._loop = asyncio.new_event_loop()
            self._loop.set_exception_handler(_on_loop_error)
            self._task = self._loop.create_task(self.session.run())
        loop, task = self._loop, self._task
        if wait_s <= 0.0:
            loop.call_soon(loop.stop)
            loop.run_forever()
        else:
            alarm = loop.call_later(wait_s, loop.stop)
            self._waiting = True
            loop.run_forever()
            self._waiting = False
            alarm.cancel()
        self.session.flush()
        if task.done():
            task.result()

    def _stamp(self, count: int = 1) -> int:
        first_ns = max(self._clock(), self._floor_ns + 1)
        self._floor_ns = first_ns + count - 1
        return first_ns

    def _deliver(self, records: Records) -> None:
        wanted = self._wanted[records["kind"]]
        if not wanted.all():
            records = records[wanted]
            if not len(records):
                return
        self._inbox.put(records)
        self._wake()

    def _wake(self) -> None:
        if self._waiting and self._loop is not None:
            self._loop.stop()
            self._waiting = False


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody waited for: why a socket ended is counted by the session already, anything else is said."""
    if not isinstance(context.get("exception"), WSError | OSError):
        loop.default_exception_handler(context)
