"""What `tercel doctor` finds: one record per check, and the three levels it can have."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Level = Literal["ok", "warn", "fail"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "warn", "fail")


class Finding(msgspec.Struct, frozen=True):
    """The result of one check. `remedy` says what to do, and is empty only when the level is "ok"."""

    name: str
    level: Level
    text: str
    remedy: str = ""


def judge(name: str, text: str, *, fail: bool = False, warn: bool = False, remedy: str) -> Finding:
    """A finding whose level is the worst condition that holds; a healthy one carries no remedy."""
    level: Level = "fail" if fail else "warn" if warn else "ok"
    return Finding(name, level, text, "" if level == "ok" else remedy)
