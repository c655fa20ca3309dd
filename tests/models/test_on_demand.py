"""Predictions on demand say what the core would, read a model once, and remember what was said."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tercel.base.errors import ConfigError
from tercel.cache.predictions import Predictions
from tercel.features.spec import FeatureSet, bars, returns, volatility
from tercel.models.barriers import triple_barrier
from tercel.models.manifest import FINAL, Calibration, Part
from tercel.models.model import Model
from tercel.models.on_demand import OnDemand, said
from tercel.models.registry import Registry
from tests.models.made import model_of, stump

FEATURES = FeatureSet(bars("10s"), (returns(1), volatility(20)))
ROW = {"returns_1": 0.25, "volatility_20": 0.001}


def saved(registry: Registry, name: str, above: float = 1.0) -> Model:
    """A registered model that expects a rise after a rise; of EURUSD it has another opinion."""
    plain = Calibration(slope=1.0, offset=0.0, win=1.0, loss=1.0)
    parts = tuple(
        Part(name=FINAL, long=file, long_calibration=plain, short_calibration=plain, seen_first_ns=0, seen_last_ns=0, instrument=instrument)
        for file, instrument in (("rise.json", ""), ("fall.json", "EURUSD@sim"))
    )
    contents = {"rise.json": stump(0.0, -1.0, above), "fall.json": stump(0.0, 1.0, -1.0)}
    barriers = triple_barrier(1.0, 1.0, "2m", rows=20, every="10s")
    return registry.save(model_of(FEATURES, ("returns_1",), barriers, contents, parts, name=name))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with one model."""
    kept = Registry(tmp_path / "models")
    saved(kept, "one")
    return kept


def test_it_says_what_the_core_would(registry: Registry) -> None:
    """Side, raw score, calibrated probability and edge of the better side; an instrument's own part speaks for it."""

    async def talk() -> None:
        with OnDemand(registry) as models:
            said = await models.predict("one", ROW)
            assert (said["side"], said["score"]) == (1, 1.0)
            assert said["confidence"] == pytest.approx(0.7310585786300049, abs=1e-15)
            assert said["edge"] == pytest.approx(2 * said["confidence"] - 1, abs=1e-15)
            own = await models.predict("one@1", ROW, "EURUSD@sim")
            assert (own["side"], own["score"]) == (-1, 1.0)

    asyncio.run(talk())


def test_a_model_is_read_once_and_remembered(registry: Registry) -> None:
    """A hundred at once read the model once; the same rounded row is not computed again; another version is another answer."""

    async def talk() -> None:
        with OnDemand(registry) as models:
            said = await asyncio.gather(*(models.predict("one", ROW) for _ in range(100)))
            assert {one["score"] for one in said} == {1.0}
            assert models.pool.counters().loads == 1
            assert (await models.predict("one", {**ROW, "returns_1": 0.25 + 1e-9}))["score"] == 1.0
            saved(registry, "one", above=3.0)
            assert (await models.predict("one", ROW))["score"] == 3.0
            assert (await models.predict("one@1", ROW))["score"] == 1.0
            assert models.pool.counters().loads == 2

    asyncio.run(talk())


def test_rows_are_scored_in_one_batch(registry: Registry) -> None:
    """Many rows are what each says alone, in their order; those that are remembered are not scored again; the steps are told in order."""

    async def talk() -> None:
        with OnDemand(registry, predictions=Predictions(decimals=None)) as models:
            model = await models.model("one")
            part, steps = model.manifest.part(FINAL), list[str]()
            rows = np.linspace(-1.0, 1.0, 100)[:, None]
            found = await models.rows(model, part, rows, steps.append)
            assert found == said(model, part, rows)
            assert [one["score"] for one in found] == [1.0] * 100
            assert [one["side"] for one in found] == [-1] * 50 + [1] * 50
            assert steps == ["prediction_cache", "batch_prediction", "post_processing", "cache_store"]
            steps.clear()
            assert await models.rows(model, part, rows[::-1], steps.append) == found[::-1]
            assert steps == ["prediction_cache"]
            assert models.predictions.cache.counts["computed"] == 100

    asyncio.run(talk())


def test_without_a_required_feature_there_is_no_score(tmp_path: Path) -> None:
    """As in the core: a row that is still warming up has side 0, the others theirs."""
    plain = saved(Registry(tmp_path / "plain"), "one")
    model = Model(msgspec.structs.replace(plain.manifest, required=("returns_1",)), plain.contents)
    none, rise = said(model, model.manifest.part(FINAL), np.array([[np.nan], [0.25]]))
    assert (none["side"], rise["side"]) == (0, 1)
    assert all(np.isnan(none[word]) for word in ("score", "confidence", "edge"))
    (missing, _) = said(plain, plain.manifest.part(FINAL), np.array([[np.nan], [0.25]]))
    assert missing["side"] == 1  # what may be missing is


def test_only_so_many_models_stay_loaded(registry: Registry) -> None:
    """With room for one, the second pushes out the first."""
    saved(registry, "two", above=2.0)

    async def talk() -> None:
        with OnDemand(registry, models_max=1) as models:
            assert (await models.predict("one", ROW))["score"] == 1.0
            assert (await models.predict("two", ROW))["score"] == 2.0
            assert models.pool.keys() == ("two@1",)
            assert models.pool.counters().evictions == 1

    asyncio.run(talk())


def test_what_cannot_be_answered_is_refused(registry: Registry) -> None:
    """An unknown model by the nearest name, a missing input by its own."""

    async def talk() -> None:
        with OnDemand(registry) as models:
            with pytest.raises(ConfigError, match="did you mean 'one'"):
                await models.predict("on", ROW)
            with pytest.raises(ConfigError, match="missing: returns_1"):
                await models.predict("one", {"volatility_20": 0.1})

    asyncio.run(talk())
