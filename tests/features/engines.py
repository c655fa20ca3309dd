"""The engines that run the browser's module: Node, through the loader that pages use, and wasmtime."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wasmtime

from tercel.features.opcodes import OPCODES
from tercel.features.program import BASE_COLUMNS, BASE_COUNT, PRICE_MID, TICK_CLOCK, Clock, Node, Program
from tercel.features.wasm import compile_c, source
from tests.features.judges import JUDGES, Column
from tests.features.running import inputs

ROOT = Path(__file__).resolve().parents[2]
LOADER = ROOT / "web" / "features.js"
COMMITTED = ROOT / "web" / "features.wasm"
SECONDS_MAX = 150


@cache
def module() -> bytes:
    """The module as the sources give it now."""
    return compile_c(source())


def program_of(op: str, parameters: Sequence[float]) -> Program:
    """The program of one opcode over the base columns that its judge names; all its outputs."""
    node = Node(op, tuple(float(value) for value in parameters), tuple(BASE_COLUMNS.index(name) for name in JUDGES[op].columns), op)
    last = BASE_COUNT + len(OPCODES[op].outputs)
    return Program(Clock(TICK_CLOCK, 1.0, PRICE_MID), (node,), tuple(range(BASE_COUNT, last)))


def base_columns(bid: Column, ask: Column) -> Column:
    """float64[base columns, rows]: what every opcode reads of a quote, and the middle in the columns that none reads."""
    base = np.tile(bid * 0.5 + ask * 0.5, (BASE_COUNT, 1))
    for op, judge in JUDGES.items():
        for name, column in zip(judge.columns, inputs(op, bid, ask), strict=True):
            base[BASE_COLUMNS.index(name)] = column
    return base


@cache
def node_command() -> str:
    """The path of Node; skips, by that name, without one of at least 18."""
    node = shutil.which("node")
    if node is None or int(subprocess.run([node, "--version"], capture_output=True, text=True).stdout[1:].partition(".")[0]) < 18:
        pytest.skip("needs Node 18 or newer: apt-get install nodejs")
    return node


def in_node(folder: Path, jobs: Sequence[Mapping[str, Any]], base: Column | None = None, wasm: bytes | None = None) -> list[dict[str, Any]]:
    """Run jobs in one Node process; each answer has `ms` or `error`, results lie in the files that the jobs name. Skips without Node."""
    node = node_command()
    (folder / "module.wasm").write_bytes(wasm or module())
    order: dict[str, Any] = {"loader": str(LOADER), "module": str(folder / "module.wasm"), "jobs": jobs}
    order |= {"answers": str(folder / "answers.json")}
    if base is not None:
        base.tofile(folder / "columns.bin")
        order |= {"columns": str(folder / "columns.bin"), "column_count": len(base)}
    (folder / "order.json").write_text(json.dumps(order))
    command = [node, str(Path(__file__).with_suffix(".mjs")), str(folder / "order.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "answers.json").read_text())  # type: ignore[no-any-return]


class Wasmtime:
    """A module in wasmtime, with arrays laid out in its memory."""

    def __init__(self, wasm: bytes) -> None:
        self.store = wasmtime.Store(wasmtime.Engine())
        self.exports = wasmtime.Instance(self.store, wasmtime.Module(self.store.engine, wasm), []).exports(self.store)
        self.end = int(self.exports["__heap_base"].value(self.store))

    def place(self, values: np.ndarray) -> int:
        """Where a copy of an array now lies."""
        memory, at = self.exports["memory"], self.end
        self.end = at + values.nbytes
        missing = self.end - memory.data_len(self.store)
        if missing > 0:
            memory.grow(self.store, -(-missing // 65536))
        self.view(at, values.shape, values.dtype)[...] = values
        return at

    def view(self, at: int, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        """The array that lies somewhere; until memory grows."""
        count = int(np.prod(shape)) * 8
        start = ctypes.addressof(self.exports["memory"].data_ptr(self.store).contents) + at
        return np.frombuffer((ctypes.c_char * count).from_address(start), dtype).reshape(shape)

    def call(self, name: str, *arguments: float) -> Any:
        """Call an exported function."""
        return self.exports[name](self.store, *arguments)


def in_wasmtime(program: Program, base: Column, wasm: bytes | None = None) -> Column:
    """The features of a program over base columns, all rows in one block, the tables taken from its description as JSON."""
    engine = Wasmtime(wasm or module())
    told = json.loads(json.dumps(program.description()))
    rows = base.shape[1]
    memory = [np.array(told["program"]), np.array(told["parameters"]), np.array([*told["sources"], 0]) * rows]
    memory += [np.zeros(told["state_words"]), np.concatenate([base, np.zeros((told["registers"] - len(base), rows))])]
    places = [engine.place(array) for array in memory]
    engine.call("run_block", *places, 0, rows)
    return engine.view(places[-1], memory[-1].shape)[told["outputs"]].copy()
