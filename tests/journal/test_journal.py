from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tercel.base.errors import ConfigError, JournalError
from tercel.base.time import NS_PER_MS
from tercel.journal import journal as journal_module
from tercel.journal import segment
from tercel.journal.journal import Journal
from tests.journal.samples import BATCHES, abandon, entries, held, segments, write


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The file descriptor of every fdatasync call."""
    calls: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (calls.append(fd), real(fd))[1])
    return calls


def test_entries_come_back_as_they_were_appended(tmp_path: Path) -> None:
    """Numbers, input numbers, kinds and payloads survive a reopen, in order and from any number on."""
    with Journal(tmp_path / "new" / "folder") as journal:
        write(journal, BATCHES)
        assert list(journal.read()) == entries(BATCHES)
        assert [journal.last, journal.durable] == [9, 9]
    assert held(journal.folder) == entries(BATCHES)
    with Journal(journal.folder) as again:
        for first in range(1, 11):
            assert list(again.read(first)) == entries(BATCHES)[first - 1 :]


def test_what_is_not_committed_is_dropped_at_close_and_its_numbers_are_free(tmp_path: Path) -> None:
    """An append without a commit promises nothing."""
    with Journal(tmp_path) as journal:
        assert journal.append(1, 1, b"kept") == 1
        journal.commit()
        assert journal.append(1, 2, b"dropped") == 2
        assert [item.payload for item in journal.read()] == [b"kept"]
    with Journal(tmp_path) as journal:
        assert journal.append(1, 3, b"next") == 2
        journal.commit()
        assert [item.payload for item in journal.read()] == [b"kept", b"next"]


def test_a_commit_is_one_write_and_one_fdatasync(tmp_path: Path, synced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Group commit: the cost of durability is paid once for the batch, and an empty commit costs nothing."""
    with Journal(tmp_path) as journal:
        writes: list[int] = []
        real = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: (writes.append(len(data)), real(fd, data))[1])
        for number in range(64):
            journal.append(1, number, b"payload")
        journal.commit()
        journal.commit()
        assert [len(writes), len(synced)] == [1, 1]
        assert journal.durable == 64


def test_interval_syncs_when_the_interval_has_passed_even_with_nothing_to_write(tmp_path: Path, synced: list[int]) -> None:
    """An unsynced batch waits for a later commit, empty or not, and never for more than one."""
    now = [0]
    with Journal(tmp_path, sync="interval", interval_ms=50, clock=lambda: now[0]) as journal:
        journal.append(1, 1, b"")
        journal.commit()
        assert [len(synced), journal.durable] == [0, 0]
        now[0] = 50 * NS_PER_MS
        journal.commit()
        assert [len(synced), journal.durable] == [1, 1]
        now[0] += 49 * NS_PER_MS
        journal.append(1, 2, b"")
        journal.commit()
        assert [len(synced), journal.durable] == [1, 1]
        journal.sync()
        assert [len(synced), journal.durable] == [2, 2]


def test_never_syncs_only_when_told(tmp_path: Path, synced: list[int]) -> None:
    """Without a policy a commit reaches the system and no further."""
    with Journal(tmp_path, sync="never") as journal:
        write(journal, BATCHES)
        assert [len(synced), journal.durable, journal.last] == [0, 0, 9]
        journal.sync()
        assert [len(synced), journal.durable] == [1, 9]


@pytest.mark.parametrize("sync", ["always", "interval", "never"])
def test_a_segment_is_durable_before_the_next_begins(tmp_path: Path, synced: list[int], sync: journal_module.Sync) -> None:
    """Under every policy only the last segment can be torn; each names the digest of the one before."""
    with Journal(tmp_path, sync=sync, interval_ms=10_000, segment_bytes_max=150) as journal:
        for batch in BATCHES * 4:
            before = len(segments(tmp_path))
            committed = journal.last
            write(journal, (batch,))
            if len(segments(tmp_path)) > before:
                assert journal.durable >= committed
        assert len(segments(tmp_path)) > 5
        assert len(synced) >= len(segments(tmp_path)) - 1
    assert held(tmp_path) == entries(BATCHES * 4)


def _recorded(name: str, calls: list[str]) -> Callable[..., object]:
    real = getattr(os, name)

    def call(*arguments: object) -> object:
        calls.append(name)
        return real(*arguments)

    return call


