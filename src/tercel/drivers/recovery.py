"""A restart: from snapshot and input log to the very state before the end, or from the journal to an account that is `rewarmed`.

The log holds every sequenced input, so replaying what came from outside through the sequencer must give the log again, to the bit, and
pushing it through the core must give the outputs the journal holds, to the bit; outputs the journal had not yet taken are added. Where
that cannot be done (other settings, another version, a lost log), positions and cash come from the journal's fills, market state is
warmed up from what the log still has, and entries wait for the program's declared memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, JournalError
from tercel.base.kernel import CACHE
from tercel.base.records import DAY_ROLL, MODEL, OUT_CANCEL, OUT_FILL, OUTPUT, TICK, TIMER, Records
from tercel.core.engine import Engine
from tercel.core.layout import H_CURRENCY, H_FILL_NUMBER, H_IDENTITY, H_LEDGER, H_ORDER_NUMBER, H_QUOTES, H_RISK, ID_INPUT
from tercel.core.sequencer import S_MARKET, S_NUMBER, S_STAMP, Sequencer, command
from tercel.drivers.by_hand import entry_of, inputs_in
from tercel.drivers.result import book_of, mark_value
from tercel.execution.lifecycle import CANCELED, OPEN
from tercel.journal import entries, snapshots
from tercel.journal.input_log import InputLog
from tercel.journal.journal import Journal
from tercel.ledger import kernels as ledger
from tercel.market import kernels as market
from tercel.risk.kernels import CURRENCY_WORDS, R_REWARM_ROWS, RISK_WORDS, Y_DAY_START

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
    layout_hash: str  # of the last session; "" when there was none
    feed: str  # likewise
    market_inputs: dict[int, int]  # market records before the session that began at this input
    orders: list[entries.Order] = field(default_factory=list)  # by hand

    def market_before(self, number: int) -> int:
        """Market records before input `number`, as far as the sessions say: exact where a session began."""
        return max((count for begun, count in self.market_inputs.items() if begun < number), default=0)


def read_past(journal: Journal) -> Past:
    """Read the journal from its beginning."""
    past = Past(0, np.zeros(0, OUTPUT), 0, "", "", {})
    outputs: list[Records] = []
    for entry in journal.read():
        past.last_input = max(past.last_input, entry.input_number)
        if entry.kind == entries.OUTPUTS:
            outputs.append(entries.decode_outputs(entry.payload))
        elif entry.kind == entries.ORDER:
            order = entries.decode(entry.kind, entry.payload)
            assert isinstance(order, entries.Order)
            past.orders.append(order)
        elif entry.kind == entries.SESSION:
            session = entries.decode(entry.kind, entry.payload)
            assert isinstance(session, entries.Session)
            past.epoch, past.layout_hash = max(past.epoch, session.epoch), session.layout_hash
            past.feed = session.feed
            past.market_inputs[entry.input_number] = session.market_inputs
    if outputs:
        past.outputs = np.concatenate(outputs)
    return past


@dataclass(frozen=True)
class State:
    """A copy of everything a snapshot holds, between two inputs."""

    input_number: int
    state_hash: str
    arrays: dict[str, npt.NDArray[Any]]


def layout_of(engine: Engine, settings_hash: str) -> str:
    """Names what an engine at its start, before its first input, will make of a log: with another name the log gives another state.

    The state at the start holds what the instruments and their definitions made of the settings.
    """
    return f"{engine.layout_hash}-{engine.state_hash()[:16]}-{settings_hash}-{CACHE.name}"


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

    def __init__(
        self, folder: Path, engine: Engine, sequencer: Sequencer, log: InputLog, journal: Journal, layout_hash: str,
        seating: Sequence[Records] = (),
    ) -> None:  # fmt: skip
        self._folder, self._engine, self._sequencer = folder, engine, sequencer
        self._log, self._journal, self._layout_hash = log, journal, layout_hash
        self._seating = seating  # commands that seat models, in order of their time
        self.feed = ""  # when set, an account that was fed with another one is refused
        self.made: list[Records] = []  # outputs of the replay; the engine's sink appends here
        self.orders: list[entries.Order] = []  # by hand, all that the journal holds once this has run
        self._replayed_orders: list[tuple[int, Records]] = []  # input number and record of those that were replayed

    def run(self, *, replay_all: bool = False) -> Recovered:
        """Recover. `replay_all` is for a strategy with state of its own: it is replayed from where it began, not from a later snapshot."""
        past = read_past(self._journal)
        self.orders = past.orders
        if self.feed and past.feed and self.feed != past.feed:
            raise ConfigError(f"account {self._folder.name}: it lives on {past.feed}, this run is {self.feed}; use another --account")
        if self._log.last == 0 and not len(past.outputs) and past.last_input == 0:
            return Recovered("new", past.epoch, 0, 0)
        skipped: list[snapshots.Skipped] = []
        snapshot = snapshots.newest(self._folder, self._layout_hash, skipped=skipped)
        if replay_all and snapshot is not None and snapshot.input_number != self._log.first - 1:
            snapshot = None
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
        if past.layout_hash != self._layout_hash:
            return f"other settings or another version: expected {self._layout_hash}, the last session was {past.layout_hash or 'none'}"
        if self._log.first != 1:
            lacking = f"no usable snapshot ({skipped[0].reason})" if skipped else "no snapshot"
            return f"{lacking}, and the input log begins at input {self._log.first}"
        return ""

    def _replay(self, first: int) -> int:
        count, ahead = 0, np.zeros(0, TICK)
        if first > self._log.last:
            return 0
        for logged in self._log.read(first):
            again = [part.copy() for part in self._sequencer.push(from_outside(logged), int(logged["ts_recv"][-1]))]
            together = np.concatenate([ahead, *again])
            if together[: len(logged)].tobytes() != logged.tobytes():
                begin = first + count
                raise JournalError(
                    f"{self._folder}: replaying inputs {begin} to {begin + len(logged) - 1} does not give the input log again "
                    f"({len(together)} records against {len(logged)}); the log was changed, or written with other settings"
                )
            self._engine.push(together[: len(logged)])
            self._replayed_orders += [(first + count + place, logged[place].copy()) for place in inputs_in(logged)]
            count += len(logged)
            ahead = together[len(logged) :]  # of the very instant at which this part ends, such as a timer behind a day roll
        if len(ahead):
            self._log.append(ahead)  # torn off the end; they come in any case
            self._engine.push(ahead)
        return count + len(ahead)

    def _compare(self, past: Past, start: int) -> int:
        known = past.outputs[past.outputs["input"] > start]
        made = np.concatenate(self.made) if self.made else np.zeros(0, OUTPUT)
        if made[: len(known)].tobytes() != known.tobytes():
            same = next(
                (k for k in range(min(len(known), len(made))) if known[k].tobytes() != made[k].tobytes()), min(len(known), len(made))
            )
            raise JournalError(
                f"{self._folder}: the replay does not give the journal's outputs again: output {same + 1} after input {start} differs; "
                f"the journal is the truth, so nothing is traded; remove the snapshots and try again, or use another account"
            )
        missing = made[len(known) :]
        if len(missing):
            noted = {order.input_number for order in self.orders}
            for number, record in self._replayed_orders:
                if number not in noted:
                    order = entry_of(number, record, [missing])
                    self.orders.append(order)
                    kind, payload = entries.encode(order)
                    self._journal.append(kind, number, payload)
            self._journal.append(entries.OUTPUTS, int(missing["input"][-1]), entries.encode_outputs(missing))
            self._journal.commit()
        return len(missing)

    def _rewarm(self, past: Past, why: str) -> Recovered:
        engine, account = self._engine, self._engine.account
        self._refuse_strangers(past)
        last = max(self._log.last, past.last_input)
        past.outputs = np.concatenate([past.outputs, self._forget_orders(past.outputs, last)])
        self._take_over(past.outputs)
        account[account[H_IDENTITY] + ID_INPUT] = last
        warmed = self._warm()
        state = self._sequencer.state
        state[S_NUMBER] = last
        state[S_MARKET] += past.market_before(self._log.first)
        state[S_STAMP] = max(int(state[S_STAMP]), int(past.outputs["time"].max(initial=0)))  # core time never goes back
        # Whoever was seated in the log is not of these settings; a crash behind the snapshot must find the right ones.
        engine.warm(command(MODEL, 0, 0))
        for order in self._seating:
            if int(order["ts_recv"][0]) <= int(state[S_STAMP]):
                engine.warm(order)
        for slot in range(len(engine.config.instruments)):
            account[engine.config.layout.section(H_RISK, RISK_WORDS, slot) + R_REWARM_ROWS] = engine.config.program.memory_rows
        # The snapshot first: between the two, a crash finds the rewarmed state or begins this again.
        save_snapshot(self._folder, state_of(engine, self._sequencer), self._layout_hash)
        self._log.restart(last + 1)
        return Recovered("rewarmed", past.epoch, warmed, 0, why)

    def _forget_orders(self, outputs: Records, last: int) -> Records:
        """A cancel, put into the journal, for every order it last saw open: the modelled venue that held them is gone."""
        newest = {int(one["order"]): one for one in outputs[outputs["order"] > 0]}
        cancels = np.array([one for one in newest.values() if int(one["state"]) in OPEN], OUTPUT)
        cancels["kind"], cancels["state"], cancels["input"], cancels["code"] = OUT_CANCEL, CANCELED, last, 0
        for name in ("cash_micros", "fee_micros", "execution"):
            cancels[name] = 0
        if len(cancels):
            cancels["time"] = outputs["time"].max()
            self._journal.append(entries.OUTPUTS, last, entries.encode_outputs(cancels))
            self._journal.commit()
        return cancels

    def _take_over(self, outputs: Records) -> None:
        """Positions, cash and numbers from the journal's outputs."""
        engine, account = self._engine, self._engine.account
        book = book_of(engine.config.instruments)
        book.apply(outputs[np.isin(outputs["instrument"], list(book.accounts))])
        marks = {int(one["instrument"]): float(one["mid"]) for one in outputs if np.isfinite(one["mid"])}
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
            # Until it is quoted again a position is worth what it last was; without a mark the day's loss would count its cash alone.
            account.view(np.float64)[layout.section(H_QUOTES, market.QUOTE_WORDS, slot) + market.Q_MID] = marks.get(one.id, 0.0)
            starts[one.quote] += kept.cash_micros - kept.fees_micros + 1e6 * mark_value(one, kept.position, marks.get(one.id, 0.0))
        for number, currency in enumerate(engine.config.currencies):
            account[layout.section(H_CURRENCY, CURRENCY_WORDS, number) + Y_DAY_START] = round(starts[currency])
        account[H_ORDER_NUMBER] = int(outputs["order"].max(initial=0))
        account[H_FILL_NUMBER] = int(outputs["execution"].max(initial=0))

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
        """Market state from what the log still has, sequenced anew because bars may be others now; the account does not see it."""
        count = 0
        if self._log.last < self._log.first:
            return 0
        for logged in self._log.read(self._log.first):
            for part in self._sequencer.push(from_outside(logged), int(logged["ts_recv"][-1])):
                self._engine.warm(part)
            count += len(logged)
        return count


def from_outside(logged: Records) -> Records:
    """The inputs that came from outside; the sequencer makes the others again."""
    outside: Records = logged[(logged["kind"] != TIMER) & (logged["kind"] != DAY_ROLL)]
    return outside
