"""Times in any usual form, decided by content: since 1970 in s, ms, µs or ns, or as a calendar date with a time of day and a zone.

The form is decided on the first value and then required of all. Day and month in the order of `02/03/2024` are refused unless the values
themselves tell (a 13th month) or the user says it: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_MIN, NS_PER_MS, NS_PER_S, NS_PER_US
from tercel.market.importers.batch import Times
from tercel.market.importers.clock import Clock, parse_zone

if TYPE_CHECKING:
    import pyarrow as pa

Refuse = Callable[[int, str, object], None]  # (row of the block from 0, what was expected, what was found); it raises


class Unit(NamedTuple):
    """A unit of time since 1970: its ns, its name, and the numbers that are 1973 to 2100 in it. No number is so in two of them."""

    ns: int
    name: str
    low: int
    high: int


UNITS: Final = tuple(
    Unit(ns, name, 10**8 * NS_PER_S // ns, 4_102_444_800 * NS_PER_S // ns)
    for ns, name in ((NS_PER_S, "seconds"), (NS_PER_MS, "milliseconds"), (NS_PER_US, "microseconds"), (1, "nanoseconds"))
)
_EPOCH: Final = r"^(?P<whole>[0-9]{9,19})(?:\.(?P<rest>[0-9]{1,18}))?$"
_CLOCK: Final = (
    r"(?:[T ]+(?P<h>[0-9]{2}):?(?P<m>[0-9]{2})(?::?(?P<s>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?)?"
    r" ?(?P<zone>Z|z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?$"
)
_YEAR_FIRST: Final = r"^(?P<y>[0-9]{4})(?P<p>[-/.]?)(?P<a>[0-9]{2})[-/.]?(?P<b>[0-9]{2})" + _CLOCK
_YEAR_LAST: Final = r"^(?P<a>[0-9]{2})(?P<p>[-/.])(?P<b>[0-9]{2})[-/.](?P<y>[0-9]{4})" + _CLOCK
_COMPACT: Final = (
    r"^(?P<y>[0-9]{4})(?P<p>)(?P<a>[0-9]{2})(?P<b>[0-9]{2})(?P<h>[0-9]{2})(?P<m>[0-9]{2})(?P<s>[0-9]{2})(?P<f>[0-9]{3})?(?P<zone>)$"
)
ORDERS: Final = ("dmy", "mdy")


def is_time(text: str) -> bool:
    """Whether a cell could be a whole time: since 1970 in any unit, or a calendar date with or without a time of day."""
    return any(re.match(pattern, text) for pattern in (_EPOCH, _COMPACT, _YEAR_FIRST, _YEAR_LAST))


class TimeForm(NamedTuple):
    """How a table writes its times: the unit since 1970, or the pattern of its dates and the order of day and month."""

    unit: Unit | None
    pattern: str
    day_first: bool
    zoned: bool

    @property
    def text(self) -> str:
        """For the report."""
        if self.unit is not None:
            return f"times in {self.unit.name} since 1970, UTC"
        order = "" if self.pattern != _YEAR_LAST else ", the day first" if self.day_first else ", the month first"
        return f"times as calendar dates{order}, with their own offset" if self.zoned else f"times as calendar dates{order}"


def form_of(values: pa.Array, order: str | None, refuse: Refuse) -> TimeForm:
    """The form of the times in the first values of a table (text). `order` is "dmy" or "mdy" where the user says it."""
    first = values[0].as_py() or ""
    if re.match(_EPOCH, first) and not re.match(_COMPACT, first):
        number = int(first.partition(".")[0])
        unit = next((one for one in UNITS if one.low <= number < one.high), None)
        if unit is not None:
            return TimeForm(unit, _EPOCH, False, False)
    for pattern in (_COMPACT, _YEAR_FIRST, _YEAR_LAST):
        if found := re.match(pattern, first):
            day_first = pattern == _YEAR_LAST and _day_first(values, found["p"], order, refuse)
            return TimeForm(None, pattern, day_first, bool(found["zone"]))
    refuse(0, "a time such as 2024-03-01 09:30:00.250, or a number of s, ms, µs or ns since 1970", first)
    raise AssertionError("refuse has raised")


def _day_first(values: pa.Array, sign: str, order: str | None, refuse: Refuse) -> bool:
    """Whether 02/03/2024 is the second of March. With dots it always is."""
    import pyarrow.compute as pc

    if order is not None:
        return order == "dmy"
    if sign == ".":
        return True
    parts = pc.extract_regex(values, _YEAR_LAST)
    highest = [max((int(text) for text in pc.unique(pc.struct_field(parts, part)).to_pylist() if text), default=0) for part in ("a", "b")]
    if max(highest) <= 12 or min(highest) > 12:
        refuse(0, "a date whose order of day and month can be told (say it: --dates dmy, or --dates mdy)", values[0].as_py())
    return highest[0] > 12


def utc(values: pa.Array, form: TimeForm, clock: Clock, refuse: Refuse) -> tuple[Times, dict[str, int]]:
    """UTC ns of a column of text in one form, and counts for the report; `clock` reads those without a zone of their own."""
    if form.unit is not None:
        return _since_1970(values, form.unit, refuse), {}
    local, offsets = _calendar(values, form, refuse)
    if form.zoned:
        return local - offsets, {}
    return clock.utc(local)


def clock_for(form: TimeForm, timezone: str | None, where: str) -> Clock:
    """The clock of times without a zone. Raises `ConfigError` when one is named for times that say it themselves."""
    if timezone is not None and (form.unit is not None or form.zoned):
        raise ConfigError(f"{where}: --timezone {timezone}: the file has {form.text}; leave the option out")
    return Clock(parse_zone(timezone or "UTC"))


def _parts(values: pa.Array, pattern: str, expected: str, refuse: Refuse) -> pa.Array:
    import pyarrow.compute as pc

    parts = pc.extract_regex(values, pattern)
    if parts.null_count:
        row = int(np.argmax(parts.is_null().to_numpy(zero_copy_only=False)))
        refuse(row, expected, values[row].as_py())
    return parts


def _since_1970(values: pa.Array, unit: Unit, refuse: Refuse) -> Times:
    import pyarrow as pa
    import pyarrow.compute as pc

    expected = f"a time in {unit.name} since 1970, as in the first row"
    parts = _parts(values, _EPOCH, expected, refuse)
    whole = pc.struct_field(parts, "whole").cast(pa.uint64()).to_numpy(zero_copy_only=False)
    good = (whole >= unit.low) & (whole < unit.high)
    if not good.all():
        row = int(np.argmin(good))
        refuse(row, expected, values[row].as_py())
    times: Times = whole.astype(np.int64) * unit.ns
    rest = pc.struct_field(parts, "rest")
    if pc.any(pc.not_equal(rest, "")).as_py():
        digits = pc.utf8_slice_codeunits(pc.utf8_rpad(rest, 9, "0"), 0, 9).cast(pa.int64()).to_numpy(zero_copy_only=False)
        times = times + digits * unit.ns // NS_PER_S
    return times


def _calendar(values: pa.Array, form: TimeForm, refuse: Refuse) -> tuple[Times, Times]:
    """Local ns and the offset of each, ns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    expected = "a time as in the first row"
    parts = _parts(values, form.pattern, expected, refuse)

    def digits(name: str, default: str, width: int) -> Times:
        text = pc.struct_field(parts, name)
        padded = pc.utf8_rpad(text, width, "0") if name == "f" else text
        filled = pc.if_else(pc.equal(text, ""), pa.scalar(default), padded)
        number: Times = filled.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return number

    year, first, second = digits("y", "0", 4), digits("a", "0", 2), digits("b", "0", 2)
    month, day = (second, first) if form.day_first else (first, second)
    hour, minute, sec, rest = (digits(name, "0", width) for name, width in (("h", 2), ("m", 2), ("s", 2), ("f", 9)))
    good = (year >= 1970) & (year < 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (hour < 24) & (minute < 60) & (sec < 60)
    months = (np.where(good, year - 1970, 0) * 12 + np.where(good, month - 1, 0)).astype("M8[M]")
    length = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
    good &= day <= length
    if not good.all():
        row = int(np.argmin(good))
        refuse(row, "a time from 1970 to 2099 that exists", values[row].as_py())
    days = months.astype("M8[D]").astype(np.int64) + day - 1
    local: Times = (((days * 24 + hour) * 60 + minute) * 60 + sec) * NS_PER_S + rest
    return local, _offsets(pc.struct_field(parts, "zone"), form, values, refuse)


def _offsets(zones: pa.Array, form: TimeForm, values: pa.Array, refuse: Refuse) -> Times:
    found = zones.dictionary_encode()
    known = []
    for text in found.dictionary.to_pylist():
        match = re.fullmatch(r"([+-])(\d{2}):?(\d{2})", text)
        minutes = (int(match[2]) * 60 + int(match[3])) * (-1 if match[1] == "-" else 1) if match else 0
        known.append(minutes * NS_PER_MIN)
        if bool(text) != form.zoned or abs(minutes) > 14 * 60:
            row = int(np.argmax(np.asarray(zones.to_pylist(), object) == text))
            refuse(row, "a time with an offset, as in the first row" if form.zoned else "a time without an offset", values[row].as_py())
    offsets: Times = np.array(known, np.int64)[found.indices.to_numpy(zero_copy_only=False)]
    return offsets
