"""talipp in its own environment: `python -m benchmarks.peers.talipp features OPTIONS` (see `worker`)."""

from __future__ import annotations

import array
import json
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from talipp.indicators import EMA, ROC, RSI, SMA, StdDev

from benchmarks.peers.worker import Answer, serve, timed, versions


def volatility(rows: int, prices: list[float]) -> Any:
    """Standard deviation of one-row returns: an indicator chained to another, which feeds it; the caller updates the first."""
    returns = ROC(1, prices)
    returns.deviation = StdDev(rows, input_indicator=returns)
    return returns


BUILD: dict[str, Callable[[int, list[float]], Any]] = {"ema": EMA, "sma": SMA, "rsi": RSI, "returns": ROC, "volatility": volatility}


def scale(op: str, rows: int) -> float:
    """Returns come in percent, and the deviation divides by n, ours by n - 1."""
    return {"returns": 0.01, "volatility": 0.01 * math.sqrt(rows / (rows - 1))}.get(op, 1.0)


def update_each(indicator: Any, prices: list[float]) -> float:
    """One update and one look at the value per price."""
    shown = getattr(indicator, "deviation", indicator)
    value = 0.0
    for price in prices:
        indicator.add(price)
        value = shown[-1]
    return value


def column(path: str, count: int) -> list[float]:
    """The first `count` numbers of a NumPy file of 8-byte floats; this environment has no NumPy."""
    content = Path(path).read_bytes()
    begin = 10 + int.from_bytes(content[8:10], "little")
    return list(array.array("d", content[begin : begin + 8 * count]))


def features(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """One-by-one updates of every indicator after a warm-up; its batch is the same loop."""
    prices = column(options["input"], options["warm"] + options["updates"])
    warm, later = prices[: options["warm"]], prices[options["warm"] :]

    def cost(name: str) -> dict[str, float]:
        op, rows = name.split("_")
        indicator = BUILD[op](int(rows), warm)
        measured = timed(partial(update_each, indicator, later))
        return {"ns": measured.seconds / len(later) * 1e9, "last": measured.result * scale(op, int(rows))}

    return {"versions": versions("talipp")}, lambda: {"talipp": {name: cost(name) for name in options["names"]}}


if __name__ == "__main__":
    serve(partial({"features": features}[sys.argv[1]], json.loads(sys.argv[2])))
