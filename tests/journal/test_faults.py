"""When the disk says no, the journal says no for good."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tercel.base.errors import JournalError
from tercel.journal.journal import Journal
from tests.journal.samples import BATCHES, abandon, entries, entry, held, segments, write


def _fail(error: int) -> Callable[..., int]:
    def call(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    return call


def _refuses_everything(journal: Journal) -> None:
    for call in (journal.commit, journal.sync, lambda: journal.append(1, 1, b""), lambda: list(journal.read())):
        with pytest.raises(JournalError, match=r"is broken: .* stop trading"):
            call()


def test_a_failed_fdatasync_breaks_the_journal_and_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call would succeed and lie, so there is none, not even at close."""
    journal = Journal(tmp_path)
    journal.open()
    write(journal, BATCHES[:2])
    journal.append(1, 1, b"lost")
    calls: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", _fail(errno.EIO))
        with pytest.raises(JournalError, match=r"commit failed \(\[Errno 5\]"):
            journal.commit()
        assert journal.durable == 4
    monkeypatch.setattr(os, "fdatasync", calls.append)
    monkeypatch.setattr(os, "fsync", calls.append)
    _refuses_everything(journal)
    size = segments(tmp_path)[0].stat().st_size
    journal.close()
    assert calls == []
    assert segments(tmp_path)[0].stat().st_size == size


def test_a_full_disk_breaks_the_journal_and_leaves_the_committed_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that got half way is cut off at the next open; what had been committed stands."""
    journal = Journal(tmp_path)
    journal.open()
    write(journal, BATCHES)
    real, written = os.write, []

    def half(fd: int, data: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(real(fd, bytes(data)[: len(data) // 2]))
        return int(written[0])

    journal.append(1, 1, bytes(100))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(JournalError, match="No space left"):
            journal.commit()
    _refuses_everything(journal)
    journal.close()
    with Journal(tmp_path) as again:
        assert again.cut_bytes == written[0] > 0
        assert list(again.read()) == entries(BATCHES)


def test_a_file_size_limit_of_the_system_breaks_the_journal(tmp_path: Path) -> None:
    """The same through a real refusal of the kernel, after a real short write."""
    journal = Journal(tmp_path)
    journal.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, hard))
    try:
        with pytest.raises(JournalError, match="File too large"):
            write(journal, ((50,) * 3,) * 1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    committed = journal.durable
    assert committed > 30
    assert segments(tmp_path)[0].stat().st_size == 6_000
    _refuses_everything(journal)
    journal.close()
    assert held(tmp_path) == [entry(number, 50) for number in range(1, committed + 1)]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take one byte at a time."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:1]))
    with Journal(tmp_path, segment_bytes_max=150) as journal:
        write(journal, BATCHES)
    monkeypatch.undo()
    assert held(tmp_path) == entries(BATCHES)


@pytest.mark.parametrize("call", ["open", "fsync", "fdatasync", "rename"])
def test_a_rotation_that_fails_anywhere_breaks_the_journal_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Every step between two segments may fail; the next open finds what was committed."""
    journal = Journal(tmp_path, segment_bytes_max=64)
    journal.open()
    write(journal, BATCHES[:3])
    journal.append(1, 1, b"in the next segment")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, _fail(errno.EIO))
        with pytest.raises(JournalError, match="commit failed"):
            journal.commit()
    _refuses_everything(journal)
    journal.close()
    assert held(tmp_path)[: len(entries(BATCHES[:3]))] == entries(BATCHES[:3])


def test_an_interrupted_write_breaks_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows how much of it is in the file."""
    journal = Journal(tmp_path)
    journal.open()
    journal.append(1, 1, b"")

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            journal.commit()
    with pytest.raises(JournalError, match="commit was interrupted"):
        journal.commit()
    journal.close()


def test_an_open_that_fails_lets_go_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the disk is back the same folder opens."""
    journal = Journal(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _fail(errno.EIO))
        with pytest.raises(JournalError, match="cannot be opened"):
            journal.open()
    assert journal.open() == 0
    journal.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, which makes a system call fail for real (apt-get install strace)")
@pytest.mark.parametrize(("call", "error"), [("fdatasync", "EIO"), ("write", "ENOSPC")])
def test_a_system_call_that_fails_in_the_kernel_stops_the_writer(tmp_path: Path, call: str, error: str) -> None:
    """The 8th call fails: what was reported before is there, every later call is refused, and the call is not made again."""
    folder, trace, root = tmp_path / "journal", tmp_path / "trace", Path(__file__).parents[2]
    inject = ["strace", "-qq", "-o", str(trace), "-P", str(folder / "journal-00000000000000000001.log"), "-e", f"trace={call}"]
    command = [*inject, "-e", f"inject={call}:error={error}:when=8", sys.executable, "-m", "tests.journal.writer", str(folder), "1", "50"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    probe = subprocess.run([*inject[:4], "true"], capture_output=True, text=True, timeout=30)
    if probe.returncode:
        pytest.skip(f"strace may not trace here: {probe.stderr.strip()[:80]}")
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    reported = [int(line) for line in done.stdout.splitlines() if not line.startswith("refused")]
    refused = [line for line in done.stdout.splitlines() if line.startswith("refused")]
    assert [len(reported), len(refused)] == [7, 5]
    assert all("is broken: commit failed" in line for line in refused)
    assert len(trace.read_text().splitlines()) == 8
    found = held(folder)
    assert found == [entry(number, number % 97) for number in range(1, len(found) + 1)]
    assert len(found) >= reported[-1]


def test_the_copy_of_a_living_journal_opens_as_after_a_crash(tmp_path: Path) -> None:
    """A backup taken while the writer runs holds every batch that was committed when it was taken."""
    with Journal(tmp_path / "writer", segment_bytes_max=150) as journal:
        write(journal, BATCHES)
        assert held(abandon(journal, tmp_path / "copy")) == entries(BATCHES)
