"""What the core saw and decided around an instant: the input log played again through a core of our own, beside the trader.

Nothing is locked and nothing is written, so a running trader is not disturbed. The log holds every sequenced input, timers too, so it is
pushed as it is. That the core made here is the trader's own is checked twice: its name is the one that the last session wrote into the
journal, and its outputs around the instant are the journal's, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base import paths
from tercel.base.codes import COUNT
from tercel.base.errors import ConfigError, JournalError, NotRunning
from tercel.base.records import BAR, OUTPUT, TIMER, Records
from tercel.base.time import NS_PER_MIN, format_instant, parse_duration
from tercel.core.engine import Engine
from tercel.core.layout import H_ACCOUNT, H_LEDGER, H_QUOTES, H_REASONS, H_RISK, H_STAMP
from tercel.core.market_phase import ROW_CLOSE, ROW_SLOT, ROW_WORDS
from tercel.core.setup import CoreConfig
from tercel.decision.rules import EmaCross, ModelRule
from tercel.decision.strategy import Strategy
from tercel.drivers import settings
from tercel.drivers.launch import RunSpec, quoted_of
from tercel.drivers.recovery import layout_of
from tercel.drivers.seats import Seats
from tercel.drivers.session import Plan, Progress, compile_core
from tercel.features.program import TIME_CLOCK
from tercel.journal import entries, snapshots
from tercel.journal.files import numbered
from tercel.journal.input_log import read_inputs
from tercel.journal.reader import JournalReader
from tercel.ledger.kernels import L_POSITION, LEDGER_WORDS
from tercel.market import kernels as market
from tercel.market.catalog import Catalog
from tercel.market.instruments import Instrument
from tercel.models.scoring import SCORE_EDGE
from tercel.observe.live import LiveReader
from tercel.risk.kernels import K_HALTED, R_ORDER_MAX, R_POSITION_MAX, R_REWARM_ROWS, RISK_WORDS

CHUNK: Final = 65_536  # inputs between two words of progress
BATCH: Final = 10_000  # entries of the journal read at once
BARS_BEFORE: Final = 2
LOOK_NS: Final = 5 * NS_PER_MIN  # looked at on either side where bars have no length in time


class Evaluation(NamedTuple):
    """One closed bar and what came of it. Prices are floats, sizes integers of the instrument, times ns; `score` NaN: there is none."""

    instrument: Instrument
    input_number: int
    time_ns: int
    closed_ns: int
    features: dict[str, float]
    score: float
    bid: float
    ask: float
    quote_ns: int
    quote_lost: bool  # data was lost since it came: nobody knows whether it stood
    position: int
    position_max: int
    order_max: int
    rewarm_rows: int
    halted: bool
    reasons: tuple[int, ...]
    outputs: Records


class Log(NamedTuple):
    """The input log as it lies there: its folder, the first input held, about how many, and the stamps of the first and the last."""

    folder: Path
    first: int
    last: int
    first_ns: int
    last_ns: int


def log_of(account: str) -> Log:
    """What the input log of an account spans. Raises `ConfigError` when it holds nothing."""
    folder = paths.session_dir(account) / "inputs"
    found = [(number, records) for number, _ in numbered(folder, "input", ".log")[-2:] for records in _one_segment(folder, number)]
    if not found:
        raise ConfigError(f"why --at: account {account}: expected an input log, found none; it has not traded yet")
    oldest = numbered(folder, "input", ".log")[0][0]
    stamps = next(iter(_one_segment(folder, oldest)))["ts_recv"]
    begin = int(np.searchsorted(stamps, 1))  # an account begins with commands, before there is a time
    number, records = found[-1]
    return Log(folder, oldest, number + len(records) - 1, int(stamps[min(begin, len(stamps) - 1)]), int(records["ts_recv"][-1]))


def _one_segment(folder: Path, number: int) -> Iterator[Records]:
    for records in read_inputs(folder, number):
        yield records
        return


def evaluations(account: str, log: Log, at_ns: int, name: str | None = None, progress: Progress | None = None) -> list[Evaluation]:
    """The evaluations of the bars that closed around an instant: at most two up to it and one after it, of each instrument or of one.

    Raises `ConfigError` when the log does not reach back, or was written with other settings, `JournalError` when the replay does not give
    the journal's outputs.
    """
    if not log.first_ns <= at_ns <= log.last_ns:
        held = f"{format_instant(log.first_ns)} to {format_instant(log.last_ns)}"
        raise ConfigError(f"why --at: the input log of account {account} holds {held}, found {format_instant(at_ns)}")
    plan, replay = _core_of(account, progress)
    engine = replay.engine
    names = [one.name for one in engine.config.instruments]
    slots = [slot for slot, one in enumerate(names) if name in (None, one, one.partition("@")[0])]
    if not slots or (name is not None and len(slots) > 1):
        raise ConfigError(f"why: expected one of {', '.join(names[slot] for slot in slots) or ', '.join(names)}, found {name!r}")
    clock = engine.config.program.clock
    width = int(clock.amount) if clock.kind == TIME_CLOCK else 0
    after_ns = width + parse_duration(plan.grace) if width else LOOK_NS
    begin_ns = at_ns - (BARS_BEFORE - 1) * width - after_ns
    first = _restore(account, plan, engine, log, begin_ns)
    replay.run(log, first, begin_ns, at_ns + after_ns, bool(width), progress)
    _compare(account, replay)
    found = [one for slot in slots for one in _around([each for place, each in replay.found if place == slot], at_ns)]
    return sorted(found, key=lambda one: one.input_number)


def _around(found: list[Evaluation], at_ns: int) -> list[Evaluation]:
    before = [one for one in found if one.time_ns <= at_ns]
    return before[-BARS_BEFORE:] + found[len(before) :][:1]


def _core_of(account: str, progress: Progress | None) -> tuple[Plan, Replay]:
    """The core that the account's trader has, at its start. Raises `ConfigError` when it cannot be made again."""
    path = paths.run_dir(account) / "spec.json"
    if not path.is_file():
        raise ConfigError(f"why --at: account {account}: expected {path}, found nothing; `tercel run` writes it at a start")
    spec = msgspec.json.decode(path.read_bytes(), type=RunSpec)
    plan = settings.load(Path(spec.settings) if spec.settings else None, spec.strategy, spec.model).on(spec.bars, spec.price)
    try:
        shown = LiveReader(paths.run_dir(account) / "live.map").read(timeout_s=1.0).instruments["name"]
    except NotRunning:
        raise ConfigError(f"why --at: account {account}: no trader has shown its instruments; start one with `tercel run`") from None
    catalog = Catalog()
    instruments = [catalog.resolve(bytes(one).rstrip(b"\0").decode()) for one in shown]
    core = plan.core(instruments, quoted_of(spec.feed, plan))
    compile_core(core, progress)
    replay = Replay(core)
    Seats(plan.decide, account, replay.engine)  # puts the models in place that the log names
    return plan, replay


