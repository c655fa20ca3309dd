"""Local time to UTC, with the hours that happen twice or never handled and counted.

A time in the hour that the clock repeats is taken as its first pass until the rows step back, from there on as the second. A time in the
hour that the clock skips is read with the offset before the change, which puts it an hour later on the wall.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_MIN, NS_PER_S
from tercel.market.importers.batch import Times

_QUARTER_NS: Final = 15 * NS_PER_MIN  # every change of a clock since 1970 happens on a quarter of an hour
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d{2}))?")
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 (a local time has no zone yet)
AMBIGUOUS: Final = "times in an hour that the clock repeats: kept, first pass until the rows step back"
NONEXISTENT: Final = "times in an hour that the clock skips: repaired, read with the offset before the change"


def parse_zone(text: str) -> tzinfo:
    """A zone from "America/New_York", "UTC", "UTC+3" or "-05:00". Raises `ConfigError` for anything else."""
    if match := _OFFSET.fullmatch(text.strip()):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0)) * (-1 if match[1] == "-" else 1)
        if abs(offset) <= timedelta(hours=14):
            return timezone(offset)
    if text.upper() in ("UTC", "GMT"):
        return UTC
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"--timezone: expected a zone such as America/New_York, UTC or UTC+3, found {text!r}") from None


class Clock:
    """Turns the local times of one file into UTC; remembers across calls where it is in a repeated hour."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone, self._cache = zone, dict[int, tuple[int, int]]()
        self._last, self._second = -1, False

    def utc(self, local: Times) -> tuple[Times, dict[str, int]]:
        """UTC ns of local ns in file order, and how many were ambiguous or nonexistent, under the text for the report."""
        quarters, place = np.unique(local // _QUARTER_NS, return_inverse=True)
        offsets = np.array([self._offsets(int(quarter)) for quarter in quarters], np.int64).reshape(-1, 2)
        first, second = offsets[place, 0], offsets[place, 1]
        ambiguous, skipped = first > second, first < second
        chosen = np.where(ambiguous & self._second_pass(local, ambiguous), second, first)
        notes = {AMBIGUOUS: int(ambiguous.sum()), NONEXISTENT: int(skipped.sum())}
        return local - chosen, {text: count for text, count in notes.items() if count}

    def _offsets(self, quarter: int) -> tuple[int, int]:
        """UTC offset in ns for the first and the second reading of a local quarter of an hour."""
        if quarter not in self._cache:
            try:
                wall = _EPOCH + timedelta(minutes=15 * quarter)
                both = [self._zone.utcoffset(wall.replace(fold=fold)) or timedelta() for fold in (0, 1)]
            except OverflowError:
                both = [timedelta(), timedelta()]  # far outside 1970 to 2100: refused when the rows are checked
            self._cache[quarter] = (round(both[0].total_seconds()) * NS_PER_S, round(both[1].total_seconds()) * NS_PER_S)
        return self._cache[quarter]

    def _second_pass(
        self, local: Times, ambiguous: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """For each row whether a repeated hour is in its second pass."""
        second = np.zeros(len(local), bool)
        where = np.flatnonzero(ambiguous)
        for day in np.unique(local[where] // (96 * _QUARTER_NS)):
            here = where[local[where] // (96 * _QUARTER_NS) == day]
            going_on = self._last // (96 * _QUARTER_NS) == day
            before = np.append(self._last if going_on else local[here[0]], local[here[:-1]])
            second[here] = np.logical_or.accumulate(local[here] < before) | (going_on and self._second)
            self._last, self._second = int(local[here[-1]]), bool(second[here[-1]])
        return second
