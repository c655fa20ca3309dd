"""The engine: both phases over sequenced inputs, with their state, hash and snapshot. Every driver pushes this one object."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.base.codes import COUNT, FAULTS, REASONS
from tercel.base.errors import TercelError
from tercel.base.kernel import Entry, entry
from tercel.base.records import OUTPUT, OUTPUT_WORDS, TIMER, WORDS, Records, words
from tercel.base.time import format_instant
from tercel.core import account_phase as phase
from tercel.core.context import CoreContext
from tercel.core.layout import H_EVALUATIONS, H_FAULT, H_FILL_NUMBER, H_IDENTITY, H_ORDER_NUMBER, H_REASONS, H_STAMP, ID_EPOCH, ID_INPUT
from tercel.core.market_phase import (
    M_BASE,
    M_SLOT_WORDS,
    N_LATE,
    N_MODEL,
    ROW_CLOSE,
    ROW_OPEN,
    ROW_SLOT,
    ROW_WORDS,
    market_run,
    merge_rows,
    new_state,
)
from tercel.core.setup import CoreConfig, new_account
from tercel.decision.strategy import Bar, Strategy
from tercel.execution.lifecycle import table
from tercel.features.program import BASE_COUNT, BLOCK_ROWS
from tercel.market.kernels import BAR_AHEAD, BAR_LATE, BAR_UNPRICED, BAR_WORDS, PENDING
from tercel.models.placement import Placement
from tercel.models.scoring import SCORES

BATCH = 16_384
OutputSink = Callable[[Records], None]
RowSink = Callable[[npt.NDArray[np.int64]], None]


class CoreFault(TercelError):
    """A kernel met something it must not guess about; trading has halted before that input."""

    exit_code = 8


def kernels(config: CoreConfig) -> list[Entry]:
    """Everything the engine needs compiled for a configuration, for a progress bar."""
    from tercel.features.opcodes import OPCODES

    used = [OPCODES[node.op].entry for node in config.program.nodes]
    return [*dict.fromkeys(used), entry(market_run), entry(merge_rows), entry(phase.account_run)]


class Engine:
    """A deterministic state machine over sequenced inputs.

    `push` takes sequenced records; outputs go to `on_outputs` in input order. `threads` shards the market phase and changes no bit of any
    result, nor does `output_room`, nor how the inputs are cut into calls. `on_rows`, when given, receives every row of the market phase
    (int64[rows, 8 + registers + 4]: float64 registers and scores in the same memory), valid during the call. `models` holds the models
    that a MODEL command may name.
    """

    def __init__(
        self,
        config: CoreConfig,
        on_outputs: OutputSink,
        *,
        threads: int = 1,
        output_room: int = 4096,
        batch: int = BATCH,
        on_rows: RowSink | None = None,
    ) -> None:
        self.config = config
        self.market = new_state(config.program, config.slot_of)
        self.account = new_account(config)
        self.rows_seen = 0
        self._sink, self._on_rows = on_outputs, on_rows
        self.batch, self._threads, self.output_room = batch, threads, output_room
        self.timer_rows = len(config.instruments) * PENDING
        self.rows_max = batch + 16 * self.timer_rows
        self.stride = ROW_WORDS + config.program.registers + SCORES
        self.models = Placement(config.program)
        self._allocate()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="market") if threads > 1 else None
        self._strategy = config.decide if isinstance(config.decide, Strategy) else None
        self._context = CoreContext(config, self.account, self._requests)
        if self._strategy is not None:
            self._strategy.on_start()

    def _allocate(self) -> None:
        program, slots = self.config.program, len(self.config.instruments)
        tables = program.tables
        self._tables = tables
        self.inputs = np.zeros(self.batch * WORDS, np.int64)
        self._shard_rows = [np.zeros(self.rows_max * self.stride, np.int64) for _ in range(self._threads)]
        self._merged = [np.zeros(self.rows_max * self.stride * (2 if self._threads > 1 else 0), np.int64) for _ in range(2)]
        self._shard_runs, self._scratch = [], []
        for memory in self._shard_rows:
            block = np.zeros(program.registers * BLOCK_ROWS)
            heads = np.full(1 + 3 * slots, -1, np.int64)
            heads[0] = 0
            models, keys = self.models.table, self.models.keys()
            bound = entry(market_run).bind(
                self.market, self.market, *tables, block, models, models, keys, memory, memory, heads, self.inputs, self.inputs
            )
            self._shard_runs.append(bound)
            self._scratch.append((block, keys, heads))
        self._cursor = np.zeros(phase.C_WORDS, np.int64)
        self._requests = np.zeros(1 + phase.REQUESTS_MAX * phase.REQUEST_WORDS, np.int64)
        self._outputs = np.zeros(self.output_room * OUTPUT_WORDS, np.int64)
        outbox = np.zeros((phase.BOX_PER_ORDER * self.config.limits.open_orders * 2 + 64) * OUTPUT_WORDS, np.int64)
        self._outbox, self._life = outbox, table()
        self._run_account = {id(memory): self._bind_account(memory) for memory in (*self._shard_rows, *self._merged) if len(memory)}

    def _bind_account(self, rows: npt.NDArray[np.int64]) -> Callable[..., int]:
        return entry(phase.account_run).bind(
            self.account, self.account, self._cursor, self.inputs, self.inputs, rows, rows,
            self._requests, self._requests, self._outputs, self._outbox, self._outbox, self._life,
        )  # fmt: skip

    @property
    def input_number(self) -> int:
        """Number of the last input applied."""
        return int(self.account[self.account[H_IDENTITY] + ID_INPUT])

    @property
    def epoch(self) -> int:
        """Account epoch: raised durably at every start."""
        return int(self.account[self.account[H_IDENTITY] + ID_EPOCH])

    @property
    def stamp(self) -> int:
        """Core time, ns."""
        return int(self.account[H_STAMP])

    @property
    def orders(self) -> int:
        """Orders sent so far."""
        return int(self.account[H_ORDER_NUMBER])

    @property
    def fills(self) -> int:
        """Fills booked so far."""
        return int(self.account[H_FILL_NUMBER])

    @property
    def evaluations(self) -> int:
        """Rows the strategy was asked about."""
        return int(self.account[H_EVALUATIONS])

    @property
    def seated(self) -> frozenset[int]:
        """Numbers of the models that score some instrument now."""
        return frozenset(self._model_words(N_MODEL).tolist()) - {0}

    @property
    def late(self) -> bool:
        """Whether some instrument stands on its last good features."""
        return bool(self._model_words(N_LATE).any())

    def _model_words(self, word: int) -> npt.NDArray[np.int64]:
        base, step = int(self.market[M_BASE]), int(self.market[M_SLOT_WORDS])
        return self.market[base + BAR_WORDS + self.config.program.state_words + word :: step]

    def push(self, records: Records) -> None:
        """Apply sequenced inputs (dtype TICK). Raises `CoreFault` before the input that could not be applied."""
        flat = words(records)
        for first, last in self._cuts(records):
            self._push_batch(flat[first * WORDS : last * WORDS], last - first)

    def _cuts(self, records: Records) -> Iterable[tuple[int, int]]:
        """Batches whose rows surely fit: a tick causes at most one row, a timer one per pending bar."""
        count = len(records)
        if count + count * self.timer_rows <= self.rows_max and count <= self.batch:
            yield 0, count
            return
        cost = np.cumsum(np.where(records["kind"] == TIMER, self.timer_rows, 1))
        first = 0
        while first < count:
            before = int(cost[first - 1]) if first else 0
            last = int(np.searchsorted(cost, before + self.rows_max, side="right"))
            last = min(max(last, first + 1), first + self.batch, count)
            yield first, last
            first = last

    def _push_batch(self, flat: npt.NDArray[np.int64], count: int) -> None:
        self.inputs[: len(flat)] = flat
        first = self.input_number + 1
        memory, rows = self.market_phase(first, count)
        self.account_phase(first, count, memory, rows)

    def load(self, records: Records) -> int:
        """Put sequenced inputs in place for the two phases; for a shell that times them apart. False-like 0 when they need `push`."""
        count = len(records)
        if count + count * self.timer_rows > self.rows_max or count > self.batch:
            return 0
        self.inputs[: count * WORDS] = words(records)
        return self.input_number + 1

    def warm(self, records: Records) -> None:
        """Market phase only: market state after these inputs, the account untouched; nobody is told of the rows."""
        flat = words(records)
        for first, last in self._cuts(records):
            self.inputs[: (last - first) * WORDS] = flat[first * WORDS : last * WORDS]
            self._market_rows(1, last - first)

    def market_phase(self, first: int, count: int) -> tuple[npt.NDArray[np.int64], int]:
        """Market phase over the inputs in place; the memory that holds its rows, and how many."""
        memory, rows = self._market_rows(first, count)
        if rows:
            self._rows_made(memory, rows)
        return memory, rows

    def _market_rows(self, first: int, count: int) -> tuple[npt.NDArray[np.int64], int]:
        if self._pool is None:
            memory, rows = self._shard_rows[0], int(self._shard_runs[0](first, count, 0, 1))
        else:
            jobs = [self._pool.submit(run, first, count, shard, self._threads) for shard, run in enumerate(self._shard_runs)]
            counts = [job.result() for job in jobs]
            memory, rows = self._shard_rows[0], counts[0]
            for shard in range(1, self._threads):
                target = self._merged[shard % 2]
                merge = entry(merge_rows).bind(memory, self._shard_rows[shard], target)
                memory, rows = target, int(merge(self.stride, rows, counts[shard]))
        return memory, rows

    def account_phase(self, first: int, count: int, memory: npt.NDArray[np.int64], rows: int) -> None:
        """Account phase over the inputs in place and their rows."""
        self._cursor[:] = 0
        self._cursor[phase.C_FIRST] = first
        stop = self._run_account[id(memory)](self.stride, count, rows, self.output_room)
        self._go_on(first, count, memory, rows, stop)

    def _go_on(self, first: int, count: int, memory: npt.NDArray[np.int64], rows: int, stop: int) -> None:
        """Answer what the account phase stopped for, until the batch has ended."""
        cursor = self._cursor
        run = self._run_account[id(memory)]
        while True:
            if cursor[phase.C_OUT]:
                self._sink(self._outputs[: int(cursor[phase.C_OUT]) * OUTPUT_WORDS].view(OUTPUT))
                cursor[phase.C_OUT] = 0
            if stop == phase.STOP_END:
                return
            if stop == phase.STOP_STRATEGY:
                self._ask_strategy(memory, int(cursor[phase.C_ROW]))
            elif stop == phase.STOP_FAULT:
                code = int(self.account[H_FAULT])
                at = first + int(cursor[phase.C_POS])
                raise CoreFault(f"input {at}: {FAULTS[code]} (fault {code}); trading is halted, this is a bug of ours")
            stop = run(self.stride, count, rows, self.output_room)

    def step_memory(self) -> tuple[npt.NDArray[Any], ...]:
        """The memory a step works on, in the order of its block; for one shard."""
        block, keys, heads = self._scratch[0]
        return (
            self.inputs, self.market, *self._tables, block, self.models.table, keys, self._shard_rows[0], heads,
            self.account, self._cursor, self._requests, self._outputs, self._outbox, self._life,
        )  # fmt: skip

    def after_step(self, first: int, count: int, rows: int, stop: int) -> None:
        """Hand on the rows of a step, and answer what its account phase stopped for."""
        memory = self._shard_rows[0]
        if rows:
            self._rows_made(memory, rows)
        self._go_on(first, count, memory, rows, stop)

    def _rows_made(self, memory: npt.NDArray[np.int64], rows: int) -> None:
        self.rows_seen += rows
        if self._on_rows is not None:
            self._on_rows(memory[: rows * self.stride].reshape(rows, self.stride))

    def _ask_strategy(self, memory: npt.NDArray[np.int64], row: int) -> None:
        assert self._strategy is not None
        at = memory[row * self.stride : (row + 1) * self.stride]
        reals = at.view(np.float64)[ROW_WORDS:-SCORES].tolist()
        self._context.at(int(at[ROW_SLOT]), dict(zip(self.config.program.names, reals, strict=True)))
        bar = Bar(int(at[ROW_OPEN]), int(at[ROW_CLOSE]), *reals[: BASE_COUNT - 1])
        try:
            self._strategy.on_bar(self._context, bar)
        except Exception as error:
            error.add_note(
                f"{type(self._strategy).__name__}.on_bar: {self._context.instrument}, bar that closed {format_instant(bar.closed_ns)}"
            )
            raise
        if not self._requests[0]:
            self._context.no_order()

    def state_hash(self) -> str:
        """Hash over market and account state; the identity (epoch, input number) is left out. 32 hex digits."""
        digest = hashlib.blake2b(self.market.tobytes(), digest_size=16)
        digest.update(self.account[: self.account[H_IDENTITY]].tobytes())
        return digest.hexdigest()

    @property
    def layout_hash(self) -> str:
        """Names layout and program: state of another one is never loaded."""
        return f"{self.config.layout.hash}-{self.config.program.hash[:16]}"

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The state to be stored in a snapshot; valid between two calls of `push`."""
        return {"market": self.market, "account": self.account}

    def restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from the state of a snapshot with the same layout hash."""
        for name, memory in self.arrays().items():
            if arrays[name].shape != memory.shape:
                raise TercelError(
                    f"snapshot: {name}: expected {memory.shape[0]} words, found {arrays[name].shape[0]}; delete it, it is only a cache"
                )
            memory[:] = arrays[name]

    def reasons(self, slot: int | None = None) -> dict[str, int]:
        """How often each reason ended an evaluation without an order, most frequent first."""
        counts = self.account[self.account[H_REASONS] :][: len(self.config.instruments) * COUNT].reshape(-1, COUNT)
        total = counts.sum(axis=0) if slot is None else counts[slot]
        pairs = {REASONS[code][0]: int(total[code]) for code in REASONS if total[code]}
        return dict(sorted(pairs.items(), key=lambda pair: -pair[1]))

    def bar_counts(self) -> dict[str, int]:
        """Ticks that changed no bar: late, too far ahead, without a price of the wanted kind."""
        base, step = int(self.market[M_BASE]), int(self.market[M_SLOT_WORDS])
        names = {"late": BAR_LATE, "ahead": BAR_AHEAD, "unpriced": BAR_UNPRICED}
        return {name: int(self.market[base + word :: step].sum()) for name, word in names.items()}

    def close(self) -> None:
        """Stop the threads of the market phase."""
        if self._pool is not None:
            self._pool.shutdown()
