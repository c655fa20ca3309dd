from __future__ import annotations

import errno
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.errors import ConfigError, JournalError
from tercel.base.records import QUOTE, TICK, Records, empty
from tercel.journal import input_segment
from tercel.journal.input_log import InputLog, read_inputs

SMALL = 64 + 10 * 64
"""A segment of ten records."""


def inputs(first: int, count: int) -> Records:
    """The only inputs that may have these numbers."""
    records = empty(count)
    records["kind"] = QUOTE
    records["ts_recv"] = records["ref"] = np.arange(first, first + count)
    return records


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("input-*.log"))


def filled(folder: Path, count: int, *, segment_bytes_max: int = SMALL) -> Path:
    """A closed log that holds inputs 1 to `count`."""
    with InputLog(folder, segment_bytes_max=segment_bytes_max) as log:
        log.append(inputs(1, count))
    return folder


def numbers(folder: Path, first: int = 1) -> list[int]:
    """The numbers of what a reader finds from `first` on; every record must be the one that belongs there."""
    found: list[int] = []
    for records in read_inputs(folder, first):
        assert records.dtype == TICK
        assert not records.flags.writeable
        assert records.tobytes() == inputs(first + len(found), len(records)).tobytes()
        found += records["ref"].tolist()
    return found


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 35), max_size=12), reopens=st.sets(st.integers(0, 11)), data=st.data())
def test_any_cut_into_appends_reopens_and_segments_holds_the_same_inputs(sizes: list[int], reopens: set[int], data: st.DataObject) -> None:
    """What went in comes out, from any number on, whatever the sizes of appends and segments."""
    with tempfile.TemporaryDirectory() as name:
        folder, last = Path(name), 0
        log = InputLog(folder, segment_bytes_max=SMALL)
        assert log.open() == 0
        for step, size in enumerate(sizes):
            if step in reopens:
                log.close()
                assert log.last == last
                log = InputLog(folder, segment_bytes_max=data.draw(st.sampled_from([128, SMALL, 5_000])))
                assert log.open() == last
                assert log.cut_bytes == 0
            log.append(inputs(last + 1, size))
            last += size
            assert [log.first, log.last] == [1, last]
        first = data.draw(st.integers(1, last + 1))
        assert numbers(folder, first) == list(range(first, last + 1))
        assert sum(len(records) for records in log.read(1)) == last
        log.close()
        assert numbers(folder) == list(range(1, last + 1))


def test_full_segments_are_sealed_with_count_and_checksum(tmp_path: Path) -> None:
    """The last one stays open."""
    filled(tmp_path, 25)
    headers = [
        input_segment.decode_header(path, path.read_bytes(), first) for path, first in zip(files(tmp_path), (1, 11, 21), strict=True)
    ]
    assert [header.count for header in headers] == [10, 10, 0]
    assert all(header.records_crc for header in headers[:2])


def test_cut_at_every_byte_the_whole_records_are_left(tmp_path: Path) -> None:
    """A partial record, or a header that did not reach the disk, costs only itself."""
    filled(tmp_path, 13)
    path = files(tmp_path)[1]
    data = path.read_bytes()
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        kept = 10 + max(length - 64, 0) // 64
        assert numbers(tmp_path) == list(range(1, kept + 1)) if length >= 64 else True
        log = InputLog(tmp_path, segment_bytes_max=SMALL)
        assert log.open() == kept
        assert log.cut_bytes == (max(length - 64, 0) % 64)
        log.append(inputs(kept + 1, 2))
        log.close()
        assert numbers(tmp_path) == list(range(1, kept + 3))
        path.write_bytes(data)


def test_pages_that_never_reached_the_disk_end_the_log(tmp_path: Path) -> None:
    """An all-zero record ends the log, whatever stands behind it."""
    filled(tmp_path, 18)
    path = files(tmp_path)[1]
    data = path.read_bytes()
    for lost in range(8):
        for upto in (lost + 1, 8):
            path.write_bytes(data[: 64 + lost * 64] + bytes((upto - lost) * 64) + data[64 + upto * 64 :])
            assert numbers(tmp_path) == list(range(1, 11 + lost))
            with InputLog(tmp_path, segment_bytes_max=SMALL) as log:
                assert log.last == 10 + lost
                assert log.cut_bytes == (8 - lost) * 64
            path.write_bytes(data)
    path.write_bytes(bytes(len(data)))
    with InputLog(tmp_path, segment_bytes_max=SMALL) as log:
        assert log.last == 10


