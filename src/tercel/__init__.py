"""Tercel owns the way from market data to orders: one deterministic core for research, back-test, paper and live trading.

It never reads a clock, a socket or chance inside that core. The names below are its face; each is loaded when it is first asked for, so
`import tercel` costs nothing. Start reading in ARCHITECTURE.md, then `tercel.base.records`.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers take it for true; importing it from typing would cost most of the time this import takes
if TYPE_CHECKING:
    from typing import Any, Final

    from tercel.base.errors import ConfigError, DataError, TercelError
    from tercel.decision.rules import EmaCross, ModelRule
    from tercel.decision.strategy import Strategy
    from tercel.drivers.backtest import backtest
    from tercel.drivers.history import SimulatedHistory, history
    from tercel.drivers.memory import from_frame
    from tercel.drivers.session import Plan
    from tercel.drivers.train import train
    from tercel.execution.venue import VenueModel
    from tercel.features.spec import (
        FeatureSet,
        atr,
        bars,
        bollinger,
        difference,
        donchian,
        ema,
        every,
        imbalance,
        lag,
        log_return,
        macd,
        micro_price,
        mid,
        order_flow,
        ratio,
        returns,
        roc,
        rolling_max,
        rolling_min,
        rsi,
        rsi_simple,
        sma,
        spread,
        stoch_rsi,
        time_of_day,
        volatility,
        volume_ratio,
        wma,
        zscore,
    )
    from tercel.features.stream import FeatureStream
    from tercel.models.barriers import triple_barrier
    from tercel.models.model import Model, with_own
    from tercel.models.on_demand import OnDemand
    from tercel.models.registry import Registry
    from tercel.risk.limits import Limits

_MODULE_OF: Final = {
    "ConfigError": "tercel.base.errors",
    "DataError": "tercel.base.errors",
    "EmaCross": "tercel.decision.rules",
    "FeatureSet": "tercel.features.spec",
    "FeatureStream": "tercel.features.stream",
    "Limits": "tercel.risk.limits",
    "Model": "tercel.models.model",
    "ModelRule": "tercel.decision.rules",
    "OnDemand": "tercel.models.on_demand",
    "Plan": "tercel.drivers.session",
    "Registry": "tercel.models.registry",
    "SimulatedHistory": "tercel.drivers.history",
    "Strategy": "tercel.decision.strategy",
    "TercelError": "tercel.base.errors",
    "VenueModel": "tercel.execution.venue",
    "atr": "tercel.features.spec",
    "backtest": "tercel.drivers.backtest",
    "bars": "tercel.features.spec",
    "bollinger": "tercel.features.spec",
    "difference": "tercel.features.spec",
    "donchian": "tercel.features.spec",
    "ema": "tercel.features.spec",
    "every": "tercel.features.spec",
    "from_frame": "tercel.drivers.memory",
    "history": "tercel.drivers.history",
    "imbalance": "tercel.features.spec",
    "lag": "tercel.features.spec",
    "log_return": "tercel.features.spec",
    "macd": "tercel.features.spec",
    "micro_price": "tercel.features.spec",
    "mid": "tercel.features.spec",
    "order_flow": "tercel.features.spec",
    "ratio": "tercel.features.spec",
    "returns": "tercel.features.spec",
    "roc": "tercel.features.spec",
    "rolling_max": "tercel.features.spec",
    "rolling_min": "tercel.features.spec",
    "rsi": "tercel.features.spec",
    "rsi_simple": "tercel.features.spec",
    "sma": "tercel.features.spec",
    "spread": "tercel.features.spec",
    "stoch_rsi": "tercel.features.spec",
    "train": "tercel.drivers.train",
    "triple_barrier": "tercel.models.barriers",
    "time_of_day": "tercel.features.spec",
    "volatility": "tercel.features.spec",
    "volume_ratio": "tercel.features.spec",
    "wma": "tercel.features.spec",
    "with_own": "tercel.models.model",
    "zscore": "tercel.features.spec",
}

__all__ = [
    "ConfigError",
    "DataError",
    "EmaCross",
    "FeatureSet",
    "FeatureStream",
    "Limits",
    "Model",
    "ModelRule",
    "OnDemand",
    "Plan",
    "Registry",
    "SimulatedHistory",
    "Strategy",
    "TercelError",
    "VenueModel",
    "__version__",
    "atr",
    "backtest",
    "bars",
    "bollinger",
    "difference",
    "donchian",
    "ema",
    "every",
    "from_frame",
    "history",
    "imbalance",
    "lag",
    "log_return",
    "macd",
    "micro_price",
    "mid",
    "order_flow",
    "ratio",
    "returns",
    "roc",
    "rolling_max",
    "rolling_min",
    "rsi",
    "rsi_simple",
    "sma",
    "spread",
    "stoch_rsi",
    "time_of_day",
    "train",
    "triple_barrier",
    "volatility",
    "volume_ratio",
    "with_own",
    "wma",
    "zscore",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that owns it, once. AttributeError, with the nearest name, when there is none."""
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value
    message = f"module 'tercel' has no attribute {name!r}"
    if not name.startswith("_"):
        import difflib

        near = difflib.get_close_matches(name, _MODULE_OF, n=1)
        message += f"; did you mean {near[0]!r}?" if near else ""
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
