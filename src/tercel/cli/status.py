"""`tercel status`: what the running trader does, read from its live view."""

from __future__ import annotations

import sys


def status(*, account: str = "paper", json: bool = False) -> int:
    """Show what the running trader does: mode, feed, positions, profit and loss, latency per stage against its budget.

    The exit status is 7 when no trader runs.

    Parameters
    ----------
    account
        Name of the account.
    json
        Print JSON instead of tables.
    """
    import msgspec

    from tercel.base.text import console, table
    from tercel.base.time import format_instant, wall_ns
    from tercel.cli.control import alive, frame_of, text

    frame, running = frame_of(account), alive(account)
    row = frame.status
    state = text(row["state"]) if running else "not running"
    age_s = (wall_ns() - int(row["wall_ns"])) / 1e9
    instruments = [
        {
            "instrument": text(one["name"]), "bid": float(one["bid"]), "ask": float(one["ask"]), "currency": text(one["currency"]),
            "position": int(one["position"]) / 10 ** int(one["size_decimals"]), "pnl": int(one["pnl_micros"]) / 1e6,
            "fees": int(one["fees_micros"]) / 1e6, "open_orders": int(one["open_orders"]),
        }
        for one in frame.instruments
    ]  # fmt: skip
    stages = [
        {
            "stage": text(stage["name"]), "p50_us": found.percentile(50.0) / 1e3, "p99_us": found.percentile(99.0) / 1e3,
            "count": found.count, "budget_us": float(stage["budget_us"]),
        }
        for place, stage in enumerate(frame.stages)
        for found in [frame.histogram(place)]
    ]  # fmt: skip
    summary = {
        "account": account, "state": state, "running": running, "halted": bool(row["halted"]), "rewarmed": bool(row["rewarmed"]),
        "mode": text(row["mode"]), "feed": text(row["feed"]), "feed_state": text(row["feed_state"]), "view_age_s": age_s,
        "core_time": format_instant(int(row["core_time_ns"])), "inputs": int(row["input_number"]), "epoch": int(row["epoch"]),
        "orders": int(row["orders"]), "fills": int(row["fills"]), "denied": int(row["denied"]), "late_ticks": int(row["late_ticks"]),
        "pid": int(row["pid"]), "instruments": instruments, "stages": stages,
    }  # fmt: skip
    if json:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        return 0 if running else 7
    out = console()
    halted = ", [bold red]HALTED[/bold red]" if summary["halted"] else ""
    out.print(f"account [bold]{account}[/bold]: {state}{halted}, {summary['mode']}, feed {summary['feed']} ({summary['feed_state']})")
    counts = ", ".join(f"{summary[name]:,} {name}" for name in ("inputs", "orders", "fills"))
    out.print(f"core time {summary['core_time']}, {counts}, epoch {summary['epoch']}")
    if not running:
        out.print(f"the last view is {age_s:,.0f} s old; start the trader with `tercel run`")
    rows = [
        (
            one["instrument"],
            f"{one['bid']:g}",
            f"{one['ask']:g}",
            f"{one['position']:,g}",
            f"{one['pnl']:,.2f} {one['currency']}",
            str(one["open_orders"]),
        )
        for one in instruments
    ]
    out.print(table("", ("instrument", "bid", "ask", "position", "net profit and loss", "open orders"), rows))
    timed = [
        (str(one["stage"]), f"{one['p50_us']:,.1f}", f"{one['p99_us']:,.1f}", f"{one['budget_us']:,.0f}", f"{one['count']:,}")
        for one in stages
    ]
    out.print(table("Latency, µs", ("stage", "p50", "p99", "budget", "times"), timed))
    return 0 if running else 7
