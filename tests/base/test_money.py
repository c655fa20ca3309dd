"""A setting is one number for all or a table by key, and nothing that is not a number passes."""

from __future__ import annotations

import pytest

from tercel.base.errors import ConfigError
from tercel.base.money import Per, checked, per

BY_VENUE = {"EURUSD@oanda": 1.0, "oanda": 2.0, "": 3.0}


def test_one_number_holds_for_every_key() -> None:
    """A plain number needs no table, and comes back as a float."""
    assert per(2, ("EURUSD@oanda",), "fee") == 2.0
    assert type(per(2, (), "fee")) is float


@pytest.mark.parametrize(("keys", "value"), [(("EURUSD@oanda", "oanda"), 1.0), (("XAUUSD@oanda", "oanda"), 2.0), (("BTC@x", "x"), 3.0)])
def test_the_first_key_that_the_table_has_wins(keys: tuple[str, ...], value: float) -> None:
    """The nearest key is asked first, the entry for all others last."""
    assert per(BY_VENUE, keys, "fee") == value


def test_a_key_without_a_value_is_refused_with_those_there_are() -> None:
    """Nothing is guessed: the text names the setting, the keys looked for and the keys there."""
    with pytest.raises(ConfigError) as refused:
        per({"USD": 1.0, "EUR": 2.0}, ("JPY", "CHF"), "limits.daily_loss")
    assert str(refused.value) == 'limits.daily_loss: expected a value for one of JPY, CHF or for "" (all others), found only USD, EUR'


def test_zero_is_a_value() -> None:
    """An entry of zero is found, not passed over."""
    assert per({"USD": 0.0, "": 5.0}, ("USD",), "x") == 0.0


@pytest.mark.parametrize("setting", [0.0, 5, {"USD": 1.5}, {}, {"": 0.0}])
def test_a_good_setting_is_itself(setting: Per) -> None:
    """`checked` returns the very setting."""
    assert checked(setting, "x") is setting


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), -float("inf")])
def test_what_is_no_amount_is_refused_where_it_stands(bad: float) -> None:
    """Negative, infinite and unknown amounts are refused by the name of the entry, in a table too."""
    with pytest.raises(ConfigError, match=r"^limits\.loss: expected a number of at least 0, was "):
        checked(bad, "limits.loss")
    with pytest.raises(ConfigError, match=r"^limits\.loss\.EUR: expected a number of at least 0, was "):
        checked({"USD": 1.0, "EUR": bad}, "limits.loss")


def test_a_bound_is_part_of_the_range() -> None:
    """`at_least` itself is allowed, less is not."""
    assert checked(2.0, "x", at_least=2.0) == 2.0
    with pytest.raises(ConfigError, match="at least 2, was 1"):
        checked(1.999, "x", at_least=2.0)
