"""One source for server and browser: every opcode gives the same 64-bit words in Numba, Node, wasmtime and plain Python."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tercel.base.errors import TercelError
from tercel.base.kernel import entry
from tercel.features.opcodes import OPCODES
from tercel.features.spec import FeatureSet, bars
from tercel.features.translate import translate
from tercel.features.wasm import FLAGS, compile_c, main, source
from tests.base.test_real import COLUMNS, values
from tests.features.engines import COMMITTED, Wasmtime, base_columns, in_node, in_wasmtime, module, program_of
from tests.features.judges import JUDGES, Column
from tests.features.running import CASES, IDS, hostile, inputs, run
from tests.features.test_program import FEATURES
from tests.twins import bits

TWIN_ROWS = 20_000
BYTES_MAX = 40_000  # a page loads the module before it draws an indicator


@pytest.fixture(scope="module")
def quotes(data_dir: Path) -> tuple[Column, Column]:
    """(bid, ask) of a million real quotes and more: a month of gold, then of EURUSD."""
    table = pq.read_table(data_dir / "quotes" / "fx_oanda_tick_201405.parquet", columns=["symbol", "bid", "ask"])
    both = pa.concat_tables(table.filter(pc.equal(table["symbol"], symbol)) for symbol in ("XAUUSD", "EURUSD"))
    assert both.num_rows > 1_000_000
    return both["bid"].to_numpy(), both["ask"].to_numpy()


@pytest.fixture(scope="module")
def real(quotes: tuple[Column, Column], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Column]]:
    """(folder, base columns): the results of every opcode over the real quotes, from one Node process."""
    folder, base = tmp_path_factory.mktemp("real"), base_columns(*quotes)
    jobs = [{"description": program_of(op, JUDGES[op].usual).description(), "out": str(folder / f"{op}.bin")} for op in OPCODES]
    answers = in_node(folder, jobs, base)
    assert not [answer for answer in answers if "error" in answer]
    yield folder, base
    for file in folder.iterdir():
        file.unlink()


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Column]:
    """(folder, base columns): the results of every case over hostile rows, the first 500 pushed one by one, from one Node process."""
    folder, base = tmp_path_factory.mktemp("hard"), base_columns(*hostile())
    jobs = [
        {"description": program_of(op, parameters).description(), "out": str(folder / f"{name}.bin"), "pushed": 500}
        for (op, parameters), name in zip(CASES, IDS, strict=True)
    ]
    answers = in_node(folder, jobs, base)
    assert not [answer for answer in answers if "error" in answer]
    return folder, base


@pytest.mark.parametrize("op", OPCODES)
def test_an_opcode_gives_the_same_bits_in_every_engine_on_a_million_quotes(
    op: str, real: tuple[Path, Column], quotes: tuple[Column, Column]
) -> None:
    """Numba, Node and wasmtime agree in every output of every row, and plain Python in the first 20,000."""
    folder, base = real
    program = program_of(op, JUDGES[op].usual)
    server = bits(program.compute(base))
    assert np.array_equal(server, np.fromfile(folder / f"{op}.bin", np.int64).reshape(server.shape))
    assert np.array_equal(server, bits(in_wasmtime(program, base)))
    columns = inputs(op, *(side[:TWIN_ROWS] for side in quotes))
    assert np.array_equal(server[:, :TWIN_ROWS], np.atleast_2d(bits(run(op, JUDGES[op].usual, columns, mode="python"))))
    assert np.isfinite(program.compute(base[:, :5_000])).any()


@pytest.mark.parametrize(("op", "parameters", "name"), [(*case, name) for case, name in zip(CASES, IDS, strict=True)], ids=IDS)
def test_hostile_rows_give_the_same_bits_in_every_engine(
    op: str, parameters: tuple[float, ...], name: str, hard: tuple[Path, Column]
) -> None:
    """NaN, infinities, zeros, denormals, huge values and flat markets, one by one and in blocks: no bit differs, NaN included."""
    folder, base = hard
    program = program_of(op, parameters)
    server = bits(program.compute(base))
    assert np.array_equal(server, np.fromfile(folder / f"{name}.bin", np.int64).reshape(server.shape))
    assert np.array_equal(server, bits(in_wasmtime(program, base)))


def test_the_comparison_sees_another_arithmetic() -> None:
    """The same sources compiled with fast-math give other bits: equality is the flags' doing, and the tests would see it go."""
    program, base = program_of("ema", (20,)), base_columns(*hostile())
    fast = compile_c(source(), (*FLAGS, "-ffast-math"))
    assert not np.array_equal(bits(program.compute(base)), bits(in_wasmtime(program, base, fast)))


