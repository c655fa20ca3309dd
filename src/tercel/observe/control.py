"""The control block: how a running trader is halted and resumed, by memory alone. Works with the desk, the page and the journal down.

`control.map` in the account's run folder holds two words for the kill switch and eight request slots. To halt is one store: `kill` gets a
token no one used before; the trader compares two words before it takes in more. To resume is a request: the trader clears exactly the token
that the request saw, so a halt made meanwhile stands. The flag outlives the trader: who halts with no trader running finds it set at the
next start.

Requests are numbered; the trader sees a new one by reading one word. Clients write slots under a file lock held for microseconds; the
answer comes back in the slot. A request nobody answered in time is dead: a trader that wakes up later does not obey it, unless it is a
halt.
"""

from __future__ import annotations

import getpass
import mmap
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, DataError, NotRunning, TercelError
from tercel.base.records import HALT, MODEL, ORDER, RESUME
from tercel.base.time import NS_PER_S, clock_ns, wall_ns
from tercel.observe.locks import TRADER_LOCK, acquire, trader_alive

CONTROL_BYTES: Final = 4096
SLOTS_MAX: Final = 8  # requests waiting at once; the ninth is told so
SLOTS_AT: Final = 512
MAGIC, KILL, CLEARED, REQUESTS, PID = 0, 1, 2, 3, 4  # words
MAGIC_WORD: Final = int.from_bytes(b"TERCTL01", "little")
SLOT: Final = np.dtype([
    ("number", "<i8"), ("command", "<i8"), ("wall_ns", "<i8"), ("expires_ns", "<i8"), ("kill", "<i8"),
    ("answered", "<i8"), ("input_number", "<i8"), ("state", "S16"), ("who", "S64"),
    ("words", "S256"),  # why, or what is asked for; then what the trader says to it
])  # fmt: skip
assert SLOTS_AT + SLOTS_MAX * SLOT.itemsize <= CONTROL_BYTES

LOCK_WAIT_S: Final = 0.5
POLL_S: Final = 0.001
HALTED, RUNNING, REFUSED, UNANSWERED, TAKEN, OTHER = "halted", "running", "refused", "unanswered", "taken", "other"


class Busy(TercelError):
    """Eight requests wait already: the trader does not look. A halt is in force all the same."""


class Request(msgspec.Struct, frozen=True):
    """What a client asks of the trader: `command` is one of base.records; `kill` is what a resume may clear.

    `why` says why, or what: the number of a model, the words of an order (see `observe.by_hand`).
    """

    number: int
    command: int
    who: str
    why: str
    wall_ns: int
    kill: int


class Ack(msgspec.Struct, frozen=True, omit_defaults=True):
    """The trader's answer: HALTED, RUNNING, TAKEN, REFUSED, or UNANSWERED in time, and the number of the input that did it.

    To an order: TAKEN, OTHER (its client_id belongs to another one), REFUSED or UNANSWERED; `words` then say what came of it, or why not.
    """

    number: int
    input_number: int
    state: str
    pid: int
    words: str = ""


Words = npt.NDArray[np.int64]


