"""Where settings come from: lines of a file, the environment above it, the command line above both; what is secret is not shown."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.decision.rules import EmaCross, ModelRule
from tercel.drivers import settings, settings_words
from tercel.drivers.session import Plan
from tercel.drivers.settings_source import from_environment, lines_of
from tercel.models.registry import Registry
from tests.models.kept import model

STRANGE = '''# a comment = 1
features = [
  "ema_20",  # [risk]
  "spread",
]
risk.collar = 0.02

[bars] # why
every = """\\
5s"""
"price" = 'bid'
[risk.daily_loss]
USD = 5
"" = 1
[[list]]
x = { y = 1, z = { q = 2 } }
'''


def test_every_key_has_the_line_it_begins_at() -> None:
    """Comments, lists and texts of several lines, dotted and quoted keys, tables in tables and lists of tables."""
    tomllib.loads(STRANGE)
    assert lines_of(STRANGE) == {
        "features": 2, "risk": 6, "risk.collar": 6, "bars": 8, "bars.every": 9, "bars.price": 11, "risk.daily_loss": 12,
        "risk.daily_loss.USD": 13, "risk.daily_loss.": 14, "list": 15, "list.x": 16, "list.x.y": 16, "list.x.z": 16, "list.x.z.q": 16,
    }  # fmt: skip


@given(st.lists(st.sampled_from(["", "# x = 1", "  # [y]"]), max_size=5), st.lists(st.sampled_from(["[a]", "[b.c]", "[ d ]"]), unique=True))
def test_a_key_stands_where_it_was_written(noise: list[str], heads: list[str]) -> None:
    """Whatever stands before it, the line that is named is the one the key is on."""
    lines = [*noise]
    for number, head in enumerate(heads):
        lines += [head, *noise, f"key{number} = 'v'"]
    found = lines_of("\n".join(lines))
    for number in range(len(heads)):
        (line,) = (line for key, line in found.items() if key.endswith(f"key{number}"))
        assert lines[line - 1] == f"key{number} = 'v'"


def test_the_environment_is_above_the_file(tmp_path: Path) -> None:
    """One key of a section replaces that key alone, and its variable is what a refusal names; a model replaces a strategy."""
    path = tmp_path / "my.toml"
    path.write_text("strategy = 'nothing:There'\n[risk]\ncollar = 0.02\ndaily_loss = 9\n")
    environ = {"TERCEL__RISK__DAILY_LOSS": "500", "TERCEL__BARS__EVERY": "5s", "TERCEL__STRATEGY": "tercel.decision.strategy:Strategy"}
    plan, origins = settings.read(path, environ=environ)
    assert (plan.limits.daily_loss, plan.limits.collar, plan.features.clock.text) == (500, 0.02, "5s")
    assert (origins.source("risk.daily_loss"), origins.source("risk.collar")) == ("TERCEL__RISK__DAILY_LOSS", f"{path}:3")
    assert origins.source("risk.notional") == "default"
    with pytest.raises(ConfigError, match=r"risk\.colar: unknown setting; did you mean risk\.collar\? \(TERCEL__RISK__COLAR\)"):
        settings.read(None, environ={"TERCEL__RISK__COLAR": "1"})
    with pytest.raises(ConfigError, match=r"rule\.fast: expected a whole number, found 'soon' \(TERCEL__RULE__FAST\)"):
        settings.read(None, environ={"TERCEL__RULE__FAST": "soon"})


def test_the_environment_says_tables_as_toml_does() -> None:
    """A value that TOML understands is that value, any other a text; a name with too many parts is refused."""
    environ = {
        "TERCEL__RISK__NOTIONAL": '{ JPY = 5.0, "" = 2 }',
        "TERCEL__FEATURES": "['ema_20']",
        "TERCEL__BARS__EVERY": "1m",
        "TERCEL_HOME": "x",
    }
    table, places = from_environment(environ)
    assert table == {"risk": {"notional": {"JPY": 5.0, "": 2}}, "features": ["ema_20"], "bars": {"every": "1m"}}
    assert places["risk.notional"] == "TERCEL__RISK__NOTIONAL"
    for wrong in ("TERCEL__RISK__DAILY__LOSS", "TERCEL__", "TERCEL__RISK__"):
        with pytest.raises(ConfigError, match=f"expected TERCEL__KEY or TERCEL__SECTION__KEY, found {wrong}"):
            from_environment({wrong: "1"})


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("venue.api_key", "abc", "…"),
        ("venue.token", "abc", "…"),
        ("x.PASSWORD", "abc", "…"),
        ("x.client_secrets", ["a"], "…"),
        ("x.token", "", ""),
        ("x.keyboard", "qwerty", "qwerty"),
        ("cache.url", "redis://me:abc@host:1", "redis://me:…@host:1"),
        ("bars.every", "1m", "1m"),
        ("x", {"password": "abc", "y": 1}, {"password": "…", "y": 1}),
    ],
)
def test_what_is_secret_is_not_shown(key: str, value: object, shown: object) -> None:
    """A value whose name says key, secret, token or password is left out, and that of an address; lookalikes are not."""
    assert settings.redacted(key, value) == shown


def test_every_setting_has_a_sentence(home: Path) -> None:
    """The words cover what the built-in rule, and a model, make of the settings, and nothing else."""
    of_rule = set(settings.resolved(Plan(decide=EmaCross())))
    assert of_rule | {"strategy", "model"} == set(settings_words.SETTINGS)
    assert {key.partition(".")[0] if "." in key else "" for key in of_rule} == set(settings_words.SECTIONS)
    Registry().save(model())
    of_model = settings.resolved(Plan(decide=ModelRule(Registry().load("eurusd"))))
    assert {key for key in of_model if key.startswith("rule.")} == set(settings_words.MODEL_RULE)


def test_a_rule_written_for_the_built_in_one_does_not_stop_a_model(home: Path, tmp_path: Path) -> None:
    """A model named on the command line takes of such a [rule] only the fixed size; a wrong key is told."""
    Registry().save(model())
    path = tmp_path / "my.toml"
    path.write_text("[rule]\nfast = 5\nenter = 1.0\nsize_lots = 2\n")
    decide = settings.load(path, model="eurusd").decide
    assert isinstance(decide, ModelRule)
    assert (decide.size_lots, decide.enter) == (2, None)
    path.write_text("[rule]\nenter = 0.7\nrisk_per_trade = 5\n")
    decide = settings.load(path, model="eurusd").decide
    assert isinstance(decide, ModelRule)
    assert (decide.enter, decide.risk_per_trade) == (0.7, 5)
    path.write_text("[rule]\nfst = 5\n")
    with pytest.raises(ConfigError, match=r"did you mean rule\.fast"):
        settings.load(path, model="eurusd")
    path.write_text("model = 'eurusd'\n[rule]\nfast = 5\n")
    with pytest.raises(ConfigError, match=r"rule\.fast: unknown setting"):
        settings.load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("emma_20", "did you mean ema?"),
        ("rsi", "rsi takes 1 number ("),
        ("macd_12_26", "macd takes 3 numbers ("),
        ("spread_3", "spread takes no number"),
    ],
)
def test_a_feature_that_is_none_says_what_was_meant(text: str, said: str) -> None:
    """An unknown word gets the nearest one, a known one what it takes."""
    with pytest.raises(ConfigError) as caught:
        settings.feature(text)
    assert said in str(caught.value)


def test_a_strategy_that_is_none_says_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt class gets the nearest class of its module, a misspelt module the nearest file of the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_spelt_desk.py").write_text("import tercel as tc\nclass Quiet(tc.Strategy):\n    pass\n")
    for target, said in (("my_spelt_desk:Quite", "did you mean Quiet?"), ("my_spelt_dsk:Quiet", "did you mean my_spelt_desk?")):
        with pytest.raises(ConfigError, match="expected module:Class") as caught:
            settings.load_strategy(target)
        assert said in str(caught.value).replace("\n", " ")
