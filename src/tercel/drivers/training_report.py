"""The report of a training: in the terminal, and as one HTML file that needs nothing else.

Both say first whether there is an edge and why, then what the trades earned after costs against doing nothing and against chance, then what
it rests on: folds, calibration, features, every trial, and the facts needed to make it again.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console

from tercel.base.text import table
from tercel.base.time import format_duration, format_instant
from tercel.drivers import training_plots as plots
from tercel.drivers.training_page import PAGE, STYLE
from tercel.models.training.evaluation import CHANCE_MAX, DEFLATED_MIN, EDGE, Evaluation, Trades, select

if TYPE_CHECKING:
    from tercel.drivers.train import Trained

TEXT_FEATURES: Final = 10
PAGE_FEATURES: Final = 15
TRIALS_SHOWN: Final = 200
NONE: Final = "–"
INSTANT_MIN_NS: Final = 10**17  # 1973: a shorter time is a duration
GROUP_COLUMNS: Final = ("trades", "won", "outcome, widths", "return", "Sharpe ratio of a trade")
FOLD_COLUMNS: Final = ("fold", "trained on", "calibrated on", "tests from", "to", *GROUP_COLUMNS)


def report_text(trained: Trained, width: int = 120) -> str:
    """The report for a terminal of so many columns."""
    found, manifest = trained.evaluation, trained.model.manifest
    page = io.StringIO()
    out = Console(file=page, width=width, highlight=False)
    out.print(f"\nTraining  {trained.model.name}: {_trained_on(trained)}", markup=False)
    out.print(f"{found.verdict.upper()}", markup=False)
    for text in found.because:
        out.print(f"  - {text}", markup=False)
    if refused := manifest.data.get("refused"):
        counts = ", ".join(f"{count:,} {reason}" for reason, count in refused.items())
        out.print(f"Left out, as nothing could be entered at these bars: {counts}", markup=False)
    out.print()
    out.print(table("Out of sample, after costs", ("what", "value", "against"), _figures(found), left=(0, 2)))
    out.print(table("Folds", _without_end(FOLD_COLUMNS), [_without_end(row) for row in _fold_rows(trained)], left=(3,)))
    if len(found.by_instrument) > 1:
        out.print(
            table(
                "Instruments",
                ("instrument", *GROUP_COLUMNS),
                [(one.instrument, f"{one.trades:,}", *_group(one)) for one in found.by_instrument],
            )
        )
    shares = [(name, f"{share * 100:.1f} %") for name, share in _most_important(trained, TEXT_FEATURES)]
    out.print(table(f"The {len(shares)} features that explain most", ("feature", "share of the gain"), shares))
    out.print(_calibration_line(found), markup=False)
    out.print(f"{_count(len(trained.trials), 'trial')}, {trained.seconds:.1f} s; program {manifest.program[:16]}", markup=False)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def report_html(trained: Trained) -> str:
    """The report as one HTML document: no script, no font and no picture from elsewhere; light or dark as the reader's system is."""
    found, manifest = trained.evaluation, trained.model.manifest
    trades = select(trained.data, trained.p, trained.edge, trained.fold, manifest.enter)
    sections = [
        _verdict(found),
        _tiles(found),
        _section(
            "Equity out of sample",
            "Net outcomes of all trades, added up at their exits at constant size, over the test stretch of each fold. Doing nothing is 0.",
            _curves(trained, trades),
        ),
        _section(
            "Folds",
            f"Each fold is trained on the past, calibrated on what follows and tested on what neither has seen; "
            f"what would reach over a border is left out (embargo {manifest.training.get('embargo', NONE)}).",
            plots.timeline(_stretches(trained)) + _legend(("train", "trained on"), ("calibrate", "calibrated on"), ("test", "tested on")),
            _fold_table(trained),
        ),
        '<div class="pair">'
        + _section(
            "Outcomes",
            f"Where {_count(found.trades, 'trade')} ended, costs included.",
            plots.histogram(trades.outcome),
        )
        + _section(
            "Calibration",
            _calibration_line(found),
            plots.calibration([(one.predicted, one.observed, one.count) for one in found.reliability]) if found.reliability else "",
        )
        + "</div>",
        _section(
            "Features",
            "Share of the gain that the final model's trees owe to each feature. It says what was used, not that it is of use.",
            plots.bars(_most_important(trained, PAGE_FEATURES)),
        ),
        _section("Instruments", "", _instrument_table(found)) if len(found.by_instrument) > 1 else "",
        _section(
            "Trials",
            "Every set of parameters that was tried. The verdict takes off what the best of so many gives by luck.",
            _trial_table(trained),
        ),
        _section("To make it again", "", _facts(trained)),
    ]
    head = f'<p class="over">Tercel · training report</p><h1>{escape(trained.model.name)}</h1>'
    head += f'<p class="sub">{escape(_trained_on(trained))}</p>'
    body = "\n".join(filter(None, sections))
    return PAGE.format(title=escape(f"Training of {trained.model.name}"), style=STYLE, head=head, body=body)


