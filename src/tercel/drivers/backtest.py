"""The back-test driver: recorded history through the same sequencer and the same core as paper and live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.base.codes import NAMES, NO_MODEL
from tercel.base.errors import ConfigError, TercelError
from tercel.base.records import COMMAND, OUT_FILL, OUTPUT, Records
from tercel.base.time import clock_ns, format_instant
from tercel.base.typed import typed
from tercel.core.engine import Engine
from tercel.core.layout import H_LEDGER, H_QUOTES
from tercel.core.market_phase import ROW_INPUT, ROW_SLOT, ROW_WORDS
from tercel.core.setup import CoreConfig
from tercel.decision.rules import ModelRule, Rule
from tercel.decision.strategy import Strategy
from tercel.drivers import schedule
from tercel.drivers.anchor import anchored
from tercel.drivers.history import Source
from tercel.drivers.result import Result, book_of, currency_result, equity_curve, instrument_result
from tercel.drivers.session import Plan, compile_core
from tercel.execution.venue import VenueModel
from tercel.features.program import BASE_COLUMNS
from tercel.features.spec import FeatureSet
from tercel.ledger.kernels import L_CASH, L_FEES, L_POSITION, LEDGER_WORDS
from tercel.market.kernels import Q_MID, QUOTE_WORDS
from tercel.models.model import Model
from tercel.risk.limits import Limits

Progress = Callable[[str, int, int], None]
CURVE_POINTS_MAX = 1_000_000
CLOSE = ROW_WORDS + BASE_COLUMNS.index("close")


@typed(
    history='tc.history("EURUSD@oanda"), tc.from_frame(…) or tc.SimulatedHistory(…)',
    features='tc.FeatureSet(tc.bars("1m"), [tc.rsi(14)])',
    decide="tc.EmaCross(), a trained model, or an instance of your tc.Strategy",
)
def backtest(
    history: Source,
    features: FeatureSet | None = None,
    decide: Rule | Model | Strategy | None = None,
    *,
    limits: Limits | None = None,
    venue: VenueModel | None = None,
    plan: Plan | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    in_sample: bool = False,
) -> Result:
    """Trade recorded history and report. Orders go through the same checks and the same venue model as on paper.

    `decide` is a rule, a trained model or a `Strategy` written in Python (default: the plan's EMA cross). A model trades every stretch of
    its training with the fold that never saw it, and what comes later with its final part; with `in_sample` the final part trades
    everything, and the report says so. `threads` shards the market phase and changes no bit of the result. `progress(what, done, total)` is
    told about it. Raises `ConfigError` for settings that do not fit the history, or when a model may speak about none of it.

    >>> import tercel as tc
    >>> market = tc.SimulatedHistory(seed=7, hours=1)
    >>> result = tc.backtest(market, decide=tc.EmaCross(fast=5, slow=20), limits=tc.Limits(position_lots=2))
    >>> [one.currency for one in result.by_currency]
    ['JPY', 'USD', 'USDT']
    """
    if threads < 1:
        raise ConfigError(f"backtest: threads: expected 1 or more, found {threads!r}")
    plan = plan or Plan()
    plan = replace(
        plan,
        features=features or plan.features,
        decide=ModelRule(decide) if isinstance(decide, Model) else decide or plan.decide,
        limits=limits or plan.limits,
        venue=venue or plan.venue,
    )
    return Backtest(plan, history, threads, progress, in_sample=in_sample).run()


class Backtest:
    """One run over one history."""

    def __init__(self, plan: Plan, history: Source, threads: int = 1, progress: Progress | None = None, *, in_sample: bool = False) -> None:
        self._plan, self._history, self._progress = plan, history, progress
        history.check(plan.features.clock)
        self.core: CoreConfig = plan.core(history.instruments, history.quoted)
        compile_core(self.core, progress)
        self._outputs: list[Records] = []
        self._rows: list[npt.NDArray[np.float64]] = []
        self._keep, self._kept = 1, 0  # every so many bars of each instrument are kept for the curve, and how many are held
        self._bars = np.zeros(len(self.core.instruments), np.int64)  # bars so far by slot
        self.sequencer = plan.sequencer(self.core)
        self.engine = Engine(self.core, self._take, threads=threads, on_rows=self._take_rows)
        self._core_ns = 0
        self._first_ns = 0
        self.warmed = 0  # records played to bring features from their anchor to the start
        self._orders: list[Records] = []
        self._notes: list[str] = []
        if isinstance(plan.decide, ModelRule):
            self._place(plan.decide.model, in_sample)

    def _place(self, model: Model, in_sample: bool) -> None:
        changes = schedule.final(model) if in_sample else schedule.honest(model)
        self._orders = schedule.commands(changes, model, self.engine.models, self.core.instruments)
        if in_sample:
            self._notes.append(f"IN SAMPLE: {model.name} has seen this history; what it earns here says nothing about tomorrow.")
        else:
            folds = len({part.name for part in model.folds})
            self._notes.append(f"Out of sample: {model.name}, {folds} folds, each over the stretch it never saw.")

    def _take(self, outputs: Records) -> None:
        self._outputs.append(outputs.copy())

    def _take_rows(self, rows: npt.NDArray[np.int64]) -> None:
        slots = rows[:, ROW_SLOT]
        places = self._bars[slots] + place_in_group(slots)
        self._bars += np.bincount(slots, minlength=len(self._bars))
        rows = rows[places % self._keep == 0]
        times = self._times(rows[:, ROW_INPUT])
        self._rows.append(np.stack([rows[:, ROW_INPUT], rows[:, ROW_SLOT], times, rows.view(np.float64)[:, CLOSE]]))
        self._kept += len(rows)
        while self._kept > max(CURVE_POINTS_MAX, len(self._bars)):
            self._thin()

    def _thin(self) -> None:
        """Keep every second of the bars held, instrument by instrument, so that none is left out."""
        held = np.concatenate(self._rows, axis=1)
        held = held[:, place_in_group(held[1]) % 2 == 0]
        self._rows, self._keep, self._kept = [held], self._keep * 2, held.shape[1]

    def _times(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return self._batch["ts_recv"][numbers - self._batch_first].astype(np.float64)

    def run(self) -> Result:
        """Play the history to its end."""
        start = clock_ns()
        total, done = self._history.rows, 0
        features, latency_ns = self._plan.complete_features, self._plan.feed_latency_ns
        stream, self.warmed = anchored(self._history, features, latency_ns, self.sequencer, self.engine, self._progress)
        for records in schedule.merged(stream, self._orders):
            ours = records["kind"][0] == COMMAND
            if not (done or ours):
                self._first_ns = int(records["ts_recv"][0])
            for sequenced in self.sequencer.push(records):
                self._push(sequenced)
            done += 0 if ours else len(records)
            if self._progress:
                self._progress("ticks", done, max(total, done))
        for sequenced in self.sequencer.finish():
            self._push(sequenced)
        seconds = (clock_ns() - start) / 1e9
        self.engine.close()
        return self._result(done, seconds)

    def _push(self, sequenced: Records) -> None:
        before = clock_ns()
        self._batch, self._batch_first = sequenced, self.engine.input_number + 1
        self.engine.push(sequenced)
        self._core_ns += clock_ns() - before

    def _result(self, ticks: int, seconds: float) -> Result:
        engine, instruments = self.engine, self.core.instruments
        self._refuse_silence()
        outputs = np.concatenate(self._outputs) if self._outputs else np.zeros(0, OUTPUT)
        book = book_of(instruments)
        book.apply(outputs)
        wrong = book.reconcile(ledger_of(engine))
        if wrong:
            raise TercelError(f"the ledger does not agree with the core: {'; '.join(wrong)}; this is a bug of ours")
        rows = np.concatenate(self._rows, axis=1) if self._rows else np.zeros((4, 0))
        marks = marks_of(engine)
        parts = [(one, book.accounts[one.id], marks[one.id]) for one in instruments]
        fills = outputs[outputs["kind"] == OUT_FILL]
        curves = {
            currency: equity_curve(instruments, fills, rows, [slot for slot, one in enumerate(instruments) if one.quote == currency])
            for currency in self.core.currencies
        }
        by_currency = [
            currency_result(currency, [part for part in parts if part[0].quote == currency], fills, curves[currency])
            for currency in self.core.currencies
        ]
        return Result(
            title=self._history.describe(), instruments=instruments, ticks=ticks, inputs=engine.input_number, bars=engine.rows_seen,
            seconds=seconds, core_seconds=self._core_ns / 1e9, first_ns=self._first_ns, last_ns=engine.stamp, orders=engine.orders,
            outputs=outputs, by_currency=by_currency, by_instrument=[instrument_result(*part) for part in parts],
            reasons=engine.reasons(), dropped=engine.bar_counts(), state_hash=engine.state_hash(), equity=curves, notes=self._notes,
            closes={one.name: closes_of(rows, slot) for slot, one in enumerate(instruments)},
        )  # fmt: skip

    def _refuse_silence(self) -> None:
        """A model that may speak about nothing here is no result."""
        decide, engine = self._plan.decide, self.engine
        if isinstance(decide, ModelRule) and engine.evaluations and engine.reasons() == {NAMES[NO_MODEL]: engine.evaluations}:
            parts = ", ".join(
                f"{part.name} {format_instant(part.test_first_ns or part.seen_last_ns, 0)}" for part in decide.model.manifest.parts[:8]
            )
            raise ConfigError(
                f"model {decide.model.name}: it has seen all of this history, and no part may speak about it (from: {parts}); "
                "take other data, or in_sample=True to look at what it learnt"
            )


def closes_of(rows: npt.NDArray[np.float64], slot: int) -> npt.NDArray[np.float64]:
    """Times and closes of the kept bars of a slot that had a price: float64[2, n]. `rows` is float64[4, n]: input, slot, time, close."""
    mine = rows[2:, (rows[1] == slot) & np.isfinite(rows[3])]
    return np.ascontiguousarray(mine)


def place_in_group(groups: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """For each item how many before it are of the same group: [7, 3, 7, 7] gives [0, 0, 1, 2]."""
    order = np.argsort(groups, kind="stable")
    in_order = groups[order]
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - np.searchsorted(in_order, in_order)
    return places


def ledger_of(engine: Engine) -> dict[int, tuple[int, int, int]]:
    """The core's (position, cash, fees) by instrument id."""
    layout, account = engine.config.layout, engine.account
    found = {}
    for slot, one in enumerate(engine.config.instruments):
        at = layout.section(H_LEDGER, LEDGER_WORDS, slot)
        found[one.id] = (int(account[at + L_POSITION]), int(account[at + L_CASH]), int(account[at + L_FEES]))
    return found


def marks_of(engine: Engine) -> dict[int, float]:
    """The last good mid by instrument id; 0.0 when there never was one."""
    layout, reals = engine.config.layout, engine.account.view(np.float64)
    return {one.id: float(reals[layout.section(H_QUOTES, QUOTE_WORDS, slot) + Q_MID]) for slot, one in enumerate(engine.config.instruments)}


__all__: Sequence[str] = ["Backtest", "backtest", "ledger_of", "marks_of"]
