"""ns per row of the indicators as a page computes them, WebAssembly in Node, beside the same source on the server and in wasmtime."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data
from benchmarks.harness import OURS, Answer, Figure, InProcess, NotMeasurable, Options, Side, figure, race
from benchmarks.ours import timed
from benchmarks.peers import REPOSITORY
from tercel.features import spec
from tercel.features.program import BASE_COLUMNS, BLOCK_ROWS, Program

ROWS, ROWS_QUICK = 1_000_000, 100_000
REPEATS, REPEATS_QUICK = 5, 3
WARM = 50_000
NODE_S_MAX = 300.0
SERVER, WASMTIME = "server (Numba)", "wasmtime"
FEATURES = {
    "sma_20": spec.sma(20), "ema_20": spec.ema(20), "wma_20": spec.wma(20), "macd": spec.macd(), "rsi_14": spec.rsi(14),
    "stoch_rsi": spec.stoch_rsi(), "bollinger": spec.bollinger(), "zscore_20": spec.zscore(20), "volatility_20": spec.volatility(20),
    "atr_14": spec.atr(), "donchian_20": spec.donchian(20), "roc_10": spec.roc(10),
}  # fmt: skip
WHOLE = "all in one program"
LEAVES_OUT = [
    "drawing, and the way of the rows to the page; the columns are there as float64",
    "copying columns into and out of the module's memory is in it, block by block",
    "compiling: the engine has run 50,000 rows of each program before",
    "wasmtime is entered from Python for every 1,024 rows, which is most of its time",
    "one engine of a browser, that of Node",
]


def measure(options: Options) -> list[Figure]:
    """The headline `browser`: all indicators over a column in Node; the table has each alone, in every engine, and whether bits agree."""
    count = options.rows_max or (ROWS_QUICK if options.quick else ROWS)
    walk = data.random_walk(count)
    bid, ask = walk.rows["bid"], walk.rows["ask"]
    base = np.tile((bid + ask) / 2.0, (len(BASE_COLUMNS), 1))
    for name, column in (("high", ask), ("low", bid), ("bid", bid), ("ask", ask)):
        base[BASE_COLUMNS.index(name)] = column
    made = {label: program(feature) for label, feature in FEATURES.items()} | {WHOLE: program(*FEATURES.values())}
    engines: dict[str, Any] = {OURS: partial(node, made, base)}
    if options.peers:
        engines |= {SERVER: partial(server, made, base), WASMTIME: partial(wasmtime, made, base)}
    sides = race(engines, REPEATS_QUICK if options.quick else REPEATS)
    return [headline(sides, walk.name.split(":")[0], count)]


def program(*features: spec.Feature) -> Program:
    """The program of some features; the clock does not matter here."""
    return spec.FeatureSet(spec.bars("1m"), features).compile()


def headline(sides: Mapping[str, Side], source: str, rows: int) -> Figure:
    """One row of the table for each feature, and the set."""

    def ns(label: str, feature: str) -> float | None:
        return sides[label].median(lambda answer: answer[feature]["ns"]) if label in sides else None

    def bits(feature: str) -> str:
        hashes = {answer[feature]["hash"] for side in sides.values() for answer in side.answers}
        return "equal" if len(hashes) == 1 else f"{len(hashes)} different results"

    table: list[Answer] = []
    for feature in [*FEATURES, WHOLE]:
        values = {"node": ns(OURS, feature), "server": ns(SERVER, feature), "wasmtime": ns(WASMTIME, feature)}
        table.append(
            {"feature": feature, **{name: round(value, 1) for name, value in values.items() if value is not None}, "bits": bits(feature)}
        )
    return figure(
        "browser", ns(OURS, WHOLE), ns(SERVER, WHOLE), unit="ns/row", better="lower", peer=SERVER, sides=sides, rows=rows, table=table,
        leaves_out=LEAVES_OUT, source=f"{len(FEATURES)} indicators of a {source}",
        result_hash=sides[OURS].answers[0][WHOLE]["hash"] if sides[OURS].answers else None,
    )  # fmt: skip


def digest(outputs: Any) -> str:
    """16 hex digits of the bytes of all output columns."""
    return hashlib.sha256(np.ascontiguousarray(outputs)).hexdigest()[:16]


def each(programs: Mapping[str, Program], run: Callable[[str], Any], rows: int) -> Answer:
    """Time one run of every program."""
    answer: Answer = {}
    for label in programs:
        measured = timed(partial(run, label))
        answer[label] = {"ns": measured.seconds / rows * 1e9, "hash": digest(measured.result)}
    return answer


@contextlib.contextmanager
def server(programs: Mapping[str, Program], base: Any) -> Iterator[InProcess]:
    """The batch door of the server."""
    for made in programs.values():
        made.compute(base[:, :WARM])
    yield InProcess({}, partial(each, programs, lambda label: programs[label].compute(base), base.shape[1]))


@contextlib.contextmanager
def node(programs: Mapping[str, Program], base: Any) -> Iterator[InProcess]:
    """The loader and the module of `web/` in a Node process for each repeat."""
    command = shutil.which("node")
    if command is None:
        raise NotMeasurable("needs Node 18 or newer: apt-get install nodejs")
    with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-") as place:
        base.tofile(Path(place) / "columns.bin")
        order: Answer = {"columns": str(Path(place) / "columns.bin"), "warm": WARM}
        order |= {"loader": str(REPOSITORY / "web" / "features.js"), "module": str(REPOSITORY / "web" / "features.wasm")}
        order["programs"] = {label: made.description() for label, made in programs.items()}
        (Path(place) / "order.json").write_text(json.dumps(order))

        def repeat() -> Answer:
            script = [command, str(Path(__file__).with_suffix(".mjs")), str(Path(place) / "order.json")]
            done = subprocess.run(script, capture_output=True, text=True, timeout=NODE_S_MAX)
            if done.returncode:
                raise NotMeasurable(done.stderr.strip()[-400:])
            found: Answer = json.loads(done.stdout)
            return found

        told = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=NODE_S_MAX)
        yield InProcess({"node": told.stdout.strip()}, repeat)


@contextlib.contextmanager
def wasmtime(programs: Mapping[str, Program], base: Any) -> Iterator[InProcess]:
    """The module in wasmtime, block by block from Python."""
    try:
        import wasmtime as library
    except ImportError as error:
        raise NotMeasurable(f"needs wasmtime: {error}") from error
    engine = library.Engine()
    module = library.Module(engine, (REPOSITORY / "web" / "features.wasm").read_bytes())
    rows = base.shape[1]

    def run(label: str) -> Any:
        told = programs[label].description()
        store = library.Store(engine)
        exports = library.Instance(store, module, []).exports(store)
        tables = [np.array(told["program"]), np.array(told["parameters"]), np.array(told["sources"]) * BLOCK_ROWS]
        tables += [np.zeros(told["state_words"]), np.zeros(told["registers"] * BLOCK_ROWS)]
        places = np.cumsum([int(exports["__heap_base"].value(store)), *(table.nbytes for table in tables)])
        memory = exports["memory"]
        memory.grow(store, -(-int(places[-1]) // 65536))
        start = ctypes.addressof(memory.data_ptr(store).contents)
        views = [
            np.frombuffer((ctypes.c_char * table.nbytes).from_address(start + int(at)), table.dtype)
            for table, at in zip(tables, places[:-1], strict=True)
        ]
        for view, table in zip(views, tables, strict=True):
            view[...] = table
        block = views[-1].reshape(-1, BLOCK_ROWS)
        read = sorted({register for register in (*told["sources"], *told["outputs"]) if register < len(base)})
        out = np.empty((len(told["outputs"]), rows))
        call, at = exports["run_block"], [int(place) for place in places[:-1]]
        for first in range(0, rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, rows - first)
            for column in read:
                block[column, :count] = base[column, first : first + count]
            call(store, *at, 0, count)
            for place, register in enumerate(told["outputs"]):
                out[place, first : first + count] = block[register, :count]
        return out

    yield InProcess({"wasmtime": version("wasmtime")}, partial(each, programs, run, rows))
