"""Orders that a person gives a running trader: checked as any other, answered once, known for ever, and the same in a replay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from tercel.base import codes, paths
from tercel.base.errors import NotRunning
from tercel.base.records import OUT_INTENT, QUOTE, Records, empty
from tercel.base.time import NS_PER_H, NS_PER_S, clock_ns
from tercel.core.engine import Engine
from tercel.decision.rules import EmaCross
from tercel.drivers import trader as trader_module
from tercel.drivers.session import Plan
from tercel.drivers.trader import Trader, TraderOptions
from tercel.execution.venue import VenueModel
from tercel.features.spec import FeatureSet, bars
from tercel.journal.by_hand import KNOWN_MAX, ByHand
from tercel.journal.entries import Order, ref_of
from tercel.journal.input_log import read_inputs
from tercel.market.feeds.base import FeedState
from tercel.observe.by_hand import Answered, Asked, read, text_of
from tercel.observe.control import OTHER, REFUSED, TAKEN, UNANSWERED, Ack, ControlClient
from tercel.risk.limits import Limits
from tests.core.scenarios import assert_books_agree
from tests.drivers.random_walks import EURUSD, START_NS
from tests.traders import journal_of, outputs_of

RULE = EmaCross(fast=3, slow=6, volatility_rows=5, enter=0.1, exit=0.05, size_lots=0.5)
PLAN = Plan(
    FeatureSet(bars("10s"), ()),
    RULE,
    Limits(position_lots=3, order_lots=2),
    VenueModel(latency="100ms"),
    feed_latency="0s",
    late_after="0s",
)
LOT = EURUSD.lot


class Market:
    """A feed whose time the test tells: a quote a second, as far as `now_ns`; then silence."""

    name, instruments, position, done = "told", (EURUSD,), 0, False

    def __init__(self, count: int = 300) -> None:
        self.records = empty(count)
        self.records["ts_recv"] = self.records["ts_event"] = START_NS + np.arange(count) * NS_PER_S
        mid = 1.1 * np.exp(np.cumsum(np.random.default_rng(5).normal(0.0, 1e-4, count)))
        self.records["kind"], self.records["instrument"] = QUOTE, EURUSD.id
        self.records["price"], self.records["price2"] = np.round(mid - 2e-5, 5), np.round(mid + 2e-5, 5)
        self.records["size"] = self.records["size2"] = np.nan
        self.now_ns = START_NS - 1

    def poll(self, now_ns: int, limit: int) -> Records:
        """What has arrived by the told time."""
        end = int(np.searchsorted(self.records["ts_recv"], self.now_ns, side="right"))
        found: Records = self.records[self.position : min(end, self.position + limit)].copy()
        self.position += len(found)
        return found

    def seek(self, position: int) -> None:
        """Go on there."""
        self.position = position

    def next_due_ns(self, now_ns: int) -> int | None:
        """Nobody waits here."""
        return None

    def source_now_ns(self, now_ns: int) -> int:
        """The told time."""
        return self.now_ns

    def wait(self, wait_ns: int) -> None:
        """Not at all."""

    def state(self, now_ns: int) -> FeedState:
        """Well."""
        return FeedState()

    def close(self) -> None:
        """Nothing is held."""


class Session:
    """A trader of the account "paper" in this process, turned by hand, and who gives it orders."""

    def __init__(self, at_s: float = 0.0, plan: Plan = PLAN) -> None:
        self.market = Market()
        self.trader = Trader(plan, self.market, TraderOptions("paper", sync="never"))
        self.recovered = self.trader.start()
        self.client = ControlClient(paths.run_dir("paper"), "ann")
        self.at(at_s)

    def at(self, seconds: float) -> None:
        """Let the market be so many seconds old, and the trader see it."""
        self.market.now_ns = START_NS + round(seconds * NS_PER_S)
        while self.trader._turn(clock_ns()):
            pass

    def ask(self, client_id: str, side: int = 1, size: int = LOT, price: int = 0) -> Ack:
        """Give an order; the trader's answer after one turn."""
        number = self.client.post_order(text_of(Asked(client_id, EURUSD.id, side, size, price)), 5.0)  # type: ignore[arg-type]
        self.trader._turn(clock_ns())
        return self.client.answer(number)

    def crash(self) -> None:
        """Leave without a word: nothing is stored but what was written."""
        self.trader.journal._parts, self.trader.journal._parts_bytes = [], 0
        self.trader.journal.close()
        self.trader.log.close()
        self.trader.engine.close()
        self.trader.control.close()