def _mapped(folder: Path) -> tuple[mmap.mmap, Words, npt.NDArray[Any]]:
    """(map, words, slots) of `control.map`, created when missing; every process sees the same memory."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "control.map"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if os.fstat(file).st_size < CONTROL_BYTES:
            os.ftruncate(file, CONTROL_BYTES)  # zeros; two creators do the same thing
        mapped = mmap.mmap(file, CONTROL_BYTES)
    finally:
        os.close(file)
    memory = np.frombuffer(mapped, np.uint8)
    words = memory[:64].view(np.int64)
    if words[MAGIC] not in (0, MAGIC_WORD):
        raise DataError(f"control block {path}: written by another version; stop the trader, then delete the file")
    words[MAGIC] = MAGIC_WORD
    return mapped, words, memory[SLOTS_AT : SLOTS_AT + SLOTS_MAX * SLOT.itemsize].view(SLOT)


class ControlClient:
    """Asks the trader of the account whose run folder is `folder`; `who` is written beside every request."""

    def __init__(self, folder: Path, who: str | None = None) -> None:
        self.folder = folder
        self.who = who or f"{getpass.getuser()} pid {os.getpid()}"
        self._memory, self._words, self._slots = _mapped(folder)

    @property
    def killed(self) -> bool:
        """Whether the kill flag is set now."""
        return int(self._words[KILL]) != int(self._words[CLEARED])

    def halt(self, why: str, timeout_s: float = 2.0) -> Ack:
        """Set the kill flag, then wait for the trader to say that it halted.

        NotRunning: no trader; the flag is set and stays set for the next start. Busy: none looks; the flag is set.
        """
        self._words[KILL] = wall_ns()
        try:
            if not trader_alive(self.folder):
                raise NotRunning("halt: no trader is running; the kill flag is set, so the next one starts halted")
            return self._ask(HALT, why, timeout_s)
        finally:
            self._memory.flush()  # the flag outlives the machine too

    def resume(self, why: str, timeout_s: float = 2.0) -> Ack:
        """Ask the trader to trade again. NotRunning: nobody can check that it is safe, so the kill flag stays as it is."""
        if not trader_alive(self.folder):
            flag = "the kill flag stays set" if self.killed else "the kill flag is not set"
            raise NotRunning(f"resume: no trader is running; {flag}. Start it with `tercel run`, then resume")
        return self._ask(RESUME, why, timeout_s)

    def take_model(self, number: int, instrument: str = "", timeout_s: float = 2.0) -> Ack:
        """Ask the trader to let the bound model `number` score an instrument ("": all) from now on. NotRunning without a trader."""
        if not trader_alive(self.folder):
            raise NotRunning("model: no trader is running; start it with `tercel run --model NAME`")
        return self._ask(MODEL, f"{number} {instrument}".strip(), timeout_s)

    def post_order(self, words: str, timeout_s: float) -> int:
        """Put the words of an order before the trader and do not wait: the number for `answer`. NotRunning without a trader, or Busy:
        nothing was given then."""
        if not trader_alive(self.folder):
            raise NotRunning("order: no trader is running; start it with `tercel run`")
        return self._post(ORDER, words, timeout_s)

    def answer(self, number: int) -> Ack:
        """The trader's answer to a request as far as there is one by now: UNANSWERED until then."""
        slot, pid = self._slots[number % SLOTS_MAX], int(self._words[PID])
        found = slot.copy()
        if not int(slot["number"]) == int(found["answered"]) == number:  # not yet; or the slot is another's by now
            return Ack(number, 0, UNANSWERED, pid)
        words = bytes(found["words"]).decode(errors="replace") if int(found["command"]) == ORDER else ""
        return Ack(number, int(found["input_number"]), bytes(found["state"]).decode(), pid, words)

    def _ask(self, command: int, why: str, timeout_s: float) -> Ack:
        give_up = clock_ns() + int(timeout_s * NS_PER_S)
        number = self._post(command, why, timeout_s)
        while True:
            found = self.answer(number)
            if found.state != UNANSWERED or clock_ns() >= give_up:
                return found
            time.sleep(POLL_S)

    def _post(self, command: int, why: str, timeout_s: float) -> int:
        lock = acquire(self.folder / "control.lock", LOCK_WAIT_S)
        if lock is None:
            raise Busy(f"control block {self.folder}: another client holds control.lock for {LOCK_WAIT_S} s; find and end it")
        try:
            number = int(self._words[REQUESTS]) + 1
            slot = self._slots[number % SLOTS_MAX : number % SLOTS_MAX + 1]
            now = wall_ns()
            waiting = int(slot["number"][0])
            if waiting > int(slot["answered"][0]) and now < int(slot["expires_ns"][0]):
                pid = int(self._words[PID])
                raise Busy(f"control block {self.folder}: {SLOTS_MAX} requests wait; the trader (pid {pid}) does not look")
            slot["number"], slot["command"], slot["wall_ns"], slot["expires_ns"] = number, command, now, now + int(timeout_s * NS_PER_S)
            slot["kill"], slot["answered"], slot["who"], slot["words"] = self._words[KILL], 0, _cut(self.who, 64), _cut(why, 256)
            self._words[REQUESTS] = number  # last: this is the word the trader reads
            return number
        finally:
            os.close(lock)


def _cut(text: str, size: int) -> bytes:
    return text.encode()[:size].decode(errors="ignore").encode()


class ControlServer:
    """The trader's side. Takes the trader's lock for the life of the process; another trader of the account: ConfigError."""

    def __init__(self, folder: Path) -> None:
        _, words, self._slots = _mapped(folder)
        self._words = words.data
        # What was asked of an earlier trader is not obeyed by this one; its kill flag is. Read before the lock makes us visible.
        self._seen = self._words[REQUESTS]
        lock = acquire(folder / TRADER_LOCK, LOCK_WAIT_S)  # waits a little: `trader_alive` of a client holds it for a moment
        if lock is None:
            raise ConfigError(f"trader lock {folder / TRADER_LOCK}: another trader of this account is running; halt and stop it first")
        self._lock = lock
        self._words[PID] = os.getpid()

    @property
    def killed(self) -> bool:
        """Whether the kill flag is set: two words; ask before more is taken in."""
        words = self._words
        return bool(words[KILL] != words[CLEARED])

    def poll(self) -> Sequence[Request]:
        """The new requests in order; one memory read when none. One whose client has given up is refused here, except a halt."""
        asked = self._words[REQUESTS]
        if asked == self._seen:
            return ()
        numbers = range(max(self._seen, asked - SLOTS_MAX) + 1, asked + 1)
        self._seen = asked
        return [request for request in map(self._request, numbers) if request is not None]

    def _request(self, number: int) -> Request | None:
        slot = self._slots[number % SLOTS_MAX].copy()
        if int(slot["number"]) != number or int(slot["answered"]) == number:
            return None  # overwritten after its client gave up, or answered by the trader before this one
        who, why = bytes(slot["who"]).decode(errors="replace"), bytes(slot["words"]).decode(errors="replace")
        request = Request(number, int(slot["command"]), who, why, int(slot["wall_ns"]), int(slot["kill"]))
        if request.command != HALT and wall_ns() > int(slot["expires_ns"]):
            self.acknowledge(request, 0, REFUSED)
            return None
        return request

    def acknowledge(self, request: Request, input_number: int, state: str, words: str = "") -> None:
        """Answer `request`: `input_number` is the input that carried it, `state` and `words` are those of an `Ack`.

        A RESUME that is answered RUNNING clears the kill flag, unless someone halted after that request was made.
        """
        if request.command == RESUME and state == RUNNING:
            self._words[CLEARED] = request.kill
        slot = self._slots[request.number % SLOTS_MAX : request.number % SLOTS_MAX + 1]
        slot["input_number"], slot["state"] = input_number, state.encode()
        if words:
            slot["words"] = _cut(words, 256)
        slot["answered"] = request.number  # last: this is what the client waits for

    def close(self) -> None:
        """Give the lock back: from here on clients say NotRunning. The kill flag stays as it is."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
