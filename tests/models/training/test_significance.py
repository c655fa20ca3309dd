"""Each statistic against scipy, against published examples, or against its own definition written out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from tercel.models.training import significance as sig


def trades(seed: int = 3, count: int = 400) -> npt.NDArray[np.float64]:
    """Outcomes like those of a triple barrier: many small losses, fewer larger gains."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(count) < 0.52, rng.normal(1.4, 0.2, count), rng.normal(-1.05, 0.1, count))


def autoregressive(rho: float, count: int, seed: int) -> npt.NDArray[np.float64]:
    """x[t] = rho * x[t - 1] + noise, begun in its stationary law."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=count)
    values[0] /= math.sqrt(1 - rho * rho)
    for t in range(1, count):
        values[t] += rho * values[t - 1]
    return values


def test_moments_are_those_of_scipy() -> None:
    """Mean, standard deviation, skewness and kurtosis equal scipy's."""
    values = trades()
    found = sig.moments(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.deviation == pytest.approx(np.std(values, ddof=1))
    assert found.skew == pytest.approx(stats.skew(values))
    assert found.kurtosis == pytest.approx(stats.kurtosis(values, fisher=False))
    assert found.sharpe == pytest.approx(np.mean(values) / np.std(values, ddof=1))


@pytest.mark.parametrize("values", [[], [0.3], [0.1] * 50, [0.0] * 40])
def test_a_sample_without_scatter_has_no_sharpe_ratio(values: list[float]) -> None:
    """Too few values, or all the same, give NaN and never a huge ratio."""
    found = sig.moments(np.array(values))
    assert math.isnan(found.sharpe)
    assert math.isnan(sig.probabilistic_sharpe(found))


def test_the_probabilistic_sharpe_ratio_is_that_of_the_paper() -> None:
    """Bailey & López de Prado 2012, the example of a hedge fund over 24 months: 0.913, and 0.982 if returns were normal."""
    fund = sig.Moments(24, 0.036, 0.036 / 0.458, -2.448, 10.164)
    normal = sig.Moments(24, 0.036, 0.036 / 0.458, 0.0, 3.0)
    assert sig.probabilistic_sharpe(fund) == pytest.approx(0.913, abs=5e-4)
    assert sig.probabilistic_sharpe(normal) == pytest.approx(0.982, abs=5e-4)


def test_the_deflated_sharpe_ratio_is_that_of_the_paper() -> None:
    """Bailey & López de Prado 2014: 2.5 a year over 1,250 days, skewness -3, kurtosis 10, variance 1/2: 0.9004 of 100, 0.9505 of 46."""
    daily = 2.5 / math.sqrt(250)
    found = sig.Moments(1250, daily, 1.0, -3.0, 10.0)
    scatter = math.sqrt(0.5 / 250)
    assert sig.expected_maximum(100, scatter) == pytest.approx(0.1132, abs=5e-5)
    assert sig.probabilistic_sharpe(found, sig.expected_maximum(100, scatter)) == pytest.approx(0.9004, abs=5e-5)
    assert sig.probabilistic_sharpe(found, sig.expected_maximum(46, scatter)) == pytest.approx(0.9505, abs=5e-5)


@pytest.mark.parametrize("trials", [2, 5, 20, 100, 1000])
def test_the_expected_maximum_is_near_the_integral(trials: int) -> None:
    """The closed form is within 6 % of the expectation of the largest of N normal draws, integrated."""
    grid = np.linspace(-8, 10, 40_001)
    density = trials * stats.norm.pdf(grid) * stats.norm.cdf(grid) ** (trials - 1)
    exact = float(np.trapezoid(grid * density, grid))
    assert sig.expected_maximum(trials, 0.3) == pytest.approx(0.3 * exact, rel=0.06 if trials > 2 else 0.09)


def test_deflation_counts_trials_and_their_scatter() -> None:
    """One trial deflates nothing; more trials, or more scattered ones, deflate more; a trial that never traded still counts."""
    found = sig.moments(trades())
    alone = sig.deflated_sharpe(found, np.array([found.sharpe]))
    assert alone == sig.probabilistic_sharpe(found) == sig.deflated_sharpe(found, np.empty(0))
    few, many = np.linspace(-0.05, found.sharpe, 4), np.linspace(-0.05, found.sharpe, 40)
    assert alone > sig.deflated_sharpe(found, few) > sig.deflated_sharpe(found, many)
    assert sig.deflated_sharpe(found, few) > sig.deflated_sharpe(found, np.append(few, math.nan)) > 0
    assert sig.deflated_sharpe(found, few, effective=100) < sig.deflated_sharpe(found, few)


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_the_block_length_is_that_of_theory(rho: float) -> None:
    """For an autoregression the best block is (2 rho / (1 - rho^2))^(2/3) n^(1/3) long; estimates of ten samples centre on it."""
    count = 4_000
    theory = (2 * rho / (1 - rho * rho)) ** (2 / 3) * count ** (1 / 3)
    found = [sig.block_length(autoregressive(rho, count, seed)) for seed in range(10)]
    assert np.median(found) == pytest.approx(theory, rel=0.25)


def test_unrelated_values_need_no_blocks() -> None:
    """White noise mostly gives a block of about one, and what cannot be judged gives one."""
    found = [sig.block_length(np.random.default_rng(seed).normal(size=1_000)) for seed in range(20)]
    assert np.median(found) < 2.5
    assert sig.block_length(np.ones(500)) == sig.block_length(np.arange(4.0)) == sig.block_length(np.empty(0)) == 1.0


def stationary_variance(values: npt.NDArray[np.float64], block: float) -> float:
    """Variance of the mean under the stationary bootstrap, in closed form (Politis & Romano 1994, lemma 1): circular autocovariances."""
    count = len(values)
    away = values - values.mean()
    total = float(away @ away) / count
    for lag in range(1, count):
        circular = float(away @ np.roll(away, -lag)) / count
        keep = 1 - 1 / block
        total += 2 * (1 - lag / count) * keep**lag * circular
    return total / count


@pytest.mark.parametrize("block", [1.0, 6.0, 25.0])
def test_the_bootstrap_has_the_variance_of_its_definition(block: float) -> None:
    """The scatter of resampled means is the closed form of the stationary bootstrap, and their mean is the sample's."""
    values = autoregressive(0.5, 300, 11) + 0.2
    means = sig.bootstrap_means(values, block, 6_000, 5)
    assert np.var(means) == pytest.approx(stationary_variance(values, block), rel=0.07)
    assert np.mean(means) == pytest.approx(values.mean(), abs=4 * np.std(means) / math.sqrt(6_000))
    assert (means == sig.bootstrap_means(values, block, 6_000, 5)).all()
    assert (means != sig.bootstrap_means(values, block, 6_000, 6)).any()


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Of 300 samples of correlated values, the 95 % interval of the mean holds the true mean about 95 times in a hundred."""
    held = 0
    for seed in range(300):
        values = autoregressive(0.4, 250, 1_000 + seed)
        low, high = np.quantile(sig.bootstrap_means(values, sig.block_length(values), 400, seed), [0.025, 0.975])
        held += low <= 0.0 <= high
    assert 0.87 <= held / 300 <= 0.98  # plain resampling, block 1, would hold it in some 80


def test_dependent_observations_count_for_fewer() -> None:
    """Values that move together are worth n (1 - rho) / (1 + rho) independent ones; unrelated ones count in full."""
    values = autoregressive(0.5, 3_000, 2)
    means = sig.bootstrap_means(values, 40.0, 3_000, 1)
    assert sig.effective_count(values, means) == pytest.approx(3_000 * 0.5 / 1.5, rel=0.3)
    alone = np.random.default_rng(1).normal(size=500)
    assert sig.effective_count(alone, sig.bootstrap_means(alone, 1.0, 3_000, 1)) > 440


def test_reliability_bins_hold_everything_once() -> None:
    """Bins are of equal numbers, each with the mean prediction and the share that came true; a calibrated source lies on the diagonal."""
    rng = np.random.default_rng(4)
    p = rng.beta(3, 4, 20_000)
    happened = rng.random(20_000) < p
    bins = sig.reliability(p, happened, 10)
    assert len(bins) == 10
    assert sum(one.count for one in bins) == 20_000
    assert {one.count for one in bins} <= {1_999, 2_000, 2_001}
    assert all(abs(one.predicted - one.observed) < 4 * math.sqrt(0.25 / one.count) for one in bins)
    order = np.argsort(p, kind="stable")
    assert bins[0].observed == pytest.approx(happened[order[:2_000]].mean())
    assert bins[-1].predicted == pytest.approx(p[order[-2_000:]].mean())


def test_equal_predictions_share_a_bin() -> None:
    """A source that always says the same is one bin, one that says nothing none."""
    bins = sig.reliability(np.full(50, 0.3), np.arange(50) < 20)
    assert [(round(one.predicted, 12), one.observed, one.count) for one in bins] == [(0.3, 0.4, 50)]
    assert sig.reliability(np.empty(0), np.empty(0, bool)) == ()


def test_the_brier_score_is_the_mean_square() -> None:
    """A perfect source scores 0, a coin 0.25, and no source nothing."""
    happened = np.array([True, False, True, True])
    assert sig.brier_score(happened.astype(float), happened) == 0.0
    assert sig.brier_score(np.full(4, 0.5), happened) == 0.25
    assert sig.brier_score(np.array([0.9, 0.2, 0.6, 0.5]), happened) == pytest.approx((0.01 + 0.04 + 0.16 + 0.25) / 4)
    assert math.isnan(sig.brier_score(np.empty(0), np.empty(0, bool)))
