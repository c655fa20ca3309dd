"""backtesting.py in its own environment: `python -m benchmarks.peers.backtesting_py backtest OPTIONS` (see `worker`)."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

from benchmarks.peers.worker import Answer, digest, serve, timed, versions


def ema(values: Any, rows: int) -> Any:
    """Exponential moving average begun at the first value, unknown until `rows` values were seen."""
    return pd.Series(values).ewm(span=rows, adjust=False, min_periods=rows).mean()


class Cross(Strategy):  # type: ignore[misc]
    """The rule of `benchmarks.rule` on bars of one quote; its exclusive orders close the old position and open the new one."""

    fast, slow, size = 0, 0, 0

    def init(self) -> None:
        """Compute both averages over the whole column, as the library asks for."""
        self.above = self.I(ema, self.data.Close, self.fast)
        self.below = self.I(ema, self.data.Close, self.slow)
        self.target = 0

    def next(self) -> None:
        """Flip when the averages say so."""
        edge = self.above[-1] - self.below[-1]
        if edge > 0.0 and self.target <= 0:
            self.target = 1
            self.buy(size=self.size)
        elif edge < 0.0 and self.target >= 0:
            self.target = -1
            self.sell(size=self.size)


def backtest(options: dict[str, Any]) -> tuple[Answer, Callable[[], Answer]]:
    """Bars of one quote with open = high = low = close = mid; half the spread of each quote is not modelled by it."""
    warnings.simplefilter("ignore")
    quotes = np.load(options["input"])[: options["rows"]]
    mids = (quotes["bid"] + quotes["ask"]) / 2.0
    frame = pd.DataFrame(dict.fromkeys(("Open", "High", "Low", "Close"), mids), index=pd.to_datetime(quotes["ts_ns"], utc=True))
    rule = {name: options[name] for name in ("fast", "slow", "size")}

    def repeat() -> Answer:
        engine = Backtest(frame, Cross, cash=10_000_000, exclusive_orders=True, finalize_trades=False)
        measured = timed(partial(engine.run, **rule))
        trades = measured.result["_trades"]
        lines = zip(trades["EntryBar"], trades["Size"], trades["EntryPrice"], strict=True)
        return {
            "seconds": measured.seconds, "cpu_seconds": measured.cpu_seconds, "trades": len(trades), "hash": digest(lines),
            "balance_usd": float(measured.result["Equity Final [$]"]),
        }  # fmt: skip

    return {"versions": versions("backtesting", "pandas", "numpy"), "rows": len(frame)}, repeat


if __name__ == "__main__":
    serve(partial({"backtest": backtest}[sys.argv[1]], json.loads(sys.argv[2])))
