"""What a level-1 entry is and what a policy must do. A policy only orders entries; `level1` owns the dictionary, lives and counts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

MAX_SEEN: Final = 3
"""Hits are counted to three: enough to tell what is used from what was used once."""

GONE, SMALL, MAIN = 0, 1, 2


class Entry:
    """One value in level 1. Its key, value and lives never change after it is published; `seen`, `epoch` and `place` do."""

    __slots__ = ("early_ns", "epoch", "fresh_ns", "key", "made_ns", "place", "seen", "stale_ns", "tags", "value", "weight")

    def __init__(
        self, key: Hashable, value: Any, early_ns: int, fresh_ns: int, stale_ns: int, made_ns: int, weight: int,
        tags: tuple[tuple[str, int], ...], epoch: int,
    ) -> None:  # fmt: skip
        self.key = key
        self.value = value
        self.early_ns = early_ns  # below it a hit asks nothing more; from it on a chance decides whether to refresh early
        self.fresh_ns = fresh_ns  # below it the value is good
        self.stale_ns = stale_ns  # below it the value may be served while one refresh runs
        self.made_ns = made_ns  # what it cost to make, for the early refresh
        self.weight = weight  # bytes, estimated
        self.tags = tags  # (tag, version when stored)
        self.epoch = epoch  # the level's epoch in which this entry was last found valid
        self.seen = 0
        self.place = GONE


class Policy(Protocol):
    """The order in which entries leave. Every method is O(1), or O(log n) where its name says so; `level1` calls them under its lock."""

    touch: Callable[[Entry], None] | None
    """Called at every hit; None when `Entry.seen`, which the hit itself counts, is all the policy wants."""

    ghost_hits: int
    """How often something came back soon after its eviction: what a larger cache would have kept. 0 for policies that do not know."""

    def add(self, entry: Entry) -> None:
        """Take in an entry. Its `place` is that of the one it replaces, GONE when there was none."""

    def remove(self, entry: Entry) -> None:
        """Forget an entry that left for a reason of its own: expired, invalidated, replaced."""

    def victim(self, by_bytes: bool) -> Entry | None:
        """Choose the entry to evict and forget it; None when there is none. `by_bytes`: memory is short, not the number of entries."""

    def clear(self) -> None:
        """Forget every entry."""
