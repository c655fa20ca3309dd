"""vectorbt in its own environment: `python -m benchmarks.peers.vectorbt backtest OPTIONS` (see `worker`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import vectorbt

from benchmarks.peers.worker import Answer, digest, serve, timed, versions


def run(close: Any, fast: int, slow: int, size: int) -> Any:
    """The rule of `benchmarks.rule` as whole columns: averages, comparison, one reversing portfolio; its orders are counted."""
    above, below = (close.ewm(span=rows, adjust=False, min_periods=slow).mean() for rows in (fast, slow))
    portfolio = vectorbt.Portfolio.from_signals(
        close, entries=above > below, exits=False, short_entries=above < below, short_exits=False, size=size, init_cash=10_000_000,
        upon_opposite_entry="reverse",
    )  # fmt: skip
    return portfolio, portfolio.orders.count()


def backtest(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """One column of mids; the first call compiles and is not timed. It fills on the quote that caused the order, at the mid."""
    quotes = np.load(options["input"])[: options["rows"]]
    close = pd.Series((quotes["bid"] + quotes["ask"]) / 2.0, index=pd.to_datetime(quotes["ts_ns"], utc=True))
    job = partial(run, close, options["fast"], options["slow"], options["size"])
    compiling = timed(job)

    def repeat() -> Answer:
        measured = timed(job)
        portfolio, count = measured.result
        records = portfolio.orders.records_arr
        return {
            "seconds": measured.seconds, "cpu_seconds": measured.cpu_seconds, "trades": int(count),
            "balance_usd": float(portfolio.final_value()), "hash": digest(records[["idx", "size", "price", "side"]].tolist()),
        }  # fmt: skip

    return {"versions": versions("vectorbt", "numba", "pandas", "numpy"), "rows": len(close), "first_run_s": compiling.seconds}, repeat


if __name__ == "__main__":
    serve(partial({"backtest": backtest}[sys.argv[1]], json.loads(sys.argv[2])))
