"""Orders, fills and signals folded from OUTPUT records. Bounded: the newest are kept, older ones are in the journal."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Final

import msgspec

from tercel.base import records as kinds
from tercel.base.codes import NAMES
from tercel.base.records import OUT_CANCEL, OUT_DENIED, OUT_EXPIRED, OUT_FILL, OUT_INTENT, OUT_SIGNAL, OUT_STATE, Records, client_order_id
from tercel.execution.lifecycle import ACCEPTED, CANCELED, EXPIRED, FILLED, OPEN, PARTIALLY_FILLED, STATE_NAMES
from tercel.journal.entries import Order

ORDERS_MAX: Final = 500
EVENTS_MAX: Final = 500
_STATE_AFTER: Final = {OUT_INTENT: ACCEPTED, OUT_CANCEL: CANCELED, OUT_EXPIRED: EXPIRED}


class Traded(msgspec.Struct, frozen=True):
    """What turns the integers of an output into units."""

    name: str
    price_decimals: int
    size_decimals: int


class OrderView(msgspec.Struct, frozen=True):
    """An order as far as its outputs tell: `id` the client order id, `filled_price` the mean of its fills, `seen` the n-th order known.

    `by` is who wanted it: "hand", "rule", "model" or "strategy", "" when no journal says so; `client_id` is what a person calls it.
    """

    id: str
    seen: int
    number: int
    instrument: str
    side: str
    type: str
    price: float | None
    size: float
    filled: float
    filled_price: float | None
    state: str
    open: bool
    placed_ms: float
    changed_ms: float
    confidence: float
    by: str = ""
    client_id: str = ""


class EventView(msgspec.Struct, frozen=True):
    """What happened once: a fill, a denial, a halt, a resume. `number` counts from 1 in the order in which the desk learnt of it."""

    number: int
    kind: str
    time_ms: float
    instrument: str
    side: str
    price: float | None
    size: float
    order: str
    fee_micros: int
    position: float
    reason: str
    liquidity: str


class SignalView(msgspec.Struct, frozen=True):
    """The newest signal of an instrument: direction, raw score and confidence."""

    instrument: str
    side: str
    score: float
    confidence: float
    mid: float
    time_ms: float


class Blotter:
    """Folds outputs in their order; `orders` by client order id, `events` the newest 500, `signals` by instrument."""

    def __init__(self) -> None:
        self.orders: OrderedDict[str, OrderView] = OrderedDict()
        self.events: deque[EventView] = deque(maxlen=EVENTS_MAX)
        self.signals: dict[str, SignalView] = {}
        self.events_seen = 0
        self.orders_seen = 0
        self.decider = ""  # who wants the orders that no person gives
        self._given: dict[str, str] = {}  # client_id by order id, of orders by hand whose output comes next

    def by_hand(self, order: Order) -> None:
        """A person gave the order that comes next."""
        if order.order:
            self._given[client_order_id(order.epoch, order.order)] = order.client_id

    def feed(self, records: Records, traded: Mapping[int, Traded]) -> None:
        """Take `OUTPUT`[n] in; `traded` maps instrument id to its numbers. An unknown instrument is shown by its id, in raw integers."""
        names = records.dtype.names or ()
        for values in records.tolist():
            row = dict(zip(names, values, strict=True))
            known = traded.get(row["instrument"]) or Traded(f"id {row['instrument']}", 0, 0)
            kind = row["kind"]
            if kind == OUT_SIGNAL:
                self.signals[known.name] = SignalView(
                    known.name, _side(row["side"]), row["score"], row["confidence"], row["mid"], row["time"] / 1e6
                )
            elif kind in (OUT_INTENT, OUT_FILL, OUT_CANCEL, OUT_EXPIRED):
                self._order(row, known)
            if kind in (OUT_FILL, OUT_DENIED, OUT_STATE):
                self._event(row, known)

    def _order(self, row: dict[str, int], known: Traded) -> None:
        key = client_order_id(row["epoch"], row["order"])
        unit, time_ms = 10.0**known.size_decimals, row["time"] / 1e6
        price, size, filled = row["price"] / 10.0**known.price_decimals, row["size"] / unit, row["filled"] / unit
        before = self.orders.get(key)
        is_fill = row["kind"] == OUT_FILL
        state = row["state"] or _STATE_AFTER.get(row["kind"], PARTIALLY_FILLED)
        if before is None:  # a fill tells its own price and size, not the order's: all we know then is what was filled
            self.orders_seen += 1
            limit = None if is_fill or not row["price"] else price
            before = OrderView(
                key, self.orders_seen, row["order"], known.name, _side(row["side"]), "limit" if limit is not None else "market", limit,
                filled if is_fill else size, 0.0, None, "", False, time_ms, time_ms, row["confidence"],
                "hand" if key in self._given else self.decider, self._given.pop(key, ""),
            )  # fmt: skip
        mean = before.filled_price
        if is_fill and filled > before.filled:
            mean = ((mean or 0.0) * before.filled + price * (filled - before.filled)) / filled
        if before.state == STATE_NAMES[FILLED]:
            state = FILLED  # late news about a filled order changes nothing
        self.orders[key] = msgspec.structs.replace(
            before, filled=max(filled, before.filled), filled_price=mean, size=max(before.size, filled), changed_ms=time_ms,
            state=STATE_NAMES.get(state, str(state)), open=state in OPEN,
        )  # fmt: skip
        if len(self.orders) > ORDERS_MAX:
            closed = (key for key, order in self.orders.items() if not order.open)
            del self.orders[next(closed, next(iter(self.orders)))]

    def _event(self, row: dict[str, int], known: Traded) -> None:
        kind = {OUT_FILL: "fill", OUT_DENIED: "denied"}.get(row["kind"]) or ("halt" if row["code"] == kinds.HALT else "resume")
        about = kind in ("fill", "denied")
        self.events_seen += 1
        self.events.append(EventView(
            number=self.events_seen, kind=kind, time_ms=row["time"] / 1e6, instrument=known.name if about else "",
            side=_side(row["side"]) if about else "", price=row["price"] / 10.0**known.price_decimals if row["price"] else None,
            size=row["size"] / 10.0**known.size_decimals, order=client_order_id(row["epoch"], row["order"]) if row["order"] else "",
            fee_micros=row["fee_micros"], position=row["position"] / 10.0**known.size_decimals,
            reason=NAMES.get(row["code"], f"code {row['code']}") if kind == "denied" else "",
            liquidity=("maker" if row["code"] else "taker") if kind == "fill" else "",
        ))  # fmt: skip


def decider(config: str) -> str:
    """Who decides by a session's configuration, as the journal holds it: "rule", "model", "strategy", "" for nobody."""
    decide = msgspec.json.decode(config).get("decide") or {}
    return next((word for word in ("strategy", "model") if word in decide), "rule" if decide else "")


def _side(side: int) -> str:
    return "buy" if side > 0 else "sell" if side < 0 else "flat"
