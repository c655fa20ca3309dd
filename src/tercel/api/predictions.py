"""Predictions on demand: what a registered model says at the last bars of recorded history, as a back-test of it would have heard it.

Rows of features are kept by symbol, span of days and program, named by the content they were made of, so none can be stale; what the model
said of them is kept for as long as it was sure of itself. Both are shared through Redis with `TERCEL_REDIS` set. Where the history was
learnt from, the fold that never saw a stretch speaks about it, as in a back-test; where no part may speak, nobody does. Symbols that are
asked for are kept warm.

This module reaches the core and what compiles it; the desk imports it when the first prediction is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tercel.api.parts import Parts, Watch
from tercel.api.past import LIFE, shared
from tercel.base.errors import ConfigError, TercelError
from tercel.base.time import NS_PER_MS, NS_PER_S, clock_ns, parse_instant, steady_ns
from tercel.cache.cache import Cache
from tercel.cache.care import Care
from tercel.cache.keys import key
from tercel.cache.level1 import Level1
from tercel.cache.predictions import Prediction, Predictions
from tercel.cache.warming import FEATURES_EVERY_S, PERIODS, PREDICTIONS_EVERY_S, Active, Budget, Wanted, Warmer
from tercel.drivers import schedule
from tercel.drivers.history import FAR, History, history
from tercel.drivers.launch import session_of
from tercel.drivers.session import Plan
from tercel.drivers.spans import CLOSED, REGISTERS, STAMP, Span, rows_in, spans
from tercel.market.catalog import Catalog
from tercel.models.manifest import Part
from tercel.models.model import Model
from tercel.models.on_demand import WORDS, Floats, OnDemand
from tercel.models.registry import Registry

ENTRIES_MAX: Final = 1_024
BYTES_MAX: Final = 64 << 20
WAIT_S_MAX: Final = 10.0  # of whoever asks
COMPUTE_S_MAX: Final = 25.0  # of one span; its checkpoints stay, so that the next question goes on from there
SPANS_MAX: Final = 20  # looked through for bars of one answer
NEWEST: Final = 2  # spans of an active symbol that are kept warm
PREDICTIONS_PER_S: Final = 1_000.0  # of the warmer: a hundred cost one batch
NOTHING: Final[Prediction] = {"side": 0, **dict.fromkeys(WORDS[1:], float("nan"))}


Integers = npt.NDArray[np.int64]


class Subject(NamedTuple):
    """What is asked about: a symbol's history, the model, and the plan that makes its rows."""

    history: History
    model: Model
    plan: Plan


