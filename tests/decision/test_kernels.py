"""From a signal to a target: the truth table of the hysteresis, sizes that never round up, confidence between 0 and 1."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.kernel import entry
from tercel.decision import kernels as d
from tests.twins import MODES, twin

ENTER, LEAVE, COST = 2.0, 0.5, 0.1
positive = st.floats(1e-6, 1e6)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each mode in turn."""
    return str(request.param)


# score in costs: for each side held (-1, 0, +1) the side wanted.
TRUTH = [
    (3.0, (1, 1, 1)),
    (2.0, (1, 1, 1)),  # the threshold itself is enough to enter
    (1.9, (0, 0, 1)),
    (0.6, (0, 0, 1)),
    (0.5, (0, 0, 0)),  # and not enough to keep
    (0.4, (0, 0, 0)),
    (0.0, (0, 0, 0)),
    (-0.5, (0, 0, 0)),
    (-0.6, (-1, 0, 0)),
    (-2.0, (-1, -1, -1)),
    (-3.0, (-1, -1, -1)),
    (float("nan"), (0, 0, 0)),
]


@pytest.mark.parametrize(("score", "sides"), TRUTH)
def test_a_side_is_entered_high_and_kept_low(score: float, sides: tuple[int, int, int], mode: str) -> None:
    """Enter at twice the cost, keep above half of it, turn at once when the other side pays, and know nothing of nothing."""
    there = twin(mode)
    call = there.kernel.entry(there.decision.direction_of).bind()
    assert tuple(call(score * COST, COST, held, ENTER, LEAVE) for held in (-1, 0, 1)) == sides


