"""A model as training makes it, not made by hand: it speaks after its training, knows what it needs, and takes over where it may."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from tercel.base.errors import DataError
from tercel.core.market_phase import ROW_MODEL, ROW_SLOT
from tercel.decision.rules import ModelRule
from tercel.drivers import bound_file, schedule
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import SimulatedHistory
from tercel.drivers.lookahead_training import check_in_sample
from tercel.drivers.session import Plan
from tercel.drivers.train import Trained, train
from tercel.features.spec import FeatureSet, bars, imbalance, rsi, volume_ratio, zscore
from tercel.models.barriers import triple_barrier
from tercel.models.manifest import FINAL
from tercel.models.placement import bind, meaning_of
from tercel.models.training.fit import Boosting

MARKET = SimulatedHistory(5, 2.0)
LONGER = SimulatedHistory(5, 3.0)
FEATURES = FeatureSet(bars("30s"), (rsi(14), zscore(60), volume_ratio(20), imbalance()))


@cache
def made() -> Trained:
    """A small training that proposes all it can."""
    small = Boosting(trees=5, leaves=4)
    return train(MARKET, FEATURES, labels=triple_barrier(1.0, 1.0, "5m"), folds=2, enter=-9.0, boosting=small, register=False)


def test_the_final_part_speaks_behind_the_folds() -> None:
    """Behind the last fold no silence follows: the final part has the word from the moment the folds have none, and keeps it."""
    model = made().model
    changes = schedule.honest(model)
    assert [change.part.name for change in changes if change.part is not None] == ["fold-1", "fold-2", FINAL]
    assert changes[-1].part is not None
    seen: list[np.ndarray] = []
    run = Backtest(Plan(decide=ModelRule(model)), LONGER)
    inner = run.engine._on_rows
    assert inner is not None
    run.engine._on_rows = lambda rows: (seen.append(rows.copy()), inner(rows))[1]
    result = run.run()
    rows = np.concatenate(seen)
    final = run.engine.models.place(model, model.manifest.part(FINAL))
    after = rows[rows[:, 3] > changes[-1].at_ns]
    assert len(after) > 300
    assert set(after[:, ROW_MODEL].tolist()) == {final}
    assert set(after[:, ROW_SLOT].tolist()) == set(range(len(LONGER.instruments)))
    assert (result.outputs["time"] > changes[-1].at_ns).sum() > 50
    assert check_in_sample(model, changes[-1].at_ns, changes[-1].at_ns + 10**12).clean


def test_no_proposal_while_a_feature_warms_up() -> None:
    """What is known in every row but the first is required: before, no decision is trained on, or made."""
    trained = made()
    manifest = trained.model.manifest
    assert set(manifest.required) >= {"rsi_14", "zscore_60"}
    assert not np.isnan(trained.data.rows[:, [manifest.inputs.index(name) for name in manifest.required]]).any()
    result = Backtest(Plan(decide=ModelRule(trained.model)), MARKET, in_sample=True).run()
    assert result.reasons["warming"] >= 59 * len(MARKET.instruments)  # 60 bars until the z-score is known


def test_a_bound_model_comes_back_as_it_was(tmp_path: Path) -> None:
    """Numbers, meaning and memory; any damaged byte is found; nothing of a half-written file is ever seen."""
    model = made().model
    bound = bind(model, model.manifest.part(FINAL), model.feature_set.compile())
    path = tmp_path / "one.bound"
    bound_file.save(bound, path)
    again = bound_file.load(path)
    assert (again.number, again.meaning, again.seen_last_ns) == (bound.number, bound.meaning, model.manifest.part(FINAL).seen_last_ns)
    assert [part.tolist() for part in again.memory] == [part.tolist() for part in bound.memory]
    assert again.words.tolist() == bound.words.tolist()
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.bound"]
    content = bytearray(path.read_bytes())
    for place in (0, 9, 70, len(content) // 2, len(content) - 1):
        damaged = content.copy()
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="bind it again"):
            bound_file.load(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="expected a bound model, found 0 words"):
        bound_file.load(path)


def test_what_a_core_and_a_model_have_in_common() -> None:
    """Another edge to enter, other barriers or another program are another meaning, so no running core takes such a model."""
    manifest = made().model.manifest
    others = [
        structs.replace(manifest, enter=0.9),
        structs.replace(manifest, barriers=structs.replace(manifest.barriers, take=3.0)),
        structs.replace(manifest, program="0" * 64),
    ]
    assert len({meaning_of(one) for one in (manifest, *others)}) == 4
    assert meaning_of(structs.replace(manifest, name="other", version=7)) == meaning_of(manifest)
