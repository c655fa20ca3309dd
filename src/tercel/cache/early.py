"""Probabilistic early refresh: of many readers of an entry that nears its end, one refreshes it before it expires, without a lock.

Vattani, Chierichetti and Lowenstein, "Optimal probabilistic cache stampede prevention", VLDB 2015, figure 5 (XFetch): refresh when
now - delta * beta * ln(rand) >= expiry, with delta the time a refresh takes.
"""

from __future__ import annotations

from math import log


def due(now_ns: int, fresh_ns: int, made_ns: int, beta: float, drawn: float) -> bool:
    """Whether to refresh now what is good until `fresh_ns` and took `made_ns` to make; `drawn` is uniform in (0, 1]."""
    return made_ns > 0 and beta > 0 and now_ns - made_ns * beta * log(drawn) >= fresh_ns
