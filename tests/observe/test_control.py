"""The control block: a halt always takes effect, a resume only when the trader agrees."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tercel.base.errors import ConfigError, DataError, NotRunning
from tercel.base.records import HALT, RESUME
from tercel.observe import control
from tercel.observe.control import HALTED, REFUSED, RUNNING, UNANSWERED, Busy, ControlClient, ControlServer
from tercel.observe.locks import trader_alive


@contextmanager
def answering(server: ControlServer, state: dict[int, str] | None = None) -> Iterator[list[str]]:
    """A trader's loop in a thread: answers every request, and yields the list of what it was told."""
    told: list[str] = []
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(0.0005):
            for request in server.poll():
                told.append(f"{request.command} {request.who}: {request.why}")
                server.acknowledge(request, 100 + request.number, (state or {HALT: HALTED, RESUME: RUNNING})[request.command])

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()


def test_halt_and_resume_reach_the_trader_and_come_back(run_folder: Path) -> None:
    """The trader learns who and why; the client learns the state and the input that did it."""
    server = ControlServer(run_folder)
    client = ControlClient(run_folder, "ann")
    with answering(server) as told:
        halted = client.halt("looks wrong")
        assert (halted.state, halted.input_number, server.killed) == (HALTED, 101, True)
        resumed = client.resume("looked again")
        assert (resumed.state, resumed.input_number, server.killed) == (RUNNING, 102, False)
    assert told == [f"{HALT} ann: looks wrong", f"{RESUME} ann: looked again"]


def test_a_halt_without_a_trader_waits_for_the_next_one(run_folder: Path) -> None:
    """NotRunning, but the flag is set: the next trader starts killed and stays so until somebody resumes it."""
    client = ControlClient(run_folder)
    with pytest.raises(NotRunning, match="kill flag is set"):
        client.halt("before the start")
    with pytest.raises(NotRunning, match="stays set"):
        client.resume("nobody is there")
    server = ControlServer(run_folder)
    assert server.killed
    with answering(server):
        assert client.resume("now").state == RUNNING
    assert not server.killed


def test_the_flag_is_set_before_anyone_answers(run_folder: Path) -> None:
    """A trader that does not look at its requests is stopped all the same: it reads the flag before every send."""
    server = ControlServer(run_folder)
    assert ControlClient(run_folder).halt("hangs", timeout_s=0.01).state == UNANSWERED
    assert server.killed


def test_a_refused_resume_leaves_the_flag(run_folder: Path) -> None:
    """Only RUNNING clears the kill flag."""
    server = ControlServer(run_folder)
    client = ControlClient(run_folder)
    with answering(server, {HALT: HALTED, RESUME: REFUSED}):
        client.halt("x")
        assert client.resume("y").state == REFUSED
    assert server.killed


def test_a_halt_after_the_resume_was_asked_stands(run_folder: Path) -> None:
    """A resume clears the flag it saw, not one that was set meanwhile."""
    server = ControlServer(run_folder)
    client = ControlClient(run_folder)
    client._post(RESUME, "asked first", 60.0)
    (slow,) = server.poll()
    client.halt("halted second", timeout_s=0.0)
    server.acknowledge(slow, 5, RUNNING)
    assert server.killed


def test_a_resume_nobody_waits_for_is_not_obeyed(run_folder: Path) -> None:
    """A trader that wakes up late refuses an old resume and still obeys an old halt."""
    server = ControlServer(run_folder)
    client = ControlClient(run_folder)
    client.resume("old", timeout_s=0.0)
    client.halt("old", timeout_s=0.0)
    assert [request.command for request in server.poll()] == [HALT]


def test_what_was_asked_of_an_earlier_trader_is_forgotten(run_folder: Path) -> None:
    """A new trader starts with the kill flag as it stands and with no old request."""
    earlier = ControlServer(run_folder)
    ControlClient(run_folder).resume("to the dead", timeout_s=0.01)
    earlier.close()
    assert list(ControlServer(run_folder).poll()) == []


def test_two_clients_at_once_both_get_their_answer(run_folder: Path) -> None:
    """Sixteen requests from four clients: each answer carries the number of its own request."""
    server = ControlServer(run_folder)
    numbers: list[int] = []

    def ask() -> None:
        client = ControlClient(run_folder)
        for _ in range(4):
            answer = client.halt("at once")
            assert answer.state == HALTED
            assert answer.input_number == 100 + answer.number
            numbers.append(answer.number)

    with answering(server):
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(numbers) == list(range(1, 17))


def test_a_ninth_waiting_request_is_told_that_nobody_looks(run_folder: Path) -> None:
    """Eight requests wait at most; the ninth client learns it at once, and its halt is in force."""
    server = ControlServer(run_folder)
    client = ControlClient(run_folder)
    for _ in range(8):
        client._post(RESUME, "waits", 60.0)
    with pytest.raises(Busy, match="does not look"):
        client.halt("ninth")
    assert server.killed
    assert len(server.poll()) == 8


def test_there_is_one_trader_of_an_account(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second trader is refused while the first lives, and welcome after it."""
    monkeypatch.setattr(control, "LOCK_WAIT_S", 0.02)
    assert not trader_alive(run_folder)
    first = ControlServer(run_folder)
    assert trader_alive(run_folder)
    with pytest.raises(ConfigError, match="another trader"):
        ControlServer(run_folder)
    first.close()
    assert not trader_alive(run_folder)
    ControlServer(run_folder)


def test_the_lock_of_a_killed_trader_is_free(run_folder: Path) -> None:
    """A trader that is killed without a word is known to be gone at once."""
    code = "import sys, time; from pathlib import Path; from tercel.observe.control import ControlServer\n"
    code += "server = ControlServer(Path(sys.argv[1])); print('up', flush=True); time.sleep(60)"
    trader = subprocess.Popen([sys.executable, "-c", code, str(run_folder)], stdout=subprocess.PIPE)
    try:
        assert trader.stdout is not None
        assert trader.stdout.readline() == b"up\n"
        assert trader_alive(run_folder)
    finally:
        trader.kill()
        trader.wait(10)
    assert not trader_alive(run_folder)


def test_long_words_are_cut_at_a_whole_letter(run_folder: Path) -> None:
    """A reason longer than its place arrives shortened, and still as text."""
    server = ControlServer(run_folder)
    ControlClient(run_folder, "w" * 100).halt("ü" * 200, timeout_s=0.0)
    (request,) = server.poll()
    assert request.who == "w" * 64
    assert request.why == "ü" * 128


def test_a_foreign_control_block_is_refused(run_folder: Path) -> None:
    """A file that is not a control block is not written into."""
    run_folder.mkdir()
    (run_folder / "control.map").write_bytes(b"something else" * 400)
    with pytest.raises(DataError, match="another version"):
        ControlClient(run_folder)
