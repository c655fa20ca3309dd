"""The trading rule of the back-test benchmark, and its judge: the same rule in plain Python, without any engine."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy.typing as npt

from benchmarks.data import PRICE_DECIMALS

Fill = tuple[int, int, str, str]  # ts_ns of the quote that fills, +1 or -1, price and size as text


class Order(NamedTuple):
    """One order on its way, caused by quote number `cause`."""

    arrival_ns: int
    side: int
    size: int
    cause: int


class Rule(NamedTuple):
    """+size while the fast EMA of the mid is above the slow one, -size while below; one market order per flip, no fees.

    The averages are used from quote number `slow` on. An order reaches the venue `latency_ns` after the quote that caused it and fills at
    ask or bid; `liquidity` units are there to take, more than an order asks for.
    """

    fast: int = 50
    slow: int = 200
    size: int = 10_000
    latency_ns: int = 1_000_000
    liquidity: int = 1_000_000


class Manner(NamedTuple):
    """Where engines honestly differ; each is judged in its own manner."""

    name: str
    begin: str  # an EMA begins with the "first" value, or with the "mean" of its first values
    stands: bool  # an order that arrives between two quotes trades on the one that stands then; otherwise on the next
    waits: bool  # no new order while one is on its way


TERCEL = Manner("tercel", begin="mean", stands=True, waits=True)
NAUTILUS = Manner("nautilus_trader", begin="first", stands=False, waits=False)


def average(values: list[float], rows: int, begin: str) -> list[float]:
    """EMA with alpha = 2 / (rows + 1), begun with the "first" value or with the "mean" of the first `rows`; NaN before it is known."""
    alpha = 2.0 / (rows + 1.0)
    found = [values[0]] if begin == "first" else [math.nan] * (rows - 1) + [sum(values[:rows]) / rows]
    for value in values[len(found) :]:
        found.append(found[-1] + alpha * (value - found[-1]))
    return found


def judged(rule: Rule, rows: npt.NDArray[Any], manner: Manner) -> list[Fill]:
    """Every fill of the rule over `rows` (dtype `data.QUOTE`, more than `slow` of them), by its definition."""
    quotes = rows.tolist()
    mids = [(bid + ask) / 2.0 for _, bid, ask in quotes]
    edges = [a - b for a, b in zip(average(mids, rule.fast, manner.begin), average(mids, rule.slow, manner.begin), strict=True)]
    fills: list[Fill] = []
    waiting: list[Order] = []
    target = 0
    for number, ((ts_ns, *_), edge) in enumerate(zip(quotes, edges, strict=True)):
        while waiting and waiting[0].arrival_ns <= ts_ns:
            order = waiting.pop(0)
            stood = manner.stands and order.arrival_ns < ts_ns and order.cause < number - 1
            _, bid, ask = quotes[number - 1 if stood else number]
            fills.append((ts_ns, order.side, f"{ask if order.side > 0 else bid:.{PRICE_DECIMALS}f}", str(order.size)))
        wanted = 1 if edge > 0.0 else -1 if edge < 0.0 else target
        if number + 1 >= rule.slow and wanted != target and not (waiting and manner.waits):
            waiting.append(Order(ts_ns + rule.latency_ns, wanted, rule.size * (2 if target else 1), number))
            target = wanted
    return fills