def test_a_new_segment_is_on_disk_before_it_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old segment, new header, name, folder: the order in which each becomes durable, before the first entry is written."""
    with Journal(tmp_path, sync="never", segment_bytes_max=64) as journal:
        write(journal, BATCHES[:1])
        calls: list[str] = []
        for name in ("write", "fdatasync", "fsync", "rename"):
            monkeypatch.setattr(os, name, _recorded(name, calls))
        write(journal, BATCHES[:1])
        assert calls == ["fdatasync", "write", "fsync", "rename", "fsync", "write"]


def test_a_batch_is_never_split_between_segments(tmp_path: Path) -> None:
    """A batch larger than a segment gets one of its own."""
    with Journal(tmp_path, segment_bytes_max=150) as journal:
        write(journal, ((1,), (400, 500), (2,)))
    sizes = [path.stat().st_size for path in segments(tmp_path)]
    assert len(sizes) == 3
    assert sizes[1] > 900
    assert held(tmp_path) == entries(((1,), (400, 500), (2,)))


def test_a_second_writer_is_refused_with_the_holders_process_id(tmp_path: Path) -> None:
    """One folder, one writer, in this process and in others; the lock is free once the writer is gone."""
    with Journal(tmp_path), pytest.raises(JournalError, match=f"held by process {os.getpid()}"):
        Journal(tmp_path).open()
    with Journal(tmp_path):
        pass


def test_bounds_are_refused_and_nothing_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind, a payload or a batch out of bounds is the caller's mistake, not a broken journal."""
    monkeypatch.setattr(journal_module, "BATCH_BYTES_MAX", 200)
    with Journal(tmp_path) as journal:
        for kind, payload in ((0, b""), (-1, b""), (1 << 16, b""), (1, bytes((16 << 20) + 1))):
            with pytest.raises(JournalError, match="expected kind 1 to 65535"):
                journal.append(kind, 1, payload)
        journal.append(1, 1, bytes(100))
        with pytest.raises(JournalError, match="commit more often"):
            journal.append(1, 1, bytes(100))
        journal.commit()
        assert journal.append(1, 1, bytes(100)) == 2


def test_the_largest_payload_fits(tmp_path: Path) -> None:
    """16 MiB go in and come out, through a reader that begins with small bites."""
    payload = bytes(range(256)) * (16 << 12)
    with Journal(tmp_path) as journal:
        journal.append(1, 1, payload)
        journal.commit()
    with Journal(tmp_path) as journal:
        assert [item.payload == payload for item in journal.read()] == [True]


def test_a_journal_opens_once_and_refuses_before_and_after(tmp_path: Path) -> None:
    """Every call names why it is refused."""
    journal = Journal(tmp_path)
    for call in (journal.commit, journal.sync, lambda: journal.append(1, 1, b""), lambda: list(journal.read())):
        with pytest.raises(JournalError, match="is not open"):
            call()
    journal.open()
    with pytest.raises(JournalError, match="opens once"):
        journal.open()
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        journal.append(1, 1, b"")
    with pytest.raises(JournalError, match="is closed; make a new one"):
        journal.open()


def test_settings_out_of_range_are_the_operators_mistake(tmp_path: Path) -> None:
    """A policy nobody defined is refused by name."""
    for setting in ({"sync": "sometimes"}, {"interval_ms": -1}, {"segment_bytes_max": 1}):
        with pytest.raises(ConfigError, match="expected sync always, interval or never"):
            Journal(tmp_path, **setting)  # type: ignore[arg-type]


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    """The chain of digests shows a gap at either end of the middle, and nothing is changed."""
    with Journal(tmp_path / "whole", segment_bytes_max=100) as journal:
        write(journal, BATCHES)
        count = len(segments(journal.folder))
        for gone in range(count - 1):
            copy = abandon(journal, tmp_path / f"without-{gone}")
            segments(copy)[gone].unlink()
            names = [path.name for path in segments(copy)]
            with pytest.raises(JournalError, match="restore"):
                Journal(copy).open()
            assert [path.name for path in segments(copy)] == names
    assert count >= 4


def test_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    """A journal of a later Tercel says so instead of looking damaged."""
    with Journal(tmp_path):
        pass
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[8] = segment.VERSION + 1
    path.write_bytes(data)
    with pytest.raises(JournalError, match="expected journal version up to 1, found 2; use the Tercel that wrote it"):
        Journal(tmp_path).open()


def test_a_rotation_that_died_before_the_rename_leaves_no_trace(tmp_path: Path) -> None:
    """A half-made segment has no name yet, and the next open removes it."""
    with Journal(tmp_path) as journal:
        write(journal, BATCHES)
    leftover = tmp_path / "journal-00000000000000000010.tmp"
    leftover.write_bytes(b"half a header")
    assert held(tmp_path) == entries(BATCHES)
    assert not leftover.exists()


def test_the_bytes_on_disk_do_not_change_from_one_version_to_the_next(tmp_path: Path) -> None:
    """A journal written by version 1 stays readable: these are its bytes."""
    with Journal(tmp_path) as journal:
        journal.append(3, 7, b"intent")
        journal.commit()
        first = segments(tmp_path)[0].read_bytes()
    body = bytes.fromhex("0100000000000000070000000000000003000000") + b"intent"
    assert first[:12] == b"TERCELJ\x00" + bytes([1, 0, 0, 0])
    assert first[64:68] + first[72:98] == bytes([6, 0, 0, 0]) + body
    assert first == segment.encode_header(1, bytes(32)) + segment.encode_entry(3, 1, 7, b"intent") + segment.encode_marker(1, 98, 64)
    assert list(itertools.islice(segment.scan(first[64:], 64, 0, 10).entries, 2)) == held(tmp_path)
