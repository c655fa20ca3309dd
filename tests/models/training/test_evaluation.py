"""The judgement of models: trades as the core would make them, and a verdict that noise does not fool."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tercel.models.training.dataset import Dataset
from tercel.models.training.evaluation import EDGE, NO_EDGE, Evaluation, evaluate, judge, select, sharpe_of
from tests.models.judged import COST, folds_of, guesses, walk

NAN = math.nan


def small(edges: list[tuple[int, int, int, float, float]], outcome: list[tuple[float, float]] | None = None) -> tuple[Dataset, np.ndarray]:
    """A data set of (stamp, slot, end, edge of a purchase, edge of a sale), and its edges."""
    count = len(edges)
    data = Dataset(
        names=("a",),
        rows=np.zeros((count, 1)),
        slot=np.array([one[1] for one in edges], np.int64),
        instruments=("A@x", "B@x"),
        stamp=np.array([one[0] for one in edges], np.int64),
        end=np.array([(one[2], one[2] + 1) for one in edges], np.int64),
        outcome=np.array(outcome or [(0.5, -0.7)] * count),
        relative=np.full(count, 0.01),
    )
    return data, np.array([one[3:] for one in edges])


def test_an_instrument_holds_one_trade_at_a_time() -> None:
    """While a trade is open nothing else of its instrument is taken; at its end it may be, and another instrument always."""
    data, edge = small([(10, 0, 20, 0.3, 0.1), (11, 1, 30, 0.3, 0.1), (15, 0, 25, 0.9, 0.1), (20, 0, 40, 0.3, 0.1), (29, 1, 50, 0.4, 0.0)])
    trades = select(data, edge, edge, np.zeros(5, np.int64), 0.2)
    assert trades.row.tolist() == [0, 1, 3]
    assert trades.end.tolist() == [20, 30, 40]


def test_the_better_side_is_taken_if_it_suffices() -> None:
    """The larger edge decides the side; below `enter`, without a prediction or outside the folds nothing happens."""
    rows = [(1, 0, 2, 0.1, 0.5), (3, 0, 4, 0.19, 0.1), (5, 0, 6, NAN, NAN), (7, 0, 8, NAN, 0.2), (9, 0, 10, 0.6, 0.6), (11, 0, 12, 0.9, 0)]
    data, edge = small(rows)
    trades = select(data, edge + 1, edge, np.array([0, 0, 0, 0, 1, -1]), 0.2)
    assert trades.row.tolist() == [0, 3, 4]
    assert trades.side.tolist() == [-1, -1, 1]
    assert trades.fold.tolist() == [0, 0, 1]
    assert trades.end.tolist() == [3, 9, 10]
    assert trades.outcome.tolist() == [-0.7, -0.7, 0.5]
    assert trades.returned == pytest.approx([-0.007, -0.007, 0.005])
    assert trades.probability == pytest.approx([1.5, 1.2, 1.6])


def test_a_trade_without_an_end_is_not_counted() -> None:
    """Where history ends first nothing is booked, and the instrument stays occupied."""
    data, edge = small([(1, 0, 99, 0.5, 0.1), (5, 0, 7, 0.5, 0.1), (6, 1, 7, 0.5, 0.1)], [(NAN, NAN), (0.1, 0.1), (0.1, 0.1)])
    assert select(data, edge, edge, np.zeros(3, np.int64), 0.2).row.tolist() == [2]


def judged(seed: int, strength: float = 0.4, trials: int = 8, draws: int = 400, **truth: float) -> Evaluation:
    """A model that believes in its feature, chosen as the best of several that believe in it more or less."""
    data, feature = walk(seed, **truth)  # type: ignore[arg-type]
    fold = folds_of(data)
    rng = np.random.default_rng(seed)
    tried = []
    for trial in range(trials):
        seen = feature if trial == 0 else feature * rng.uniform(0.2, 1.0) + rng.normal(size=len(feature)) * 0.8
        p, edge = guesses(seen, strength)
        tried.append((sharpe_of(select(data, p, edge, fold, 0.05)), p, edge))
    best = max(tried, key=lambda one: one[0])
    return evaluate(data, best[1], best[2], fold, 0.05, trial_sharpes=np.array([one[0] for one in tried]), seed=seed, draws=draws)


def test_noise_has_no_edge() -> None:
    """Of 100 models on random walks, each the best of eight, at least 95 are told that there is no edge, also without any costs."""
    with_costs = [judged(seed).verdict for seed in range(60)]
    assert with_costs.count(NO_EDGE) >= 59
    free = []
    for seed in range(40):
        data, feature = walk(1_000 + seed)
        data = replace(data, outcome=data.outcome + COST - (data.outcome.mean() + COST))  # a fair game
        p, edge = guesses(feature, 0.4)
        free.append(evaluate(data, p, edge, folds_of(data), 0.05, trial_sharpes=np.empty(0), seed=seed, draws=400).verdict)
    assert free.count(NO_EDGE) >= 37


def test_a_planted_edge_is_found() -> None:
    """Where the feature tells half a width of the move to come, at least 36 of 40 models are told that there is an edge."""
    found = [judged(seed, signal=0.5) for seed in range(40)]
    assert [one.verdict for one in found].count(EDGE) >= 36
    assert all(len(one.because) >= 4 for one in found if one.verdict == EDGE)


def test_drift_is_named_for_what_it_is() -> None:
    """A model that only buys in a rising market may earn, and is told that any moment would have done."""
    data, feature = walk(5, drift=0.2)
    p, edge = guesses(np.abs(feature) + 2, 0.4)
    found = evaluate(data, p, edge, folds_of(data), 0.05, trial_sharpes=np.empty(0), seed=1)
    assert found.timing > 0.05 > found.chance
    assert found.verdict == EDGE
    assert "the direction earns, not the moment" in found.because[-1]


def test_the_figures_are_their_definitions() -> None:
    """Counts, means and rates are those of the selected trades, all together, by fold and by instrument."""
    data, feature = walk(9, signal=0.4)
    fold = folds_of(data)
    p, edge = guesses(feature, 0.5)
    trades = select(data, p, edge, fold, 0.05)
    found = evaluate(data, p, edge, fold, 0.05, trial_sharpes=np.array([0.1, 0.2]), seed=3)
    assert found.trades == len(trades.row) == sum(one.trades for one in found.by_fold) == sum(one.trades for one in found.by_instrument)
    assert found.hit_rate == np.mean(trades.outcome > 0)
    assert found.mean_outcome == pytest.approx(trades.outcome.mean())
    assert found.mean_return == pytest.approx((trades.outcome * 0.0005).mean())
    assert found.sharpe == pytest.approx(trades.outcome.mean() / trades.outcome.std(ddof=1))
    years = (trades.end.max() - trades.stamp[0]) / 1e9 / 86_400 / 365.25
    assert found.sharpe_annual == pytest.approx(found.sharpe * math.sqrt(found.trades / years))
    assert found.interval_low < found.mean_outcome < found.interval_high
    for one in found.by_fold:
        mine = trades.outcome[trades.fold == one.fold]
        assert (one.trades, one.mean_outcome) == (len(mine), pytest.approx(mine.mean()))
    assert [one.instrument for one in found.by_instrument] == ["X0@sim", "X1@sim"]
    asked = fold >= 0
    won = data.outcome[asked] > 0
    assert found.brier == pytest.approx(np.mean((p[asked] - won) ** 2))
    assert found.brier_base == pytest.approx(won.mean() * (1 - won.mean()))
    assert found.predictions == won.size == sum(one.count for one in found.reliability)
    assert found == evaluate(data, p, edge, fold, 0.05, trial_sharpes=np.array([0.1, 0.2]), seed=3)


def test_chance_is_the_share_of_random_selections() -> None:
    """A model that enters at random does as well as random entries in a share that is uniform over many models."""
    shares = []
    for seed in range(60):
        data, feature = walk(2_000 + seed, count=1_200)
        p, edge = guesses(feature, 0.4)
        shares.append(evaluate(data, p, edge, folds_of(data), 0.05, trial_sharpes=np.empty(0), seed=seed, draws=200).chance)
    assert 0.38 < np.mean(shares) < 0.62
    assert 0.0 < min(shares) < 0.15
    assert max(shares) > 0.85


def test_no_trades_are_judged_too() -> None:
    """A model that proposes nothing has no edge, and says why."""
    data, feature = walk(1, count=300)
    p, edge = guesses(feature, 0.1)
    found = evaluate(data, p, edge, folds_of(data), 5.0, trial_sharpes=np.array([NAN]), seed=1)
    assert (found.trades, found.verdict, found.chance) == (0, NO_EDGE, 1.0)
    assert math.isnan(found.mean_outcome)
    assert "no trade" in found.because[0]
    assert msgspec.json.encode(found)


def test_each_condition_is_needed() -> None:
    """An edge needs enough trades, an interval above zero, a deflated Sharpe ratio and to beat chance: any one missing is named."""
    data, feature = walk(9, signal=0.6)
    p, edge = guesses(feature, 0.5)
    good = evaluate(data, p, edge, folds_of(data), 0.05, trial_sharpes=np.empty(0), seed=3)
    assert judge(good)[0] == EDGE
    for field, value, word in (
        ("trades", 29, "at least 30"),
        ("interval_low", 0.0, "confidence"),
        ("deflated", 0.95, "by luck|more than luck"),
        ("deflated", NAN, "by luck|more than luck"),
        ("chance", 0.05, "Random entries"),
        ("sharpe", NAN, "alike"),
    ):
        verdict, because = judge(msgspec.structs.replace(good, **{field: value}))
        assert verdict == NO_EDGE
        assert len(because) == 1
        assert re.search(word, because[0])
