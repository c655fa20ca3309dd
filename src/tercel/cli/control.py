"""What `halt`, `resume`, `status` and `why` share: which account is meant, its control block and its live view."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import msgspec

from tercel.base import paths
from tercel.base.errors import ConfigError, NotRunning
from tercel.observe.control import HALTED, UNANSWERED, Ack, ControlClient
from tercel.observe.live import LiveFrame, LiveReader
from tercel.observe.locks import trader_alive

DEFAULT_ACCOUNT: Final = "paper"
ACCOUNT_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,31}", re.ASCII)


def accounts() -> list[str]:
    """Every account a trader ever ran for on this machine."""
    return sorted(folder.parent.name for folder in paths.home().glob("accounts/*/run"))


def running() -> list[str]:
    """The accounts that a trader works for now."""
    return [account for account in accounts() if alive(account)]


def alive(account: str) -> bool:
    """Whether a trader of the account runs now."""
    return trader_alive(paths.run_dir(account))


def check_name(account: str) -> None:
    """Raise `ConfigError` when this cannot be the name of an account: it is a folder's too."""
    if not ACCOUNT_NAME.fullmatch(account):
        raise ConfigError(f"account {account!r}: expected up to 32 letters, digits, '-', '_' or '.', a letter or digit first")


def chosen(account: str | None, verb: str) -> str:
    """The account that is meant: the one named, else the only one whose trader runs, else the one active last, else "paper".

    When others could have been meant, stderr says so. Raises `ConfigError` when several traders run.
    """
    if account is not None:
        check_name(account)
        return account
    found = running()
    if len(found) > 1:
        raise ConfigError(f"{verb}: traders of {len(found)} accounts are running; say which: --account {' | '.join(found)}")
    if found:
        return found[0]
    *others, last = sorted(accounts(), key=active_ns) or [DEFAULT_ACCOUNT]
    if others:
        print(f"no trader runs; account {last} was active last, others here: {', '.join(sorted(others))} (--account)", file=sys.stderr)
    return last


def active_ns(account: str) -> int:
    """When the account's journal was last written, wall clock in ns; 0 when it has none."""
    return max((file.stat().st_mtime_ns for file in (paths.session_dir(account) / "journal").glob("*")), default=0)


def refuse_second(account: str) -> None:
    """Raise `ConfigError` when the account has a trader already."""
    if alive(account):
        page = paths.run_dir(account) / "desk.url"
        where = f" (its page: {page.read_text().strip()})" if page.is_file() else ""
        raise ConfigError(f"account {account}: its trader is running already{where}; stop that one, or use another --account")


def halt(account: str, why: str, timeout_s: float) -> Ack:
    """Halt one account; the trader's answer. NotRunning when there is none; the flag is set then too."""
    client = ControlClient(paths.run_dir(account))
    try:
        return client.halt(why, timeout_s)
    except NotRunning:
        others = f" (running now: {', '.join(running())})" if running() else ""
        raise NotRunning(f"account {account}: no trader is running; the kill flag is set, so its next one starts halted{others}") from None


def resume(account: str, why: str, timeout_s: float) -> Ack:
    """Resume one account; the trader's answer. NotRunning when there is none."""
    if account not in accounts():
        raise NotRunning(f"resume: no trader has run for account {account}; {_have()}")
    return ControlClient(paths.run_dir(account)).resume(why, timeout_s)


def view_of(account: str, answer: Ack) -> dict[str, Any]:
    """A trader's answer as plain values."""
    return {"account": account, **msgspec.to_builtins(answer)}


def sentence(account: str, answer: Ack, wanted: str) -> str:
    """A trader's answer for people."""
    if answer.state == UNANSWERED:
        flag = "the kill flag is set, and it checks that before it takes in more" if wanted == HALTED else "nothing has changed"
        return f"account {account}: the trader (pid {answer.pid}) did not answer; {flag}"
    return f"account {account}: {answer.state} at input {answer.input_number:,} (trader pid {answer.pid})"


def frame_of(account: str) -> LiveFrame:
    """A consistent copy of the account's live view. Raises `NotRunning` when there is none."""
    path = paths.run_dir(account) / "live.map"
    try:
        return LiveReader(path).read(timeout_s=1.0)
    except NotRunning:
        if alive(account):
            raise NotRunning(f"account {account}: its trader is starting and shows nothing yet; ask again in some seconds") from None
        raise NotRunning(f"account {account}: no trader has run; {_have()}") from None


def _have() -> str:
    have = accounts()
    return f"accounts here: {', '.join(have)} (--account)" if have else "start one with `tercel run`"


def text(value: Any) -> str:
    """A fixed-width byte field as text."""
    return bytes(value).rstrip(b"\0").decode(errors="replace")


def killed(account: str) -> bool:
    """Whether the account's kill flag is set, whatever its trader says."""
    return ControlClient(paths.run_dir(account)).killed
