"""The life of an order: every pair of state and event, walked."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tercel.base.kernel import plain
from tercel.execution import lifecycle as life
from tercel.execution.kernels import O_STATE, ORDER_WORDS, life_step

STATES = sorted(life.STATE_NAMES)
EVENTS = sorted(life.EVENT_NAMES)
REQUESTS = (life.CANCEL, life.REPLACE)


def step(state: int, event: int) -> tuple[int, int]:
    """(what the kernel answers, the state it leaves) for an order in `state` that meets `event`."""
    order = np.zeros(ORDER_WORDS, np.int64)
    order[O_STATE] = state
    return int(plain(life_step)(order, life.table(), 0, event)), int(order[O_STATE])


@pytest.mark.parametrize("state", STATES, ids=[life.STATE_NAMES[state] for state in STATES])
def test_every_event_in_every_state(state: int) -> None:
    """A listed pair leads where the table says, every other pair is refused and leaves the order as it was."""
    for event in EVENTS:
        following = life.NEXT.get((state, event), 0)
        assert step(state, event) == ((following, following) if following else (0, state)), life.EVENT_NAMES[event]


def test_the_table_holds_exactly_what_is_listed() -> None:
    """The table that kernels read has an entry for each listed pair and for no other, unnamed numbers included."""
    grid = life.table().reshape(life.STATES, life.EVENTS)
    listed = {(int(state), int(event)): int(grid[state, event]) for state, event in np.argwhere(grid)}
    assert listed == life.NEXT
    assert {*STATES} == {state for pair in life.NEXT for state in (pair[0], life.NEXT[pair])} | {life.DENIED, life.REJECTED}
    assert {*EVENTS} == {event for _, event in life.NEXT}


def test_each_state_is_before_open_or_terminal() -> None:
    """Every state is the beginning, open, or terminal, and is only one of them."""
    assert {life.CREATED, *life.OPEN, *life.TERMINAL} == {*STATES}
    assert len(life.OPEN) + len(life.TERMINAL) + 1 == len(STATES)


def test_a_terminal_order_never_opens_again() -> None:
    """Late news about a closed order leads to a closed order."""
    for (state, _), following in life.NEXT.items():
        assert state not in life.TERMINAL or following in life.TERMINAL


def test_every_open_order_can_end_each_way() -> None:
    """From every open state a fill fills, a done cancel cancels and an expiry expires."""
    for state in life.OPEN:
        assert life.NEXT[state, life.FILL] == life.FILLED
        assert life.NEXT[state, life.CANCEL_DONE] == life.CANCELED
        assert life.NEXT[state, life.EXPIRE] == life.EXPIRED


def test_a_fill_crosses_a_request_on_the_wire() -> None:
    """A partial fill leaves a pending cancel or replace pending, a fill ends it, a refusal gives the order back."""
    for pending, refused in ((life.PENDING_CANCEL, life.CANCEL_REFUSED), (life.PENDING_REPLACE, life.REPLACE_REFUSED)):
        assert step(pending, life.PARTIAL) == (pending, pending)
        assert step(pending, life.FILL) == (life.FILLED, life.FILLED)
        assert step(pending, refused) == (life.ACCEPTED, life.ACCEPTED)
        assert step(life.FILLED, refused) == (life.FILLED, life.FILLED)


def test_a_fill_after_a_cancel_is_booked() -> None:
    """A fill that arrives after the cancel or the expiry was reported counts: part of it keeps the state, all of it fills."""
    for closed in (life.CANCELED, life.EXPIRED):
        assert step(closed, life.PARTIAL) == (closed, closed)
        assert step(closed, life.FILL) == (life.FILLED, life.FILLED)


def test_what_was_denied_or_rejected_has_no_future() -> None:
    """An order that was denied or rejected, and one that was never submitted, meets no event of a venue."""
    for state, event in itertools.product((life.DENIED, life.REJECTED), EVENTS):
        assert step(state, event) == (0, state)
    for event in {*EVENTS} - {life.DENY, life.SUBMIT}:
        assert step(life.CREATED, event) == (0, life.CREATED)


def test_every_state_can_be_reached() -> None:
    """No state is listed that no order ever gets into; requests need an order that is open."""
    reached = {life.CREATED}
    while more := {following for (state, _), following in life.NEXT.items() if state in reached} - reached:
        reached |= more
    assert reached == {*STATES}
    assert all(state in life.OPEN for state, event in life.NEXT if event in REQUESTS)
