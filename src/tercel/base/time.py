"""Time as int64 nanoseconds since 1970-01-01 UTC. Only the shell may ask for the current time."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import numpy as np

from tercel.base.errors import ConfigError

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_MIN = 60 * NS_PER_S
NS_PER_H = 3600 * NS_PER_S
NS_PER_DAY = 24 * NS_PER_H

_UNITS = {"ns": 1, "us": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S, "m": NS_PER_MIN, "h": NS_PER_H, "d": NS_PER_DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")


def wall_ns() -> int:
    """Now by the wall clock. Shell only: the core takes time from its inputs."""
    return time.time_ns()


def clock_ns() -> int:
    """A monotonic clock for latency histograms; its zero means nothing."""
    return time.perf_counter_ns()


def parse_duration(text: str) -> int:
    """Nanoseconds of "250ms", "30s", "1m", "4h", "1d". Raises `ConfigError` on anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"duration: expected a number and one of {', '.join(_UNITS)} such as '30s', found {text!r}")
    return round(float(match[1]) * _UNITS[match[2]])


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
    if moment.tzinfo is None:
        return int(np.datetime64(text, "ns").astype(np.int64))
    return int(np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "ns").astype(np.int64))


def format_instant(ns: int, digits: int = 3) -> str:
    """UTC as "2014-05-02 12:30:01.250"; `digits` decimals of the second (0 to 9)."""
    seconds, rest = divmod(ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return text if digits == 0 else f"{text}.{rest:09d}"[: len(text) + 1 + digits]


def date_of(ns: int) -> str:
    """The UTC date as "2014-05-02"."""
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).strftime("%Y-%m-%d")
