"""What `tercel new` writes: texts made of the settings as they are, so that they are never out of date."""

from __future__ import annotations

import textwrap
from typing import Final

from tercel.cli.config import value_text
from tercel.drivers.session import Plan
from tercel.drivers.settings import resolved
from tercel.drivers.settings_words import SECTIONS, SETTINGS

WIDTH: Final = 100
SPAN: Final = "24h"  # of the simulated market: enough to train on
EXAMPLES: Final = {"model": '"{name}"', "strategy": '"{module}:{cls}"', "rule.size_lots": "1.0"}
OPENING: Final = """\
# Settings of {name}. Each value below is Tercel's default: a line left out changes nothing.
# `tercel config show` says what is in force and where it was set, `tercel config check` whether
# it is good.
# An environment variable is above this file: TERCEL__RISK__DAILY_LOSS=500.
"""

STRATEGY: Final = '''\
"""A strategy to begin with: buy what has fallen far below its recent mean, sell what has risen far above it.

It sees a context and a bar, and nothing else: no clock, no network, no chance. So a back-test, paper trading and live trading give
the same answers. Whatever it asks for passes the limits in tercel.toml first.
"""

import math

import tercel as tc
from tercel.base.codes import AT_TARGET, SIZE_BELOW_MIN, WARMING


class {cls}(tc.Strategy):
    """Enter when the price is `enter` standard deviations from its mean, leave when it is back within `leave`."""

    features = (tc.zscore(60), tc.volatility(60))  # their columns are named zscore_60 and volatility_60
    enter, leave = 2.0, 0.5
    risk = {{"JPY": 1_000.0, "USD": 10.0}}  # what one bar may move a position by, in its quote currency

    def on_bar(self, context, bar):
        """Called once for every closed bar of every instrument: ask for at most one order, or say why there is none."""
        score, swing = context.features["zscore_60"], context.features["volatility_60"]
        if math.isnan(score) or math.isnan(swing):
            return context.no_order(WARMING)
        if context.quote_code:  # no quote, a stale or a crossed one
            return context.no_order(context.quote_code)
        if context.position:
            back = score * context.position >= 0 or abs(score) < self.leave
            return context.target(0.0, score=-score) if back else context.no_order(AT_TARGET)
        if abs(score) < self.enter:
            return context.no_order()
        currency = "JPY" if "JPY@" in context.instrument else "USD"
        size = context.size_for(self.risk[currency], swing)
        if size < context.size_min:
            return context.no_order(SIZE_BELOW_MIN)
        return context.target(-math.copysign(size, score), score=-score)
'''

TEST: Final = '''\
"""{cls} on the simulated market: `python -m unittest` runs this, pytest does too; it needs no data."""

import unittest

import tercel as tc
from {module} import {cls}

MARKET = tc.SimulatedHistory(seed=1, hours=4)


class {cls}Test(unittest.TestCase):
    def test_it_trades_within_its_limits(self):
        """It trades, and no position ends above the limit of one lot."""
        result = tc.backtest(MARKET, decide={cls}(), limits=tc.Limits(position_lots=1.0))
        self.assertGreater(result.orders, 0)
        lots = {{one.name: float(one.lot) for one in result.instruments}}
        for one in result.by_instrument:
            self.assertLessEqual(abs(one.position), lots[one.name], one.name)

    def test_the_same_market_gives_the_same_result(self):
        """Nothing but the market decides: a second run ends in the same state, to the bit."""
        first, second = (tc.backtest(MARKET, decide={cls}()) for _ in range(2))
        self.assertEqual(first.state_hash, second.state_hash)
'''

README: Final = """\
# {name}

Settings are in `tercel.toml`, a strategy in `{module}.py`, its test in `test_{module}.py`. Next:

```console
{commands}
```

- The rule that `[rule]` describes trades until you name a `--strategy` or a `--model`, here or in `tercel.toml`.
- {market}
- Paper trading shows a page; `tercel halt` stops its orders, `tercel resume` lets them go on.
- `tercel doctor` says what this machine lacks; every verb explains itself with `--help`.
"""


def class_name(module: str) -> str:
    """ "my_desk" gives "MyDesk"."""
    return "".join(part.capitalize() for part in module.split("_"))


def files(name: str, module: str, instruments: tuple[str, ...]) -> dict[str, str]:
    """The text of each file of a new desk."""
    words = {"name": name, "module": module, "cls": class_name(module)}
    columns = width(name, module, instruments)
    shown = "\n".join(f"{command:<{columns}}  # {why}" for command, why in commands(name, module, instruments))
    market = (
        f"The commands play what you imported: {', '.join(instruments)}; `tercel data list` shows it."
        if instruments
        else "The commands play a simulated market; `tercel data import FILE` brings your own, then name instruments instead."
    )
    return {
        "tercel.toml": toml(**words),
        f"{module}.py": STRATEGY.format(**words),
        f"test_{module}.py": TEST.format(**words),
        "README.md": README.format(**words, commands=shown, market=market),
    }


def commands(name: str, module: str, instruments: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(command, what it does), to be tried one after another."""
    cls = class_name(module)
    market = " ".join(instruments) if instruments else f"--simulated {SPAN}"
    feed = f"{' '.join(instruments)} " if instruments else ""
    return (
        ("tercel config check", "are the settings good?"),
        ("python -m unittest", "the strategy's own test, on a simulated market"),
        (f"tercel backtest {market}", "the rule of tercel.toml"),
        (f"tercel backtest {market} --strategy {module}:{cls}", f"the strategy in {module}.py"),
        (f"tercel check lookahead {market} --strategy {module}:{cls}", "does it know the future?"),
        (f"tercel train {market} --name {name}", "a model, and whether it has an edge"),
        (f"tercel backtest {market} --model {name}", "what it would have earned, out of sample"),
        (f"tercel run {feed}--account {name} --strategy {module}:{cls} --speed 60 --for 5m", "on paper, an hour in a minute"),
        (f"tercel why --account {name}", "why it did not trade"),
    )


def width(name: str, module: str, instruments: tuple[str, ...]) -> int:
    """Columns of the longest command."""
    return max(len(command) for command, _ in commands(name, module, instruments))


def toml(name: str, module: str, cls: str) -> str:
    """tercel.toml with every setting, its default and what it means; what has no default stands there as an example."""
    defaults = resolved(Plan())
    lines = [OPENING.format(name=name).rstrip()]
    for section, meaning in SECTIONS.items():
        lines += ["", *_comment(meaning)] + ([f"[{section}]"] if section else [])
        for key, sentence in SETTINGS.items():
            if (key.rpartition(".")[0]) != section:
                continue
            value = value_text(defaults.get(key))
            example = EXAMPLES.get(key, "").format(name=name, module=module, cls=cls)
            lines += [
                "",
                *_comment(sentence),
                f"{key.rpartition('.')[2]} = {value}" if value else f"# {key.rpartition('.')[2]} = {example}",
            ]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")