@given(st.floats(-1e3, 1e3), st.floats(0.0, 1e3), st.sampled_from([-1, 0, 1]), st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_long_and_short_are_mirror_images(score: float, cost: float, held: int, enter: float, leave: float) -> None:
    """Nothing prefers a side, and a score of zero is never a reason to be anywhere new."""
    for there in map(twin, MODES):
        call = there.kernel.entry(there.decision.direction_of).bind()
        assert call(score, cost, held, enter, leave) == -call(-score, cost, -held, enter, leave)
        assert call(0.0, cost, 0, enter, leave) == 0


@given(st.lists(st.floats(-1.0, 1.0), max_size=60))
def test_a_side_is_left_only_below_the_lower_threshold(scores: list[float]) -> None:
    """Along any path: in only through the upper threshold, out only through the lower one."""
    call, held = entry(d.direction_of).bind(), 0
    for score in scores:
        side = call(score, COST, held, ENTER, LEAVE)
        if side != 0 and side != held:
            assert side * score >= ENTER * COST
        if side == 0 and held != 0:
            assert held * score <= LEAVE * COST
        held = side


def test_a_round_trip_costs_the_spread_once_and_the_fee_twice() -> None:
    """In price units."""
    assert entry(d.round_trip_cost).bind()(100.0, 0.25, 0.001) == 0.25 + 2.0 * 0.001 * 100.0


@given(positive, st.floats(1e-9, 1.0), positive, st.floats(1e-8, 1e3), st.integers(1, 10**6), st.integers(0, 10**12))
def test_a_size_is_the_largest_multiple_of_the_step_that_keeps_the_risk(
    risk: float, volatility: float, mid: float, unit_value: float, step: int, size_max: int
) -> None:
    """Never rounded up, never above the maximum; one step more would risk more or exceed it. Twins agree."""
    swing = volatility * mid * unit_value
    for there in map(twin, MODES):
        size = there.kernel.entry(there.decision.size_for).bind()(risk, volatility, mid, unit_value, step, size_max)
        wanted = min(Fraction(risk / swing), Fraction(size_max))
        assert size == wanted // step * step
        assert 0 <= size <= size_max
        assert size % step == 0


@pytest.mark.parametrize(
    ("volatility", "mid", "size"),
    [
        (0.01, 100.0, 50),
        (0.0, 100.0, 0),
        (-0.01, 100.0, 0),
        (0.01, 0.0, 0),
        (float("nan"), 100.0, 0),
        (0.01, float("nan"), 0),
        (float("inf"), 100.0, 0),
        (5e-324, 100.0, 0),
        (1e-13, 100.0, 0),
        (1e-6, 100.0, 70),
        (1e-300, 1e-300, 0),
    ],
)
def test_a_size_without_a_measure_of_risk_is_none(volatility: float, mid: float, size: int, mode: str) -> None:
    """Unknown, zero, negative and vanishing swings give no position; a small one gives the largest allowed, in steps."""
    there = twin(mode)
    assert there.kernel.entry(there.decision.size_for).bind()(50.0, volatility, mid, 1.0, 10, 79) == size


def test_a_confidence_is_a_half_at_cost() -> None:
    """|score| / (|score| + cost): half when the move just pays its cost, 0 for no move, all for a free one."""
    call = entry(d.confidence_of).bind()
    assert [call(score, 0.5) for score in (0.0, 0.5, -0.5, 1.5)] == [0.0, 0.5, 0.5, 0.75]
    assert [call(score, 0.0) for score in (0.0, 0.5, -0.5)] == [0.0, 1.0, 1.0]


@given(st.floats(-1e9, 1e9), st.floats(-1.0, 1e6), st.floats(1.0, 3.0))
def test_a_confidence_lies_between_none_and_all(score: float, cost: float, more: float) -> None:
    """It rises with the move, ignores its sign, and stays within 0 and 1. Twins agree."""
    for there in map(twin, MODES):
        call = there.kernel.entry(there.decision.confidence_of).bind()
        assert 0.0 <= call(score, cost) <= call(score * more, cost) * (1.0 + 1e-15) <= 1.0 + 1e-15
        assert call(score, cost) == call(-score, cost)


class Desk:
    """The decision state of one instrument at word 3 of a larger memory, in a market of 100 with a spread of 0.1."""

    def __init__(self, mode: str, fixed: int = 0) -> None:
        self.memory = np.full(3 + d.DECISION_WORDS + 3, 77, np.int64)
        words, reals = self.memory[3:], self.memory.view(np.float64)[3:]
        words[: d.DECISION_WORDS] = 0
        reals[d.D_ENTER], reals[d.D_EXIT], reals[d.D_RISK], reals[d.D_FEE] = ENTER, LEAVE, 50.0, 0.001
        words[d.D_POSITION_MAX], words[d.D_FIXED] = 79, fixed
        there = twin(mode)
        self._target = there.kernel.entry(there.decision.target_of).bind(self.memory, self.memory)

    def target(self, score: float, volatility: float = 0.01) -> int:
        """The target for a score in costs; a round trip costs 0.1 + 2 * 0.001 * 100 = 0.3."""
        return int(self._target(3, score * 0.3, volatility, 100.0, 0.1, 1.0, 10))

    @property
    def held(self) -> int:
        """Which side is held."""
        return int(self.memory[3 + d.D_HELD])


def test_a_target_has_a_side_and_a_size(mode: str) -> None:
    """Risk 50 over a swing of 0.01 * 100 makes 50, in steps of 10; a quiet market stops at the maximum; the side held is remembered."""
    desk = Desk(mode)
    assert [desk.target(score) for score in (1.9, 2.1, 0.6, -0.6, -2.1, -0.6, 0.0)] == [0, 50, 50, 0, -50, -50, 0]
    assert (desk.target(2.1), desk.held, desk.target(1.0, volatility=1e-5), desk.target(-2.1, volatility=0.0), desk.held) == (
        50,
        1,
        70,
        0,
        -1,
    )
    assert set(desk.memory[:3]) == set(desk.memory[-3:]) == {77}


def test_a_fixed_size_is_the_size(mode: str) -> None:
    """Where the size is fixed, volatility does not matter."""
    desk = Desk(mode, fixed=30)
    assert [desk.target(score, float("nan")) for score in (2.1, -2.1, 0.1)] == [30, -30, 0]


def test_the_confidence_of_a_target_is_kept(mode: str) -> None:
    """With each target, also with one of nothing."""
    desk = Desk(mode)
    for score in (3.0, 1.0, 0.25):
        desk.target(score)
        assert desk.memory.view(np.float64)[3 + d.D_CONFIDENCE] == pytest.approx(score / (1.0 + score), rel=1e-12)


@given(st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(0.0, 1.0)), max_size=40))
def test_targets_of_any_scores_equal_their_twin(path: list[tuple[float, float]]) -> None:
    """Compiled and as plain Python in checked memory: the same targets and the same state."""
    desks = [Desk(mode) for mode in MODES]
    for score, volatility in path:
        assert len({desk.target(score, volatility) for desk in desks}) == 1
    assert np.array_equal(desks[0].memory, desks[1].memory)
    assert np.array_equal(desks[0].memory, desks[2].memory)
