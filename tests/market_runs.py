"""Driving the market phase alone: records in, rows out, in any mode, with any number of shards and any cut; and records to do it with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tercel.base.records import BAR, BODY, QUOTE, TIMER, TRADE, Records, empty, words
from tercel.features.spec import FeatureSet
from tercel.models.model import Model
from tests.twins import twin

Rows = npt.NDArray[np.int64]
NAN = float("nan")


class MarketRun:
    """The market phase of one program over `slots` instruments, whose ids are their slots unless `slot_of` says otherwise."""

    def __init__(
        self,
        features: FeatureSet,
        slots: int = 1,
        *,
        mode: str = "compiled",
        shards: int = 1,
        slot_of: Sequence[int] | None = None,
        models: Sequence[Model] = (),
    ) -> None:
        there = twin(mode)
        program = features.compile()
        clock = there.program.Clock(program.clock.kind, program.clock.amount, program.clock.price)
        nodes = tuple(there.program.Node(node.op, node.parameters, node.sources, node.name) for node in program.nodes)
        self.program = there.program.Program(clock, nodes, program.outputs)
        self.phase, self.bars, self.kernel = there.market, there.bars, there.kernel
        self.state = self.phase.new_state(self.program, np.array(range(slots) if slot_of is None else slot_of, np.int64))
        self.models = there.placement.Placement(self.program)
        self.numbers = [self.models.place(model, model.manifest.parts[0]) for model in models]
        self.stride = self.phase.ROW_WORDS + self.program.registers + self.phase.SCORES
        self.shards, self.slots, self.number = shards, slots, 0
        self.scratch = [self._scratch() for _ in range(shards)]

    def _scratch(self) -> tuple[npt.NDArray[Any], ...]:
        heads = np.full(1 + 3 * self.slots, -1, np.int64)
        heads[0] = 0
        return np.zeros(self.program.registers * 1024), self.models.table, self.models.table, self.models.keys(), heads

    def push(self, records: Records) -> Rows:
        """Apply inputs; int64[rows, 8 + registers + 4], the registers and scores being float64 in the same memory."""
        timers = int((records["kind"] == TIMER).sum())
        room = len(records) + timers * self.slots * self.bars.PENDING + 1
        flat = words(np.ascontiguousarray(records)) if len(records) else np.zeros(8, np.int64)
        lists = []
        for shard, (*scratch, heads) in enumerate(self.scratch):
            memory = np.zeros(room * self.stride, np.int64)
            enter = self.kernel.entry(self.phase.market_run).bind(
                self.state, self.state, *self.program.tables, *scratch, memory, memory, heads, flat, flat
            )
            count = enter(self.number + 1, len(records), shard, self.shards)
            lists.append((memory, count))
        memory, count = lists[0]
        for other, more in lists[1:]:
            target = np.zeros((count + more + 1) * self.stride, np.int64)
            count = self.kernel.entry(self.phase.merge_rows).bind(memory, other, target)(self.stride, count, more)
            memory = target
        self.number += len(records)
        return memory[: count * self.stride].reshape(count, self.stride).copy()

    def push_cut(self, records: Records, cuts: Iterable[int]) -> Rows:
        """The same in several calls, which end at `cuts`."""
        places = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
        return np.concatenate([self.push(records[first:last]) for first, last in pairwise(places)] or [self.push(records)])

    def count(self, word: int, slot: int = 0) -> int:
        """A word of the bar state of an instrument, such as `BAR_LATE`."""
        phase = self.phase
        return int(self.state[self.state[phase.M_BASE] + slot * self.state[phase.M_SLOT_WORDS] + word])

    def registers(self, rows: Rows) -> npt.NDArray[np.float64]:
        """The float64 registers of rows, [rows, registers]."""
        return rows[:, self.phase.ROW_WORDS : -self.phase.SCORES].view(np.float64)

    def scores(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Side, raw score, probability and edge of rows, [rows, 4]."""
        return rows[:, -self.phase.SCORES :].view(np.float64)


def record(kind: int, event: int, stamp: int, instrument: int = 0, values: Sequence[float] = ()) -> Records:
    """One record; `values` fill the body from its first field."""
    one = empty(1)
    one["kind"], one["ts_event"], one["ts_recv"], one["instrument"] = kind, event, stamp, instrument
    one.view(np.float64)[BODY : BODY + len(values)] = values
    return one


def quote(
    event: int, bid: float, ask: float, stamp: int | None = None, instrument: int = 0, sizes: tuple[float, float] = (NAN, NAN)
) -> Records:
    """A quote, without sizes unless they are given as (bid size, ask size)."""
    return record(QUOTE, event, event if stamp is None else stamp, instrument, (bid, sizes[0], ask, sizes[1]))


def trade(event: int, price: float, size: float, stamp: int | None = None, instrument: int = 0, side: int = 0) -> Records:
    """A trade; `side` is who came to trade, 1 a buyer, -1 a seller."""
    one = record(TRADE, event, event if stamp is None else stamp, instrument, (price, size, NAN, NAN))
    one["side"] = side
    return one


def bar(opened: int, closed: int, values: Sequence[float], instrument: int = 0) -> Records:
    """A bar that enters at its close."""
    return record(BAR, opened, closed, instrument, values)


def timer(boundary: int, interval: int, grace: int = 0) -> Records:
    """The timer of a boundary."""
    one = record(TIMER, boundary, boundary + grace)
    one.view(np.int64)[BODY] = interval
    return one


def together(*records: Records) -> Records:
    """The records in one array."""
    return np.concatenate(records) if records else empty(0)


def by_arrival(*records: Records) -> Records:
    """The records in one array, in the order of arrival, equal arrivals as given."""
    joined = together(*records)
    return joined[np.argsort(joined["ts_recv"], kind="stable")]


@cache
def real_ticks(folder: Path, latency_ns: int = 3_000_000) -> Records:
    """60,000 quotes and trades of two instruments, 0 a perpetual and 1 the spot, as they arrived or `latency_ns` after they happened."""
    parts = []
    for instrument, symbol in enumerate(("BTCUSDT-PERP", "BTCUSDT")):
        for kind, file, columns in (
            (QUOTE, "quotes/crypto_binance_bbo", ("bid", "bid_size", "ask", "ask_size")),
            (TRADE, "trades/crypto_binance_tick", ("price", "size")),
        ):
            table = pq.read_table(folder / f"{file}.parquet")
            table = table.filter(pa.compute.equal(table["symbol"], symbol)).slice(0, 20_000)
            part = empty(len(table))
            part["kind"], part["instrument"], part["ts_event"] = kind, instrument, table["ts_event"].to_numpy()
            for place, column in enumerate(columns):
                part.view(np.float64).reshape(-1, 8)[:, BODY + place] = table[column].to_numpy()
            if kind == TRADE:
                part["side"] = table["side"].to_numpy()
            part["ts_recv"] = part["ts_event"] + latency_ns
            parts.append(part)
    return by_arrival(*parts)[:60_000]
