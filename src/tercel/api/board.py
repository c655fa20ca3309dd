"""What the desk knows now: one copy of the live view and the folded journal, cut into items that carry the version in which they changed.

`refresh` reads shared memory once, whoever asks; `delta(since)` is what changed after a version, encoded once for all who have seen the
same. A client that missed versions therefore gets one larger message, never a queue of old ones. After a restart of the trader everything
is new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tercel.api.blotter import Blotter, Traded, decider
from tercel.api.views import candle_rows, currency_views, instrument_view, reason_views, stage_views, status_view
from tercel.base.errors import DataError, JournalError, NotRunning
from tercel.base.time import NS_PER_S, clock_ns, wall_ns
from tercel.journal.by_hand import ByHand
from tercel.journal.entries import CONFIG, ORDER, OUTPUTS, Config, Order, Payload, decode, decode_outputs
from tercel.journal.reader import JournalReader
from tercel.observe.control import ControlClient
from tercel.observe.layout import Section
from tercel.observe.live import LiveFrame, LiveReader, TornFrame
from tercel.observe.locks import trader_alive

FRAME_NS: Final = NS_PER_S // 10  # how often it is read at most, but for who has just changed something
SLOW_NS: Final = NS_PER_S  # stages and reasons are made anew once a second
RECENT_SNAPSHOTS_MAX: Final = 60  # of the histograms, one a second: the last minute
JOURNAL_NS_MAX: Final = NS_PER_S // 20  # for the journal in one refresh; a long one is caught up over several
ENCODED_MAX: Final = 32  # different `since` of one version kept encoded

encode: Final = msgspec.json.Encoder().encode


class Board:
    """Reads the account whose run folder and journal folder are given. Not thread-safe: one event loop owns it."""

    def __init__(self, run_folder: Path, journal_folder: Path) -> None:
        self.run_folder, self.journal_folder = run_folder, journal_folder
        self.control = ControlClient(run_folder, "desk")
        self.frame: LiveFrame | None = None
        self.problem = "nothing read yet"
        self.journal_problem = ""
        self.alive = False
        self.behind = False  # there is more journal to read
        self.version = 0
        self.refreshed_ns = 0
        self._reader = LiveReader(run_folder / "live.map")
        self._items: dict[tuple[str, str], tuple[int, msgspec.Raw]] = {}
        self._encoded: dict[int, bytes] = {}
        self._snapshots: deque[Any] = deque(maxlen=RECENT_SNAPSHOTS_MAX)
        self._slow_ns = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.blotter = Blotter()
        self.by_hand = ByHand()
        self._journal = JournalReader(self.journal_folder)
        self._from_ring = 0
        self._started_ns = 0
        self._reset_at = self.version  # a client that saw an earlier one needs everything
        self._items.clear()
        self._snapshots.clear()
        self._events_sent = 0
        self._orders_sent: dict[str, object] = {}

    def newest(self) -> Board:
        """Itself, read again when that was more than a frame ago."""
        now = wall_ns()
        if now - self.refreshed_ns > FRAME_NS:
            self.refresh(now)
        return self

    def refresh(self, now_ns: int) -> None:
        """Look once. What cannot be read is named in `problem` or `journal_problem`; the last good frame stays."""
        self.refreshed_ns = now_ns
        before = self.frame
        try:
            frame: LiveFrame | None = self._reader.read()
            self.problem = ""
        except (NotRunning, TornFrame, DataError) as error:
            self.problem = str(error)
            frame = before
        self._encoded.clear()
        self.version += 1
        if frame is not None:
            if int(frame.status["started_ns"]) != self._started_ns:
                self._begin_anew()
                self._started_ns, before = int(frame.status["started_ns"]), None
            self.frame = frame
            self._trades(frame)
            self._market(frame, before)
            if now_ns - self._slow_ns >= SLOW_NS or before is None:
                self._slow_ns = now_ns
                self._slowly(frame)
        self.alive = trader_alive(self.run_folder)
        problems = {"problem": self.problem, "journal_problem": self.journal_problem, "behind": self.behind}
        self._put("desk", "", {"alive": self.alive, "killed": self.control.killed, **problems})

    def delta(self, since: int, now_ns: int) -> bytes:
        """JSON of what changed after version `since` (0: everything), b"" when nothing did.

        {"v": version, "full": whether it is everything, "now_ms": wall clock, section: value or {key: value}}.
        """
        if since < self._reset_at:
            since = 0
        found = self._encoded.get(since)
        if found is None:
            found = self._encode(since, now_ns)
            if len(self._encoded) < ENCODED_MAX:
                self._encoded[since] = found
        return found

    def _encode(self, since: int, now_ns: int) -> bytes:
        message: dict[str, Any] = {}
        for (section, key), (version, raw) in self._items.items():
            if version > since:
                if key:
                    message.setdefault(section, {})[key] = raw
                else:
                    message[section] = raw
        if not message and since:
            return b""
        return encode({"v": self.version, "full": since == 0, "now_ms": now_ns / 1e6, **message})

    def _put(self, section: str, key: str, value: object) -> None:
        raw = encode(value)
        held = self._items.get((section, key))
        if held is None or bytes(held[1]) != raw:
            self._items[section, key] = (self.version, msgspec.Raw(raw))

    def _market(self, frame: LiveFrame, before: LiveFrame | None) -> None:
        self._put("status", "", status_view(frame))
        if before is not None and len(before.instruments) == len(frame.instruments):
            slots = _changed(frame.instruments, before.instruments)
            candle_slots = _changed(frame.candles, before.candles)
        else:
            slots = candle_slots = list(range(len(frame.instruments)))
        for slot in slots:
            self._put("instruments", str(slot), instrument_view(frame, slot))
        for slot in candle_slots:
            self._put("candles", str(slot), {"count": int(frame.instruments["candles"][slot]), "rows": candle_rows(frame, slot, 2)})
        if slots:
            self._put("totals", "", currency_views(frame))

    def _slowly(self, frame: LiveFrame) -> None:
        earlier = self._snapshots[0] if self._snapshots else None
        self._snapshots.append(frame.histogram_counts)
        self._put("stages", "", stage_views(frame, earlier))
        self._put("reasons", "", reason_views(frame))

    def _trades(self, frame: LiveFrame) -> None:
        numbers = zip(*(frame.instruments[name].tolist() for name in ("id", "name", "price_decimals", "size_decimals")), strict=True)
        traded = {ident: Traded(name.decode(), price, size) for ident, name, price, size in numbers}
        if not self._follow_journal(lambda records: self.blotter.feed(records, traded)):
            fresh, _ = frame.outputs_since(self._from_ring)
            self.blotter.feed(fresh, traded)
        self._from_ring = int(frame.status["outputs"])
        self._put_trades()

    def _follow_journal(self, feed: Callable[[Any], None]) -> bool:
        """Feed what the journal has since the last look; whether there is a journal to follow."""
        if not any(self.journal_folder.glob("journal*.log")):
            return False
        give_up = clock_ns() + JOURNAL_NS_MAX
        self.behind = False
        try:
            while entries := self._journal.poll():
                self.behind = clock_ns() > give_up
                for entry in entries:
                    if entry.kind == OUTPUTS:
                        feed(decode_outputs(entry.payload))
                    elif entry.kind in (ORDER, CONFIG):
                        self._learn(decode(entry.kind, entry.payload))
                if self.behind:
                    break
            self.journal_problem = ""
        except JournalError as error:
            self.journal_problem = str(error)
        return True

    def _learn(self, payload: Payload) -> None:
        """Who decides in this session, and which orders a person gave."""
        if isinstance(payload, Order):
            self.by_hand.add(payload)
            self.blotter.by_hand(payload)
        elif isinstance(payload, Config):
            self.blotter.decider = decider(payload.text)

    def _put_trades(self) -> None:
        for key, order in self.blotter.orders.items():
            if self._orders_sent.get(key) is not order:
                self._orders_sent[key] = order
                self._put("orders", key, order)
        for key in [key for key in self._orders_sent if key not in self.blotter.orders]:
            del self._orders_sent[key], self._items["orders", key]
        fresh = [event for event in self.blotter.events if event.number > self._events_sent]
        for event in fresh:
            self._put("events", str(event.number), event)
        self._events_sent = self.blotter.events_seen
        if fresh:
            first = self.blotter.events[0].number
            for item in [item for item in self._items if item[0] == "events" and int(item[1]) < first]:
                del self._items[item]
        for name, signal in self.blotter.signals.items():
            self._put("signals", name, signal)


def _changed(now: Section, before: Section) -> list[int]:
    """Rows whose bytes differ: NaN equals itself here."""
    rows, earlier = (section.view(np.uint8).reshape(len(section), -1) for section in (now, before))
    slots: list[int] = np.flatnonzero((rows != earlier).any(axis=1)).tolist()
    return slots
