"""Why an evaluation ended without an order, and what stops the core, from `tercel.base.codes`."""

from __future__ import annotations

from docs.generate.markup import table
from tercel.base.codes import DENIALS_MIN, FAULTS, REASONS


def page() -> str:
    """The tables of the reason codes and of the faults."""
    rows = [(f"`{name}`", code, meaning, remedy) for code, (name, meaning, remedy) in REASONS.items()]
    heads = ("reason", "code", "meaning", "what helps")
    decided, denied = [row for row in rows if row[1] < DENIALS_MIN], [row for row in rows if row[1] >= DENIALS_MIN]
    parts = [
        f"## Decided\n\nThe rule, the model or the strategy wanted no order.\n\n{table(heads, decided)}",
        "## Denied\n\nAn order was wanted and a check denied it. The checks are tried in a fixed order; the first denial counts.\n",
        table(heads, denied),
        "## Faults\n\nA fault is a bug of ours: the core met something that it must not guess about, and stopped before that input.\n",
        table(("fault", "meaning"), [(str(code), text) for code, text in FAULTS.items()]),
        "What helps: leave it halted, keep the account's folder as it is ([back it up](../how-to/back-up-an-account.md)), and report the\n"
        "line that the trader ended with. The input log holds the input that caused it, so the fault can be repeated.\n",
    ]
    return "\n".join(parts)
