"""One walk forward: forests and calibrations of every fold, and what they say about the stretch each never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.models import lightgbm_text
from tercel.models.barriers import TripleBarrier
from tercel.models.forest import Forest
from tercel.models.manifest import FINAL, Calibration, Part
from tercel.models.training.calibrate import calibrate, expected, probability
from tercel.models.training.dataset import Dataset, Predictions
from tercel.models.training.fit import Boosting, fit
from tercel.models.training.folds import Fold
from tercel.models.training.weights import weigh

Floats = npt.NDArray[np.float64]
Done = Callable[[int, int], None]
SIDES = ("long", "short")


@dataclass(frozen=True)
class Prepared:
    """A fold with the weights of its rows, which no parameter changes."""

    fold: Fold
    train_weights: Floats  # [train, 2]
    calibrate_weights: Floats  # [calibrate, 2]


@dataclass(frozen=True)
class Fitted:
    """One side of one fold: the forest's text, its calibration and its scores of the test rows."""

    content: bytes
    calibration: Calibration
    raw: Floats  # [test]


def prepare(data: Dataset, folds: Sequence[Fold]) -> list[Prepared]:
    """The folds with their weights, each block weighed by itself."""
    return [Prepared(fold, weigh(data, fold.train), weigh(data, fold.calibrate)) for fold in folds]


def walk(
    data: Dataset, folds: Sequence[Prepared], barriers: TripleBarrier, settings: Boosting, seed: int, threads: int, done: Done | None = None
) -> list[tuple[Fitted, Fitted]]:
    """Fit, calibrate and test both sides of every fold; `threads` changes no bit. `done(so many, of so many)` is told."""
    jobs = [(one, side) for one in folds for side in range(len(SIDES))]

    def run(job: tuple[Prepared, int]) -> Fitted:
        return _fitted(data, job[0], job[1], barriers, settings, seed)

    made = []
    with ThreadPoolExecutor(threads, thread_name_prefix="fit") as pool:
        for number, one in enumerate(pool.map(run, jobs), 1):
            made.append(one)
            if done:
                done(number, len(jobs))
    return list(zip(made[0::2], made[1::2], strict=True))


def _fitted(data: Dataset, one: Prepared, side: int, barriers: TripleBarrier, settings: Boosting, seed: int) -> Fitted:
    fold = one.fold
    won = data.outcome[fold.train, side] > 0.0
    content = fit(data.rows[fold.train], won, one.train_weights[:, side], data.names, settings, seed)
    forest = Forest(lightgbm_text.parse(content.decode()))
    raw = forest.predict(data.rows[fold.calibrate])
    calibration = calibrate(raw, data.outcome[fold.calibrate, side], one.calibrate_weights[:, side], barriers)
    return Fitted(content, calibration, forest.predict(data.rows[fold.test]))


def predictions(data: Dataset, folds: Sequence[Fold], fitted: Sequence[tuple[Fitted, Fitted]]) -> Predictions:
    """What the folds say about the rows they test."""
    raw, p, edge = (np.full((len(data), 2), np.nan) for _ in range(3))
    number = np.full(len(data), -1, np.int64)
    for fold, sides in zip(folds, fitted, strict=True):
        number[fold.test] = fold.number
        for side, one in enumerate(sides):
            raw[fold.test, side] = one.raw
            p[fold.test, side] = probability(one.calibration, one.raw)
            edge[fold.test, side] = expected(one.calibration, p[fold.test, side])
    return Predictions(raw, p, edge, number)


def part(data: Dataset, fold: Fold, sides: tuple[Fitted, Fitted]) -> tuple[Part, dict[str, bytes]]:
    """A fold as a part of a model, and its files."""
    name = f"fold-{fold.number}" if fold.number else FINAL
    files = {f"{name}.{side}.txt": one.content for side, one in zip(SIDES, sides, strict=True)}
    learned = np.concatenate([fold.train, fold.calibrate])
    long, short = files
    return Part(
        name=name,
        long=long,
        short=short,
        long_calibration=sides[0].calibration,
        short_calibration=sides[1].calibration,
        seen_first_ns=int(data.stamp[learned].min()),
        seen_last_ns=int(data.ended[learned].max()),
        test_first_ns=fold.test_first_ns if fold.number else 0,
        test_last_ns=fold.test_last_ns if fold.number else 0,
    ), files