def test_a_record_without_a_kind_that_is_not_all_zero_is_refused(tmp_path: Path) -> None:
    """That is no lost page but damage, and nothing is cut."""
    filled(tmp_path, 5)
    path = files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[64 + 3 * 64 + 20] = 0  # the kind of the fourth
    path.write_bytes(data)
    with pytest.raises(JournalError, match="record without a kind at byte 256"):
        InputLog(tmp_path).open()
    assert path.read_bytes() == data


def test_every_flipped_byte_in_a_full_segment_is_refused(tmp_path: Path) -> None:
    """In the header at open, in the records before any of them is handed out."""
    filled(tmp_path, 15)
    path = files(tmp_path)[0]
    data = path.read_bytes()
    for offset in range(0, len(data), 3):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 4]) + data[offset + 1 :])
        with pytest.raises(JournalError, match=path.name):
            InputLog(tmp_path, segment_bytes_max=SMALL).open() if offset < 64 else numbers(tmp_path)


def test_a_full_segment_of_another_size_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    """Only the last segment may be short."""
    filled(tmp_path, 35)
    second = files(tmp_path)[1]
    data = second.read_bytes()
    for changed in (data[:-64], data[:-1], data + bytes(64)):
        second.write_bytes(changed)
        with pytest.raises(JournalError, match="expected 10 inputs, because the next segment begins with 21"):
            InputLog(tmp_path).open()
    second.unlink()
    with pytest.raises(JournalError, match="expected 20 inputs"):
        InputLog(tmp_path).open()
    with pytest.raises(JournalError, match="expected input 11, found the next segment begin with 21"):
        numbers(tmp_path)


def test_a_log_of_another_record_layout_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are never read through another view."""
    filled(tmp_path, 5)
    monkeypatch.setattr(input_segment, "LAYOUT_HASH", bytes(16))
    with pytest.raises(JournalError, match="record layout"):
        InputLog(tmp_path).open()


def test_a_seal_that_a_crash_interrupted_is_made_at_the_next_open(tmp_path: Path) -> None:
    """A full segment without a seal is complete when its size says so."""
    filled(tmp_path, 25)
    path = files(tmp_path)[0]
    sealed = path.read_bytes()
    path.write_bytes(input_segment.encode_header(1) + sealed[64:])
    with InputLog(tmp_path, segment_bytes_max=SMALL) as log:
        assert log.last == 25
    assert path.read_bytes() == sealed


def test_a_sealed_segment_that_became_the_last_grows_again(tmp_path: Path) -> None:
    """The file behind it was lost with the power; the next open finds one log."""
    filled(tmp_path, 15)
    files(tmp_path)[1].unlink()
    for last in (10, 12, 14):
        with InputLog(tmp_path, segment_bytes_max=5_000) as log:
            assert log.last == last
            log.append(inputs(last + 1, 2))
    assert numbers(tmp_path) == list(range(1, 17))


def test_only_what_a_snapshot_covers_is_trimmed_and_only_over_the_bound(tmp_path: Path) -> None:
    """Without leave nothing goes; with it the log stays under its bound and ends where it should."""
    with InputLog(tmp_path, segment_bytes_max=SMALL, total_bytes_max=4 * SMALL) as log:
        for number in range(1, 101):
            log.append(inputs(number, 1))
        assert log.first == 1
        log.allow_trim(26)
        log.allow_trim(5)  # an older snapshot takes nothing back
        log.append(inputs(101, 1))
        log.append(inputs(102, 9))
        assert log.first == 21
        log.allow_trim(1_000)
        for number in range(111, 200):
            log.append(inputs(number, 1))
            assert log.last == number
        log.sync()
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 4 * SMALL
        first = log.first
        assert 150 < first < 175
        with pytest.raises(JournalError, match=f"expected input {first - 1}, found {first} as the oldest held"):
            list(log.read(first - 1))
    with InputLog(tmp_path, segment_bytes_max=SMALL) as log:
        assert [log.first, log.last] == [first, 199]
    assert numbers(tmp_path, first) == list(range(first, 200))


def test_restart_goes_on_beyond_a_gap_and_never_uses_a_number_twice(tmp_path: Path) -> None:
    """When the journal knows of inputs the log has lost, the log begins anew behind them."""
    filled(tmp_path, 25)
    with InputLog(tmp_path, segment_bytes_max=SMALL) as log:
        with pytest.raises(JournalError, match="a number is never used twice"):
            log.restart(25)
        log.restart(41)
        assert [log.first, log.last] == [41, 40]
        assert list(log.read(41)) == []
        log.append(inputs(41, 12))
    assert numbers(tmp_path, 41) == list(range(41, 53))
    with InputLog(tmp_path) as log:
        assert [log.first, log.last] == [41, 52]


def test_reading_beyond_the_newest_input_is_refused(tmp_path: Path) -> None:
    """The next input may be asked for and is not there; one beyond it means that something was lost."""
    filled(tmp_path, 5)
    assert numbers(tmp_path, 6) == []
    with pytest.raises(JournalError, match="expected input 7, found 5 as the newest"):
        numbers(tmp_path, 7)
    with pytest.raises(JournalError, match="found no input log"):
        numbers(tmp_path / "nowhere")


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """Opening cuts a torn tail, which must never happen under a living writer."""
    with InputLog(tmp_path), pytest.raises(JournalError, match=f"held by process {os.getpid()}"):
        InputLog(tmp_path).open()


def test_wrong_records_and_settings_are_refused(tmp_path: Path) -> None:
    """Records are 64 bytes; a segment holds at least one."""
    with pytest.raises(ConfigError, match="at least 128"):
        InputLog(tmp_path, segment_bytes_max=127)
    log = InputLog(tmp_path)
    for call in (lambda: log.append(inputs(1, 1)), log.sync, lambda: log.read(1), lambda: log.restart(5)):
        with pytest.raises(JournalError, match="is not open"):
            call()
    log.open()
    with pytest.raises(JournalError, match="expected records of 64 bytes"):
        log.append(np.zeros(8))
    log.append(inputs(1, 1))
    log.close()
    with pytest.raises(JournalError, match="is closed"):
        log.append(inputs(2, 1))
    with pytest.raises(JournalError, match="opens once"):
        log.open()
    assert numbers(tmp_path) == [1]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take any part of an append."""
    real, chance = os.write, random.Random(3)
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, memoryview(data).tobytes()[: chance.randint(1, 100)]))
    with InputLog(tmp_path, segment_bytes_max=SMALL) as log:
        for first in range(1, 50, 7):
            log.append(inputs(first, 7))
            assert log.last == first + 6
    monkeypatch.undo()
    assert numbers(tmp_path) == list(range(1, 50))