def report_cell(trained: Trained) -> str:
    """The page in a frame of its own, for a notebook: its style stays inside, and the notebook's outside."""
    return f'<iframe srcdoc="{escape(report_html(trained))}" style="width: 100%; height: 900px; border: 0"></iframe>'


# Words and numbers both reports share.


def _trained_on(trained: Trained) -> str:
    manifest, data = trained.model.manifest, trained.data
    known = [int(data.stamp[0]), int(data.stamp[-1])] if len(data.stamp) else [0, 0]
    names = ", ".join(data.instruments[:6]) + (f" and {len(data.instruments) - 6} more" if len(data.instruments) > 6 else "")
    return (
        f"{names}; {len(data.stamp):,} decisions on {manifest.clock.text} bars of the {manifest.clock.price}, "
        f"{format_instant(known[0], 0)[:16]} to {format_instant(known[1], 0)[:16]} UTC"
    )


def _figures(found: Evaluation) -> list[tuple[str, str, str]]:
    """(what, value, against what it stands)."""
    span = f"{_real(found.interval_low, 3, sign=True)} to {_real(found.interval_high, 3, sign=True)}"
    luck = f"the best of {found.trials:,} trials by luck" if found.trials > 1 else "one trial: nothing is taken off"
    return [
        ("trades", f"{found.trades:,}", f"worth {_real(found.effective, 0)} independent ones"),
        ("won", _share(found.hit_rate), ""),
        ("outcome of a trade, widths", _real(found.mean_outcome, 3, sign=True), f"95 % {span}; doing nothing {found.doing_nothing:g}"),
        ("return of a trade, basis points", _real(found.mean_return * 1e4, 2, sign=True), "of the price"),
        ("Sharpe ratio of a trade", _real(found.sharpe, 3, sign=True), f"a year {_real(found.sharpe_annual, 2, sign=True)}"),
        ("probability of more than zero", _share(found.probabilistic), "probabilistic Sharpe ratio"),
        ("probability of more than luck", _share(found.deflated), f"deflated Sharpe ratio; {luck}; asked > {DEFLATED_MIN * 100:g} %"),
        ("random entries do as well in", _share(found.chance), f"of {found.draws:,} draws; asked < {CHANCE_MAX * 100:g} %"),
        ("random moments, same sides, in", _share(found.timing), "of the draws"),
    ]


def _without_end(row: tuple[str, ...]) -> tuple[str, ...]:
    """A row of the folds for a narrow page: a test ends where the next begins."""
    return (*row[:4], *row[5:])


def _fold_rows(trained: Trained) -> list[tuple[str, ...]]:
    results = {one.fold: one for one in trained.evaluation.by_fold}
    rows: list[tuple[str, ...]] = []
    for fold in trained.folds:
        one = results.get(fold.number)
        group = (f"{one.trades:,}", *_group(one)) if one is not None else ("0", NONE, NONE, NONE, NONE)
        span = (format_instant(fold.test_first_ns, 0)[:16], format_instant(fold.test_last_ns, 0)[:16])
        rows.append((str(fold.number), f"{len(fold.train):,}", f"{len(fold.calibrate):,}", *span, *group))
    return rows