def _restore(account: str, plan: Plan, engine: Engine, log: Log, begin_ns: int) -> int:
    """Bring the engine to the newest stored state before an instant; the number of the input that comes next."""
    expected, made = _last_layout(account), layout_of(engine, settings.hash_of(plan))
    if made != expected:
        raise ConfigError(
            f"why --at: account {account}: its last session had other settings, instruments, or another version of Tercel "
            f"(expected {expected}, found {made}); ask in the folder and with the files it was started with"
        )
    whole = isinstance(plan.decide, Strategy)  # it has a state of its own, which no snapshot holds
    stamps: list[int] = []

    def fits(one: snapshots.Snapshot) -> bool:
        stamps.append(int(one.arrays["account"][H_STAMP]))
        usable = log.first - 1 <= one.input_number
        return one.input_number == log.first - 1 if whole else usable and stamps[-1] <= begin_ns

    kept = snapshots.newest(paths.session_dir(account), made, fits=fits)
    if kept is not None:
        engine.restore({name: kept.arrays[name] for name in engine.arrays()})
        return kept.input_number + 1
    if log.first != 1 or plan.complete_features.anchor:
        why = f"the input log begins at input {log.first}" if log.first != 1 else "features with an anchor begin before the input log"
        since = f"after {format_instant(min(stamps))}" if stamps and not whole else "none"
        raise ConfigError(
            f"why --at: account {account}: {why}, and no state is stored from before {format_instant(begin_ns)}; "
            f"instants that can be played again: {since}; `tercel why --order` reads the journal, which reaches back further"
        )
    return 1


def _last_layout(account: str) -> str:
    last = ""
    with JournalReader(paths.session_dir(account) / "journal") as reader:
        while found := reader.poll(BATCH):
            for entry in found:
                if entry.kind == entries.SESSION:
                    session = entries.decode(entry.kind, entry.payload)
                    assert isinstance(session, entries.Session)
                    last = session.layout_hash
    return last


