"""A back-test of a trained model: each stretch is traded by the part that never saw it, and the report says when it is not so."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tercel.base.errors import ConfigError
from tercel.base.records import OUT_FILL, OUT_INTENT, OUT_SIGNAL
from tercel.base.time import NS_PER_H, NS_PER_MIN
from tercel.core.market_phase import ROW_CLOSE, ROW_MODEL
from tercel.decision.rules import ModelRule
from tercel.drivers import schedule
from tercel.drivers.backtest import Backtest, backtest
from tercel.drivers.history import SIMULATED_START_NS, SimulatedHistory
from tercel.drivers.session import Plan
from tercel.features.spec import FeatureSet, bars, ema, returns, volatility
from tercel.models.barriers import triple_barrier
from tercel.models.manifest import FINAL, Calibration, Part
from tercel.models.model import Model, with_own
from tercel.risk.limits import Limits
from tests.models.made import model_of, stump

FEATURES = FeatureSet(bars("10s"), (returns(1), volatility(20)))
BARRIERS = triple_barrier(1.0, 1.0, "2m", rows=20, every="10s")
PLAIN = Calibration(slope=1.0, offset=0.0, win=1.0, loss=1.0)
MARKET = SimulatedHistory(seed=3, hours=1.0)
START = SIMULATED_START_NS
QUARTER = NS_PER_H // 4


def part(name: str, file: str, first: int, last: int, instrument: str = "") -> Part:
    """A part that trades [first, last) of the market, in ns from its start, or all that comes after it when it is final."""
    seen = START + (last if name == FINAL else 0)
    times = {} if name == FINAL else {"test_first_ns": START + first, "test_last_ns": START + last}
    return Part(
        name=name, long=file, long_calibration=PLAIN, short_calibration=PLAIN, seen_first_ns=0, seen_last_ns=seen, instrument=instrument,
        **times,
    )  # fmt: skip


def model(*parts: Part) -> Model:
    """Files "rise" buys after a rise, "fall" after a fall."""
    contents = {"rise.json": stump(0.0, -1.0, 1.0), "fall.json": stump(0.0, 1.0, -1.0)}
    return model_of(FEATURES, ("returns_1",), BARRIERS, contents, parts)


FOLDS = (part("fold-1", "rise.json", QUARTER, 2 * QUARTER), part("fold-2", "fall.json", 2 * QUARTER, 3 * QUARTER))


def test_each_fold_trades_its_own_stretch() -> None:
    """No signal before the first fold or after the last; in each stretch the sides are those of its fold."""
    chosen = model(*FOLDS, part(FINAL, "rise.json", 0, 5 * QUARTER))
    rows = []
    run = Backtest(Plan(decide=ModelRule(chosen)), MARKET)
    run.engine._on_rows = lambda found: rows.append(found.copy())
    result = run.run()
    signals = result.outputs[(result.outputs["kind"] == OUT_SIGNAL) & (result.outputs["side"] != 0)]
    assert len(signals) > 50
    assert signals["time"].min() >= START + QUARTER
    assert signals["time"].max() <= START + 3 * QUARTER + NS_PER_MIN
    found = np.concatenate(rows)
    assert set(np.unique(found[:, ROW_MODEL])) == {0, *run.engine.models.numbers}
    assert len(run.engine.models.numbers) == 2  # the final part scores as the first fold does, so it is the same
    for scorer, begin in zip(run.engine.models.numbers, (QUARTER, 2 * QUARTER), strict=True):
        closes = found[found[:, ROW_MODEL] == scorer][:, ROW_CLOSE]
        assert START + begin <= closes.min()
        assert closes.max() < START + begin + QUARTER
    assert result.reasons["no_model"] > 100
    assert result.notes[0].startswith("Out of sample")


def test_the_final_part_trades_what_comes_later() -> None:
    """From the moment its last label was known."""
    result = backtest(MARKET, decide=model(part(FINAL, "rise.json", 0, 2 * QUARTER)))
    intents = result.outputs[result.outputs["kind"] == OUT_INTENT]
    assert len(intents)
    assert intents["time"].min() >= START + 2 * QUARTER


def test_a_model_that_has_seen_everything_is_refused_unless_it_is_said() -> None:
    """Without a word there is no result; with `in_sample` the report begins with it."""
    seen = model(part(FINAL, "rise.json", 0, 8 * QUARTER))
    with pytest.raises(ConfigError, match="it has seen all of this history"):
        backtest(MARKET, decide=seen)
    result = backtest(MARKET, decide=seen, in_sample=True)
    assert result.notes[0].startswith("IN SAMPLE")
    assert result.orders > 50


def test_models_are_put_together_by_instrument() -> None:
    """A shared model and one of an instrument's own trade as one; the registry keeps it; another program or other barriers are refused."""
    shared, own = model(part(FINAL, "rise.json", 0, 0)), model(part(FINAL, "fall.json", 0, 0))
    both = with_own(shared, {"EURUSD@sim": own})
    parts = model(part(FINAL, "rise.json", 0, 0), part(FINAL, "fall.json", 0, 0, "EURUSD@sim"))
    assert backtest(MARKET, decide=both).state_hash == backtest(MARKET, decide=parts).state_hash
    other = Model(msgspec.structs.replace(own.manifest, enter=0.7), own.contents)
    with pytest.raises(ConfigError, match=r"for EURUSD@sim: expected the shared model's enter 0\.1, found 0\.7"):
        with_own(shared, {"EURUSD@sim": other})


