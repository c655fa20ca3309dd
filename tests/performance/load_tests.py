"""Load on the desk: `python tests/performance/load_tests.py [--duration 300 --concurrent-users 10]`; `--help` says the rest.

Starts a trader with its desk on the simulated market, on a free loopback port, opens the users and stops everything at the end; or, with
`--against`, asks a desk that runs already. The users are those of `benchmarks/load.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the script's own folder is all that Python puts there

from benchmarks import trader
from benchmarks.harness import Answer, NotMeasurable, machine
from benchmarks.load import BUDGET_MS, MIX, SPAWN_PER_S, USERS_MAX, WAIT_S, Load, own_machine, run
from benchmarks.peers import REPOSITORY, PeerUnavailable, environment

PEER = "locust_users"
LOCUST_S_MORE = 60.0  # to start and to end
SAID = "an order is a hundredth of a lot by hand (POST /api/orders), bought and sold in turn; one that a check denies is answered too"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="load_tests.py", description="Many users ask the desk for charts and signals and give it orders.")
    made.add_argument("--duration", type=float, default=10.0, metavar="S", help="seconds, the opening of users included (default 10)")
    made.add_argument("--concurrent-users", type=int, default=10, metavar="N", help=f"1 to {USERS_MAX:,} (default 10)")
    made.add_argument("--spawn-rate", type=float, default=SPAWN_PER_S, metavar="N", help=f"new users a second (default {SPAWN_PER_S:g})")
    made.add_argument("--seed", type=int, default=1, help="of what the users ask for and when (default 1)")
    made.add_argument("--against", metavar="URL", help="a desk that runs on this machine; its account is given orders")
    made.add_argument("--locust", action="store_true", help="send the load with Locust instead (builds its environment once)")
    made.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return made


def report(found: Answer) -> str:
    """The answer for a person."""
    mix, waits = " : ".join(f"{kind} {weight}" for kind, weight in MIX), " to ".join(f"{wait:g}" for wait in WAIT_S)
    budget = ", ".join(f"p{q:g} under {limit:g} ms" for q, limit in BUDGET_MS.items())
    lines = [
        f"{found['users']:,} users, {found['open_max']:,} connections at most, {found['seconds']:.1f} s; a request every {waits} s",
        f"{mix}; {SAID}",
        f"{'route':8} {'requests':>9} {'errors':>7} {'per s':>9} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8}  asked: {budget}",
    ]
    for row in found["rows"]:
        times = " ".join(f"{row[key]:8.2f}" for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms"))
        lines.append(f"{row['route']:8} {row['requests']:9,} {row['errors']:7,} {row['per_s']:9.1f} {times}  {row['budget']}")
    lines.append(f"together {found['requests']:,} requests, {found['errors']:,} errors, {found['per_s']:.1f} answers/s")
    lines += [f"  {kind}: {count:,} times {name}" for kind, names in found["error_names"].items() for name, count in names.items()]
    lines += [f"  orders: {count:,} times denied: {reason}" for reason, count in found["denied"].items()]
    if found["left_out"]:
        lines.append(f"  {found['left_out']:,} requests were left out: their users were more than ten seconds behind")
    return "\n".join(lines)


@contextlib.contextmanager
def desk(against: str | None) -> Iterator[str]:
    """The address of a desk: the one given, which must be on this machine, or that of a trader that lives as long as the block."""
    if against:
        own_machine(against)
        yield against
        return
    print("starting a trader and its desk on the simulated market", file=sys.stderr)
    with trader.running() as watched:
        yield watched.url
        watched.check()


def locust(url: str, load: Load) -> int:
    """The same load by Locust, which prints its own table; its exit status. Raises `PeerUnavailable` when it cannot be installed."""
    own_machine(url)
    python = environment(PEER)
    command = [
        str(python), "-m", "locust", "-f", f"benchmarks/peers/{PEER}.py", "--headless", "--only-summary", "--host", url.rstrip("/"),
        "-u", str(load.users), "-r", f"{load.spawn_per_s:g}", "-t", f"{max(1, round(load.duration_s))}s",
    ]  # fmt: skip
    return subprocess.run(command, cwd=REPOSITORY, timeout=load.duration_s + LOCUST_S_MORE).returncode


def main(words: list[str] | None = None) -> int:
    """Run, print, and leave with 1 when something failed or nothing was answered."""
    asked = parser().parse_args(words)
    load = Load(asked.concurrent_users, asked.duration, asked.seed, asked.spawn_rate)
    try:
        load.checked()
        if asked.locust:
            environment(PEER)  # built before anything is started
        with desk(asked.against) as url:
            if asked.locust:
                return locust(url, load)
            found = run(url, load)
    except (NotMeasurable, PeerUnavailable, subprocess.TimeoutExpired) as error:
        print(f"load_tests: {error}", file=sys.stderr)
        return 2
    print(json.dumps({**found, "machine": machine(), "note": SAID}) if asked.json else report(found))
    return 0 if found["requests"] and not found["errors"] else 1


if __name__ == "__main__":
    sys.exit(main())
