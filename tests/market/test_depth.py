"""The best levels after each event as changes of a book: applied one after the other they give the levels back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.records import LAST, SNAPSHOT
from tercel.market.importers import depth
from tercel.market.importers.depth import Best, Depth

LEVELS = 3
BOOK = st.dictionaries(st.integers(1, 8), st.integers(1, 5), max_size=LEVELS)


def best(books: list[dict[int, int]], downwards: bool) -> Best:
    """The levels of some books as arrays."""
    prices, sizes = np.full((len(books), LEVELS), np.nan), np.full((len(books), LEVELS), np.nan)
    for row, book in enumerate(books):
        for place, price in enumerate(sorted(book, reverse=downwards)):
            prices[row, place], sizes[row, place] = price, book[price]
    return Best(prices, sizes)


@given(st.lists(st.tuples(BOOK, BOOK), min_size=1, max_size=12), st.integers(0, 12), st.integers(1, 5))
def test_applying_the_changes_gives_the_levels_back(books: list[tuple[dict[int, int], dict[int, int]]], cut: int, chunk: int) -> None:
    """Whatever the books and however the file is cut into blocks, after each event the rows have built its levels."""
    depth._CHUNK, before = chunk, depth._CHUNK
    try:
        follow, held = Depth(), {1: dict[float, float](), -1: dict[float, float]()}
        for part, offset in ((books[:cut], 0), (books[cut:], cut)):
            count = len(part)
            times = np.arange(offset, offset + count) + 1
            bid, ask = best([one[0] for one in part], True), best([one[1] for one in part], False)
            found = follow.changes(times, np.zeros(count, np.int64), times * 7, bid, ask)
            for event in range(count):
                rows = found.records[found.events == event]
                assert (rows["ts_event"] == times[event]).all()
                assert (rows["ref"] == times[event] * 7).all()
                assert [bool(flag & LAST) for flag in rows["flags"]] == [False] * (len(rows) - 1) + [True] * (len(rows) > 0)
                assert all(bool(flag & SNAPSHOT) == (event + offset == 0) for flag in rows["flags"])
                for row in rows:
                    if row["size"] == 0:
                        del held[int(row["side"])][float(row["price"])]
                    else:
                        assert held[int(row["side"])].get(float(row["price"])) != row["size"]
                        held[int(row["side"])][float(row["price"])] = float(row["size"])
                assert (held[1], held[-1]) == part[event]
    finally:
        depth._CHUNK = before
