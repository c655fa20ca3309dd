"""Training: rows as the live core has them, the same bytes again, a manifest that repeats it, and refusals that say what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import Records
from tercel.base.time import format_duration
from tercel.core.engine import Engine
from tercel.core.market_phase import ROW_INPUT, ROW_SLOT, ROW_WORDS
from tercel.drivers.session import Plan
from tercel.drivers.shortage import warm_up
from tercel.drivers.train import Trained, default_features, reproduce, train
from tercel.features.program import BASE_COLUMNS
from tercel.features.spec import FeatureSet, bars, rsi, zscore
from tercel.models.manifest import FINAL, decode, encode
from tercel.models.registry import Registry
from tercel.models.training.calibrate import expected, probability
from tests.drivers.random_walks import LABELS, SMALL, Walk

FEATURES = FeatureSet(bars("1m"), (zscore(20), rsi(14)))
WALK = Walk(3, minutes=1_500, drift=0.5)


def trained(history: Walk = WALK, features: FeatureSet | None = FEATURES, **more: object) -> Trained:
    """A small training, not registered."""
    given = {"labels": LABELS, "boosting": msgspec.structs.replace(SMALL, trees=10), "folds": 3, "register": False, **more}
    return train(history, features, **given)  # type: ignore[arg-type]


@cache
def usual() -> Trained:
    """One of them."""
    return trained()


def test_rows_are_those_of_the_live_core_to_the_bit() -> None:
    """Pushed record by record through an engine, as live: each row of the dataset is there, stamped by the input that closed it."""
    data = usual().data
    plan = Plan(FEATURES.with_features([LABELS.volatility]), None)
    core = plan.core(WALK.instruments, WALK.quoted)
    taken: list[npt.NDArray[np.int64]] = []
    engine = Engine(core, lambda _: None, on_rows=lambda rows: taken.append(rows.copy()))
    sequencer = plan.sequencer(core)
    live: dict[int, npt.NDArray[np.float64]] = {}

    def push(sequenced: Records) -> None:
        first = engine.input_number + 1
        engine.push(sequenced)
        for rows in taken:
            assert rows[:, ROW_SLOT].tolist() == [0]
            columns = [ROW_WORDS + core.program.register(name) for name in data.names]
            live[int(sequenced["ts_recv"][rows[0, ROW_INPUT] - first])] = rows.view(np.float64)[0, columns]
        taken.clear()

    for records in WALK.stream(plan.feed_latency_ns):
        for at in range(len(records)):
            for sequenced in sequencer.push(records[at : at + 1]):
                push(sequenced)
    for sequenced in sequencer.finish():
        push(sequenced)
    assert len(data) > 1_400
    stamps = set(live)
    assert stamps.issuperset(data.stamp.tolist())
    ours = np.array([live[stamp] for stamp in data.stamp.tolist()])
    assert ours.tobytes() == data.rows.tobytes()


def test_the_same_call_gives_the_same_bytes() -> None:
    """Every file and the manifest, also with other threads; another seed gives other forests."""
    first, again = usual(), trained(threads=1)
    assert again.model.contents == first.model.contents
    assert encode(again.model.manifest) == encode(first.model.manifest)
    assert trained(seed=2).model.contents != first.model.contents


def test_the_manifest_says_what_the_model_is() -> None:
    """Parts of every fold and the final one, hashes, the fingerprint of the data, settings and versions; it survives being kept."""
    found = usual()
    manifest = found.model.manifest
    assert manifest.inputs == found.data.names == ("zscore_20", "rsi_14")
    assert LABELS.volatility.name in [feature.name for feature in manifest.features]
    assert manifest.feature_set.compile().hash == manifest.program
    assert [part.name for part in manifest.parts] == ["fold-1", "fold-2", "fold-3", FINAL]
    assert sorted(manifest.files) == sorted(found.model.contents)
    assert manifest.data["instruments"]["EURUSD@oanda"]["quotes"] == WALK.rows
    assert manifest.training["libraries"]["lightgbm"]
    assert manifest.training["settings"]["seed"] == 1
    assert manifest.metrics["verdict"] == found.evaluation.verdict
    assert decode(encode(manifest)) == manifest
    for part, fold in zip(manifest.parts, found.folds, strict=False):
        assert (part.test_first_ns, part.test_last_ns) == (fold.test_first_ns, fold.test_last_ns)
        assert part.seen_last_ns < part.test_first_ns
    assert manifest.part(FINAL).seen_last_ns > max(part.test_first_ns for part in manifest.parts)
    assert sum(found.importance.values()) == pytest.approx(1.0)


def test_predictions_are_what_the_parts_of_the_model_say() -> None:
    """Scores, probabilities and edges of a fold's stretch come from its files and calibrations alone; elsewhere there are none."""
    found = usual()
    for fold in found.folds:
        part = found.model.manifest.part(f"fold-{fold.number}")
        assert (found.fold[fold.test] == fold.number).all()
        for side, (file, calibration) in enumerate(((part.long, part.long_calibration), (part.short, part.short_calibration))):
            raw = found.model.forest(file).predict(found.data.rows[fold.test])
            assert raw.tobytes() == found.raw[fold.test, side].tobytes()
            assert np.array_equal(found.p[fold.test, side], probability(calibration, raw))
            assert np.array_equal(found.edge[fold.test, side], expected(calibration, found.p[fold.test, side]))
    untold = found.fold == -1
    assert untold.sum() == found.folds[0].test[0]
    assert np.isnan(found.edge[untold]).all()


