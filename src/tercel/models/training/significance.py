"""The statistics of a series of outcomes: how sure is its mean, its Sharpe ratio, and the best of many trials.

Everything here is a function of arrays and a seed; nothing knows what a trade is. Sources stand at each function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]

EULER: Final = 0.5772156649015329  # Euler-Mascheroni constant
NORMAL: Final = NormalDist()
NAN: Final = float("nan")
QUIET_LAGS_MIN: Final = 5  # Politis & White: so many autocorrelations in a row must be insignificant


@dataclass(frozen=True)
class Moments:
    """Mean, standard deviation (n - 1), skewness and kurtosis (3 for a normal distribution) of a sample."""

    count: int
    mean: float
    deviation: float
    skew: float
    kurtosis: float

    @property
    def sharpe(self) -> float:
        """Mean over standard deviation, per observation; NaN when it has no meaning."""
        return self.mean / self.deviation if self.deviation > 0.0 else NAN


class Bin(msgspec.Struct, frozen=True):
    """Predictions of about the same probability: their mean, the share that came true, and how many there are."""

    predicted: float
    observed: float
    count: int


def moments(values: Reals) -> Moments:
    """Moments of float64[n]; NaN where n is too small or the values are all the same. Skewness and kurtosis are those of the sample."""
    count = len(values)
    if count == 0:
        return Moments(0, NAN, NAN, NAN, NAN)
    mean = float(np.mean(values))
    away = values - mean
    variance = float(np.mean(away**2))
    if count == 1 or variance <= (1e-12 * abs(mean)) ** 2:  # what is left of equal values is rounding
        return Moments(count, mean, 0.0 if count > 1 else NAN, NAN, NAN)
    skew, kurtosis = float(np.mean(away**3)) / variance**1.5, float(np.mean(away**4)) / variance**2
    return Moments(count, mean, math.sqrt(variance * count / (count - 1)), skew, kurtosis)


def probabilistic_sharpe(found: Moments, benchmark: float = 0.0, effective: float | None = None) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark` (per observation), given the sample's skewness and kurtosis.

    `effective` is the number of independent observations, when that is less than their count. NaN without a Sharpe ratio.
    Source: D. Bailey & M. López de Prado, The Sharpe ratio efficient frontier, Journal of Risk 15(2), 2012, equation 11.
    """
    count, sharpe = effective if effective is not None else float(found.count), found.sharpe
    if not math.isfinite(sharpe) or count <= 1.0:
        return NAN
    spread = 1.0 - found.skew * sharpe + (found.kurtosis - 1.0) / 4.0 * sharpe**2
    if spread <= 0.0:  # two values only, and the rarer of them explains everything
        return NAN
    return NORMAL.cdf((sharpe - benchmark) * math.sqrt(count - 1.0) / math.sqrt(spread))


def expected_maximum(trials: int, deviation: float) -> float:
    """The Sharpe ratio to expect of the best of so many trials without any edge, when theirs scatter by `deviation`; 0.0 for one trial.

    Source: D. Bailey & M. López de Prado, The deflated Sharpe ratio, Journal of Portfolio Management 40(5), 2014, equation 1.
    """
    if trials < 2 or not deviation > 0.0:
        return 0.0
    high = NORMAL.inv_cdf(1.0 - 1.0 / trials)
    higher = NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return deviation * ((1.0 - EULER) * high + EULER * higher)


def deflated_sharpe(found: Moments, trial_sharpes: Reals, effective: float | None = None) -> float:
    """Probability that the true Sharpe ratio exceeds what the best of the trials gives by luck.

    `trial_sharpes` holds one per trial, in the same unit; NaN (a trial that did not trade) counts as a trial and adds nothing to the
    scatter. With fewer than two trials it is the probabilistic Sharpe ratio. Source: as `expected_maximum`, equation 2.
    """
    known = trial_sharpes[np.isfinite(trial_sharpes)]
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    return probabilistic_sharpe(found, expected_maximum(len(trial_sharpes), deviation), effective)


def autocovariance(values: Reals, lags: int) -> Reals:
    """Autocovariances of lags 0 to `lags`, each over n: float64[lags + 1]."""
    away = values - np.mean(values)
    return np.array([float(away[: len(away) - lag] @ away[lag:]) / len(away) for lag in range(lags + 1)])


