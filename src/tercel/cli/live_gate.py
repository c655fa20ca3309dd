"""The gate before real orders: a venue that says that all is well, then the account's name, typed by a person. Nothing starts before both.

Paper is what `tercel run` does without being asked; only `--live` leads here. At a terminal the name of the account is typed. Without
one (a service) two things must have been said on purpose: `--confirm ACCOUNT`, and TERCEL_LIVE=1 in the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tercel.base.errors import ConfigError, VenueUnavailable
from tercel.base.words import hint
from tercel.cli.show import Teller
from tercel.execution.venue_check import VENUES, VenueCheck, missing

LIVE_VARIABLE: Final = "TERCEL_LIVE"
CHECK_S_MAX: Final = 30.0


def pass_gate(
    account: str, venue: str | None, instruments: Sequence[str], confirm: str | None, say: Teller,
    ask: Callable[[str], str] | None = None, environ: Mapping[str, str] = os.environ,
) -> None:  # fmt: skip
    """Return only when the venue is in order and a person confirmed the account. `ask` reads a typed line (None: no terminal).

    Raises `ConfigError` when no venue can be traded, the name is wrong or was not confirmed; `VenueUnavailable` with what the check found.
    """
    check = _check_of(venue)
    findings = check(account, instruments, CHECK_S_MAX)
    for one in findings:
        say("venue", f"{'ok  ' if one.good else 'FAIL'}  {one.about}: {one.text}", about=one.about, good=one.good)
    wrong = missing(findings)
    if wrong:
        told = "; ".join(f"{one.about}: {one.text}" + (f" ({one.remedy})" if one.remedy else "") for one in wrong)
        raise VenueUnavailable(f"run --live: {venue} is not ready for account {account}: {told}; nothing was started")
    _confirm(account, venue or "", confirm, ask, environ)


def _check_of(venue: str | None) -> VenueCheck:
    if venue in VENUES:
        return VENUES[venue]()
    if not VENUES:
        raise ConfigError(
            "run --live: this version of Tercel has no adapter for a real venue, so it cannot send real orders; nothing was started. "
            "Missing: an adapter that answers for connection, credentials, clock, account, instruments and open orders. "
            "Leave --live out to trade on paper"
        )
    if venue is None:
        raise ConfigError(f"run --live: expected --venue NAME, one of {', '.join(VENUES)}; nothing was started")
    raise ConfigError(f"run --live: there is no venue {venue!r}; {hint(venue, VENUES)}; nothing was started")


def _confirm(account: str, venue: str, confirm: str | None, ask: Callable[[str], str] | None, environ: Mapping[str, str]) -> None:
    if confirm is None and ask is not None:
        typed = ask(f"Real orders will be sent to {venue} for account {account}. Type the account's name to begin: ")
        if typed.strip() != account:
            raise ConfigError(f"run --live: expected the account's name {account!r}, found {typed.strip()!r}; nothing was started")
        return
    if confirm is None:
        raise ConfigError(f"run --live: no terminal to ask at: say --confirm {account} and set {LIVE_VARIABLE}=1; nothing was started")
    if confirm != account:
        raise ConfigError(f"run --live: expected --confirm {account}, found {confirm!r}; nothing was started")
    if environ.get(LIVE_VARIABLE) != "1":
        raise ConfigError(f"run --live --confirm: expected {LIVE_VARIABLE}=1 in the environment, too; nothing was started")


def terminal() -> Callable[[str], str] | None:
    """What asks a person, when one sits at both ends of this process."""
    return input if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty() else None
