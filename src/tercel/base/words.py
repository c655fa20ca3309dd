"""Words that were mistyped: what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

LISTED_MAX: Final = 12  # words named one by one before "and n more"


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word closest to this one, whatever its case; "" when none is close."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else ""


def hint(word: str, known: Iterable[str], prefix: str = "") -> str:
    """What to say behind a wrong word: "did you mean x?", else which there are."""
    names = tuple(known)
    near = nearest(word, names)
    if near:
        return f"did you mean {prefix}{near}?"
    more = f" and {len(names) - LISTED_MAX} more" if len(names) > LISTED_MAX else ""
    return f"there are {', '.join(names[:LISTED_MAX])}{more}" if names else "there are none"
