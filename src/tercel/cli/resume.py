"""`tercel resume`: let orders be sent again after a halt."""

from __future__ import annotations


def resume(*, account: str | None = None, why: str = "by hand", timeout: float = 2.0, json: bool = False) -> int:
    """Let orders be sent again. Only a running trader can do it, so that somebody checks that it is safe.

    Parameters
    ----------
    account
        Name of the account; without it the one whose trader runs.
    why
        The reason, kept in the journal.
    timeout
        How many seconds to wait for the trader's answer.
    json
        Print JSON instead of a sentence.
    """
    from tercel.cli import control

    return control.resume(control.chosen(account, "resume"), why, timeout, json)
