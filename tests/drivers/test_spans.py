"""A history cut into spans has the rows of one run over all of it, to the bit, and what a span is made of names it."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tercel.base import paths
from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_S, parse_instant
from tercel.drivers.history import FAR, History, history
from tercel.drivers.session import Plan
from tercel.drivers.spans import CLOSED, REGISTERS, STAMP, Integers, length_ns, rows_in, spans
from tercel.drivers.values import rows_of
from tercel.features.spec import FeatureSet, bars, ema, order_flow, rsi, time_of_day
from tests.market.history import quote_table, save, take
from tests.real_ticks import home_at, import_slice

FEATURES = (ema(100), rsi(14), order_flow(50), time_of_day().part("sin"))
FRIDAY = parse_instant("2014-05-02")


def whole(chosen: History, features: FeatureSet) -> Integers:
    """Close, arrival and registers of every row of one run over everything."""
    start = replace(chosen, start_ns=parse_instant(features.anchor)) if features.anchor else chosen
    _, closed, stamp, table = rows_of(start, Plan(features, None), features.compile().names, features.anchor)
    return np.column_stack([closed, stamp, table.view(np.int64)])


def apart(chosen: History, features: FeatureSet) -> Integers:
    """The same from spans, each made alone, the newest first."""
    made = [rows_in(chosen, Plan(features, None), span) for span in spans(chosen, features)]
    return np.concatenate(made[::-1])


@pytest.mark.parametrize("clock", ["5s", "1m", "100t"])
@pytest.mark.parametrize("anchor", ["", "2014-05-01T06:00"])
def test_spans_together_are_one_run(data_dir: Path, tmp_path: Path, clock: str, anchor: str) -> None:
    """Real quotes over three days: with and without an anchor, on bars of time and of ticks, from checkpoints and anew."""
    with home_at(tmp_path) as home:
        import_slice(data_dir, home, "2014-04-30T20:00", "2014-05-02T14:00")
        chosen, features = history("EURUSD"), FeatureSet(bars(clock), FEATURES, anchor)
        expected = whole(chosen, features)
        assert len(expected) > 500
        assert np.array_equal(apart(chosen, features), expected)
        assert list(paths.checkpoints_dir().rglob("*.snap"))
        assert np.array_equal(apart(chosen, features), expected)


def test_recorded_bars_have_long_spans(data_dir: Path, home: Path) -> None:
    """Bars of an hour in spans of five days, of a day in spans of a hundred: together they are one run over the years."""
    take(data_dir / "bars" / "fx_oanda_1h.parquet", data_dir / "bars" / "fx_oanda_1d.parquet")
    for clock, rows_max in (("1h", 5 * 24), ("1d", 100)):
        chosen, features = history("XAUUSD", every=clock), FeatureSet(bars(clock, "bid"), (ema(100), rsi(14)))
        expected = whole(chosen, features)
        newest = list(islice(spans(chosen, features), 4))
        made = [rows_in(chosen, Plan(features, None), span) for span in newest]
        assert np.array_equal(np.concatenate(made[::-1]), expected[-sum(map(len, made)) :])
        assert 0 < max(map(len, made)) <= rows_max


def test_late_ticks_and_weekends_lie_in_one_span(home: Path, tmp_path: Path) -> None:
    """A bar that is closed after midnight takes its late tick; the last bar before days without data closes with its own span."""
    night = quote_table(1_200, FRIDAY - 600 * NS_PER_S - 500_000)  # the last of each minute arrives half a millisecond after it
    monday = quote_table(900, FRIDAY + 3 * NS_PER_DAY)
    take(save(tmp_path / "night.parquet", night), save(tmp_path / "monday.parquet", monday), venue="one")
    chosen, features = history("EURUSD"), FeatureSet(bars("1m"), FEATURES)
    cut = list(spans(chosen, features))
    assert [(span.start_ns - FRIDAY) // NS_PER_DAY for span in cut] == [3, 0, -1]
    assert [span.end_ns for span in cut] == [FAR, cut[0].start_ns, cut[1].start_ns]
    expected = whole(chosen, features)
    assert np.array_equal(apart(chosen, features), expected)
    friday = rows_in(chosen, Plan(features, None), cut[1])
    assert friday[0, CLOSED] == FRIDAY < friday[0, STAMP]
    assert friday[-1, CLOSED] == FRIDAY + 600 * NS_PER_S
    assert not np.isnan(friday[:, REGISTERS:].view(np.float64)[:, :4]).any()


def test_an_import_renames_what_it_changes(home: Path, tmp_path: Path) -> None:
    """A day that is added changes where the one before it ends; a day before all others changes every span, and its rows are right."""
    features = FeatureSet(bars("1m"), FEATURES)
    days = [save(tmp_path / f"{day}.parquet", quote_table(7_200, FRIDAY + day * NS_PER_DAY, seed=5 + day)) for day in range(-1, 2)]
    take(*days[1:], venue="one")
    before = list(spans(history("EURUSD"), features))
    assert np.array_equal(apart(history("EURUSD"), features), whole(history("EURUSD"), features))
    take(save(tmp_path / "three.parquet", quote_table(60, FRIDAY + 2 * NS_PER_DAY)), venue="one")
    after = list(spans(history("EURUSD"), features))
    assert after[2] == before[1]
    assert after[1] != before[0]
    take(days[0], venue="one")
    assert not {span.content for span in after} & {span.content for span in spans(history("EURUSD"), features)}
    assert np.array_equal(apart(history("EURUSD"), features), whole(history("EURUSD"), features))


def test_a_span_holds_a_hundred_periods() -> None:
    """Whole days that are enough for a hundred bars; one for clocks whose bars nobody can count beforehand."""
    days = {"1s": 1, "1m": 1, "15m": 2, "1h": 5, "1d": 100, "500t": 1}
    assert {text: length_ns(bars(text)) // NS_PER_DAY for text in days} == days


def test_what_takes_too_long_goes_on_later(home: Path, tmp_path: Path) -> None:
    """Whoever is told of the progress may end it; the checkpoints made so far stay, and the rows are the same."""
    tables = [quote_table(3_600, FRIDAY + day * NS_PER_DAY + NS_PER_H, seed=day) for day in range(4)]
    take(*(save(tmp_path / f"{day}.parquet", table) for day, table in enumerate(tables)), venue="one")
    chosen, features = history("EURUSD"), FeatureSet(bars("1m"), FEATURES)
    newest = next(spans(chosen, features))

    asked = 0

    def refuse(what: str, done: int, total: int) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise TimeoutError(what)

    with pytest.raises(TimeoutError, match="warming up"):
        rows_in(chosen, Plan(features, None), newest, refuse)
    assert list(paths.checkpoints_dir().rglob("*.snap"))
    assert np.array_equal(rows_in(chosen, Plan(features, None), newest), whole(chosen, features)[-60:])
