"""Merging rows: overlaps meet, repeats stay, order is stable, and memory bounds change nothing."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base import paths
from tercel.base.errors import ConfigError, DataError
from tercel.base.records import TICK, Records
from tercel.base.time import NS_PER_DAY, NS_PER_H, NS_PER_MIN
from tercel.market import merge
from tercel.market.catalog import Catalog
from tercel.market.definitions import definition
from tercel.market.manifest import Key
from tercel.market.spill import Spill, close_runs
from tercel.market.writer import Writer
from tests.market.history import START_NS, bar_table, everything, picture, quote_table, quotes, save, take

KEY = Key("EURUSD", "oanda", "quote")
ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 3)), max_size=40)


def records(pairs: list[tuple[int, int]]) -> Records:
    """Quotes from (time, price) pairs, sorted by time."""
    return (
        merge.in_order([quotes([START_NS + time for time, _ in pairs], [float(price) for _, price in pairs])])
        if pairs
        else np.empty(0, TICK)
    )


def counted(rows: Records) -> Counter[bytes]:
    """How often each row occurs."""
    return Counter(row.tobytes() for row in rows)


@given(ROWS, ROWS)
def test_a_union_has_each_row_as_often_as_the_richer_side(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    """For any two sets of rows, the union counts each row like the side that has more of it, keeps time order and the old rows' order."""
    old, new = records(one), records(other)
    result = merge.union(old, new)
    assert counted(result.rows) == counted(old) | counted(new)
    assert result.added == len(result.rows) - len(old)
    assert (np.diff(result.rows["ts_event"]) >= 0).all()
    for again in (new, old):
        assert np.array_equal(merge.union(result.rows, again).rows.view(np.int64), result.rows.view(np.int64))


@given(ROWS)
def test_repeats_are_rows_seen_before(pairs: list[tuple[int, int]]) -> None:
    """The count of repeats is rows minus distinct rows."""
    rows = records(pairs)
    assert merge.repeats(rows) == len(rows) - len(counted(rows))


@given(st.lists(ROWS, min_size=1, max_size=5), st.integers(1, 50))
def test_slices_are_a_stable_merge(parts: list[list[tuple[int, int]]], rows_max: int) -> None:
    """Whatever the slice size, the slices of several runs, sorted one by one, are the stable sort of all runs together."""
    arrays = [records(pairs) for pairs in parts]
    cut = [merge.in_order(pieces) for pieces in merge.slices([merge.ArrayRun(rows) for rows in arrays], rows_max)]
    whole = merge.in_order(arrays)
    assert np.array_equal(np.concatenate([*cut, np.empty(0, TICK)]).view(np.int64), whole.view(np.int64))
    ends = [(rows["ts_event"][0], rows["ts_event"][-1]) for rows in cut]
    assert all(before[1] < after[0] for before, after in pairwise(ends))


@pytest.mark.parametrize("buffer_bytes", [1_000, 20_000, 10_000_000])
def test_the_memory_bound_changes_no_bit(home: Path, tmp_path: Path, buffer_bytes: int) -> None:
    """Shuffled rows over several days give the same catalog whether they were spilled to disk or kept in memory."""
    chance = np.random.default_rng(5)
    times = START_NS + chance.integers(0, 3 * NS_PER_DAY, 3_000) // NS_PER_H * NS_PER_H
    rows = quotes(times.tolist(), np.arange(1.0, 3_001.0).tolist())
    with Writer(paths.catalog_dir(), buffer_bytes) as writer:
        writer.define(definition("EURUSD", "oanda") or pytest.fail("EURUSD is built in"))
        for part in np.array_split(rows, 30):
            writer.add(KEY, part)
        (sealed,) = writer.seal()
        writer.commit()
    got = everything(Catalog().records("EURUSD", "quote"))
    assert np.array_equal(got["price"], rows["price"][np.argsort(times, kind="stable")])
    newest = np.maximum.accumulate(times)
    assert sealed.rows_out_of_order == int((times[1:] < newest[:-1]).sum())
    assert sealed.counts.rows == sealed.rows_added == 3_000
    assert not (paths.catalog_dir() / "staging").exists()


