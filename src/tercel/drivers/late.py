"""When features take too long: what the shell measures, and what it tells the core about it, once each way."""

from __future__ import annotations

from typing import Final

from tercel.base.time import NS_PER_S

CALM_NS: Final = NS_PER_S  # features are in time again when none were late for so long
NEVER_NS: Final = 2**62


class LateWatch:
    """A limit on the time from ticks to features. `after_ns` 0 is no limit. Clocks stay outside: times are arguments."""

    __slots__ = ("_after_ns", "_last_ns", "_told", "late")

    def __init__(self, after_ns: int) -> None:
        self._after_ns = after_ns or NEVER_NS
        self._last_ns = 0
        self._told = False
        self.late = False  # whether features were late within the last `CALM_NS`

    def took(self, duration_ns: int, now_ns: int) -> None:
        """One turn's features took so long."""
        if duration_ns > self._after_ns:
            self.late, self._last_ns = True, now_ns

    def news(self, now_ns: int) -> int | None:
        """1 or 0 when the core has to hear that features are late, or in time again; None when it knows."""
        if self.late and now_ns - self._last_ns > CALM_NS:
            self.late = False
        if self.late == self._told:
            return None
        self._told = self.late
        return int(self.late)
