"""How patient a live session is, and its two small machines: when to try again, and which instruments have fallen silent.

Everything here is told the time and given its chance, so a test walks through a day in a millisecond.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

import msgspec

from tercel.base.errors import ConfigError

STREAMS_MAX: Final = 1_024  # of one connection, by the venue's rules
QUIET_DOUBLINGS_MAX: Final = 6


class Care(msgspec.Struct, frozen=True, kw_only=True):
    """The patience of a live session, in seconds and bytes. Raises `ConfigError` for what is not above 0.

    `silence`: a socket without a message for so long is dead, whatever it says. `quiet`: an instrument without one for so long makes the
    session open a second socket and go over to it; `quiet_of` says it for single symbols. `life`: a socket older than this is replaced
    before the venue ends it. `overlap`: how long the old socket goes on serving once the new one delivers. `stale`: data older than this
    is said to be.
    """

    connect: float = 10.0
    silence: float = 15.0
    quiet: float = 120.0
    quiet_of: Mapping[str, float] = msgspec.field(default_factory=dict)
    stale: float = 3.0
    life: float = 23 * 3_600.0
    overlap: float = 1.0
    wait_first: float = 0.25
    wait_max: float = 30.0
    request: float = 10.0
    request_every: float = 0.25
    frame_bytes_max: int = 1 << 20
    body_bytes_max: int = 1 << 24
    held_bytes_max: int = 1 << 23
    records_max: int = 1 << 16

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            for one in value.values() if name == "quiet_of" else (value,):
                if not one > 0:
                    raise ConfigError(f"feed: {name}: expected more than 0, found {one}")


class Backoff:
    """Waits between attempts: random up to a bound that doubles with every failure ("full jitter"), reset by success.

    Exponential Backoff And Jitter, AWS Architecture Blog, 2015: among many that lost the same venue, the random wait keeps them apart.
    """

    def __init__(self, first_s: float, max_s: float, chance: random.Random) -> None:
        self._first_s, self._max_s, self._chance = first_s, max_s, chance
        self.failures = 0

    def wait_s(self) -> float:
        """Seconds to wait after one more failure: at least a tenth of the bound, so that no failure is answered at once."""
        bound = min(self._max_s, self._first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return bound * (0.1 + 0.9 * self._chance.random())

    def reset(self) -> None:
        """It worked: the next failure waits the first bound again."""
        self.failures = 0


class QuietWatch:
    """Which instruments have been silent for too long.

    A quiet market looks like a stream that the venue forgot, so each time nothing but time has passed an instrument is given twice as long.
    """

    def __init__(self, symbols: Mapping[int, str], care: Care) -> None:
        """`symbols` by instrument id."""
        self._symbols = symbols
        self._limits_s = {number: care.quiet_of.get(symbol, care.quiet) for number, symbol in symbols.items()}
        self._doublings = dict.fromkeys(symbols, 0)
        self._since_s: dict[int, float] = {}

    def found(self, heard_s: Mapping[int, float], now_s: float) -> str:
        """A symbol that is silent for longer than its limit, "" when there is none; times by instrument id, of one clock, in seconds."""
        for number, limit_s in self._limits_s.items():
            heard = heard_s.get(number, 0.0)
            if heard > self._since_s.get(number, 0.0):
                self._since_s[number], self._doublings[number] = heard, 0
            since = self._since_s.setdefault(number, now_s)
            if now_s - since > limit_s * 2 ** self._doublings[number]:
                self._doublings[number] = min(self._doublings[number] + 1, QUIET_DOUBLINGS_MAX)
                self._since_s[number] = now_s
                return self._symbols[number]
        return ""
