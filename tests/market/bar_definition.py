"""What bars are, said slowly: dictionaries of Python numbers, one record at a time, nothing shared with the kernels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tercel.base.records import BAR, BODY, GAP, QUOTE, TIMER, TRADE, Records

RING = 4  # bars that can be open at once
NAN = float("nan")


@dataclass
class Open:
    """A bar that is being built."""

    start: int
    prices: list[float] = field(default_factory=list)
    volume: float = 0.0
    flow: float = 0.0
    signed: float = 0.0
    quote: Sequence[float] = (NAN, NAN, NAN, NAN)  # bid, bid size, ask, ask size

    def columns(self, one: One, closed: int) -> tuple[float, ...]:
        """The base columns, of a bar that closed at `closed`."""
        prices, (bid, bid_size, ask, ask_size) = self.prices, self.quote
        known = [self.volume if one.traded else NAN, float(len(prices)), bid, ask]
        known += [bid_size, ask_size, self.flow if one.sized else NAN, self.signed if one.sided else NAN]
        return (prices[0], max(prices), min(prices), prices[-1], *known, seconds(closed))


@dataclass
class One:
    """One instrument: its open bars by bucket, its last quote, whether it ever traded, had sizes, had sides, and what was counted."""

    open: dict[int, Open] = field(default_factory=dict)
    quote: Sequence[float] = (NAN, NAN, NAN, NAN)
    traded: bool = False
    sized: bool = False
    sided: bool = False
    closed_to: int = -(2**62)
    counts: Counter[str] = field(default_factory=Counter)


def flow(old: Sequence[float], new: Sequence[float]) -> float:
    """Order-flow imbalance of Cont, Kukanov and Stoikov between two quotes (bid, bid size, ask, ask size); 0 where one has an unknown."""
    if any(math.isnan(value) for value in (*old, *new)):
        return 0.0
    bid, bid_size, ask, ask_size = new
    terms = (bid_size * (bid >= old[0]), -old[1] * (bid <= old[0]), -ask_size * (ask <= old[2]), old[3] * (ask >= old[2]))
    return sum(terms)


def seconds(ns: int) -> float:
    """Seconds since 1970, the whole ones exactly."""
    whole, rest = divmod(ns, 10**9)
    return whole + rest / 10**9


Row = tuple[int, int, int, int, tuple[float, ...]]  # input number, slot, open time, close time, columns


class Definition:
    """Bars by the definition. `clock` is "time", "ticks" or "volume", `basis` the price that counts."""

    def __init__(self, clock: str, amount: float, basis: str, slots: int) -> None:
        self.clock, self.amount, self.basis = clock, amount, basis
        self.slots = [One() for _ in range(slots)]

    def rows(self, records: Records, first: int = 1) -> list[Row]:
        """The bars that these inputs close, in the order (input, slot, time)."""
        rows: list[Row] = []
        body = records.view("<f8").reshape(-1, 8)[:, BODY:].tolist()
        heads = zip(*(records[name].tolist() for name in ("kind", "instrument", "ts_event", "ts_recv", "side")), strict=True)
        for number, ((kind, instrument, event, stamp, side), values) in enumerate(zip(heads, body, strict=True), first):
            if kind == TIMER and self.clock == "time":
                rows += self.close(number, event)
            elif kind == BAR:
                closed = event + int(self.amount) if self.clock == "time" else stamp
                rows.append((number, instrument, event, stamp, (*values, *[NAN] * 7, seconds(closed))))
            elif kind == GAP:
                self.slots[instrument].quote = (NAN, NAN, NAN, NAN)
            elif kind in (QUOTE, TRADE):
                rows += self.take(number, instrument, kind, event, stamp, side, values)
        return rows

    def close(self, number: int, boundary: int) -> list[Row]:
        """A timer closes every bar that ends by its boundary, oldest first."""
        rows: list[Row] = []
        for slot, one in enumerate(self.slots):
            for bucket in sorted(one.open):
                done = one.open[bucket]
                if done.start + self.amount <= boundary:
                    closed = done.start + int(self.amount)
                    rows.append((number, slot, done.start, closed, done.columns(one, closed)))
                    del one.open[bucket]
            one.closed_to = boundary
        return rows

    def price(self, kind: int, values: list[float]) -> float:
        """The price of a record on the basis, NaN when it does not tell."""
        if self.basis == "trade":
            return values[0] if kind == TRADE else NAN
        if kind != QUOTE:
            return NAN
        return {"bid": values[0], "ask": values[2], "mid": (values[0] + values[2]) * 0.5}[self.basis]

    def take(self, number: int, slot: int, kind: int, event: int, stamp: int, side: int, values: list[float]) -> list[Row]:
        """One tick; for ticks and volume the bar that it fills."""
        one = self.slots[slot]
        added = size = 0.0
        if kind == QUOTE:
            added, one.quote = flow(one.quote, values[:4]), values[:4]
            one.sized |= not math.isnan(values[1] + values[3])
        else:
            one.traded, one.sided = True, one.sided or side != 0
            size = 0.0 if math.isnan(values[1]) else values[1]
        price = self.price(kind, values)
        timed = self.clock == "time"
        bucket = event // int(self.amount) if timed else 0
        if math.isnan(price):
            one.counts["unpriced"] += kind == QUOTE
            if bucket not in one.open:
                return []
        else:
            why = self.misplaced(one, bucket, stamp) if timed else ""
            if why:
                one.counts[why] += 1
                return []
            current = one.open.setdefault(bucket, Open(bucket * int(self.amount) if timed else event))
            current.prices.append(price)
            current.quote = one.quote
        current = one.open[bucket]
        current.volume += size
        current.signed += side * size
        current.flow += added
        filled = len(current.prices) if self.clock == "ticks" else current.volume
        if timed or filled < self.amount:
            return []
        return [(number, slot, current.start, event, one.open.pop(bucket).columns(one, event))]

    def misplaced(self, one: One, bucket: int, stamp: int) -> str:
        """Why a tick belongs to no bar: "late", "ahead", or "" when it does."""
        arrived = stamp // int(self.amount)
        if (bucket + 1) * self.amount <= one.closed_to or bucket <= arrived - RING:
            return "late"
        if bucket > arrived + RING - 2:
            return "ahead"
        rivals = [other for other in one.open if other != bucket and (other - bucket) % RING == 0]
        return "" if not rivals else "ahead" if rivals[0] < bucket else "late"