def test_a_kept_model_can_be_trained_again() -> None:
    """From the manifest alone, to the bit; other data and other bytes are named."""
    found = usual().model
    assert reproduce(found, WALK).model.contents == found.contents
    with pytest.raises(DataError, match="other quotes of EURUSD@oanda"):
        reproduce(found, replace(WALK, seed=4))
    files = {**found.manifest.files, "final.long.txt": "0" * 64}
    forged = type(found)(msgspec.structs.replace(found.manifest, files=files), found.contents)
    with pytest.raises(DataError, match=r"final\.long\.txt different; .* bug of ours"):
        reproduce(forged, WALK)


def test_every_trial_counts_against_the_verdict() -> None:
    """A search keeps all its trials, chooses the best, and the judgement knows how many there were, also elsewhere; it can be repeated."""
    found = trained(search=3, trials_before=(0.2, 0.1))
    assert [trial.number for trial in found.trials] == [1, 2, 3]
    assert found.evaluation.trials == 5
    assert len(found.model.manifest.training["trials"]) == 3
    assert all(len(trial.by_fold) == 3 for trial in found.trials)
    chosen = max(found.trials, key=lambda trial: trial.worth)
    assert found.model.manifest.training["parameters"] == chosen.parameters
    assert found.evaluation.sharpe == chosen.sharpe
    assert found.evaluation.deflated < usual().evaluation.deflated
    assert reproduce(found.model, WALK).model.contents == found.model.contents


def test_a_trained_model_is_registered(home: Path) -> None:
    """It gets a version of its name, the same one when it is repeated, and loads with the same bytes."""
    first, second = trained(register=True, name="walk"), trained(register=True, name="walk")
    assert (first.model.name, second.model.name) == ("walk@1", "walk@1")
    assert Registry().load("walk").contents == usual().model.contents


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"folds": 0}, "folds: expected 1 to"),
        ({"folds": 90}, "to train on"),
        ({"features": FeatureSet(bars("1m"), ())}, "at least one feature"),
        ({"history": Walk(1, minutes=20)}, "known outcome"),
        ({"embargo": "2d"}, "to train on"),
        ({"search": 1}, "search: expected 0 for none"),
    ],
)
def test_what_cannot_be_trained_is_refused(more: dict[str, object], said: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigError, match=said):
        trained(**more)  # type: ignore[arg-type]


def test_a_history_that_is_too_short_is_told_what_it_lacks() -> None:
    """Bars found and needed, and the setting behind each number; with the bars that are needed the same call trains."""
    with pytest.raises(ConfigError) as refused:
        trained(Walk(1, minutes=60))
    said = str(refused.value)
    found = re.search(r"needed are about (\d+) bars: (\d+) until every feature is known .*5 stretches .* of (\d+) each", said)
    assert found, said
    needed, warm, stretch = map(int, found.groups())
    assert "found 60 bars of 1m, " in said
    assert f"rows = {LABELS.rows}" in said
    assert "folds = 3, and two before them" in said
    assert f"horizon = {format_duration(LABELS.horizon_ns)}, embargo = {format_duration(LABELS.horizon_ns)}" in said
    assert needed == warm + 5 * stretch
    enough = trained(Walk(1, minutes=needed + 2))
    assert len(enough.data) - (needed - warm) in range(5)


def test_the_warm_up_that_is_told_is_the_real_one() -> None:
    """The first bar with every feature in a history is the one that `warm_up` names."""
    features = default_features().with_features([LABELS.volatility])
    rows, slowest = warm_up(features.compile())
    data = trained(Walk(1, minutes=rows + 400), default_features()).data
    assert slowest == "zscore_240_macd_30_90_20"
    assert len(data) in range(400, 404)


def test_the_usual_features_have_no_scale() -> None:
    """The price times a thousand gives the same features, but for roundings; without quotes there are none of the spread."""
    features = default_features()
    chance = np.random.default_rng(1)
    close = 1.1 * np.exp(np.cumsum(chance.normal(0, 1e-4, 600)))
    low, high = close * (1 - 1e-4), close * (1 + 1e-4)
    spread = close * chance.uniform(0.5e-4, 1e-4, 600)
    program = features.compile()
    ticks = chance.integers(1, 60, 600).astype(float)
    columns = {"open": close, "high": high, "low": low, "close": close, "bid": close, "ask": close + spread}

    def computed(scale: float) -> npt.NDArray[np.float64]:
        base = np.full((len(BASE_COLUMNS), 600), np.nan)
        for place, name in enumerate(BASE_COLUMNS):
            base[place] = ticks if name == "ticks" else columns[name] * scale if name in columns else np.nan
        return program.compute(base)

    one, thousand = computed(1.0), computed(1_000.0)
    assert np.isfinite(one[:, -1]).all()
    assert thousand == pytest.approx(one, rel=1e-4, abs=1e-4, nan_ok=True)
    assert not any("spread" in name or "ticks" in name for name in default_features(quoted=False).names)
