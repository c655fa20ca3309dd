"""The trader where it meets trouble that is not its own: an error of a strategy, a fault of the core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tercel.core.engine import CoreFault
from tercel.core.layout import H_LEDGER
from tercel.decision.rules import EmaCross
from tercel.decision.strategy import Bar, Context, Strategy
from tercel.drivers.launch import FeedSpec, RunSpec
from tercel.drivers.session import Plan
from tercel.drivers.settings import text_of
from tercel.features.spec import FeatureSet, bars
from tercel.journal.entries import RECOVERED, Config, Hash, Session
from tercel.ledger.kernels import L_CASH, LEDGER_WORDS, MONEY_MAX
from tests.market.history import quote_table, save, take
from tests.traders import journal_of, outputs_of, start, trader_of

FEED = FeedSpec(kind="replay", names=("EURUSD",), speed=0)


class Buys(Strategy):
    """Buys one unit at every bar, and fails at the bar `fails_at`."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at = fails_at

    def on_start(self) -> None:
        """Count from the beginning."""
        self.bars = 0

    def on_bar(self, context: Context, bar: Bar) -> None:
        """One more bar."""
        self.bars += 1
        if self.bars == self.fails_at:
            raise ValueError("a mistake of the user")
        context.buy(1)


class Prints(Strategy):
    """Prints at every bar."""

    def on_bar(self, context: Context, bar: Bar) -> None:
        """A line of its own, and an empty one."""
        print("\nprinted")


def plan(fails_at: int = -1) -> Plan:
    """A plan with that strategy on bars of ten seconds."""
    return Plan(FeatureSet(bars("10s"), ()), Buys(fails_at))


@pytest.fixture(autouse=True)
def _quotes(home: Path, tmp_path: Path) -> None:
    take(save(tmp_path / "eur.parquet", quote_table(600)), venue="one")


def test_the_error_of_a_strategy_ends_the_trader_and_comes_again() -> None:
    """The input at which it happened is in the log: a restart with the same strategy meets the same error; what was said is kept once."""
    trader = trader_of(plan(fails_at=20), FEED)
    trader.start()
    with pytest.raises(ValueError, match="a mistake of the user"):
        trader.run()
    assert trader.log.last > trader.engine.input_number
    trader.close()
    assert not [one for one in journal_of("paper") if isinstance(one, Hash)]  # there is no state behind a whole input
    said = outputs_of("paper")
    again = trader_of(plan(fails_at=20), FEED)
    with pytest.raises(ValueError, match="a mistake of the user"):
        again.start()
    assert outputs_of("paper").tobytes() == said.tobytes()


def test_a_fault_ends_the_trader_and_stores_nothing() -> None:
    """After a fault of the core the log holds the input that caused it, and no snapshot and no hash tell of a state that is none."""
    trader = trader_of(Plan(plan().features, EmaCross(1, 2, 2, enter=0.0, size_lots=0.1)), FEED)
    trader.start()
    trader.engine.account[trader.core.layout.section(H_LEDGER, LEDGER_WORDS) + L_CASH] = MONEY_MAX + 1
    with pytest.raises(CoreFault, match="cash or position left the range"):
        trader.run()
    assert trader.log.last > trader.engine.input_number
    assert trader.engine.fills == 0
    trader.close()
    assert not list(trader.folder.glob("snapshot-*"))
    assert not [one for one in journal_of("paper") if isinstance(one, Hash)]


def test_the_journal_tells_the_story_of_a_session() -> None:
    """A session begins with who, which epoch and which settings, has every output in order, and ends with the hash of its state."""
    for epoch in (1, 2):
        trader = trader_of(plan(), FEED)
        trader.start()
        trader.run()
        trader.close()
        session, config, *middle, last = [one for one in journal_of("paper") if not isinstance(one, np.ndarray)][-3 - (epoch > 1) :]
        assert isinstance(session, Session)
        assert (session.account, session.epoch, session.mode) == ("paper", epoch, "PAPER")
        assert isinstance(config, Config)
        assert config.text == text_of(trader.plan)
        assert [one.about for one in middle] == [RECOVERED] * (epoch - 1)
        assert last == Hash(trader.engine.input_number, trader.engine.state_hash())
    outputs = outputs_of("paper")
    assert len(outputs) > 50
    assert (np.diff(outputs["input"]) >= 0).all()


def test_what_a_strategy_prints_stays_out_of_the_lines_of_the_trader(tmp_path: Path) -> None:
    """Whoever started a trader reads its lines until it trades: what a strategy prints goes to the errors, and can fill no pipe."""
    spec = RunSpec(account="prints", feed=FEED, strategy="tests.drivers.test_trader:Prints", bars="10s", stop_when_done=True, sync="never")
    out, errors = start(tmp_path, spec).communicate(timeout=60.0)
    assert errors.count("printed") > 50
    assert [line.split()[0] for line in out.splitlines() if not line.startswith("phase ")] == ["trading", "stopped"]