def test_an_instrument_may_have_parts_of_its_own() -> None:
    """The one for EURUSD speaks about it alone, the shared one about the others."""
    own = part(FINAL, "fall.json", 0, 0, "EURUSD@sim")
    shared = part(FINAL, "rise.json", 0, 0)
    wide = Limits(daily_loss=1e9, orders_per_second=0)  # limits that instruments share would let one speak for the other
    both, one = backtest(MARKET, decide=model(shared, own), limits=wide), backtest(MARKET, decide=model(shared), limits=wide)
    assert both.state_hash != one.state_hash
    identifier = next(instrument.id for instrument in MARKET.instruments if instrument.name == "EURUSD@sim")
    differ = both.outputs["instrument"] != identifier
    same = one.outputs["instrument"] != identifier

    def sides(outputs: np.ndarray) -> list[tuple[int, ...]]:
        signals = outputs[outputs["kind"] == OUT_SIGNAL]
        return [tuple(signal) for signal in signals[["time", "instrument", "side"]].tolist()]

    assert sides(both.outputs[differ]) == sides(one.outputs[same])
    assert sides(both.outputs[~differ]) != sides(one.outputs[~same])


def test_positions_end_at_a_barrier() -> None:
    """Every position is left by the time barrier at the latest; no new proposal is taken while one is held."""
    result = backtest(MARKET, decide=model(part(FINAL, "rise.json", 0, 0)))
    fills = result.fills
    for one in result.instruments:
        own = fills[fills["instrument"] == one.id]
        assert np.all((own["position"] == 0) | (np.abs(own["position"]) <= own["size"] + np.abs(own["position"])))
        entered = own["time"][:-1][own["position"][:-1] != 0]
        left = own["time"][1:][own["position"][:-1] != 0]
        assert np.max(left - entered, initial=0) <= BARRIERS.horizon_ns + 30 * 10**9
    assert result.reasons["holding"] > 100
    assert np.count_nonzero(result.outputs["kind"] == OUT_FILL) > 100


def test_threads_and_cuts_change_nothing() -> None:
    """The market phase in three shards gives the same outputs and state with models too."""
    chosen = model(*FOLDS)
    one, three = backtest(MARKET, decide=chosen), backtest(MARKET, decide=chosen, threads=3)
    assert one.outputs.tobytes() == three.outputs.tobytes()
    assert one.state_hash == three.state_hash


def test_other_features_are_refused() -> None:
    """A model runs on the program it was trained on and no other; the error names both."""
    with pytest.raises(ConfigError, match="it was trained on the feature program"):
        backtest(MARKET, FeatureSet(bars("10s"), (ema(5),)), model(*FOLDS))


def test_a_change_comes_before_what_arrives_at_its_time() -> None:
    """Records at the very time of a change are the new part's; those before are not."""
    chosen = model(*FOLDS)
    changes = schedule.honest(chosen)
    assert [(change.at_ns - START, change.part.name if change.part else "") for change in changes] == [
        (QUARTER, "fold-1"), (2 * QUARTER, "fold-2"), (3 * QUARTER, ""),
    ]  # fmt: skip
    orders = schedule.commands(changes, chosen, Backtest(Plan(decide=ModelRule(chosen)), MARKET).engine.models, MARKET.instruments)
    records = np.zeros(4, orders[0].dtype)
    records["ts_recv"] = START + np.array([QUARTER - 1, QUARTER, QUARTER + 1, 5 * QUARTER])
    parts = list(schedule.merged([records[:2], records[2:]], orders))
    assert [len(one) for one in parts] == [1, 1, 1, 1, 1, 1, 1]
    assert np.concatenate(parts)["kind"].tolist() == [0, 33, 0, 0, 33, 33, 0]
    assert msgspec.structs.asdict(FOLDS[0])["test_last_ns"] == START + 2 * QUARTER
