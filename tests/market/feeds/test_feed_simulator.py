"""The simulator as a feed: one sequence per seed, whatever is done to it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.base.records import Records, empty
from tercel.base.time import NS_PER_MIN, NS_PER_S, date_of, parse_instant
from tercel.market.feeds import simulator as module
from tercel.market.feeds.base import UNLIMITED, Feed, Pace
from tercel.market.feeds.simulated_symbols import SimulatedSymbol, default_symbols
from tercel.market.feeds.simulator import LATENCY_NS, Simulator

START_NS = parse_instant("2024-05-14T12:59:21.5")
DURATION_NS = 5 * NS_PER_MIN


def simulator(seed: int = 11, pace: Pace = UNLIMITED, symbols: Sequence[SimulatedSymbol] | None = None) -> Simulator:
    """Five minutes that begin within one."""
    return Simulator(symbols, seed=seed, start_ns=START_NS, duration_ns=DURATION_NS, pace=pace)


def whole(feed: Feed, limit: int = 1_000_000) -> Records:
    """Everything the feed still has, as fast as possible."""
    parts = [empty(0)]
    while not feed.done:
        parts.append(feed.poll(0, limit))
    return np.concatenate(parts)


SEQUENCE = whole(simulator())


def test_the_same_seed_gives_the_same_records_to_the_bit() -> None:
    """And another seed gives another market."""
    assert len(SEQUENCE) > 3_000
    assert whole(simulator()).tobytes() == SEQUENCE.tobytes()
    assert whole(simulator(seed=12)).tobytes() != SEQUENCE.tobytes()


@settings(max_examples=15, deadline=None)
@given(
    cuts=st.lists(st.tuples(st.integers(0, 2 * NS_PER_S), st.integers(1, 400)), max_size=20),
    seek=st.integers(0, len(SEQUENCE) + 5),
    speed=st.sampled_from([None, 1.0, 20.0]),
)
def test_neither_polls_nor_seeks_change_the_sequence(cuts: list[tuple[int, int]], seek: int, speed: float | None) -> None:
    """Any poll sizes, any times, any jump, in a running simulator or in a new one."""
    feed, now_ns, parts = simulator(pace=Pace(speed)), 0, [empty(0)]
    for step_ns, limit in cuts:
        now_ns += step_ns
        parts.append(feed.poll(now_ns, limit))
    polled = np.concatenate(parts)
    assert polled.tobytes() == SEQUENCE[: len(polled)].tobytes()
    restarted = simulator()
    for one in (feed, restarted):
        one.seek(seek)
        assert one.position == seek
    assert whole(restarted, 777).tobytes() == SEQUENCE[seek:].tobytes()
    assert feed.poll(now_ns, 50).tobytes() == SEQUENCE[seek : seek + feed.position - seek].tobytes()


def test_records_are_in_order_and_inside_the_period() -> None:
    """Sorted by time, then by symbol, from the start to before the end, each arriving one latency after it happened."""
    happened = SEQUENCE["ts_event"]
    order = np.lexsort((SEQUENCE["instrument"], happened))
    assert (order == np.arange(len(SEQUENCE))).all()
    assert START_NS <= happened[0] < START_NS + NS_PER_S
    assert START_NS + DURATION_NS - NS_PER_S < happened[-1] < START_NS + DURATION_NS
    assert (SEQUENCE["ts_recv"] == happened + LATENCY_NS).all()
    for number in range(1, 6):
        refs = SEQUENCE["ref"][SEQUENCE["instrument"] == number]
        assert (np.diff(refs) == 1).all()


def test_real_time_takes_as_long_as_the_market() -> None:
    """After a minute of wall time, a minute of market has come, no more."""
    feed = simulator(pace=Pace(1.0))
    first = feed.poll(10**18, 10)
    rest = feed.poll(10**18 + NS_PER_MIN, 10**6)
    assert len(first) == 1
    expected = int(np.searchsorted(SEQUENCE["ts_recv"], first["ts_recv"][0] + NS_PER_MIN, side="right"))
    assert feed.position == len(first) + len(rest) == expected


def test_a_jump_back_starts_at_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks are bounded in number, and which of them are left does not change what comes."""
    monkeypatch.setattr(module, "MARK_BLOCKS", 1)
    monkeypatch.setattr(module, "MARKS_MAX", 3)
    feed = simulator()
    assert whole(feed).tobytes() == SEQUENCE.tobytes()
    assert 2 <= len(feed._marks) <= 3
    for position in range(len(SEQUENCE), 0, -997):
        feed.seek(position)
        assert feed.poll(0, 300).tobytes() == SEQUENCE[position : position + 300].tobytes()


