"""`python -m benchmarks NAME [NAME ...] [--quick] [--json]`: measure, print, and leave with 1 when our own side was not measured.

`python -m benchmarks page RESULTS.json` prints the page that `docs/benchmarks.md` is.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import msgspec

from benchmarks.harness import Figure, Options, text

NAMES = ("backtest", "browser", "features", "forest", "frames", "socket", "cache", "cache_soak", "latency", "soak")
ALL = (
    "backtest",
    "browser",
    "features",
    "forest",
    "frames",
    "socket",
    "cache",
    "latency",
)  # the soaks take their time, so they have to be named


def parser() -> argparse.ArgumentParser:
    """The command line; its help is the reference."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures of Tercel beside its peers, measured in the same run.")
    made.add_argument(
        "names", nargs="+", metavar="NAME", choices=[*NAMES, "all", "list"], help=f"{', '.join(NAMES)}; all (but the soaks); list"
    )
    made.add_argument("--quick", action="store_true", help="fewer rows and repeats: for a look, not for publishing")
    made.add_argument("--json", action="store_true", help="one JSON object per figure; the last line is the headline")
    made.add_argument("--no-peers", action="store_true", help="our side only")
    made.add_argument("--rows", type=int, metavar="N", help="at most N rows of input")
    made.add_argument("--minutes", type=float, metavar="N", help="how long the soaks and latency watch")
    return made


def measure(name: str, options: Options) -> list[Figure]:
    """All figures of one benchmark, the headline last."""
    found: list[Figure] = importlib.import_module(f"benchmarks.{name}").measure(options)
    return found


def _page(words: list[str]) -> int:
    """Print the page of a file of results."""
    from benchmarks.page import page, read

    try:
        (path,) = words
        print(page(read(Path(path))), end="")
    except (ValueError, OSError) as error:  # what msgspec raises is a ValueError too
        print(f"benchmarks: page: expected the file that `python -m benchmarks all --json` wrote: {error}", file=sys.stderr)
        return 2
    return 0


def main() -> int:
    """Run what was asked for, in order; a figure is printed as soon as its benchmark is done."""
    if sys.argv[1:2] == ["page"]:
        return _page(sys.argv[2:])
    asked = parser().parse_args()
    if "list" in asked.names:
        for name in NAMES:
            print(f"{name:10}{(importlib.import_module(f'benchmarks.{name}').__doc__ or '').splitlines()[0]}")
        return 0
    options = Options(quick=asked.quick, peers=not asked.no_peers, rows_max=asked.rows, minutes=asked.minutes)
    measured = True
    for name in dict.fromkeys(each for asked_name in asked.names for each in (ALL if asked_name == "all" else (asked_name,))):
        for item in measure(name, options):
            print(msgspec.json.encode(item).decode() if asked.json else text(item), flush=True)
            measured &= item.value is not None
    return 0 if measured else 1


if __name__ == "__main__":
    sys.exit(main())
