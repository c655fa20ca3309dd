"""A restart: from snapshot and input log to the very state before the end, or from the journal to an account that is `rewarmed`.

The log holds every sequenced input, so replaying what came from outside through the sequencer must give the log again, to the bit, and
pushing it through the core must give the outputs the journal holds, to the bit; outputs the journal had not yet taken are added. Where
that cannot be done (other settings, another version, a lost log), positions and cash come from the journal's fills, market state is
warmed up from what the log still has, and entries wait for the program's declared memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, JournalError
from tercel.base.records import DAY_ROLL, MARKET_KINDS_MAX, OUT_FILL, OUT_INTENT, OUTPUT, TIMER, Records
from tercel.core.engine import Engine
from tercel.core.layout import H_CURRENCY, H_FILL_NUMBER, H_IDENTITY, H_LEDGER, H_ORDER_NUMBER, ID_INPUT
from tercel.core.sequencer import S_MARKET, S_NUMBER, S_STAMP, Sequencer
from tercel.drivers.result import book_of, mark_value
from tercel.journal import entries, snapshots
from tercel.journal.input_log import InputLog
from tercel.journal.journal import Journal
from tercel.ledger import kernels as ledger
from tercel.risk.kernels import CURRENCY_WORDS, Y_DAY_START

SNAPSHOTS_KEPT = 3


@dataclass(frozen=True)
class Recovered:
    """How a start went: what it began from, how many inputs were replayed, how many outputs the journal had lacked."""

    how: str  # "new", "recovered" or "rewarmed"
    epoch: int  # the last one used
    replayed: int
    outputs_added: int
    why: str = ""


@dataclass
class Past:
    """What the journal says: the last epoch, every output, and the last input it knows."""

    epoch: int
    outputs: Records
    last_input: int


def read_past(journal: Journal) -> Past:
    """Read the journal from its beginning."""
    epoch, last_input = 0, 0
    outputs: list[Records] = []
    for entry in journal.read():
        last_input = max(last_input, entry.input_number)
        if entry.kind == entries.OUTPUTS:
            outputs.append(entries.decode_outputs(entry.payload))
        elif entry.kind == entries.SESSION:
            epoch = max(epoch, entries.decode(entry.kind, entry.payload).epoch)  # type: ignore[union-attr]
    return Past(epoch, np.concatenate(outputs) if outputs else np.zeros(0, OUTPUT), last_input)


@dataclass(frozen=True)
class State:
    """A copy of everything a snapshot holds, between two inputs."""

    input_number: int
    state_hash: str
    arrays: dict[str, npt.NDArray[Any]]


def state_of(engine: Engine, sequencer: Sequencer) -> State:
    """Copy the state."""
    arrays = {name: memory.copy() for name, memory in {**engine.arrays(), "sequencer": sequencer.state}.items()}
    return State(engine.input_number, engine.state_hash(), arrays)


def save_snapshot(folder: Path, state: State, layout_hash: str) -> None:
    """Store a state and drop the oldest snapshots."""
    meta = {"state_hash": state.state_hash}
    snapshots.save(folder, input_number=state.input_number, layout_hash=layout_hash, arrays=state.arrays, meta=meta)
    snapshots.prune(folder, SNAPSHOTS_KEPT)


class Recovery:
    """One attempt to bring `engine` and `sequencer` (both at their start) to where the account's folder says they were."""

    def __init__(self, folder: Path, engine: Engine, sequencer: Sequencer, log: InputLog, journal: Journal, layout_hash: str) -> None:
        self._folder, self._engine, self._sequencer = folder, engine, sequencer
        self._log, self._journal, self._layout_hash = log, journal, layout_hash
        self.made: list[Records] = []  # outputs of the replay; the engine's sink appends here

    def run(self, *, snapshot_allowed: bool = True) -> Recovered:
        """Recover. `snapshot_allowed` is False for a strategy with state of its own: it must be replayed from the first input."""
        past = read_past(self._journal)
        if self._log.last == 0 and not len(past.outputs) and past.last_input == 0:
            return Recovered("new", past.epoch, 0, 0)
        skipped: list[snapshots.Skipped] = []
        snapshot = snapshots.newest(self._folder, self._layout_hash, skipped=skipped) if snapshot_allowed else None
        why = self._impossible(snapshot, past, skipped)
        if why:
            return self._rewarm(past, why)
        start = 0
        if snapshot is not None:
            start = snapshot.input_number
            self._engine.restore({name: snapshot.arrays[name] for name in self._engine.arrays()})
            self._sequencer.state[:] = snapshot.arrays["sequencer"]
        replayed = self._replay(start + 1)
        return Recovered("recovered", past.epoch, replayed, self._compare(past, start))

    def _impossible(self, snapshot: snapshots.Snapshot | None, past: Past, skipped: list[snapshots.Skipped]) -> str:
        if self._log.last < past.last_input:
            return f"the journal knows input {past.last_input}, the input log ends at {self._log.last}"
        if snapshot is not None:
            if snapshot.input_number > self._log.last or self._log.first > snapshot.input_number + 1:
                return f"the input log holds {self._log.first} to {self._log.last}, the snapshot is of input {snapshot.input_number}"
            return ""
        if skipped:
            return f"no usable snapshot: {skipped[0].reason}"
        if self._log.first != 1:
            return f"no snapshot, and the input log begins at input {self._log.first}"
        return ""

    def _replay(self, first: int) -> int:
        count = 0
        if first > self._log.last:
            return 0
        for logged in self._log.read(first):
            outside = logged[(logged["kind"] != TIMER) & (logged["kind"] != DAY_ROLL)]
            again = [part.copy() for part in self._sequencer.push(outside, int(logged["ts_recv"][-1]))]
            together = np.concatenate(again) if again else logged[:0]
            if together.tobytes() != logged.tobytes():
                begin = first + count
                raise JournalError(
                    f"{self._folder}: replaying inputs {begin} to {begin + len(logged) - 1} does not give the input log again "
                    f"({len(together)} records against {len(logged)}); the log was changed, or written with other settings"
                )
            self._engine.push(together)
            count += len(logged)
        return count

    def _compare(self, past: Past, start: int) -> int:
        known = past.outputs[past.outputs["input"] > start]
        made = np.concatenate(self.made) if self.made else np.zeros(0, OUTPUT)
        if made[: len(known)].tobytes() != known.tobytes():
            same = next(
                (k for k in range(min(len(known), len(made))) if known[k].tobytes() != made[k].tobytes()), min(len(known), len(made))
            )
            raise JournalError(
                f"{self._folder}: the replay does not give the journal's outputs again: output {same + 1} after input {start} differs; "
                f"the journal is the truth, so nothing is traded; `tercel check replay` shows both"
            )
        missing = made[len(known) :]
        if len(missing):
            self._journal.append(entries.OUTPUTS, int(missing["input"][-1]), entries.encode_outputs(missing))
            self._journal.commit()
        return len(missing)

    def _rewarm(self, past: Past, why: str) -> Recovered:
        engine, account = self._engine, self._engine.account
        self._refuse_strangers(past)
        book = book_of(engine.config.instruments)
        book.apply(past.outputs[np.isin(past.outputs["instrument"], list(book.accounts))])
        marks = {int(one["instrument"]): float(one["mid"]) for one in past.outputs if np.isfinite(one["mid"])}
        layout = engine.config.layout
        starts = dict.fromkeys(engine.config.currencies, 0.0)
        for slot, one in enumerate(engine.config.instruments):
            kept = book.accounts[one.id]
            at = layout.section(H_LEDGER, ledger.LEDGER_WORDS, slot)
            for word, value in (
                (ledger.L_POSITION, kept.position), (ledger.L_CASH, kept.cash_micros), (ledger.L_FEES, kept.fees_micros),
                (ledger.L_FILLS, kept.fills), (ledger.L_BOUGHT, kept.bought), (ledger.L_SOLD, kept.sold),
                (ledger.L_TURNOVER, kept.turnover_micros),
            ):  # fmt: skip
                account[at + word] = value
            starts[one.quote] += kept.cash_micros - kept.fees_micros + 1e6 * mark_value(one, kept.position, marks.get(one.id, 0.0))
        for number, currency in enumerate(engine.config.currencies):
            account[layout.section(H_CURRENCY, CURRENCY_WORDS, number) + Y_DAY_START] = round(starts[currency])
        intents, fills = past.outputs[past.outputs["kind"] == OUT_INTENT], past.outputs[past.outputs["kind"] == OUT_FILL]
        account[H_ORDER_NUMBER] = int(intents["order"].max()) if len(intents) else 0
        account[H_FILL_NUMBER] = int(fills["execution"].max()) if len(fills) else 0
        last = max(self._log.last, past.last_input)
        account[account[H_IDENTITY] + ID_INPUT] = last
        warmed = self._warm()
        self._sequencer.state[S_NUMBER] = last
        self._log.restart(last + 1)
        save_snapshot(self._folder, state_of(engine, self._sequencer), self._layout_hash)
        return Recovered("rewarmed", past.epoch, warmed, 0, why)

    def _refuse_strangers(self, past: Past) -> None:
        """A position in an instrument that this run does not trade must not be forgotten."""
        known = {one.id for one in self._engine.config.instruments}
        held = {int(one["instrument"]): int(one["position"]) for one in past.outputs[past.outputs["kind"] == OUT_FILL]}
        strangers = [f"{position} of instrument id {number}" for number, position in held.items() if position and number not in known]
        if strangers:
            raise ConfigError(
                f"account {self._folder.name}: it holds {', '.join(strangers)}, which this run does not trade; "
                f"trade the same instruments, or use another --account"
            )

    def _warm(self) -> int:
        """Market state from what the log still has; the account does not see it."""
        count = 0
        if self._log.last < self._log.first:
            return 0
        for logged in self._log.read(self._log.first):
            self._engine.warm(logged)
            state = self._sequencer.state
            state[S_MARKET] += int(np.count_nonzero((logged["kind"] <= MARKET_KINDS_MAX) & (logged["kind"] != DAY_ROLL)))
            state[S_STAMP] = int(logged["ts_recv"][-1])
            count += len(logged)
        return count
