"""When an instrument is traded: the windows in which silence means that something is missing.

A session is a list of daily windows in local time. Holidays are not listed: a whole window without data is reported as an absent day, not
as a gap, so a holiday never looks like a lost recording and a lost recording never hides.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tercel.base.time import NS_PER_DAY, NS_PER_S

Times = npt.NDArray[np.int64]


class Hours(NamedTuple):
    """Daily hours in a zone. `opens_before` is 1 when the window of a day opens on the evening before; days count from Monday = 0."""

    zone: str
    opens: tuple[int, int]
    closes: tuple[int, int]
    opens_before: int
    days: tuple[int, ...]


WEEK: Final = (0, 1, 2, 3, 4)
HOURS: Final = {
    "fx": Hours("America/New_York", (17, 0), (17, 0), 1, WEEK),
    "cme": Hours("America/Chicago", (17, 0), (16, 0), 1, WEEK),
    "us_equity": Hours("America/New_York", (9, 30), (16, 0), 0, WEEK),
}


class Windows(NamedTuple):
    """Open and close of every window in order, ns UTC, and the open time before each window began, ns."""

    opens: Times
    closes: Times
    before: Times

    def open_ns_until(self, times: Times) -> Times:
        """Open nanoseconds from the first window's open to each time."""
        if not len(self.opens):
            return np.zeros(len(times), np.int64)
        place = np.maximum(np.searchsorted(self.opens, times, side="right") - 1, 0)
        inside = np.clip(times, self.opens[place], self.closes[place]) - self.opens[place]
        result: Times = self.before[place] + inside
        return result

    def whole_between(self, starts: Times, ends: Times) -> tuple[Times, Times]:
        """For each pair of times the number of windows that lie entirely between them, and their open nanoseconds together."""
        first = np.searchsorted(self.opens, starts, side="left")
        last = np.maximum(np.searchsorted(self.closes, ends, side="right"), first)
        edges = np.append(self.before, self.before[-1] + self.closes[-1] - self.opens[-1]) if len(self.opens) else np.zeros(1, np.int64)
        return last - first, edges[last] - edges[first]


def windows(session: str, first_ns: int, last_ns: int) -> Windows | None:
    """Every window of a session that touches the period, ns UTC; None for "24x7", which never closes."""
    if session == "24x7":
        return None
    first, last = (datetime.fromtimestamp(ns // NS_PER_S, UTC).year for ns in (first_ns - 2 * NS_PER_DAY, last_ns + 2 * NS_PER_DAY))
    opens, closes = (np.concatenate(part) for part in zip(*(_year(session, year) for year in range(first, last + 1)), strict=True))
    lengths = closes - opens
    return Windows(opens, closes, np.cumsum(lengths) - lengths)


@lru_cache(maxsize=512)
def _year(session: str, year: int) -> tuple[Times, Times]:
    hours = HOURS[session]
    zone = ZoneInfo(hours.zone)
    spans = []
    for offset in range((date(year + 1, 1, 1) - date(year, 1, 1)).days):
        day = date(year, 1, 1) + timedelta(days=offset)
        if day.weekday() in hours.days:
            opened = _ns(day - timedelta(days=hours.opens_before), hours.opens, zone)
            spans.append((opened, _ns(day, hours.closes, zone)))
    table = np.array(spans, np.int64)
    return table[:, 0], table[:, 1]


def _ns(day: date, clock: tuple[int, int], zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, *clock, tzinfo=zone).timestamp()) * NS_PER_S
