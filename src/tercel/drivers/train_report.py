"""The report of a training: in the terminal, as text, as a page."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tercel.base.text import console, table
from tercel.base.time import format_instant

if TYPE_CHECKING:
    from tercel.drivers.train import Trained
    from tercel.models.training.evaluation import FoldResult, InstrumentResult

COLUMNS = 120
FEATURES_SHOWN = 10
FIGURES = ("trades", "won", "mean, widths", "mean return", "Sharpe a trade")


def show(trained: Trained, to: Console | None = None) -> None:
    """Print the judgement for people: verdict and reasons first, then the figures they rest on."""
    out, judged = to or console(), trained.evaluation
    data = trained.data
    known = f"{len(data.instruments)} instruments" if len(data.instruments) > 1 else data.instruments[0]
    out.print(f"\n[bold]{trained.model.name}[/bold]: [bold]{judged.verdict}[/bold]")
    for reason in judged.because:
        out.print(f"  {reason}")
    out.print(
        f"{len(data):,} decisions of {known}, {format_instant(int(data.stamp[0]), 0)} to "
        f"{format_instant(int(data.stamp[-1]), 0)}; {judged.trials} {'trial' if judged.trials == 1 else 'trials'}, "
        f"{trained.seconds:.1f} s. Costs are taken off; doing nothing earns 0."
    )
    out.print(_folds(trained))
    rows = [(one.instrument, *_figures(one)) for one in judged.by_instrument]
    out.print(table("Out of sample, by instrument", ("instrument", *FIGURES), rows))
    shares = list(trained.importance.items())[:FEATURES_SHOWN]
    out.print(table("What the final model looks at", ("feature", "share of gain"), [(name, f"{share:.1%}") for name, share in shares]))


def report_text(trained: Trained) -> str:
    """The report as plain text."""
    out = Console(width=COLUMNS, file=io.StringIO(), color_system=None)
    show(trained, out)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def page(trained: Trained) -> str:
    """The report as one HTML page that needs nothing else."""
    out = Console(width=COLUMNS, file=io.StringIO(), record=True)
    show(trained, out)
    return out.export_html(inline_styles=True)


def _folds(trained: Trained) -> Table:
    first = {fold.number: fold for fold in trained.folds}
    rows = []
    for one in trained.evaluation.by_fold:
        fold = first[one.fold]
        when = f"{format_instant(fold.test_first_ns, 0)} to {format_instant(fold.test_last_ns, 0)}"
        rows.append((str(one.fold), when, *_figures(one)))
    return table("Out of sample, fold by fold", ("fold", "tested", *FIGURES), rows, left=(0, 1))


def _figures(one: FoldResult | InstrumentResult) -> tuple[str, ...]:
    if not one.trades:
        return ("0", "-", "-", "-", "-")
    mean, returned = f"{one.mean_outcome:+.3f}", f"{one.mean_return * 1e4:+.2f} bp"
    return (f"{one.trades:,}", f"{one.hit_rate:.0%}", mean, returned, f"{one.sharpe:+.2f}")
