"""`tercel halt`: stop sending orders, now. Works with the desk down, and with the trader down for its next start."""

from __future__ import annotations

from tercel.cli.show import Json, print_json, say


def halt(*, account: str | None = None, why: str = "by hand", timeout: float = 2.0, json: Json = False) -> int:
    """Stop sending orders, now, and cancel what is open. The kill flag is set before anything else happens and outlives a restart.

    With --json it prints a list: an answer for each account.

    Example: tercel halt --why "the feed looks wrong"

    Parameters
    ----------
    account
        Name of the account; without it every account whose trader runs, else the one active last.
    why
        The reason, kept in the journal.
    timeout
        How many seconds to wait for the trader's answer.
    """
    from tercel.base.errors import TercelError
    from tercel.cli import control
    from tercel.observe.control import HALTED

    accounts = [control.chosen(account, "halt")] if account is not None else control.running() or [control.chosen(None, "halt")]
    answers, problems = [], []
    for one in accounts:
        try:
            answer = control.halt(one, why, timeout)
        except TercelError as error:  # the next account is halted all the same
            problems.append(error)
            continue
        answers.append((one, answer))
        if not json:
            say(control.sentence(one, answer, HALTED))
    if json:
        print_json([control.view_of(*pair) for pair in answers])
    if problems:
        raise problems[0]
    return 0 if all(answer.state == HALTED for _, answer in answers) else 1
