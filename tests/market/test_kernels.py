"""Bars and quotes: what closes when, what is counted and changes nothing, against a slow definition, on real and on arbitrary ticks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.kernel import F, I, i64
from tercel.base.records import GAP, QUOTE, TRADE, Records, empty, words
from tercel.core.sequencer import Sequencer
from tercel.features.spec import FeatureSet, bars
from tercel.market import kernels as k
from tests.market.bar_definition import Definition, Row
from tests.market_runs import NAN, MarketRun, Rows, bar, quote, real_ticks, record, timer, together, trade
from tests.twins import MODES, bits, twin

MINUTE = 60  # the interval of the examples, in ns
START = 600_000
Tick = tuple[int, int, int, int, float, float, int, float]  # gap, lag, kind, instrument, bid or price, spread or size, side, ask size


def run_of(every: str = f"{MINUTE}ns", price: str = "mid", slots: int = 1, mode: str = "compiled") -> MarketRun:
    """A market phase without features."""
    return MarketRun(FeatureSet(bars(every, price), ()), slots, mode=mode)


def table(run: MarketRun, rows: Rows) -> list[Row]:
    """Rows as the definition writes them, NaN as None."""
    head, registers = rows[:, :4].tolist(), run.registers(rows)
    return [(*place, tuple(known(values))) for place, values in zip(head, registers.tolist(), strict=True)]  # type: ignore[misc]


def known(values: list[float]) -> list[float | None]:
    """NaN as None, so that equal means equal."""
    return [None if value != value else value for value in values]


def defined(rows: list[Row]) -> list[Row]:
    """The same of the definition's rows."""
    return [(*row[:4], tuple(known(list(row[4])))) for row in rows]  # type: ignore[misc]


def columns(run: MarketRun, rows: Rows) -> list[list[float | None]]:
    """The base columns of each row from the open to the ask."""
    return [known(values[:8]) for values in run.registers(rows).tolist()]


def more_columns(run: MarketRun, rows: Rows) -> list[list[float | None]]:
    """Bid size, ask size, flow, signed volume and time of each row."""
    return [known(values[8:]) for values in run.registers(rows).tolist()]


def sequenced(records: Records, interval: int, grace: int) -> Records:
    """The records with the timers that time causes, to the last bar."""
    sequencer = Sequencer(interval_ns=interval, grace_ns=grace)
    return together(*[part.copy() for part in sequencer.push(records)], *[part.copy() for part in sequencer.finish()])


def test_a_bar_holds_the_ticks_of_its_bucket_and_closes_on_its_timer() -> None:
    """Buckets go by the time of the event: open, high, low, close, no volume without trades, count, and the quote at the close."""
    run = run_of()
    ticks = together(
        quote(START + 5, 10.0, 12.0), quote(START + 20, 13.0, 15.0), quote(START + 40, 8.0, 10.0), quote(START + 59, 9.0, 11.0)
    )
    assert len(run.push(ticks)) == 0
    rows = run.push(together(quote(START + 60, 50.0, 52.0, stamp=START + 62), timer(START + 60, MINUTE, grace=5)))
    assert table(run, rows) == [(6, 0, START, START + 60, (11.0, 14.0, 9.0, 10.0, None, 4.0, 9.0, 11.0, *[None] * 4, (START + 60) / 1e9))]
    (last,) = table(run, run.push(timer(START + 120, MINUTE, grace=5)))
    assert last[:4] == (7, 0, START + 60, START + 120)


def test_a_bucket_without_a_tick_gives_no_bar() -> None:
    """Silence is not a bar: timers pass and nothing is filled in."""
    run = run_of()
    run.push(quote(START, 1.0, 2.0))
    assert len(run.push(timer(START + 60, MINUTE))) == 1
    assert len(run.push(together(timer(START + 120, MINUTE), timer(START + 180, MINUTE)))) == 0


def test_no_later_tick_closes_a_bar() -> None:
    """However much later the ticks are, a bar waits for its timer."""
    run = run_of()
    assert len(run.push(together(*[quote(START + MINUTE * step, 1.0, 2.0) for step in range(4)]))) == 0
    rows = run.push(timer(START + 4 * MINUTE, MINUTE))
    assert rows[:, 2].tolist() == [START + MINUTE * step for step in range(4)]


