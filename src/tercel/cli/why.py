"""`tercel why`: why orders were, or were not, sent."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tercel.cli.show import Json, print_json


def why(
    instrument: str | None = None,
    *,
    account: str | None = None,
    order: int | None = None,
    last: Annotated[bool, Parameter(negative="")] = False,
    at: str | None = None,
    json: Json = False,
) -> None:
    """Explain why the trader did not trade: every evaluation that ended without an order has a counted reason; or why it did.

    Example: tercel why EURUSD. One order: tercel why --last, tercel why --order 17. A moment: tercel why EURUSD --at 14:30

    Parameters
    ----------
    instrument
        One instrument only, such as EURUSD@oanda, or EURUSD when one venue has it.
    account
        Name of the account; without it the one whose trader runs, else the one active last.
    order
        Explain this order, by its number: the signal, the market and the settings behind it, and what became of it.
    last
        Explain the last order, of the instrument when one is named.
    at
        Explain what was seen and decided around this time, UTC: 14:30, or 2026-01-05T14:30. The input log is played again to there.
    """
    from tercel.base.codes import REASONS
    from tercel.base.errors import ConfigError
    from tercel.base.text import console, table
    from tercel.cli.control import chosen, frame_of, text

    account = chosen(account, "why")
    if (order is not None) + last + (at is not None) > 1:
        given = [word for word, found in (("--order", order is not None), ("--last", last), ("--at", at is not None)) if found]
        raise ConfigError(f"why: expected one of --order, --last and --at, found {' and '.join(given)}")
    if at is not None:
        from tercel.cli import why_at

        found_moment = why_at.explain(account, at, instrument, quiet=json)
        if json:
            print_json(found_moment)
        else:
            why_at.show(found_moment)
        return
    if order is not None or last:
        from tercel.cli import why_order

        found_order = why_order.explain(account, order, instrument)
        if json:
            print_json(found_order)
        else:
            why_order.show(found_order)
        return
    frame = frame_of(account)
    names = [text(one["name"]) for one in frame.instruments]
    slots = [slot for slot, name in enumerate(names) if instrument in (None, name, name.partition("@")[0])]
    if instrument is not None and len(slots) != 1:
        raise ConfigError(f"why: expected one of {', '.join(names[slot] for slot in slots) or ', '.join(names)}, found {instrument!r}")
    counts = frame.reasons[slots].sum(axis=0)
    found = sorted(((int(counts[code]), *REASONS[code]) for code in REASONS if counts[code]), reverse=True)
    if json:
        rows = [{"reason": name, "times": times, "meaning": meaning, "remedy": remedy} for times, name, meaning, remedy in found]
        print_json({"account": account, "orders": int(frame.status["orders"]), "reasons": rows})
        return
    out = console()
    out.print(
        f"account {account}{f', {names[slots[0]]}' if instrument else ''}: {int(frame.status['orders']):,} orders sent in all",
        highlight=False,
    )
    if not found:
        out.print("nothing has been evaluated yet: no bar has closed")
        return
    lines = [(name, f"{times:,}", meaning, remedy) for times, name, meaning, remedy in found]
    title = f"{sum(one[0] for one in found):,} evaluations without an order"
    out.print(table(title, ("reason", "times", "meaning", "what helps"), lines, left=(0, 2, 3)))
