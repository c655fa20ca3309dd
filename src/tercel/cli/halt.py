"""`tercel halt`: stop sending orders, now. Works with the desk down, and with the trader down for its next start."""

from __future__ import annotations


def halt(*, account: str = "paper", why: str = "by hand", timeout: float = 2.0, json: bool = False) -> int:
    """Stop sending orders, now, and cancel what is open. The kill flag is set before anything else happens and outlives a restart.

    Parameters
    ----------
    account
        Name of the account.
    why
        The reason, kept in the journal.
    timeout
        How many seconds to wait for the trader's answer.
    json
        Print JSON instead of a sentence.
    """
    from tercel.cli.control import ask

    return ask("halt", account, why, timeout, json)
