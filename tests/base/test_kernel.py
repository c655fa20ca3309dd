"""The decorator and the door: binding memory, refusing what would be misread, twins in every mode, and a cache that is never stale."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tercel.base.kernel import CACHE, COMPILED, Checked, F, I, Plain, compile_all, entry, f64, i64, kernel, plain, sources_hash
from tercel.core.market_phase import market_run, merge_rows
from tercel.decision.kernels import confidence_of, direction_of, round_trip_cost
from tests.twins import MODES, bits, twin

ROOT = Path(__file__).resolve().parents[2]


@kernel
def weighted(S: F, N: I, factor: f64, count: i64) -> f64:
    """factor * S[0] + S[1] + … as a running total in S[0]; N[0] counts the calls."""
    for k in range(1, count):
        S[0] = factor * S[0] + S[k]
    N[0] += 1
    return S[0]


def test_a_bound_kernel_works_on_the_memory_it_was_given() -> None:
    """Reads and writes go to the arrays themselves, in any shape, and scalars are passed with each call."""
    memory, calls = np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(1, np.int64)
    run = entry(weighted).bind(memory, calls)
    assert run(0.5, 4) == ((0.5 * 1.0 + 2.0) * 0.5 + 3.0) * 0.5 + 4.0
    assert run(0.0, 2) == 2.0
    assert memory[0, 0] == 2.0
    assert calls[0] == 2


def test_a_bound_kernel_keeps_its_memory_alive() -> None:
    """Nobody else needs to hold the arrays."""
    run = entry(weighted).bind(np.full(64, 1.0), np.zeros(1, np.int64))
    for _ in range(50):
        np.full(64, -5.0)
    assert run(1.0, 64) == 64.0


@pytest.mark.parametrize(
    "memory",
    [
        (np.zeros(8, np.float32), np.zeros(1, np.int64)),
        (np.zeros(16)[::2], np.zeros(1, np.int64)),
        (np.zeros((4, 4)).T[:2], np.zeros(1, np.int64)),
        (np.zeros(8),),
        (np.zeros(8), np.zeros(1, np.int64), np.zeros(1)),
    ],
    ids=["four bytes", "gaps", "columns", "too few", "too many"],
)
def test_memory_that_would_be_misread_is_refused(memory: tuple[np.ndarray, ...]) -> None:
    """Items of another size, gaps and a wrong number of arrays are refused by the name of the kernel, before anything is read."""
    with pytest.raises(TypeError, match=r"test_kernel\.weighted: expected"):
        entry(weighted).bind(*memory)


def test_a_kernel_has_one_entry() -> None:
    """Whoever asks gets the same entry, so nothing is compiled twice, and its name says where it is."""
    assert entry(weighted) is entry(plain(weighted))
    assert entry(weighted).name.endswith("test_kernel.weighted")
    assert entry(weighted).marks == ("F", "I", "f64", "i64")
    assert entry(weighted).address == entry(weighted).compile().address


def test_progress_names_each_kernel_and_ends() -> None:
    """A progress bar is told what is being compiled, how many are done, and the end."""
    told: list[tuple[str, int, int]] = []
    compile_all([entry(round_trip_cost), entry(direction_of)], lambda *step: told.append(step))
    here = "tercel.decision.kernels."
    assert told == [(here + "round_trip_cost", 0, 2), (here + "direction_of", 1, 2), ("", 2, 2)]
    compile_all([entry(confidence_of)])


@pytest.mark.parametrize("memory", [np.arange(4.0), np.arange(4)])
def test_checked_memory_refuses_an_index_out_of_range(memory: np.ndarray) -> None:
    """Both ends are closed: -1 does not mean the last word."""
    checked = Checked(memory)
    checked[3] = 8
    assert checked[3] == 8
    for index in (-1, 4, 2**40):
        with pytest.raises(IndexError, match=f"read at {index} of 4 words"):
            checked[index]
        with pytest.raises(IndexError, match=f"write at {index} of 4 words"):
            checked[index] = 1
    assert type(checked[0]) is type(Plain(memory)[0]) is type(memory[0].item())


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_enters_a_kernel_the_same_way(mode: str) -> None:
    """Compiled, plain and checked kernels are bound and called alike and answer alike, also for the not-a-numbers."""
    there = twin(mode)
    left, right = np.array([[1, 0, 5], [3, 2, 6]]).reshape(-1), np.array([2, 1, 7])
    out = np.zeros(9, np.int64)
    assert there.kernel.entry(there.market.merge_rows).bind(left, right, out)(3, 2, 1) == 3
    assert out.reshape(3, 3)[:, 2].tolist() == [5, 7, 6]
    cost = there.kernel.entry(there.decision.round_trip_cost).bind()
    assert bits([cost(float("nan"), 1.0, 1.0), cost(2.0, 1e308, 1e308)]).tolist() == bits([np.nan, np.inf]).tolist()


def test_the_modes_are_what_they_say() -> None:
    """A twin really is plain Python, and what everything else uses really is compiled."""
    assert COMPILED
    assert hasattr(market_run, "py_func")
    assert not hasattr(twin("python").market.market_run, "py_func")
    assert twin("checked").kernel.MODE == "checked"
    assert twin("compiled").market.market_run is market_run
    assert entry(merge_rows).function is plain(merge_rows)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's sources."""
    target = tmp_path_factory.mktemp("sources") / "tercel"
    shutil.copytree(ROOT / "src" / "tercel", target, ignore=lambda _, names: [name for name in names if name == "__pycache__"])
    return target


@pytest.mark.parametrize(
    "path",
    [
        "features/opcodes/averages.py",
        "features/opcodes/table.py",
        "market/kernels.py",
        "base/records.py",
        "base/kernel.py",
        "core/layout.py",
    ],
)
def test_a_change_in_a_kernel_or_in_what_it_imports_names_another_cache(package: Path, path: str) -> None:
    """Constants are compiled in, so the files that only declare them count too."""
    before, text = sources_hash(package), (package / path).read_text()
    (package / path).write_text(text + "\n")
    changed = sources_hash(package)
    (package / path).write_text(text)
    assert changed != before == sources_hash(package)


def test_a_change_elsewhere_keeps_the_cache(package: Path) -> None:
    """A new command or page compiles nothing anew, and the cache does not depend on where the package lies."""
    (package / "cli" / "main.py").write_text("x = 1\n")
    assert sources_hash(package) == sources_hash(ROOT / "src" / "tercel")
    assert sources_hash(package) in CACHE.name


def test_a_mode_is_chosen_before_the_process_starts() -> None:
    """`TERCEL_KERNELS=python` runs without a compiler: Numba is not even imported."""
    code = "import sys, tercel.core.market_phase as m; print('numba' in sys.modules, hasattr(m.market_run, 'py_func'))"
    env = {"TERCEL_KERNELS": "python", "PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "False"], done.stderr
