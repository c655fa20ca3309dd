"""Where the time of predictions on demand goes: each answer by its parts, and all answers together."""

from __future__ import annotations

import numpy as np

from tercel.api.views import StageView, stage_view
from tercel.base.histogram import Histogram
from tercel.base.time import clock_ns
from tercel.observe.stages import DECISION


class Watch:
    """Times the parts of one answer: `mark` books what passed since the last mark."""

    def __init__(self) -> None:
        self.ns: dict[str, int] = {}
        self._at = self._began = clock_ns()

    def mark(self, part: str) -> None:
        """A part has ended."""
        now = clock_ns()
        self.ns[part] = self.ns.get(part, 0) + now - self._at
        self._at = now

    def end(self) -> None:
        """The answer is there."""
        self.ns["decision"] = clock_ns() - self._began


class Parts:
    """The parts of all answers; one that an answer did not need is not counted."""

    def __init__(self) -> None:
        self._histograms = {part.name: Histogram(np.zeros(Histogram.SIZE, np.int64)) for part in DECISION}

    def take(self, watch: Watch) -> dict[str, float]:
        """End an answer and count it; µs of each of its parts."""
        watch.end()
        for name, ns in watch.ns.items():
            self._histograms[name].record(ns)
        return {name: ns / 1e3 for name, ns in watch.ns.items()}

    def views(self) -> list[StageView]:
        """Every part with its budget and its times since the start."""
        found = ((part, self._histograms[part.name]) for part in DECISION)
        return [stage_view(part.name, part.what, part.budget_us, part.asked_ms, times, times) for part, times in found]
