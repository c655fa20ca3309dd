"""Minutes of random faults on a live feed, by hand: `python -m tests.market.feeds.soak [SECONDS] [SEED]`.

Under steady traffic a fault is drawn twice a second or so. At the end the faults stop, and every book must be the venue's, every trade have
come once and in order, and no more memory be held than after the first minute.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from tercel.base.records import GAP, TRADE
from tercel.base.time import wall_ns
from tests.market.feeds.sessions import Watched
from tests.market.feeds.venue_market import MadeMarket
from tests.market.feeds.venue_server import Venue

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PER_S = 300.0


def faults(venue: Venue, chance: random.Random) -> dict[str, Callable[[], object]]:
    """What may happen."""
    return {
        "drop": lambda: venue.drop(chance.randint(1, 30)), "twice": lambda: venue.twice(chance.randint(1, 30)), "swap": venue.swap,
        "mute": venue.mute, "reset": venue.reset, "close": venue.close_all, "announce": venue.announce, "ping": venue.ping,
        "garbage": lambda: venue.garbage(bytes(chance.randrange(256) for _ in range(chance.randint(0, 200)))),
        "torn": lambda: venue.garbage(b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","s":"BTCUSDT","U":1'),
        "oversized": lambda: venue.garbage(b"z" * 200_000), "snapshot_503": lambda: venue.answers.append((503, {})),
        "snapshot_429": lambda: venue.answers.append((429, {"Retry-After": "1"})), "handshake_503": lambda: venue.refuse.append(503),
        "broken_frame": lambda: venue.raw(b"\xff\x00\x01"),
    }  # fmt: skip


def main(seconds: float, seed: int) -> None:
    """Run, then judge."""
    chance, done, trades, counts = random.Random(seed), Counter[str](), [], Counter[str]()
    with tempfile.TemporaryDirectory() as folder, Venue(MadeMarket(SYMBOLS, seed), Path(folder)) as venue:  # noqa: SIM117
        with Watched(venue, silence=1.5, frame_bytes_max=100_000, wait_max=0.5) as watched:
            venue.play(PER_S)
            known, begun, next_s = faults(venue, chance), time.monotonic(), 2.0
            memory: list[int] = []
            while (now_s := time.monotonic() - begun) < seconds:
                watched.turn()
                if now_s > next_s:
                    next_s = now_s + chance.expovariate(2.0)
                    name = chance.choice(sorted(known))
                    known[name]()
                    done[name] += 1
                if len(watched.got) > 1_000:
                    records = watched.records
                    counts["records"] += len(records)
                    counts["gaps"] += int(np.count_nonzero(records["kind"] == GAP))
                    trades.append(records[records["kind"] == TRADE][["instrument", "ref"]])
                    watched.got.clear()
                    gc.collect()
                    memory.append(psutil.Process().memory_info().rss)
            venue.answers.clear()
            venue.refuse.clear()
            watched.turns(6.0)
            venue.pause()
            watched.settle()
            watched.books_are_true()
            trades.append(watched.records[watched.records["kind"] == TRADE][["instrument", "ref"]])
            every = np.concatenate(trades)
            for number in range(1, len(SYMBOLS) + 1):
                refs = every["ref"][every["instrument"] == number]
                assert (np.diff(refs) > 0).all(), "a trade came twice or late"
            state = watched.feed.state(wall_ns())
            told = {
                "seconds": seconds, "seed": seed, "said": venue.said, "faults": dict(done), **counts, "trades": len(every),
                "rss_mb": [round(one / 1e6) for one in memory[:: max(1, len(memory) // 8)]], "messages": state.messages,
                "reconnects": state.reconnects, "dropped": dict(state.dropped), "ended": dict(state.ended),
                "failures": dict(state.failures), "gaps_by_kind": dict(watched.feed.decoder.gaps),
            }  # fmt: skip
    sys.stdout.write(json.dumps(told, indent=1) + "\nbooks equal, trades once and in order\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 300.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
