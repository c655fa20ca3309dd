"""Training: from history to a model that is judged on what it never saw.

History is played once through the same sequencer and engine as everywhere, so a row's features are those of the live core to the bit. Each
decision gets the outcome of both sides (`models.training.labels`). Folds walk forward in time; what is judged are the trades that the
folds' models would have made in stretches they never saw. The final model learns from everything and may speak only about what comes after.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from tercel import __version__
from tercel.base.errors import ConfigError, DataError
from tercel.base.text import console
from tercel.base.time import clock_ns, format_duration, parse_duration
from tercel.base.typed import typed
from tercel.drivers.collect import Collector, Progress
from tercel.drivers.history import Source
from tercel.drivers.session import Plan
from tercel.drivers.shortage import needs
from tercel.drivers.training_report import report_cell, report_html, report_text
from tercel.execution.venue import VenueModel
from tercel.features import spec
from tercel.features.spec import Feature, FeatureSet
from tercel.models.barriers import TripleBarrier, on_clock, triple_barrier
from tercel.models.manifest import Manifest
from tercel.models.model import Model, digest
from tercel.models.registry import Registry, check_name
from tercel.models.training.dataset import Dataset, Predictions
from tercel.models.training.evaluation import Evaluation, evaluate, select, sharpe_of
from tercel.models.training.fit import Boosting, gains, lightgbm
from tercel.models.training.folds import Fold, TooLittle, walk_forward
from tercel.models.training.search import Trial, best, explore, optuna
from tercel.models.training.walk import Fitted, part, predictions, prepare, walk
from tercel.risk.limits import Limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENTER: Final = 0.05  # widths: a trade is proposed when the edge is at least this; chosen before any data was seen
FOLDS: Final = 5
THREADS: Final = 2
LIBRARIES: Final = ("lightgbm", "numba", "numpy")


@dataclass(frozen=True, repr=False)
class Trained:
    """A model, what it was trained on, what its folds said out of sample and how that is judged."""

    model: Model
    evaluation: Evaluation
    data: Dataset
    raw: npt.NDArray[np.float64]  # [n, 2] out-of-sample scores of a buy and a sale; NaN where no fold predicts
    p: npt.NDArray[np.float64]  # [n, 2] calibrated probabilities
    edge: npt.NDArray[np.float64]  # [n, 2] expected net outcomes, in widths
    fold: npt.NDArray[np.int64]  # [n] number of the fold that predicted, -1 none
    trials: list[Trial]
    folds: list[Fold]
    importance: dict[str, float]  # share of the gain by feature, of the final model's two forests
    seconds: float

    def report(self) -> str:
        """The judgement as text: verdict, reasons, figures by fold and instrument."""
        return report_text(self)

    def show(self) -> None:
        """Print the report to the terminal."""
        out = console()
        out.print(report_text(self, out.width), markup=False, highlight=False)

    def html(self, path: Path | str) -> None:
        """Write the report as one HTML page that needs nothing else; it replaces a file of that name."""
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(report_html(self), encoding="utf-8")

    def plot(self) -> Figure:
        """Equity of the trades out of sample, the features that explain most and the calibration, as a Matplotlib figure.

        Nothing is shown; a notebook displays what comes back. Raises `MissingExtra` without `tercel[plots]`.
        """
        from tercel.drivers.plots import trained_figure

        return trained_figure(self)

    def __repr__(self) -> str:
        found = self.evaluation
        return f"<Trained {self.model.name}: {found.verdict}, {found.trades:,} trades out of sample in {len(self.folds)} folds>"

    def _repr_html_(self) -> str:
        return report_cell(self)


def default_features(every: str = "1m", price: str = "mid", quoted: bool = True) -> FeatureSet:
    """Features without a scale, so that instruments and years may be put together; those of spread and activity where there are quotes."""
    close: list[Feature] = [spec.zscore(rows) for rows in (5, 20, 60, 240)]
    strength = [spec.rsi(7), spec.rsi(14), spec.rsi(50), spec.rsi_simple(30), spec.stoch_rsi(14, 14, 3)]
    moves = [spec.zscore(60, spec.returns(1)), spec.zscore(120, spec.returns(5)), spec.zscore(240, spec.returns(30))]
    trend = [spec.zscore(60, spec.macd(12, 26, 9).part("hist")), spec.zscore(240, spec.macd(30, 90, 20))]
    swing = [spec.volume_ratio(60, spec.volatility(10)), spec.volume_ratio(240, spec.volatility(50)), spec.volume_ratio(60, spec.atr(5))]
    market = [spec.volume_ratio(60, spec.spread()), spec.volume_ratio(60, "ticks")] if quoted else []
    return FeatureSet(spec.bars(every, price), (*close, *strength, *moves, *trend, *swing, *market))


@typed(
    history='tc.history("EURUSD@oanda"), tc.from_frame(…) or tc.SimulatedHistory(…)',
    features='tc.FeatureSet(tc.bars("1m"), [tc.rsi(14)])',
    labels="tc.triple_barrier(…)",
    embargo='a text such as "30m"',
)
def train(
    history: Source,
    features: FeatureSet | None = None,
    *,
    labels: TripleBarrier | None = None,
    folds: int = FOLDS,
    embargo: str | None = None,
    enter: float = ENTER,
    name: str = "model",
    seed: int = 1,
    search: int = 0,
    trials_before: Sequence[float] = (),
    boosting: Boosting | None = None,
    limits: Limits | None = None,
    venue: VenueModel | None = None,
    grace: str = "250ms",
    feed_latency: str = "1ms",
    threads: int = THREADS,
    register: bool = True,
    progress: Progress | None = None,
) -> Trained:
    """Train on a history and judge honestly: labels after costs, folds that walk forward, purged and embargoed, calibration on later data.

    `labels` are the barriers (default `triple_barrier()`), `embargo` a duration (default their horizon), `enter` the edge in widths from
    which a trade is proposed. `search` tries so many sets of parameters; all of them, and the Sharpe ratios per trade of what was tried
    elsewhere (`trials_before`), count against the verdict. `venue` gives latency and fees. The same call on the same data gives the same
    bytes of every file; `threads` changes none. With `register` the model gets the next version of its name. `progress(what, done, total)`
    is told about it. Raises `ConfigError` for settings that do not fit the history and where LightGBM does not load.

    >>> import tercel as tc
    >>> market = tc.SimulatedHistory(seed=7, hours=3)
    >>> features = tc.FeatureSet(tc.bars("30s"), [tc.zscore(60), tc.rsi(14)])
    >>> trained = tc.train(market, features, labels=tc.triple_barrier(1.0, 1.0, "10m"), folds=3, register=False)
    >>> trained.evaluation.verdict
    'no edge'
    """
    started = clock_ns()
    check_name(name)
    if threads < 1:
        raise ConfigError(f"train: threads: expected 1 or more, found {threads!r}")
    lightgbm()
    if search:
        optuna()
    labels = labels or triple_barrier()
    quoted = history.quoted is None or bool(history.quoted)
    features = features or default_features(quoted=quoted)
    plan = Plan(features, None, limits or Limits(), venue or VenueModel(), grace, feed_latency)
    embargo_ns = parse_duration(embargo) if embargo is not None else labels.horizon_ns
    settings = Training(
        name=name, folds=folds, embargo_ns=embargo_ns, enter=enter, seed=seed, search=search, trials_before=tuple(trials_before),
        boosting=boosting or Boosting(), limits=asdict(plan.limits), venue=asdict(plan.venue), grace=grace, feed_latency=feed_latency,
    )  # fmt: skip
    trained = Trainer(history, plan, on_clock(labels, features.clock), settings, threads, progress).run()
    if register:
        trained = replace(trained, model=Registry().save(trained.model))
    return replace(trained, seconds=(clock_ns() - started) / 1e9)


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """Everything but data, features and barriers that decides what a training makes; kept in the manifest to repeat it."""

    name: str
    folds: int
    embargo_ns: int
    enter: float
    seed: int
    search: int
    trials_before: tuple[float, ...]
    boosting: Boosting  # of the first trial
    limits: dict[str, Any]
    venue: dict[str, Any]
    grace: str
    feed_latency: str


class Trainer:
    """One training."""

    def __init__(
        self, history: Source, plan: Plan, barriers: TripleBarrier, settings: Training, threads: int, progress: Progress | None
    ) -> None:
        self._settings, self._threads, self._progress = settings, threads, progress
        self._inputs = plan.features.names
        self._plan = replace(plan, features=plan.features.with_features([barriers.volatility]))
        self._barriers = barriers
        if not self._inputs:
            raise ConfigError("train: expected at least one feature, found none")
        self.collector = Collector(self._plan, history, self._inputs, barriers, progress)

    def run(self) -> Trained:
        """The result, not registered."""
        settings = self._settings
        try:
            data = self.collector.collect()
            folds = walk_forward(data, settings.folds, settings.embargo_ns)
        except TooLittle as error:
            raise ConfigError(f"{error}; {self._needs()}") from None
        self._data, self._prepared = data, prepare(data, folds)
        *tested, last = self._prepared
        self._tested, self._trials = tested, max(1, settings.search)
        self._kept: list[tuple[Trial, list[tuple[Fitted, Fitted]], Predictions]] = []  # the best so far
        trials = (
            explore(self._attempt, settings.search, settings.seed, settings.boosting)
            if settings.search
            else [self._attempt(1, settings.boosting)]
        )
        chosen, fitted, found = self._kept[0]
        assert chosen is best(trials)
        final = walk(data, [last], self._barriers, chosen.boosting, settings.seed, self._threads, self._telling("final model"))
        tried = np.array([*(trial.sharpe for trial in trials), *settings.trials_before])
        self._tell("judgement", 0, 1)
        judged = evaluate(data, found.p, found.edge, found.fold, settings.enter, trial_sharpes=tried, seed=settings.seed)
        self._tell("judgement", 1, 1)
        parts, files = [], {}
        for one, sides in zip(self._prepared, [*fitted, *final], strict=True):
            made, contents = part(data, one.fold, sides)
            parts.append(made)
            files.update(contents)
        manifest = self._manifest(tuple(parts), files, chosen, trials, judged)
        importance = _shares(data.names, [one.content for one in final[0]])
        return Trained(
            Model(manifest, files), judged, data, found.raw, found.p, found.edge, found.fold, trials, [one.fold for one in tested],
            importance, 0.0,
        )  # fmt: skip

    def _needs(self) -> str:
        collector, settings = self.collector, self._settings
        found = (collector.bars, collector.decisions, collector.known)
        return needs(collector.core, self._plan.features.clock, self._barriers, settings.folds, settings.embargo_ns, found)

    def _walked(self, boosting: Boosting, what: str) -> tuple[list[tuple[Fitted, Fitted]], Predictions]:
        tested, settings = self._tested, self._settings
        fitted = walk(self._data, tested, self._barriers, boosting, settings.seed, self._threads, self._telling(what))
        return fitted, predictions(self._data, [one.fold for one in tested], fitted)

    def _attempt(self, number: int, boosting: Boosting) -> Trial:
        started = clock_ns()
        fitted, found = self._walked(boosting, f"trial {number} of {self._trials}" if self._settings.search else "folds")
        trades = select(self._data, found.p, found.edge, found.fold, self._settings.enter)
        by_fold = tuple(sharpe_of(trades._replace(outcome=trades.outcome[trades.fold == one.fold.number])) for one in self._tested)
        trial = Trial(
            number=number, parameters=msgspec.structs.asdict(boosting), trades=len(trades.row), sharpe=sharpe_of(trades), by_fold=by_fold,
            seconds=(clock_ns() - started) / 1e9,
        )  # fmt: skip
        if not self._kept or trial.worth > self._kept[0][0].worth:
            self._kept = [(trial, fitted, found)]
        return trial

    def _manifest(
        self, parts: tuple[Any, ...], files: dict[str, bytes], chosen: Trial, trials: list[Trial], judged: Evaluation
    ) -> Manifest:
        settings, data, features = self._settings, self._data, self._plan.features
        logged = [{name: value for name, value in msgspec.structs.asdict(trial).items() if name != "seconds"} for trial in trials]
        training: dict[str, Any] = {
            "settings": settings, "parameters": chosen.parameters, "trials": logged, "libraries": versions(),
            "embargo": format_duration(settings.embargo_ns), "latency": self._plan.venue.latency, "fees": settings.venue["taker_fee"],
        }  # fmt: skip
        described = {
            "instruments": self.collector.fingerprint, "decisions": len(data), "known": int(data.known.sum()),
            "refused": self.collector.refused,
        }  # fmt: skip
        return Manifest(
            name=settings.name,
            program=self.collector.core.program.hash,
            clock=features.clock,
            features=tuple(features.features),
            anchor=features.anchor,
            inputs=data.names,
            required=self.collector.required,
            barriers=self._barriers,
            enter=settings.enter,
            parts=parts,
            instruments=data.instruments,
            data=_plain(described),
            training=_plain(training),
            metrics=_plain(judged),
            files={file: digest(content) for file, content in sorted(files.items())},
        )

    def _tell(self, what: str, done: int, total: int) -> None:
        if self._progress:
            self._progress(what, done, total)

    def _telling(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._tell(what, done, total)


def reproduce(model: Model, history: Source, *, threads: int = THREADS, progress: Progress | None = None) -> Trained:
    """Train again from a model's manifest alone and compare every file. Returns the repeated training, equal to the bit, unregistered.

    Raises `DataError` that says what differs: the data, by instrument; the libraries; or the files where those are the same.
    """
    manifest = model.manifest
    settings = msgspec.convert(manifest.training["settings"], Training)
    inputs = set(manifest.inputs)
    kept = tuple(one for one in manifest.features if inputs.issuperset(one.names))
    features = FeatureSet(manifest.clock, kept, manifest.anchor)
    plan = Plan(features, None, Limits(**settings.limits), VenueModel(**settings.venue), settings.grace, settings.feed_latency)
    again = Trainer(history, plan, manifest.barriers, settings, threads, progress).run()
    theirs, ours = manifest.data["instruments"], again.model.manifest.data["instruments"]
    other = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    if other:
        raise DataError(f"{model.name}: expected the data it was trained on, found other quotes of {', '.join(other)}")
    differing = sorted(file for file, known in manifest.files.items() if again.model.manifest.files.get(file) != known)
    if differing:
        before, now = manifest.training["libraries"], versions()
        changed = [f"{name} {before.get(name)} -> {now.get(name)}" for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
        why = f"the libraries changed: {', '.join(changed)}" if changed else "data and libraries are the same; this is a bug of ours"
        raise DataError(f"{model.name}: expected the same files again, found {', '.join(differing)} different; {why}")
    return again


def versions() -> dict[str, str]:
    """Versions of what a training depends on."""
    return {"tercel": __version__, **{name: importlib.metadata.version(name) for name in LIBRARIES}}


def _plain(value: Any) -> Any:
    """Plain JSON values, as they come back from a manifest that was kept: numbers, texts, lists and tables; None for NaN."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _shares(names: tuple[str, ...], contents: Sequence[bytes]) -> dict[str, float]:
    """By feature, its share of the gain of all forests, the largest first."""
    found = [gains(content) for content in contents]
    total = sum(sum(one.values()) for one in found)
    shares = {name: sum(one[name] for one in found) / total if total > 0.0 else 0.0 for name in names}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))