class Forecasts:
    """Predictions over the catalog for one account. Belongs to one event loop; use inside `async with`, `care` is a task of the caller's.

    `clock` is that of lives and activity, `redis` the address of level 2 (None: `TERCEL_REDIS`).
    """

    def __init__(self, run_folder: Path, redis: str | None = None, clock: Callable[[], int] = steady_ns) -> None:
        self.catalog, self._run_folder = Catalog(), run_folder
        level1 = Level1(entries_max=ENTRIES_MAX, bytes_max=BYTES_MAX, life_ns_max=LIFE.level1_ns, clock=clock)
        self.features = Cache("features", level1=level1, level2=shared(redis), life=LIFE)
        # Unrounded: what is said must be what the core says, to the bit.
        self.models = OnDemand(Registry(), predictions=Predictions(level2=shared(redis), decimals=None, clock=clock))
        self.predictions = self.models.predictions.cache
        self.active = Active(clock=clock)
        self.warmers = (
            Warmer(self.features, Budget(clock=clock), learn=False, clock=clock),
            Warmer(self.predictions, Budget(PREDICTIONS_PER_S, clock=clock), learn=False, clock=clock),
        )  # fmt: skip
        self.warmers[0].every(FEATURES_EVERY_S, self._likely_rows)
        self.warmers[1].every(PREDICTIONS_EVERY_S, self._likely_predictions)
        self.parts = Parts()
        self._thread = ThreadPoolExecutor(1, "features")
        self._closed = False

    async def __aenter__(self) -> Forecasts:
        await self.features.__aenter__()
        await self.predictions.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self.features.aclose()
        await self.predictions.aclose()
        await asyncio.to_thread(self.models.close)

    async def care(self) -> None:
        """Keep what is asked for warm and the caches fit, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for warmer in self.warmers:
                group.create_task(warmer.run())
                group.create_task(Care(warmer.cache, warmer=warmer).run())

    async def answer(self, symbol: str, model: str | None = None, periods: int = PERIODS, end: str | None = None) -> dict[str, Any]:
        """What the model says at the last `periods` (1 to 100) bars of its clock that had closed by `end` (ISO, UTC; None: all).

        Each with `time_ms` (its close), the `part` of the model that speaks, side, score, confidence and edge; side 0 and null where none
        may, or features are still warming up. `parts_us` are the times of this answer. Raises `ConfigError` for an unknown symbol or model,
        a number or time that is none, or a history the model cannot be asked about; `TimeoutError`, `ModelUnavailable`, `DataError`.
        """
        watch = Watch()
        if not 1 <= periods <= PERIODS:
            raise ConfigError(f"predictions: periods: expected 1 to {PERIODS}, found {periods}")
        end_ns = parse_instant(end) if end else FAR
        found = await self.models.model(model or self._default())
        watch.mark("model_load")
        subject = self._subject(symbol, found)
        async with asyncio.timeout(WAIT_S_MAX):
            rows = (await self._rows(subject, end_ns, periods, watch))[-periods:]
            said: list[tuple[str, Prediction]] = [("", NOTHING)] * len(rows)
            for part, places in _speakers(subject, rows):
                predictions = await self.models.rows(found, part, _inputs(subject, rows[places]), watch.mark)
                for place, one in zip(places.tolist(), predictions, strict=True):
                    said[place] = part.name, one
        name, clock = subject.history.instruments[0].name, found.manifest.clock
        self.active.saw(f"{name} {found.name}")
        closes = (rows[:, CLOSED] / NS_PER_MS).tolist()
        told = [{"time_ms": time_ms, "part": part or None, **one} for time_ms, (part, one) in zip(closes, said, strict=True)]
        watch.mark("post_processing")
        return {
            "symbol": name, "model": found.name, "bars": clock.text, "price": clock.price, "enter": found.manifest.enter,
            "count": len(told), "predictions": told, "parts_us": self.parts.take(watch),
        }  # fmt: skip

    def _default(self) -> str:
        """The session's model, else the one in production of the only name there is. Raises `ConfigError` with the choice."""
        model, _ = session_of(self._run_folder)
        names = self.models.registry.names()
        if model or len(names) == 1:
            return model or f"{names[0]}@production"
        have = f"there are {', '.join(names)}" if names else "`tercel train` makes one"
        raise ConfigError(f"predictions: expected ?model=NAME or NAME@VERSION, for this account trades without a model; {have}")

    def _subject(self, symbol: str, model: Model) -> Subject:
        clock, name = model.manifest.clock, self.catalog.resolve(symbol).name
        kinds = {one.kind for one in self.catalog.datasets() if one.instrument.name == name}
        chosen = history(name, every=clock.text if kinds == {"bar"} else None, price=clock.price, catalog=self.catalog)
        chosen.check(clock)
        return Subject(chosen, model, replace(Plan(model.feature_set, None), **session_of(self._run_folder)[1]))

    async def _rows(self, subject: Subject, end_ns: int, periods: int, watch: Watch) -> Integers:
        """At least the last `periods` rows that had closed by an instant, where there are so many."""
        found: list[Integers] = []
        for span in islice(spans(subject.history, subject.plan.features, end_ns), SPANS_MAX):
            wanted = self._wanted(subject, span)
            part = "feature_cache" if self.features.has(wanted.key) else "fresh_features"
            rows = await self.features.get_or_compute(wanted.key, wanted.compute, tags=wanted.tags)
            watch.mark(part)
            found.insert(0, rows[rows[:, CLOSED] <= end_ns])
            if sum(map(len, found)) >= periods:
                break
        return np.concatenate(found) if found else np.zeros((0, REGISTERS), np.int64)

    def _wanted(self, subject: Subject, span: Span) -> Wanted:
        (series,), plan = subject.history.series, subject.plan
        name, program = series.instrument.name, subject.model.program
        what = key(name, span.start_ns, span.end_ns, program.hash, plan.grace, plan.feed_latency, series.key.what, span.content)
        return Wanted(what, partial(self._compute, subject, span), tags=(name,))

    async def _compute(self, subject: Subject, span: Span) -> Integers:
        """The rows of a span, made in the thread: its kernels run without the interpreter lock, so the page does not wait for it."""

        def make() -> Integers:
            give_up = clock_ns() + int(COMPUTE_S_MAX * NS_PER_S)

            def tell(*_: object) -> None:
                if self._closed or clock_ns() > give_up:
                    raise TimeoutError(f"the features of {subject.history.describe()} take longer; ask again, what was done is kept")

            return rows_in(subject.history, subject.plan, span, tell)

        return await asyncio.get_running_loop().run_in_executor(self._thread, make)

    def _subjects(self) -> Iterator[Subject]:
        """What was asked for lately and can be asked for now."""
        for pair in self.active.symbols():
            symbol, _, reference = pair.partition(" ")
            with suppress(TercelError):
                model = self.models.pool.get(reference)
                if model is not None:
                    yield self._subject(symbol, model)

    def _newest(self, subject: Subject) -> list[Wanted]:
        return [self._wanted(subject, span) for span in islice(spans(subject.history, subject.plan.features), NEWEST)]

    def _likely_rows(self) -> Iterator[Wanted]:
        """The rows of the last hundred periods of every active symbol."""
        for subject in self._subjects():
            yield from self._newest(subject)

    def _likely_predictions(self) -> Iterator[Wanted]:
        """What will be said about them, as far as they are there."""
        for subject in self._subjects():
            kept = [self.features.get(one.key) for one in self._newest(subject) if self.features.has(one.key)]
            if kept:
                rows = np.concatenate(kept[::-1])[-PERIODS:]
                for part, places in _speakers(subject, rows):
                    yield from self.models.wanted(subject.model, part, _inputs(subject, rows[places]))


def _inputs(subject: Subject, rows: Integers) -> Floats:
    """The columns a model reads, float64[n, inputs]."""
    return np.ascontiguousarray(rows[:, REGISTERS:][:, subject.model.registers]).view(np.float64)


def _speakers(subject: Subject, rows: Integers) -> Iterator[tuple[Part, Integers]]:
    """The parts of the model that may speak about rows, each with the places of its own, as in a back-test."""
    changes, name = schedule.honest(subject.model), subject.history.instruments[0].name
    mine = [change for change in changes if change.instrument == name] or [change for change in changes if not change.instrument]
    speaks = np.searchsorted([change.at_ns for change in mine], rows[:, STAMP], side="right") - 1
    for number, change in enumerate(mine):
        places = np.flatnonzero(speaks == number)
        if change.part is not None and len(places):
            yield change.part, places
