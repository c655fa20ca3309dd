"""A trader process that stores a snapshot twenty times a second and takes few ticks a turn, so that kills fall everywhere."""

from __future__ import annotations

from tercel.base.time import NS_PER_MS
from tercel.drivers import launch, trader

if __name__ == "__main__":
    trader.SNAPSHOT_NS = 50 * NS_PER_MS  # type: ignore[misc]
    trader.POLL_LIMIT = 200  # type: ignore[misc]
    launch.main()