def test_a_late_tick_is_counted_and_changes_nothing() -> None:
    """Once its bar has closed a tick is late, whatever its price, and neither that bar nor the next is other than without it."""
    on_time = together(quote(START + 10, 1.0, 2.0), timer(START + 60, MINUTE, 5))
    late = quote(START + 59, 100.0, 200.0, stamp=START + 66)
    after = together(quote(START + 70, 3.0, 4.0), timer(START + 120, MINUTE, 5))
    with_it, without = run_of(), run_of()
    got = [*columns(with_it, with_it.push(together(on_time, late, after)))]
    assert got == columns(without, without.push(together(on_time, after)))
    assert (with_it.count(k.BAR_LATE), without.count(k.BAR_LATE)) == (1, 0)


def test_within_the_grace_a_tick_is_not_late() -> None:
    """Until the timer has come the bar takes ticks of its bucket, also after those of the next."""
    run = run_of()
    ticks = together(quote(START + 10, 1.0, 3.0), quote(START + 61, 9.0, 9.0), quote(START + 59, 5.0, 7.0, stamp=START + 64))
    rows = run.push(together(ticks, timer(START + 60, MINUTE, 5), timer(START + 120, MINUTE, 5)))
    assert [row[:4] for row in columns(run, rows)] == [[2.0, 6.0, 2.0, 6.0], [9.0, 9.0, 9.0, 9.0]]
    assert run.count(k.BAR_LATE) == 0


@pytest.mark.parametrize(("buckets", "word"), [(-4, k.BAR_LATE), (-400, k.BAR_LATE), (3, k.BAR_AHEAD), (5_000_000, k.BAR_AHEAD)])
def test_a_wrong_clock_cannot_hold_a_place(buckets: int, word: int) -> None:
    """A tick whose time lies far from its arrival is counted and leaves the ring to the bars of now: none of them is lost."""
    run = run_of()
    for now in range(START, START + 8 * MINUTE, MINUTE):
        rows = run.push(together(quote(now + buckets * MINUTE, 77.0, 79.0, stamp=now), quote(now, 1.0, 3.0), timer(now + MINUTE, MINUTE)))
        assert columns(run, rows) == [[2.0, 2.0, 2.0, 2.0, None, 1.0, 1.0, 3.0]]
    assert run.count(word) == 8


@pytest.mark.parametrize("buckets", [1, 2])
def test_a_tick_a_little_ahead_waits_for_its_own_timer(buckets: int) -> None:
    """A source whose clock runs ahead by up to two bars loses nothing, and its bar closes at its own boundary."""
    run = run_of()
    run.push(quote(START + buckets * MINUTE, 5.0, 7.0, stamp=START))
    for step in range(1, buckets + 1):
        assert len(run.push(timer(START + step * MINUTE, MINUTE))) == 0
    assert run.push(timer(START + (buckets + 1) * MINUTE, MINUTE))[0, 2] == START + buckets * MINUTE
    assert run.count(k.BAR_AHEAD) == 0


def test_as_many_bars_as_the_ring_has_places_are_open_at_once() -> None:
    """With a timer outstanding for the longest grace and a clock ahead, each of four buckets keeps its own ticks."""
    run = run_of()
    now = START + MINUTE + 2
    run.push(together(*[quote(START + step * MINUTE + 1, float(step), float(step), stamp=now) for step in (3, 0, 2, 1)]))
    rows = run.push(timer(START + 4 * MINUTE, MINUTE))
    assert rows[:, 2].tolist() == [START + step * MINUTE for step in range(4)]
    assert [row[0] for row in columns(run, rows)] == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(("price", "expected"), [("bid", 9.0), ("ask", 11.0), ("mid", 10.0), ("trade", 20.0)])
def test_a_bar_is_built_from_the_price_it_names(price: str, expected: float) -> None:
    """Bid, ask, middle or trade: one basis for all four prices."""
    run = run_of(price=price)
    rows = run.push(together(quote(START, 9.0, 11.0), trade(START + 1, 20.0, 2.0), timer(START + MINUTE, MINUTE)))
    assert columns(run, rows) == [[expected, expected, expected, expected, 2.0, 1.0, 9.0, 11.0]]


