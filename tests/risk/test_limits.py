"""Limits as they are configured, and what they become."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.codes import OK, RATE
from tercel.base.errors import ConfigError
from tercel.base.kernel import plain
from tercel.core.layout import H_ACCOUNT, H_CURRENCY, H_RISK
from tercel.core.setup import FAR, CoreConfig, new_account
from tercel.features.spec import FeatureSet, bars
from tercel.risk import kernels as risk
from tercel.risk.limits import Limits
from tests.core.scenarios import INSTRUMENTS

PROGRAM = FeatureSet(bars("1m"), ()).compile()


def account_for(limits: Limits, *names: str) -> tuple[CoreConfig, np.ndarray]:  # type: ignore[type-arg]
    """A configuration for instruments of the scenarios and its account state."""
    config = CoreConfig(PROGRAM, [INSTRUMENTS[name] for name in names], None, limits)
    return config, new_account(config)


def test_every_limit_is_on_by_default() -> None:
    """Nobody has to switch on a limit: each per-order and per-day limit has a finite, positive default."""
    limits = Limits()
    for setting in (limits.order_lots, limits.position_lots, limits.notional, limits.daily_loss):
        values = setting.values() if isinstance(setting, dict) else [setting]
        assert all(0 < value < float("inf") for value in values)  # type: ignore[operator]
    assert limits.orders_per_second > 0
    assert 0 < limits.collar < 1
    assert limits.quote_age_ns_max == 60_000_000_000


def test_limits_may_differ_by_instrument_and_currency() -> None:
    """The entry of an instrument's full name wins over its symbol, that over the rest; money goes by quote currency."""
    limits = Limits(
        position_lots={"EURUSD@sim": 3, "USDJPY": 4, "": 5}, order_lots=6, notional={"JPY": 7, "": 8}, daily_loss={"JPY": 9, "": 10}
    )
    config, account = account_for(limits, "EURUSD", "USDJPY", "BTCUSD")
    slots = [account[config.layout.section(H_RISK, risk.RISK_WORDS, slot) :] for slot in range(3)]
    assert [int(words[risk.R_POSITION_MAX]) for words in slots] == [3, 4, 5_000]
    assert [int(words[risk.R_ORDER_MAX]) for words in slots] == [6, 6, 6_000]
    assert [int(words[risk.R_NOTIONAL_MAX]) for words in slots] == [8_000_000, 7_000_000, 8_000_000]
    losses = {
        currency: int(account[config.layout.section(H_CURRENCY, risk.CURRENCY_WORDS, number) + risk.Y_LOSS_MAX])
        for number, currency in enumerate(config.currencies)
    }
    assert losses == {"JPY": 9_000_000, "USD": 10_000_000}


def test_sizes_are_rounded_down_to_the_grid() -> None:
    """A limit in lots never allows more than it says: it is rounded down to the instrument's size step."""
    config, account = account_for(Limits(position_lots=0.0555), "BTCUSD")
    assert int(account[config.layout.section(H_RISK, risk.RISK_WORDS) + risk.R_POSITION_MAX]) == 50


def test_a_limit_beyond_all_numbers_is_no_limit() -> None:
    """A limit too large for 63 bits becomes one that nothing reaches, not a crash and not a small number."""
    config, account = account_for(Limits(notional=1e300, position_lots=1e300, order_lots=1e300, daily_loss=1e300), "BTCUSD")
    words = account[config.layout.section(H_RISK, risk.RISK_WORDS) :]
    assert int(words[risk.R_NOTIONAL_MAX]) == FAR
    assert FAR - 10 < int(words[risk.R_POSITION_MAX]) <= FAR


def test_a_table_without_an_answer_is_refused() -> None:
    """A table that has neither the instrument nor an entry for all others says what it has."""
    with pytest.raises(ConfigError, match=r'risk.position_lots: expected a value for one of .*EURUSD.* or for "".*found only GBPUSD'):
        account_for(Limits(position_lots={"GBPUSD": 1}), "EURUSD")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"order_lots": -1}, "risk.order_lots: expected a number of at least 0"),
        ({"position_lots": {"EURUSD": float("nan")}}, "risk.position_lots.EURUSD: expected a number of at least 0"),
        ({"notional": float("inf")}, "risk.notional: expected a number of at least 0"),
        ({"collar": -0.1}, "risk.collar"),
        ({"account_loss": float("nan")}, "risk.account_loss"),
        ({"orders_per_second": 1025}, "risk.orders_per_second: expected 0 .* to 1024, was 1025"),
        ({"open_orders": 0}, "risk.open_orders: expected 1 to 4096, was 0"),
        ({"quote_age_max": "0s"}, "risk.quote_age_max: expected more than 0"),
    ],
)
def test_senseless_limits_are_refused(settings: dict[str, object], text: str) -> None:
    """A limit that cannot be meant is refused by name."""
    with pytest.raises(ConfigError, match=text):
        Limits(**settings)  # type: ignore[arg-type]


def test_an_account_limit_without_a_rate_is_refused() -> None:
    """A loss limit in a currency that nothing converts to is refused at the start, with what to add."""
    with pytest.raises(ConfigError, match="no instrument quotes one; add JPYUSD or USDJPY"):
        account_for(Limits(account_loss=100, account_currency="USD"), "EURUSD", "BTCUSD", "EURGBP", "GBPUSD", *_yen_without_dollar())
    config, account = account_for(Limits(account_loss=100, account_currency="USD"), "EURGBP", "GBPUSD", "USDJPY")
    assert config.currencies == ("GBP", "JPY", "USD")
    assert int(account[config.layout.places[H_ACCOUNT] + risk.K_ACCOUNT_CURRENCY]) == 2


def _yen_without_dollar() -> list[str]:
    import msgspec

    INSTRUMENTS.setdefault("EURJPY", msgspec.structs.replace(INSTRUMENTS["USDJPY"], symbol="EURJPY", base="EUR", id=9))
    return ["EURJPY"]


@given(st.integers(1, 8), st.lists(st.integers(0, 600_000_000), min_size=1, max_size=60))
def test_no_window_of_a_second_holds_more_orders_than_allowed(allowed: int, gaps_ns: list[int]) -> None:
    """Whatever the moments, the orders let through are never more than allowed in any second, and none is denied without cause."""
    account = np.zeros(risk.ACCOUNT_RISK_WORDS + risk.RATE_SLOTS, np.int64)
    account[risk.K_RATE_MAX], account[risk.K_RATE_WINDOW] = allowed, 1_000_000_000
    sent: list[int] = []
    now = 1
    for gap_ns in gaps_ns:
        now += gap_ns
        code = plain(risk.rate_code)(account, 0, now)
        within = sum(now - moment < 1_000_000_000 for moment in sent)
        assert code == (RATE if within >= allowed else OK)
        if code == OK:
            plain(risk.rate_take)(account, 0, now)
            sent.append(now)
