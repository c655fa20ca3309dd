"""What the interface says, as frozen structs made from one consistent `LiveFrame`. Pure: no clock, no file.

Times are milliseconds since 1970 UTC (a browser's number holds them), money is integer micro-units of its currency, prices and sizes are in
units. A number the source does not say is null.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from tercel.base.codes import REASONS
from tercel.base.errors import DataError
from tercel.base.histogram import Histogram
from tercel.base.records import KIND_NAMES
from tercel.observe.live import LiveFrame
from tercel.observe.stages import STAGES


class StatusView(msgspec.Struct, frozen=True):
    """The trader as a whole."""

    account: str
    mode: str
    state: str
    halted: bool
    rewarmed: bool
    feed: str
    feed_state: str
    feed_problem: str
    started_ms: float
    core_time_ms: float
    published_ms: float
    data_age_ms: float
    input_number: int
    inputs: dict[str, int]
    late_ticks: int
    dropped: int
    feed_gaps: int
    feed_dropped: int
    feed_reconnects: int
    orders: int
    fills: int
    denied: int
    epoch: int
    pid: int
    candle_ms: float


class InstrumentView(msgspec.Struct, frozen=True):
    """One instrument: its market and our position in it. `arrived_ms` is the wall clock at which the quote came, 0 when none has.

    `lot` is how many units a lot has.
    """

    slot: int
    id: int
    name: str
    currency: str
    price_decimals: int
    size_decimals: int
    bid: float
    ask: float
    spread: float
    bid_size: float
    ask_size: float
    quote_ms: float
    arrived_ms: float
    mark: float
    position: float
    position_lots: float
    cash_micros: int
    fees_micros: int
    pnl_micros: int
    open_orders: int
    lot: float


class StageView(msgspec.Struct, frozen=True):
    """Latency of one stage in µs: since the start and, as `recent`, over about the last minute; `over` is the share above budget."""

    name: str
    what: str
    budget_us: float
    asked_ms: float | None
    count: int
    p50_us: float
    p99_us: float
    max_us: float
    over: float
    recent_count: int
    recent_p50_us: float
    recent_p99_us: float


class ReasonView(msgspec.Struct, frozen=True):
    """How often an evaluation ended without an order for this reason, over all instruments and for each that had it."""

    code: int
    name: str
    meaning: str
    remedy: str
    count: int
    by_instrument: dict[str, int]


class CurrencyView(msgspec.Struct, frozen=True):
    """Sums of one currency, micro-units. Currencies are never added up: no rate is assumed."""

    currency: str
    pnl_micros: int
    fees_micros: int
    cash_micros: int


def status_view(frame: LiveFrame) -> StatusView:
    """The status row."""
    row = dict(zip(frame.status.dtype.names or (), frame.status.tolist(), strict=True))
    inputs = {KIND_NAMES[kind]: int(count) for kind, count in enumerate(row["inputs"]) if count and kind in KIND_NAMES}
    text = {name: row[name].decode() for name in ("account", "mode", "state", "feed", "feed_state")}
    text["feed_problem"] = row["feed_problem"].decode(errors="replace")  # may be cut within a letter
    counts = ("input_number", "late_ticks", "dropped", "feed_gaps", "feed_dropped", "feed_reconnects", "orders", "fills", "denied")
    numbers = {name: row[name] for name in (*counts, "epoch", "pid")}
    times = ("started", "core_time", "data_age", "candle")
    return StatusView(
        **text, **numbers, **{f"{name}_ms": row[f"{name}_ns"] / 1e6 for name in times}, published_ms=row["wall_ns"] / 1e6,
        halted=bool(row["halted"]), rewarmed=bool(row["rewarmed"]), inputs=inputs,
    )  # fmt: skip


def instrument_view(frame: LiveFrame, slot: int) -> InstrumentView:
    """One row of the instruments."""
    row = dict(zip(frame.instruments.dtype.names or (), frame.instruments[slot].tolist(), strict=True))
    decimals, unit = row["price_decimals"], 10.0 ** row["size_decimals"]
    return InstrumentView(
        slot=slot, id=row["id"], name=row["name"].decode(), currency=row["currency"].decode(), price_decimals=decimals,
        size_decimals=row["size_decimals"], bid=row["bid"], ask=row["ask"], spread=round(row["ask"] - row["bid"], decimals),
        bid_size=row["bid_size"], ask_size=row["ask_size"], quote_ms=row["quote_ns"] / 1e6, arrived_ms=row["quote_wall_ns"] / 1e6,
        mark=row["mark"], position=row["position"] / unit, position_lots=row["position"] / (row["lot"] or 1),
        cash_micros=row["cash_micros"], fees_micros=row["fees_micros"], pnl_micros=row["pnl_micros"], open_orders=row["open_orders"],
        lot=row["lot"] / unit,
    )  # fmt: skip


def stage_views(frame: LiveFrame, earlier: Any = None) -> list[StageView]:
    """Every stage in order; `earlier` is a histogram section of about a minute ago, int64[stages, SIZE], or None for the start."""
    what = {stage.name: stage.what for stage in STAGES}
    views = []
    for index, (name, budget_us, asked_ms) in enumerate(frame.stages.tolist()):
        whole = frame.histogram(index)
        recent = whole if earlier is None else Histogram(np.append(whole.counts[:-1] - earlier[index, :-1], whole.counts[-1:]))
        asked = None if np.isnan(asked_ms) else asked_ms
        views.append(stage_view(name.decode(), what.get(name.decode(), ""), budget_us, asked, whole, recent))
    return views


def stage_view(name: str, what: str, budget_us: float, asked_ms: float | None, whole: Histogram, recent: Histogram) -> StageView:
    """One stage from its histograms: since the start, and of late."""
    return StageView(
        name, what, budget_us, asked_ms, whole.count, whole.percentile(50) / 1e3, whole.percentile(99) / 1e3, whole.max / 1e3,
        whole.share_over(int(budget_us * 1e3)), recent.count, recent.percentile(50) / 1e3, recent.percentile(99) / 1e3,
    )  # fmt: skip


def reason_views(frame: LiveFrame) -> list[ReasonView]:
    """Reasons that were met, the most frequent first."""
    names = [name.decode() for name in frame.instruments["name"].tolist()]
    views = []
    for code in np.flatnonzero(frame.reasons.any(axis=0)).tolist():
        column = frame.reasons[:, code].tolist()
        _, meaning, remedy = REASONS.get(code, ("", "", ""))
        by_instrument = {name: count for name, count in zip(names, column, strict=True) if count}
        views.append(ReasonView(code, frame.reason_names.get(code, f"code {code}"), meaning, remedy, sum(column), by_instrument))
    return sorted(views, key=lambda view: -view.count)


def currency_views(frame: LiveFrame) -> list[CurrencyView]:
    """Sums per currency, in the order of the alphabet."""
    sums: dict[str, list[int]] = {}
    columns = (frame.instruments[name].tolist() for name in ("currency", "pnl_micros", "fees_micros", "cash_micros"))
    for currency, *amounts in zip(*columns, strict=True):
        held = sums.setdefault(currency.decode(), [0, 0, 0])
        held[:] = [a + b for a, b in zip(held, amounts, strict=True)]
    return [CurrencyView(currency, *amounts) for currency, amounts in sorted(sums.items())]


def candle_rows(frame: LiveFrame, slot: int, newest: int | None = None) -> list[tuple[float, ...]]:
    """[ms of the open, open, high, low, close, volume] of the `newest` candles (all when None), oldest first."""
    rows = frame.candles_of(slot)
    return [(row[0] / 1e6, *row[1:]) for row in (rows if newest is None else rows[-newest:]).tolist()]


def slot_of(frame: LiveFrame, symbol: str) -> int:
    """The slot of "EURUSD@oanda" or of a bare "EURUSD". DataError with the choices when there is none or more than one."""
    names = [name.decode() for name in frame.instruments["name"].tolist()]
    found = [slot for slot, name in enumerate(names) if name == symbol or name.partition("@")[0] == symbol]
    if len(found) == 1:
        return found[0]
    shown = re.sub(r"[^\w@.-]", "?", symbol[:60])
    raise DataError(f"symbol {shown!r}: expected one of {', '.join(names[i] for i in found or range(min(len(names), 20)))}")
