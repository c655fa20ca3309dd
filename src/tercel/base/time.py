"""Time as int64 nanoseconds since 1970-01-01 UTC. Only the shell may ask for the current time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from tercel.base.errors import ConfigError

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_MIN = 60 * NS_PER_S
NS_PER_H = 3600 * NS_PER_S
NS_PER_DAY = 24 * NS_PER_H

_UNITS = {"ns": 1, "us": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S, "m": NS_PER_MIN, "h": NS_PER_H, "d": NS_PER_DAY}
_DURATION = re.compile(r"(\d+)(\.\d+)?(ns|us|ms|s|m|h|d)", re.ASCII)
_BELOW_US = re.compile(r"[.,]\d{6}(\d{1,3})", re.ASCII)  # the digits of a second that datetime drops
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_MAX = 2**63 - 1


def wall_ns() -> int:
    """Now by the wall clock. Shell only: the core takes time from its inputs."""
    return time.time_ns()


def clock_ns() -> int:
    """A monotonic clock for latency histograms; its zero means nothing."""
    return time.perf_counter_ns()


steady_ns: Final[Callable[[], int]] = time.monotonic_ns
"""A clock for lives and deadlines: ns, never goes back, one call into C. A coarse clock costs the same from Python."""


def parse_duration(text: str) -> int:
    """Nanoseconds of "250ms", "30s", "1m", "4h", "1d". Raises `ConfigError` on anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"duration: expected a number and one of {', '.join(_UNITS)} such as '30s', found {text!r}")
    unit = _UNITS[match[3]]
    ns = int(match[1]) * unit + round(float(match[2] or 0) * unit)
    if ns > _NS_MAX:
        raise ConfigError(f"duration: expected at most {_NS_MAX // NS_PER_DAY} days, found {text!r}")
    return ns


def format_duration(ns: int) -> str:
    """The shortest exact text that `parse_duration` reads back: 60_000_000_000 -> "1m"."""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if ns and ns % _UNITS[unit] == 0:
            return f"{ns // _UNITS[unit]}{unit}"
    return f"{ns}ns"


def parse_instant(text: str) -> int:
    """Nanoseconds of an ISO date or time; without a zone it is UTC. Raises `ConfigError` on anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"time: expected an ISO date or time such as 2014-05-01 or 2014-05-01T12:30, found {text!r}") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    finer = _BELOW_US.search(text)
    ns = (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * NS_PER_US + int(finer[1].ljust(3, "0") if finer else 0)
    if abs(ns) > _NS_MAX:
        raise ConfigError(f"time: expected a year from 1678 to 2261, found {text!r}")
    return ns


def format_instant(ns: int, digits: int = 3) -> str:
    """UTC as "2014-05-02 12:30:01.250"; `digits` decimals of the second (0 to 9)."""
    seconds, rest = divmod(ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return text if digits == 0 else f"{text}.{rest:09d}"[: len(text) + 1 + digits]


def date_of(ns: int) -> str:
    """The UTC date as "2014-05-02"."""
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).strftime("%Y-%m-%d")
