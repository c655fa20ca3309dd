"""Time: the hour and the day of a row, and larger bars within a program of smaller ones."""

from __future__ import annotations

from tercel.base.kernel import F, I, i64, kernel
from tercel.features.opcodes.table import NAN, opcode

SECONDS_MAX = 1e12  # of a time: beyond it lies no market, and a float64 tells seconds apart up to here
DAY, HOUR, QUARTER = 86400.0, 3600.0, 21600.0  # seconds of a day, an hour and a quarter of a day
ANGLE = 7.27220521664304e-05  # of a second: 2 pi / 86400
FIRST, GREATEST, SMALLEST, LAST, SUM, END = 0.0, 1.0, 2.0, 3.0, 4.0, 5.0  # what `resample` makes of the values of a larger bar


@opcode(24, 1, inputs=("time",), outputs=("hours", "sin", "cos", "weekday"))
@kernel
def time_of_day(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """Time of the day in UTC: hours 0 to 24, sine and cosine of the day's angle (2 pi at midnight), and the day of the week, Monday 0.

    The pair of sine and cosine has no jump at midnight. Both by their power series up to an eighth of the circle (Abramowitz and Stegun,
    4.3.65 and 4.3.66), the rest by symmetry, so that every engine gives the same bits.
    """
    a = R[r]
    y = R[r + 1]
    y_sin = R[r + 2]
    y_cos = R[r + 3]
    y_day = R[r + 4]
    for k in range(n):
        t = X[a + k]
        hours = NAN
        sine = NAN
        cosine = NAN
        weekday = NAN
        if t > -SECONDS_MAX and t < SECONDS_MAX:
            day = float(int(t / DAY))
            if day * DAY > t:
                day -= 1.0
            rest = t - day * DAY
            hours = rest / HOUR
            weekday = day + 3.0  # 1970 began on a Thursday
            week = float(int(weekday / 7.0))
            if week * 7.0 > weekday:
                week -= 1.0
            weekday = weekday - week * 7.0
            quarter = float(int(rest / QUARTER))
            rest = rest - quarter * QUARTER
            late = 1.0 if rest > 0.5 * QUARTER else 0.0
            if late == 1.0:
                rest = QUARTER - rest
            x = rest * ANGLE
            square = x * x
            sine = 1.0
            cosine = 1.0
            for term in range(9):
                order = 18.0 - 2.0 * float(term)
                sine = 1.0 - square / (order * (order + 1.0)) * sine
                cosine = 1.0 - square / (order * (order - 1.0)) * cosine
            sine = x * sine
            if late == 1.0:
                rest = sine
                sine = cosine
                cosine = rest
            if quarter == 1.0 or quarter == 3.0:
                rest = sine
                sine = cosine
                cosine = -rest
            if quarter >= 2.0:
                sine = -sine
                cosine = -cosine
        X[y + k] = hours if hours == hours else NAN
        X[y_sin + k] = sine if sine == sine else NAN
        X[y_cos + k] = cosine if cosine == cosine else NAN
        X[y_day + k] = weekday if weekday == weekday else NAN


@opcode(28, 1, inputs=("value", "time"), parameters=("seconds", "fold"), state_words=lambda _: 6)
@kernel
def resample(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """A column of larger bars: one value for every `seconds`, NaN on all rows but the one that shows the larger bar to be complete.

    A row belongs to the interval (end - seconds, end] that its time lies in; `fold` says what is made of the known values: 0 the first,
    1 the greatest, 2 the smallest, 3 the last (known or not), 4 the sum, 5 the end itself. The larger bar is complete at the row whose time
    is its end, or, where that row is missing, at the first row after it; when that row completes a bar of its own, that one is said a row
    later. Nothing is ever said earlier. A row without a time, or of an interval that was completed, changes nothing; what follows the first
    row of an unknown past is known from the second larger bar on.
    State: begun, open, end, value, waiting, value that waits.
    """
    seconds = P[p]
    fold = P[p + 1]
    a = R[r]
    b = R[r + 1]
    y = R[r + 2]
    begun = S[s]
    opened = S[s + 1]
    end = S[s + 2]
    value = S[s + 3]
    waiting = S[s + 4]
    later = S[s + 5]
    for k in range(n):
        x = X[a + k]
        t = X[b + k]
        out = NAN
        if t > -SECONDS_MAX and t < SECONDS_MAX:
            mine = float(int(t / seconds)) * seconds
            if mine < t:
                mine += seconds
            said = 0.0
            if waiting == 1.0:
                out = later
                said = 1.0
                waiting = 0.0
            elif opened == 1.0 and mine > end:
                out = value
                said = 1.0
                opened = 0.0
            if opened == 0.0 and (begun == 0.0 or mine > end):
                begun = 1.0
                opened = 1.0
                end = mine
                value = NAN
            if opened == 1.0:
                if fold == END:
                    value = end
                elif fold == LAST or value != value:
                    value = x
                elif x == x:
                    if fold == SUM:
                        value = value + x
                    elif (fold == GREATEST and x > value) or (fold == SMALLEST and x < value):
                        value = x
                if t == end:
                    opened = 0.0
                    if said == 1.0:
                        waiting = 1.0
                        later = value
                    else:
                        out = value
        X[y + k] = out if out == out else NAN
    S[s] = begun
    S[s + 1] = opened
    S[s + 2] = end
    S[s + 3] = value
    S[s + 4] = waiting
    S[s + 5] = later


@opcode(29, 1, inputs=("value",), state_words=lambda _: 2)
@kernel
def hold(S: F, s: i64, P: F, p: i64, X: F, R: I, r: i64, n: i64) -> None:
    """The last known value, on every row: what a column of larger bars says until it says something else. State: seen, value."""
    a = R[r]
    y = R[r + 1]
    seen = S[s]
    value = S[s + 1]
    for k in range(n):
        x = X[a + k]
        if x == x:
            seen = 1.0
            value = x
        out = NAN
        if seen == 1.0:
            out = value
        X[y + k] = out if out == out else NAN
    S[s] = seen
    S[s + 1] = value
