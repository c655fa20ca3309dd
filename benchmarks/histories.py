"""Recorded histories of a cache under faults, and the checker that reads them."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class Read(NamedTuple):
    """Somebody asked for a key between two moments (ns, one clock) and got a version."""

    reader: str
    key: str
    start_ns: int
    end_ns: int
    version: int


class History:
    """Versions of every key, when each was made true, when the invalidation of the one before was acknowledged, and every read."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self._true: dict[str, list[tuple[int, int]]] = {}
        self._acknowledged: dict[str, list[tuple[int, int]]] = {}

    def changed(self, key: str, version: int, at_ns: int) -> None:
        """The truth of a key is this version from now on."""
        self._true.setdefault(key, []).append((at_ns, version))

    def acknowledged(self, key: str, version: int, at_ns: int) -> None:
        """Everything older than this version was acknowledged to be invalid."""
        held = self._acknowledged.setdefault(key, [])
        held.append((at_ns, max(version, held[-1][1] if held else 0)))

    def stale(self, contract_ns: int) -> list[tuple[Read, int]]:
        """Reads that got a version older than one acknowledged more than `contract_ns` before they began, with that version."""
        return [(read, needed) for read in self.reads if read.version < (needed := self._needed(read, contract_ns))]

    def ages_ns(self) -> list[int]:
        """For every read of an old version: how long before its start the newer one had been acknowledged."""
        found = []
        for read in self.reads:
            newer = next((at for at, version in self._acknowledged.get(read.key, ()) if version > read.version), None)
            if newer is not None and newer < read.start_ns:
                found.append(read.start_ns - newer)
        return found

    def impossible(self) -> list[Read]:
        """Reads of a version that was not true yet when they ended."""
        return [read for read in self.reads if read.version > self._latest(self._true.get(read.key, []), read.end_ns)]

    def _needed(self, read: Read, contract_ns: int) -> int:
        return self._latest(self._acknowledged.get(read.key, []), read.start_ns - contract_ns)

    @staticmethod
    def _latest(versions: list[tuple[int, int]], at_ns: int) -> int:
        place = bisect_right(versions, (at_ns, 1 << 62))
        return versions[place - 1][1] if place else 0
