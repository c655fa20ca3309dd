"""Durations and instants: what is read, what is written, and that nothing is lost between the two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_DAY, NS_PER_S, clock_ns, date_of, format_duration, format_instant, parse_duration, parse_instant

instants = st.integers(-(2**63) + 1, 2**63 - 1)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1ns", 1),
        ("250us", 250_000),
        ("250ms", 250_000_000),
        ("1.5s", 1_500_000_000),
        ("0.000000001s", 1),
        ("1m", 60 * NS_PER_S),
        ("4h", 4 * 3600 * NS_PER_S),
        ("1d", NS_PER_DAY),
        (" 30s ", 30 * NS_PER_S),
        ("0s", 0),
        ("9223372036854775807ns", 2**63 - 1),
    ],
)
def test_a_duration_is_read(text: str, ns: int) -> None:
    """A number and a unit, exact to the nanosecond."""
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-1s", "1 s", "1M", "1e3s", ".5s", "1.s", "nan", "1s1s", "9223372036854775808ns", "106752d", "٣s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Missing and unknown units, signs, exponents and more than 292 years are refused, with the text."""
    with pytest.raises(ConfigError, match=r"duration: expected .*, found '"):
        parse_duration(text)


@given(st.integers(0, 2**63 - 1) | st.integers(0, 10**6).map(lambda n: n * NS_PER_S))
def test_a_duration_survives_its_text(ns: int) -> None:
    """What is written reads back to the nanosecond."""
    assert parse_duration(format_duration(ns)) == ns


def test_a_duration_is_written_in_its_largest_whole_unit() -> None:
    """60 s is a minute, 90 s are seconds."""
    durations = {0: "0ns", 60 * NS_PER_S: "1m", 90 * NS_PER_S: "90s", 3 * NS_PER_DAY: "3d", 1_500_000: "1500us", 1_001: "1001ns"}
    assert {ns: format_duration(ns) for ns in durations} == durations


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2014-05-01", "2014-05-01T00:00:00"),
        ("20140501", "2014-05-01"),
        ("2014-W18-4", "2014-05-01"),
        ("2014-05-01 12:30", "2014-05-01T12:30:00"),
        ("2014-05-01T12:30:00Z", "2014-05-01T12:30:00"),
        ("2014-05-01T12:30:00+02:00", "2014-05-01T10:30:00"),
        ("2014-05-01T12:30:00.25", "2014-05-01T12:30:00.250000000"),
        ("2014-05-01T12:30:00,123456789", "2014-05-01T12:30:00.123456789"),
        ("2014-05-01T12:30:00.123456789-05:00", "2014-05-01T17:30:00.123456789"),
        ("2014-05-01T12:30:00.1234567", "2014-05-01T12:30:00.123456700"),
        ("1969-12-31T23:59:59.999999999", "1969-12-31T23:59:59.999999999"),
    ],
)
def test_an_instant_is_read(text: str, same: str) -> None:
    """Every ISO form means what it says, to the nanosecond, with or without a zone; NumPy is the judge of the plain form."""
    assert parse_instant(text) == int(np.datetime64(same, "ns").astype(np.int64))


@pytest.mark.parametrize("text", ["", "2014", "yesterday", "2014-13-01", "2014-05-01T25:00", "1e9", "1500-01-01", "9999-12-31"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    """Words, impossible dates and years that no 64 bits hold are refused, with the text."""
    with pytest.raises(ConfigError, match=r"time: expected .*, found '"):
        parse_instant(text)


@given(instants)
def test_an_instant_survives_its_text(ns: int) -> None:
    """Nine digits lose nothing, on either side of 1970."""
    assert parse_instant(format_instant(ns, 9)) == ns
    assert format_instant(ns, 9).startswith(date_of(ns))


@given(instants, st.integers(0, 9))
def test_fewer_digits_cut_and_do_not_round(ns: int, digits: int) -> None:
    """A shortened time is never later than the time."""
    text = format_instant(ns, digits)
    assert format_instant(ns, 9).startswith(text)
    assert len(text) == 19 + (1 + digits if digits else 0)


@given(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_a_zone_is_an_offset(moment: datetime, minutes: int) -> None:
    """The same moment written in any zone is the same instant."""
    utc = moment.replace(tzinfo=UTC)
    assert parse_instant(utc.astimezone(timezone(timedelta(minutes=minutes))).isoformat()) == parse_instant(moment.isoformat())


def test_the_clock_does_not_go_back() -> None:
    """Latencies are never negative."""
    stamps = [clock_ns() for _ in range(1_000)]
    assert stamps == sorted(stamps)