def test_a_price_the_source_does_not_say_is_no_tick() -> None:
    """A one-sided quote is counted as unpriced where it has no price of the basis, and serves where it has."""
    ticks = together(quote(START, 9.0, NAN), quote(START + 1, NAN, 11.0), timer(START + MINUTE, MINUTE))
    mid, bid = run_of(price="mid"), run_of(price="bid")
    assert len(mid.push(ticks)) == 0
    assert mid.count(k.BAR_UNPRICED) == 2
    assert columns(bid, bid.push(ticks)) == [[9.0, 9.0, 9.0, 9.0, None, 1.0, 9.0, None]]
    assert bid.count(k.BAR_UNPRICED) == 1


def test_trades_beside_quotes_add_their_volume_and_open_nothing() -> None:
    """In a bar of quotes a trade counts by its size, while the bar is open; it makes no bar and no price."""
    run = run_of()
    ticks = together(
        trade(START, 50.0, 7.0),  # before the first quote: no bar is open
        quote(START + 1, 9.0, 11.0),
        trade(START + 2, 50.0, 3.0),
        trade(START + 3, 50.0, NAN),
        trade(START + 4, 50.0, 0.5),
        timer(START + MINUTE, MINUTE),
        trade(START + 59, 50.0, 9.0, stamp=START + MINUTE + 1),  # its bar has closed
        trade(START + MINUTE + 2, 50.0, 9.0),
        timer(START + 2 * MINUTE, MINUTE),
    )
    assert columns(run, run.push(ticks)) == [[10.0, 10.0, 10.0, 10.0, 3.5, 1.0, 9.0, 11.0]]


def test_volume_is_unknown_until_something_trades() -> None:
    """Zero is a volume, NaN is not: an instrument that has never traded says NaN, from then on 0 where nothing trades."""
    run = run_of(slots=2)
    ticks = [
        quote(START, 1.0, 3.0),
        timer(START + MINUTE, MINUTE),
        quote(START + MINUTE, 1.0, 3.0),
        trade(START + MINUTE, 2.0, 4.0),
        timer(START + 2 * MINUTE, MINUTE),
    ]
    rows = run.push(
        together(
            *ticks,
            quote(START + 2 * MINUTE, 1.0, 3.0),
            quote(START + 2 * MINUTE, 1.0, 3.0, instrument=1),
            timer(START + 3 * MINUTE, MINUTE),
        )
    )
    assert [row[4] for row in columns(run, rows)] == [None, 4.0, 0.0, None]


def test_a_bar_of_trades_without_quotes_has_no_quote() -> None:
    """Bid and ask of a bar are NaN until a quote has been seen."""
    run = run_of(price="trade")
    rows = run.push(
        together(
            trade(START, 5.0, 1.0),
            timer(START + MINUTE, MINUTE),
            quote(START + MINUTE, 4.0, 6.0),
            trade(START + MINUTE, 5.0, 1.0),
            timer(START + 2 * MINUTE, MINUTE),
        )
    )
    assert [row[6:] for row in columns(run, rows)] == [[None, None], [4.0, 6.0]]


def test_a_tick_bar_closes_on_the_tick_that_fills_it() -> None:
    """Three priced ticks make a bar of three, at once, with the times of its first and last; timers mean nothing to it."""
    run = run_of("3t")
    ticks = [quote(START + step, float(step), float(step)) for step in range(7)]
    rows = run.push(together(*ticks[:2], timer(START + MINUTE, MINUTE), quote(START + 2, NAN, 1.0), *ticks[2:]))
    assert rows[:, :4].tolist() == [[5, 0, START, START + 2], [8, 0, START + 3, START + 5]]
    assert [row[:4] for row in columns(run, rows)] == [[0.0, 2.0, 0.0, 2.0], [3.0, 5.0, 3.0, 5.0]]


def test_a_volume_bar_closes_on_the_trade_that_fills_it() -> None:
    """What is traded beyond the amount stays in the bar it closed; the next begins empty."""
    run = run_of("10v", price="trade")
    rows = run.push(together(*[trade(START + step, 5.0 + step, size) for step, size in enumerate([4.0, NAN, 5.0, 7.0, 1.0, 9.0])]))
    assert [(row[0], row[3], row[4], row[5]) for row in columns(run, rows)] == [(5.0, 8.0, 16.0, 4.0), (9.0, 10.0, 10.0, 2.0)]


