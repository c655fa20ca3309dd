"""`tercel status`: what the running trader does, read from its live view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tercel.cli.show import Json, print_json

if TYPE_CHECKING:
    from tercel.observe.live import LiveFrame

VIEW_AGE_S_MAX = 2.0  # a trader publishes twenty times a second


def status(*, account: str | None = None, json: Json = False) -> int:
    """Show what the running trader does: mode, feed, positions, profit and loss, latency per stage against its budget.

    The exit status is 7 when no trader runs.

    Example: tercel status --account paper

    Parameters
    ----------
    account
        Name of the account; without it the one whose trader runs, else the one active last.
    """
    from tercel.base.errors import NotRunning
    from tercel.cli.control import alive, chosen, frame_of

    account = chosen(account, "status")
    running = alive(account)
    summary = summarise(account, frame_of(account), running)
    if json:
        print_json(summary)
    else:
        show(summary)
    return 0 if running else NotRunning.exit_code


def summarise(account: str, frame: LiveFrame, running: bool) -> dict[str, Any]:
    """A live view as plain values: money in units of its currency, sizes in units, latencies in µs, times in UTC."""
    from tercel.base.time import format_instant, wall_ns
    from tercel.cli.control import killed, text

    row = frame.status
    counts = ("epoch", "orders", "fills", "denied", "late_ticks", "feed_gaps", "feed_dropped", "feed_reconnects", "pid")
    instruments = [
        {
            "instrument": text(one["name"]), "bid": float(one["bid"]), "ask": float(one["ask"]), "currency": text(one["currency"]),
            "position": int(one["position"]) / 10 ** int(one["size_decimals"]), "pnl": int(one["pnl_micros"]) / 1e6,
            "fees": int(one["fees_micros"]) / 1e6, "open_orders": int(one["open_orders"]), "price_decimals": int(one["price_decimals"]),
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
    return {
        "account": account, "state": text(row["state"]) if running else "not running", "running": running, "halted": bool(row["halted"]),
        "kill_flag": killed(account),
        "rewarmed": bool(row["rewarmed"]), "mode": text(row["mode"]), "feed": text(row["feed"]), "feed_state": text(row["feed_state"]),
        "feed_problem": row["feed_problem"].decode(errors="replace"), "data_age_s": int(row["data_age_ns"]) / 1e9,
        "view_age_s": (wall_ns() - int(row["wall_ns"])) / 1e9, "core_time": format_instant(int(row["core_time_ns"])),
        "inputs": int(row["input_number"]), **{name: int(row[name]) for name in counts}, "instruments": instruments, "stages": stages,
    }  # fmt: skip


def show(summary: dict[str, Any]) -> None:
    """Print a summary for people."""
    from tercel.base.text import console, table

    out = console()
    halted = ", [bold red]HALTED[/bold red]" if summary["halted"] else ""
    if summary["kill_flag"] and not (summary["halted"] and summary["running"]):
        halted = ", [bold red]kill flag set[/bold red]: " + (
            "the trader has not answered yet" if summary["running"] else "the next start is halted"
        )
    feed = f"{summary['mode'].lower()}, feed {summary['feed']}" + (f" ({summary['feed_state']})" if summary["running"] else "")
    out.print(f"account [bold]{summary['account']}[/bold]: {summary['state']}{halted}, {feed}", highlight=False)
    words = {"feed_reconnects": "reconnects", "feed_gaps": "gaps", "feed_dropped": "messages dropped"}
    faults = [f"{summary[name]:,} {word}" for name, word in words.items() if summary[name]]
    if faults or summary["feed_problem"]:
        out.print(f"feed: {', '.join([*faults, *filter(None, [summary['feed_problem']])])}", highlight=False)
    counts = ", ".join(f"{summary[name]:,} {name}" for name in ("inputs", "orders", "fills"))
    out.print(f"core time {summary['core_time']}, {counts}, epoch {summary['epoch']}", highlight=False)
    if not summary["running"]:
        out.print(f"the last view is {summary['view_age_s']:,.0f} s old; start the trader with `tercel run`", highlight=False)
    elif summary["view_age_s"] > VIEW_AGE_S_MAX:
        out.print(f"[red]the trader has shown nothing for {summary['view_age_s']:,.0f} s[/red]", highlight=False)
    rows = [
        (
            one["instrument"], _price(one, "bid"), _price(one, "ask"), f"{one['position']:,.10g}", f"{one['pnl']:,.2f} {one['currency']}",
            f"{one['fees']:,.2f}", str(one["open_orders"]),
        )
        for one in summary["instruments"]
    ]  # fmt: skip
    out.print(table("", ("instrument", "bid", "ask", "position", "net profit and loss", "fees", "open orders"), rows))
    timed = [
        (one["stage"], f"{one['p50_us']:,.1f}", f"{one['p99_us']:,.1f}", f"{one['budget_us']:,.0f}", f"{one['count']:,}")
        for one in summary["stages"]
    ]
    out.print(table("Latency, µs", ("stage", "p50", "p99", "budget", "times"), timed))


def _price(one: dict[str, Any], side: str) -> str:
    known = one[side] == one[side]  # NaN is not itself
    return f"{one[side]:.{one['price_decimals']}f}" if known else "-"
