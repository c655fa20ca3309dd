from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tercel.base.errors import JournalError
from tercel.base.records import OUTPUT, TICK
from tercel.journal.snapshots import Skipped, newest, prune, save

ARRAYS: dict[str, npt.NDArray[Any]] = {
    "state": np.arange(12.0).reshape(3, 4),
    "orders": np.arange(5, dtype=np.int64),
    "empty": np.empty((0, 3), np.float32),
    "scalar": np.array(7, np.uint8),
    "ticks": np.ones(2, TICK),
    "outputs": np.zeros(1, OUTPUT),
}


def small(folder: Path, input_number: int, layout_hash: str = "one") -> Path:
    return save(folder, input_number=input_number, layout_hash=layout_hash, arrays={"a": np.arange(3) + input_number}, meta={"k": "v"})


def same(found: dict[str, npt.NDArray[Any]], expected: dict[str, npt.NDArray[Any]]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_arrays_of_every_kind_come_back_to_the_bit(tmp_path: Path) -> None:
    """Names in order, dtypes, shapes and bytes, of records, scalars and empty ones too; they cannot be written to."""
    path = save(tmp_path / "new", input_number=42, layout_hash="one", arrays=ARRAYS, meta={"epoch": "3"})
    found = newest(tmp_path / "new", "one")
    assert found is not None
    assert (found.path, found.input_number, found.layout_hash, found.meta) == (path, 42, "one", {"epoch": "3"})
    same(found.arrays, ARRAYS)
    assert not found.arrays["state"].flags.writeable
    assert sorted(path.parent.iterdir()) == [path]


@settings(max_examples=60, deadline=None)
@given(array=hnp.arrays(hnp.array_dtypes() | hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=4)), turn=st.booleans())
def test_any_array_without_objects_comes_back(array: npt.NDArray[Any], turn: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any dtype, byte order and shape, C order or not."""
    folder = tmp_path_factory.mktemp("any")
    array = array.T if turn else array
    save(folder, input_number=1, layout_hash="x", arrays={"a": array, "b": array}, meta={})
    found = newest(folder, "x")
    assert found is not None
    same(found.arrays, {"a": array, "b": array})


def test_no_arrays_and_no_snapshots(tmp_path: Path) -> None:
    """Both are answers, not errors."""
    assert newest(tmp_path / "nowhere", "one") is None
    save(tmp_path, input_number=0, layout_hash="one", arrays={}, meta={})
    found = newest(tmp_path, "one")
    assert found is not None
    assert found.arrays == {}


def test_a_snapshot_of_another_layout_is_skipped_with_its_reason(tmp_path: Path) -> None:
    """It is never reinterpreted; an older one of the right layout serves."""
    small(tmp_path, 1)
    other = small(tmp_path, 2, "two")
    skipped: list[Skipped] = []
    found = newest(tmp_path, "one", skipped=skipped)
    assert found is not None
    assert found.input_number == 1
    assert skipped == [Skipped(other, "another layout: expected one, found two")]
    assert newest(tmp_path, "three") is None


def test_cut_at_every_byte_the_one_before_is_used(tmp_path: Path) -> None:
    """Half a snapshot is none, and nothing is raised."""
    small(tmp_path, 1)
    path = small(tmp_path, 2)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        skipped: list[Skipped] = []
        found = newest(tmp_path, "one", skipped=skipped)
        assert found is not None
        assert found.input_number == 1
        assert [(item.path, item.reason.split(":")[0]) for item in skipped] == [(path, "torn")]


def test_a_flipped_byte_is_noticed_or_outside_everything(tmp_path: Path) -> None:
    """Either the one before is used, or what comes back is what was saved (the flip fell into padding)."""
    small(tmp_path, 1)
    path = small(tmp_path, 2)
    data = path.read_bytes()
    noticed = 0
    for offset in range(len(data)):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 0x21]) + data[offset + 1 :])
        found = newest(tmp_path, "one")
        assert found is not None
        noticed += found.input_number == 1
        same(found.arrays, {"a": np.arange(3) + found.input_number})
        assert found.meta == {"k": "v"}
    assert noticed > len(data) - 24 - 64


def test_a_renamed_snapshot_is_skipped(tmp_path: Path) -> None:
    """Its name would put it at the wrong input."""
    path = small(tmp_path, 1)
    path.rename(path.with_name(path.name.replace("1.snap", "9.snap")))
    skipped: list[Skipped] = []
    assert newest(tmp_path, "one", skipped=skipped) is None
    assert skipped[0].reason == "renamed: it is of input 1"


def test_python_objects_are_refused(tmp_path: Path) -> None:
    """A pointer means nothing tomorrow."""
    with pytest.raises(JournalError, match="'bad': expected a dtype without Python objects"):
        save(tmp_path, input_number=1, layout_hash="x", arrays={"bad": np.array([{}])}, meta={})


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_save_that_fails_leaves_the_older_ones_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The error is told; the folder is as before."""
    path = small(tmp_path, 1)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        for input_number in (1, 2):
            with pytest.raises(JournalError, match="No space left"):
                small(tmp_path, input_number)
    assert [(item, item.read_bytes()) for item in tmp_path.iterdir()] == [(path, before)]


def test_prune_keeps_the_newest_and_clears_leftovers(tmp_path: Path) -> None:
    """By input number; at least one always stays."""
    paths = [small(tmp_path, number) for number in (5, 100, 20, 3)]
    leftover = tmp_path / "snapshot-00000000000000000007.tmp"
    leftover.write_bytes(b"")
    assert prune(tmp_path, keep=3) == [paths[3], leftover]
    assert prune(tmp_path, keep=0) == [paths[0], paths[2]]
    assert list(tmp_path.iterdir()) == [paths[1]]


def test_a_snapshot_in_use_survives_being_pruned(tmp_path: Path) -> None:
    """The mapping holds the bytes while the name is gone."""
    small(tmp_path, 1)
    found = newest(tmp_path, "one")
    small(tmp_path, 2)
    prune(tmp_path, keep=1)
    assert found is not None
    assert found.arrays["a"].tolist() == [1, 2, 3]