def test_overlapping_files_meet(home: Path, tmp_path: Path) -> None:
    """Two files that share a stretch give each row once, and the report says how many were known; repeats of the source stay."""
    import pyarrow as pa

    table = quote_table(300, START_NS, NS_PER_H // 2)
    table = pa.concat_tables([table, table.slice(299)])  # the source itself repeats its last row
    first, second = save(tmp_path / "oanda_1.parquet", table.slice(0, 200)), save(tmp_path / "oanda_2.parquet", table.slice(100))
    take(first)
    report = take(second)
    series = report.files[0].series[0]
    assert (series.counts.rows, series.rows_added, series.rows_known, series.counts.duplicates) == (201, 101, 100, 1)
    rows = everything(Catalog().records("EURUSD", "quote"))
    assert np.array_equal(rows["price"], table["bid"].to_numpy())
    before = picture(paths.catalog_dir())
    assert not take(second, first).changed
    assert picture(paths.catalog_dir()) == before


def test_the_order_of_imports_does_not_matter_for_the_rows(home: Path, tmp_path: Path) -> None:
    """Late before early or both at once: the catalog holds the same rows in the same order."""
    table = quote_table(300, START_NS, NS_PER_H // 2)
    files = [save(tmp_path / f"oanda_{index}.parquet", table.slice(index * 100, 150)) for index in range(3)]
    roots = [tmp_path / name for name in "abc"]
    for root, order in zip(roots, ([0, 1, 2], [2, 0, 1], [1, 2, 0]), strict=True):
        from tercel.market.importers.batch import Options
        from tercel.market.importers.run import import_files

        for index in order:
            import_files([files[index]], Options(), root)
    assert len({Catalog(root).datasets()[0].fingerprint for root in roots}) == 1


def test_a_bar_has_one_time(home: Path, tmp_path: Path) -> None:
    """An exact repeat of a bar is dropped, a differing one in one file is refused, a later import replaces and counts."""
    opens = [START_NS, START_NS, START_NS + NS_PER_MIN]
    report = take(save(tmp_path / "a.parquet", bar_table(opens, [1.5, 1.5, 1.6])))
    assert report.files[0].series[0].bars_dropped == 1
    with pytest.raises(DataError, match="expected one bar for 2014-05-01 00:00:00, found two that differ"):
        take(save(tmp_path / "b.parquet", bar_table(opens, [1.5, 1.7, 1.6])))
    report = take(save(tmp_path / "c.parquet", bar_table(opens[1:], [1.5, 1.9])))
    assert (report.files[0].series[0].rows_replaced, report.files[0].series[0].rows_known) == (1, 1)
    assert everything(Catalog().records("EURUSD", "bar"))["close"].tolist() == [1.5, 1.9]


def test_a_time_shared_by_too_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one time have to fit into memory together; more than the bound is an error, not a crash."""
    monkeypatch.setattr(merge, "INSTANT_ROWS_MAX", 10)
    run = merge.ArrayRun(quotes([START_NS] * 100, [1.0] * 100))
    with pytest.raises(DataError, match="at most 10 rows at one time"):
        list(merge.slices([run], 5))


def test_rows_in_order_make_one_run_however_often_they_are_spilled(tmp_path: Path) -> None:
    """Spilling sorted rows piece by piece leaves one run per partition; unsorted pieces leave several."""
    spill = Spill(tmp_path / "rows", 1_000)
    for start in range(0, 100, 10):
        spill.add((KEY, 0), quotes([START_NS + start + index for index in range(10)], [1.0] * 10))
    spill.add((KEY, 0), quotes([START_NS + index for index in range(20)], [1.0] * 20))
    runs = spill.runs((KEY, 0))
    assert [run.rows for run in runs] == [100, 20]
    close_runs(runs)
    spill.close()
    assert not (tmp_path / "rows").exists()


def test_only_one_writer_at_a_time(home: Path) -> None:
    """A second writer is told at once, and may write when the first has finished."""
    with Writer(paths.catalog_dir()), pytest.raises(ConfigError, match="another process is writing"), Writer(paths.catalog_dir()):
        pass
    with Writer(paths.catalog_dir()):
        pass
