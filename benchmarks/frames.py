"""Messages of a live feed decoded and validated a second, beside ccxt.pro's own handlers and json.loads into dictionaries."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.harness import OURS, Answer, Figure, Options, figure, race
from benchmarks.peers import Peer

ROWS, ROWS_QUICK = 40_000, 4_000
REPEATS, REPEATS_QUICK = 5, 2
SEED = 20261124
T0_US = 1_700_000_000_000_000
LEAVES_OUT = [
    "the socket, TLS and WebSocket framing: payloads are in memory",
    "frames worded otherwise than the venue words them today: those, and depth updates, take the slow way",
    "depth updates with the peers, which need a book of their own; ours are in the table, 20 levels each",
    "ccxt.pro does not check that trade ids follow each other, and makes its unified dictionaries; ours makes binary records",
    "json.loads stands for the least: floats and ids compared, no bounds, no times, no symbols checked",
]


def measure(options: Options) -> list[Figure]:
    """`frames.one`: frame by frame; headline `frames`: those that one read of a socket brought, 100, in one call."""
    count = min(options.rows_max or ROWS, ROWS_QUICK if options.quick else ROWS)
    with tempfile.TemporaryDirectory(prefix="tercel-benchmarks-") as place:
        doors = written(Path(place), count)
        both = {"doors": {name: path for name, path in doors.items() if name != "depth"}}
        engines: dict[str, Any] = {OURS: partial(ours.frames, {"doors": doors, "recv_ns": T0_US * 1_000})}
        if options.peers:
            engines["ccxt"] = partial(Peer, "ccxt", "frames", both)
        sides = race(engines, REPEATS_QUICK if options.quick else REPEATS)
    table: list[Answer] = []
    for side in sides.values():
        for door, rates in (side.first("rates") or {}).items():
            for engine in rates:
                rate = side.median(lambda answer, door=door, engine=engine: answer["rates"][door][engine])  # type: ignore[misc]
                table.append({"engine": engine, "door": door, "messages_per_s": rate})
    told = {side.label: (side.first("bid"), side.first("price")) for side in sides.values() if side.answers}
    same = "the last bid and trade are the same everywhere" if len(set(told.values())) == 1 else f"DIFFERENT: {told}"

    def one(name: str, engine: str) -> Figure:
        rates = {row["engine"]: row["messages_per_s"] for row in table if row["door"] == "mixed"}
        peers = {label: rate for label, rate in rates.items() if not label.startswith(OURS)}
        return figure(
            name, rates.get(engine), peers.get("ccxt.pro"), unit="messages/s", better="higher", peer="ccxt.pro", sides=sides, rows=count,
            source=f"seeded trades and best quotes of one pair, half of each; {same}", table=table, leaves_out=LEAVES_OUT,
            result_hash=sides[OURS].first("hash"),
        )  # fmt: skip

    return [one("frames.one", "tercel"), one("frames", "tercel in batches of 100")]


def written(place: Path, count: int) -> dict[str, str]:
    """A file of frames a line, as the venue writes them, for each door."""
    chance = np.random.default_rng(SEED)
    prices = 60_000.0 + 0.01 * np.cumsum(chance.integers(-50, 51, count))
    trades, quotes, depth = [], [], []
    for number, price in enumerate(prices):
        size, stamp = chance.integers(1, 10**6) / 10**5, T0_US + number
        trades.append(
            f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{stamp},"s":"BTCUSDT","t":{number},"p":"{price:.8f}","q":"{size:.8f}",'
            f'"T":{stamp},"m":{"true" if number % 2 else "false"},"M":true}}}}'
        )
        quotes.append(
            f'{{"stream":"btcusdt@bookTicker","data":{{"u":{number},"s":"BTCUSDT","b":"{price:.8f}","B":"{size:.8f}",'
            f'"a":"{price + 0.01:.8f}","A":"{size:.8f}"}}}}'
        )
    for number in range(1, count // 20 + 1):
        sides = [
            ",".join(f'["{60_000 + sign * (100 + step):.8f}","{size:.8f}"]' for step, size in enumerate(chance.integers(0, 5, 10)))
            for sign in (-1, 1)
        ]
        depth.append(
            f'{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":{T0_US},"s":"BTCUSDT","U":{number},"u":{number},'
            f'"b":[{sides[0]}],"a":[{sides[1]}]}}}}'
        )
    mixed = [line for pair in zip(trades, quotes, strict=True) for line in pair][:count]
    doors = {"trades": trades, "quotes": quotes, "mixed": mixed, "depth": depth}
    for name, lines in doors.items():
        (place / name).write_text("\n".join(lines))
    return {name: str(place / name) for name in doors}
