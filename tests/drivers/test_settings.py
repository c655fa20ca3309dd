"""Settings: every key known, every value checked, every refusal naming the file and the key."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tercel.base.errors import ConfigError
from tercel.decision.rules import EmaCross
from tercel.decision.strategy import Strategy
from tercel.drivers import settings
from tercel.drivers.session import Plan

EVERYTHING = """
features = ["ema_20", "rsi_14", "spread", "mid"]
[bars]
every = "5s"
price = "bid"
grace = "100ms"
feed_latency = "2ms"
[rule]
fast = 3
slow = 8
volatility_rows = 9
enter = 1.5
exit = 0.5
risk_per_bar = { JPY = 100, "" = 2 }
size_lots = 0.5
[risk]
order_lots = 2
position_lots = { "EURUSD@oanda" = 1, "" = 3 }
notional = 1e6
collar = 0.02
quote_age_max = "5s"
orders_per_second = 7
daily_loss = 250
account_loss = 900
account_currency = "EUR"
open_orders = 9
day_roll = "00:00 UTC"
[venue]
latency = "3ms"
taker_fee = { crypto = 0.001, "" = 0 }
maker_fee = 0.0001
liquidity_lots = 4
half_spread_steps = 2
"""


def plan_of(folder: Path, text: str) -> Plan:
    """The plan of a file with this text."""
    path = folder / "my.toml"
    path.write_text(text)
    return settings.load(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sma_5", ("sma_5",)),
        ("macd_12_26_9", ("macd_12_26_9", "macd_12_26_9_signal", "macd_12_26_9_hist")),
        ("macd_12_26_9_hist", ("macd_12_26_9_hist",)),
        ("bollinger_20_2.5_upper", ("bollinger_20_2.5_upper",)),
        ("rolling_min_5", ("rolling_min_5",)),
        ("stoch_rsi_14_5_3_d", ("stoch_rsi_14_5_3_d",)),
        ("rsi_simple_14", ("rsi_simple_14",)),
        ("volume_ratio_20", ("volume_ratio_20",)),
        ("spread", ("spread",)),
    ],
)
def test_a_feature_is_read_by_the_name_of_its_column(text: str, names: tuple[str, ...]) -> None:
    """Opcode, numbers and, of several outputs, which: the text is the name again."""
    assert settings.feature(text).names == names
    assert settings.feature(text).name == text


@pytest.mark.parametrize(
    "text", ["", "sma", "sma_5_6", "macd_12", "macd_12_26_9_line", "sma_5_value", "difference", "rolling_5", "ema_²", "_5"]
)
def test_a_text_that_names_no_feature_is_refused(text: str) -> None:
    """A missing number, one too many, an unknown output or opcode."""
    with pytest.raises(ConfigError, match="features: expected texts such as 'ema_20'"):
        settings.feature(text)


def test_every_setting_reaches_the_plan(tmp_path: Path) -> None:
    """A file that sets everything changes everything, and nothing is left at its default."""
    plan, default = plan_of(tmp_path, EVERYTHING), Plan()
    assert [one.name for one in plan.features.features] == ["ema_20", "rsi_14", "spread", "mid"]
    assert (plan.features.clock.text, plan.features.clock.price, plan.grace, plan.feed_latency) == ("5s", "bid", "100ms", "2ms")
    for mine, theirs in ((plan.decide, default.decide), (plan.limits, default.limits), (plan.venue, default.venue)):
        same = [name for name, value in vars(theirs).items() if vars(mine)[name] == value]
        assert same == []


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file gives the default plan; `tercel.toml` in the working folder is read without being named."""
    monkeypatch.chdir(tmp_path)
    assert settings.text_of(settings.load()) == settings.text_of(Plan())
    (tmp_path / "tercel.toml").write_text("[rule]\nfast = 7\n")
    plan = settings.load()
    assert isinstance(plan.decide, EmaCross)
    assert plan.decide.fast == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[rsik]\n", "rsik: unknown setting; did you mean risk?"),
        ("[risk]\norder_lot = 1\n", "risk.order_lot: unknown setting; did you mean risk.order_lots?"),
        ("[bars]\nevry = '1m'\n", "bars.evry: unknown setting; did you mean bars.every?"),
        ("[venue]\nfoo = 1\n", "venue.foo: unknown setting; there are latency, taker_fee"),
        ("[rule]\nfast = 2.5\n", "rule.fast: expected a whole number, found 2.5"),
        ("[rule]\nfast = true\n", "rule.fast: expected a whole number, found True"),
        ("[rule]\nsize_lots = '1'\n", "rule.size_lots: expected a number, found '1'"),
        ("[risk]\ncollar = 'wide'\n", "risk.collar: expected a number, found 'wide'"),
        ("[risk]\nquote_age_max = 60\n", "risk.quote_age_max: expected a text, found 60"),
        ("[risk]\nquote_age_max = '60 parsecs'\n", "risk.quote_age_max: duration: expected a number and one of"),
        ("[venue]\nlatency = 'soon'\n", "venue.latency: duration: expected a number and one of"),
        ("[risk]\ndaily_loss = { USD = 'much' }\n", "risk.daily_loss: expected a number or a table of numbers"),
        ("[risk]\ndaily_loss = { USD = -5 }\n", "risk.daily_loss.USD: expected a number of at least 0, was -5"),
        ("[risk]\nopen_orders = 0\n", "risk.open_orders: expected 1 to 4096, was 0"),
        ("[rule]\nfast = 9\nslow = 4\n", "rule: expected 1 <= fast < slow"),
        ("[bars]\nevery = 5\n", "bars.every: expected a text, found 5"),
        ("[bars]\nevery = 'often'\n", "bars.every: duration: expected a number and one of"),
        ("[bars]\nprice = 'last'\n", "bars.price: bars: expected price to be one of"),
        ("[bars]\ngrace = 250\n", "bars.grace: expected a text, found 250"),
        ("[bars]\nfeed_latency = '1'\n", "bars.feed_latency: duration: expected"),
        ("risk = 3\n", r"risk: expected a table \[risk\], found 3"),
        ("features = 'ema_20'\n", "features: expected a list of texts, found 'ema_20'"),
        ("features = ['emma_20']\n", "features: expected texts such as 'ema_20'"),
        ("strategy = 3\n", "strategy: expected a text, found 3"),
        ("strategy = 'nothing:There'\n", "strategy: expected module:Class, such as my_desk:Cross, found 'nothing:There'"),
        ("strategy = 'tercel.risk.limits:Limits'\n", "strategy: expected a class derived from tercel.Strategy"),
        ("[risk\n", "my.toml: not valid TOML"),
    ],
)
def test_what_is_wrong_is_refused_by_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    """An unknown key says which one was meant; a wrong value says key, what was expected, what was found, and the line of the file."""
    with pytest.raises(ConfigError, match=expected) as caught:
        plan_of(tmp_path, text)
    if "not valid TOML" not in expected:
        line = len(text.splitlines())  # each of these texts is wrong in its last line, or in the section that it completes
        lines = {line} if " = {" in text or not expected.startswith("rule: ") else {1}
        assert any(str(caught.value).endswith(f"({tmp_path / 'my.toml'}:{one})") for one in lines)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A settings file that was named must exist."""
    with pytest.raises(ConfigError, match=r"settings: expected a file .*none\.toml, found none"):
        settings.load(tmp_path / "none.toml")


def test_the_hash_names_what_decides(tmp_path: Path) -> None:
    """Equal settings have equal hashes however they are written; any changed value has another one."""
    base = settings.hash_of(plan_of(tmp_path, EVERYTHING))
    assert settings.hash_of(plan_of(tmp_path, EVERYTHING.replace("1e6", "1_000_000.0") + "\n# said otherwise\n")) == base
    changes = [("fast = 3", "fast = 4"), ('"5s"', '"6s"'), ("= 0.0001", "= 0.0002"), ("ema_20", "ema_21"), ('"100ms"', '"101ms"')]
    hashes = {settings.hash_of(plan_of(tmp_path, EVERYTHING.replace(old, new, 1))) for old, new in changes}
    assert len({base} | hashes) == 1 + len(changes)


def test_a_strategy_is_found_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`module:Class` is imported from the working folder; another file of the same name is another strategy by its hash."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    text = "from tercel.decision.strategy import Strategy\nclass Quiet(Strategy):\n    def on_bar(self, context, bar): pass\n"
    hashes = []
    for version in ("", "# changed\n"):
        (tmp_path / "my_quiet_desk.py").write_text(text + version)
        sys.modules.pop("my_quiet_desk", None)
        plan = settings.load(strategy="my_quiet_desk:Quiet")
        assert isinstance(plan.decide, Strategy)
        hashes.append(settings.hash_of(plan))
    assert len(set(hashes)) == 2
