"""The triple barrier: how a trade that a model proposes ends. Training labels by it and the core exits by it.

A decision at a closed bar has a *width*, the standard deviation of the mid's move over the horizon as the recent past has it: volatility
of one-bar returns over `rows` bars, times the square root of the bars in the horizon, times the mid. From the touch that stands at the
decision (the ask for a buy) the take barrier lies `take` widths away and the stop barrier `stop` widths on the other side; the time
barrier ends what has met neither. Source: M. López de Prado, Advances in Financial Machine Learning, 2018, section 3.4, with costs and
both sides added.
"""

from __future__ import annotations

import math

import msgspec

from tercel.base.errors import ConfigError
from tercel.base.time import parse_duration
from tercel.base.typed import typed
from tercel.features.spec import Bars, Feature, volatility


class TripleBarrier(msgspec.Struct, frozen=True):
    """Barriers of a decision: `take` and `stop` in widths, volatility over `rows` bars, `width_scale` = sqrt(bars in the horizon)."""

    take: float
    stop: float
    horizon_ns: int
    rows: int
    width_scale: float

    @property
    def volatility(self) -> Feature:
        """The feature that gives the width: width = value * width_scale * mid, in price units."""
        return volatility(self.rows)


@typed(horizon='a text such as "30m"', every='a text such as "1m"')
def triple_barrier(
    take: float = 1.5, stop: float = 1.0, horizon: str = "30m", rows: int = 50, horizon_bars: float | None = None, every: str = "1m"
) -> TripleBarrier:
    """Barriers `take` and `stop` widths away, and the time `horizon` ("30m"); `rows` bars give the volatility.

    The bars in the horizon follow from the interval `every` ("1m"); for bars of ticks or volume say how many there are: `horizon_bars`.
    Raises `ConfigError` for barriers or a horizon that are not positive, and for less than two `rows`.

    >>> import tercel as tc
    >>> tc.triple_barrier(take=2.0, stop=1.0, horizon="25m").width_scale  # the root of twenty-five bars of a minute
    5.0
    """
    horizon_ns = parse_duration(horizon)
    for name, value in (
        ("take", take),
        ("stop", stop),
        ("horizon", horizon_ns),
        ("every", every_ns := parse_duration(every)),
        ("horizon_bars", 1.0 if horizon_bars is None else horizon_bars),
    ):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"triple_barrier: {name}: expected a positive number, found {value!r}")
    if rows < 2:
        raise ConfigError(f"triple_barrier: rows: expected at least 2 bars of volatility, found {rows!r}")
    bars_in = horizon_bars if horizon_bars is not None else horizon_ns / every_ns
    return TripleBarrier(take, stop, horizon_ns, rows, math.sqrt(bars_in))


def on_clock(barriers: TripleBarrier, clock: Bars) -> TripleBarrier:
    """The same barriers with the width of the bars in use: the horizon in bars of a time clock; unchanged for other clocks."""
    if clock.unit != "time":
        return barriers
    return msgspec.structs.replace(barriers, width_scale=math.sqrt(barriers.horizon_ns / clock.amount))
