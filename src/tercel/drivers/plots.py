"""Plots as Matplotlib figures, for notebooks and files: the equity and trades of a back-test, the judgement of a training, a history.

A function returns its figure and shows nothing; a notebook displays it as the value of its cell, `figure.savefig("equity.png")` writes it.
Matplotlib is an extra (`tercel[plots]`) and is imported here only.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, MissingExtra
from tercel.base.frames import instants
from tercel.drivers.trades import drawdown, round_trips
from tercel.drivers.values import values_of
from tercel.features.spec import FeatureSet, bars
from tercel.models.training.evaluation import select

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtra(f"plots need Matplotlib ({error}); pip install 'tercel[plots]'") from None

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tercel.drivers.history import Source
    from tercel.drivers.result import Result
    from tercel.drivers.train import Trained

# Blue and orange stay apart for colour-blind eyes; greys read on white. The ground is white, whatever the notebook's is.
LINE, UP, DOWN, SOFT, BAND = "#2a5d8f", "#0f7f96", "#b95a12", "#7b8899", "#eef1f5"
WIDTH_INCHES: Final = 10.0
POINTS_MAX: Final = 4_000  # of a line: more than a screen has columns
FEATURES_MAX: Final = 8
Reals = npt.NDArray[np.float64]


class Picture(Figure):
    """A figure that a notebook shows as the value of a cell, once, whatever back end is set."""

    def _repr_png_(self) -> bytes:
        made = io.BytesIO()
        self.savefig(made, format="png", dpi=110)
        return made.getvalue()


def result_figure(result: Result, instrument: str | None = None) -> Figure:
    """Net equity by currency with its drawdown, and the price of one instrument (default: the one with most fills) with its trades."""
    slot = _traded(result, instrument)
    one = result.instruments[slot]
    curve = result.equity[one.quote]
    figure, (money, below, price) = _panels((3.0, 1.2, 3.0))
    times = instants(curve[0])
    keep = _kept(len(times))
    money.axhline(0.0, color=SOFT, linewidth=0.8)
    money.plot(times[keep], curve[1][keep], color=LINE, linewidth=1.3)
    money.set_ylabel(f"net equity, {one.quote}")
    money.set_title("\n".join([_short(result.title, 110), *result.notes]), loc="left", fontsize=9)
    below.fill_between(times[keep], -drawdown(curve[1])[keep], 0.0, color=DOWN, alpha=0.5, linewidth=0.0)
    below.set_ylabel("drawdown")
    _price(price, one.name, result.closes.get(one.name))
    _trades(price, result, slot)
    return figure


def _traded(result: Result, instrument: str | None) -> int:
    names = [one.name for one in result.instruments]
    if instrument is None:
        fills = [one.fills for one in result.by_instrument]
        return int(np.argmax(fills))
    found = [place for place, one in enumerate(result.instruments) if instrument in (one.name, one.symbol)]
    if len(found) != 1:
        raise ConfigError(f"plot: instrument {instrument!r}: expected one of {', '.join(names)}")
    return found[0]


def _trades(panel: Axes, result: Result, slot: int) -> None:
    """A line from entry to exit of each trip, in the colour of its outcome; triangles say which way it went."""
    one = result.instruments[slot]
    trips = round_trips([one], result.fills)
    for trip in trips:
        colour = UP if trip.net > 0.0 else DOWN
        panel.plot(instants(np.array([trip.opened_ns, trip.closed_ns])), [trip.entry, trip.exit], color=colour, linewidth=1.0)
    for side, mark in (("long", "^"), ("short", "v")):
        mine = [trip for trip in trips if trip.side == side]
        if mine:
            panel.scatter(
                instants(np.array([trip.opened_ns for trip in mine])), [trip.entry for trip in mine], marker=mark, s=18,
                color=[UP if trip.net > 0.0 else DOWN for trip in mine], label=f"{side}, {len(mine):,}", zorder=3,
            )  # fmt: skip
    if trips:
        panel.legend(loc="best", frameon=False, fontsize=8, title=f"{len(trips):,} trades: blue won, orange lost", title_fontsize=8)


def trained_figure(trained: Trained) -> Figure:
    """Equity of the out-of-sample trades over the folds, the features that explain most, and the calibration."""
    found, manifest = trained.evaluation, trained.model.manifest
    trades = select(trained.data, trained.p, trained.edge, trained.fold, manifest.enter)
    order = np.argsort(trades.end, kind="stable")
    figure = _new(7.0)
    grid = figure.add_gridspec(2, 2, height_ratios=(3.0, 2.6))
    money, shares, sure = figure.add_subplot(grid[0, :]), figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    for number, fold in enumerate(trained.folds):
        ends = instants(np.array([fold.test_first_ns, fold.test_last_ns]))
        money.axvspan(ends[0], ends[1], color=BAND if number % 2 else "#ffffff", zorder=0)
    total = np.cumsum(trades.outcome[order])
    money.axhline(0.0, color=SOFT, linewidth=0.8)
    money.step(instants(trades.end[order]), total, where="post", color=LINE, linewidth=1.3)
    money.set_ylabel("net outcomes, widths")
    money.set_title(f"{trained.model.name}: {found.verdict}. {found.trades:,} trades out of sample, folds shaded", loc="left", fontsize=10)
    top = sorted(trained.importance.items(), key=lambda pair: pair[1])[-12:]
    shares.barh([name for name, _ in top], [share * 100.0 for _, share in top], color=LINE)
    shares.set_xlabel("share of the gain, %")
    shares.tick_params(labelsize=8)
    sure.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8)
    if found.reliability:
        sure.plot([one.predicted for one in found.reliability], [one.observed for one in found.reliability], "o-", color=LINE, markersize=4)
        ends_at = [value for one in found.reliability for value in (one.predicted, one.observed)]
        room = 0.05 + 0.1 * (max(ends_at) - min(ends_at))
        sure.set(xlim=(min(ends_at) - room, max(ends_at) + room), ylim=(min(ends_at) - room, max(ends_at) + room))
    sure.set_xlabel("predicted share of trades above their costs")
    sure.set_ylabel("observed")
    _calm(money, shares, sure)
    return figure


def history_figure(history: Source, features: FeatureSet | None, slot: int) -> Figure:
    """The closes of one instrument, and up to `FEATURES_MAX` features under them."""
    chosen = features or FeatureSet(_clock(history), ())
    if len(chosen.names) > FEATURES_MAX:
        raise ConfigError(f"plot: expected at most {FEATURES_MAX} columns of features, found {len(chosen.names)}; plot some of them")
    found = values_of(history, chosen)
    mine = np.flatnonzero(found.slot == slot)
    figure, panels = _panels((3.0, *(1.4,) * len(chosen.names)))
    times = found.closed_ns[mine].astype(np.float64)
    _price(panels[0], history.instruments[slot].name, np.stack([times, found.close[mine]]))
    keep = _kept(len(mine))
    for panel, name, values in zip(panels[1:], chosen.names, found.features.T, strict=True):
        panel.plot(instants(times)[keep], values[mine][keep], color=LINE, linewidth=1.0)
        panel.set_ylabel(name, fontsize=8)
    return figure


def _clock(history: Source) -> Any:
    """Bars that any history gives: of a minute of the mid, or of what was recorded."""
    for one in getattr(history, "series", ()):
        if one.kind == "bar":
            from tercel.base.time import format_duration

            return bars(format_duration(one.interval_ns), one.basis)
        if one.kind == "trade":
            return bars("1m", "trade")
    return bars("1m")


def _price(panel: Axes, name: str, closes: Reals | None) -> None:
    if closes is not None and closes.shape[1]:
        keep = _kept(closes.shape[1])
        panel.plot(instants(closes[0])[keep], closes[1][keep], color=SOFT, linewidth=0.9)
    panel.set_ylabel(name)


def _kept(count: int) -> npt.NDArray[np.int64]:
    """Places of at most `POINTS_MAX` points, evenly spread, the last one among them."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, POINTS_MAX)).astype(np.int64))


def _new(height: float) -> Picture:
    return Picture(figsize=(WIDTH_INCHES, height), layout="constrained", facecolor="#ffffff")


def _panels(heights: Sequence[float]) -> tuple[Picture, list[Axes]]:
    """A figure of panels one under the other, of one time axis."""
    figure = _new(sum(heights) + 0.6)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0].tolist()
    _calm(*panels)
    return figure, panels


def _calm(*panels: Axes) -> None:
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(visible=True, color=BAND, linewidth=0.8)
        panel.set_axisbelow(True)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
