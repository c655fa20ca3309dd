"""The quick benchmarks in one table: `python tests/performance/benchmark_suite.py`, within a minute; `--help` says the rest.

Times of single events come from the histograms of a trader that runs on the simulated market, or of one that runs already (`--against`);
rates come from `python -m benchmarks`, with few rows. What is published is measured by `make bench`, not here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the script's own folder is all that Python puts there

from benchmarks import trader
from benchmarks.__main__ import measure
from benchmarks.harness import Answer, Figure, NotMeasurable, Options, machine, number
from benchmarks.load import Target, ask, own_machine
from tercel.observe.stages import STAGES

NAMED = {"market-data processing": "sequence", "indicator calculation": "features"}
FIGURES = ("features", "backtest")
ROWS = 20_000


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="benchmark_suite.py", description="Times of events beside what is asked, and quick figures.")
    made.add_argument("--seconds", type=float, default=5.0, metavar="S", help="how long the trader is watched (default 5)")
    made.add_argument("--against", metavar="URL", help="times of a trader that runs on this machine, such as http://127.0.0.1:8700")
    made.add_argument("--peers", action="store_true", help="measure the peers beside us (builds their environments once: minutes)")
    made.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"rows of input of the figures (default {ROWS:,})")
    made.add_argument("--no-figures", action="store_true", help="times of events only")
    made.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return made


def watched(seconds: float) -> list[Answer]:
    """Mean, p95 and p99 of every stage of our own trader, in µs, with the budgets; the two named ones first."""
    with trader.running() as running:
        found = running.windows(seconds, tuple(stage.name for stage in STAGES))
    budgets = {stage.name: stage for stage in STAGES}
    named = [(f"{name} ({stage})", stage) for name, stage in NAMED.items()]
    return [
        {"what": label, **found[name], "asked_ms": budgets[name].asked_ms, "goal_us": budgets[name].budget_us}
        for label, name in [*named, *((stage.name, stage.name) for stage in STAGES if stage.name not in NAMED.values())]
    ]


def asked_of(url: str) -> list[Answer]:
    """What a running desk says of its trader over the last minute: p50 and p99 of every stage, in µs. It keeps no mean and no p95."""
    stages = asyncio.run(ask(Target(*own_machine(url), {}), "/api/latency"))["stages"]
    words = {stage: f"{name} ({stage})" for name, stage in NAMED.items()}
    return [
        {
            "what": words.get(one["name"], one["name"]), "count": one["recent_count"], "p50_us": one["recent_p50_us"],
            "p99_us": one["recent_p99_us"], "asked_ms": one["asked_ms"], "goal_us": one["budget_us"],
        }
        for one in stages
    ]  # fmt: skip


def report(rows: list[Answer], figures: list[Figure]) -> str:
    """Both tables for a person."""
    lines = [f"{'event':36} {'count':>9} {'mean us':>9} {'p95 us':>9} {'p99 us':>9} {'asked ms':>9} {'goal us':>8}  p99"]
    for row in rows:
        times = " ".join(f"{row[key]:9.1f}" if key in row else f"{'-':>9}" for key in ("mean_us", "p95_us", "p99_us"))
        asked = f"{row['asked_ms']:9g}" if row["asked_ms"] is not None else f"{'-':>9}"
        lines.append(f"{row['what']:36} {row['count']:9,} {times} {asked} {row['goal_us']:8g}  {verdict(row)}")
    for item in figures:
        ratio = "" if item.ratio is None else f"; {item.peer} {number(item.peer_value)}, ratio {number(item.ratio)}"
        lines.append(f"{item.name:36} {number(item.value)} {item.unit}, {item.better} is better{ratio}; {item.rows:,} rows")
        lines += [f"  not measured: {words}" for words in item.errors]
    return "\n".join(lines)


def verdict(row: Answer) -> str:
    """Where the 99th percentile lies."""
    if not row["count"]:
        return "nothing was timed"
    if row["asked_ms"] is not None and row["p99_us"] > row["asked_ms"] * 1_000.0:
        return "over what is asked"
    return "within the goal" if row["p99_us"] <= row["goal_us"] else "over our goal" if row["asked_ms"] is None else "within what is asked"


def main(words: list[str] | None = None) -> int:
    """Measure, print, and leave with 1 when one of our own values is missing."""
    asked = parser().parse_args(words)
    try:
        rows = asked_of(asked.against) if asked.against else watched(asked.seconds)
    except NotMeasurable as error:
        print(f"benchmark_suite: {error}", file=sys.stderr)
        return 2
    options = Options(quick=True, peers=asked.peers, rows_max=asked.rows)
    figures = [] if asked.no_figures or asked.against else [measure(name, options)[-1] for name in FIGURES]
    values = [{"name": item.name, "value": item.value, "unit": item.unit, "peer": item.peer, "ratio": item.ratio} for item in figures]
    print(json.dumps({"events": rows, "figures": values, "machine": machine()}) if asked.json else report(rows, figures))
    return 0 if all(item.value is not None for item in figures) and any(row["count"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
