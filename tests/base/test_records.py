"""The records: one layout seen through several views, the words compiled code reads, and ids that never repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base import records as r

VIEWS = [r.TICK, r.BAR_VIEW, r.TIMER_VIEW, r.COMMAND_VIEW, r.REPORT_VIEW]


@pytest.mark.parametrize("view", VIEWS, ids=["tick", "bar", "timer", "command", "report"])
def test_every_view_is_64_bytes_with_the_same_header(view: np.dtype[Any]) -> None:
    """Any input can be read through any view: the header is the same, the body starts at byte 24, words are aligned."""
    names = ("ts_event", "ts_recv", "instrument", "kind", "side", "flags")
    assert view.itemsize == r.RECORD_BYTES == 8 * r.WORDS
    assert view.names is not None
    assert view.names[: len(names)] == names
    assert [view.fields[name] for name in names] == [r.TICK.fields[name] for name in names]  # type: ignore[index]
    assert view.fields[view.names[len(names)]][1] == 8 * r.BODY  # type: ignore[index]
    assert all(view.fields[name][1] % 8 == 0 for name in view.names[len(names) :])  # type: ignore[index]


@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(-128, 127), st.integers(0, 2**16 - 1), st.integers(-(2**63), 2**63 - 1))
def test_the_words_of_a_record_are_its_fields(instrument: int, kind: int, side: int, flags: int, time: int) -> None:
    """Compiled code and NumPy read the same instrument, kind, side and flags out of word 2, and the same times."""
    one = r.empty(1)
    one["instrument"], one["kind"], one["side"], one["flags"], one["ts_event"], one["ts_recv"] = instrument, kind, side, flags, time, -1
    one["price"], one["ref"] = 1.5, 7
    word = r.words(one)
    head = int(word[r.HEAD])
    assert head & r.INSTRUMENT_MASK == instrument
    assert head >> r.KIND_SHIFT & r.BYTE_MASK == kind
    assert head >> r.SIDE_SHIFT & r.BYTE_MASK == side & r.BYTE_MASK
    assert head >> r.FLAGS_SHIFT & 0xFFFF == flags
    assert (word[r.TS_EVENT], word[r.TS_RECV]) == (time, -1)
    assert word.view(np.float64)[r.BODY] == 1.5
    assert word[r.BODY + 4] == 7


def test_words_are_the_same_memory() -> None:
    """No copy: what compiled code writes, the record says, in records of both sizes."""
    ticks, outputs = r.empty(3), np.zeros(2, r.OUTPUT)
    r.words(ticks)[r.WORDS + r.TS_RECV] = 5
    r.words(outputs)[r.OUTPUT_WORDS] = 9
    assert ticks["ts_recv"].tolist() == [0, 5, 0]
    assert outputs["input"].tolist() == [0, 9]
    assert len(r.words(ticks)) == 3 * r.WORDS
    assert len(r.words(r.empty(0))) == 0


def test_kinds_are_market_data_up_to_a_number_and_control_above() -> None:
    """Every kind has a name, fits its byte, and lies on the right side of the line that the sequencer draws."""
    control = {r.TIMER, r.COMMAND, r.REPORT, r.ADVICE, r.DEGRADE}
    assert {kind for kind in r.KIND_NAMES if kind > r.MARKET_KINDS_MAX} == control
    assert len(set(r.KIND_NAMES.values())) == len(r.KIND_NAMES)
    assert all(0 < kind <= r.BYTE_MASK for kind in r.KIND_NAMES)
    assert sorted(r.OUT_NAMES) == list(range(1, 1 + len(r.OUT_NAMES)))


numbers = st.integers(0, 2**63 - 1)


@given(numbers, numbers, numbers, numbers)
def test_two_orders_never_share_an_id(epoch: int, order: int, other_epoch: int, other_order: int) -> None:
    """32 hex digits hold epoch and order whole: equal ids mean the same order of the same epoch."""
    one, other = r.client_order_id(epoch, order), r.client_order_id(other_epoch, other_order)
    assert (int(one[:16], 16), int(one[16:], 16), len(one)) == (epoch, order, 32)
    assert one == one.lower()
    assert (one == other) == ((epoch, order) == (other_epoch, other_order))
    assert (one < other) == ((epoch, order) < (other_epoch, other_order))