def test_a_volume_bar_of_quotes_is_filled_by_trades() -> None:
    """The quotes give the prices, the trades beside them the volume and the end."""
    run = run_of("10v", price="mid")
    rows = run.push(together(quote(START, 1.0, 3.0), trade(START + 1, 9.0, 6.0), quote(START + 2, 3.0, 5.0), trade(START + 3, 9.0, 4.0)))
    assert columns(run, rows) == [[2.0, 4.0, 2.0, 4.0, 10.0, 2.0, 3.0, 5.0]]


def test_a_bar_that_comes_as_a_bar_is_a_row_at_once() -> None:
    """Its five columns are taken as they are; ticks and quotes it does not know."""
    run = run_of()
    rows = run.push(bar(START, START + MINUTE, (1.0, 4.0, 0.5, 2.0, 9.0)))
    assert table(run, rows) == [(1, 0, START, START + MINUTE, (1.0, 4.0, 0.5, 2.0, 9.0, *[None] * 7, (START + MINUTE) / 1e9))]


def test_a_bar_sums_the_flow_of_its_quotes_from_the_quote_before_them() -> None:
    """A better or larger bid and a worse or smaller ask count up, the opposite down, by the sizes at the touch, as published."""
    run = run_of()
    steps = [
        (10.0, 12.0, 5.0, 4.0),  # the first quote: nothing to compare with
        (10.0, 12.0, 8.0, 4.0),  # 3 more to buy at the bid: +3
        (11.0, 12.0, 2.0, 4.0),  # a better bid of 2: +2
        (11.0, 11.5, 2.0, 6.0),  # a better ask of 6: -6
        (10.5, 11.5, 9.0, 6.0),  # the bid of 2 is gone: -2
        (10.5, 11.6, 9.0, 1.0),  # the ask of 6 is gone: +6
        (10.5, 11.6, 9.0, 4.0),  # 3 more to sell: -3
    ]
    ticks = [quote(START + place, bid, ask, sizes=(b, a)) for place, (bid, ask, b, a) in enumerate(steps)]
    rows = run.push(together(*ticks, timer(START + MINUTE, MINUTE)))
    assert more_columns(run, rows) == [[9.0, 4.0, 0.0 + 3 + 2 - 6 - 2 + 6 - 3, None, (START + MINUTE) / 1e9]]
    later = [quote(START + MINUTE, 10.5, 11.6, sizes=(7.0, 4.0)), quote(START + MINUTE + 1, 10.5, 11.6), timer(START + 2 * MINUTE, MINUTE)]
    rows = run.push(together(*later, quote(START + 2 * MINUTE, 10.5, 11.6, sizes=(1.0, 1.0)), timer(START + 3 * MINUTE, MINUTE)))
    assert [row[:3] for row in more_columns(run, rows)] == [[None, None, -2.0], [1.0, 1.0, 0.0]]  # an unknown size compares with nothing


def test_sizes_flow_and_sides_are_unknown_until_a_source_says_them() -> None:
    """Zero is a flow, NaN is not: without sizes, and without a side of any trade, nobody knows."""
    run = run_of()
    ticks = [quote(START, 1.0, 3.0), trade(START + 1, 2.0, 5.0), timer(START + MINUTE, MINUTE)]
    ticks += [quote(START + MINUTE, 1.0, 3.0, sizes=(1.0, NAN)), timer(START + 2 * MINUTE, MINUTE)]
    ticks += [quote(START + 2 * MINUTE, 1.0, 3.0, sizes=(2.0, 4.0)), trade(START + 2 * MINUTE, 2.0, 5.0, side=-1)]
    ticks += [trade(START + 2 * MINUTE, 2.0, 2.0, side=1), trade(START + 2 * MINUTE, 2.0, 9.0), timer(START + 3 * MINUTE, MINUTE)]
    ticks += [quote(START + 3 * MINUTE, 1.0, 3.0, sizes=(2.0, 4.0)), timer(START + 4 * MINUTE, MINUTE)]
    rows = run.push(together(*ticks))
    expected = [[None] * 4, [1.0, None, None, None], [2.0, 4.0, 0.0, -3.0], [2.0, 4.0, 0.0, 0.0]]
    assert [row[:4] for row in more_columns(run, rows)] == expected


