"""Gaps are silences inside the session; holidays and week-ends are not."""

from __future__ import annotations

import numpy as np
import pytest

from tercel.base.records import GAP, TICK
from tercel.base.time import NS_PER_H, NS_PER_MIN, NS_PER_S, parse_instant
from tercel.market.definitions import definition
from tercel.market.manifest import Key
from tercel.market.quality import Counts, Quality
from tercel.market.sessions import windows
from tests.market.history import quotes


def counts(symbol: str, times: list[str], interval_ns: int = 0, venue: str = "oanda") -> Counts:
    """Count rows of one symbol at the given times."""
    instrument = definition(symbol, venue)
    assert instrument is not None
    quality = Quality(Key(symbol, venue, "bar" if interval_ns else "quote", interval_ns, "bid" if interval_ns else ""), instrument)
    rows = quotes([parse_instant(time) for time in times], [1.0] * len(times))
    for part in np.array_split(rows, 3):
        quality.add(part)
    return quality.counts


def test_the_week_end_is_no_gap_and_a_silent_afternoon_is() -> None:
    """FX: Friday 17:00 to Sunday 17:00 New York is closed; three silent hours on Tuesday are one gap of three hours."""
    week_end = counts("EURUSD", ["2014-05-02T20:58", "2014-05-04T21:03"])
    assert (week_end.gaps, week_end.days_absent) == (0, 0)
    silent = counts("EURUSD", ["2014-05-06T12:00", "2014-05-06T15:00", "2014-05-06T15:04"])
    assert (silent.gaps, silent.gap_ns_max, silent.gap_at_ns) == (1, 3 * NS_PER_H, parse_instant("2014-05-06T12:00"))


def test_a_holiday_is_an_absent_session_not_a_gap() -> None:
    """US shares: Thanksgiving is a session without data; half a session without data is a gap."""
    holiday = counts("SPY", ["2013-11-27T20:59", "2013-11-29T14:31"], venue="us")
    assert (holiday.gaps, holiday.days_absent) == (0, 1)
    half = counts("SPY", ["2013-11-26T18:00", "2013-11-27T14:31"], venue="us")
    assert (half.gaps, half.gap_ns_max, half.days_absent) == (1, 3 * NS_PER_H + NS_PER_MIN, 0)


def test_absent_bars_are_counted_inside_the_session_only() -> None:
    """Minute bars of FX: two minutes absent on Monday, none over the week-end; crypto never closes."""
    times = ["2014-05-02T20:58", "2014-05-02T20:59", "2014-05-04T21:00", "2014-05-04T21:01", "2014-05-05T10:00", "2014-05-05T10:03"]
    found = counts("EURUSD", times[:4] + times[4:], NS_PER_MIN)
    assert found.bars_absent == 2 + 12 * 60 + 58
    assert counts("BTCUSD", ["2018-01-06T00:00", "2018-01-06T00:03"], NS_PER_MIN, "bitfinex").bars_absent == 2


@pytest.mark.parametrize("session", ["fx", "cme", "us_equity"])
def test_open_time_adds_up(session: str) -> None:
    """Open time between two moments is the sum over any cut of the stretch between them, and never more than the stretch."""
    start, end = parse_instant("2013-03-01"), parse_instant("2013-04-01")
    table = windows(session, start, end)
    assert table is not None
    cuts = np.sort(np.random.default_rng(3).integers(start, end, 200))
    open_ns = np.diff(table.open_ns_until(cuts))
    assert (open_ns >= 0).all()
    assert (open_ns <= np.diff(cuts)).all()
    assert open_ns.sum() == np.diff(table.open_ns_until(cuts[[0, -1]])).sum()
    assert windows("24x7", start, end) is None


def test_a_session_follows_daylight_saving() -> None:
    """FX opens at 22:00 UTC on Sunday in winter and 21:00 in summer."""
    table = windows("fx", parse_instant("2013-03-01"), parse_instant("2013-03-20"))
    assert table is not None
    assert parse_instant("2013-03-03T22:00") in table.opens
    assert parse_instant("2013-03-10T21:00") in table.opens


def test_an_empty_block_counts_nothing() -> None:
    """No rows, no counts."""
    instrument = definition("EURUSD", "oanda")
    assert instrument is not None
    quality = Quality(Key("EURUSD", "oanda", "quote"), instrument)
    quality.add(np.empty(0, TICK))
    assert quality.counts == Counts()


def test_a_hole_lasts_from_a_gap_to_the_next_row() -> None:
    """Gaps in a row are one hole; what is missing before the first row is none; blocks may be cut anywhere."""
    instrument = definition("BTCUSD", "bitfinex")
    assert instrument is not None
    start = parse_instant("2024-07-18T12:00")
    rows = quotes([start + second * NS_PER_S for second in (0, 1, 2, 2, 2, 9, 10, 10, 11)], [1.0] * 9)
    rows["kind"][[0, 3, 4, 7]] = GAP
    for cuts in range(1, 9):
        quality = Quality(Key("BTCUSD", "bitfinex", "quote"), instrument)
        for part in np.array_split(rows, cuts):
            quality.add(part)
        assert (quality.counts.holes, quality.counts.holes_ns, quality.counts.rows) == (2, 8 * NS_PER_S, 9)
