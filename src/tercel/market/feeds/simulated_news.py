"""When the simulated market expects news: releases at minutes that everybody knows beforehand, in New York's time.

The days follow simple rules, not a calendar of the past: what is modelled is that the minute is known and the content is not. The
employment report comes on the first Friday at 08:30, as a rule (U.S. Bureau of Labor Statistics, schedule of the Employment Situation).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from tercel.base.time import NS_PER_DAY, NS_PER_S

ZONE: Final = ZoneInfo("America/New_York")
EPOCH: Final = date(1970, 1, 1)
WEDNESDAY, THURSDAY, FRIDAY = 2, 3, 4


class Release(NamedTuple):
    """A time (ns UTC) and how much it moves: 1 is the largest."""

    time_ns: int
    strength: float


class _Rule(NamedTuple):
    """A weekday, which one of the month (None: each), the time in New York and the strength."""

    weekday: int
    nth: int | None
    clock: tuple[int, int]
    strength: float


RULES: Final = (
    _Rule(FRIDAY, 1, (8, 30), 1.0),  # employment
    _Rule(WEDNESDAY, 2, (8, 30), 0.6),  # prices
    _Rule(WEDNESDAY, 3, (14, 0), 0.6),  # the central bank
    _Rule(THURSDAY, None, (8, 30), 0.15),  # claims of the unemployed
)


@lru_cache(maxsize=64)
def releases(day: int) -> tuple[Release, ...]:
    """The releases of a New York date, given as days since 1970, in order of time."""
    there = EPOCH + timedelta(days=day)
    nth = (there.day + 6) // 7
    found = [
        Release(int(datetime(there.year, there.month, there.day, *rule.clock, tzinfo=ZONE).timestamp()) * NS_PER_S, rule.strength)
        for rule in RULES
        if rule.weekday == there.weekday() and rule.nth in (None, nth)
    ]
    return tuple(sorted(found))


def releases_between(start_ns: int, end_ns: int) -> list[Release]:
    """The releases from one time to before another, ns UTC."""
    days = range(start_ns // NS_PER_DAY, (end_ns - 1) // NS_PER_DAY + 1)  # no release is so late that its UTC date is another
    return [release for day in days for release in releases(day) if start_ns <= release.time_ns < end_ns]