def test_quotes_beside_trades_add_their_flow_and_open_nothing() -> None:
    """In a bar of trades a quote counts by its flow, while the bar is open; it makes no bar and no price."""
    run = run_of(price="trade")
    ticks = [
        quote(START, 10.0, 12.0, sizes=(5.0, 5.0)),
        quote(START + 1, 10.0, 12.0, sizes=(6.0, 5.0)),
        trade(START + 2, 11.0, 1.0, side=1),
    ]
    ticks += [quote(START + 3, 10.0, 12.0, sizes=(8.0, 5.0)), timer(START + MINUTE, MINUTE)]
    ticks += [quote(START + MINUTE, 10.0, 12.0, sizes=(9.0, 5.0)), timer(START + 2 * MINUTE, MINUTE)]
    rows = run.push(together(*ticks))
    assert [row[:4] for row in more_columns(run, rows)] == [[6.0, 5.0, 2.0, 1.0]]  # the quote of the last price, as bid and ask are
    assert run.count(k.BAR_UNPRICED) == 4


def test_a_quote_from_before_a_loss_is_in_no_bar_behind_it() -> None:
    """Bars of trades say NaN for it until the next quote, of which no flow is counted; the open bar goes on over the hole."""
    run = run_of(price="trade")
    before, lost = quote(START + 1, 1.0, 2.0, sizes=(5.0, 5.0)), record(GAP, START + 3, START + 3, values=(NAN, NAN, NAN, NAN))
    told = [trade(START + 2, 1.5, 1.0), lost, trade(START + 4, 1.6, 1.0), timer(START + 60, MINUTE)]
    assert columns(run, run.push(together(before, *told)))[0] == [1.5, 1.6, 1.5, 1.6, 2.0, 2.0, None, None]
    behind = [trade(START + 61, 1.7, 1.0), quote(START + 62, 1.0, 2.0, sizes=(9.0, 5.0)), trade(START + 63, 1.7, 1.0)]
    rows = run.push(together(*behind, timer(START + 120, MINUTE)))
    assert columns(run, rows)[0][6:] == [1.0, 2.0]
    assert more_columns(run, rows)[0][2] == 0.0