class Replay:
    """Plays inputs through an engine; around the instant one by one where a bar may close, and keeps what came of each bar."""

    def __init__(self, core: CoreConfig) -> None:
        self.rows: list[npt.NDArray[np.int64]] = []
        self.made: list[Records] = []
        self.engine = Engine(core, lambda made: self.made.append(made.copy()), on_rows=lambda rows: self.rows.append(rows.copy()))
        self.kept: list[Records] = []  # outputs of the window
        self.window = (0, 0)  # first and last input of the window
        self.found: list[tuple[int, Evaluation]] = []

    def run(self, log: Log, first: int, begin_ns: int, end_ns: int, timed: bool, progress: Progress | None) -> None:
        """Play from input `first` to the last one stamped up to `end_ns`; look at everything from `begin_ns` on."""
        number = first
        for records in read_inputs(log.folder, first):
            begin, end = (int(place) for place in np.searchsorted(records["ts_recv"], [begin_ns, end_ns + 1]))
            for place in range(0, begin, CHUNK):
                self.engine.push(records[place : min(place + CHUNK, begin)])
                self.rows.clear()
                self.made.clear()
                if progress is not None:
                    progress("inputs", number + place - first, max(log.last - first, 1))
            if end > begin:
                self.window = (self.window[0] or number + begin, number + end - 1)
                self._look(records[begin:end], timed)
            number += len(records)
            if end < len(records):
                return

    def _look(self, records: Records, timed: bool) -> None:
        """Inputs of the window: those at which a bar may close alone, what lies between together."""
        alone = np.flatnonzero((records["kind"] == TIMER) | (records["kind"] == BAR)) if timed else np.arange(len(records))
        done = 0
        for place in alone.tolist():
            if place > done:
                self._push(records[done:place])
            self._push(records[place : place + 1])
            done = place + 1
        if done < len(records):
            self._push(records[done:])

    def _push(self, records: Records) -> None:
        before = self._reasons.copy()
        self.engine.push(records)
        made = np.concatenate(self.made) if self.made else np.zeros(0, OUTPUT)
        for row in (row for rows in self.rows for row in rows):
            slot = int(row[ROW_SLOT])
            self.found.append((slot, self._evaluation(slot, row, self._reasons[slot] - before[slot], made)))
        self.kept += self.made
        self.made.clear()
        self.rows.clear()

    @property
    def _reasons(self) -> npt.NDArray[np.int64]:
        account, slots = self.engine.account, len(self.engine.config.instruments)
        begin = int(account[H_REASONS])
        return account[begin : begin + slots * COUNT].reshape(slots, COUNT)

    def _evaluation(self, slot: int, row: npt.NDArray[np.int64], counted: npt.NDArray[np.int64], made: Records) -> Evaluation:
        engine, config = self.engine, self.engine.config
        account, layout, one = engine.account, config.layout, config.instruments[slot]
        reals = account.view(np.float64)
        quote = layout.section(H_QUOTES, market.QUOTE_WORDS, slot)
        risk = layout.section(H_RISK, RISK_WORDS, slot)
        registers = row.view(np.float64)[ROW_WORDS:]
        return Evaluation(
            one, engine.input_number, engine.stamp, int(row[ROW_CLOSE]), dict(zip(config.program.names, registers.tolist(), strict=False)),
            _score(config.decide, config.program.registers, config.program.names, registers),
            float(reals[quote + market.Q_BID]), float(reals[quote + market.Q_ASK]), int(account[quote + market.Q_TIME]),
            bool(account[quote + market.Q_STATE] == market.QUOTE_LOST),
            int(account[layout.section(H_LEDGER, LEDGER_WORDS, slot) + L_POSITION]),
            int(account[risk + R_POSITION_MAX]), int(account[risk + R_ORDER_MAX]), int(account[risk + R_REWARM_ROWS]),
            bool(account[account[H_ACCOUNT] + K_HALTED]),
            tuple(int(code) for code in np.flatnonzero(counted)), made[made["instrument"] == one.id],
        )  # fmt: skip


def _score(decide: object, registers: int, names: tuple[str, ...], row: npt.NDArray[np.float64]) -> float:
    """What the decision compares with its cost: the rule's score, a model's edge; NaN for a strategy, which has its own."""
    if isinstance(decide, ModelRule):
        return float(row[registers + SCORE_EDGE])
    return float(row[names.index(decide.score.name)]) if isinstance(decide, EmaCross) else float("nan")


def _compare(account: str, replay: Replay) -> None:
    """Raise `JournalError` unless what was made around the instant is what the journal holds; its newest part may not be written yet."""
    first, last = replay.window
    known: list[Records] = []
    with JournalReader(paths.session_dir(account) / "journal") as reader:
        while found := reader.poll(BATCH):
            held = [entries.decode_outputs(one.payload) for one in found if one.kind == entries.OUTPUTS]
            known += [part[(part["input"] >= first) & (part["input"] <= last)] for part in held]
    told = np.concatenate(known) if known else np.zeros(0, OUTPUT)
    made = np.concatenate(replay.kept) if replay.kept else np.zeros(0, OUTPUT)
    if made[: len(told)].tobytes() != told.tobytes():
        raise JournalError(
            f"why --at: account {account}: the replay of inputs {first} to {last} does not give the journal's outputs again "
            f"({len(made)} against {len(told)}); the journal is the truth: `tercel why --order` reads it"
        )
