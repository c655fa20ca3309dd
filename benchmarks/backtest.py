"""ticks/s of a back-test with orders, beside nautilus_trader, vectorbt and backtesting.py on the same quotes and rule."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks import data, ours
from benchmarks.harness import OURS, Answer, Figure, Options, Side, figure, race
from benchmarks.peers import Peer
from benchmarks.peers.worker import digest
from benchmarks.rule import NAUTILUS, TERCEL, Fill, Rule, judged

ROWS_QUICK = 50_000
REPEATS = 3
PEERS = {"backtesting_py": "backtesting.py", "vectorbt": "vectorbt", "nautilus": "nautilus_trader"}
HEADLINE = "nautilus"

LEAVES_OUT = [
    "timed is the run: for Tercel from mapped files, for the peers from objects in memory; building engines and reports is not",
    "Tercel's whole call, exact ledger and report included, is call_ticks_per_s; its core alone is core_ticks_per_s",
    "nautilus_trader's conversion of rows into tick objects is in ready.nautilus.wrangle_s, our import of rows in ready.tercel.import_s",
    "one instrument, no fees; orders take liquidity and reach the venue after 1 ms, in backtesting.py at the next bar, in vectorbt at once",
    "nautilus_trader begins an EMA with the first price, Tercel with the mean of its first ones; an order that arrives between two quotes "
    "trades on the standing one in Tercel, on the next one in nautilus_trader: a few fills differ, each is judged in its own manner",
    "backtesting.py and vectorbt get the mids as bars, know no bid and ask, compute averages as whole columns; vectorbt has no loop to run",
]


def measure(options: Options) -> list[Figure]:
    """`backtest.backtesting_py`, `backtest.vectorbt`, and as headline `backtest` beside nautilus_trader."""
    quotes = data.quotes(options.rows_max or (ROWS_QUICK if options.quick else None))
    rule = Rule()
    with data.saved(quotes.rows) as path:
        job: Answer = {"input": str(path), "rows": len(quotes.rows), **rule._asdict()}
        engines: dict[str, Any] = {OURS: partial(ours.backtest, quotes, rule)}
        if options.peers:
            engines |= {name: partial(Peer, name, "backtest", job) for name in PEERS}
        sides = race(engines, REPEATS)
    manners = {OURS: TERCEL, "nautilus": NAUTILUS}
    table = []
    for label, side in sides.items():
        fills = judged(rule, quotes.rows, manners[label]) if label in manners else None
        table.append(row(side, len(quotes.rows), fills))
    return [beside(name, sides, quotes, table) for name in PEERS]


def row(side: Side, rows: int, expected: list[Fill] | None) -> Answer:
    """One engine: ticks/s, how often it traded, where the account ended, and whether every fill is the judge's."""
    seconds = side.median(lambda answer: answer["seconds"])
    verdict = (
        "cannot be compared fill by fill" if expected is None else "as judged" if side.first("hash") == digest(expected) else "differs"
    )
    found: Answer = {
        "engine": side.label, "ticks_per_s": rows / seconds if seconds else None, "fills": side.first("fills") or side.first("trades"),
        "balance_usd": side.first("balance_usd"), "hash": side.first("hash"), "verdict": verdict if side.answers else "not measured",
    }  # fmt: skip
    for window in ("core", "call"):
        if side.first(f"{window}_seconds"):
            found[f"{window}_ticks_per_s"] = rows / statistics.median(answer[f"{window}_seconds"] for answer in side.answers)
    return found


def beside(peer: str, sides: Mapping[str, Side], quotes: data.Quotes, table: list[Answer]) -> Figure:
    """The figure beside one peer."""
    rate = {entry["engine"]: entry["ticks_per_s"] for entry in table}
    return figure(
        "backtest" if peer == HEADLINE else f"backtest.{peer}", rate[OURS], rate.get(peer), unit="ticks/s", better="higher",
        peer=PEERS[peer], source=quotes.name, rows=len(quotes.rows), sides=sides, table=table,
        leaves_out=LEAVES_OUT, result_hash=sides[OURS].first("hash"),
    )  # fmt: skip
