"""Which part of a model speaks when: in a back-test each stretch belongs to the fold that never saw it, afterwards to the final model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tercel.base.records import MODEL, Records
from tercel.core.sequencer import command
from tercel.market.instruments import Instrument
from tercel.models.manifest import FINAL, Part
from tercel.models.model import Model
from tercel.models.placement import Placement


class Change(NamedTuple):
    """From `at_ns` on, decisions about an instrument ("": all) are a part's; None: nobody's."""

    at_ns: int
    instrument: str
    part: Part | None


def honest(model: Model) -> list[Change]:
    """Folds over the stretches they never saw, then the final part from where its last label was known and no fold speaks any more."""
    return [change for name, parts in _by_instrument(model).items() for change in _of_one(name, parts)]


def final(model: Model) -> list[Change]:
    """The final part from the beginning: for trading on what comes now, or for a back-test that says it is in sample."""
    return [Change(0, name, part) for name, parts in _by_instrument(model).items() for part in parts if part.name == FINAL]


def _by_instrument(model: Model) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for part in model.manifest.parts:
        found.setdefault(part.instrument, []).append(part)
    return dict(sorted(found.items()))  # "" first: what holds for all is set before what holds for one


def _of_one(name: str, parts: Sequence[Part]) -> list[Change]:
    ends = [part for part in parts if part.name == FINAL]
    folds = sorted((part for part in parts if part.name != FINAL), key=lambda part: part.test_first_ns)
    last = max((part.test_last_ns for part in folds), default=0)  # a moment after the last decision, which may be after the last label
    starts = {part.test_first_ns: part for part in folds} | {max(part.seen_last_ns, last): part for part in ends}
    silent = {part.test_last_ns for part in folds} - set(starts)
    return [Change(at, name, starts.get(at)) for at in sorted({*starts, *silent})]


def commands(changes: Iterable[Change], model: Model, models: Placement, instruments: Sequence[Instrument]) -> list[Records]:
    """The changes as commands in order of time, every part put in place.

    A change at t comes before whatever arrives or is due at t. One for all instruments leaves out those that have parts of their own.
    """
    identifiers = {one.name: one.id for one in instruments}
    changes = list(changes)
    own = {change.instrument for change in changes} & set(identifiers)
    found: list[tuple[int, Records]] = []
    for change in changes:
        if change.instrument and change.instrument not in identifiers:
            continue
        number = models.place(model, change.part) if change.part is not None else 0
        targets = [change.instrument] if change.instrument else [name for name in identifiers if name not in own] if own else [""]
        for target in targets:
            record = command(MODEL, max(change.at_ns - 1, 0), number, identifiers[target] if target else 0)
            found.append((change.at_ns, record))
    return [record for _, record in sorted(found, key=lambda pair: pair[0])]


class Merger:
    """Puts commands into a stream of records by arrival: each before the first record that arrives later than its stamp."""

    def __init__(self, orders: Iterable[Records]) -> None:
        self.waiting = list(orders)

    def due(self, stamp_ns: int) -> list[Records]:
        """Take out the commands whose time has come by core time `stamp_ns`."""
        found = [order for order in self.waiting if int(order["ts_recv"][0]) <= stamp_ns]
        del self.waiting[: len(found)]
        return found

    def cut(self, records: Records) -> Iterator[Records]:
        """The records with the commands that belong among them; all of `records` comes out, also the part behind the last command."""
        first = 0
        while self.waiting and int(self.waiting[0]["ts_recv"][0]) < int(records["ts_recv"][-1]):
            at = int(np.searchsorted(records["ts_recv"], self.waiting[0]["ts_recv"][0], side="right"))
            if at > first:
                yield records[first:at]
            first = max(first, at)
            yield self.waiting.pop(0)
        yield records[first:]


def merged(stream: Iterable[Records], orders: Iterable[Records]) -> Iterator[Records]:
    """A whole stream through a `Merger`."""
    merger = Merger(orders)
    for records in stream:
        yield from merger.cut(records)
