"""Bytes on the socket to a durable order intent of the paper trader, beside a plain websockets client with json.loads, a file and fsync."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from benchmarks import ours_live
from benchmarks.harness import OURS, Answer, Figure, Options, figure, race
from benchmarks.peers import Peer

PER_S = 200.0
ROWS, ROWS_QUICK = 4_000, 200
REPEATS, REPEATS_QUICK = 3, 1
LEAVES_OUT = [
    "TLS and the network: a plain WebSocket on loopback, from a process of its own at fixed times",
    "the desk and its page: the trader runs alone",
    "the order's way out: on paper the intent in the journal is the order",
    "models: the rule is two averages, in Tercel behind features, risk, venue model, ledger and input log, in the peer nothing but itself",
    "what durable means: our journal calls fdatasync, the peer os.fsync, each behind one append to a file of the same folder's disk",
]


def measure(options: Options) -> list[Figure]:
    """`socket.p50`, `socket.unsynced` (p99 up to the write, without fsync), and as headline `socket`: p99, all in microseconds."""
    count = min(options.rows_max or ROWS, ROWS_QUICK if options.quick else ROWS)
    job = {"count": count, "per_s": PER_S, "python": sys.executable}
    engines: dict[str, Any] = {OURS: partial(ours_live.socket, job)}
    if options.peers:
        engines["websockets"] = partial(Peer, "websockets", "socket", job)
    sides = race(engines, REPEATS_QUICK if options.quick else REPEATS)
    table: list[Answer] = [
        {"engine": side.label, "intents": side.first("intents"), **{key: side.median(lambda answer, key=key: answer[key]) for key in KEYS}}  # type: ignore[misc]
        for side in sides.values()
        if side.answers
    ]
    told = {label: side.first("causes") for label, side in sides.items() if side.answers}
    same = "the same quotes cause an order everywhere" if len(set(map(tuple, told.values()))) == 1 else "DIFFERENT quotes cause orders"
    values = {row["engine"]: row for row in table}

    def one(name: str, key: str) -> Figure:
        ours, peer = (values.get(label, {}).get(key) for label in (OURS, "websockets"))
        return figure(
            name, ours, peer, unit="us", better="lower", peer="websockets, json.loads, fsync", sides=sides, rows=count, table=table,
            source=f"seeded best quotes, {PER_S:g} a second; {same}", leaves_out=LEAVES_OUT, result_hash=sides[OURS].first("hash"),
        )  # fmt: skip

    return [one("socket.p50", "p50_us"), one("socket.unsynced", "p99_unsynced_us"), one("socket", "p99_us")]


KEYS = ("p50_us", "p99_us", "p50_unsynced_us", "p99_unsynced_us")
