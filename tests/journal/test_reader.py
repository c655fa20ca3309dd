from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tercel.base.errors import JournalError
from tercel.journal import reader as reader_module
from tercel.journal import segment
from tercel.journal.journal import Journal, JournalReader
from tests.journal.samples import BATCHES, abandon, append, entries, entry, segments, write


def test_a_reader_follows_batch_by_batch_through_rotation(tmp_path: Path) -> None:
    """Each poll gives exactly what was committed since the last one, and it may begin before the folder exists."""
    reader = JournalReader(tmp_path / "later")
    assert reader.poll() == []
    seen = []
    with Journal(tmp_path / "later", segment_bytes_max=100) as journal:
        for batch in BATCHES * 3:
            append(journal, batch)
            assert reader.poll() == []
            journal.commit()
            got = reader.poll()
            assert len(got) == len(batch)
            seen += got
        assert len(segments(journal.folder)) > 5
    assert reader.poll() == []
    assert seen == entries(BATCHES * 3)


def test_half_a_batch_is_waited_for(tmp_path: Path) -> None:
    """At every byte of a growing file a reader that has polled all along holds whole batches and no error."""
    journal = Journal(tmp_path / "writer")
    journal.open()
    sizes = write(journal, BATCHES)
    data = segments(journal.folder)[0].read_bytes()
    journal.close()
    growing = tmp_path / "growing"
    growing.mkdir()
    path = growing / segments(journal.folder)[0].name
    path.write_bytes(data[:64])
    reader, seen = JournalReader(growing), []
    with path.open("ab", buffering=0) as file:
        for length in range(65, len(data) + 1):
            file.write(data[length - 1 : length])
            seen += reader.poll()
            assert seen == entries(BATCHES[: sum(size <= length for size in sizes)])
    assert len(seen) == 9


def test_a_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """`after` is the number of the last entry used, wherever batches and segments end."""
    with Journal(tmp_path, segment_bytes_max=150) as journal:
        write(journal, BATCHES)
    for after in range(10):
        with JournalReader(tmp_path, after=after) as reader:
            seen = []
            while got := reader.poll(limit=2):
                seen += got
            assert seen == entries(BATCHES)[after:]


def test_a_limit_ends_behind_the_batch_that_reaches_it(tmp_path: Path) -> None:
    """A batch is never given in parts."""
    with Journal(tmp_path) as journal:
        write(journal, ((1,), (1, 1, 1), (1, 1), (1,)))
    reader = JournalReader(tmp_path)
    assert [len(reader.poll(limit=2)) for _ in range(4)] == [4, 2, 1, 0]


def test_batches_larger_than_a_bite_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader takes more bytes until it has a batch, also behind the marker of an earlier close."""
    monkeypatch.setattr(reader_module, "_CHUNK_BYTES", 70)
    with Journal(tmp_path) as journal:
        write(journal, ((1,),))
    with Journal(tmp_path) as journal:
        write(journal, ((500, 3), (2,)))
        assert list(journal.read()) == entries(((1,), (500, 3), (2,)))


def test_damage_under_a_reader_is_told_and_not_waited_for(tmp_path: Path) -> None:
    """Wrong bytes that a later marker vouches for, or that a later segment follows, will never become right."""
    journal = Journal(tmp_path / "writer", segment_bytes_max=660)
    journal.open()
    write(journal, BATCHES)
    one = abandon(journal, tmp_path / "one")
    write(journal, BATCHES)
    two = abandon(journal, tmp_path / "two")
    journal.close()
    assert [len(segments(one)), len(segments(two))] == [1, 2]
    for folder, place in ((one, 100), (two, 100), (two, -1)):
        path = segments(folder)[0]
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)
        reader = JournalReader(folder)
        if place == -1:  # the end of the last batch, for which no later marker of the segment vouches
            assert len(reader.poll(7)) == 8
        with pytest.raises(JournalError, match="damaged at byte"):
            reader.poll()
        data[place] ^= 1
        path.write_bytes(data)


def test_bytes_completed_between_two_looks_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer finishes its batch and begins the next segment just after we read half of it."""
    with Journal(tmp_path, segment_bytes_max=660) as journal:
        write(journal, BATCHES * 2)
    assert len(segments(tmp_path)) == 2
    reader, looks, real = JournalReader(tmp_path), [], JournalReader._scan

    def half_at_first(reader: JournalReader, limit: int) -> tuple[segment.Scan, bytes]:
        looks.append(limit)
        if len(looks) > 1:
            return real(reader, limit)
        data = segments(tmp_path)[0].read_bytes()[64:90]
        return segment.scan(data, 64, 0, limit), data

    monkeypatch.setattr(JournalReader, "_scan", half_at_first)
    assert len(reader.poll()) == 9
    assert len(looks) == 2


def test_a_journal_shorter_than_what_was_read_is_told(tmp_path: Path) -> None:
    """After losing its tail a journal no longer holds what the reader built upon."""
    journal = Journal(tmp_path / "writer")
    journal.open()
    sizes = write(journal, BATCHES)
    folder = abandon(journal, tmp_path / "copy")
    journal.close()
    reader = JournalReader(folder)
    assert len(reader.poll()) == 9
    os.truncate(segments(folder)[0], sizes[1])
    with pytest.raises(JournalError, match="cut back after it was read"):
        reader.poll()
    with pytest.raises(JournalError, match="expected at least 9 entries, as read before, found 4"):
        JournalReader(folder, after=9).poll()


def test_older_segments_that_are_gone_are_told(tmp_path: Path) -> None:
    """A reader that needs entry 1 does not quietly begin later."""
    with Journal(tmp_path, segment_bytes_max=100) as journal:
        write(journal, BATCHES)
    segments(tmp_path)[0].unlink()
    with pytest.raises(JournalError, match="expected the segment that holds entry 1"):
        JournalReader(tmp_path).poll()


def _follow(folder: Path, until: int, results: Connection) -> None:
    reader, count, polls = JournalReader(folder), 0, 0
    while count < until:
        got = reader.poll(50)
        for item in got:
            count += 1
            assert item == entry(count, item.number % 97), item
        assert count % 3 == 0  # batches are of three
        polls += bool(got)
    results.send((count, polls))


def test_another_process_follows_while_the_writer_rotates(tmp_path: Path) -> None:
    """A reader at full speed beside the writer sees every entry once, in whole batches, through dozens of segments."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    until = 6_000
    process = spawn.Process(target=_follow, args=(tmp_path, until, sender), daemon=True)
    process.start()
    with Journal(tmp_path, sync="never", segment_bytes_max=10_000) as journal:
        while journal.last < until:
            write(journal, (tuple((journal.last + place) % 97 for place in (1, 2, 3)),))
        assert receiver.poll(60), "the reader did not reach the end"
        count, polls = receiver.recv()
        assert count == until
        assert polls > 1
        assert len(segments(tmp_path)) > 30
    process.join(10)
    assert process.exitcode == 0
