"""Runs conversations with the core: texts that say what comes in, what the core answers, and how it ends.

    # A sentence that says what is true.
    set  latency=20ms  liquidity=5                         settings; see `SETTINGS`
    in   0ms   quote EURUSD 1.10000x3 1.10010              bid and ask, "-" for a side that is absent, xN for its size
    in   0ms   bar EURUSD then buy 3                       a closed bar; the strategy is asked and asks for what follows "then"
    in   1m    bar EURUSD 1.10000 1.20000                  the same with open and close; it opened a minute before
    out  intent EURUSD buy 3 market id=1                   everything the core says about this input, in order
    in   2m    model up                                    from here on the model "up" scores every bar; "none" is none, see `MODELS`
    in   2m    order EURUSD buy 3 limit 1.09000            a person gives an order
    in   2m    gap EURUSD                                  data of it was lost
    in   2m    late 1                                      features take too long from here on; 0: no longer
    end  position EURUSD 3                                 see `_ended`

Several clauses may share a line. A conversation begins with a comment after an empty line. Each is told to the core twice: input by
input, and in one call with room for one output.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tercel.base import codes
from tercel.base.records import (
    BAR,
    COMMAND,
    DAY_ROLL,
    DEGRADE,
    EPOCH,
    FEATURES_LATE,
    GAP,
    HALT,
    MODEL,
    ORDER,
    OUT_DENIED,
    OUT_FILL,
    OUT_INTENT,
    OUT_NAMES,
    OUT_SIGNAL,
    OUT_STATE,
    OUTPUT,
    QUOTE,
    RESUME,
    REWARM,
    TICK,
    TRADE,
    Records,
)
from tercel.base.time import parse_duration, parse_instant
from tercel.core.engine import Engine
from tercel.core.layout import H_CURRENCY, H_LEDGER
from tercel.core.setup import CoreConfig
from tercel.decision.rules import EmaCross, ModelRule
from tercel.decision.strategy import Bar, Context, Strategy
from tercel.drivers.backtest import ledger_of
from tercel.drivers.result import book_of
from tercel.execution.kernels import LIMIT
from tercel.execution.lifecycle import FILLED, STATE_NAMES
from tercel.execution.venue import VenueModel
from tercel.features.spec import Bars, FeatureSet, bars, returns, volatility
from tercel.ledger.kernels import L_CASH, L_FEES, L_POSITION, LEDGER_WORDS
from tercel.market.instruments import Instrument
from tercel.models.barriers import triple_barrier
from tercel.models.model import Model
from tercel.risk.kernels import CURRENCY_WORDS, Y_DAY_START
from tercel.risk.limits import Limits
from tests.models.made import model_of, stump

FOLDER = Path(__file__).parents[1] / "golden" / "scenarios"
START_NS = parse_instant("2014-05-02T12:00:00")
MINUTE_NS = 60_000_000_000
NAN = float("nan")
COMMANDS = {"halt": HALT, "resume": RESUME, "epoch": EPOCH, "rewarm": REWARM}
CODES = {name: code for code, name in codes.NAMES.items()}

# A lot is one unit, so that sizes are what they look like. BTCUSD has three decimals of size, JPY a price grid of 5.
_COMMON: dict[str, Any] = {"venue": "sim", "session": "fx", "day_roll": "17:00 America/New_York"}
_PAIR: dict[str, Any] = {**_COMMON, "asset": "fx", "size_decimals": 0}
INSTRUMENTS = {
    one.symbol: one
    for one in (
        Instrument(symbol="EURUSD", base="EUR", quote="USD", price_decimals=5, id=1, **_PAIR),
        Instrument(symbol="USDJPY", base="USD", quote="JPY", price_decimals=3, price_increment=5, id=2, **_PAIR),
        Instrument(symbol="EURGBP", base="EUR", quote="GBP", price_decimals=5, id=3, **_PAIR),
        Instrument(symbol="GBPUSD", base="GBP", quote="USD", price_decimals=5, id=4, **_PAIR),
        Instrument(
            symbol="BTCUSD", asset="crypto", base="BTC", quote="USD", price_decimals=1, size_decimals=3, size_increment=10, size_min=50,
            lot=1000, id=5, **_COMMON,
        ),
    )
}  # fmt: skip

# name -> (where it belongs, its name there, how it is read). All limits are wide unless a conversation sets them.
SETTINGS = {
    "bars": ("bars", "every", str), "price": ("bars", "price", str),
    "latency": ("venue", "latency", str), "liquidity": ("venue", "liquidity_lots", float),
    "taker": ("venue", "taker_fee", float), "maker": ("venue", "maker_fee", float), "half_spread": ("venue", "half_spread_steps", float),
    "order_max": ("risk", "order_lots", float), "position_max": ("risk", "position_lots", float), "notional": ("risk", "notional", float),
    "collar": ("risk", "collar", float), "age": ("risk", "quote_age_max", str), "rate": ("risk", "orders_per_second", int),
    "daily_loss": ("risk", "daily_loss", float), "account_loss": ("risk", "account_loss", float),
    "account": ("risk", "account_currency", str), "open_orders": ("risk", "open_orders", int),
    "fast": ("rule", "fast", int), "slow": ("rule", "slow", int), "volatility": ("rule", "volatility_rows", int),
    "enter": ("rule", "enter", float), "exit": ("rule", "exit", float), "risk": ("rule", "risk_per_bar", float),
    "lots": ("rule", "size_lots", float),
    "take": ("barrier", "take", float), "stop": ("barrier", "stop", float), "horizon": ("barrier", "horizon", str),
    "stale_max": ("model", "stale_max", str), "edge": ("model", "enter", float), "risk_per_trade": ("model", "risk_per_trade", float),
    "model_lots": ("model", "size_lots", float),
}  # fmt: skip
# Models by name: after a rise they expect this raw score of a buy, after a fall the other; the score of a sale is minus that.
MODELS = {"up": (-2.0, 2.0), "down": (2.0, -2.0)}
DEFAULTS = (
    "latency=0ms liquidity=1000 taker=0 maker=0 order_max=100 position_max=100 notional=1e6 collar=0.01 age=60s rate=0 daily_loss=0 "
    "open_orders=8"
)


class Script(Strategy):
    """Asks what the conversation says, one entry per bar of an instrument."""

    def __init__(self, asked_at: set[str]) -> None:
        self.asks: dict[str, deque[str]] = {}
        self.models: dict[str, int] = {"none": 0}  # numbers of the models in place
        self.asked_at = asked_at  # kinds of input after which the strategy is asked

    def on_bar(self, context: Context, bar: Bar) -> None:
        """Ask for what stands next for this instrument."""
        waiting = self.asks.get(context.instrument)
        for text in (waiting.popleft() if waiting else "").split(";"):
            if text.strip():
                _ask(context, text.split())


def _ask(context: Context, text: list[str]) -> None:
    verb, *rest = text
    if verb in ("buy", "sell"):
        limit = float(rest[rest.index("limit") + 1]) if "limit" in rest else None
        getattr(context, verb)(float(rest[0]), limit=limit, immediate="immediate" in rest)
    elif verb == "target":
        context.target(float(rest[0]))
    elif verb == "cancel":
        context.cancel(int(rest[0]) if rest else 0)
    elif verb == "signal":
        context.signal(int(rest[0]))
    else:
        assert verb == "none", text
        context.no_order(CODES[rest[0]])


@dataclass
class Conversation:
    """One parsed text."""

    title: str
    where: str
    settings: dict[str, str] = field(default_factory=dict)
    inputs: list[tuple[str, list[str]]] = field(default_factory=list)  # what comes in, what is to be said
    ends: list[str] = field(default_factory=list)


def conversations(path: Path) -> list[Conversation]:
    """The conversations of a file."""
    found: list[Conversation] = []
    after_gap = True
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.strip()
        if line.startswith("#") and after_gap:
            found.append(Conversation(line[1:].strip(), f"{path.name}:{number}"))
        after_gap = not line
        if line and not line.startswith("#"):
            for clause in re.split(r"\s+(?=(?:in|out|end|set)\s)", line):
                _clause(found[-1], *clause.split(maxsplit=1))
    return found


def _clause(talk: Conversation, verb: str, text: str) -> None:
    text = " ".join(text.split())
    if verb == "set":
        talk.settings |= dict(pair.split("=") for pair in text.split())
    elif verb == "in":
        talk.inputs.append((text, []))
    elif verb == "out":
        talk.inputs[-1][1].append(text)
    else:
        assert verb == "end", f"{talk.where}: {verb}"
        talk.ends.append(text)


def everything() -> list[Conversation]:
    """Every conversation there is."""
    return [talk for path in sorted(FOLDER.glob("*.txt")) for talk in conversations(path)]


def engine_for(talk: Conversation, sink: list[Records], room: int) -> tuple[Engine, Script]:
    """An engine with the settings of a conversation."""
    tables: dict[str, dict[str, Any]] = {"bars": {"every": "1h"}, "venue": {}, "risk": {}, "rule": {}, "barrier": {}, "model": {}}
    chosen = dict(pair.split("=") for pair in DEFAULTS.split()) | talk.settings
    names = chosen.pop("instruments", "EURUSD").split(",")
    unquoted = chosen.pop("unquoted", "")
    for name, value in chosen.items():
        table, key, kind = SETTINGS[name]
        tables[table][key] = kind(value)
    clock = tables["bars"]
    script = Script({"bar"} | ({"trade" if clock.get("price") == "trade" else "quote"} if clock["every"] == "1t" else set()))
    models = _models(tables["barrier"], bars(**clock)) if tables["barrier"] else {}
    rule = EmaCross(**tables["rule"]) if tables["rule"] else ModelRule(models["up"], **tables["model"]) if models else None
    decide: EmaCross | ModelRule | Script = rule or script
    program = FeatureSet(bars(**tables["bars"]), rule.features if rule else ()).compile()
    quoted = frozenset(INSTRUMENTS[name].name for name in names if name != unquoted)
    instruments = [INSTRUMENTS[name] for name in names]
    config = CoreConfig(program, instruments, decide, Limits(**tables["risk"]), VenueModel(**tables["venue"]), quoted)
    engine = Engine(config, lambda outputs: sink.append(outputs.copy()), output_room=room)
    script.models |= {name: engine.models.place(model, model.manifest.parts[0]) for name, model in models.items()}
    return engine, script


def _models(barrier: dict[str, Any], clock: Bars) -> dict[str, Model]:
    """Every model of `MODELS`, its width the volatility of two bars: the horizon counts as one bar."""
    barriers = triple_barrier(**barrier, rows=2, horizon_bars=1.0)
    features = FeatureSet(clock, (returns(1), volatility(2)))
    return {
        name: model_of(features, ("returns_1",), barriers, {"long.json": stump(0.0, fall, rise)}) for name, (fall, rise) in MODELS.items()
    }


def record_of(text: str, script: Script) -> Records:
    """The input a clause describes; what follows "then" is put into the script."""
    what, _, then = text.partition(" then ")
    at, kind, *rest = what.split()
    record = np.zeros(1, TICK)
    record["ts_event"] = record["ts_recv"] = START_NS + parse_duration(at)
    if kind in COMMANDS:
        record["kind"] = COMMAND
        record.view(np.int64)[3:5] = COMMANDS[kind], int(rest[0]) if rest else 0
        return record
    if kind == "model":
        record["kind"] = COMMAND
        record["instrument"] = INSTRUMENTS[rest[1]].id if len(rest) > 1 else 0
        record.view(np.int64)[3:5] = MODEL, script.models[rest[0]]
        return record
    if kind == "order":
        one, side, size, limit = INSTRUMENTS[rest[0]], rest[1], rest[2], rest[-1] if "limit" in rest else "0"
        record["kind"], record["instrument"], record["side"] = COMMAND, one.id, {"buy": 1, "sell": -1, "neither": 0}[side]
        record.view(np.int64)[3:6] = ORDER, round(float(size) * 10**one.size_decimals), round(float(limit) * 10**one.price_decimals)
        return record
    if kind == "late":
        record["kind"] = DEGRADE
        record.view(np.int64)[3:5] = FEATURES_LATE, int(rest[0])
        return record
    if kind == "roll":
        record["kind"] = DAY_ROLL
        return record
    instrument = INSTRUMENTS[rest[0]]
    record["instrument"], record["kind"] = instrument.id, {"quote": QUOTE, "trade": TRADE, "bar": BAR, "gap": GAP}[kind]
    sides = [_priced(side) for side in rest[1:]]
    if kind == "quote":
        (record["price"], record["size"]), (record["price2"], record["size2"]) = sides
    elif kind == "trade":
        record["price"], record["size"] = sides[0]
        record["price2"] = record["size2"] = NAN
    elif kind == "bar":
        opened, closed = (sides[0][0], sides[1][0]) if sides else (1.0, 1.0)
        record["ts_event"] -= MINUTE_NS
        record.view(np.float64)[3:8] = opened, max(opened, closed), min(opened, closed), closed, NAN
    if then or kind in script.asked_at:
        script.asks.setdefault(instrument.name, deque()).append(then)
    return record


def _priced(text: str) -> tuple[float, float]:
    price, _, size = text.partition("x")
    return (NAN if price == "-" else float(price)), (float(size) if size else NAN)


def text_of(output: Any) -> str:
    """One output as a conversation says it."""
    instrument = next(one for one in INSTRUMENTS.values() if one.id == int(output["instrument"]))
    kind, side, code = int(output["kind"]), int(output["side"]), int(output["code"])

    def price() -> str:
        return f"{int(output['price']) / 10**instrument.price_decimals:.{instrument.price_decimals}f}"

    size = f"{int(output['size']) / 10**instrument.size_decimals:g}"
    words = [OUT_NAMES[kind], instrument.symbol]
    direction = "buy" if side > 0 else "sell" if side < 0 else "neither"
    if kind == OUT_INTENT:
        words += [direction, size, f"limit {price()}" if code == LIMIT else "market", f"id={output['order']}"]
    elif kind == OUT_FILL:
        words += [direction, size, "@", price(), f"id={output['order']}"]
        words += [STATE_NAMES[int(output["state"])]] if int(output["state"]) != FILLED else []
        words += ["maker"] if code else []
    elif kind == OUT_DENIED:
        words += [direction, size, codes.NAMES[code]]
    elif kind == OUT_SIGNAL:
        words += [f"{side:+d}"]
    elif kind == OUT_STATE:
        words = ["state", next(name for name, number in COMMANDS.items() if number == code)]
    else:
        words += [f"id={output['order']}"] + ([f"filled={output['filled'] / 10**instrument.size_decimals:g}"] if output["filled"] else [])
    return " ".join(words)


@dataclass
class Told:
    """A conversation told to a core: what it said, and the engine at the end."""

    outputs: Records
    engine: Engine


def tell(talk: Conversation, *, at_once: bool = False) -> Told:
    """Tell a conversation to a new core, input by input or in one call with room for one output."""
    sink: list[Records] = []
    engine, script = engine_for(talk, sink, room=1 if at_once else 64)
    records = [record_of(text, script) for text, _ in talk.inputs]
    for part in [np.concatenate(records)] if at_once else records:
        engine.push(part)
    assert not any(any(waiting) for waiting in script.asks.values()), f"{talk.where}: a request was never asked for: {script.asks}"
    return Told(np.concatenate(sink) if sink else np.zeros(0, OUTPUT), engine)


def check(talk: Conversation) -> Told:
    """Tell it both ways and compare everything the core says with what it should say; the ledger must agree."""
    told = tell(talk)
    for number, (text, expected) in enumerate(talk.inputs, 1):
        said = [text_of(one) for one in told.outputs if one["input"] == number]
        assert said == expected, f"{talk.where}: in {text}\n  expected {expected}\n  said     {said}"
    for text in talk.ends:
        assert _ended(told.engine, text.split()[0], text.split()[1:-1]) == text.split()[-1], (
            f"{talk.where}: {text}: {told.engine.reasons()}"
        )
    again = tell(talk, at_once=True)
    assert again.outputs.tobytes() == told.outputs.tobytes(), talk.where
    assert again.engine.state_hash() == told.engine.state_hash(), talk.where
    assert_books_agree(told.engine, told.outputs)
    return told


def assert_books_agree(engine: Engine, outputs: Records) -> None:
    """The exact ledger, from the fills alone, has the core's positions, cash and fees."""
    book = book_of(engine.config.instruments)
    book.apply(outputs)
    assert book.reconcile(ledger_of(engine)) == []


