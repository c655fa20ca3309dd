"""A writer can die at any byte, and a disk can lose any page that was not synced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.errors import JournalError
from tercel.journal.journal import Journal, JournalReader
from tercel.journal.segment import HEADER_BYTES
from tests.journal.samples import BATCHES, abandon, entries, held, segments, write


@pytest.fixture
def crashed(tmp_path: Path) -> tuple[Path, list[int]]:
    """A journal in one segment whose writer died, and the file's size behind every batch."""
    journal = Journal(tmp_path / "writer")
    journal.open()
    sizes = write(journal, BATCHES)
    folder = abandon(journal, tmp_path / "crashed")
    journal.close()
    return folder, sizes


def committed(sizes: list[int], length: int) -> tuple[tuple[int, ...], ...]:
    """The batches that are whole in the first `length` bytes."""
    return BATCHES[: sum(size <= length for size in sizes)]


def test_cut_at_every_byte_the_committed_prefix_is_left_and_takes_new_entries(crashed: tuple[Path, list[int]]) -> None:
    """Never a half batch, never one batch less than what was whole; a reader that came first saw the same."""
    folder, sizes = crashed
    path = segments(folder)[0]
    data = path.read_bytes()
    for length in range(HEADER_BYTES, len(data) + 1):
        path.write_bytes(data[:length])
        kept = entries(committed(sizes, length))
        assert JournalReader(folder).poll() == kept
        journal = Journal(folder)
        assert journal.open() == len(kept)
        assert journal.cut_bytes == length - max([HEADER_BYTES, *(size for size in sizes if size <= length)])
        journal.append(1, 99, b"after")
        journal.commit()
        assert [item.payload for item in journal.read(len(kept) + 1)] == [b"after"]
        journal.close()
        assert held(folder)[:-1] == kept


def test_a_segment_cut_inside_its_header_is_refused(crashed: tuple[Path, list[int]]) -> None:
    """A header is durable before the file has its name, so half of one is damage; an account never begins anew by accident."""
    path = segments(crashed[0])[0]
    data = path.read_bytes()
    for length in range(HEADER_BYTES):
        path.write_bytes(data[:length])
        with pytest.raises(JournalError, match=f"found {length}; restore"):
            Journal(crashed[0]).open()
        assert path.read_bytes() == data[:length]


def test_every_flipped_byte_after_a_crash_is_refused_or_in_the_last_batch(crashed: tuple[Path, list[int]]) -> None:
    """The last batch cannot be told from a torn one and is dropped whole; what stands before it had been durable and is refused."""
    folder, sizes = crashed
    path = segments(folder)[0]
    data = path.read_bytes()
    for offset in range(len(data)):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 0x55]) + data[offset + 1 :])
        if offset < sizes[-2]:
            with pytest.raises(JournalError, match=r"at byte|found"):
                Journal(folder).open()
            assert len(path.read_bytes()) == len(data)
        else:
            assert held(folder) == entries(BATCHES[:-1])


def test_after_a_clean_close_no_flipped_byte_costs_an_entry(tmp_path: Path) -> None:
    """The marker that `close` leaves vouches for everything: a flip is refused, or hits that marker and costs nothing."""
    with Journal(tmp_path) as journal:
        size = write(journal, BATCHES)[-1]
    path = segments(tmp_path)[0]
    data = path.read_bytes()
    assert len(data) > size
    for offset in range(len(data)):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :])
        if offset < size:
            with pytest.raises(JournalError):
                Journal(tmp_path).open()
        else:
            assert held(tmp_path) == entries(BATCHES)


def test_every_flipped_byte_in_a_middle_segment_is_refused_with_its_place(tmp_path: Path) -> None:
    """The error names the file and a byte at or before the damage, within the same entry."""
    with Journal(tmp_path, segment_bytes_max=100) as journal:
        write(journal, BATCHES)
    path = segments(tmp_path)[1]
    data = path.read_bytes()
    for offset in range(len(data)):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 0x10]) + data[offset + 1 :])
        with pytest.raises(JournalError, match=path.name) as refusal:
            Journal(tmp_path).open()
        if offset >= HEADER_BYTES:
            named = int(str(refusal.value).split("at byte ")[1].split(":")[0])
            assert HEADER_BYTES <= named <= offset < named + 28 + 40
    path.write_bytes(data)
    assert held(tmp_path) == entries(BATCHES)


def test_a_middle_segment_cut_at_every_byte_is_refused(tmp_path: Path) -> None:
    """Only the last segment may be short."""
    with Journal(tmp_path, segment_bytes_max=100) as journal:
        write(journal, BATCHES)
    path = segments(tmp_path)[1]
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(JournalError, match=path.name):
            Journal(tmp_path).open()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_pages_lost_by_a_power_failure_cost_only_what_was_not_durable(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Unsynced bytes may be lost in any order; everything up to the last sync is there, then whole batches, then nothing."""
    root = tmp_path_factory.mktemp("power")
    batches = tuple(
        tuple(batch) for batch in data.draw(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=4), min_size=1, max_size=8))
    )
    synced = data.draw(st.integers(0, len(batches)))
    journal = Journal(root / "writer", sync="never")
    journal.open()
    write(journal, batches[:synced])
    journal.sync()
    durable_bytes = segments(journal.folder)[0].stat().st_size
    write(journal, batches[synced:])
    folder = abandon(journal, root / "crashed")
    journal.close()
    path = segments(folder)[0]
    content = bytearray(path.read_bytes())
    sector = 16
    sectors = range(durable_bytes // sector, len(content) // sector + 1)
    for lost in data.draw(st.lists(st.sampled_from(sectors), max_size=4)):
        start = max(lost * sector, durable_bytes)
        content[start : (lost + 1) * sector] = bytes(len(content[start : (lost + 1) * sector]))
    path.write_bytes(content)
    found = held(folder)
    assert found == entries(batches)[: len(found)]
    assert len(found) in {sum(len(batch) for batch in batches[:count]) for count in range(synced, len(batches) + 1)}