def test_a_refused_write_stops_the_log_and_costs_only_its_own_records(tmp_path: Path) -> None:
    """A full disk in the middle of a record: later appends are refused, the next open cuts the part."""
    log = InputLog(tmp_path)
    log.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 11 + 30, hard))
    try:
        log.append(inputs(1, 8))
        with pytest.raises(JournalError, match="File too large"):
            log.append(inputs(9, 8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for call in (lambda: log.append(inputs(9, 1)), log.sync):
        with pytest.raises(JournalError, match="is broken: a write failed"):
            call()
    log.close()
    with InputLog(tmp_path) as log:
        assert [log.last, log.cut_bytes] == [10, 30]
    assert numbers(tmp_path) == list(range(1, 11))


def test_a_seal_that_fails_stops_the_log_where_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sealing thread has nobody to tell, so the next use does."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    log = InputLog(tmp_path, segment_bytes_max=SMALL)
    log.open()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        log.append(inputs(1, 15))
        with pytest.raises(JournalError, match="Input/output error"):
            log.sync()
    with pytest.raises(JournalError, match="is broken"):
        log.append(inputs(16, 1))
    log.close()
    assert numbers(tmp_path) == list(range(1, 16))


_WRITER = """
import sys
from pathlib import Path
from tercel.journal.input_log import InputLog
from tests.journal.test_input_log import inputs
log = InputLog(Path(sys.argv[1]), segment_bytes_max=64 + 300 * 64)
last = log.open()
while True:
    log.append(inputs(last + 1, 1 + last % 50))
    last += 1 + last % 50
    print(last, flush=True)
"""


def test_what_was_appended_survives_kill_9(tmp_path: Path) -> None:
    """Without any fsync a dead process loses nothing it had appended; only a dead machine does."""
    root, chance = Path(__file__).parents[2], random.Random(4)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    for _ in range(5):
        command = [sys.executable, "-c", _WRITER, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=environment)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        reported = int([first, *(line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n"))][-1])
        process.wait(10)
        process.stdout.close()
        with InputLog(tmp_path) as log:
            assert reported <= log.last <= reported + 50
            assert numbers(tmp_path) == list(range(1, log.last + 1))
