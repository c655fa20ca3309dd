"""The definition of a label, written as an event loop over records rather than as a search through arrays; and markets to label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tercel.models.training.labels import Integers, Quotes, bar_quotes, tick_quotes, with_losses

NAN = float("nan")
SCALE = 1e5


class Seen(NamedTuple):
    """A quote of a record: until when an order must be there, bid, ask, whether barriers look at it."""

    look: int
    bid: float
    ask: float
    checked: bool


class Record(NamedTuple):
    """A record of the instrument: its stamp and the quotes it brings; none: data was lost."""

    stamp: int
    quotes: list[Seen]


LOST = Seen(0, NAN, NAN, False)


class Order(NamedTuple):
    """A market order on its way."""

    side: int
    arrival: int
    sent: int  # number of the record it was sent after


@dataclass
class Outcome:
    """What a decision came to."""

    entry: float = NAN
    exit: float = NAN
    net: float = NAN
    end: int = 2**62


def defined(
    records: Sequence[Record],
    after: int,
    stamp: int,
    width: float,
    side: int,
    *,
    take: float,
    stop: float,
    horizon: int,
    latency: int,
    fee: float,
) -> Outcome:
    """The trade of one decision made after record `after`: an event at a time, as a venue and a trader would live it."""
    found = Outcome()
    standing = (records[after].quotes or [LOST])[-1] if after >= 0 else LOST
    if math.isnan(standing.bid) or not width > 0:
        return found
    reference = standing.ask if side > 0 else standing.bid
    high, low = reference + side * take * width, reference - side * stop * width
    order: Order | None = Order(side, stamp + latency, after)
    standing_of = after
    holding = False

    def trade(now: int) -> None:
        nonlocal order, holding
        assert order is not None
        price = _on_grid(standing.ask, 1) if order.side > 0 else _on_grid(standing.bid, -1)
        if order.side == side:
            found.entry, holding = price, True
        else:
            found.exit, holding, found.end = price, False, now
        order = None

    for number in range(after + 1, len(records)):
        record = records[number]
        if not record.quotes:
            standing = LOST
            continue
        if order and standing_of > order.sent and order.arrival <= record.stamp - 1 and _good(standing):
            trade(record.stamp)
        if found.end < 2**62:
            break
        for quote in record.quotes:
            standing, standing_of = quote, number
            if order and order.arrival <= quote.look and _good(quote):
                trade(record.stamp)
        if found.end < 2**62:
            break
        if holding and order is None and standing.checked and _good(standing):
            leave = standing.bid if side > 0 else standing.ask
            if record.stamp >= stamp + horizon or (leave - high) * side >= 0 or (leave - low) * side <= 0:
                order = Order(-side, record.stamp + latency, number)
    if found.end < 2**62:
        found.net = ((found.exit - found.entry) * side - fee * (found.entry + found.exit)) / width
    return found


def _good(quote: Seen) -> bool:
    return not math.isnan(quote.bid) and quote.bid > 0


def _on_grid(price: float, direction: int) -> float:
    """To the grid of five decimals against the trader; what is on it, but for its last bits, stays."""
    near = round(price * SCALE)
    if abs(price * SCALE - near) < 1e-6:
        return near / SCALE
    return (math.ceil(price * SCALE) if direction > 0 else math.floor(price * SCALE)) / SCALE


def ticks(seed: int, count: int, bad: float = 0.1) -> list[Record]:
    """Quotes at irregular instants, some at the same one, some of them not good."""
    chance = np.random.default_rng(seed)
    stamps = 1_000 + np.cumsum(chance.choice([0, 1, 2, 5, 40, 300], count))
    bids = (110_000 + np.cumsum(chance.integers(-4, 5, count))) / SCALE
    asks = np.round(bids + chance.integers(0, 4, count) / SCALE, 5)
    broken = chance.random(count) < bad
    return [
        Record(int(stamp), [Seen(int(stamp), NAN, NAN, True) if gone else Seen(int(stamp), float(bid), float(ask), True)])
        for stamp, bid, ask, gone in zip(stamps, bids, asks, broken, strict=True)
    ]


def bars(seed: int, count: int, interval: int = 100, half: float = 0.5 / SCALE) -> list[Record]:
    """Recorded bars, half a step of spread on either side: the quotes lie off the grid."""
    chance = np.random.default_rng(seed)
    opened = 1_000 + interval * np.cumsum(chance.choice([1, 1, 1, 3], count))
    prices = (110_000 + np.cumsum(chance.integers(-4, 5, 2 * count))) / SCALE
    made = []
    for place, start in enumerate(opened.tolist()):
        stamp = start + interval
        first, last = float(prices[2 * place]), float(prices[2 * place + 1])
        look = start + interval // 10
        made.append(Record(stamp, [Seen(look, first - half, first + half, False), Seen(stamp, last - half, last + half, True)]))
    return made


def torn(records: Sequence[Record], seed: int, share: float = 0.1) -> list[Record]:
    """The same with losses among them: at the instant of the record before, or of the one behind, some of them twice."""
    chance = np.random.default_rng(seed)
    made: list[Record] = []
    for record in records:
        at = [made[-1].stamp, record.stamp] if made else [record.stamp]
        made += [Record(int(chance.choice(at)), [])] * int(chance.choice([0, 1, 2], p=[1 - share, share * 0.8, share * 0.2]))
        made.append(record)
    return made


def as_quotes(records: Sequence[Record], interval: int = 100, half: float = 0.5 / SCALE) -> Quotes:
    """The same records as the labels take them, numbered from 1."""
    number, stamp = np.arange(1, len(records) + 1), np.array([record.stamp for record in records])
    lost = np.array([not record.quotes for record in records])
    found = _as_quotes([record for record in records if record.quotes], number[~lost], stamp[~lost], interval, half)
    return with_losses(found, number[lost], stamp[lost])


def _as_quotes(records: Sequence[Record], number: Integers, stamp: Integers, interval: int, half: float) -> Quotes:
    if len(records[0].quotes) == 1:
        bid, ask = (np.array([record.quotes[0][column] for record in records]) for column in (1, 2))
        return tick_quotes(number, stamp, bid, ask)
    first, last = (np.array([(record.quotes[place].bid + record.quotes[place].ask) / 2 for record in records]) for place in (0, 1))
    first, last = np.round(first, 5), np.round(last, 5)
    return bar_quotes(number, stamp - interval, stamp, first, last, half)
