"""The judgement of a model: what its out-of-sample proposals would have earned after costs, and whether that is more than luck.

`select` plays the proposals as the core would: the better side where its edge suffices, one trade at a time for an instrument. `evaluate`
measures those trades and gives a verdict: "edge" only when four things hold at once, "no edge" otherwise, with the reasons in words.
Outcomes are in *widths* (`tercel.models.barriers`), costs included; doing nothing earns 0.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.time import NS_PER_DAY
from tercel.models.training import significance
from tercel.models.training.significance import NAN, Bin, Moments, Reals

Integers = npt.NDArray[np.int64]

EDGE: Final = "edge"
NO_EDGE: Final = "no edge"

# What "edge" asks for, all at once.
TRADES_MIN: Final = 30
DEFLATED_MIN: Final = 0.95
CHANCE_MAX: Final = 0.05
INTERVAL: Final = 0.95  # share of the resampled means inside the interval, whose lower end must be above zero

DRAWS: Final = 2_000
BINS: Final = 10
NS_PER_YEAR: Final = 365.25 * NS_PER_DAY


class Outcomes(Protocol):
    """What is needed of a `Dataset`: rows in the order of (stamp, slot) with the outcome of a purchase and of a sale at each."""

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names by slot."""

    @property
    def slot(self) -> Integers:
        """int64[n]."""

    @property
    def stamp(self) -> Integers:
        """int64[n]: time of the decision, ns."""

    @property
    def end(self) -> Integers:
        """int64[n, 2]: when the outcome of a purchase and of a sale is known, ns."""

    @property
    def outcome(self) -> Reals:
        """float64[n, 2]: net, in widths; NaN unknown."""

    @property
    def relative(self) -> Reals:
        """float64[n]: width over mid."""


class Trades(NamedTuple):
    """Trades in the order of their decisions. `side` is +1 or -1, `outcome` in widths, `returned` as a share of the price, both net."""

    row: Integers
    slot: Integers
    fold: Integers
    side: Integers
    stamp: Integers
    end: Integers
    outcome: Reals
    returned: Reals
    probability: Reals


class FoldResult(msgspec.Struct, frozen=True, kw_only=True):
    """The trades of one fold; means are NaN without trades, `sharpe` per trade."""

    fold: int
    trades: int
    hit_rate: float
    mean_outcome: float
    mean_return: float
    sharpe: float


