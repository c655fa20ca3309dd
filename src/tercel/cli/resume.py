"""`tercel resume`: let orders be sent again after a halt."""

from __future__ import annotations

from tercel.cli.show import Json, print_json, say


def resume(*, account: str | None = None, why: str = "by hand", timeout: float = 2.0, json: Json = False) -> int:
    """Let orders be sent again. Only a running trader can do it, so that somebody checks that it is safe.

    Example: tercel resume --account paper --why "the feed is back"

    Parameters
    ----------
    account
        Name of the account; without it the one whose trader runs.
    why
        The reason, kept in the journal.
    timeout
        How many seconds to wait for the trader's answer.
    """
    from tercel.cli import control
    from tercel.observe.control import RUNNING

    name = control.chosen(account, "resume")
    answer = control.resume(name, why, timeout)
    if json:
        print_json(control.view_of(name, answer))
    else:
        say(control.sentence(name, answer, RUNNING))
    return 0 if answer.state == RUNNING else 1
