"""News in the simulated market: the minute is known, the content is not, and what follows fades as after real news."""

from __future__ import annotations

import numpy as np

from tercel.base.time import NS_PER_MIN, parse_instant
from tercel.market.feeds.simulated_news import Release, releases_between
from tercel.market.feeds.simulated_symbols import FACTORS, Floats, Market, default_symbols
from tercel.market.feeds.simulated_volatility import BURST, DOLLAR, SECONDS, Jump, draw_jumps, first_components, loudness

MARKET = Market(default_symbols())
SHOCKS = FACTORS + len(MARKET.ids)
PAYROLLS_NS = parse_instant("2024-06-07T12:30:00")
QUIET_BLOCK = parse_instant("2024-06-03T10:00:00") // NS_PER_MIN


def test_the_employment_report_comes_on_the_first_friday_at_half_past_eight_in_new_york() -> None:
    """12:30 UTC in summer, 13:30 in winter, twelve times a year."""
    assert releases_between(PAYROLLS_NS, PAYROLLS_NS + 1) == [Release(PAYROLLS_NS, 1.0)]
    winter_ns = parse_instant("2024-01-05T13:30:00")
    assert releases_between(winter_ns, winter_ns + 1) == [Release(winter_ns, 1.0)]
    year = releases_between(parse_instant("2024-01-01"), parse_instant("2025-01-01"))
    assert sum(release.strength == 1.0 for release in year) == 12
    assert year == sorted(year)


def test_a_period_has_the_releases_from_its_start_to_before_its_end() -> None:
    """Neighbouring periods share none, and a Monday has none."""
    assert releases_between(PAYROLLS_NS - 5, PAYROLLS_NS) == []
    assert releases_between(PAYROLLS_NS + 1, PAYROLLS_NS + 1_000) == []
    monday_ns = parse_instant("2024-06-03")
    assert releases_between(monday_ns, parse_instant("2024-06-04")) == []


def test_what_a_release_says_is_up_or_down_by_chance() -> None:
    """In its minute the dollar jumps within a second, as often up as down; a minute later no more than on any other day."""
    block = PAYROLLS_NS // NS_PER_MIN
    drawn = [jump for seed in range(400) for jump in draw_jumps(np.random.default_rng(seed), block, SHOCKS) if jump.floor > 0]
    sizes = np.array([jump.size for jump in drawn])
    assert len(drawn) == 400
    assert {jump.shock for jump in drawn} == {DOLLAR}
    assert max(jump.cell for jump in drawn) < 10
    assert abs(sizes.mean()) < 3 * sizes.std() / 20
    assert sizes.std() > 10
    later = [draw_jumps(np.random.default_rng(seed), block + 1, SHOCKS) for seed in range(400)]
    assert sum(len(jumps) for jumps in later) < 40
    assert all(jump.floor == 0 for jumps in later for jump in jumps)


def raised_variance(jump: Jump, minutes: int) -> Floats:
    """By how much a jump in the first second raises the variance of EURUSD in every second after it."""
    rng = np.random.default_rng(7)
    components, bursts = first_components(MARKET, rng), np.zeros((len(MARKET.ids), 4))
    raised = []
    for minute in range(minutes):
        seed = 1_000 + minute
        jumps = [jump] if minute == 0 else []
        calm = loudness(np.random.default_rng(seed), MARKET, QUIET_BLOCK + minute, components, 0.0 * bursts, [])
        loud = loudness(np.random.default_rng(seed), MARKET, QUIET_BLOCK + minute, components, bursts, jumps)
        components, bursts = loud.components, loud.bursts
        raised.append((loud.volatility[0] / calm.volatility[0]) ** 2 - 1.0)
        assert (loud.spread[0] >= calm.spread[0]).all()
        assert (loud.activity[0] >= calm.activity[0]).all()
    return np.concatenate(raised)


def test_volatility_fades_after_a_jump_as_omori_says() -> None:
    """The variance is raised by 1 / (1 + t / 10 s) of what it was at first, within a factor of three, from seconds to an hour."""
    size = 20.0
    raised = raised_variance(Jump(DOLLAR, 0, size, 0.0), 60)
    first = BURST * (size * MARKET.factors[0, DOLLAR]) ** 2
    assert abs(raised[0] / first - 1.0) < 1e-9
    for second in (5, 15, 30, SECONDS, 300, 1_000, 3_000):
        assert 1 / 3 < raised[second] / (first / (1.0 + second / 10.0)) < 3, second


def test_who_quotes_steps_back_before_a_release_and_nothing_else_changes() -> None:
    """The spread widens in the two minutes before it, most in the last seconds; volatility and activity know nothing yet."""
    components, none = first_components(MARKET, np.random.default_rng(1)), np.zeros((len(MARKET.ids), 4))
    before, quiet = (
        loudness(np.random.default_rng(2), MARKET, block, components, none, []) for block in (PAYROLLS_NS // NS_PER_MIN - 1, QUIET_BLOCK)
    )
    assert before.volatility.tobytes() == quiet.volatility.tobytes()
    assert before.activity.tobytes() == quiet.activity.tobytes()
    wider = (before.spread - quiet.spread)[0]
    assert (np.diff(wider) > 0).all()
    assert wider[-1] > 5 * wider[0] > 0
