"""The program: what a feature set compiles to. A table of opcodes over registers, with a hash over its meaning.

A register is a column of the block: first the base columns of a bar, then one per output of each node. `run_block` executes the table
over a block of rows of one instrument, opcode by opcode, each called by address.
"""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from itertools import accumulate
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError
from tercel.base.kernel import F, I, call_op, entry, i64, kernel
from tercel.base.time import NS_PER_S
from tercel.features.opcodes import OPCODES, Opcode

BASE_COLUMNS: Final = (
    "open", "high", "low", "close", "volume", "ticks", "bid", "ask", "bid_size", "ask_size", "flow", "signed_volume", "time",
)  # fmt: skip
"""The columns of a bar: prices on the basis of the clock, volume, how many ticks, the quote that stood at its close with its sizes, its
order-flow imbalance, its volume bought less sold, and the seconds since 1970 of its close. NaN: the source does not say."""
BASE_COUNT = 13
BLOCK_ROWS = (
    1016  # rows per block: columns stay in the level-2 cache, and as no power of two lies between them, not in one another's places
)

TIME_CLOCK, TICK_CLOCK, VOLUME_CLOCK = 1, 2, 3
CLOCK_NAMES: Final = {"time": TIME_CLOCK, "ticks": TICK_CLOCK, "volume": VOLUME_CLOCK}
PRICE_TRADE, PRICE_BID, PRICE_ASK, PRICE_MID = 0, 1, 2, 3
PRICES: Final = {"trade": PRICE_TRADE, "bid": PRICE_BID, "ask": PRICE_ASK, "mid": PRICE_MID}

RESAMPLE, HOLD = "resample", "hold"  # the opcodes that lead to larger bars and back

# Words of the program table G.
G_REGISTERS, G_OPS, G_CLOCK, G_PRICE, G_STATE_WORDS, G_TABLE = 0, 1, 2, 3, 4, 8
OP_ADDRESS, OP_STATE, OP_PARAMETERS, OP_REGISTERS, OP_WORDS = 0, 1, 2, 3, 4
# Words of parameter memory P.
P_AMOUNT, P_FIRST = 0, 1


class Clock(msgspec.Struct, frozen=True):
    """When rows are taken: kind (time, ticks, volume), amount (ns, ticks or size units) and price basis."""

    kind: int
    amount: float
    price: int


class Node(msgspec.Struct, frozen=True):
    """One opcode with its parameters and the registers it reads; it writes one register per output, in the order of the nodes."""

    op: str
    parameters: tuple[float, ...]
    sources: tuple[int, ...]
    name: str

    @property
    def opcode(self) -> Opcode:
        """The entry of the opcode table."""
        return OPCODES[self.op]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the registers it writes."""
        return self.opcode.labels(self.name)


@kernel
def run_block(G: I, P: F, R: I, S: F, X: F, s: i64, n: i64) -> None:
    """Run every opcode of the program over the `n` rows in the block X; s is where this instrument's opcode state begins in S."""
    for k in range(G[G_OPS]):
        op = G_TABLE + k * OP_WORDS
        call_op(G[op + OP_ADDRESS], S, s + G[op + OP_STATE], P, G[op + OP_PARAMETERS], X, R, G[op + OP_REGISTERS], n)


