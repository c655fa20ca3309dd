"""Candles say which of them data was lost in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.records import GAP, QUOTE, Records, empty
from tercel.base.time import NS_PER_MIN, NS_PER_S
from tercel.market.candles import CUT_OFF, PARTLY, WHOLE, candles, joined

HOUR_NS = 500_000 * 60 * NS_PER_MIN


def quotes(seconds: list[int], lost: set[int]) -> Records:
    """Quotes, or where the number of the record is in `lost` a gap, at seconds from an hour on."""
    records = empty(len(seconds))
    records["kind"] = [GAP if place in lost else QUOTE for place in range(len(seconds))]
    records["ts_event"] = HOUR_NS + NS_PER_S * np.array(seconds, np.int64)
    records["price"] = np.where(records["kind"] == GAP, np.nan, 1.1 + np.arange(len(seconds)) / 1e4)
    records["price2"] = records["price"] + 1e-4
    return records


@pytest.mark.parametrize(
    ("seconds", "lost", "wanted"),
    [
        ([0, 70, 130], set(), [WHOLE, WHOLE, WHOLE]),
        ([0, 10, 10, 40, 70], {2}, [PARTLY, WHOLE]),  # in the midst of a candle
        ([0, 50, 50, 130, 190], {2}, [PARTLY, PARTLY, WHOLE]),  # from one candle into another, a minute between them
        ([0, 10, 70, 70, 70], {2, 3}, [PARTLY, PARTLY]),
        ([0, 0, 70], {0}, [PARTLY, WHOLE]),  # nothing is known of before
        ([0, 70, 70, 70], {2, 3}, [WHOLE, CUT_OFF]),  # nothing came behind
        ([0, 10], {0, 1}, []),
    ],
)
def test_a_candle_with_a_hole_in_it_or_at_its_edge_is_marked(seconds: list[int], lost: set[int], wanted: list[float]) -> None:
    """And no other; a hole changes no price."""
    records = quotes(seconds, lost)
    made = candles(records, "quote", NS_PER_MIN)
    assert made[:, 6].tolist() == wanted
    assert made[:, :5].tobytes() == candles(records[records["kind"] == QUOTE], "quote", NS_PER_MIN)[:, :5].tobytes()


@given(
    steps=st.lists(st.tuples(st.sampled_from([0, 1, 60, 240]), st.booleans()), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
def test_candles_of_days_are_those_of_all(steps: list[tuple[int, bool]], cuts: list[int]) -> None:
    """Cut between candles, as midnight does, and put together again: the same, a hole over the seam included."""
    seconds = np.cumsum([step for step, _ in steps]).tolist()
    lost = {place for place, (_, gap) in enumerate(steps) if gap}
    records = quotes(seconds, lost)
    spans = records["ts_event"] // NS_PER_MIN
    seams = sorted({int(np.searchsorted(spans, spans[cut])) for cut in cuts if cut < len(records)})
    known = [part for part in np.split(records, seams) if (part["kind"] == QUOTE).any()]
    if len(known) == len(seams) + 1:  # a day without a price has no candles that could say where it was cut off
        parts = [candles(part, "quote", NS_PER_MIN) for part in known]
        assert joined(parts).tobytes() == joined([candles(records, "quote", NS_PER_MIN)]).tobytes()
