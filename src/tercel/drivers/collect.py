"""From history to a dataset: rows by the same sequencer and engine as every driver's, outcomes by the quotes of the same stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.kernel import compile_all, entry
from tercel.base.records import BAR, GAP, OUT_DENIED, QUOTE, TRADE, Records
from tercel.core.engine import Engine
from tercel.core.layout import H_EXECUTION, H_QUOTES
from tercel.core.market_phase import ROW_INPUT, ROW_SLOT, ROW_WORDS
from tercel.decision.rules import Onlooker
from tercel.drivers.anchor import anchored
from tercel.drivers.history import Source
from tercel.drivers.session import Plan, compile_core
from tercel.execution.kernels import E_LATENCY, E_TAKER, EXECUTION_WORDS, RATE_UNIT
from tercel.market.kernels import PRICE_MAX, Q_HALF_SPREAD, Q_TRADES_QUOTE, QUOTE_WORDS
from tercel.models.barriers import TripleBarrier
from tercel.models.training.dataset import Dataset
from tercel.models.training.folds import TooLittle
from tercel.models.training.labels import FAR, Quotes, bar_quotes, label, label_side, tick_quotes, with_losses

Progress = Callable[[str, int, int], None]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Collector:
    """Plays a history once and keeps the rows of its program and the quotes of its instruments."""

    def __init__(self, plan: Plan, history: Source, inputs: tuple[str, ...], barriers: TripleBarrier, progress: Progress | None) -> None:
        history.check(plan.features.clock)
        self._plan, self._history, self._progress = plan, history, progress
        self.inputs, self._barriers = inputs, barriers
        self.core = replace(plan.core(history.instruments, history.quoted), decide=Onlooker())
        compile_core(self.core, progress)
        compile_all([entry(label_side)], progress)
        program = self.core.program
        self._columns = [ROW_WORDS + program.register(name) for name in (*inputs, barriers.volatility.name)]
        self.engine = Engine(self.core, self._take_outputs, on_rows=self._take_rows)
        self._slot_of = self.core.slot_of
        self._numbers: list[Integers] = []  # [3, rows]: input, slot, stamp
        self._rows: list[Floats] = []
        self._denied: list[Integers] = []  # [2, rows] at which nothing could be entered: input, slot
        self._quotes: list[list[Records]] = [[] for _ in self.core.instruments]
        self._quote_numbers: list[list[Integers]] = [[] for _ in self.core.instruments]
        self.ticks = 0

    def collect(self) -> Dataset:
        """The dataset: a row for each bar at which the core could trade, with the outcomes of both sides.

        Raises `ConfigError` when there is none.
        """
        sequencer, total = self._plan.sequencer(self.core), self._history.rows
        features, latency_ns = self._plan.features, self._plan.feed_latency_ns
        stream, _ = anchored(self._history, features, latency_ns, sequencer, self.engine, self._progress)
        for records in stream:
            for sequenced in sequencer.push(records):
                self._push(sequenced)
            self.ticks += len(records)
            if self._progress:
                self._progress("ticks", self.ticks, max(total, self.ticks))
        for sequenced in sequencer.finish():
            self._push(sequenced)
        self.engine.close()
        return self._dataset()

    def _push(self, sequenced: Records) -> None:
        self._batch, self._first = sequenced, self.engine.input_number + 1
        kind, instrument = sequenced["kind"], sequenced["instrument"].astype(np.int64)
        known = (kind == QUOTE) | (kind == TRADE) | (kind == BAR) | (kind == GAP)
        known &= instrument < len(self._slot_of)
        slot = np.where(known, self._slot_of[np.where(known, instrument, 0)], -1)
        for one in np.unique(slot[slot >= 0]).tolist():
            stand_in = bool(self._word(H_QUOTES, QUOTE_WORDS, one, Q_TRADES_QUOTE))
            wanted = (slot == one) & ((kind == QUOTE) | (kind == GAP) | (stand_in & ((kind == TRADE) | (kind == BAR))))
            places = np.flatnonzero(wanted)
            self._quotes[one].append(sequenced[places])
            self._quote_numbers[one].append(self._first + places)
        self.engine.push(sequenced)

    def _take_rows(self, rows: Integers) -> None:
        numbers = rows[:, ROW_INPUT]
        self._numbers.append(np.stack([numbers, rows[:, ROW_SLOT], self._batch["ts_recv"][numbers - self._first]]))
        self._rows.append(rows.view(np.float64)[:, self._columns])

    def _take_outputs(self, outputs: Records) -> None:
        denied = outputs[outputs["kind"] == OUT_DENIED]
        self._denied.append(np.stack([denied["input"], self._slot_of[denied["instrument"]]]))

    def _word(self, section: int, words: int, slot: int, word: int) -> int:
        return int(self.engine.account[self.core.layout.section(section, words, slot) + word])

    def _dataset(self) -> Dataset:
        if not self._rows:
            raise ConfigError(f"train: {self._history.describe()}: expected bars, found none; take more history or shorter bars")
        self.bars = int(np.bincount(np.concatenate(self._numbers, axis=1)[1]).max())
        numbers, rows = self._decided()
        self.fingerprint: dict[str, dict[str, Any]] = {}
        parts = []
        self.required = required(self.inputs, rows[:, :-1], numbers[1])
        needed = [self.inputs.index(name) for name in self.required]
        for slot, instrument in enumerate(self.core.instruments):
            quotes = self._quotes_of(slot)
            self.fingerprint[instrument.name] = fingerprint(quotes)
            mine = np.flatnonzero((numbers[1] == slot) & ~np.isnan(rows[:, needed]).any(axis=1))
            parts.append(self._decisions(slot, quotes, numbers[:, mine], rows[mine]))
            if self._progress:
                self._progress("labels", slot + 1, len(self.core.instruments))
        slots, stamps, ends, outcomes, relatives, features = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((slots, stamps))
        names = tuple(instrument.name for instrument in self.core.instruments)
        data = Dataset(
            self.inputs, np.ascontiguousarray(features[order]), slots[order], names, stamps[order], ends[order], outcomes[order],
            relatives[order],
        )  # fmt: skip
        self.decisions, self.known = len(data), int(data.known.sum())
        if not self.known:
            what = f"expected bars with a known outcome, found none among {len(data)} decisions{self._lost()}"
            raise TooLittle(f"train: {self._history.describe()}: {what}")
        return data

    @property
    def refused(self) -> dict[str, int]:
        """By reason, how many bars the core said of that nothing could be entered: none of them is in the dataset."""
        return self.engine.reasons()

    def _lost(self) -> str:
        refused = ", ".join(f"{count:,} {reason}" for reason, count in self.refused.items())
        memory = f"where data was lost, take features with a shorter memory than {self.core.program.memory_rows} bars"
        return f"; bars at which nothing could be entered: {refused}; {memory}" if refused else ""

    def _decided(self) -> tuple[Integers, Floats]:
        """Numbers and rows of the bars of which the core did not say that nothing could be entered.

        An input may close several bars of an instrument. Within one input nothing comes to be denied, so the first of them are.
        """
        numbers, rows = np.concatenate(self._numbers, axis=1), np.concatenate(self._rows)
        slots = len(self.core.instruments)
        bars = numbers[0] * slots + numbers[1]
        denied = np.concatenate([np.zeros(0, np.int64), *(number * slots + slot for number, slot in self._denied)])
        before = np.arange(len(bars)) - np.searchsorted(bars, bars)
        could = before >= np.searchsorted(denied, bars, "right") - np.searchsorted(denied, bars)
        return numbers[:, could], rows[could]

    def _decisions(self, slot: int, quotes: Quotes, numbers: Integers, rows: Floats) -> tuple[npt.NDArray[Any], ...]:
        """(slot, stamp, end, outcome, relative, features) of the rows of one instrument that have a width. At each a good quote stands."""
        stamp, volatility = numbers[2], rows[:, -1]
        standing = np.searchsorted(quotes.number, numbers[0], "right") - 1
        mid = (quotes.bid[standing] + quotes.ask[standing]) * 0.5
        width = volatility * self._barriers.width_scale * mid
        chosen = np.flatnonzero(width > 0.0)
        mid, width = mid[chosen], width[chosen]
        labels = label(
            quotes, standing[chosen], stamp[chosen], width, self._barriers,
            latency_ns=self._word(H_EXECUTION, EXECUTION_WORDS, slot, E_LATENCY),
            fee_rate=self._word(H_EXECUTION, EXECUTION_WORDS, slot, E_TAKER) / RATE_UNIT,
            price_scale=10.0 ** self.core.instruments[slot].price_decimals,
        )  # fmt: skip
        return np.full(len(chosen), slot), stamp[chosen], labels.end, labels.outcome, width / mid, rows[chosen, :-1]

    def _quotes_of(self, slot: int) -> Quotes:
        """The quotes of an instrument as its venue saw them; lets the records go."""
        taken, numbers = self._quotes[slot], self._quote_numbers[slot]
        self._quotes[slot], self._quote_numbers[slot] = [], []
        if not taken:
            nothing = np.zeros(0, np.int64)
            return tick_quotes(nothing, nothing, nothing.astype(float), nothing.astype(float))
        records, number = np.concatenate(taken), np.concatenate(numbers)
        stamp = records["ts_recv"].copy()
        half = float(self.engine.account.view(np.float64)[self.core.layout.section(H_QUOTES, QUOTE_WORDS, slot) + Q_HALF_SPREAD])
        lost = records["kind"] == GAP
        losses = number[lost], stamp[lost]
        records, number, stamp = records[~lost], number[~lost], stamp[~lost]
        of_bars = records["kind"] == BAR
        if of_bars.any() and not of_bars.all():
            name = self.core.instruments[slot].name
            raise ConfigError(f"{name}: expected a history of bars alone or of ticks alone, found both; train on one of them")
        if of_bars.all():
            found = bar_quotes(number, records["ts_event"].copy(), stamp, records["price"].copy(), records["size2"].copy(), half)
        elif self._word(H_QUOTES, QUOTE_WORDS, slot, Q_TRADES_QUOTE):
            price = np.where(records["kind"] == QUOTE, (records["price"] + records["price2"]) * 0.5, records["price"])
            own = records["kind"] == QUOTE
            bid, ask = np.where(own, records["price"], price - half), np.where(own, records["price2"], price + half)
            found = tick_quotes(number, stamp, bid, ask)
        else:
            found = tick_quotes(number, stamp, records["price"].copy(), records["price2"].copy())
        with np.errstate(invalid="ignore"):
            good = (np.abs(found.bid) < PRICE_MAX) & (np.abs(found.ask) < PRICE_MAX) & (found.bid <= found.ask)
        return with_losses(found._replace(bid=np.where(good, found.bid, np.nan), ask=np.where(good, found.ask, np.nan)), *losses)


def required(names: tuple[str, ...], rows: Floats, slots: Integers) -> tuple[str, ...]:
    """The features that every instrument has in every row from its first known one on: only while they warm up are they missing.

    What a source does not say (sizes, volume) may be missing at any time; the forests learn from rows without it, the core scores them.
    """
    kept = []
    for column, name in enumerate(names):
        known = ~np.isnan(rows[:, column])
        if all(mine.any() and mine[mine.argmax() :].all() for mine in (known[slots == slot] for slot in np.unique(slots))):
            kept.append(name)
    return tuple(kept)


def fingerprint(quotes: Quotes) -> dict[str, Any]:
    """What tells the data of one instrument from any other: how many quotes, first and last arrival, SHA-256 over stamps and prices."""
    digest = hashlib.sha256()
    for part in (quotes.stamp, quotes.look, quotes.bid, quotes.ask):
        digest.update(np.ascontiguousarray(part).tobytes())
    stamps = quotes.stamp
    first, last = (int(stamps[0]), int(stamps[-1])) if len(stamps) else (FAR, 0)
    return {"quotes": int(np.count_nonzero(quotes.marks)), "first_ns": first, "last_ns": last, "sha256": digest.hexdigest()}