@pytest.fixture
def session(home: Path) -> Session:
    """A session two minutes into the market."""
    return Session(120)


def orders() -> list[Order]:
    """The orders by hand in the journal."""
    return [one for one in journal_of("paper") if isinstance(one, Order)]


def intents() -> Records:
    """The intents in the journal."""
    found = outputs_of("paper")
    return found[found["kind"] == OUT_INTENT]


def said(ack: Ack) -> Answered:
    """What the trader says came of an order."""
    assert ack.state in (TAKEN, OTHER), ack
    return read(ack.words, Answered)


def test_an_order_is_answered_once_the_journal_holds_it(session: Session) -> None:
    """The answer names the order that was sent; the entry stands before its output, with who gave it, and the fill follows."""
    answer = said(session.ask("ann-1"))
    assert (answer.code, answer.repeated, answer.epoch) == (0, False, session.trader.epoch)
    journal = journal_of("paper")
    (at,) = [place for place, one in enumerate(journal) if isinstance(one, Order)]
    order, (intent,) = journal[at], journal[at + 1]
    assert (order.client_id, order.who, order.ref, order.size) == ("ann-1", "ann", ref_of("ann-1"), LOT)
    assert (int(intent["order"]), int(intent["epoch"]), int(intent["input"])) == (answer.order, answer.epoch, answer.input_number)
    assert order.input_number == answer.input_number
    session.at(123)
    filled = outputs_of("paper")
    assert int(filled[filled["order"] == answer.order]["filled"].max()) == LOT
    session.trader.close()