def test_history_is_what_the_feed_delivers_day_by_day() -> None:
    """One array per UTC day, the same records, whatever the feed has delivered already."""
    start_ns = parse_instant("2024-05-14T23:57:30")
    both = Simulator(seed=3, start_ns=start_ns, duration_ns=6 * NS_PER_MIN, pace=UNLIMITED)
    both.poll(0, 1_500)
    days = list(both.records(start_ns, start_ns + 5 * NS_PER_MIN))
    assert [date_of(int(day["ts_event"][0])) for day in days] == ["2024-05-14", "2024-05-15"]
    history = np.concatenate(days)
    both.seek(0)
    delivered = whole(both)
    assert history.tobytes() == delivered[delivered["ts_event"] < start_ns + 5 * NS_PER_MIN].tobytes()
    later = np.concatenate(list(both.records(start_ns + 3 * NS_PER_MIN, start_ns + 10 * NS_PER_MIN)))
    assert later.tobytes() == delivered[delivered["ts_event"] >= start_ns + 3 * NS_PER_MIN].tobytes()
    assert list(both.records(start_ns, start_ns)) == []
    with pytest.raises(ConfigError, match="it starts at"):
        next(both.records(start_ns - 1, start_ns))


def test_fx_rests_at_week_ends_and_crypto_does_not() -> None:
    """From Friday 17:00 to Sunday 17:00 New York only the coin trades, unless the symbols are always open."""
    friday_ns, sunday_ns = parse_instant("2024-05-17T21:00"), parse_instant("2024-05-19T21:00")
    start_ns = friday_ns - 2 * NS_PER_MIN
    around = Simulator(seed=1, start_ns=start_ns, duration_ns=4 * NS_PER_MIN, pace=UNLIMITED)
    rows = whole(around)
    assert set(rows["instrument"][rows["ts_event"] < friday_ns].tolist()) == {1, 2, 3, 4, 5}
    assert set(rows["instrument"][rows["ts_event"] >= friday_ns].tolist()) == {5}
    fx = Simulator(default_symbols()[:4], seed=1, start_ns=start_ns, pace=UNLIMITED)
    times = fx.poll(0, 2_000)["ts_event"]
    assert not ((times >= friday_ns) & (times < sunday_ns)).any()
    assert times[-1] > sunday_ns
    tireless = Simulator(default_symbols(always_open=True), seed=1, start_ns=friday_ns, duration_ns=NS_PER_MIN, pace=UNLIMITED)
    assert set(whole(tireless)["instrument"].tolist()) == {1, 2, 3, 4, 5}


def test_a_simulation_that_makes_no_sense_is_refused() -> None:
    """Unregistered or repeated ids, numbers that are none, and negative seeds name what was expected."""
    first, second, *_ = default_symbols()
    replace = msgspec.structs.replace
    wrong = [
        ([], "different ids"), ([first, replace(second, instrument=first.instrument)], "different ids"),
        ([replace(first, instrument=replace(first.instrument, id=0))], "different ids"), ([replace(first, price=0.0)], "price"),
        ([replace(first, volatility=float("nan"))], "volatility"), ([replace(first, activity=(1.0, 0.0))], "activity"),
        ([replace(first, factors=(0.9, 0.9))], "factors"), ([replace(first, delay_s=-1.0)], "delay_s"),
        ([replace(first, delay_s=5.0)], "delay_s"), ([replace(first, zone="Mars/Olympus")], "zone"),
    ]  # fmt: skip
    for symbols, text in wrong:
        with pytest.raises(ConfigError, match=text):
            simulator(symbols=symbols)
    with pytest.raises(ConfigError, match="seed"):
        simulator(seed=-1)
