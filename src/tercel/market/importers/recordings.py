"""Recordings of `tercel feed record`, read by the decoder that reads the venue: what a back-test plays is what a live session was given.

Each file is read by itself, with its own definition of the instrument (`feeds/recording.py` says what its lines are). Messages that came
twice, in the wrong order or in the middle of nothing are left out and counted, as live. Where data was lost there is a GAP row: in quotes
and trades for a lost connection, a new start of the recorder and a jump in the numbers of trades, in the book for a lost connection, a
start and a jump in the numbers of updates. The catalog keeps rows in the order of `ts_event`, so a GAP is dated by the newest row before
it, the first one by the row behind it, and a row of the book never earlier than the one before: a snapshot, dated by its arrival, is newer
than the updates that follow it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from tercel.base.errors import DataError
from tercel.base.records import BOOK, BOOK_CLEAR, GAP, QUOTE, TICK, TRADE, Records
from tercel.market.feeds.binance.decoder import VENUE, Binance
from tercel.market.feeds.recording import CONTINUES, OURS, SNAPSHOT, START, VERSION, Ours
from tercel.market.importers.batch import Batch, Format, Head, Options, Times
from tercel.market.importers.coins import utc
from tercel.market.importers.jsontext import Lines, decode, json_lines
from tercel.market.manifest import Kind

BEGINNING: Final = re.compile(rb'\d{19} \{"tercel":"(start|continues)"')
CUT_OFF: Final = "files cut off in the middle, such as by a power failure: read up to the last whole line"
_STAMP: Final = re.compile(rb"[1-9]\d{18}")
_HEAD: Final = msgspec.json.Decoder(Ours)
_ROWS: Final[dict[Kind, tuple[int, ...]]] = {"quote": (QUOTE,), "trade": (TRADE,), "book": (BOOK, BOOK_CLEAR)}
_NOTHING: Final = np.zeros(0, TICK)
_UNSAID: Final = ("snapshot_unwanted",)  # the recorder has them fetched for each file


class Reader:
    """One file of a recording."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._head: Ours | None = None
        self._decoder: Binance | None = None
        self._newest = dict.fromkeys(_ROWS, 0)  # ts_event of the newest row of each series, 0 while there is none
        self._early: dict[Kind, list[tuple[Records, Times]]] = {kind: [] for kind in _ROWS}  # gaps before the first row
        self._told: dict[str, int] = {}  # notes that are in a batch already

    def batches(self) -> Iterator[Batch]:
        """The batches of the file."""
        for block in json_lines(self._path, cut_off=True):
            parts, rows = [_NOTHING], [np.zeros(0, np.int64)]
            for row, line in enumerate(block.texts, block.first_row):
                if len(found := self._line(row, line)):
                    parts.append(found)
                    rows.append(np.full(len(found), row))
            yield from self._split(np.concatenate(parts), np.concatenate(rows), block)

    def _line(self, row: int, line: bytes) -> Records:
        stamp, _, payload = line.partition(b" ")
        if _STAMP.fullmatch(stamp) is None or int(stamp) >= 1 << 63:
            found = stamp[:40].decode("utf-8", "backslashreplace")
            raise DataError(f"{self._path.name}: row {row:,}: expected a time of arrival in ns (19 digits), found {found!r}")
        if self._head is None:
            self._begin(row, payload)
        decoder, arrival = self._decoder, int(stamp)
        if decoder is None:  # messages of no symbol
            return _NOTHING
        if payload.startswith(SNAPSHOT):
            return decoder.snapshot(self._symbol, payload, arrival)
        if not payload.startswith(OURS):
            return decoder.frame(payload, arrival)
        said = decode(self._path, row, _HEAD, payload, "a line of the recorder").tercel
        return decoder.disconnected(arrival) if said != CONTINUES else _NOTHING

    def _begin(self, row: int, payload: bytes) -> None:
        """Take the first line."""
        head: Ours = decode(self._path, row, _HEAD, payload, "the beginning of a recording")
        if head.tercel not in (START, CONTINUES) or not 1 <= head.version <= VERSION:
            raise DataError(
                f"{self._path.name}: expected the beginning of a recording, version 1 to {VERSION}, found {head.tercel!r}, "
                f"version {head.version}; use the Tercel that recorded it"
            )
        if head.instrument is not None:
            if head.instrument.venue != VENUE:
                raise DataError(f"{self._path.name}: expected a recording of {VENUE}, found one of {head.instrument.venue}")
            self._decoder = Binance([msgspec.structs.replace(head.instrument, id=1)], depth=True)
        self._head = head

    @property
    def _symbol(self) -> str:
        assert self._head is not None
        assert self._head.instrument is not None
        return self._head.instrument.symbol

    def _split(self, records: Records, rows: Times, block: Lines) -> Iterator[Batch]:
        """A batch for each series, and one of the notes."""
        if self._decoder is None or self._head is None or self._head.instrument is None:
            return
        gap, of_book = records["kind"] == GAP, np.isnan(records["size"]) & (records["ref"] >= 0)
        of_all = gap & (records["ref"] < 0)
        for kind, codes in _ROWS.items():
            mine = np.isin(records["kind"], codes) | of_all | (gap & (of_book == (kind == "book")))
            self._early[kind].append((records[mine], rows[mine]))
            if not self._newest[kind] and (gap | (records["kind"] == BOOK_CLEAR))[mine].all():
                continue
            kept, places = (np.concatenate(columns) for columns in zip(*self._early[kind], strict=True))
            self._early[kind] = []
            if len(kept):
                kept["instrument"] = 0
                self._date(kind, kept)
                yield Batch(self._symbol, VENUE, kind, kept, places, block.fraction)
        notes = self._notes(self._decoder, block)
        yield Batch(self._symbol, VENUE, "quote", _NOTHING, rows[:0], 1.0, notes=notes, instruments=(self._head.instrument,))

    def _date(self, kind: Kind, rows: Records) -> None:
        """Give rows that would be sorted before what came before them the time of that."""
        times, gap = rows["ts_event"], rows["kind"] == GAP
        first = self._newest[kind] or int(times[~gap][0])
        newest = np.maximum.accumulate(np.append(first, np.where(gap, 0, times)))[1:]
        rows["ts_event"] = newest if kind == "book" else np.where(gap, newest, times)
        self._newest[kind] = int(newest[-1])

    def _notes(self, decoder: Binance, block: Lines) -> dict[str, int]:
        """What is new to say since the last time."""
        now = {f"messages left out by the decoder: {why}": count for why, count in decoder.dropped.items() if why not in _UNSAID}
        if block.cut_off:
            now[CUT_OFF] = 1
        fresh = {text: count - self._told.get(text, 0) for text, count in now.items()}
        self._told = now
        return {text: count for text, count in fresh.items() if count}


def recognises(head: Head) -> bool:
    """True when the file begins as the recorder begins one."""
    return BEGINNING.match(head.data) is not None


def read(path: Path, _options: Options) -> Iterator[Batch]:
    """Batches of quotes, trades and the book."""
    return Reader(path).batches()


FORMATS = (Format("recording", "recordings of `tercel feed record`", recognises, read, clock=utc),)
