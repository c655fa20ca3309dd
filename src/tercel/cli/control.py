"""What `halt`, `resume` and `status` share: the control block and the live view of an account."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from tercel.base import paths
from tercel.cli.show import say
from tercel.observe.control import HALTED, RUNNING, ControlClient
from tercel.observe.live import LiveFrame, LiveReader


def ask(verb: str, account: str, why: str, timeout_s: float, json: bool) -> int:
    """Ask the trader to halt or resume and print its answer. Exit status 0 when it did, 1 when it refused or did not answer in time."""
    client = ControlClient(paths.run_dir(account))
    answer = client.halt(why, timeout_s) if verb == "halt" else client.resume(why, timeout_s)
    wanted = HALTED if verb == "halt" else RUNNING
    if json:
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    elif answer.state == wanted:
        say(f"account {account}: {answer.state} at input {answer.input_number:,} (trader pid {answer.pid})")
    else:
        flag = "set" if client.killed else "not set"
        say(f"account {account}: the trader (pid {answer.pid}) says {answer.state}; the kill flag is {flag}")
    return 0 if answer.state == wanted else 1


def frame_of(account: str) -> LiveFrame:
    """A consistent copy of the account's live view. Raises `NotRunning` when no trader ever ran."""
    return LiveReader(paths.run_dir(account) / "live.map").read(timeout_s=1.0)


def alive(account: str) -> bool:
    """Whether a trader of the account runs now."""
    from tercel.observe.locks import trader_alive

    return trader_alive(paths.run_dir(account))


def text(value: Any) -> str:
    """A fixed-width byte field as text."""
    return bytes(value).rstrip(b"\0").decode(errors="replace")
