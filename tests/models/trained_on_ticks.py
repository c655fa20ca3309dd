"""A model whose two forests LightGBM has trained on the rows of a history: not good, but as deep and wide as a real one."""

from __future__ import annotations

import lightgbm
import numpy as np
import numpy.typing as npt

from tercel.core.engine import Engine
from tercel.core.market_phase import ROW_SLOT, ROW_WORDS
from tercel.drivers.history import Source
from tercel.drivers.session import Plan
from tercel.features.spec import FeatureSet, bars, ema, macd, returns, roc, rsi, stoch_rsi, volatility, zscore
from tercel.models.barriers import triple_barrier
from tercel.models.manifest import FINAL, Calibration, Part
from tercel.models.model import Model
from tests.models.made import model_of

CLOSE = 3
BARRIERS = triple_barrier(1.0, 1.0, "90s", rows=30, every="5s")
FEATURES = FeatureSet(
    bars("5s"),
    (returns(1), returns(5), rsi(14), stoch_rsi(14), zscore(20), roc(10), macd(), ema(5), volatility(10), volatility(30)),
)


def rows_of(history: Source, plan: Plan) -> npt.NDArray[np.int64]:
    """Every row of the market phase over a history, as the drivers make them."""
    core = plan.core(history.instruments, history.quoted)
    sequencer, found = plan.sequencer(core), []
    engine = Engine(core, lambda outputs: None, on_rows=lambda rows: found.append(rows.copy()))
    for records in history.stream(plan.feed_latency_ns):
        for part in sequencer.push(records):
            engine.push(part)
    return np.concatenate(found)


def trained_model(history: Source, *, trees: int = 200, leaves: int = 31, seed: int = 1, enter: float = 0.02, name: str = "ticks") -> Model:
    """Two forests that guess whether the mid is higher, or lower, ten bars on; one final part that says it has seen nothing."""
    rows = rows_of(history, Plan(FEATURES, None))
    program = FEATURES.compile()
    values = rows.view(np.float64)[:, ROW_WORDS : ROW_WORDS + program.registers]
    table, later = [], []
    for slot in range(len(history.instruments)):
        mine = values[rows[:, ROW_SLOT] == slot]
        table.append(mine[:-10][:, list(program.outputs)])
        later.append(np.sign(mine[10:, CLOSE] - mine[:-10, CLOSE]))
    x, side = np.concatenate(table), np.concatenate(later)
    settings = {"objective": "binary", "num_leaves": leaves, "verbose": -1, "num_threads": 1, "seed": seed, "deterministic": True}
    contents = {
        f"{word}.txt": lightgbm.train(settings, lightgbm.Dataset(x, (side == sign).astype(float)), trees).model_to_string().encode()
        for word, sign in (("long", 1.0), ("short", -1.0))
    }
    calibration = Calibration(slope=0.7, offset=-0.05, win=1.0, loss=0.9)
    part = Part(
        name=FINAL, long="long.txt", short="short.txt", long_calibration=calibration, short_calibration=calibration,
        seen_first_ns=0, seen_last_ns=0,
    )  # fmt: skip
    return model_of(FEATURES, program_names(program.outputs), BARRIERS, contents, (part,), enter=enter, name=name)


def program_names(outputs: tuple[int, ...]) -> tuple[str, ...]:
    """The names of a program's outputs."""
    program = FEATURES.compile()
    return tuple(program.names[register] for register in outputs)
