"""Labels: equal to their twin to the bit, to an event loop, and to what one would say by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.models.barriers import TripleBarrier
from tercel.models.training.labels import FAR, Labels, Quotes, label, tick_quotes, with_losses
from tests.models.training.labelled import NAN, SCALE, Record, as_quotes, bars, defined, ticks, torn
from tests.twins import MODES, bits, twin

BARRIERS = TripleBarrier(take=1.5, stop=1.0, horizon_ns=600, rows=10, width_scale=1.0)
FEE = 2e-5


def decide(records: list[Record], quotes: Quotes, seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(record, standing quote, stamp, width) of decisions made at or a little after records, some without a record before or a width."""
    chance = np.random.default_rng(seed)
    after = chance.integers(-1, len(records), count)
    stamp = np.array([records[place].stamp if place >= 0 else 0 for place in after.tolist()]) + chance.integers(0, 2, count)
    late = np.array(
        [place + 1 < len(records) and records[place + 1].stamp < when for place, when in zip(after.tolist(), stamp.tolist(), strict=True)]
    )
    stamp = np.where(late, stamp - 1, stamp)  # never after the record that follows
    width = chance.choice([0.0, 3.0, 6.0, 12.0], count) / SCALE
    return after, np.searchsorted(quotes.number, after + 1, "right") - 1, stamp, width


@pytest.mark.parametrize("latency", [0, 1, 7, 250])
@pytest.mark.parametrize("seed", range(6))
def test_a_label_is_what_an_event_loop_says(seed: int, latency: int) -> None:
    """Ticks and bars, whole and with losses, prompt and slow venues, both sides: the outcome and its end of the definition."""
    whole = ticks(seed, 400), bars(seed, 200)
    for records in (*whole, *(torn(one, seed) for one in whole)):
        quotes = as_quotes(records)
        after, standing, stamp, width = decide(records, quotes, seed, 150)
        found = label(quotes, standing, stamp, width, BARRIERS, latency_ns=latency, fee_rate=FEE, price_scale=SCALE)
        for place in range(len(after)):
            for column, side in enumerate((1, -1)):
                wanted = defined(
                    records, int(after[place]), int(stamp[place]), float(width[place]), side,
                    take=BARRIERS.take, stop=BARRIERS.stop, horizon=BARRIERS.horizon_ns, latency=latency, fee=FEE,
                )  # fmt: skip
                assert found.outcome[place, column] == pytest.approx(wanted.net, rel=1e-9, nan_ok=True)
                assert found.end[place, column] == wanted.end
        assert 0.2 < np.isfinite(found.outcome).mean() < 0.95


@given(st.integers(0, 10**6), st.sampled_from([0, 3, 90]), st.booleans(), st.sampled_from([0.0, 0.3]))
def test_labels_equal_their_twin(seed: int, latency: int, of_bars: bool, lost: float) -> None:
    """Compiled, as plain Python and in checked memory: the same bits."""
    records = torn(bars(seed, 12) if of_bars else ticks(seed, 25), seed, lost)
    quotes = as_quotes(records)
    _, standing, stamp, width = decide(records, quotes, seed, 5)
    told = [
        twin(mode).labels.label(quotes, standing, stamp, width, BARRIERS, latency_ns=latency, fee_rate=FEE, price_scale=SCALE)
        for mode in MODES
    ]
    for one in told[1:]:
        assert np.array_equal(bits(one.outcome), bits(told[0].outcome))
        assert np.array_equal(one.end, told[0].end)


def told(
    stamps: list[int], bid: list[float], latency: int, *, ask: list[float] | None = None, width: float = 0.001, fee: float = 0.0
) -> Labels:
    """The label of a decision on the first quote, at its stamp; the ask lies two points above the bid unless it is given."""
    bids = np.array(bid)
    quotes = tick_quotes(np.arange(1, len(stamps) + 1), np.array(stamps), bids, bids + 0.0002 if ask is None else np.array(ask))
    return label(
        quotes, np.array([0]), np.array([stamps[0]]), np.array([width]), BARRIERS, latency_ns=latency, fee_rate=fee, price_scale=SCALE
    )


def test_a_rise_takes_profit_for_the_buyer_and_stops_the_seller() -> None:
    """The buyer enters at 1.1002 and leaves on the quote after the one that reached 1.1002 + 1.5 widths; the seller is out at one width."""
    found = told([0, 10, 20, 30, 40], [1.1, 1.1, 1.1008, 1.1020, 1.1030], latency=5)
    # The seller sold at 1.1000; the ask is 1.1010 on the third quote, one width up: out on the fourth at 1.1022.
    assert found.outcome[0] == pytest.approx([(1.1030 - 1.1002) / 0.001, (1.1000 - 1.1022) / 0.001])
    assert found.end[0].tolist() == [40, 30]


