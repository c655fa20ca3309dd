"""Who scores which instrument in a running trader: the models its core may name, and how another one takes the seat."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tercel.base import paths
from tercel.base.errors import ConfigError, DataError
from tercel.base.records import MODEL, Records
from tercel.base.time import format_instant
from tercel.core.engine import Engine
from tercel.core.sequencer import command
from tercel.decision.rules import ModelRule
from tercel.drivers import bound_file, schedule
from tercel.models.manifest import FINAL
from tercel.models.model import Model
from tercel.models.placement import bind, meaning_of
from tercel.models.scoring import MODELS_MAX
from tercel.observe.control import Ack, ControlClient

KEPT: Final = 192  # bound models of an account that a start puts in place, the newest; older ones are removed


def store(model: Model, account: str) -> list[tuple[str, int]]:
    """Bind the final parts of a model and store them for the core of an account; (instrument, number) of each, the shared one first.

    Reading and packing trees takes a tenth of a second, so it belongs into the process of whoever wants the model, not into the trader.
    Raises `DataError` for a damaged model.
    """
    program = model.feature_set.compile()
    stored = []
    for part in sorted((part for part in model.manifest.parts if part.name == FINAL), key=lambda part: part.instrument):
        bound = bind(model, part, program)
        bound_file.save(bound, _file(account, bound.number))
        stored.append((part.instrument, bound.number))
    return stored


def exchange(model: Model, account: str, instrument: str = "", timeout_s: float = 5.0) -> list[Ack]:
    """Let a running trader score with another model from now on: bound here, taken there between two inputs; its answers.

    Each of the model's own parts goes to its instrument, the shared one to all others, or to `instrument` alone. Raises `NotRunning`
    without a trader.
    """
    client = ControlClient(paths.run_dir(account))
    answers = []
    for owner, number in store(model, account):
        if not instrument or owner in ("", instrument):
            answers.append(client.take_model(number, instrument or owner, timeout_s))
    return answers


def _file(account: str, number: int) -> Path:
    return paths.bound_dir(account) / f"{number}.bound"


def _stored(account: str) -> list[Path]:
    """The bound models of an account, the oldest first."""
    return sorted(paths.bound_dir(account).glob("*.bound"), key=lambda path: path.stat().st_mtime)


class Seats:
    """The models of one trader: those of its plan, and those that it, or an earlier trader of the account, was told to take."""

    def __init__(self, decide: object, account: str, engine: Engine) -> None:
        self._rule = decide if isinstance(decide, ModelRule) else None
        self._account, self._engine = account, engine
        self.skipped: list[str] = []  # stored models that cannot be used, and why
        self.orders: list[Records] = []
        """The commands that seat the parts of the plan's own model, each when it may speak: on a recording of its training, the folds."""
        if self._rule is None:
            return
        model = self._rule.model
        self._meaning = meaning_of(model.manifest)
        self.orders = schedule.commands(schedule.honest(model), model, engine.models, engine.config.instruments)
        self._own = frozenset(engine.models.numbers)
        for path in _stored(account)[-KEPT:]:  # a log that is replayed may name them
            try:
                bound = bound_file.load(path)
            except DataError as error:
                self.skipped.append(str(error))
                continue
            if bound.meaning == self._meaning:
                engine.models.put(bound)

    def prune(self) -> None:
        """Remove the stored models that no start puts in place any more."""
        for path in _stored(self._account)[:-KEPT]:
            path.unlink(missing_ok=True)

    def take(self, wanted: str) -> Records:
        """The command that seats what a request names: "NUMBER" or "NUMBER INSTRUMENT", bound and stored by whoever asks.

        Raises `ConfigError` when it does not fit this core or has seen what is still to be traded, `DataError` when it is not stored or
        damaged.
        """
        text, _, instrument = wanted.partition(" ")
        identifiers = {one.name: one.id for one in self._engine.config.instruments} | {"": 0}
        if not text.isdecimal() or instrument not in identifiers:
            raise DataError(f"model: expected a number and one of {', '.join(filter(None, identifiers))}, found {wanted!r}")
        bound = bound_file.load(_file(self._account, int(text)))
        if self._rule is None or bound.meaning != self._meaning:
            raise ConfigError(
                f"model {text}: it has other features, barriers or edge to enter than what this trader runs; restart it with that model"
            )
        if bound.seen_last_ns > self._engine.stamp:
            seen, now = format_instant(bound.seen_last_ns, 0), format_instant(self._engine.stamp, 0)
            raise ConfigError(
                f"model {text}: it has learnt from what was known until {seen}, this trader is at {now}; wait, or train on less"
            )
        self._make_room()
        return command(MODEL, 0, self._engine.models.put(bound), identifiers[instrument])

    def _make_room(self) -> None:
        """Take out a model that scores nothing, when the table is full."""
        models = self._engine.models
        if len(models.numbers) == MODELS_MAX:
            idle = [number for number in models.numbers if number not in self._own and number not in self._engine.seated]
            if idle:
                models.remove(idle[0])
