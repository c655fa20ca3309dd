"""What must hold before an order may leave for a real venue: asked of the venue itself, before anything starts.

A venue that can be traded registers a `VenueCheck` under its name. This version has no venue adapter, so the registry is empty and live
trading is refused; whoever writes an adapter adds a line to `VENUES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

import msgspec

About = Literal["connection", "credentials", "clock", "account", "instruments", "open orders"]
CHECKED: Final[tuple[About, ...]] = ("connection", "credentials", "clock", "account", "instruments", "open orders")
CLOCK_SKEW_NS_MAX: Final = 500_000_000  # venues refuse orders whose time stamp is further off than about this


class VenueFinding(msgspec.Struct, frozen=True):
    """The answer to one question: whether it is as it must be, what was found, and what to do when it is not."""

    about: About
    good: bool
    text: str
    remedy: str = ""


class VenueCheck(Protocol):
    """Asks one venue everything in `CHECKED` about one account, within `timeout_s`, and sends no order.

    connection: the venue answers. credentials: it accepts ours, and they may trade. clock: its time and ours differ by less than
    `CLOCK_SKEW_NS_MAX`. account: it is the one that is meant, open, with means to trade. instruments: all of them are traded there under
    our increments. open orders: every order open at the venue is known to our journal.
    """

    def __call__(self, account: str, instruments: Sequence[str], timeout_s: float) -> Sequence[VenueFinding]:
        """One finding for each of `CHECKED`. A venue that does not answer is a finding, no exception."""


VENUES: Final[dict[str, Callable[[], VenueCheck]]] = {}
"""Venue name -> what makes its check."""


def missing(findings: Sequence[VenueFinding]) -> list[VenueFinding]:
    """What forbids trading: findings that are not good, and questions that were not answered."""
    answered = {one.about for one in findings}
    unasked = [VenueFinding(about, False, "was not checked", "the adapter must answer it") for about in CHECKED if about not in answered]
    return [one for one in findings if not one.good] + unasked
