"""Orders by hand as the journal tells them: each by its client_id, so that one that is given again is known and not sent again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tercel.journal.entries import Order, ref_of

KNOWN_MAX: Final = 65_536  # the newest; a client_id before them counts as new


class ByHand:
    """The newest orders by hand, at most `KNOWN_MAX`, in the order in which they were given."""

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        self._orders: dict[int, Order] = {}
        for order in orders:
            self.add(order)

    def add(self, order: Order) -> None:
        """One more; the oldest goes when there are too many."""
        self._orders[order.ref] = order
        if len(self._orders) > KNOWN_MAX:
            del self._orders[next(iter(self._orders))]

    def find(self, client_id: str) -> Order | None:
        """The order that was given under a client_id, None when there is none."""
        return self._orders.get(ref_of(client_id))
