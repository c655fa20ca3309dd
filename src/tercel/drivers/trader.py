"""The trader process: feed, sequencer, input log, core, journal, live view. One loop, nothing else in Python.

What comes from outside in one turn: requests of operators, then market records. The inputs are in the log before the core sees them, the
core's outputs are in the journal before anyone else does. Clocks are read here, feed histograms, and never reach the core.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

import numpy as np
import numpy.typing as npt

from tercel import __version__
from tercel.base import codes, paths
from tercel.base.errors import ConfigError, DataError, TercelError
from tercel.base.kernel import COMPILED
from tercel.base.records import (
    DEGRADE,
    EPOCH,
    FEATURES_LATE,
    HALT,
    MODEL,
    ORDER,
    OUT_DENIED,
    OUT_FILL,
    OUT_INTENT,
    REWARM,
    Records,
    empty,
)
from tercel.base.time import NS_PER_MS, NS_PER_S, clock_ns, format_instant, wall_ns
from tercel.core.engine import Engine
from tercel.core.layout import H_ACCOUNT
from tercel.core.sequencer import S_DECREASED, command
from tercel.core.step import Step
from tercel.drivers import by_hand, schedule
from tercel.drivers.anchor import Warming
from tercel.drivers.history import Source
from tercel.drivers.late import LateWatch
from tercel.drivers.publisher import Publisher
from tercel.drivers.recovery import Recovered, Recovery, State, layout_of, save_snapshot, state_of
from tercel.drivers.seats import Seats
from tercel.drivers.session import Plan, Progress, compile_core
from tercel.drivers.settings import hash_of, text_of
from tercel.journal import entries
from tercel.journal.by_hand import ByHand
from tercel.journal.input_log import InputLog
from tercel.journal.journal import Journal
from tercel.journal.journal import Sync as JournalSync
from tercel.market.feeds.base import Feed
from tercel.observe import by_hand as words
from tercel.observe.control import HALTED, OTHER, REFUSED, RUNNING, TAKEN, ControlServer, Request
from tercel.observe.live import LiveWriter
from tercel.observe.stages import DECIDE, FEATURES, FEED, JOURNAL, LOG, PUBLISH, SEQUENCE, TOTAL
from tercel.risk.kernels import K_HALTED

POLL_LIMIT: Final = 1_024  # records taken per turn; what is due beyond that waits in the feed
IDLE_NS_MAX: Final = 2 * NS_PER_MS  # longest sleep, so that a halt is seen at once
STAGED_EVERY: Final = 16
CAUGHT_UP_MAX: Final = 8  # polls before an order by hand; with more still waiting, it comes among them
NOTHING: Final = empty(0)
PUBLISH_NS: Final = 50 * NS_PER_MS
SNAPSHOT_NS: Final = 60 * NS_PER_S
PARENT_CHECK_NS: Final = NS_PER_S


@dataclass(frozen=True)
class TraderOptions:
    """How one trader runs. `sync` is the journal's durability; `stop_when_done` ends the loop at the end of a recording.

    `spin` never sleeps: the trader takes a whole core, and a tick finds its code and data in the caches."""

    account: str = "paper"
    mode: str = "PAPER"
    sync: JournalSync = "always"
    stop_when_done: bool = False
    seconds: float | None = None
    spin: bool = False
    feed: str = ""  # names the feed: an account that was fed with another one is refused


class Trader:
    """One trader of one account. `start` recovers, `run` trades until it is told to stop, `close` leaves everything durable."""

    def __init__(
        self, plan: Plan, feed: Feed, options: TraderOptions, quoted: frozenset[str] | None = None, past: Source | None = None
    ) -> None:
        self.plan, self.feed, self.options = plan, feed, options
        self.folder = paths.session_dir(options.account)
        self.core = plan.core(feed.instruments, quoted)
        self.sequencer = plan.sequencer(self.core)
        self.epoch = 0
        self.stopping = False
        self.recovered: Recovered | None = None
        self._outputs: list[Records] = []
        self._counts = {OUT_INTENT: 0, OUT_FILL: 0, OUT_DENIED: 0}
        self._parent = os.getppid()
        self._saver: threading.Thread | None = None
        self._turns = 0
        self._step: Step | None = None
        self._safe = 0
        self._whole = True  # the state is that between two inputs; False from an error in the middle of one
        self._late = LateWatch(plan.late_after_ns)
        self._past = past  # what features with an anchor are warmed up from, before the feed begins

    def start(self, progress: Progress | None = None) -> Recovered:
        """Take the account's lock, compile, recover, raise the epoch durably. Raises `ConfigError` when another trader has the account."""
        self.control = ControlServer(paths.run_dir(self.options.account))
        compile_core(self.core, progress)
        self.engine = Engine(self.core, self._take, on_rows=self._take_rows)
        self._seats = Seats(self.plan.decide, self.options.account, self.engine)
        self._seats.prune()
        self._publisher: Publisher | None = None
        self.log, self.journal = InputLog(self.folder / "inputs"), Journal(self.folder / "journal", sync=self.options.sync)
        self.log.open()
        self.journal.open()
        self.layout_hash = layout_of(self.engine, hash_of(self.plan))
        if self.plan.complete_features.anchor:
            if self._past is None:
                raise ConfigError(
                    f"bars.anchor: expected a feed with history of the catalog before it, found {self.feed.name}; leave the anchor out"
                )
            # The state before the first input, from which a log without a snapshot is replayed, too.
            Warming(self._past, self.core.program.anchor, self.plan.feed_latency_ns, self.sequencer, self.engine).run(progress)
        recovery = Recovery(self.folder, self.engine, self.sequencer, self.log, self.journal, self.layout_hash, self._seats.orders)
        recovery.feed = self.options.feed
        self._outputs = recovery.made
        self.recovered = recovery.run(replay_all=self._has_python_strategy)
        self._by_hand = ByHand(recovery.orders)
        self._outputs = []
        self._open_session(self.recovered)
        self.feed.seek(self.sequencer.market_inputs)
        self._open_view()
        self._first_commands()
        self._publish("trading")  # whoever hears that it trades finds the whole view
        if COMPILED:
            self._step = Step(self.sequencer, self.engine, POLL_LIMIT)
        gc.collect()
        gc.freeze()
        return self.recovered

    @property
    def _has_python_strategy(self) -> bool:
        from tercel.decision.strategy import Strategy

        return isinstance(self.plan.decide, Strategy)

    def _open_session(self, recovered: Recovered) -> None:
        self.epoch = recovered.epoch + 1
        session = entries.Session(
            account=self.options.account, epoch=self.epoch, mode=self.options.mode, started_ns=wall_ns(), settings_hash=hash_of(self.plan),
            layout_hash=self.layout_hash, program_hash=self.core.program.hash, tercel_version=__version__,
            market_inputs=self.sequencer.market_inputs,
            feed=self.options.feed,
        )  # fmt: skip
        for payload in (session, entries.Config(text_of(self.plan))):
            self._note(payload)
        for reason in self._seats.skipped:
            self._note(entries.Note("model", f"skipped: {reason}"))
        if recovered.how != "new":
            self._note(entries.Note(recovered.how, f"{recovered.replayed} inputs replayed. {recovered.why}".strip()))
        self.journal.commit()
        self.journal.sync()  # the epoch is the fencing token: durable before anything is sent under it

    def _note(self, payload: entries.Payload) -> None:
        kind, encoded = entries.encode(payload)
        self.journal.append(kind, self.engine.input_number, encoded)

    def _open_view(self) -> None:
        view = LiveWriter.create(
            paths.run_dir(self.options.account) / "live.map", Publisher.instruments(self.core), mode=self.options.mode,
            reason_names=codes.NAMES, account=self.options.account, feed=self.feed.name, candle_ns=Publisher.candle_ns(self.core),
        )  # fmt: skip
        self.view = view
        self._publisher = Publisher(view, self.engine, self.sequencer)
        self._histograms = view.histograms

    def _first_commands(self) -> None:
        self._apply(command(EPOCH, 0, self.epoch))
        if self.recovered is not None and self.recovered.how == "rewarmed":
            self._apply(command(REWARM, 0, self.core.program.memory_rows))
        self._orders = schedule.Merger(self._seats.orders)
        how = self.recovered.how if self.recovered is not None else "new"
        # A log holds those before its last stamp; one of that very instant may have been lost with its end, and is seated again.
        for order in self._orders.due(self.sequencer.stamp - (how == "recovered")):
            if how == "new":
                self._apply(order)
        lost = self.engine.seated - set(self.engine.models.numbers)
        if lost:
            raise ConfigError(
                f"account {self.options.account}: it was trading with models that are not stored any more ({', '.join(map(str, lost))}); "
                "`tercel models use` them again, or use another --account"
            )
        if self.engine.late:
            self._say_late(0)  # an earlier trader found them late; this one has yet to see
        if self.control.killed and not self.halted:
            self._apply(command(HALT, 0))

    @property
    def halted(self) -> bool:
        """Whether the core refuses every order."""
        return bool(self.engine.account[self.engine.account[H_ACCOUNT] + K_HALTED])

    def _take(self, outputs: Records) -> None:
        self._outputs.append(outputs.copy())

    def _take_rows(self, rows: npt.NDArray[np.int64]) -> None:
        if self._publisher is not None:
            self._publisher.rows(rows)

    def run(self) -> None:
        """Trade until `stop`, the end of `seconds`, or the end of the feed when asked. Every wait in here is at most 2 ms."""
        started = clock_ns()
        deadline = started + int(self.options.seconds * NS_PER_S) if self.options.seconds is not None else None
        self._published = self._snapshot_at = self._checked = started
        finished = self._whole = False
        while not self.stopping:
            now = clock_ns()
            if deadline is not None and now >= deadline:
                break
            busy = self._turn(now)
            if not busy and not finished and self.feed.done:
                finished = True
                for part in self.sequencer.finish():
                    self._core(part, clock_ns())
                if self.options.stop_when_done:
                    break
            self._housekeeping(clock_ns(), "done" if finished else "trading")
            if not busy:
                self._rest()
        self._whole = True

    def _turn(self, turn_started: int) -> bool:
        for request in self.control.poll():
            self._obey(request)
        if self.control.killed and not self.halted:
            self._apply(command(HALT, 0))
        late = self._late.news(turn_started)
        if late is not None:
            self._say_late(late)
        wall = wall_ns()
        records = self.feed.poll(wall, POLL_LIMIT)
        if not len(records):
            self._pass_time(wall)
            return False
        polled = clock_ns()
        self._histograms[FEED].record(polled - turn_started)
        self._take_in(records, polled)
        return True

    def _take_in(self, records: Records, polled: int) -> None:
        if self._orders.waiting:
            for part in self._orders.cut(records):
                self._apply(part, clock_ns())
        else:
            self._apply(records, polled)
        assert self._publisher is not None
        self._publisher.seen(records, wall_ns())

    def _pass_time(self, wall: int) -> None:
        """Nothing has come: let timers that are due close their bars now, not when the next record comes. The stream is the same."""
        due = self.sequencer.timer_due_ns
        if not due:
            return
        now = self.feed.source_now_ns(wall)
        self._seat(now)
        if now >= due:
            self._wait_until(now)

    def _seat(self, now: int) -> None:
        for order in self._orders.due(now) if self._orders.waiting else ():
            self._apply(order)

    def _wait_until(self, now: int) -> None:
        for part in self.sequencer.push(NOTHING, now):
            self._core(part, clock_ns())

    def _catch_up(self) -> int:
        """Let the core know all that has come and all that time has caused by now. Core time now, 0 when that cannot be known.

        What does not come from the market is as old as the moment it comes in, not as the last tick: else a quote that stands for an hour
        would look fresh to it.
        """
        wall = wall_ns()
        for _ in range(CAUGHT_UP_MAX):
            records = self.feed.poll(wall, POLL_LIMIT)
            if not len(records):
                now = self.feed.source_now_ns(wall)
                self._seat(now)
                self._wait_until(now)
                return now
            self._take_in(records, clock_ns())
        return 0

    def _apply(self, records: Records, started: int | None = None) -> None:
        """Sequence records and push them through everything. `started` times them.

        What comes from the market takes one entry into compiled code; every `STAGED_EVERY`th turn goes stage by stage instead, so that each
        stage has its histogram. The outputs are the same to the bit.
        """
        if started is not None and self._step is not None:
            self._turns += 1
            if self._turns % STAGED_EVERY:
                self._apply_at_once(self._step, records, started)
                return
        at = started if started is not None else clock_ns()
        for part in self.sequencer.push(records):
            sequenced = clock_ns()
            if started is not None:
                self._histograms[SEQUENCE].record(sequenced - at)
            self._core(part, sequenced, started)
            at = clock_ns()

    def _apply_at_once(self, step: Step, records: Records, started: int) -> None:
        try:
            step(records)
        except BaseException:
            self.log.append(step.sequenced)  # whoever looks for a fault, or for the error of a strategy, needs the input that caused it
            raise
        decided = clock_ns()
        self._histograms[TOTAL].record(decided - started)
        self._late.took(decided - started, decided)
        # Before the journal: it must never know an output whose input the log lacks.
        self.log.append(step.sequenced)
        logged = clock_ns()
        self._histograms[LOG].record(logged - decided)
        if self._outputs:
            self._keep_outputs(logged)

    def _core(self, part: Records, at: int, started: int | None = None) -> None:
        self.log.append(part)
        logged = clock_ns()
        first = self.engine.load(part)
        if first:
            memory, rows = self.engine.market_phase(first, len(part))
            featured = clock_ns()
            self.engine.account_phase(first, len(part), memory, rows)
        else:
            featured = logged
            self.engine.push(part)
        decided = clock_ns()
        if started is not None:
            self._histograms[LOG].record(logged - at)
            self._histograms[FEATURES].record(featured - logged)
            self._histograms[DECIDE].record(decided - featured)
            self._histograms[TOTAL].record(decided - started)
            self._late.took(featured - logged, decided)
        if self._outputs:
            self._keep_outputs(decided)

    def _say_late(self, late: int) -> None:
        """From here on the core stands on the last good features, or asks for new ones again. An input, so that a replay knows."""
        self._apply(command(FEATURES_LATE, 0, late, kind=DEGRADE))
        self._note(entries.Note("features", "late" if late else "in time"))

    def _keep_outputs(self, at: int) -> None:
        """The journal first, then the eyes."""
        for outputs in self._outputs:
            self.journal.append(entries.OUTPUTS, int(outputs["input"][-1]), entries.encode_outputs(outputs))
        self.journal.commit()
        self._histograms[JOURNAL].record(clock_ns() - at)
        assert self._publisher is not None
        for outputs in self._outputs:
            self._publisher.outputs(outputs)
            for kind in self._counts:
                self._counts[kind] += int(np.count_nonzero(outputs["kind"] == kind))
        self._outputs.clear()

    def _obey(self, request: Request) -> None:
        if request.command == ORDER:
            self._take_order(request)
            return
        self._note(entries.Command(request.command, request.who, request.why))
        self.journal.commit()
        if request.command == MODEL:
            self._take_model(request)
            return
        self._apply(command(request.command, 0))
        wanted = HALTED if request.command == HALT else RUNNING
        state = HALTED if self.halted else RUNNING
        self.control.acknowledge(request, self.engine.input_number, state if state == wanted else REFUSED)
        self._publish("trading")

    def _take_model(self, request: Request) -> None:
        try:
            order = self._seats.take(request.why)
        except TercelError as error:
            self._note(entries.Note("model", f"refused: {error}"))
            self.control.acknowledge(request, self.engine.input_number, REFUSED)
            return
        self._apply(order)  # outside: a fault of the core is no refusal, it ends the trader
        self.control.acknowledge(request, self.engine.input_number, TAKEN)

    def _take_order(self, request: Request) -> None:
        """An order by hand. One that the journal knows is answered as it was; any other is answered once the journal holds it."""
        try:
            asked = words.read(request.why, words.Asked)
            if asked.instrument not in {one.id for one in self.core.instruments}:
                raise DataError(f"order: instrument id {asked.instrument} is not traded here")
        except DataError as error:
            self.control.acknowledge(request, 0, REFUSED, str(error))
            return
        known = self._by_hand.find(asked.client_id)
        if known is not None and not by_hand.same(known, asked):
            self.control.acknowledge(request, known.input_number, OTHER, by_hand.answer_to(known, repeated=True))
            return
        given = known or self._give(asked, request.who)
        self.control.acknowledge(request, given.input_number, TAKEN, by_hand.answer_to(given, repeated=known is not None))

    def _give(self, asked: words.Asked, who: str) -> entries.Order:
        stamp = self._catch_up()
        if self.control.killed and not self.halted:
            self._apply(command(HALT, 0))
        (part,) = self.sequencer.push(by_hand.input_of(asked, stamp))  # alone: what was due by then has come before
        self.log.append(part)
        self.engine.push(part)
        given = by_hand.entry_of(self.engine.input_number, part[-1], self._outputs, asked.client_id, who)
        self._note(given)
        self._keep_outputs(clock_ns())  # both in one batch: a crash leaves both, or neither
        self.journal.sync()  # somebody is told
        self._by_hand.add(given)
        return given

    def _housekeeping(self, now: int, state: str) -> None:
        if now - self._published >= PUBLISH_NS:
            self._published = now
            self._publish(state)
            self._histograms[PUBLISH].record(clock_ns() - now)
            self.journal.commit()
        if now - self._snapshot_at >= SNAPSHOT_NS:
            self._snapshot_at = now
            self.snapshot()
        if now - self._checked >= PARENT_CHECK_NS:
            self._checked = now
            if os.getppid() != self._parent:
                self.stopping = True  # whoever started this trader is gone; nobody would see it trade

    def _publish(self, state: str) -> None:
        assert self._publisher is not None
        rewarmed = self.recovered is not None and self.recovered.how == "rewarmed"
        feed = self.feed.state(wall_ns())
        self._publisher.publish(state, self.halted, rewarmed, self._counts, int(self.sequencer.state[S_DECREASED]), feed)

    def _rest(self) -> None:
        if self.options.spin:
            return
        now = wall_ns()
        due = self.feed.next_due_ns(now)
        wait = IDLE_NS_MAX if due is None else min(IDLE_NS_MAX, due - now)
        if wait > 0:
            self.feed.wait(wait)

    def snapshot(self) -> None:
        """Copy the state here, store it on a thread of its own; the log may then drop what lies before the snapshot stored last time.

        The journal is durable first: a snapshot that knew of more would hide from a restart what the journal lacks. For a strategy with
        state of its own nothing is stored: it is replayed from where it began, or rewarmed once the log has dropped that.
        """
        if self._saver is not None:
            self._saver.join()
        if self._has_python_strategy:
            self.log.allow_trim(self.engine.input_number + 1)
            return
        self.log.allow_trim(self._safe)
        self.journal.commit()
        self.journal.sync()
        self._saver = threading.Thread(target=self._save, args=(state_of(self.engine, self.sequencer),), name="snapshot")
        self._saver.start()

    def _save(self, state: State) -> None:
        save_snapshot(self.folder, state, self.layout_hash)
        self._safe = state.input_number + 1  # only once it is stored

    def stop(self, number: int = 0, _frame: FrameType | None = None) -> None:
        """End `run` after the current turn; fits a signal handler."""
        self.stopping = True

    def close(self) -> None:
        """Publish, store and release; the account can be started again from here. After an error nothing of the state is stored."""
        self._publish("stopped")
        if self._whole:
            self._note(entries.Hash(self.engine.input_number, self.engine.state_hash()))
        self.journal.commit()
        self.log.sync()
        if self._whole:
            self.snapshot()
        if self._saver is not None:
            self._saver.join()
        self.journal.close()
        self.log.close()
        self.engine.close()
        self.feed.close()
        self.control.close()

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.engine.input_number:,} inputs to {format_instant(self.engine.stamp, 0)}, "
            f"{self.engine.orders:,} orders, {self.engine.fills:,} fills, "
            f"state {self.engine.state_hash()}"
        )


def handle_signals(trader: Trader, numbers: Sequence[int] = (signal.SIGTERM, signal.SIGINT)) -> None:
    """Let these signals end the trader in order."""
    for number in numbers:
        signal.signal(number, trader.stop)
