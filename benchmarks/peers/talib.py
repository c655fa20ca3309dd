"""TA-Lib in its own environment: `python -m benchmarks.peers.talib features OPTIONS` (see `worker`).

Since 0.8 `talib.stream` is a handle per indicator with an O(1) `update`; that is how its documentation has a live loop written, so that is
the peer. A call over the newest `window` prices, the way of older releases, stands beside it as a row of its own.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import talib
from talib import stream

from benchmarks.peers.worker import Answer, serve, timed, versions

Prices = npt.NDArray[np.float64]
FUNCTION = {"ema": "EMA", "sma": "SMA", "rsi": "RSI", "returns": "ROCP"}  # volatility is chained from two


def update_each(handle: Any, prices: list[float]) -> float:
    """One update per price; it returns the new value."""
    update = handle.update
    value = 0.0
    for price in prices:
        value = update(price)
    return value


def update_chain(first: Any, second: Any, prices: list[float]) -> float:
    """One update of each handle per price, the second fed by the first."""
    update, follow = first.update, second.update
    value = 0.0
    for price in prices:
        value = follow(update(price))
    return value


def call_each(function: Any, rows: int, prices: Prices, window: int) -> float:
    """One call of a batch function per new price, over the newest `window` prices."""
    value = 0.0
    for end in range(window + 1, len(prices) + 1):
        value = function(prices[end - window : end], rows)[-1]
    return value


def deviation(prices: Prices, rows: int) -> Any:
    """Deviation of one-row returns over a whole column; the first return is not there."""
    return talib.STDDEV(talib.ROCP(prices, 1)[1:], rows)


def features(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """One-by-one updates by handles; the batch functions over the whole input; and a few by calls over the newest prices."""
    prices = np.load(options["input"])
    window, updates = options["window"], options["updates"]
    warm, recent = prices[: options["warm"]], prices[options["warm"] - window : options["warm"] + updates]
    later = recent[window:].tolist()

    def cost(call: Callable[[], Any], count: int, factor: float) -> dict[str, float]:
        measured = timed(call)
        last = measured.result[-1] if isinstance(measured.result, np.ndarray) else measured.result
        return {"ns": measured.seconds / count * 1e9, "last": float(last) * factor}

    def repeat() -> Answer:
        streamed, batched, called = {}, {}, {}
        for name in options["names"]:
            op, text = name.split("_")
            rows = int(text)
            if op == "volatility":
                factor = math.sqrt(rows / (rows - 1))  # it divides by n, ours by n - 1
                first, second = stream.ROCP(warm, 1), stream.STDDEV(talib.ROCP(warm, 1)[1:], rows)
                streamed[name] = cost(partial(update_chain, first, second, later), updates, factor)
                batched[name] = cost(partial(deviation, prices, rows), len(prices), factor)
                continue
            streamed[name] = cost(partial(update_each, getattr(stream, FUNCTION[op])(warm, rows), later), updates, 1.0)
            if name in options["batch"]:
                batched[name] = cost(partial(getattr(talib, FUNCTION[op]), prices, rows), len(prices), 1.0)
                called[name] = cost(partial(call_each, getattr(talib, FUNCTION[op]), rows, recent, window), updates, 1.0)
        return {"TA-Lib stream": streamed, f"TA-Lib call over {window} rows": called, "TA-Lib batch": batched}

    return {"versions": versions("TA-Lib", "numpy")}, repeat


if __name__ == "__main__":
    serve(partial({"features": features}[sys.argv[1]], json.loads(sys.argv[2])))
