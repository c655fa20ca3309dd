"""What bars are, said slowly: dictionaries of Python numbers, one record at a time, nothing shared with the kernels."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from tercel.base.records import BAR, BODY, QUOTE, TIMER, TRADE, Records

RING = 4  # bars that can be open at once
NAN = float("nan")


@dataclass
class Open:
    """A bar that is being built."""

    start: int
    prices: list[float] = field(default_factory=list)
    volume: float = 0.0
    bid: float = NAN
    ask: float = NAN

    def columns(self, traded: bool) -> tuple[float, ...]:
        """The eight base columns."""
        prices = self.prices
        volume = self.volume if traded else NAN
        return (prices[0], max(prices), min(prices), prices[-1], volume, float(len(prices)), self.bid, self.ask)


@dataclass
class One:
    """One instrument: its open bars by bucket, its last quote, whether it ever traded, and what was counted."""

    open: dict[int, Open] = field(default_factory=dict)
    bid: float = NAN
    ask: float = NAN
    traded: bool = False
    closed_to: int = -(2**62)
    counts: Counter[str] = field(default_factory=Counter)


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
        heads = zip(*(records[name].tolist() for name in ("kind", "instrument", "ts_event", "ts_recv")), strict=True)
        for number, ((kind, instrument, event, stamp), values) in enumerate(zip(heads, body, strict=True), first):
            if kind == TIMER and self.clock == "time":
                rows += self.close(number, event)
            elif kind == BAR:
                rows.append((number, instrument, event, stamp, (*values, NAN, NAN, NAN)))
            elif kind in (QUOTE, TRADE):
                rows += self.take(number, instrument, kind, event, stamp, values)
        return rows

    def close(self, number: int, boundary: int) -> list[Row]:
        """A timer closes every bar that ends by its boundary, oldest first."""
        rows: list[Row] = []
        for slot, one in enumerate(self.slots):
            for bucket in sorted(one.open):
                done = one.open[bucket]
                if done.start + self.amount <= boundary:
                    rows.append((number, slot, done.start, done.start + int(self.amount), done.columns(one.traded)))
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

    def take(self, number: int, slot: int, kind: int, event: int, stamp: int, values: list[float]) -> list[Row]:
        """One tick; for ticks and volume the bar that it fills."""
        one = self.slots[slot]
        if kind == QUOTE:
            one.bid, one.ask = values[0], values[2]
        size = 0.0
        if kind == TRADE:
            one.traded = True
            size = 0.0 if math.isnan(values[1]) else values[1]
        price = self.price(kind, values)
        timed = self.clock == "time"
        bucket = event // int(self.amount) if timed else 0
        if math.isnan(price):
            one.counts["unpriced"] += kind == QUOTE
            if kind == QUOTE or bucket not in one.open:
                return []
        else:
            why = self.misplaced(one, bucket, stamp) if timed else ""
            if why:
                one.counts[why] += 1
                return []
            current = one.open.setdefault(bucket, Open(bucket * int(self.amount) if timed else event))
            current.prices.append(price)
            current.bid, current.ask = one.bid, one.ask
        current = one.open[bucket]
        current.volume += size
        filled = len(current.prices) if self.clock == "ticks" else current.volume
        if timed or filled < self.amount:
            return []
        return [(number, slot, current.start, event, one.open.pop(bucket).columns(one.traded))]

    def misplaced(self, one: One, bucket: int, stamp: int) -> str:
        """Why a tick belongs to no bar: "late", "ahead", or "" when it does."""
        arrived = stamp // int(self.amount)
        if (bucket + 1) * self.amount <= one.closed_to or bucket <= arrived - RING:
            return "late"
        if bucket > arrived + RING - 2:
            return "ahead"
        rivals = [other for other in one.open if other != bucket and (other - bucket) % RING == 0]
        return "" if not rivals else "ahead" if rivals[0] < bucket else "late"