class InstrumentResult(msgspec.Struct, frozen=True, kw_only=True):
    """The trades of one instrument."""

    instrument: str
    trades: int
    hit_rate: float
    mean_outcome: float
    mean_return: float
    sharpe: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What the trades of a model are worth. Means per trade, net of costs; NaN where there are too few trades to say.

    `interval_low` to `interval_high` holds 95 % of the resampled mean outcomes. `effective` is the number of independent trades that would
    leave the mean as uncertain. `probabilistic` is the probability that the true Sharpe ratio is above zero, `deflated` that it is above
    what the best of `trials` gives by luck. `chance` is the share of random selections (as many trades in each fold and instrument, at any
    rows and on random sides) that do at least as well; `timing` the same with the sides kept. `reliability` and the Brier scores are over
    every out-of-sample prediction, `brier_base` that of always predicting the mean.
    """

    trades: int
    hit_rate: float
    mean_outcome: float
    mean_return: float
    sharpe: float
    sharpe_annual: float
    trades_per_year: float
    interval_low: float
    interval_high: float
    block: float
    effective: float
    probabilistic: float
    deflated: float
    trials: int
    chance: float
    timing: float
    draws: int
    doing_nothing: float = 0.0
    by_fold: tuple[FoldResult, ...] = ()
    by_instrument: tuple[InstrumentResult, ...] = ()
    reliability: tuple[Bin, ...] = ()
    brier: float = NAN
    brier_base: float = NAN
    predictions: int = 0
    verdict: str = NO_EDGE
    because: tuple[str, ...] = ()


def select(data: Outcomes, p: Reals, edge: Reals, fold: Integers, enter: float) -> Trades:
    """The trades of a model: at each row the side with the larger edge if that is at least `enter`, per instrument one after another.

    `p` and `edge` are float64[n, 2] (a purchase, a sale), NaN where nothing is predicted; `fold` is int64[n], -1 for rows no fold speaks
    about. The purchase is taken when both edges are equal. A trade whose outcome is unknown is not counted, and occupies its instrument.
    """
    side = np.where(np.nan_to_num(edge[:, 1], nan=-np.inf) > np.nan_to_num(edge[:, 0], nan=-np.inf), 1, 0)
    rows = np.arange(len(side))
    wanted = np.flatnonzero((edge[rows, side] >= enter) & (fold >= 0))
    kept = _one_at_a_time(data, wanted, side)
    taken = side[kept]
    known = np.isfinite(data.outcome[kept, taken])
    kept, taken = kept[known], taken[known]
    outcome = data.outcome[kept, taken]
    return Trades(
        row=kept, slot=data.slot[kept], fold=fold[kept], side=1 - 2 * taken, stamp=data.stamp[kept], end=data.end[kept, taken],
        outcome=outcome, returned=outcome * data.relative[kept], probability=p[kept, taken],
    )  # fmt: skip


def _one_at_a_time(data: Outcomes, wanted: Integers, side: Integers) -> Integers:
    """Of the rows wanted those at which their instrument holds nothing."""
    free_from: dict[int, int] = {}
    kept = []
    columns = (wanted, data.slot[wanted], data.stamp[wanted], data.end[wanted, side[wanted]])
    for row, slot, stamp, end in zip(*(column.tolist() for column in columns), strict=True):
        if stamp >= free_from.get(slot, stamp):
            kept.append(row)
            free_from[slot] = end
    return np.array(kept, np.int64)


def evaluate(
    data: Outcomes,
    p: Reals,
    edge: Reals,
    fold: Integers,
    enter: float,
    *,
    trial_sharpes: Reals,
    seed: int,
    block: float | None = None,
    draws: int = DRAWS,
) -> Evaluation:
    """Judge a model by its out-of-sample predictions; arguments as for `select`.

    `trial_sharpes` is the Sharpe ratio per trade of every variant that was tried, the chosen one included; NaN for one that did not trade.
    `block` is the mean block length of the bootstrap in trades; None takes the larger of the automatic length and the number of trades that
    are open at a time. The same arguments give the same result, whatever runs beside.
    """
    trades = select(data, p, edge, fold, enter)
    found = significance.moments(trades.outcome)
    block = max(significance.block_length(trades.outcome), _open_at_a_time(trades)) if block is None else max(1.0, block)
    low = high = effective = NAN
    if found.count > 1:
        means = significance.bootstrap_means(trades.outcome, block, draws, seed)
        outside = (1.0 - INTERVAL) / 2.0
        low, high = (float(value) for value in np.quantile(means, [outside, 1.0 - outside]))
        effective = significance.effective_count(trades.outcome, means) if block > 1.0 else float(found.count)
    chance, timing = _chance(data, edge, fold, trades, draws, seed)
    probability, won = _predictions(data, p, fold)
    base = float(np.mean(won)) if len(won) else NAN
    per_year = _per_year(trades)
    judged = Evaluation(
        **_summary(trades, slice(None)),
        sharpe_annual=found.sharpe * math.sqrt(per_year),
        trades_per_year=per_year,
        interval_low=low,
        interval_high=high,
        block=block,
        effective=effective,
        probabilistic=significance.probabilistic_sharpe(found, 0.0, effective),
        deflated=significance.deflated_sharpe(found, trial_sharpes, effective),
        trials=max(1, len(trial_sharpes)),
        chance=chance,
        timing=timing,
        draws=draws,
        by_fold=tuple(FoldResult(fold=number, **_summary(trades, trades.fold == number)) for number in np.unique(fold[fold >= 0]).tolist()),
        by_instrument=tuple(
            InstrumentResult(instrument=name, **_summary(trades, trades.slot == slot)) for slot, name in enumerate(data.instruments)
        ),
        reliability=significance.reliability(probability, won, BINS),
        brier=significance.brier_score(probability, won),
        brier_base=base * (1.0 - base),
        predictions=len(won),
    )
    verdict, because = judge(judged)
    return msgspec.structs.replace(judged, verdict=verdict, because=because)


def sharpe_of(trades: Trades) -> float:
    """The Sharpe ratio per trade, as `trial_sharpes` wants it; NaN with fewer than two trades or without scatter."""
    found = significance.moments(trades.outcome)
    return found.sharpe


def judge(found: Evaluation) -> tuple[str, tuple[str, ...]]:
    """The verdict over measured trades, and the reasons as sentences: all that was asked for an edge, what failed for none."""
    if found.trades == 0:
        return NO_EDGE, ("The model proposed no trade out of sample: no expected edge reached what entering asks for.",)
    luck = (
        f"more than the best of {found.trials:,} trials gives by luck" if found.trials > 1 else "more than luck, with a single trial made"
    )
    checks = [
        (found.trades >= TRADES_MIN, f"{found.trades:,} trades out of sample; at least {TRADES_MIN} are asked for."),
        (
            found.interval_low > 0.0,
            f"A trade earns {found.mean_outcome:+.3f} widths after costs, with {INTERVAL * 100:g} % confidence "
            f"{found.interval_low:+.3f} to {found.interval_high:+.3f}; all of it must lie above the 0 of doing nothing.",
        ),
        (
            found.deflated > DEFLATED_MIN,
            f"Probability that this is {luck}: {_percent(found.deflated)}; more than {DEFLATED_MIN * 100:g} % is asked for.",
        ),
        (
            found.chance < CHANCE_MAX,
            f"Random entries do as well in {_percent(found.chance)} of {found.draws:,} draws; "
            f"less than {CHANCE_MAX * 100:g} % is asked for.",
        ),
    ]
    if not math.isfinite(found.sharpe):
        checks[2] = (False, "All trades came out alike, so there is no Sharpe ratio to judge.")
    failed = tuple(text for holds, text in checks if not holds)
    if failed:
        return NO_EDGE, failed
    reasons = tuple(text for _, text in checks)
    if found.timing >= CHANCE_MAX:
        reasons += (
            f"But random moments on the same sides do as well in {_percent(found.timing)} of draws: the direction earns, not the moment.",
        )
    return EDGE, reasons


def _percent(share: float) -> str:
    """A share near an end is not rounded to it: 99.96 % stays below 100 %."""
    if math.isnan(share):
        return "an unknown share"
    if 0.0 < share < 0.001:
        return "less than 0.1 %"
    if 0.999 < share < 1.0:
        return "more than 99.9 %"
    return f"{share * 100:.1f} %"


def _summary(trades: Trades, chosen: Any) -> dict[str, Any]:
    """The figures that all, a fold's and an instrument's trades share."""
    outcome = trades.outcome[chosen]
    found: Moments = significance.moments(outcome)
    return {
        "trades": found.count,
        "hit_rate": float(np.mean(outcome > 0.0)) if found.count else NAN,
        "mean_outcome": found.mean,
        "mean_return": float(np.mean(trades.returned[chosen])) if found.count else NAN,
        "sharpe": found.sharpe,
    }


def _per_year(trades: Trades) -> float:
    """Trades in 365.25 days at the pace between the first decision and the last exit."""
    count = len(trades.row)
    span = int(np.max(trades.end) - trades.stamp[0]) if count else 0
    return count * NS_PER_YEAR / span if span > 0 else NAN


def _open_at_a_time(trades: Trades) -> float:
    """How many trades are open while any is, over all instruments; what overlaps shares its outcome, so a block holds that many."""
    if len(trades.row) == 0:
        return 1.0
    held = float(np.sum(trades.end - trades.stamp))
    last = np.maximum.accumulate(trades.end)
    begins = np.maximum(trades.stamp, np.concatenate([trades.stamp[:1], last[:-1]]))
    covered = float(np.sum(np.maximum(0, trades.end - begins)))
    return max(1.0, held / covered) if covered > 0.0 else 1.0


def _chance(data: Outcomes, edge: Reals, fold: Integers, trades: Trades, draws: int, seed: int) -> tuple[float, float]:
    """Shares of random selections whose mean outcome is at least that of the trades: on random sides, and on the same sides.

    A random selection has as many trades in each fold and instrument, at rows the model was asked about. (1 + hits) / (1 + draws), so a
    share is never zero: B. Phipson & G. Smyth, Permutation p-values should never be zero, 2010.
    """
    if len(trades.row) == 0:
        return 1.0, 1.0
    asked = (fold >= 0) & np.isfinite(edge).all(axis=1) & np.isfinite(data.outcome).all(axis=1)
    pool = np.flatnonzero(asked)
    slots = len(data.instruments)
    cell = fold[pool] * slots + data.slot[pool]
    order = np.argsort(cell, kind="stable")
    pool, cell = pool[order], cell[order]
    mine = trades.fold * slots + trades.slot
    first, last = np.searchsorted(cell, mine, side="left"), np.searchsorted(cell, mine, side="right")
    if bool((first == last).any()):  # a trade whose cell has no row with both outcomes known cannot be compared
        return 1.0, 1.0
    outcome = data.outcome[pool]
    own = (1 - trades.side) // 2
    rng = np.random.default_rng(seed)
    reached, least = np.zeros(2, np.int64), float(np.mean(trades.outcome))
    for _ in range(draws):
        rows = first + (rng.random(len(mine)) * (last - first)).astype(np.int64)
        coin = rng.integers(0, 2, len(mine))
        reached += [np.mean(outcome[rows, coin]) >= least, np.mean(outcome[rows, own]) >= least]
    chance, timing = (1 + reached) / (1 + draws)
    return float(chance), float(timing)


def _predictions(data: Outcomes, p: Reals, fold: Integers) -> tuple[Reals, npt.NDArray[np.bool_]]:
    """Every out-of-sample probability, of both sides, and whether that side ended above its costs."""
    known = (fold >= 0)[:, None] & np.isfinite(p) & np.isfinite(data.outcome)
    return p[known], data.outcome[known] > 0.0