def block_length(values: Reals) -> float:
    """Mean block length for the stationary bootstrap of the mean of float64[n]; 1.0 to sqrt(n) * 3, 1.0 when nothing is correlated.

    Source: D. Politis & H. White, Automatic block-length selection for the dependent bootstrap, Econometric Reviews 23, 2004, section 3,
    with the correction of A. Patton, D. Politis & H. White, 2009: flat-top window up to twice the last significant lag,
    b = (2 G^2 / D)^(1/3) n^(1/3), G = sum of w(k/M) |k| R(k), D = 2 g(0)^2, g(0) = sum of w(k/M) R(k).
    """
    count = len(values)
    longest = math.ceil(min(3.0 * math.sqrt(count), count / 3.0)) if count else 1
    quiet = max(QUIET_LAGS_MIN, math.ceil(math.log10(count))) if count else QUIET_LAGS_MIN
    lags_max = math.ceil(math.sqrt(count)) + quiet
    if count < 2 * lags_max or not np.ptp(values) > 0.0:
        return 1.0
    covariance = autocovariance(values, lags_max)
    if covariance[0] <= 0.0:
        return 1.0
    loud = np.abs(covariance[1:] / covariance[0]) >= 2.0 * math.sqrt(math.log10(count) / count)
    window = 2 * _last_loud(loud, quiet)
    if window == 0:
        return 1.0
    window = min(window, lags_max)
    lag = np.arange(1, window + 1)
    weight = np.minimum(1.0, 2.0 * (1.0 - lag / window))
    long_run = float(covariance[0] + 2.0 * np.sum(weight * covariance[1 : window + 1]))
    bend = float(2.0 * np.sum(weight * lag * covariance[1 : window + 1]))
    if long_run == 0.0:
        return float(longest)
    length = (2.0 * bend**2 / (2.0 * long_run**2)) ** (1.0 / 3.0) * count ** (1.0 / 3.0)
    return float(min(max(1.0, length), float(longest)))


def _last_loud(loud: npt.NDArray[np.bool_], quiet: int) -> int:
    """The lag after which `quiet` lags in a row are insignificant; the last significant one when there is no such lag."""
    for lag in range(len(loud) - quiet + 1):
        if not loud[lag : lag + quiet].any():
            return lag
    places = np.flatnonzero(loud)
    return int(places[-1]) + 1 if len(places) else 0


def bootstrap_means(values: Reals, block: float, draws: int, seed: int) -> Reals:
    """Means of `draws` resamplings of float64[n] in blocks of geometric length with mean `block`, wrapped at the end: float64[draws].

    Source: D. Politis & J. Romano, The stationary bootstrap, Journal of the American Statistical Association 89, 1994.
    """
    count = len(values)
    rng = np.random.default_rng(seed)
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values]))])
    means = np.empty(draws)
    for draw in range(draws):
        begins = rng.random(count) < 1.0 / block
        begins[0] = True
        places = np.flatnonzero(begins)
        lengths = np.diff(places, append=count)
        first = rng.integers(0, count, len(places))
        means[draw] = float(np.sum(sums[first + lengths] - sums[first])) / count
    return means


def effective_count(values: Reals, means: Reals) -> float:
    """How many independent observations make a mean as uncertain as its resamplings are: at most n. float64[n] and float64[draws] in."""
    count = len(values)
    spread = float(np.var(means))
    alone = float(np.var(values)) / count
    return min(float(count), count * alone / spread) if spread > 0.0 else float(count)


def reliability(probability: Reals, happened: npt.NDArray[np.bool_], bins: int = 10) -> tuple[Bin, ...]:
    """Predictions sorted into `bins` of equal numbers; equal probabilities stay together. Empty without predictions.

    Source: A. Murphy & R. Winkler, Reliability of subjective probability forecasts, Applied Statistics 26, 1977.
    """
    if len(probability) == 0:
        return ()
    edges = np.unique(np.quantile(probability, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="right")
    found = []
    for number in range(len(edges) + 1):
        mine = place == number
        if mine.any():
            found.append(Bin(float(np.mean(probability[mine])), float(np.mean(happened[mine])), int(np.sum(mine))))
    return tuple(found)


def brier_score(probability: Reals, happened: npt.NDArray[np.bool_]) -> float:
    """Mean squared distance of predictions from what happened: 0.0 perfect, 0.25 for a coin always at one half; NaN without any.

    Source: G. Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78, 1950.
    """
    return float(np.mean((probability - happened) ** 2)) if len(probability) else NAN
