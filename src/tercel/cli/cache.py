"""`tercel cache`: what the caches of running processes do, warming and clearing them, and a benchmark."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from tercel.cli.show import Json, Teller, print_json

if TYPE_CHECKING:
    from tercel.cache.level2 import Level2

app = App(name="cache", help="See, warm, clear and measure the caches of running processes.")

Redis = Annotated[str | None, Parameter(help="Address of level 2, redis://host:port; without it TERCEL_REDIS.")]
Cluster = Annotated[bool, Parameter(negative="", help="The address is that of a cluster; more seeds after commas.")]
Prefix = Annotated[str, Parameter(help="What every key begins with.")]

CONNECT_S_MAX = 5.0
CONNECT_STEPS = 20  # so often progress is shown while nothing answers
DEFAULT_PREFIX = "tercel:"


@app.command
def stats(*, redis: Redis = None, cluster: Cluster = False, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> int:
    """Show what each process's cache did, as it told level 2 within the last minute, and what to do about it.

    Example: tercel cache stats --redis redis://127.0.0.1:6379
    """
    import msgspec

    from tercel.cache.metrics import Stats, advice

    async def ask(level2: Level2) -> dict[str, bytes]:
        return await level2.told()

    told = {name: msgspec.json.decode(data, type=Stats) for name, data in sorted(_with_level2(redis, cluster, prefix, ask, json).items())}
    if json:
        print_json({name: {"stats": found, "advice": advice(found)} for name, found in told.items()})
        return 0
    _show(told)
    return 0


@app.command
def warm(*, redis: Redis = None, cluster: Cluster = False, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Ask every process that takes care of its cache to do its warming jobs now.

    Example: tercel cache warm --redis redis://127.0.0.1:6379
    """
    _with_level2(redis, cluster, prefix, lambda level2: level2.ask_all("warm"), json)
    Teller(json)("asked", "asked every process to warm its cache")


@app.command
def clear(
    pattern: str = "*", *, redis: Redis = None, cluster: Cluster = False, prefix: Prefix = DEFAULT_PREFIX, json: Json = False
) -> None:
    """Invalidate the keys that a pattern matches, everywhere.

    Example: tercel cache clear "predictions:*" --redis redis://127.0.0.1:6379

    Parameters
    ----------
    pattern
        A shell pattern over full keys, which begin with the cache's name: "predictions:*".
    """
    found = _with_level2(redis, cluster, prefix, lambda level2: level2.invalidate_matching(pattern), json)
    text = f"{found:,} keys of level 2 were invalidated, and what matches in every level 1"
    Teller(json)("cleared", text, pattern=pattern, keys=found)


@app.command
def bench(*, redis: Redis = None, cluster: Cluster = False, operations: int = 1_000, json: Json = False) -> int:
    """Measure sets and gets of (10, 50, 60) float32 arrays and of small values: mean, p95, p99 and errors, in each level there is.

    Example: tercel cache bench --operations 1000

    Parameters
    ----------
    operations
        How many sets and how many gets of each.
    """
    from tercel.cache.measure import measure
    from tercel.cli.show import progress

    address = redis or os.environ.get("TERCEL_REDIS") or ""
    with progress(quiet=json) as tell:
        rows = asyncio.run(measure(address, cluster, operations, tell))
    if json:
        print_json(rows)
    else:
        from tercel.base.text import console, table

        cells = [
            (row["what"], f"{row['count']:,}", *(f"{row[name]:,.1f}" for name in ("mean_us", "p95_us", "p99_us")), str(row["errors"]))
            for row in rows
        ]
        console().print(table("Cache, µs", ("operation", "count", "mean", "p95", "p99", "errors"), cells))
        if not address:
            console().print("level 2 was left out: give --redis, or set TERCEL_REDIS", highlight=False)
    return 1 if any(row["errors"] for row in rows) else 0


def _with_level2(redis: str | None, cluster: bool, prefix: str, use: Callable[[Level2], Awaitable[Any]], quiet: bool) -> Any:
    """Connect, use, close. Raises `ConfigError` without an address, `Unavailable` when nothing answers there."""
    from tercel.base.errors import ConfigError

    address = redis or os.environ.get("TERCEL_REDIS")
    if not address:
        raise ConfigError("tercel cache: expected the address of Redis: --redis redis://host:port, or TERCEL_REDIS")
    from tercel.cache.level2 import Level2
    from tercel.cache.reading import Unavailable
    from tercel.cli.show import progress

    async def main() -> Any:
        async with Level2(address, cluster=cluster, prefix=prefix) as level2:
            with progress(quiet=quiet) as tell:
                for step in range(CONNECT_STEPS):
                    tell("waiting for Redis", step, CONNECT_STEPS)
                    if await level2.wait_up(CONNECT_S_MAX / CONNECT_STEPS):
                        break
            if not level2.up:
                reason = f" ({level2.trouble})" if level2.trouble else ""
                raise Unavailable(f"tercel cache: no answer from Redis within {CONNECT_S_MAX:.0f} s{reason}; check address and server")
            return await use(level2)

    return asyncio.run(main())


def _show(told: dict[str, Any]) -> None:
    from tercel.base.text import console, table
    from tercel.cache.metrics import advice

    out = console()
    if not told:
        out.print("no process has told of its cache within the last minute", highlight=False)
        return
    rows = [
        (
            name, f"{found.hit_share:.1%}", f"{found.hits:,}", f"{found.level2_hits:,}", f"{found.misses:,}", f"{found.errors:,}",
            f"{found.level1.p50_us:,.1f}", f"{found.level2.p99_us:,.0f}" if found.level2 else "-", f"{found.fill:.0%}",
            f"{found.bytes / 2**20:,.1f}",
        )
        for name, found in told.items()
    ]  # fmt: skip
    heads = ("cache", "hit", "level 1", "level 2", "misses", "errors", "p50 µs", "level 2 p99 µs", "full", "MiB")
    out.print(table("Caches", heads, rows))
    for name, found in told.items():
        for line in advice(found):
            out.print(f"{name}: {line}", highlight=False)