def _group(one: Any) -> tuple[str, str, str, str]:
    """Won, outcome, return and Sharpe ratio of the trades of a fold or an instrument."""
    return (
        _share(one.hit_rate), _real(one.mean_outcome, 3, sign=True), _points(one.mean_return),
        _real(one.sharpe, 3, sign=True),
    )  # fmt: skip


def _calibration_line(found: Evaluation) -> str:
    if not found.reliability:
        return "Calibration: no prediction had a known outcome."
    better = "better" if found.brier < found.brier_base else "no better"
    gap = max(abs(one.predicted - one.observed) for one in found.reliability)
    return (
        f"{found.predictions:,} predictions, Brier score {found.brier:.4f}, {better} than always saying the mean ({found.brier_base:.4f}); "
        f"the bins are off by {gap * 100:.1f} points at most."
    )


def _most_important(trained: Trained, count: int) -> list[tuple[str, float]]:
    return sorted(trained.importance.items(), key=lambda pair: (-pair[1], pair[0]))[:count]


def _real(value: float, digits: int, *, sign: bool = False) -> str:
    if not math.isfinite(value):
        return NONE
    return f"{value:{'+' if sign else ''},.{digits}f}"


def _points(value: float) -> str:
    """A share of the price in basis points."""
    return f"{value * 1e4:+,.2f} bp" if math.isfinite(value) else NONE


def _share(value: float) -> str:
    """A share in percent; one near an end is not rounded to it."""
    if not math.isfinite(value):
        return NONE
    if 0.0 < value < 0.001:
        return "< 0.1 %"
    if 0.999 < value < 1.0:
        return "> 99.9 %"
    return f"{value * 100:.1f} %"


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


# The parts of the page.


def _verdict(found: Evaluation) -> str:
    kind = "yes" if found.verdict == EDGE else "no"
    said = "There is an edge." if found.verdict == EDGE else "No edge."
    lines = "".join(f"<li>{escape(text)}</li>" for text in found.because)
    return f'<section class="verdict {kind}"><h2>{said}</h2><ul>{lines}</ul></section>'


def _tiles(found: Evaluation) -> str:
    tiles = [
        ("a trade earns", _real(found.mean_outcome, 3, sign=True), "widths after costs"),
        (
            "with 95 % confidence",
            f"{_real(found.interval_low, 2, sign=True)} … {_real(found.interval_high, 2, sign=True)}",
            "widths; doing nothing 0",
        ),
        ("return of a trade", _real(found.mean_return * 1e4, 2, sign=True), "basis points"),
        ("trades", f"{found.trades:,}", f"{_share(found.hit_rate)} won"),
        ("more than luck", _share(found.deflated), f"{_count(found.trials, 'trial')}; asked > {DEFLATED_MIN * 100:g} %"),
        ("random entries as good", _share(found.chance), f"asked < {CHANCE_MAX * 100:g} %"),
    ]
    cells = "".join(
        f"<div><dt>{escape(about)}</dt><dd>{escape(value)}</dd><dd class='small'>{escape(more)}</dd></div>" for about, value, more in tiles
    )
    rows = _table(("figure", "value", "against"), _figures(found), left=(0, 2))
    return f"<section><dl class='tiles'>{cells}</dl><details><summary>All figures</summary>{rows}</details></section>"


def _curves(trained: Trained, trades: Trades) -> str:
    order = np.argsort(trades.end, kind="stable")
    bands = [(f"fold {fold.number}", fold.test_first_ns, fold.test_last_ns) for fold in trained.folds]
    widths, shares = np.cumsum(trades.outcome[order]), np.cumsum(trades.returned[order]) * 100.0
    return (
        f"<h3>in widths</h3>{plots.equity(trades.end[order], widths, bands, 'widths', 1)}"
        f"<h3>in % of the price</h3>{plots.equity(trades.end[order], shares, bands, '%', 2)}"
    )


