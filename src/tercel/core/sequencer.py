"""The sequencer gives every input a number and a never-decreasing arrival stamp: the only order, the only time.

It also generates the inputs that time itself causes, alike for every driver because they depend on nothing but the sequenced stream:

* a timer per bar interval at boundary + grace, for silent instruments too. Timers are armed by a market input and fall asleep when each bar
  it may have opened has closed, so a week-end or a hole of years costs nothing.
* a day roll at each instant of the account's calendar (such as 17:00 New York) after the first market input.

An input whose arrival lies before the last stamp gets the last stamp. A timer that is due at the same instant as an input comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.kernel import I, entry, i64, kernel
from tercel.base.records import (
    BODY,
    BYTE_MASK,
    COMMAND,
    DAY_ROLL,
    HEAD,
    KIND_SHIFT,
    MARKET_KINDS_MAX,
    TICK,
    TIMER,
    TS_EVENT,
    TS_RECV,
    WORDS,
    Records,
    words,
)
from tercel.market.kernels import AHEAD, PENDING

# Words of the sequencer's state.
S_NUMBER, S_STAMP, S_GRACE, S_ROLL, S_INTERVAL, S_BOUNDARY, S_HEARD, S_MARKET, S_DECREASED = 0, 1, 2, 3, 4, 5, 6, 7, 8
S_ARMED, S_WORDS = 9, 16  # armed: market data has begun, so day rolls count
C_CONSUMED = 0
NEVER = 2**62
SMALL = 256  # so many records are copied into fixed memory, more are read where they lie


@kernel
def emit(S: I, O: I, o: i64, kind: i64, event: i64, stamp: i64, body: i64) -> None:
    """Write a generated input at word o and number it."""
    O[o + TS_EVENT] = event
    O[o + TS_RECV] = stamp
    O[o + HEAD] = kind << KIND_SHIFT
    O[o + BODY] = body
    for w in range(BODY + 1, WORDS):
        O[o + w] = 0
    S[S_NUMBER] += 1
    S[S_STAMP] = stamp


@kernel
def sequence(S: I, C: I, L: I, T: I, O: I, rolls: i64, n: i64, now: i64, room: i64) -> i64:
    """Sequence T[C[consumed] … n) into O, then whatever is due by `now`. Returns records written; C[consumed] says how far it came.

    S state, L the day-roll instants, `rolls` how many there are, `room` how many records O holds. It stops early only when O is full.
    """
    done = C[C_CONSUMED]
    out = 0
    while True:
        stamp = now
        if done < n:
            stamp = T[done * WORDS + TS_RECV]
        if stamp < S[S_STAMP]:
            stamp = S[S_STAMP]
        # What time has caused by then, in order of its instant; a day roll before a timer of the same instant.
        while True:
            roll = L[S[S_ROLL]] if S[S_ROLL] < rolls and S[S_ARMED] == 1 else NEVER
            due = S[S_BOUNDARY] + S[S_GRACE] if S[S_BOUNDARY] > 0 else NEVER
            if roll > stamp and due > stamp:
                break
            if out == room:
                C[C_CONSUMED] = done
                return out
            if roll <= due:
                emit(S, O, out * WORDS, DAY_ROLL, roll, roll if roll > S[S_STAMP] else S[S_STAMP], 0)
                S[S_ROLL] += 1
            else:
                emit(S, O, out * WORDS, TIMER, S[S_BOUNDARY], due if due > S[S_STAMP] else S[S_STAMP], S[S_INTERVAL])
                asleep = S[S_BOUNDARY] > S[S_HEARD] + AHEAD * S[S_INTERVAL]
                S[S_BOUNDARY] = 0 if asleep else S[S_BOUNDARY] + S[S_INTERVAL]
            out += 1
        if done == n:
            C[C_CONSUMED] = done
            return out
        if out == room:
            C[C_CONSUMED] = done
            return out
        t = done * WORDS
        o = out * WORDS
        for w in range(WORDS):
            O[o + w] = T[t + w]
        if T[t + TS_RECV] < stamp:
            S[S_DECREASED] += 1
        O[o + TS_RECV] = stamp
        S[S_NUMBER] += 1
        S[S_STAMP] = stamp
        if (T[t + HEAD] >> KIND_SHIFT) & BYTE_MASK <= MARKET_KINDS_MAX:
            S[S_MARKET] += 1
            S[S_HEARD] = stamp
            if S[S_ARMED] == 0:
                S[S_ARMED] = 1
                while S[S_ROLL] < rolls and L[S[S_ROLL]] <= stamp:
                    S[S_ROLL] += 1
            if S[S_INTERVAL] > 0 and S[S_BOUNDARY] == 0:
                # The first boundary whose timer is not yet due: the bar before may still be within its grace.
                S[S_BOUNDARY] = (stamp - S[S_GRACE]) // S[S_INTERVAL] * S[S_INTERVAL] + S[S_INTERVAL]
        done += 1
        out += 1


@cache
def day_rolls(rule: str, first_year: int = 2000, last_year: int = 2050) -> npt.NDArray[np.int64]:
    """The instants, ns UTC, of a rule such as "17:00 America/New_York" on every day of the years. Raises `ConfigError`."""
    try:
        clock, zone_name = rule.split()
        hour, minute = (int(part) for part in clock.split(":"))
        zone = ZoneInfo(zone_name)
        start = datetime(first_year, 1, 1, hour, minute)  # noqa: DTZ001 - the zone's wall clock is meant
    except (ValueError, ZoneInfoNotFoundError, OSError) as problem:  # OSError: the name of a folder of zones
        raise ConfigError(f"day roll: expected a time and a zone such as '17:00 America/New_York', found {rule!r} ({problem})") from None
    days = (date(last_year + 1, 1, 1) - date(first_year, 1, 1)).days
    naive = np.datetime64(start, "ns").astype(np.int64) + np.arange(days, dtype=np.int64) * 86_400_000_000_000
    # The zone's offset changes twice a year at most: ask it once a week, and daily only where two weeks differ.
    offsets = np.empty(days, np.int64)
    known: dict[int, int] = {}

    def offset(day: int) -> int:
        if day not in known:
            moment = (start + timedelta(days=day)).replace(tzinfo=zone).utcoffset()
            known[day] = round((moment or timedelta()).total_seconds()) * 1_000_000_000
        return known[day]

    for day in range(0, days, 7):
        last = min(day + 7, days - 1)
        same = offset(day) == offset(last)
        for k in range(day, min(day + 7, days)):
            offsets[k] = offset(day) if same else offset(k)
    return np.asarray(naive - offsets)


class Sequencer:
    """Numbers, stamps, timers. State is one small array, so a snapshot of it resumes exactly."""

    def __init__(self, *, interval_ns: int, grace_ns: int, day_roll: str = "17:00 America/New_York", room: int = 1 << 16) -> None:
        if grace_ns < 0:
            raise ConfigError(f"bars.grace: expected 0 or more, was {grace_ns} ns")
        if interval_ns and grace_ns > (PENDING - 1) * interval_ns:
            expected = f"expected at most {PENDING - 1} bars of {interval_ns} ns, because {PENDING} can be open at once"
            raise ConfigError(f"bars.grace: {expected}, was {grace_ns} ns; make the grace shorter or the bars longer")
        self.state = np.zeros(S_WORDS, np.int64)
        self.state[S_GRACE], self.state[S_INTERVAL] = grace_ns, interval_ns
        self.rolls = day_rolls(day_roll)
        self.meaning = (interval_ns, grace_ns, day_roll)  # sequencers of one meaning may take over each other's state
        self._room = room
        self._out = np.zeros(room * WORDS, np.int64)
        self._in = np.zeros(SMALL * WORDS, np.int64)
        self._cursor = np.zeros(1, np.int64)
        self._run_small = self._bind(self._in)

    def _bind(self, memory: npt.NDArray[np.int64]) -> Callable[..., int]:
        return entry(sequence).bind(self.state, self._cursor, self.rolls, memory, self._out)

    @property
    def number(self) -> int:
        """Number of the last input; the first is 1."""
        return int(self.state[S_NUMBER])

    @property
    def stamp(self) -> int:
        """Core time: the stamp of the last input, ns."""
        return int(self.state[S_STAMP])

    @property
    def market_inputs(self) -> int:
        """Market records sequenced so far: where a feed continues after a restart."""
        return int(self.state[S_MARKET])

    @property
    def timer_due_ns(self) -> int:
        """Core time at which the next timer is due, 0 while none is armed."""
        boundary = int(self.state[S_BOUNDARY])
        return boundary + int(self.state[S_GRACE]) if boundary > 0 else 0

    def push(self, records: Records, now_ns: int = 0) -> Iterator[Records]:
        """Sequence `records` (dtype TICK, `ts_recv` set) and what is due by `now_ns`; yields sequenced arrays, valid until the next one.

        Any way of cutting the same records into calls gives the same stream.
        """
        flat = words(np.ascontiguousarray(records))
        count = len(records)
        if count <= SMALL:
            self._in[: len(flat)] = flat
            run = self._run_small
        else:
            run = self._bind(flat)
        self._cursor[0] = 0
        while True:
            out = run(len(self.rolls), count, now_ns, self._room)
            if out:
                yield self._out[: out * WORDS].view(TICK)
            if out < self._room:
                return

    def finish(self) -> Iterator[Records]:
        """Let time pass until every timer is asleep, so that the last bars close; for recordings that end."""
        while self.state[S_BOUNDARY] > 0:
            yield from self.push(np.empty(0, TICK), int(self.state[S_BOUNDARY] + self.state[S_GRACE]))


def command(code: int, stamp_ns: int, value: int = 0, instrument: int = 0, kind: int = COMMAND) -> Records:
    """One COMMAND input (or DEGRADE, which has the same form) about an instrument, 0 for all."""
    record = np.zeros(1, TICK)
    record["kind"], record["ts_event"], record["ts_recv"], record["instrument"] = kind, stamp_ns, stamp_ns, instrument
    record.view(np.int64)[BODY], record.view(np.int64)[BODY + 1] = code, value
    return record