def _ended(engine: Engine, what: str, about: list[str]) -> str:
    """The end of a conversation: position, cash, fees of an instrument; reason counted; orders sent; halted; day start of a currency."""
    config, account = engine.config, engine.account
    if what == "reason":
        return str(engine.reasons().get(about[0], 0))
    if what == "orders":
        return str(engine.orders)
    if what == "daystart":
        at = config.layout.section(H_CURRENCY, CURRENCY_WORDS, config.currencies.index(about[0]))
        return f"{int(account[at + Y_DAY_START]) / 1e6:g}"
    slot = [one.symbol for one in config.instruments].index(about[0])
    at = config.layout.section(H_LEDGER, LEDGER_WORDS, slot)
    word, unit = {
        "position": (L_POSITION, 10 ** config.instruments[slot].size_decimals), "cash": (L_CASH, 1e6), "fees": (L_FEES, 1e6),
    }[what]  # fmt: skip
    return f"{int(account[at + word]) / unit:.10g}"


def digest() -> str:
    """A hash over everything every conversation makes the core say; for a comparison between compiled and plain kernels."""
    total = hashlib.sha256()
    for talk in everything():
        told = tell(talk)
        total.update(told.outputs.tobytes() + told.engine.state_hash().encode())
    return total.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest() + "\n")
