"""`tercel.toml`: read once, every key known, every value checked, then frozen. The words are those of the Python face."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import hashlib
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from tercel.base.errors import ConfigError
from tercel.base.time import parse_duration
from tercel.decision.rules import EmaCross, ModelRule, Rule
from tercel.decision.strategy import Strategy
from tercel.drivers.session import Plan
from tercel.execution.venue import VenueModel
from tercel.features import spec
from tercel.features.opcodes import OPCODES
from tercel.models.manifest import encode
from tercel.risk.limits import Limits

FILE_NAME: Final = "tercel.toml"
_SECTIONS: Final[dict[str, type[Any]]] = {"risk": Limits, "venue": VenueModel}


@dataclasses.dataclass(frozen=True)
class Bars:
    """The table [bars]: what features are taken on, and when."""

    every: str = "1m"
    """Length of a bar in time (1s, 1m, 4h), ticks (100t) or volume (5000v). [duration, ticks or volume; more than 0]"""
    price: str = "mid"
    """What bars are built from. [word; mid, bid, ask or trade]"""
    anchor: str = ""
    """The instant at which the features' state begins, wherever a run starts; without it, at the run's first input. [ISO time, UTC; any]"""
    grace: str = Plan.grace
    """How long after a boundary a bar of time still takes late ticks. [duration; 0 or more]"""
    feed_latency: str = Plan.feed_latency
    """Modelled delay of recordings that have no arrival times. [duration; 0 or more]"""
    late_after: str = Plan.late_after
    """Features that take longer are late: the last good ones stand in. [duration; 0 (never) or more]"""


@dataclasses.dataclass(frozen=True)
class Top:
    """What stands before the first table of the file."""

    features: list[str] = dataclasses.field(default_factory=list)
    """Features beside those that the decision needs, each as a short text: "ema_20", "macd_12_26_9_signal", "rsi_14_5m". [texts; any]"""
    strategy: str = ""
    """A strategy written in Python, as module:Class. [text; not beside `model`]"""
    model: str = ""
    """A trained model, as name, name@version or name@stage. [text; not beside `strategy`]"""


_BARS: Final = tuple(field.name for field in dataclasses.fields(Bars))
_DURATIONS: Final = ("grace", "feed_latency", "late_after", "quote_age_max", "latency", "stale_max")
_TIMING: Final = ("grace", "feed_latency", "late_after")
_MAKERS: Final = tuple(op for op in OPCODES if op not in ("difference", "ratio", "resample", "hold"))  # those that numbers alone describe
_FEATURE_TEXT: Final = re.compile(
    rf"(?P<op>{'|'.join(sorted(_MAKERS, key=len, reverse=True))})(?P<numbers>(?:_[0-9]+(?:\.[0-9]+)?)*)"
    r"(?:_(?P<every>[0-9]+(?:s|m|h|d)))?(?:_(?P<output>[a-z]+))?"
)
_TOP: Final = ("bars", *(field.name for field in dataclasses.fields(Top)), "rule", *_SECTIONS)
SECTIONS: Final[tuple[tuple[str, type[Any]], ...]] = (
    ("", Top), ("bars", Bars), ("rule", EmaCross), ("rule", ModelRule), *_SECTIONS.items(),
)  # fmt: skip
"""Every table of the file and what it is read into; `[rule]` is a `ModelRule` when a model decides."""


def load(path: Path | None = None, strategy: str | None = None, model: str | None = None) -> Plan:
    """The plan of a settings file: the one given, else `tercel.toml` in the working folder, else the defaults.

    `strategy` ("module:Class") or `model` ("name", "name@3", "name@production") overrides the file's. Raises `ConfigError` naming the file
    and the key, and what the registry raises for a model it does not have or trust.
    """
    if path is None and Path(FILE_NAME).is_file():
        path = Path(FILE_NAME)
    if path is None:
        return parse({}, "defaults", strategy, model)
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"settings: expected a file {path}, found none") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse(table, str(path), strategy, model)


def parse(table: Mapping[str, Any], where: str, strategy: str | None = None, model: str | None = None) -> Plan:
    """The plan of a table of settings as TOML gives it."""
    _known(table, _TOP, where, "")
    bars = _section(table, "bars", where)
    _known(bars, _BARS, where, "bars.")
    for key, value in bars.items():
        _check_type("str", value, f"{where}: bars.{key}")
    every = bars.get("every", "1m")
    with _naming(f"{where}: bars.every"):
        spec.bars(every)
    with _naming(f"{where}: bars.price"):
        clock = spec.bars(every, bars.get("price", "mid"))
    _durations(bars, f"{where}: bars.")
    features = tuple(feature(text, where) for text in _strings(table, "features", where))
    made = {name: _make(kind, _section(table, name, where), where, name) for name, kind in _SECTIONS.items()}
    decide = _decide(table, where, strategy, model)
    timing = {key: bars[key] for key in _TIMING if key in bars}
    with _naming(f"{where}: bars.anchor"):
        chosen = spec.FeatureSet(clock, features, bars.get("anchor", ""))
    return Plan(chosen, decide, made["risk"], made["venue"], **timing)


def _decide(table: Mapping[str, Any], where: str, strategy: str | None, model: str | None) -> Rule | Strategy:
    """The strategy or model named by the caller, else by the file, else the built-in rule; `[rule]` sets what is not a strategy."""
    named = {key: value for key, value in (("strategy", strategy), ("model", model)) if value is not None}
    named = named or {key: table[key] for key in ("strategy", "model") if key in table}
    for key, value in named.items():
        _check_type("str", value, f"{where}: {key}")
    if len(named) > 1:
        raise ConfigError(f"{where}: expected a strategy or a model, found both ({named['strategy']!r} and {named['model']!r})")
    section = _section(table, "rule", where)
    if "strategy" in named:
        _make(EmaCross, section, where, "rule")  # a mistake in it is told, though nobody reads it
        return load_strategy(named["strategy"], where)
    if "model" in named:
        from tercel.models.registry import Registry

        return cast("ModelRule", _make(ModelRule, section, where, "rule", model=Registry().load(named["model"])))
    return cast("EmaCross", _make(EmaCross, section, where, "rule"))


def feature(text: str, where: str = "features") -> spec.Feature:
    """The feature of a short text: "ema_20", "macd_12_26_9", one output as "macd_12_26_9_signal", "spread", "ema_20_5m" of larger bars.

    Raises `ConfigError`.
    """
    found = _FEATURE_TEXT.fullmatch(text)
    if found:
        numbers = [float(number) if "." in number else int(number) for number in found["numbers"].split("_")[1:]]
        known = OPCODES[found["op"]]
        if len(numbers) == len(known.parameters) and (found["output"] is None or found["output"] in known.outputs[1:]):
            made: spec.Feature = getattr(spec, found["op"])(*numbers)
            made = spec.every(found["every"], made) if found["every"] else made
            return made.part(found["output"]) if found["output"] else made
    raise ConfigError(f"{where}: features: expected texts such as 'ema_20', 'spread', 'rsi_14_5m' ({', '.join(_MAKERS)}), found {text!r}")


def load_strategy(target: str, where: str = "strategy") -> Strategy:
    """An instance of the strategy class at "module:Class"; the working folder is importable. Raises `ConfigError`."""
    module_name, _, class_name = target.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{where}: strategy: expected module:Class, such as my_desk:Cross, found {target!r} ({error})") from None
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ConfigError(f"{where}: strategy: expected a class derived from tercel.Strategy, found {target!r}")
    return found()


def text_of(plan: Plan) -> str:
    """The plan as resolved, JSON with sorted keys: what the journal keeps, and what the settings hash covers."""
    decide = plan.decide
    if isinstance(decide, Strategy):
        shown: Any = {"strategy": f"{type(decide).__module__}:{type(decide).__qualname__}", "source": _source_hash(type(decide))}
    elif isinstance(decide, ModelRule):
        manifest = hashlib.sha256(encode(decide.model.manifest)).hexdigest()
        numbers = {field.name: getattr(decide, field.name) for field in dataclasses.fields(decide) if field.name != "model"}
        shown = {"model": decide.model.name, "manifest": manifest, **numbers}
    else:
        shown = dataclasses.asdict(decide) if decide is not None else None
    table = {
        "bars": {
            "every": plan.features.clock.text,
            "price": plan.features.clock.price,
            "anchor": plan.features.anchor,
            "grace": plan.grace,
            "feed_latency": plan.feed_latency,
            "late_after": plan.late_after,
        },
        "features": [one.name for one in plan.features.features],
        "decide": shown,
        "risk": dataclasses.asdict(plan.limits),
        "venue": dataclasses.asdict(plan.venue),
    }
    return msgspec.json.encode(table, order="sorted").decode()


def _source_hash(strategy: type[Strategy]) -> str:
    """16 hex digits over the file a strategy stands in, "" where there is none: a changed strategy is another one."""
    file = getattr(sys.modules.get(strategy.__module__), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""


def hash_of(plan: Plan) -> str:
    """16 hex digits over the resolved plan."""
    return hashlib.sha256(text_of(plan).encode()).hexdigest()[:16]


def _known(table: Mapping[str, Any], names: tuple[str, ...], where: str, prefix: str) -> None:
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; there are {', '.join(names)}"
            raise ConfigError(f"{where}: {prefix}{key}: unknown setting{hint}")


def _section(table: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    section = table.get(name, {})
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: {name}: expected a table [{name}], found {section!r}")
    return section


def _strings(table: Mapping[str, Any], name: str, where: str) -> list[str]:
    values = table.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"{where}: {name}: expected a list of texts, found {values!r}")
    return values


def _make(kind: type[Any], section: Mapping[str, Any], where: str, name: str, **given: Any) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in given}
    _known(section, tuple(fields), where, f"{name}.")
    for key, value in section.items():
        _check_type(str(fields[key].type), value, f"{where}: {name}.{key}")
    _durations(section, f"{where}: {name}.")
    with _naming(where):
        return kind(**given, **section)


def _durations(section: Mapping[str, Any], prefix: str) -> None:
    for key in _DURATIONS:
        if key in section:
            with _naming(prefix + key):
                parse_duration(section[key])


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    """Say of a `ConfigError` raised inside where the setting stands."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from None


def _check_type(wanted: str, value: Any, what: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    table = isinstance(value, Mapping) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value.values())
    fits = {"str": isinstance(value, str), "int": number and isinstance(value, int), "Per": number or table}.get(wanted, number)
    if not fits:
        kind = {"str": "a text", "int": "a whole number", "Per": "a number or a table of numbers"}.get(wanted, "a number")
        raise ConfigError(f"{what}: expected {kind}, found {value!r}")
