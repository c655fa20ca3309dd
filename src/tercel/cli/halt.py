"""`tercel halt`: stop sending orders, now. Works with the desk down, and with the trader down for its next start."""

from __future__ import annotations


def halt(*, account: str | None = None, why: str = "by hand", timeout: float = 2.0, json: bool = False) -> int:
    """Stop sending orders, now, and cancel what is open. The kill flag is set before anything else happens and outlives a restart.

    Parameters
    ----------
    account
        Name of the account; without it every account whose trader runs, else "paper".
    why
        The reason, kept in the journal.
    timeout
        How many seconds to wait for the trader's answer.
    json
        Print JSON instead of a sentence.
    """
    from tercel.base.errors import TercelError
    from tercel.cli import control

    accounts = [control.chosen(account, "halt")] if account is not None else control.running() or [control.DEFAULT_ACCOUNT]
    status, problems = 0, []
    for one in accounts:
        try:
            status = max(status, control.halt(one, why, timeout, json))
        except TercelError as error:  # the next account is halted all the same
            problems.append(error)
    if problems:
        raise problems[0]
    return status