class Program:
    """A compiled feature set. Its `hash` names its meaning: sampling clause, opcodes, versions, parameters, sources, anchor."""

    def __init__(self, clock: Clock, nodes: tuple[Node, ...], outputs: tuple[int, ...], anchor: str = "first input") -> None:
        self.clock = clock
        self.nodes = nodes
        self.outputs = outputs
        self.anchor = anchor

    @property
    def registers(self) -> int:
        """Columns of a row: base columns and one per output of each node."""
        return BASE_COUNT + sum(len(node.opcode.outputs) for node in self.nodes)

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """The register of the first output of each node."""
        return tuple(accumulate((len(node.opcode.outputs) for node in self.nodes[:-1]), initial=BASE_COUNT))[: len(self.nodes)]

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every register."""
        return (*BASE_COLUMNS, *(label for node in self.nodes for label in node.labels))

    def register(self, name: str) -> int:
        """The register called `name`. Raises KeyError."""
        return self.names.index(name) if name in self.names else _missing(name, self.names)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the meaning, 64 hex digits; equal programs give equal numbers on equal rows."""
        table = [[node.op, node.opcode.version, list(node.parameters), list(node.sources)] for node in self.nodes]
        meaning = [self.clock.kind, self.clock.amount, self.clock.price, table, list(self.outputs), self.anchor]
        return hashlib.sha256(msgspec.json.encode(meaning)).hexdigest()

    @cached_property
    def state_words(self) -> int:
        """8-byte words of opcode state for one instrument."""
        return sum(node.opcode.state_words(node.parameters) for node in self.nodes)

    @cached_property
    def memory_rows(self) -> int:
        """Declared memory: after this many rows an unknown past no longer matters to any feature.

        What reads larger bars advances once in `pace` rows.
        """
        memory, paces = [0] * BASE_COUNT, [1] * BASE_COUNT
        for node in self.nodes:
            pace = max(paces[source] for source in node.sources)
            if node.op == RESAMPLE and self.clock.kind == TIME_CLOCK:
                pace = math.ceil(node.parameters[0] * NS_PER_S / self.clock.amount)
            needed = node.opcode.memory_rows(node.parameters) * pace + max(memory[source] for source in node.sources)
            memory += [needed] * len(node.opcode.outputs)
            paces += [1 if node.op == HOLD else pace] * len(node.opcode.outputs)
        return max(memory)

    @cached_property
    def tables(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(G, P, R) as the kernels read them; addresses hold for this process only."""
        program, parameters, columns = self._tables(numbers=False)
        places = [register * BLOCK_ROWS for register in columns]
        return np.array(program, np.int64), np.array(parameters, np.float64), np.array(places or [0], np.int64)

    def description(self) -> dict[str, Any]:
        """The program as plain values, which JSON can carry to another engine: `web/features.js` runs it with the same bits.

        columns: names of the base columns; names, outputs: the features and their registers; registers, state_words: sizes; opcodes:
        [name, number, version] of each that is used; program, parameters, sources: the tables of `run_block`, an opcode's number in the
        place of its address and the number of a register in the place of its address in the block.
        """
        program, parameters, sources = self._tables(numbers=True)
        used = {node.opcode.number: [node.op, node.opcode.number, node.opcode.version] for node in self.nodes}
        return {
            "hash": self.hash,
            "columns": list(BASE_COLUMNS),
            "names": [self.names[register] for register in self.outputs],
            "outputs": list(self.outputs),
            "registers": self.registers,
            "state_words": self.state_words,
            "opcodes": [used[number] for number in sorted(used)],
            "program": program,
            "parameters": parameters,
            "sources": sources,
        }

    def _tables(self, *, numbers: bool) -> tuple[list[int], list[float], list[int]]:
        """(program, parameters, registers that each opcode reads and writes); an opcode is named by its number or by its address."""
        table = [self.registers, len(self.nodes), self.clock.kind, self.clock.price, self.state_words, 0, 0, 0]
        parameters = [self.clock.amount]
        columns: list[int] = []
        state = 0
        for first, node in zip(self.firsts, self.nodes, strict=True):
            place = node.opcode.number if numbers else node.opcode.entry.address
            table += [place, state, len(parameters), len(columns)]
            columns += [*node.sources, *range(first, first + len(node.opcode.outputs))]
            parameters += node.parameters
            state += node.opcode.state_words(node.parameters)
        return table, parameters, columns

    def compute(self, base: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Features of one instrument from its bars: float64[features, rows] of `base`, float64[13, rows] in the order of `BASE_COLUMNS`.

        State starts at zero. The same code serves the live path; this is the batch door to it.
        """
        base = np.ascontiguousarray(base, np.float64)
        if base.ndim != 2 or base.shape[0] != BASE_COUNT:
            raise ConfigError(f"features: expected base columns of shape ({BASE_COUNT}, rows), found {base.shape}")
        rows = base.shape[1]
        out = np.empty((len(self.outputs), rows))
        used = {source for node in self.nodes for source in node.sources} | set(self.outputs)
        columns = np.array([*(int(column in used) for column in range(BASE_COUNT)), len(self.outputs), *self.outputs], np.int64)
        block = np.zeros((self.registers, BLOCK_ROWS))
        entry(run_rows).bind(*self.tables, np.zeros(self.state_words + 1), block, columns, base, out)(rows)
        return out


@kernel
def run_rows(G: I, P: F, R: I, S: F, X: F, U: I, B: F, O: F, rows: i64) -> None:
    """The program over all rows, block by block: base columns B in, output columns O out; U says which are used and wanted."""
    start = 0
    while start < rows:
        count = rows - start if rows - start < BLOCK_ROWS else BLOCK_ROWS
        for column in range(BASE_COUNT):
            if U[column] == 1:
                for k in range(count):
                    X[column * BLOCK_ROWS + k] = B[column * rows + start + k]
        run_block(G, P, R, S, X, 0, count)
        for place in range(U[BASE_COUNT]):
            x = U[BASE_COUNT + 1 + place] * BLOCK_ROWS
            for k in range(count):
                O[place * rows + start + k] = X[x + k]
        start += count


def _missing(name: str, names: tuple[str, ...]) -> int:
    raise KeyError(f"no register {name!r}; there are {', '.join(names)}")
