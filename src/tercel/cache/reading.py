"""What level 2 says of a key, and how it says that it cannot. Loads no Redis library."""

from __future__ import annotations

from typing import Any, NamedTuple

from tercel.base.errors import TercelError

HIT, MISS, UNKNOWN = "hit", "miss", "unknown"

Marks = tuple[tuple[str, int], ...]
"""Tags with the nonce each had when the making of the value began."""


class Unavailable(TercelError):
    """Level 2 gave no answer: not connected, too slow, or refusing. Reads and writes take it as a miss."""


class Slow(Unavailable):
    """The answer did not come within the wait allowed for it."""


class Reading(NamedTuple):
    """`seen` (None: a gap) and `marks` (None: store nothing) go back with a fill; `fresh_ns` is what is left of the value's life."""

    state: str
    value: Any = None
    fresh_ns: int = 0
    made_ns: int = 0
    seen: bytes | None = None
    marks: Marks | None = ()
