"""The stages of the trader's loop, in order, with their budgets. Histogram, panel and chapter of a stage bear the same word."""

from __future__ import annotations

from typing import Final

import msgspec


class Stage(msgspec.Struct, frozen=True):
    """One stage; a duration above `budget_us` is a breach. The goal is for the 99th percentile."""

    name: str
    what: str
    budget_us: float  # our goal, microseconds
    asked_ms: float | None  # the least that is asked of us, milliseconds; None where nothing is
    remedy: str  # what helps when it is above its budget


STAGES: Final = (
    Stage("feed", "bytes read to ticks in memory", 50.0, 10.0, "a faster disk for recordings, a lower `--speed`"),
    Stage("sequence", "number and arrival stamp of every input", 5.0, 20.0, "fewer instruments, or a processor that is not shared"),
    Stage("log", "inputs appended to the input log", 20.0, None, "a faster disk under TERCEL_HOME, or more free memory for its cache"),
    Stage("features", "bars, indicators and model", 5.0, 75.0, "fewer or shorter features, a smaller model, larger bars"),
    Stage("decide", "signal, size, risk checks, orders", 10.0, 30.0, "a compiled rule or a model instead of a strategy in Python"),
    Stage("journal", "intents made durable before they are sent", 1000.0, None, "a disk that flushes faster; `--sync interval` at a risk"),
    Stage("publish", "live view written", 50.0, None, "fewer instruments, or a processor that is not shared"),
    Stage("total", "tick in memory to order in memory", 15.0, 200.0, "look for the stage above that is over its own budget"),
)
"""Asked: collection 10 ms; processing 20; features 25 and inference 50; decision 20 and risk 10; 200 for a whole event."""

STAGE_NAMES: Final = tuple(stage.name for stage in STAGES)
FEED, SEQUENCE, LOG, FEATURES, DECIDE, JOURNAL, PUBLISH, TOTAL = range(len(STAGES))

DECISION: Final = (
    Stage("feature_cache", "rows of features looked up", 1000.0, 1.0, "a quieter machine; a Redis that is nearer"),
    Stage("fresh_features", "rows computed from history that nobody had", 25_000.0, 25.0, "ask again: what is asked for is kept warm"),
    Stage("prediction_cache", "predictions looked up", 1000.0, 1.0, "fewer periods; a Redis that is nearer"),
    Stage("model_load", "the model taken from the pool, or read", 5000.0, 5.0, "a smaller model; the first question reads it"),
    Stage("batch_prediction", "rows scored in one batch", 5000.0, 40.0, "fewer trees or leaves"),
    Stage("post_processing", "scores to sides, confidences and edges", 1000.0, 3.0, "fewer periods"),
    Stage("cache_store", "predictions kept", 2000.0, 2.0, "fewer periods"),
    Stage("decision", "from the question to the answer", 25_000.0, 100.0, "look for the part above that is over its own budget"),
)
"""The parts of a prediction on demand: all rows of one question together."""
