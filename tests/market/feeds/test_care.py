"""The patience of a live session: waits that grow and differ, instruments that are silent, a bounded inbox."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.base.records import GAP, QUOTE, empty
from tercel.market.feeds.care import QUIET_DOUBLINGS_MAX, Backoff, Care, QuietWatch
from tercel.market.feeds.inbox import Inbox


@given(seed=st.integers(0, 2**32), failures=st.integers(1, 60))
def test_waits_grow_to_a_bound_and_differ(seed: int, failures: int) -> None:
    """Each wait lies between a tenth of its bound and the bound, which doubles up to the largest; success begins anew."""
    backoff = Backoff(0.25, 30.0, random.Random(seed))
    for number in range(failures):
        bound = min(30.0, 0.25 * 2.0**number)
        assert bound * 0.1 <= backoff.wait_s() <= bound
    backoff.reset()
    assert backoff.wait_s() <= 0.25
    again = [Backoff(0.25, 30.0, random.Random(seed)).wait_s() for _ in range(2)]
    assert again[0] == again[1]  # chance is an argument


def test_clients_that_failed_together_do_not_return_together() -> None:
    """A hundred seeds, a hundred waits."""
    assert len({Backoff(1.0, 30.0, random.Random(seed)).wait_s() for seed in range(100)}) == 100


def test_silence_is_found_by_instrument() -> None:
    """Each has a limit of its own, counted from its last message, or from the first look when it never spoke."""
    watch = QuietWatch({1: "BTCUSDT", 2: "PEPEUSDT"}, Care(quiet=10.0, quiet_of={"PEPEUSDT": 100.0}))
    heard: dict[int, float] = {}
    assert watch.found(heard, 1_000.0) == ""
    assert watch.found(heard, 1_010.0) == ""
    assert watch.found(heard, 1_010.1) == "BTCUSDT"
    heard[1] = 1_011.0
    assert watch.found(heard, 1_021.0) == ""
    assert watch.found(heard, 1_021.1) == "BTCUSDT"
    heard[1] = 1_100.5
    assert watch.found(heard, 1_100.6) == "PEPEUSDT"


def test_a_quiet_market_is_not_disturbed_for_ever() -> None:
    """An instrument that stays silent through new sockets is given twice as long each time, up to a bound; a message begins anew."""
    watch = QuietWatch({1: "XYZUSDT"}, Care(quiet=10.0))
    found, now_s = [], 0.0
    while len(found) < QUIET_DOUBLINGS_MAX + 3:
        now_s += 0.5
        if watch.found({}, now_s):
            found.append(now_s)
    steps = [later - sooner for sooner, later in pairwise(found)]
    assert steps == [10.5 + 10.0 * (2 ** min(k, QUIET_DOUBLINGS_MAX) - 1) for k in range(1, len(found))]
    assert watch.found({1: now_s + 1.0}, now_s + 1.0) == ""
    assert watch.found({1: now_s + 1.0}, now_s + 11.5) == "XYZUSDT"


def test_patience_is_above_nothing() -> None:
    """A bound of zero or less is refused by name."""
    for wrong in ({"silence": 0.0}, {"quiet_of": {"A": -1.0}}, {"records_max": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Care(**wrong)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=60))
def test_the_inbox_keeps_order_and_its_bound(steps: list[tuple[bool, int]]) -> None:
    """Whatever is put and taken: order of arrival, never more than the bound and a gap per instrument, every lost record counted."""
    inbox, number, put, got = Inbox(64), 0, 0, []
    for puts, count in steps:
        if puts:
            records = empty(count)
            records["kind"] = QUOTE
            records["instrument"] = np.arange(count) % 3 + 1
            records["ts_recv"] = records["ref"] = np.arange(number, number + count)
            number += count
            put += count
            inbox.put(records)
            assert len(inbox) <= 64 + 3
        else:
            got.append(inbox.take(count))
            assert len(got[-1]) <= count
    got.append(inbox.take(1_000))
    everything = np.concatenate(got)
    quotes = everything[everything["kind"] == QUOTE]
    assert len(quotes) + inbox.lost == put
    assert (np.diff(quotes["ref"]) > 0).all()
    assert (np.diff(everything["ts_recv"]) >= 0).all()
    assert bool(inbox.lost) == bool((everything["kind"] == GAP).any())


def test_a_gap_stands_before_what_follows_a_loss() -> None:
    """For each instrument that lost a record there is one gap, and it comes before every record that was kept."""
    inbox = Inbox(10)
    for k in range(14):
        one = empty(1)
        one["kind"], one["instrument"], one["ts_recv"], one["ref"] = QUOTE, k % 2 + 1, k, k
        inbox.put(one)
    assert inbox.lost == 6
    taken = inbox.take(100)
    assert taken["kind"][:2].tolist() == [GAP, GAP]
    assert taken["instrument"][:2].tolist() == [1, 2]
    assert taken["ref"][2:].tolist() == list(range(6, 14))
    assert np.isnan(taken["price"][:2]).all()
