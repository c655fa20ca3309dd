"""Merging partitions: the order is (arrival, stream, row), exactly, however the streams are cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import DataError
from tercel.base.records import BAR, QUOTE, Records, empty
from tercel.market.feeds.merge import merge

LATENCY_NS = 3
Row = tuple[int, int]  # ts_event, ts_recv (0: not recorded)


def records(stream: int, rows: list[Row], kind: int = QUOTE) -> Records:
    """Records of one stream, numbered in `ref`."""
    out = empty(len(rows))
    out["kind"], out["instrument"] = kind, stream
    for number, (happened, received) in enumerate(rows):
        out[number]["ts_event"], out[number]["ts_recv"], out[number]["ref"] = happened, received, number
    return out


def cut(rows: Records, sizes: list[int]) -> Iterator[Records]:
    """The rows in read-only chunks of these sizes, the rest last; empty chunks included."""
    rows.flags.writeable = False
    start = 0
    for size in sizes:
        yield rows[start : start + size]
        start += size
    yield rows[start:]


def by_brute_force(streams: list[list[Row]]) -> list[tuple[int, int, int]]:
    """(arrival, stream, row) of every row, sorted."""
    keys = []
    for stream, rows in enumerate(streams):
        newest = 0
        for number, (happened, received) in enumerate(rows):
            newest = max(newest, received if received > 0 else happened + LATENCY_NS)
            keys.append((newest, stream, number))
    return sorted(keys)


def keys_of(chunks: Iterator[Records]) -> list[tuple[int, int, int]]:
    """(arrival, stream, row) in the order in which they come."""
    keys: list[tuple[int, int, int]] = []
    for chunk in chunks:
        assert len(chunk)
        keys += zip(chunk["ts_recv"].tolist(), chunk["instrument"].tolist(), chunk["ref"].tolist(), strict=True)
    return keys


ROWS = st.lists(st.tuples(st.integers(1, 12), st.just(0) | st.integers(1, 15)), max_size=25)


@given(
    streams=st.lists(st.tuples(ROWS.map(sorted), st.lists(st.integers(0, 6), max_size=8)), max_size=5),
    chunk_rows=st.integers(1, 9),
)
def test_any_cut_gives_what_a_sort_of_everything_gives(streams: list[tuple[list[Row], list[int]]], chunk_rows: int) -> None:
    """Neither the chunks that come in nor the window changes the order, with ties everywhere."""
    chunks = [cut(records(number, rows), sizes) for number, (rows, sizes) in enumerate(streams)]
    assert keys_of(merge(chunks, LATENCY_NS, chunk_rows)) == by_brute_force([rows for rows, _ in streams])


def test_a_row_behind_its_predecessor_arrives_with_it() -> None:
    """A recorder's clock that steps back never reorders a stream."""
    merged = keys_of(merge([iter([records(0, [(1, 10), (2, 7)])]), iter([records(1, [(1, 8), (2, 10)])])], 0))
    assert merged == [(8, 1, 0), (10, 0, 0), (10, 0, 1), (10, 1, 1)]


def test_nothing_else_of_a_record_changes() -> None:
    """Only `ts_recv` is filled; the arrays that came in stay as they were."""
    rows = records(4, [(5, 0), (6, 0)])
    rows["price"] = [1.25, np.nan]
    before = rows.copy()
    (merged,) = merge([iter([rows])], LATENCY_NS)
    assert rows.tobytes() == before.tobytes()
    merged["ts_recv"] = 0
    assert merged.tobytes() == before.tobytes()


def test_a_bar_arrives_one_latency_after_it_closed() -> None:
    """Its open, 60 units earlier, is not when it was known; a bar without a close is refused."""
    bars, ticks = records(0, [(0, 60), (60, 120)], BAR), records(1, [(59, 0), (60, 0), (61, 0)])
    assert keys_of(merge([iter([bars]), iter([ticks])], LATENCY_NS)) == [(62, 1, 0), (63, 0, 0), (63, 1, 1), (64, 1, 2), (123, 0, 1)]
    with pytest.raises(DataError, match="before it closed"):
        list(merge([iter([records(0, [(60, 0)], BAR)])], LATENCY_NS))


def test_memory_stays_at_one_window_per_stream() -> None:
    """A source is read only as far as the order needs: never more than a window ahead of what has gone out."""
    read = [0, 0]

    def source(stream: int, step_ns: int) -> Iterator[Records]:
        for chunk in range(200):
            read[stream] += 10
            yield records(stream, [(1 + (chunk * 10 + row) * step_ns, 0) for row in range(10)])

    sent = [0, 0]
    for out in merge([source(0, 1), source(1, 50)], 0, chunk_rows=10):
        for stream in (0, 1):
            sent[stream] += int((out["instrument"] == stream).sum())
            assert read[stream] - sent[stream] <= 30
    assert sent == read == [2000, 2000]