def _stretches(trained: Trained) -> list[tuple[str, list[tuple[str, int, int, int]]]]:
    stamp = trained.data.stamp
    rows = []
    for fold in trained.folds:
        parts = [
            (kind, int(stamp[chosen[0]]), int(stamp[chosen[-1]]), len(chosen))
            for kind, chosen in (("train", fold.train), ("calibrate", fold.calibrate))
            if len(chosen)
        ]
        rows.append((f"fold {fold.number}", [*parts, ("test", fold.test_first_ns, fold.test_last_ns, len(fold.test))]))
    return rows


def _fold_table(trained: Trained) -> str:
    return _table(FOLD_COLUMNS, _fold_rows(trained), left=(3, 4))


def _instrument_table(found: Evaluation) -> str:
    rows = [(one.instrument, f"{one.trades:,}", *_group(one)) for one in found.by_instrument]
    return _table(("instrument", *GROUP_COLUMNS), rows)


def _trial_table(trained: Trained) -> str:
    names = sorted({name for trial in trained.trials for name in trial.parameters})
    varied = [name for name in names if len({trial.parameters.get(name) for trial in trained.trials}) > 1]
    rows = []
    for trial in trained.trials[:TRIALS_SHOWN]:
        by_fold = " ".join(_real(one, 2, sign=True) for one in trial.by_fold)
        values = [_short(trial.parameters.get(name)) for name in varied]
        rows.append((str(trial.number), f"{trial.trades:,}", _real(trial.sharpe, 3, sign=True), by_fold, *values))
    made = _table(("trial", "trades", "Sharpe ratio of a trade", "by fold", *varied), rows, left=())
    if len(trained.trials) > TRIALS_SHOWN:
        made += f"<p class='note'>and {len(trained.trials) - TRIALS_SHOWN:,} more, in the manifest</p>"
    fixed = (
        ", ".join(f"{name} {plain(trained.trials[0].parameters[name])}" for name in names if name not in varied) if trained.trials else ""
    )
    return made + (f"<p class='note'>The same in all: {escape(fixed)}.</p>" if fixed else "")


def _facts(trained: Trained) -> str:
    manifest = trained.model.manifest
    barriers = manifest.barriers
    facts: list[tuple[str, str]] = [
        ("program", manifest.program),
        ("features", ", ".join(manifest.inputs)),
        (
            "barriers",
            f"take {barriers.take:g} and stop {barriers.stop:g} widths away, time after {format_duration(barriers.horizon_ns)}; "
            f"a width is the volatility of {barriers.rows} bars times {barriers.width_scale:.3g}",
        ),
        ("enters at", f"an expected edge of {manifest.enter:g} widths or more"),
        *(("data: " + name, text) for name, text in flat(manifest.data)),
        *(("training: " + name, text) for name, text in flat({k: v for k, v in manifest.training.items() if k != "trials"})),
        *(("SHA-256 of " + file, digest) for file, digest in sorted(manifest.files.items())),
    ]
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f"<dl class='facts'>{cells}</dl>"


def flat(found: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    """Nested settings as (a path of names, text); instants and durations in words."""
    for name, value in found.items():
        path = f"{before} {name}".strip()
        if isinstance(value, Mapping) and value:
            yield from flat(value, path)
        elif name.endswith("_ns") and isinstance(value, int):
            yield path.removesuffix("_ns"), format_instant(value) if value >= INSTANT_MIN_NS else format_duration(value)
        else:
            yield path, plain(value)


def plain(value: Any) -> str:
    """A setting as text: numbers with ten digits, lists with commas, a dash for nothing."""
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(plain, value)) or NONE
    return NONE if value is None or value == "" or value == {} else str(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def _section(title: str, about: str, *content: str) -> str:
    note = f'<p class="about">{escape(about)}</p>' if about else ""
    return f"<section><h2>{escape(title)}</h2>{note}{''.join(content)}</section>"


def _legend(*marks: tuple[str, str]) -> str:
    return '<p class="legend">' + "".join(f'<span><i class="{kind}"></i>{escape(text)}</span>' for kind, text in marks) + "</p>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    head = "".join(f"<th{' class=left' if place in left else ''}>{escape(name)}</th>" for place, name in enumerate(columns))
    body = "".join(
        "<tr>" + "".join(f"<td{' class=left' if place in left else ''}>{escape(cell)}</td>" for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
