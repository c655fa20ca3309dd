"""How large level 1 may be: memory first, then the processor, then what more room would bring; within a quarter and four times its base.

- Free memory under 2, 4 or 8 GiB allows 0.25, 0.5 or 0.75 of the base. It counts what the machine has free and what the control group
  (version 1 or 2) still allows, whichever is less.
- A processor above 80 % shrinks by a fifth, never under 100 entries.
- A processor below 60 % allows a fifth more, and it is taken when it would bring hits: the policy remembers what left a short while ago and
  counts what comes back (ghost hits).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import psutil

GIB: Final = 1 << 30
MEMORY_STEPS: Final = ((2 * GIB, 0.25), (4 * GIB, 0.5), (8 * GIB, 0.75))
CPU_HIGH, CPU_LOW = 0.8, 0.6
SHRINK, GROW = 0.8, 1.2
ENTRIES_MIN: Final = 100
BOUNDS: Final = (0.25, 4.0)
GHOSTS_WORTH: Final = 0.005  # ghost hits per look above which a larger cache would bring something
UNLIMITED: Final = 1 << 60


class Surroundings(NamedTuple):
    """What a size is judged by: free bytes, share of the processor in use, and the looks and ghost hits since the last judgement."""

    free_bytes: int
    cpu: float
    looks: int
    ghost_hits: int
    fill: float


class Size(NamedTuple):
    """Entries, and why."""

    entries: int
    reason: str


def judge(base: int, now: int, around: Surroundings) -> Size:
    """The next size of a cache whose base is `base` entries and whose size is `now`."""
    floor, ceiling = max(1, int(base * BOUNDS[0])), int(base * BOUNDS[1])
    factor = next((factor for limit, factor in MEMORY_STEPS if around.free_bytes < limit), 1.0)
    if factor < 1.0 and now > base * factor:
        return Size(max(floor, int(base * factor)), f"memory: {around.free_bytes / GIB:.1f} GiB are free")
    if around.cpu > CPU_HIGH:
        smaller = max(floor, min(now, max(ENTRIES_MIN, int(now * SHRINK))))
        return Size(smaller, f"processor: {around.cpu:.0%} in use" if smaller < now else "unchanged")
    gain = around.ghost_hits / around.looks if around.looks else 0.0
    if around.cpu < CPU_LOW and gain >= GHOSTS_WORTH and around.fill > 0.9:
        larger = min(ceiling, int(base * factor) if factor < 1.0 else ceiling, int(now * GROW) + 1)
        if larger > now:
            return Size(larger, f"hits: {gain:.1%} of the looks missed what had just left")
    return Size(now, "unchanged")


def free_bytes(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes this process may still take: of the machine, or of its control group when that is less."""
    return min(int(psutil.virtual_memory().available), _group_free(root))


def _group_free(root: Path) -> int:
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        try:
            allowed, taken = (root / limit).read_text().strip(), int((root / used).read_text())
        except (OSError, ValueError):
            continue
        if allowed.isdigit() and int(allowed) < UNLIMITED:
            return max(0, int(allowed) - taken)
    return UNLIMITED


def cpu() -> float:
    """Share of the machine's processors in use since the last call."""
    return float(psutil.cpu_percent(None)) / 100.0
