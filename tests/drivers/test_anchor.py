"""Features with an anchor have one state for each instant: from the anchor, from a checkpoint, in a back-test and live, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tercel.base import paths
from tercel.base.errors import ConfigError
from tercel.base.time import parse_instant
from tercel.core.market_phase import ROW_CLOSE, ROW_SLOT, ROW_WORDS
from tercel.drivers.backtest import Backtest
from tercel.drivers.history import History, SimulatedHistory
from tercel.drivers.launch import FeedSpec
from tercel.features.spec import FeatureSet, bars, ema, rsi, sma
from tests.real_ticks import NAMES, PLAN, home_at, import_slice
from tests.traders import comparable, outputs_of, trader_of

ANCHOR, START = "2014-05-01T06:00", "2014-05-02T12:00"
ANCHORED = replace(PLAN, features=FeatureSet(bars("5s"), (ema(100), sma(20), rsi(14)), ANCHOR))


@pytest.fixture(scope="module")
def days(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Real ticks from the evening of 30 April to the afternoon of 2 May 2014."""
    with home_at(tmp_path_factory.mktemp("days")) as home:
        yield import_slice(data_dir, home, "2014-04-30T20:00", "2014-05-02T14:00")


def rows_of(run: Backtest) -> npt.NDArray[np.int64]:
    """The rows of a run: slot, close and registers, without the numbers of inputs."""
    found: list[npt.NDArray[np.int64]] = []
    inner = run.engine._on_rows
    assert inner is not None

    def take(rows: npt.NDArray[np.int64]) -> None:
        found.append(rows.copy())
        inner(rows)

    run.engine._on_rows = take
    run.run()
    rows = np.concatenate(found)
    return np.concatenate([rows[:, [ROW_SLOT, ROW_CLOSE]], rows[:, ROW_WORDS:-4]], axis=1)


def test_a_later_start_has_the_features_of_the_anchor(days: History) -> None:
    """Played from the anchor or started a day later, the rows from there on are equal to the bit; without the anchor they are not."""
    whole = rows_of(Backtest(ANCHORED, replace(days, start_ns=parse_instant(ANCHOR))))
    late = Backtest(ANCHORED, replace(days, start_ns=parse_instant(START)))
    rows = rows_of(late)
    assert late.warmed > 100_000
    same = whole[whole[:, 1] > rows[0, 1] - 1]
    assert len(rows) > 1_000
    assert np.array_equal(rows, same[-len(rows) :])
    plain = rows_of(
        Backtest(replace(ANCHORED, features=replace(ANCHORED.features, anchor="")), replace(days, start_ns=parse_instant(START)))
    )
    assert not np.array_equal(plain[-len(rows) :], rows)


def test_a_checkpoint_saves_the_way_and_changes_nothing(days: History) -> None:
    """The second run begins at the midnight before its start; with its checkpoint damaged it begins at the anchor again."""
    there = replace(days, start_ns=parse_instant(START))
    for path in paths.checkpoints_dir().rglob("*.snap"):
        path.unlink()
    first = Backtest(ANCHORED, there)
    expected = first.run()
    (stored,) = paths.checkpoints_dir().rglob("*.snap")
    assert stored.parent.name == "2014-05-02"
    second = Backtest(ANCHORED, there)
    again = second.run()
    assert 0 < second.warmed < first.warmed / 2
    assert again.state_hash == expected.state_hash
    assert again.outputs.tobytes() == expected.outputs.tobytes()
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 0xFF
    stored.write_bytes(content)
    third = Backtest(ANCHORED, there)
    assert third.run().state_hash == expected.state_hash
    assert third.warmed == first.warmed


def test_other_rows_before_it_make_a_checkpoint_useless(days: History, data_dir: Path, tmp_path: Path) -> None:
    """A checkpoint is of the very rows that were played; one of other history with the same instruments is not taken."""
    with home_at(tmp_path) as home:
        shorter = import_slice(data_dir, home, "2014-05-01T12:00", "2014-05-02T14:00")
        paths.checkpoints_dir().mkdir(parents=True)
        run = Backtest(ANCHORED, replace(shorter, start_ns=parse_instant(START)))
        run.run()
        alone = run.engine.state_hash()
        for path in paths.checkpoints_dir().rglob("*.snap"):
            path.unlink()
    for path in paths.checkpoints_dir().rglob("*.snap"):
        target = tmp_path / "cache" / "checkpoints" / path.relative_to(paths.checkpoints_dir())
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    with home_at(tmp_path):
        again = Backtest(ANCHORED, replace(shorter, start_ns=parse_instant(START)))
        again.run()
        assert again.engine.state_hash() == alone
        assert again.warmed == run.warmed


def test_live_begins_where_the_back_test_does(days: History) -> None:
    """The trader warms up from the catalog before its feed begins; outputs and state are the back-test's, a restart from the log too."""
    tested = Backtest(ANCHORED, replace(days, start_ns=parse_instant(START))).run()
    feed = FeedSpec(kind="replay", names=NAMES, speed=0, start=START)
    for how in ("new", "recovered"):
        trader = trader_of(ANCHORED, feed, "anchored")
        assert trader.start().how == how
        trader.run()
        trader.close()
        assert trader.engine.state_hash() == tested.state_hash
        assert comparable(outputs_of("anchored")) == comparable(tested.outputs)
        for path in paths.session_dir("anchored").glob("snapshot-*"):
            path.unlink()


def test_only_a_catalog_can_be_gone_back_in() -> None:
    """A simulated market has no past before its start; an anchor that is no time is refused where it is written."""
    with pytest.raises(ConfigError, match=r"bars\.anchor: expected history of the catalog, found simulated market"):
        Backtest(ANCHORED, SimulatedHistory(1, 0.1)).run()
    with pytest.raises(ConfigError, match="expected an ISO date or time"):
        FeatureSet(bars("1m"), (), "last week")
