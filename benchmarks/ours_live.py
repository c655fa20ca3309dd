"""Our own side of `socket`: the paper trader on a live feed, and when each of its intents was durable."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import ours
from benchmarks.harness import Answer, InProcess, NotMeasurable
from benchmarks.peers.quotes import FAST, SLOW, Intent, Sender, answer, now_ns, venue
from benchmarks.peers.worker import digest


class Stamps:
    """Stands between a trader and its journal, and writes down when each commit of outputs began and when it was durable."""

    def __init__(self, journal: Any) -> None:
        self.inputs: list[int] = []  # number of the newest input in each commit
        self.began_ns: list[int] = []
        self.durable_ns: list[int] = []
        self._append, self._commit, self._pending = journal.append, journal.commit, 0
        journal.append, journal.commit = self.append, self.commit

    def append(self, kind: int, input_number: int, payload: bytes) -> int:
        """See `Journal`."""
        self._pending = input_number
        entry: int = self._append(kind, input_number, payload)
        return entry

    def commit(self) -> None:
        """See `Journal`."""
        began_ns = now_ns()
        self._commit()
        if self._pending:
            self.inputs.append(self._pending)
            self.began_ns.append(began_ns)
            self.durable_ns.append(now_ns())
            self._pending = 0


@contextlib.contextmanager
def socket(options: dict[str, Any]) -> Iterator[InProcess]:
    """A new account each time: `count` quotes, `per_s` a second, come over a loopback WebSocket to the compiled rule."""

    def repeat() -> Answer:
        with ours.home(), venue(sys.executable, options["count"], options["per_s"]) as sender:
            trader = made(sender)
            trader.start()
            stamps = Stamps(trader.journal)
            sent: list[list[int]] = []

            def wait() -> None:
                try:
                    sent.append(sender.sent_ns())
                finally:
                    trader.stop()

            waiter = threading.Thread(target=wait, name="sent")
            waiter.start()
            try:
                trader.run()
            finally:
                trader.close()
            waiter.join()
            if not sent:
                raise NotMeasurable("the venue of the benchmark ended before it had sent everything (see above)")
            found = answer(sent[0], intents(trader, stamps))
            return {**found, "hash": digest(found["causes"])}

    repeat()  # compiles, or loads what was compiled
    yield InProcess({}, repeat)


def made(sender: Sender) -> Any:
    """A paper trader as `tercel run` makes it, durable always, on the feed of that venue."""
    import tercel as tc
    from tercel.base.time import wall_ns
    from tercel.drivers.session import Plan
    from tercel.drivers.trader import Trader, TraderOptions
    from tercel.market.catalog import Catalog
    from tercel.market.definitions import definition
    from tercel.market.feeds import live_venues

    known = definition("BTCUSDT", "binance")
    assert known is not None
    rule = tc.EmaCross(FAST, SLOW, volatility_rows=2, enter=0.0, exit=0.0, size_lots=0.01)
    limits = tc.Limits(position_lots=1, daily_loss=1e9, notional=1e9, orders_per_second=0)
    fees = tc.VenueModel(latency="0ns", taker_fee=0.0, maker_fee=0.0)
    plan = Plan(features=tc.FeatureSet(tc.bars("1t", price="mid"), []), decide=rule, limits=limits, venue=fees)
    source = live_venues.Source(venue="binance", symbols=("BTCUSDT",), endpoint=f"ws://127.0.0.1:{sender.port}")
    feed = live_venues.open_feed(
        source, (Catalog().register(known),), clock=wall_ns, chance=random.Random(1), depth=False, kinds=live_venues.kinds_for("mid")
    )
    return Trader(plan, feed, TraderOptions())


def intents(trader: Any, stamps: Stamps) -> list[Intent]:
    """Every intent of the journal with the quote that caused it, and the commit that made it durable."""
    from tercel.base.records import OUT_INTENT
    from tercel.journal import entries
    from tercel.journal.input_log import InputLog
    from tercel.journal.reader import JournalReader

    log = InputLog(trader.folder / "inputs")
    log.open()
    numbers = np.concatenate([part["ref"] for part in log.read(1)])
    log.close()
    found = []
    with JournalReader(trader.folder / "journal") as reader:
        while part := reader.poll(10_000):
            for entry in part:
                if entry.kind == entries.OUTPUTS:
                    outputs = entries.decode_outputs(entry.payload)
                    for cause in outputs["input"][outputs["kind"] == OUT_INTENT].tolist():
                        commit = bisect_left(stamps.inputs, cause)
                        found.append(Intent(int(numbers[cause - 1]) - 1, stamps.began_ns[commit], stamps.durable_ns[commit]))
    return found