def test_an_order_never_trades_on_the_quote_that_caused_it() -> None:
    """Even without latency the entry waits for the next quote, and the exit for the one after the quote that met the barrier."""
    found = told([0, 10, 10, 20], [1.1, 1.1005, 1.1030, 1.1040], latency=0)
    assert found.outcome[0, 0] == pytest.approx((1.1040 - 1.1007) / 0.001)
    assert found.end[0, 0] == 20


def test_an_order_trades_on_the_quote_that_stands_when_it_arrives() -> None:
    """A quote newer than the decision that stood at arrival is the one; the quotes after it come too late."""
    slow = told([0, 10, 100, 200, 300], [1.1, 1.1003, 1.1030, 1.1030, 1.1030], latency=50)
    assert slow.outcome[0, 0] == pytest.approx((1.1030 - 1.1005) / 0.001)  # bought at 10's quote, which stood at 50
    older = told([0, 60, 100, 200, 300], [1.1, 1.1003, 1.1030, 1.1030, 1.1030], latency=50)
    assert older.outcome[0, 0] == pytest.approx((1.1030 - 1.1005) / 0.001)  # only the decision's quote stood at 50: the next one


def test_time_ends_what_met_neither_barrier() -> None:
    """The first good quote at or after decision + horizon sends the exit; fees are paid on both prices."""
    stamps = [0, 10, 599, 600, 610]
    found = told(stamps, [1.1, 1.1, 1.1001, 1.1001, 1.1001], latency=1, fee=1e-4)
    assert found.outcome[0, 0] == pytest.approx((1.1001 - 1.1002 - 1e-4 * (1.1001 + 1.1002)) / 0.001)
    assert found.end[0].tolist() == [610, 610]


def test_a_quote_that_is_not_good_is_neither_traded_on_nor_looked_at() -> None:
    """A one-sided quote far away meets no barrier; the exit passes over another one."""
    found = told([0, 10, 20, 30, 40, 50], [1.1, 1.1, NAN, 1.103, NAN, 1.102], latency=1)
    assert found.outcome[0, 0] == pytest.approx((1.102 - 1.1002) / 0.001)
    assert found.end[0, 0] == 50


@pytest.mark.parametrize("width", [0.0, -1.0, NAN])
def test_without_a_width_there_is_no_outcome(width: float) -> None:
    """Nor without a good quote, nor when history ends before the exit."""
    assert np.isnan(told([0, 10, 20, 30], [1.1, 1.1, 1.2, 1.2], 1, width=width).outcome).all()
    assert np.isnan(told([0, 10, 20, 30], [NAN, 1.1, 1.2, 1.2], 1).outcome).all()
    ended = told([0, 10, 20], [1.1, 1.1, 1.2], 1)
    assert np.isnan(ended.outcome).all()
    assert (ended.end == FAR).all()


def test_what_meets_a_barrier_in_a_hole_leaves_at_the_price_behind_it() -> None:
    """Data is lost at 25 and comes back far below the stop: the stop is met at 1.0900, the exit fills on the quote after it, not before."""
    whole = tick_quotes(
        np.arange(1, 6), np.array([0, 10, 20, 300, 310]), *(np.array([1.1, 1.1, 1.1, 1.09, 1.091]) + x for x in (0.0, 2e-4))
    )
    quotes = with_losses(whole._replace(number=np.array([1, 2, 3, 6, 7])), np.array([4, 5]), np.array([25, 25]))
    # Decided at 0, on the last quote before the hole, and in the hole.
    standing, stamp = np.array([0, 2, 4]), np.array([0, 20, 25])
    found = label(quotes, standing, stamp, np.full(3, 0.001), BARRIERS, latency_ns=1, fee_rate=0.0, price_scale=SCALE)
    assert found.outcome[0, 0] == pytest.approx((1.091 - 1.1002) / 0.001)
    assert found.end[0, 0] == 310
    # Sent just before the hole, bought behind it, below its stop already: out on the quote after that.
    assert found.outcome[1, 0] == pytest.approx((1.091 - 1.0902) / 0.001)
    # In the hole nothing stands that could be decided on.
    assert np.isnan(found.outcome[2]).all()
    assert found.end[2].tolist() == [FAR, FAR]
