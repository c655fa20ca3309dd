"""The life cycle of an order as a table, with the names of FIX 4.4. An unlisted pair is a fault, never a guess."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

CREATED, DENIED, SUBMITTED, ACCEPTED, TRIGGERED, PARTIALLY_FILLED = 1, 2, 3, 4, 5, 6
PENDING_CANCEL, PENDING_REPLACE, FILLED, CANCELED, REJECTED, EXPIRED = 7, 8, 9, 10, 11, 12
STATES = 13
STATE_NAMES: Final = {
    CREATED: "created", DENIED: "denied", SUBMITTED: "submitted", ACCEPTED: "accepted", TRIGGERED: "triggered",
    PARTIALLY_FILLED: "partially_filled", PENDING_CANCEL: "pending_cancel", PENDING_REPLACE: "pending_replace", FILLED: "filled",
    CANCELED: "canceled", REJECTED: "rejected", EXPIRED: "expired",
}  # fmt: skip

DENY, SUBMIT, ACCEPT, REJECT, TRIGGER, PARTIAL, FILL = 1, 2, 3, 4, 5, 6, 7
CANCEL, CANCEL_DONE, CANCEL_REFUSED, REPLACE, REPLACE_DONE, REPLACE_REFUSED, EXPIRE = 8, 9, 10, 11, 12, 13, 14
EVENTS = 15
EVENT_NAMES: Final = {
    DENY: "deny", SUBMIT: "submit", ACCEPT: "accept", REJECT: "reject", TRIGGER: "trigger", PARTIAL: "partial", FILL: "fill",
    CANCEL: "cancel", CANCEL_DONE: "cancel_done", CANCEL_REFUSED: "cancel_refused", REPLACE: "replace",
    REPLACE_DONE: "replace_done", REPLACE_REFUSED: "replace_refused", EXPIRE: "expire",
}  # fmt: skip

OPEN: Final = frozenset({SUBMITTED, ACCEPTED, TRIGGERED, PARTIALLY_FILLED, PENDING_CANCEL, PENDING_REPLACE})
TERMINAL: Final = frozenset({DENIED, FILLED, CANCELED, REJECTED, EXPIRED})

NEXT: Final[dict[tuple[int, int], int]] = {
    (CREATED, DENY): DENIED,
    (CREATED, SUBMIT): SUBMITTED,
    # The venue answers. A fill may overtake the acknowledgement.
    (SUBMITTED, ACCEPT): ACCEPTED,
    (SUBMITTED, REJECT): REJECTED,
    (SUBMITTED, PARTIAL): PARTIALLY_FILLED,
    (SUBMITTED, FILL): FILLED,
    (SUBMITTED, CANCEL): PENDING_CANCEL,
    (SUBMITTED, CANCEL_DONE): CANCELED,
    (SUBMITTED, EXPIRE): EXPIRED,
    (ACCEPTED, TRIGGER): TRIGGERED,
    (ACCEPTED, PARTIAL): PARTIALLY_FILLED,
    (ACCEPTED, FILL): FILLED,
    (ACCEPTED, CANCEL): PENDING_CANCEL,
    (ACCEPTED, REPLACE): PENDING_REPLACE,
    (ACCEPTED, CANCEL_DONE): CANCELED,
    (ACCEPTED, REJECT): REJECTED,
    (ACCEPTED, EXPIRE): EXPIRED,
    (TRIGGERED, PARTIAL): PARTIALLY_FILLED,
    (TRIGGERED, FILL): FILLED,
    (TRIGGERED, CANCEL): PENDING_CANCEL,
    (TRIGGERED, CANCEL_DONE): CANCELED,
    (TRIGGERED, REJECT): REJECTED,
    (TRIGGERED, EXPIRE): EXPIRED,
    (PARTIALLY_FILLED, PARTIAL): PARTIALLY_FILLED,
    (PARTIALLY_FILLED, FILL): FILLED,
    (PARTIALLY_FILLED, CANCEL): PENDING_CANCEL,
    (PARTIALLY_FILLED, REPLACE): PENDING_REPLACE,
    (PARTIALLY_FILLED, CANCEL_DONE): CANCELED,
    (PARTIALLY_FILLED, EXPIRE): EXPIRED,
    # A fill crosses a cancel or a replace on the wire: the fill counts, the request stays pending until it is answered.
    (PENDING_CANCEL, ACCEPT): PENDING_CANCEL,
    (PENDING_CANCEL, PARTIAL): PENDING_CANCEL,
    (PENDING_CANCEL, FILL): FILLED,
    (PENDING_CANCEL, CANCEL_DONE): CANCELED,
    (PENDING_CANCEL, CANCEL_REFUSED): ACCEPTED,
    (PENDING_CANCEL, REJECT): REJECTED,
    (PENDING_CANCEL, EXPIRE): EXPIRED,
    (PENDING_REPLACE, PARTIAL): PENDING_REPLACE,
    (PENDING_REPLACE, FILL): FILLED,
    (PENDING_REPLACE, CANCEL): PENDING_CANCEL,
    (PENDING_REPLACE, CANCEL_DONE): CANCELED,
    (PENDING_REPLACE, REPLACE_DONE): ACCEPTED,
    (PENDING_REPLACE, REPLACE_REFUSED): ACCEPTED,
    (PENDING_REPLACE, REJECT): REJECTED,
    (PENDING_REPLACE, EXPIRE): EXPIRED,
    # Late news about a closed order is applied and reported, never dropped.
    (FILLED, CANCEL_REFUSED): FILLED,
    (FILLED, REPLACE_REFUSED): FILLED,
    (CANCELED, PARTIAL): CANCELED,
    (CANCELED, FILL): FILLED,
    (EXPIRED, PARTIAL): EXPIRED,
    (EXPIRED, FILL): FILLED,
}


def table() -> npt.NDArray[np.int64]:
    """The life cycle as int64[STATES * EVENTS]; 0 is an unlisted pair."""
    grid = np.zeros(STATES * EVENTS, np.int64)
    for (state, event), following in NEXT.items():
        grid[state * EVENTS + event] = following
    return grid
