"""The report of a training says what the evaluation says, in a terminal and as one page that needs nothing else."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from tercel.drivers import training_plots as plots
from tercel.drivers.train import Trained
from tercel.drivers.training_report import report_html, report_text
from tercel.models.model import Model
from tercel.models.training.evaluation import evaluate, select, sharpe_of
from tercel.models.training.folds import walk_forward
from tercel.models.training.search import Trial
from tests.models.judged import guesses, walk
from tests.models.kept import model


@cache
def trained(signal: float = 0.5, trials: int = 3, enter: float = 0.05) -> Trained:
    """A training on made decisions; what it says is judged by the true evaluation."""
    data, feature = walk(4, signal=signal)
    folds = walk_forward(data, 4, 0)[:-1]
    fold = np.full(len(data.stamp), -1, np.int64)
    for one in folds:
        fold[one.test] = one.number
    p, edge = guesses(feature, 0.5)
    trades = select(data, p, edge, fold, enter)
    by_fold = tuple(sharpe_of(trades._replace(outcome=trades.outcome[trades.fold == one.number])) for one in folds)
    tried = [
        Trial(
            number=k + 1, parameters={"trees": 50.0 + k, "leaves": 15}, trades=len(trades.row), sharpe=0.01 * k, by_fold=by_fold, seconds=1
        )
        for k in range(trials)
    ]
    found = evaluate(data, p, edge, fold, enter, trial_sharpes=np.array([one.sharpe for one in tried]), seed=1, draws=300)
    kept = model(instruments=data.instruments, enter=enter)
    shares = {f"feature_{k}": 2.0**-k for k in range(1, 20)} | {"a<b": 0.2}
    return Trained(kept, found, data, p, p, edge, fold, tried, folds, shares, 12.5)


class Page(HTMLParser):
    """Reads a page strictly: every element is closed where it should be; keeps the text of cells, headings and titles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.links: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href", "action", "srcset", "data")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.words.setdefault(self.open[-1], []).append(data.strip())


def test_the_page_stands_alone() -> None:
    """It parses, has every section and plot, and asks for nothing: no link, no script, no address."""
    text = report_html(trained())
    page = Page(text)
    assert page.links == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", text)
    sections = "There is an edge.|Equity out of sample|Folds|Outcomes|Calibration|Features|Instruments|Trials|To make it again"
    assert page.words["h2"] == sections.split("|")
    assert page.tags.count("svg") == 6
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"\bnan\b|\binf\b", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL), re.IGNORECASE)


def test_the_numbers_are_those_of_the_evaluation() -> None:
    """Verdict, reasons, figures, folds, trials and facts stand on the page as they were measured."""
    one = trained()
    found, words = one.evaluation, Page(report_html(one)).words
    assert words["li"] == list(found.because)
    cells = words["td"]
    assert f"{found.mean_outcome:+.3f}" in cells
    assert f"{found.trades:,}" in cells
    assert f"{found.mean_return * 1e4:+.2f}" in cells
    assert f"{found.sharpe:+.3f}" in cells
    for fold, result in zip(one.folds, found.by_fold, strict=True):
        at = cells.index(f"{len(fold.train):,}")
        assert cells[at + 1] == f"{len(fold.calibrate):,}"
        shown = (f"{result.trades:,}", f"{result.hit_rate * 100:.1f} %", f"{result.mean_outcome:+.3f}")
        assert tuple(cells[at + 4 : at + 7]) == shown
    for result in found.by_instrument:
        assert cells[cells.index(result.instrument) + 1] == f"{result.trades:,}"
    assert {"50", "51", "52"} <= set(cells)
    manifest = one.model.manifest
    facts = words["dd"]
    assert manifest.program in facts
    assert set(manifest.files.values()) <= set(facts)
    assert "0123456789abcdef" in facts
    trades = select(one.data, one.p, one.edge, one.fold, manifest.enter)
    assert f"{trades.outcome.sum():+.1f} widths" in words["text"]
    assert f"{trades.returned.sum() * 100:+.2f} %" in words["text"]
    counted = [re.fullmatch(r".* widths: ([\d,]+) trades", title) for title in words["title"]]
    assert sum(int(match[1].replace(",", "")) for match in counted if match) == found.trades
    bins = [re.fullmatch(r"predicted .*, observed .*, ([\d,]+) predictions", title) for title in words["title"]]
    assert sum(int(match[1].replace(",", "")) for match in bins if match) == found.predictions


def test_the_text_says_the_same() -> None:
    """The terminal's report has the verdict, the reasons, the figures, the folds, ten features and the calibration, within its width."""
    one = trained()
    text = report_text(one)
    found = one.evaluation
    flat = " ".join(text.split())
    assert "\nEDGE\n" in text
    for reason in found.because:
        assert reason in flat
    for word in (f"{found.trades:,}", f"{found.mean_outcome:+.3f}", "doing nothing 0", "random entries do as well in", "Brier score"):
        assert word in flat
    assert "a<b" in text
    assert "feature_9" in text
    assert "feature_10" not in text
    assert max(map(len, text.splitlines())) <= 120
    assert "3 trials, 12.5 s" in text


def test_a_training_without_trades_has_a_report_too() -> None:
    """Nothing to plot is no reason to fail: the page says no edge, and a number that does not exist is a dash."""
    one = trained(signal=0.0, enter=9.0)
    text = report_html(one)
    page = Page(text)
    assert page.words["h2"][0] == "No edge."
    assert "no trade out of sample" in page.words["li"][0]
    assert "–" in page.words["td"]
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).lower()
    assert "NO EDGE" in report_text(one)


def test_a_notebook_shows_the_page_in_a_frame() -> None:
    """In a notebook the page is one element whose content is the page, so neither style reaches the other."""
    one = trained()
    cell = one._repr_html_()
    assert cell.count("<") == 2
    assert html.unescape(cell.partition('srcdoc="')[2].partition('" style=')[0]) == report_html(one)


def test_words_from_outside_are_only_words() -> None:
    """A name with signs of HTML in it stays a name."""
    one = trained()
    manifest = msgspec.structs.replace(one.model.manifest, training={"note": "<script>alert(1)</script>"})
    page = Page(report_html(replace(one, model=Model(manifest, one.model.contents))))
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.words["dd"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (-1.05, 1.45, [-1, -0.5, 0, 0.5, 1]), (3, 3, [3]), (0, 0.07, [0, 0.02, 0.04, 0.06])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    """Marks of an axis are round numbers inside it."""
    assert plots.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("minutes", [3, 90, 700, 5_000, 60_000, 900_000, 4_000_000])
def test_time_has_few_marks(minutes: int) -> None:
    """From minutes to years, between two and eight marks at whole steps."""
    first = 1_700_000_123_000_000_000
    marks = plots.time_ticks(first, first + minutes * 60_000_000_000)
    assert 2 <= len(marks) <= 8
    assert len({label for _, label in marks}) == len(marks)
