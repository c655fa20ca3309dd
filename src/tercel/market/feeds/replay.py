"""Recorded history as a feed: the series of several instruments and kinds, merged into one order of arrival."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from tercel.base.errors import ConfigError
from tercel.base.records import KIND_NAMES, MARKET_KINDS_MAX, Records
from tercel.base.time import format_instant
from tercel.market.feeds.base import REAL_TIME, Pace, PacedFeed, skip_rows
from tercel.market.feeds.merge import CHUNK_ROWS, merge
from tercel.market.instruments import Instrument

WINDOW_ROWS_MIN: Final = 4_096
_CODES: Final = {name: code for code, name in KIND_NAMES.items() if code <= MARKET_KINDS_MAX}


class History(Protocol):
    """What a replay needs of the catalog."""

    def records(
        self, instrument: Instrument, kind: str, start_ns: int, end_ns: int, interval_ns: int | None = None, basis: str | None = None
    ) -> Iterator[Records]:
        """Rows of one series in stored order, `start_ns` <= `ts_event` < `end_ns`; `ConfigError` at once when there is no such series."""


class Replay(PacedFeed):
    """History from `start_ns` to before `end_ns` (by `ts_event`) in order of (arrival, instrument id, kind, row).

    `kinds` are names such as "quote", and every instrument must have each; `interval_ns` and `basis` say which bars.
    `latency_ns` is the modelled feed delay of rows recorded without a receive time, and of bars. `seek` reads through the rows it skips.
    Memory: all windows together hold about `CHUNK_ROWS` rows, but at least `WINDOW_ROWS_MIN` per series. Raises `ConfigError` for an empty
    period, a kind that is not market data, nothing to replay, or a series the history does not have.
    """

    def __init__(
        self, history: History, instruments: Sequence[Instrument], kinds: Sequence[str] = ("quote",), *, start_ns: int, end_ns: int,
        latency_ns: int, pace: Pace = REAL_TIME, interval_ns: int | None = None, basis: str | None = None, name: str = "replay",
    ) -> None:  # fmt: skip
        _check(instruments, kinds, start_ns, end_ns, latency_ns)
        super().__init__(name, tuple(sorted(instruments, key=lambda instrument: instrument.id)), pace)
        self._history, self._kinds = history, sorted(set(kinds), key=lambda kind: _CODES[kind])
        self._start_ns, self._end_ns, self._latency_ns = start_ns, end_ns, latency_ns
        self._interval_ns, self._basis = interval_ns, basis
        self.seek(0)  # names what the history does not have now, not at the first poll

    def _open(self, position: int) -> Iterator[Records]:
        streams = [self._series(instrument, kind) for instrument in self._instruments for kind in self._kinds]
        return skip_rows(merge(streams, self._latency_ns, max(WINDOW_ROWS_MIN, CHUNK_ROWS // len(streams))), position)

    def _series(self, instrument: Instrument, kind: str) -> Iterator[Records]:
        interval_ns, basis = (self._interval_ns, self._basis) if kind == "bar" else (None, None)
        return self._history.records(instrument, kind, self._start_ns, self._end_ns, interval_ns, basis)


def _check(instruments: Sequence[Instrument], kinds: Sequence[str], start_ns: int, end_ns: int, latency_ns: int) -> None:
    if not instruments or not kinds:
        raise ConfigError(f"replay: expected at least one instrument and one kind, found {len(instruments)} and {len(kinds)}")
    for kind in kinds:
        if kind not in _CODES:
            raise ConfigError(f"replay: kind: expected one of {', '.join(_CODES)}, found {kind!r}")
    if start_ns >= end_ns:
        raise ConfigError(f"replay: expected a start before the end, found {format_instant(start_ns)} to {format_instant(end_ns)}")
    if latency_ns < 0:
        raise ConfigError(f"replay: latency_ns: expected 0 or more, found {latency_ns}: a record cannot arrive before it happened")
