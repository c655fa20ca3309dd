"""What the trader shows: the account state, copied column by column into the live view a few times a second."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tercel.base.codes import COUNT
from tercel.base.records import OUT_DENIED, Records
from tercel.base.time import NS_PER_MIN, wall_ns
from tercel.core.engine import Engine
from tercel.core.layout import H_EXECUTION, H_LEDGER, H_QUOTES, H_REASONS
from tercel.core.market_phase import M_BASE, M_SLOT_WORDS, ROW_OPEN, ROW_SLOT, ROW_WORDS
from tercel.core.sequencer import Sequencer
from tercel.core.setup import CoreConfig
from tercel.execution.kernels import E_OPEN, EXECUTION_WORDS
from tercel.features.program import TIME_CLOCK
from tercel.ledger.kernels import L_CASH, L_FEES, L_POSITION, LEDGER_WORDS
from tercel.market import kernels as market
from tercel.market.feeds.base import FeedState
from tercel.observe.layout import PROBLEM_BYTES
from tercel.observe.live import LiveInstrument, LiveWriter

Reals = npt.NDArray[np.float64]


class Publisher:
    """Writes one live view from one engine."""

    def __init__(self, view: LiveWriter, engine: Engine, sequencer: Sequencer) -> None:
        self._view, self._engine, self._sequencer = view, engine, sequencer
        self._config = engine.config
        slots = len(self._config.instruments)
        self._slot_of = self._config.slot_of
        self._quotes = self._section(H_QUOTES, market.QUOTE_WORDS, slots)
        self._ledger = self._section(H_LEDGER, LEDGER_WORDS, slots)
        self._execution = self._section(H_EXECUTION, EXECUTION_WORDS, slots)
        at = self._config.layout.places[H_REASONS]
        self._reasons = engine.account[at : at + slots * COUNT].reshape(slots, COUNT)
        self._unit = np.array([one.multiplier / 10**one.size_decimals for one in self._config.instruments])
        base, step = int(engine.market[M_BASE]), int(engine.market[M_SLOT_WORDS])
        bars = engine.market[base : base + slots * step].reshape(slots, step)
        ring = bars[:, market.BAR_RING : market.BAR_RING + market.PENDING * market.PENDING_WORDS]
        self._ring = ring.reshape(slots, market.PENDING, market.PENDING_WORDS)  # a view: it shows the bars as they grow
        assert np.shares_memory(self._ring, engine.market)
        self._rows: list[tuple[int, int, list[float]]] = []
        self._outputs: list[Records] = []
        self._quote_wall = np.zeros(slots, np.int64)
        self._last_wall = wall_ns()
        self._kinds = np.zeros(view.status["inputs"].shape[-1], np.int64)

    @staticmethod
    def instruments(config: CoreConfig) -> list[LiveInstrument]:
        """What the view is created with."""
        return [LiveInstrument(one.name, one.id, one.quote, one.price_decimals, one.size_decimals, one.lot) for one in config.instruments]

    @staticmethod
    def candle_ns(config: CoreConfig) -> int:
        """Width of a candle: the program's own interval, a minute when it has none."""
        return int(config.program.clock.amount) if config.program.clock.kind == TIME_CLOCK else NS_PER_MIN

    def _section(self, place: int, words: int, slots: int) -> npt.NDArray[np.int64]:
        at = self._config.layout.places[place]
        return self._engine.account[at : at + slots * words].reshape(slots, words)

    def rows(self, rows: npt.NDArray[np.int64]) -> None:
        """Closed bars become candles."""
        for row in rows[-256:]:
            self._rows.append((int(row[ROW_SLOT]), int(row[ROW_OPEN]), row.view(np.float64)[ROW_WORDS : ROW_WORDS + 5].tolist()))
        del self._rows[:-4096]

    def outputs(self, outputs: Records) -> None:
        """Outputs to show; they are in the journal already."""
        self._outputs.append(outputs)

    def seen(self, records: Records, wall: int) -> None:
        """Market records arrived at wall time `wall`."""
        self._last_wall = wall
        kinds = records["kind"]
        if len(records) == 1:
            self._kinds[int(kinds[0])] += 1
            slot = int(self._slot_of[int(records["instrument"][0])])
            self._quote_wall[slot] = wall
            return
        self._kinds += np.bincount(kinds, minlength=len(self._kinds))
        slots = self._slot_of[records["instrument"]]
        self._quote_wall[slots[slots >= 0]] = wall

    def publish(self, state: str, halted: bool, rewarmed: bool, counts: dict[int, int], decreased: int, feed: FeedState) -> None:
        """Write everything in one publication."""
        view, engine = self._view, self._engine
        now = wall_ns()
        bars = engine.bar_counts()
        forming = self._forming()
        quotes = self._quotes.view(np.float64)
        known = ~np.isin(self._quotes[:, market.Q_STATE], (market.QUOTE_NONE, market.QUOTE_LOST))
        mids = np.where(quotes[:, market.Q_MID] > 0, quotes[:, market.Q_MID], 0.0)
        position = self._ledger[:, L_POSITION]
        pnl = self._ledger[:, L_CASH] - self._ledger[:, L_FEES] + np.rint(position * self._unit * mids * 1e6).astype(np.int64)
        view.begin()
        rows = view.instruments
        for name, word in (("bid", market.Q_BID), ("ask", market.Q_ASK), ("bid_size", market.Q_BID_SIZE), ("ask_size", market.Q_ASK_SIZE)):
            rows[name] = np.where(known, quotes[:, word], np.nan)
        rows["mark"] = np.where(mids > 0, mids, np.nan)
        rows["quote_ns"], rows["quote_wall_ns"] = self._quotes[:, market.Q_EVENT], self._quote_wall
        rows["position"], rows["cash_micros"], rows["fees_micros"] = position, self._ledger[:, L_CASH], self._ledger[:, L_FEES]
        rows["pnl_micros"], rows["open_orders"] = pnl, self._execution[:, E_OPEN]
        view.reasons[:] = self._reasons
        for slot, opened, candle in (*self._rows, *forming):
            view.candle(slot, opened, *candle)
        for outputs in self._outputs:
            view.push_outputs(outputs)
        status = view.status
        status["core_time_ns"], status["input_number"], status["epoch"] = engine.stamp, engine.input_number, engine.epoch
        status["data_age_ns"], status["late_ticks"], status["dropped"] = (
            now - self._last_wall if feed.age_ns is None else feed.age_ns,
            bars["late"],
            bars["ahead"] + bars["unpriced"],
        )
        status["orders"], status["fills"], status["denied"] = engine.orders, engine.fills, counts.get(OUT_DENIED, 0)
        status["halted"], status["rewarmed"], status["state"] = halted, rewarmed, state.encode()
        status["feed_state"] = b"done" if state == "done" else feed.text.encode()
        status["feed_gaps"], status["feed_dropped"], status["feed_reconnects"] = feed.gaps, sum(feed.dropped.values()), feed.reconnects
        status["feed_problem"] = feed.problem.encode()[:PROBLEM_BYTES]
        status["inputs"][0] = self._kinds
        view.end(now)
        self._rows.clear()
        self._outputs.clear()

    def _forming(self) -> list[tuple[int, int, list[float]]]:
        """The newest open bar of each instrument, as it stands."""
        starts = np.where(self._ring[:, :, market.P_ACTIVE] == 1, self._ring[:, :, market.P_START], -1)
        newest = starts.argmax(axis=1)
        slots = np.flatnonzero(starts.max(axis=1) >= 0)
        bars = self._ring[slots, newest[slots]]
        opened = bars[:, market.P_START].tolist()
        reals = bars.view(np.float64)[:, market.P_OPEN : market.P_VOLUME + 1].tolist()
        return list(zip(slots.tolist(), opened, reals, strict=True))