def test_the_time_of_a_bar_is_its_close_in_seconds() -> None:
    """Whole seconds are exact, a recorded bar closes one interval after its open whenever it arrives, other clocks at their last tick."""
    second = 1_000_000_000
    opened = 1_700_000_040 * second
    run = run_of("1m")
    ticks = [quote(opened + 5, 1.0, 3.0), timer(opened + 60 * second, 60 * second)]
    rows = run.push(together(*ticks, bar(opened + 60 * second, opened + 121 * second, (1.0, 1.0, 1.0, 1.0, 1.0))))
    assert [row[4] for row in more_columns(run, rows)] == [1_700_000_100.0, 1_700_000_160.0]
    run = run_of("1t")
    rows = run.push(together(quote(opened + second // 2, 1.0, 3.0), bar(opened, opened + second, (1.0, 1.0, 1.0, 1.0, 1.0))))
    assert [row[4] for row in more_columns(run, rows)] == [1_700_000_040.5, 1_700_000_041.0]


def test_instruments_do_not_touch_each_other() -> None:
    """Each has bars of its own; ids without a slot, ids beyond the table and other intervals' timers are passed over."""
    run = MarketRun(FeatureSet(bars(f"{MINUTE}ns"), ()), 2, slot_of=[1, -1, 0])
    ticks = together(*[quote(START, float(name), float(name), instrument=name) for name in (0, 1, 2, 3, 2**32 - 1)])
    rows = run.push(together(ticks, timer(START + MINUTE, 30), record(14, START, START), timer(START + MINUTE, MINUTE)))
    assert [(row[1], columns(run, rows)[place][0]) for place, row in enumerate(rows.tolist())] == [(0, 2.0), (1, 0.0)]


tick = st.tuples(
    st.sampled_from([0, 0, 1, 7, 20, 61, 400]),
    st.sampled_from([0, 0, 0, 3, -3, 8, 30, -59, 70, -100, -130, -190, 250, 10_000, -10_000]),
    st.sampled_from([QUOTE, QUOTE, QUOTE, TRADE, TRADE, GAP]),
    st.integers(0, 1),
    st.one_of(st.integers(1, 40).map(float), st.just(NAN)),
    st.one_of(st.integers(0, 5).map(float), st.just(NAN)),
    st.integers(-1, 1),
    st.one_of(st.integers(1, 9).map(float), st.just(NAN)),
)


def stream(ticks: list[Tick]) -> Records:
    """Records of drawn ticks, in order of arrival."""
    out, stamp = empty(len(ticks)), START + 17
    for place, (gap, lag, kind, instrument, value, more, side, size) in enumerate(ticks):
        stamp += gap
        values = {QUOTE: (value, 3.0 + side, value + more, size), TRADE: (value, more, NAN, NAN), GAP: (NAN, NAN, NAN, NAN)}[kind]
        out[place] = record(kind, stamp - lag, stamp, instrument, values)[0]
        out["side"][place] = side if kind == TRADE else 0
    return out


@pytest.mark.parametrize("price", ["mid", "bid", "trade"])
@given(ticks=st.lists(tick, max_size=60), every=st.sampled_from(["60ns", "60ns", "5t", "8v"]), grace=st.sampled_from([0, 5, 60, 130]))
def test_bars_of_any_ticks_are_those_of_the_definition(ticks: list[Tick], every: str, grace: int, price: str) -> None:
    """Whatever comes, in time or not: the same bars on the same inputs, the same counts, compiled and as plain Python in checked memory."""
    records = sequenced(stream(ticks), MINUTE, grace)
    clock = bars(every, price)
    expected = Definition(clock.unit, clock.amount, price, 2)
    rows = defined(expected.rows(records))
    for mode in ("compiled", "checked"):
        run = run_of(every, price, slots=2, mode=mode)
        assert table(run, run.push(records)) == rows, mode
        for slot, one in enumerate(expected.slots):
            counted = (run.count(k.BAR_LATE, slot), run.count(k.BAR_AHEAD, slot), run.count(k.BAR_UNPRICED, slot))
            assert counted == (one.counts["late"], one.counts["ahead"], one.counts["unpriced"]), mode


@given(ticks=st.lists(tick, max_size=60), grace=st.sampled_from([0, 5, 60, 180]))
def test_when_all_timers_sleep_no_bar_is_open(ticks: list[Tick], grace: int) -> None:
    """Every tick that was neither late, ahead nor without a price is in a bar that has closed once the stream has ended."""
    run = run_of(slots=2)
    rows = run.push(sequenced(stream(ticks), MINUTE, grace))
    taken = sum(row[5] or 0 for row in columns(run, rows))
    priced = sum(1 for _, _, kind, _, value, more, *_ in ticks if kind == QUOTE and value + more == value + more)
    missed = sum(run.count(word, slot) for word in (k.BAR_LATE, k.BAR_AHEAD) for slot in range(2))
    assert taken == priced - missed
    assert (np.diff(rows[:, 2][rows[:, 1] == 0]) > 0).all()


def test_bars_of_a_real_recording_are_its_buckets(data_dir: Path) -> None:
    """Grouping a real recording by NumPy, without any notion of arrival, gives the same bars: all ticks came in time."""
    ticks, second = real_ticks(data_dir), 1_000_000_000
    run = run_of("1s", slots=2)
    rows = run.push(sequenced(ticks, second, 250_000_000))
    registers = run.registers(rows)
    assert run.count(k.BAR_LATE) == run.count(k.BAR_AHEAD) == 0
    for slot in range(2):
        mine = rows[:, 1] == slot
        quotes = ticks[(ticks["instrument"] == slot) & (ticks["kind"] == QUOTE)]
        middle = (quotes["price"] + quotes["price2"]) * 0.5
        starts, first, count = np.unique(quotes["ts_event"] // second, return_index=True, return_counts=True)
        last = first + count - 1
        expected = [middle[first], np.maximum.reduceat(middle, first), np.minimum.reduceat(middle, first), middle[last], None, count]
        assert len(starts) > 100
        assert np.array_equal(rows[mine, 2], starts * second)
        assert np.array_equal(rows[mine, 3] - rows[mine, 2], np.full(len(starts), second))
        touch = [quotes[column][last] for column in ("price", "price2", "size", "size2")]
        for place, column in enumerate([*expected, *touch]):
            if column is not None:
                assert np.array_equal(registers[mine, place], column), place
        trades = ticks[(ticks["instrument"] == slot) & (ticks["kind"] == TRADE) & np.isin(ticks["ts_event"] // second, starts)]
        assert 0.9 * trades["size"].sum() <= np.nansum(registers[mine, 4]) <= trades["size"].sum()


@pytest.mark.parametrize(("every", "price"), [("1s", "mid"), ("200ms", "trade"), ("100t", "bid"), ("5v", "trade")])
def test_bars_of_a_real_recording_follow_the_definition(every: str, price: str, data_dir: Path) -> None:
    """On real quotes and trades, of which some come late for their bar, the slow definition gives the same rows and counts."""
    clock = bars(every, price)
    interval = int(clock.amount) if clock.unit == "time" else 0
    ticks = real_ticks(data_dir)[:20_000].copy()
    ticks["ts_event"][::50] -= 300_000_000
    records = sequenced(ticks, interval, 100_000_000)
    expected = Definition(clock.unit, clock.amount, price, 2)
    run = run_of(every, price, slots=2)
    assert table(run, run.push(records)) == defined(expected.rows(records))
    assert run.count(k.BAR_LATE) == expected.slots[0].counts["late"]
    assert (run.count(k.BAR_LATE) > 0) == (clock.unit == "time")


@pytest.mark.parametrize(
    ("bid", "ask", "state"),
    [
        (1.0, 2.0, k.QUOTE_GOOD),
        (2.0, 2.0, k.QUOTE_GOOD),
        (3.0, 2.0, k.QUOTE_CROSSED),
        (NAN, 2.0, k.QUOTE_ONE_SIDED),
        (2.0, NAN, k.QUOTE_ONE_SIDED),
        (NAN, NAN, k.QUOTE_ONE_SIDED),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_a_quote_is_good_crossed_or_one_sided(bid: float, ask: float, state: int, mode: str) -> None:
    """Locked is good; the middle moves with good quotes only."""
    there, memory = twin(mode), np.zeros(k.QUOTE_WORDS, np.int64)
    take_quote = there.bars.take_quote

    @there.kernel.kernel  # type: ignore[untyped-decorator]
    def take_first(A: I, AF: F, T: I, TF: F, stamp: i64, tick: i64) -> i64:
        return take_quote(A, AF, 0, T, TF, 0, stamp, tick)

    def take(one: Records, stamp: int, number: int) -> int:
        return there.kernel.entry(take_first).bind(memory, memory, words(one), words(one))(stamp, number)  # type: ignore[no-any-return]

    assert there.kernel.entry(there.bars.quote_state).bind()(bid, ask) == state
    assert take(quote(START, 10.0, 12.0), START + 1, 7) == 1
    assert take(quote(START + 5, bid, ask), START + 9, 8) == 1
    real = memory.view(np.float64)
    assert memory[[k.Q_STATE, k.Q_TIME, k.Q_EVENT, k.Q_TICK, k.Q_COUNT]].tolist() == [state, START + 9, START + 5, 8, 2]
    assert bits(real[[k.Q_BID, k.Q_ASK]]).tolist() == bits([bid, ask]).tolist()
    assert real[k.Q_MID] == ((bid + ask) / 2 if state == k.QUOTE_GOOD else 11.0)
    assert take(trade(START + 9, 50.0, 1.0), START + 10, 9) == 0
    assert memory[k.Q_TICK] == 8
    memory[k.Q_TRADES_QUOTE], real[k.Q_HALF_SPREAD] = 1, 0.5
    assert take(trade(START + 9, 50.0, 1.0), START + 10, 10) == 1
    assert real[[k.Q_BID, k.Q_ASK, k.Q_MID]].tolist() == [49.5, 50.5, 50.0]
    assert take(bar(START, START + MINUTE, (1.0, 9.0, 1.0, 7.0, 0.0)), START + MINUTE, 11) == 1
    assert real[k.Q_MID] == 7.0
    assert np.isnan(real[[k.Q_BID_SIZE, k.Q_ASK_SIZE]]).all()