def test_a_program_of_features_of_features_gives_the_same_bits(tmp_path: Path) -> None:
    """A whole set, with features of other features and single outputs, by plain arrays, typed ones and row by row."""
    program = FeatureSet(bars("1m"), FEATURES).compile()
    base = base_columns(*hostile(3_000, seed=8))
    told = program.description()
    jobs = [
        {"description": told, "out": str(tmp_path / "batch.bin")},
        {"description": told, "out": str(tmp_path / "plain.bin"), "plain": True},
        {"description": told, "out": str(tmp_path / "push.bin"), "pushed": 3_000},
    ]
    assert not [answer for answer in in_node(tmp_path, jobs, base) if "error" in answer]
    server = bits(program.compute(base))
    for name in ("batch", "plain", "push"):
        assert np.array_equal(server, np.fromfile(tmp_path / f"{name}.bin", np.int64).reshape(server.shape)), name
    assert np.array_equal(server, bits(in_wasmtime(program, base)))


def test_the_engine_refuses_what_it_does_not_have(tmp_path: Path) -> None:
    """Another version of an opcode, an opcode the module lacks and a row of another length are errors that name the two sides."""
    base = base_columns(*(side[:50] for side in hostile()))
    good = program_of("sma", (5,)).description()
    jobs = [
        {"description": good | {"opcodes": [["sma", 1, OPCODES["sma"].version + 1]]}, "out": ""},
        {"description": good | {"opcodes": [["mine", 9_999, 1]]}, "out": ""},
        {"description": good | {"columns": ["open"]}, "out": ""},
        {"description": good | {"columns": ["open"]}, "out": "", "pushed": 1},
    ]
    found = [answer["error"] for answer in in_node(tmp_path, jobs, base)]
    version = OPCODES["sma"].version
    assert found[0].startswith(f"features.wasm: expected version {version + 1} of opcode sma, found version {version}; load the module")
    assert found[1].startswith("features.wasm: expected version 1 of opcode mine, found none; load the module")
    assert found[2] == f"features: expected 1 columns (open), found {len(base)}"
    assert found[3] == f"features: expected 1 values (open), found {len(base)}"


@pytest.mark.parametrize("name", COLUMNS)
def test_exp_and_log_give_the_same_bits_in_every_engine(name: str, tmp_path: Path) -> None:
    """A million values with every edge: Numba, Node and wasmtime agree; tests/base/test_real.py has the twin and the true values."""
    wasm, x = compile_c(translate([COLUMNS[name]])), values(name, 1_000_000)
    kernel = f"{name}_column"
    (tmp_path / "kernel.wasm").write_bytes(wasm)
    x.tofile(tmp_path / "x.bin")
    job = {"kernel": kernel, "module": str(tmp_path / "kernel.wasm"), "columns": str(tmp_path / "x.bin"), "out": str(tmp_path / "y.bin")}
    answers = in_node(tmp_path, [job])
    assert "error" not in answers[0]
    server = np.empty(len(x))
    entry(COLUMNS[name]).bind(x, server)(len(x))
    assert np.array_equal(bits(server), np.fromfile(tmp_path / "y.bin", np.int64))
    engine = Wasmtime(wasm)
    places = [engine.place(array) for array in (x, np.zeros(len(x)))]
    engine.call(kernel, *places, len(x))
    assert np.array_equal(bits(server), bits(engine.view(places[1], x.shape)))


def test_the_committed_module_is_what_the_sources_give() -> None:
    """Anybody's build has the same SHA-256 as the file in the repository, which is small."""
    built, kept = (hashlib.sha256(wasm).hexdigest() for wasm in (module(), COMMITTED.read_bytes()))
    assert built == kept, "web/features.wasm is not made of these sources; run: make wasm"
    assert len(module()) < BYTES_MAX


def test_the_command_writes_the_module_or_says_why_not(tmp_path: Path) -> None:
    """`build FILE` writes it; anything else, and what the compiler refuses, is told in words."""
    main(["build", str(tmp_path / "features.wasm")])
    assert (tmp_path / "features.wasm").read_bytes() == module()
    with pytest.raises(SystemExit, match="expected build FILE"):
        main([])
    with pytest.raises(TercelError, match=r"ziglang: expected a module, found exit status \d+: .*error:"):
        compile_c("double f(void) { return x; }")


def test_the_module_needs_nothing_and_knows_every_opcode() -> None:
    """It imports nothing, and answers with the version of each opcode of the table and 0 for every other number."""
    engine = Wasmtime(module())
    numbers = {opcode.number: opcode.version for opcode in OPCODES.values()}
    assert {number: engine.call("opcode_version", number) for number in range(-1, 300)} == {
        number: numbers.get(number, 0) for number in range(-1, 300)
    }


def test_a_description_is_plain_json() -> None:
    """It survives JSON, numbers included, compiles nothing and says what the program's tables say."""
    program = FeatureSet(bars("1m"), FEATURES).compile()
    told = program.description()
    assert json.loads(json.dumps(told)) == told
    table, parameters, places = program.tables
    assert told["parameters"] == parameters.tolist()
    assert len(told["program"]) == len(table)
    assert len(told["sources"]) == len(places)
    assert told["names"] == [program.names[register] for register in told["outputs"]] == list(FeatureSet(bars("1m"), FEATURES).names)
    assert told["hash"] == program.hash