def test_the_same_order_again_is_the_same_answer_and_no_second_order(session: Session) -> None:
    """At once, after a crash, and after an orderly restart; another order under that client_id is told so."""
    first = said(session.ask("ann-1", price=109_000))
    denied = said(session.ask("ann-2", size=9 * LOT))
    assert codes.NAMES[denied.code] == "order_size"
    for end in ("crash", "close", "crash"):
        again = said(session.ask("ann-1", price=109_000))
        assert again.repeated
        assert (again.input_number, again.epoch, again.order) == (first.input_number, first.epoch, first.order)
        assert said(session.ask("ann-2", size=9 * LOT)).code == denied.code
        for side, size, price in ((1, LOT, 109_001), (-1, LOT, 109_000), (1, LOT // 2, 109_000)):
            ack = session.ask("ann-1", side, size, price)
            assert (ack.state, said(ack).order) == (OTHER, first.order)
        session.crash() if end == "crash" else session.trader.close()
        session = Session(125)
        assert session.recovered.how == "recovered"
    assert len(orders()) == 2
    assert sum(int(one["input"]) == first.input_number for one in intents()) == 1
    session.trader.close()


def test_other_settings_forget_no_client_id(session: Session) -> None:
    """An account whose state has to be rebuilt from the journal still knows what was ordered; an entry waits, a reduction does not."""
    first = said(session.ask("ann-1", size=2 * LOT))  # more than the rule holds
    session.at(123)
    session.trader.close()
    session = Session(125, replace(PLAN, limits=Limits(position_lots=4, order_lots=2)))
    assert session.recovered.how == "rewarmed"
    again = said(session.ask("ann-1", size=2 * LOT))
    assert (again.repeated, again.order, again.epoch) == (True, first.order, first.epoch)
    assert codes.NAMES[said(session.ask("ann-2")).code] == "rewarmed"
    assert said(session.ask("ann-3", side=-1)).order > first.order
    session.trader.close()


@pytest.mark.parametrize("torn", [False, True])
def test_an_order_that_only_the_log_knew_of_is_known_after_the_crash(session: Session, torn: bool) -> None:
    """A kill between log and journal: the replay makes the order's output and its entry again, and its client_id is known by its ref."""
    before = said(session.ask("ann-1"))
    lost = session.trader.journal
    if torn:
        lost.commit = lost.sync = lambda: None  # type: ignore[method-assign]
        said(session.ask("ann-2", price=109_000))
    session.crash()
    if not torn:
        path = sorted((paths.session_dir("paper") / "journal").glob("journal-*.log"))[-1]
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 100)
    session = Session(120)
    assert session.recovered.outputs_added == 1
    name, price = ("ann-2", 109_000) if torn else ("ann-1", 0)
    again = said(session.ask(name, price=price))
    assert again.repeated
    assert torn or again.order == before.order
    assert [one.client_id for one in orders()] == (["ann-1", ""] if torn else [""])
    assert orders()[-1].ref == ref_of(name)
    session.trader.close()


def test_a_replay_of_the_log_gives_outputs_and_state_again(session: Session) -> None:
    """Orders by hand between those of a rule: another core that is given the log says what the journal holds and ends in the same state."""
    for turn in range(8):
        session.at(125 + 20 * turn)
        session.ask(f"ann-{turn}", side=1 if turn % 2 else -1, size=LOT // (turn + 1), price=110_000 if turn == 7 else 0)
    session.at(299)
    hashed = session.trader.engine.state_hash()
    session.trader.close()
    made: list[Records] = []
    engine = Engine(PLAN.core((EURUSD,)), lambda outputs: made.append(outputs.copy()))
    for records in read_inputs(paths.session_dir("paper") / "inputs", 1):
        engine.push(records)
    journal = outputs_of("paper")
    assert engine.state_hash() == hashed
    assert np.concatenate(made).tobytes() == journal.tobytes()
    hand = {order.input_number for order in orders()}
    assert len(hand) == 8
    assert len({int(one["input"]) for one in intents()} - hand) > 1  # and the rule's
    assert_books_agree(engine, journal)
    for path in paths.session_dir("paper").glob("snapshot-*"):
        path.unlink()
    again = Session(299)
    assert (again.recovered.how, again.recovered.outputs_added, again.trader.engine.state_hash()) == ("recovered", 0, hashed)
    again.trader.close()


def test_an_order_is_as_old_as_the_moment_it_comes_in(session: Session) -> None:
    """An hour of silence after the last quote: the quote that stands is stale for who orders now, and what was due by then has happened."""
    session.market.now_ns = START_NS + 120 * NS_PER_S + NS_PER_H
    answer = said(session.ask("late"))
    assert codes.NAMES[answer.code] == "stale"
    assert answer.time_ns == session.market.now_ns
    assert session.trader.sequencer.stamp == session.market.now_ns
    session.trader.close()


def test_what_has_arrived_comes_before_the_order(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trader that is behind takes in what waits first; with more than it may take in at once, the order comes among it."""
    monkeypatch.setattr(trader_module, "POLL_LIMIT", 10)
    session.market.now_ns = START_NS + 150 * NS_PER_S
    answer = said(session.ask("first"))
    assert (answer.time_ns, session.market.position) == (session.market.now_ns, 151)
    session.market.now_ns = START_NS + 250 * NS_PER_S
    answer = said(session.ask("second"))
    assert answer.time_ns == START_NS + (150 + 10 * trader_module.CAUGHT_UP_MAX) * NS_PER_S
    session.trader.close()


def test_the_kill_flag_is_looked_at_before_the_order_is(session: Session) -> None:
    """A halt set a moment before is in force for an order in the same turn."""
    session.client.halt("first", timeout_s=0.0)
    answer = said(session.ask("after"))
    assert codes.NAMES[answer.code] == "halted"
    session.trader.close()


def test_what_is_no_order_is_refused_and_leaves_nothing(session: Session) -> None:
    """Words of another version, an instrument nobody trades: said, and neither journal nor core hears of it; a late one is not obeyed."""
    before = session.trader.engine.input_number
    for text in ("", "{}", '["a",1,0,5,0]', '["a",1,1,-5,0]', '["a",999,1,5,0]', '["\\u0007",1,1,5,0]', f'["{"a" * 65}",1,1,5,0]'):
        number = session.client.post_order(text, 5.0)
        session.trader._turn(clock_ns())
        ack = session.client.answer(number)
        assert ack.state == REFUSED
        assert ack.words.startswith("order: ")
    number = session.client.post_order(text_of(Asked("late", EURUSD.id, 1, LOT, 0)), 0.0)
    assert session.client.answer(number).state == UNANSWERED
    session.trader._turn(clock_ns())
    assert session.client.answer(number).state == REFUSED
    assert session.trader.engine.input_number == before
    assert not orders()
    session.trader.close()
    with pytest.raises(NotRunning):
        session.client.post_order("", 1.0)


def test_only_the_newest_orders_are_remembered() -> None:
    """The table has a bound; what falls out is the oldest."""
    one = Order(1, 0, "", "", 1, 1, 1, 0, 0, 1, 1, 0)
    table = ByHand(structs.replace(one, ref=ref_of(str(number))) for number in range(KNOWN_MAX + 1))
    assert table.find("0") is None
    assert table.find("1") is not None
    assert table.find(str(KNOWN_MAX)) is not None
