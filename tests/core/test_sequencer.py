"""The sequencer: one numbering, one time, timers and day rolls that depend on the stream alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.base.records import BODY, COMMAND, DAY_ROLL, QUOTE, REPORT, TIMER, TRADE, Records, empty
from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_S, parse_instant
from tercel.core.sequencer import SMALL, Sequencer, command, day_rolls
from tercel.features.spec import FeatureSet, bars
from tercel.market import kernels as k
from tests.market_runs import MarketRun, real_ticks, record, together
from tests.twins import twin

EVERY, GRACE = 60, 5
START = parse_instant("2014-05-01") + 7
GENERATED = (TIMER, DAY_ROLL)
Drawn = tuple[int, int]  # gap, kind


def sequencer(grace: int = GRACE, room: int = 1 << 10, every: int = EVERY, mode: str = "compiled") -> Sequencer:
    """A sequencer of bars of 60 ns."""
    return twin(mode).sequencer.Sequencer(interval_ns=every, grace_ns=grace, room=room)  # type: ignore[no-any-return]


def push(to: Sequencer, records: Records, now: int = 0) -> Records:
    """What comes out, in one array."""
    return together(*[part.copy() for part in to.push(records, now)])


def finish(to: Sequencer) -> Records:
    """What time still causes, in one array."""
    return together(*[part.copy() for part in to.finish()])


def at(*stamps: int, kind: int = QUOTE) -> Records:
    """Records that arrive at these times after the start."""
    return together(*[record(kind, START + stamp, START + stamp) for stamp in stamps])


def drawn(gaps: list[Drawn]) -> Records:
    """Records of drawn kinds after drawn gaps, which may be negative."""
    stamp, out = START, empty(len(gaps))
    for place, (gap, kind) in enumerate(gaps):
        stamp += gap
        out[place] = record(kind, stamp - 3, stamp, instrument=place)[0]
    return out


def stamps(records: Records, kind: int | None = None) -> list[int]:
    """Arrival stamps after the start, of one kind if named."""
    chosen = records if kind is None else records[records["kind"] == kind]
    return [int(stamp) - START for stamp in chosen["ts_recv"]]


gaps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 5, 30, 60, 61, 125, -20, 500, 100_000, NS_PER_DAY]),
        st.sampled_from([QUOTE, QUOTE, TRADE, COMMAND, REPORT]),
    ),
    max_size=50,
)  # fmt: skip


def test_every_input_gets_the_next_number() -> None:
    """Numbers count what comes out, generated inputs included, and market records are counted apart."""
    one = sequencer()
    out = push(one, together(at(0, 100, 200), command(1, START + 201)))
    assert one.number == len(out) == 4 + len(stamps(out, TIMER))
    assert one.market_inputs == 3
    assert one.stamp == START + 201


def test_time_never_goes_back() -> None:
    """An input that arrived before the last stamp gets the last stamp; its own time of the event stays as it was."""
    out = push(sequencer(), at(10, 40, 20, 30, 41))
    assert stamps(out) == [10, 40, 40, 40, 41]
    assert (out["ts_event"] - START).tolist() == [10, 40, 20, 30, 41]


def test_a_record_passes_unchanged_but_for_its_stamp() -> None:
    """All 64 bytes of an input come out as they went in, save an arrival that lay too early."""
    records = at(50, 20, 60)
    records["price"], records["ref"], records["flags"], records["side"] = 1.5, [7, 8, 9], 3, -1
    out = push(sequencer(every=0), records)
    out["ts_recv"] = records["ts_recv"]
    assert out.tobytes() == records.tobytes()


def test_a_timer_comes_at_its_boundary_and_grace_before_inputs_of_that_instant() -> None:
    """The boundary is the event, the arrival is boundary + grace, the interval is in the body; ties go to the timer."""
    first = START // EVERY * EVERY + EVERY - START
    out = push(sequencer(), at(0, first + GRACE, first + GRACE))
    assert out["kind"].tolist() == [QUOTE, TIMER, QUOTE, QUOTE]
    assert stamps(out) == [0, first + GRACE, first + GRACE, first + GRACE]
    assert int(out[1]["ts_event"]) - START == first
    assert int(out[1:2].view(np.int64)[BODY]) == EVERY
    assert out[1:2].view(np.int64)[BODY + 1 :].tolist() == [0] * 4


def test_a_bar_within_its_grace_has_its_timer_when_the_stream_wakes() -> None:
    """The first input comes a moment after a boundary: the timer of that boundary, not yet due, is not left out."""
    boundary = START // EVERY * EVERY + EVERY - START
    out = push(sequencer(), at(boundary + 2, boundary + 30))
    assert out["kind"].tolist() == [QUOTE, TIMER, QUOTE]
    assert int(out[1]["ts_event"]) - START == boundary


@given(gaps=gaps, grace=st.sampled_from([0, 5, 60, 180]))
def test_awake_there_is_a_timer_for_every_boundary(gaps: list[Drawn], grace: int) -> None:
    """Between an input and the one that finds all timers asleep, each boundary has its one timer, in time and in order."""
    one = sequencer(grace)
    out = together(push(one, drawn(gaps)), finish(one))
    boundaries = out["ts_event"][out["kind"] == TIMER]
    assert (np.diff(boundaries) > 0).all()
    assert (boundaries % EVERY == 0).all()
    assert (out["ts_recv"][out["kind"] == TIMER] == boundaries + grace).all()
    for stamp in out["ts_recv"][(out["kind"] == QUOTE) | (out["kind"] == TRADE)]:
        first = (stamp - grace) // EVERY * EVERY + EVERY
        last = stamp // EVERY * EVERY + (1 + k.AHEAD) * EVERY
        assert set(range(first, last + 1, EVERY)) <= set(boundaries.tolist())


def test_silence_puts_timers_to_sleep() -> None:
    """After the last bar that an input may have opened, time costs nothing; the next market input wakes the timers, others do not."""
    one = sequencer()
    out = push(one, at(0), START + 50 * NS_PER_DAY)
    assert len(stamps(out, TIMER)) == 1 + k.AHEAD
    asleep = push(one, together(at(60 * NS_PER_DAY, kind=COMMAND), at(60 * NS_PER_DAY + 500, kind=REPORT)))
    assert stamps(asleep, TIMER) == []
    woken = push(one, at(61 * NS_PER_DAY, 61 * NS_PER_DAY + 100))
    assert len(stamps(woken, TIMER)) >= 1


@given(gaps=gaps, grace=st.sampled_from([0, 5, 60, 180]))
def test_finishing_closes_every_bar(gaps: list[Drawn], grace: int) -> None:
    """After `finish` no bar is open and no timer is armed, and finishing again does nothing."""
    one, run = sequencer(grace), MarketRun(FeatureSet(bars(f"{EVERY}ns", "trade"), ()), 64)
    run.push(push(one, drawn(gaps)))
    run.push(finish(one))
    rings = [run.count(k.BAR_RING + place * k.PENDING_WORDS + k.P_ACTIVE, slot) for slot in range(64) for place in range(k.PENDING)]
    assert not any(rings)
    assert len(finish(one)) == 0


@given(gaps=gaps, cuts=st.lists(st.integers(0, 50), max_size=10), room=st.integers(1, 9))
def test_any_cut_of_the_stream_gives_the_same_stream(gaps: list[Drawn], cuts: list[int], room: int) -> None:
    """Neither how inputs are cut into calls nor how much the output holds changes a byte, a number or the state."""
    records = drawn(gaps)
    whole, pieces = sequencer(), sequencer(room=room)
    expected = together(push(whole, records), finish(whole))
    places = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    parts = [push(pieces, records[first:last]) for first, last in pairwise(places)]
    assert together(*parts, finish(pieces)).tobytes() == expected.tobytes()
    assert np.array_equal(pieces.state, whole.state)


def test_a_large_batch_is_read_where_it_lies() -> None:
    """More records than the fixed memory holds give the same stream as few at a time."""
    records = drawn([(place % 90, QUOTE) for place in range(4 * SMALL)])
    whole, pieces = sequencer(), sequencer()
    expected = push(whole, records)
    parts = [push(pieces, records[first : first + SMALL]) for first in range(0, len(records), SMALL)]
    assert together(*parts).tobytes() == expected.tobytes()
    assert push(sequencer(), np.repeat(records, 2)[::2]).tobytes() == expected.tobytes()


@given(gaps=gaps, nows=st.lists(st.integers(0, 3_000), max_size=5))
def test_a_replay_of_what_came_in_is_what_came_out(gaps: list[Drawn], nows: list[int]) -> None:
    """The output without what was generated, sequenced again, is the output: a log of inputs is enough, whenever time was told."""
    one = sequencer()
    out = push(one, drawn(gaps))
    for now in nows:
        out = together(out, push(one, empty(0), one.stamp + now))
    again = sequencer()
    replayed = together(push(again, out[~np.isin(out["kind"], GENERATED)], int(out["ts_recv"][-1]) if len(out) else 0))
    assert replayed.tobytes() == out.tobytes()
    assert (again.number, again.stamp, again.market_inputs) == (one.number, one.stamp, one.market_inputs)


@given(gaps=gaps, mode=st.sampled_from(["python", "checked"]))
def test_the_sequencer_equals_its_twin(gaps: list[Drawn], mode: str) -> None:
    """Compiled and as plain Python: the same stream and the same state."""
    one, plain = sequencer(room=7), sequencer(room=7, mode=mode)
    records = drawn(gaps)
    assert together(push(one, records), finish(one)).tobytes() == together(push(plain, records), finish(plain)).tobytes()
    assert np.array_equal(one.state, plain.state)


def test_telling_the_time_generates_what_is_due_and_no_more() -> None:
    """Without inputs, time alone brings the timers up to now; a time already passed brings nothing."""
    one = sequencer()
    push(one, at(0))
    first = START // EVERY * EVERY + EVERY
    assert len(push(one, empty(0), first + GRACE - 1)) == 0
    assert stamps(push(one, empty(0), first + GRACE)) == [first + GRACE - START]
    assert len(push(one, empty(0), first)) == 0


def test_without_time_bars_there_are_no_timers() -> None:
    """Tick and volume bars need none; day rolls go on."""
    out = push(sequencer(every=0, grace=0), at(0, NS_PER_DAY))
    assert out["kind"].tolist() == [QUOTE, DAY_ROLL, QUOTE]


def test_a_snapshot_of_the_state_goes_on_exactly() -> None:
    """The state is one array: copied into another sequencer, the stream continues as if nothing had happened."""
    records = drawn([(17 * place % 130, QUOTE) for place in range(60)])
    whole, first, second = sequencer(), sequencer(), sequencer()
    expected = push(whole, records)
    before = push(first, records[:33])
    second.state[:] = first.state
    assert together(before, push(second, records[33:])).tobytes() == expected.tobytes()


@pytest.mark.parametrize("day", ["2014-03-07", "2014-03-10", "2014-06-02", "2014-10-31", "2014-11-03", "2016-02-29", "2049-12-31"])
def test_the_day_rolls_at_17_in_new_york(day: str) -> None:
    """In summer and in winter, beside both changes of the clock, on a leap day: one roll a day, before inputs of that instant."""
    roll = datetime.fromisoformat(day).replace(hour=17, tzinfo=ZoneInfo("America/New_York"))
    ns = int(roll.timestamp()) * NS_PER_S
    out = push(sequencer(every=0, grace=0), together(*[record(QUOTE, stamp, stamp) for stamp in (ns - NS_PER_H, ns - 1, ns, ns + 1)]))
    assert out["kind"].tolist() == [QUOTE, QUOTE, DAY_ROLL, QUOTE, QUOTE]
    assert out["ts_recv"].tolist() == [ns - NS_PER_H, ns - 1, ns, ns, ns + 1]
    assert out["ts_event"][2] == ns


def test_of_one_instant_the_day_rolls_first() -> None:
    """A day ends before the timer of the same instant, and both before an input: a bar of the new day is traded in the new day."""
    roll = parse_instant("2014-05-01T21:00")
    out = push(sequencer(grace=0), together(record(QUOTE, roll - 1, roll - 1), record(QUOTE, roll, roll)))
    assert out["kind"].tolist() == [QUOTE, DAY_ROLL, TIMER, QUOTE]
    assert out["ts_recv"].tolist() == [roll - 1, roll, roll, roll]


def test_a_stream_starts_with_no_roll_of_the_past() -> None:
    """What rolled before the first market input rolled for somebody else; commands before it do not count."""
    out = push(sequencer(), together(command(1, START - 9 * NS_PER_DAY), at(0, 3 * NS_PER_DAY)))
    rolls = out["ts_recv"][out["kind"] == DAY_ROLL]
    assert ((rolls > START) & (rolls <= START + 3 * NS_PER_DAY)).all()
    assert len(rolls) == 3


@pytest.mark.parametrize("rule", ["17:00 America/New_York", "00:00 UTC", "07:30 Asia/Kolkata", "02:30 Europe/Berlin", "22:00 Pacific/Apia"])
def test_rolls_are_those_of_the_zone(rule: str) -> None:
    """Every day of fifty years, hours that do not exist and a day that a country skipped included, as `zoneinfo` has it."""
    clock, name = rule.split()
    hour, minute = (int(part) for part in clock.split(":"))
    zone, start = ZoneInfo(name), datetime(2000, 1, 1, hour, minute)
    days = [(start + timedelta(days=day)).replace(tzinfo=zone) for day in range((datetime(2051, 1, 1) - datetime(2000, 1, 1)).days)]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [int((day - epoch) // timedelta(seconds=1)) * NS_PER_S for day in days]
    found = day_rolls(rule)
    assert found.tolist() == expected
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("rule", ["", "17:00", "17:00 Nowhere/At_All", "25:00 UTC", "17h UTC", "17:00 America", "17:00 ../UTC"])
def test_a_rule_that_names_no_time_is_refused(rule: str) -> None:
    """The text says what a rule looks like and what was found."""
    with pytest.raises(ConfigError, match="day roll: expected a time and a zone such as '17:00 America/New_York', found"):
        day_rolls(rule)


@pytest.mark.parametrize(("grace", "words"), [(-1, "expected 0 or more"), (181, "expected at most 3 bars of 60 ns")])
def test_a_grace_that_bars_cannot_wait_for_is_refused(grace: int, words: str) -> None:
    """Longer than the ring of open bars is a mistake of configuration, said at the start and not by lost ticks."""
    with pytest.raises(ConfigError, match=f"bars.grace: {words}"):
        sequencer(grace)
    assert sequencer(180).number == 0
    assert sequencer(500, every=0).number == 0


def test_a_command_is_an_input() -> None:
    """Its code and value stand where the core reads them."""
    one = command(2, 77, 9)
    assert (int(one["kind"][0]), int(one["ts_recv"][0])) == (COMMAND, 77)
    assert one.view(np.int64)[BODY : BODY + 2].tolist() == [2, 9]


def rolls_in(records: Iterable[Records]) -> list[int]:
    """When the day rolls, in parts of a stream."""
    return [int(stamp) for part in records for stamp in part["ts_recv"][part["kind"] == DAY_ROLL]]


def test_a_real_recording_has_its_timers_and_rolls(data_dir: Path) -> None:
    """Over two sessions sixteen months apart: timers only around ticks, a roll for each day between, no stamp out of order."""
    ticks = real_ticks(data_dir)
    one = sequencer(250_000_000, every=NS_PER_S, room=1 << 12)
    out = push(one, ticks)
    between = (ticks["ts_recv"][-1] - ticks["ts_recv"][0]) / NS_PER_DAY
    assert abs(len(rolls_in([out])) - between) <= 1
    assert (np.diff(out["ts_recv"]) >= 0).all()
    assert np.array_equal(out[~np.isin(out["kind"], GENERATED)], ticks)
    seconds = len(np.unique(ticks["ts_recv"] // NS_PER_S))
    assert seconds <= len(stamps(out, TIMER)) <= seconds + 100
