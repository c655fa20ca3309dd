"""The back-test: its equity curve holds every instrument, however long the history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tercel.decision.rules import EmaCross
from tercel.decision.strategy import Bar, Context, Strategy
from tercel.drivers import backtest
from tercel.drivers.backtest import Backtest, place_in_group
from tercel.drivers.history import history
from tercel.drivers.session import Plan
from tercel.features.spec import FeatureSet, bars
from tests.market.history import quote_table, save, take

PLAN = Plan(FeatureSet(bars("10s"), ()), EmaCross(1, 2, 2, enter=0.0, exit=0.0, size_lots=0.1))
NAMES = ("EURUSD", "GBPUSD")


@pytest.fixture(autouse=True)
def _quotes(home: Path, tmp_path: Path) -> None:
    for seed, symbol in enumerate(NAMES):
        take(save(tmp_path / f"{symbol}.parquet", quote_table(600, symbol=symbol, seed=seed)), venue="one")


def test_the_curve_is_thinned_by_its_bars_not_by_the_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the bars fit, every one of them counts for the drawdown, also when there are more ticks than points."""
    whole = Backtest(PLAN, history(NAMES)).run()
    assert whole.by_currency[0].drawdown > 0
    monkeypatch.setattr(backtest, "CURVE_POINTS_MAX", whole.bars)
    assert whole.ticks > 4 * whole.bars
    again = Backtest(PLAN, history(NAMES)).run()
    assert again.by_currency == whole.by_currency
    assert again.equity["USD"].tobytes() == whole.equity["USD"].tobytes()


def test_a_thinned_curve_leaves_no_instrument_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars of two instruments come in turn: every second one of each is kept, not every one of the first alone."""
    monkeypatch.setattr(backtest, "CURVE_POINTS_MAX", 20)
    run = Backtest(PLAN, history(NAMES))
    result = run.run()
    kept = np.bincount(np.concatenate(run._rows, axis=1)[1].astype(np.int64), minlength=2)
    assert result.equity["USD"].shape[1] == kept.sum() <= 20
    assert kept.min() >= 7
    assert kept.max() - kept.min() <= 1


class Silent(Strategy):
    """Asks for nothing; at every second bar it says so."""

    def on_bar(self, context: Context, bar: Bar) -> None:
        """As the class says."""
        self.bars = getattr(self, "bars", 0) + 1
        if self.bars % 2:
            context.no_order()


def test_who_decided_says_in_its_own_words_why_it_does_not_trade(capsys: pytest.CaptureFixture[str]) -> None:
    """A strategy that asks for nothing is counted as that at each of its bars; only the rule speaks of an expected move."""
    silent = Backtest(replace(PLAN, decide=Silent()), history(NAMES)).run()
    assert silent.reasons == {"nothing_asked": silent.bars}
    silent.show()
    shown = capsys.readouterr().out
    assert f"0 orders sent at {silent.bars} bars" in shown
    assert "the strategy asked for nothing at this bar" in shown
    assert "expected move" not in shown
    rule = Backtest(replace(PLAN, decide=EmaCross(1, 2, 2, enter=1e9)), history(NAMES)).run()
    assert rule.reasons["no_signal"] > 0
    assert "nothing_asked" not in rule.reasons


def test_places_in_a_group_count_from_zero() -> None:
    """Each item is told how many of its own group came before."""
    assert place_in_group(np.array([7, 3, 7, 7, 3])).tolist() == [0, 0, 1, 2, 1]
    assert place_in_group(np.array([], np.int64)).tolist() == []
