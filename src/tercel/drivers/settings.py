"""`tercel.toml`: read once, every key known, every value checked, then frozen. The words are those of the Python face.

Where they come from, and who wins, stands in `settings_source`; what each of them means, in `settings_words`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from tercel.base.errors import ConfigError
from tercel.base.time import parse_duration
from tercel.base.words import hint
from tercel.decision.rules import EmaCross, ModelRule, Rule
from tercel.decision.strategy import Strategy
from tercel.drivers.session import Plan
from tercel.drivers.settings_source import Origins, layered
from tercel.execution.venue import VenueModel
from tercel.features import spec
from tercel.features.opcodes import OPCODES
from tercel.models.manifest import encode
from tercel.risk.limits import Limits

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
_LETTERS: Final = re.compile(r"[a-z]+(?:_[a-z]+)*", re.IGNORECASE)
_SECRET: Final = re.compile(r"(?:^|[_-])(?:key|secret|token|password|passphrase|credentials?)s?(?:$|[_-])")
_PASSWORD: Final = re.compile(r"(://[^/@:]*:)[^/@]+@")
REDACTED: Final = "…"


class Read(NamedTuple):
    """Settings as read: the plan, and where each of them was said."""

    plan: Plan
    origins: Origins


def load(path: Path | None = None, strategy: str | None = None, model: str | None = None) -> Plan:
    """The plan of a settings file: the one given, else `tercel.toml` in the working folder, else the defaults; the environment is above it.

    `strategy` ("module:Class") or `model` ("name", "name@3", "name@production") overrides both. Raises `ConfigError` naming the key and
    where it was set, and what the registry raises for a model it does not have or trust.
    """
    return read(path, strategy, model).plan


def read(path: Path | None = None, strategy: str | None = None, model: str | None = None, environ: Mapping[str, str] = os.environ) -> Read:
    """What `load` loads, with the place of each setting."""
    table, origins = layered(path, environ)
    plan = parse(table, origins, strategy, model)
    for key, value in (("strategy", strategy), ("model", model)):
        origins = origins.with_place(f"--{key}", key) if value is not None else origins
    return Read(plan, origins)


def parse(table: Mapping[str, Any], origins: Origins, strategy: str | None = None, model: str | None = None) -> Plan:
    """The plan of a table of settings as TOML gives it; `origins` are named in refusals."""
    _known(table, _TOP, origins, "")
    bars = _section(table, "bars", origins)
    _known(bars, _BARS, origins, "bars.")
    for key, value in bars.items():
        _check_type("str", value, f"bars.{key}", origins)
    every = bars.get("every", "1m")
    with _naming(origins, "bars.every"):
        spec.bars(every)
    with _naming(origins, "bars.price"):
        clock = spec.bars(every, bars.get("price", "mid"))
    _durations(bars, "bars.", origins)
    features = tuple(feature(text, origins.of("features")) for text in _strings(table, "features", origins))
    made = {name: _make(kind, _section(table, name, origins), origins, name) for name, kind in _SECTIONS.items()}
    decide = _decide(table, origins, strategy, model)
    timing = {key: bars[key] for key in _TIMING if key in bars}
    with _naming(origins, "bars.anchor"):
        chosen = spec.FeatureSet(clock, features, bars.get("anchor", ""))
    return Plan(chosen, decide, made["risk"], made["venue"], **timing)


def _decide(table: Mapping[str, Any], origins: Origins, strategy: str | None, model: str | None) -> Rule | Strategy:
    """The strategy or model named by the caller, else by the settings, else the built-in rule; `[rule]` sets what is not a strategy."""
    named = {key: value for key, value in (("strategy", strategy), ("model", model)) if value is not None}
    for key in named:
        origins = origins.with_place(f"--{key}", key)
    overridden = bool(named)
    named = named or {key: table[key] for key in ("strategy", "model") if key in table}
    for key, value in named.items():
        _check_type("str", value, key, origins)
    if len(named) > 1:
        raise ConfigError(f"expected a strategy or a model, found both ({named['strategy']!r} and {named['model']!r}) ({origins.whole})")
    section = _section(table, "rule", origins)
    if "strategy" in named:
        _make(EmaCross, section, origins, "rule")  # a mistake in it is told, though nobody reads it
        return load_strategy(named["strategy"], origins.of("strategy"))
    if "model" in named:
        from tercel.models.registry import Registry

        if overridden and "model" not in table:
            section = _for_model(section, origins)
        with _naming(origins, "model"):
            found = Registry().load(named["model"])
        return cast("ModelRule", _make(ModelRule, section, origins, "rule", model=found))
    return cast("EmaCross", _make(EmaCross, section, origins, "rule"))


def _for_model(section: Mapping[str, Any], origins: Origins) -> Mapping[str, Any]:
    """Of a `[rule]` that was written for the built-in rule, what a model named on the command line shares with it: a fixed size."""
    own = {field.name for field in dataclasses.fields(ModelRule)}
    if all(key in own for key in section):
        return section
    _make(EmaCross, section, origins, "rule")
    return {key: value for key, value in section.items() if key == "size_lots"}


def feature(text: str, place: str = "") -> spec.Feature:
    """The feature of a short text: "ema_20", "macd_12_26_9", one output as "macd_12_26_9_signal", "spread", "ema_20_5m" of larger bars.

    Raises `ConfigError`, which names `place`.
    """
    found = _FEATURE_TEXT.fullmatch(text)
    if found:
        numbers = [float(number) if "." in number else int(number) for number in found["numbers"].split("_")[1:]]
        known = OPCODES[found["op"]]
        if len(numbers) == len(known.parameters) and (found["output"] is None or found["output"] in known.outputs[1:]):
            made: spec.Feature = getattr(spec, found["op"])(*numbers)
            made = spec.every(found["every"], made) if found["every"] else made
            return made.part(found["output"]) if found["output"] else made
    raise ConfigError(_no_feature(text) + (f" ({place})" if place else ""))


def _no_feature(text: str) -> str:
    """Why a text names no feature, and which one was probably meant."""
    said = f"features: expected texts such as 'ema_20', 'spread', 'rsi_14_5m', found {text!r}"
    word = _LETTERS.match(text)
    op = next((one for one in sorted(_MAKERS, key=len, reverse=True) if text == one or text.startswith(f"{one}_")), "")
    if op:
        parameters = OPCODES[op].parameters
        outputs = "".join(f", then _{output} for one of its outputs" for output in OPCODES[op].outputs[1:2])
        takes = f"{len(parameters)} number{'s' if len(parameters) > 1 else ''} ({', '.join(parameters)})" if parameters else "no number"
        return f"{said}; {op} takes {takes}{outputs}"
    return f"{said}; {hint(word[0] if word else text, _MAKERS)}"


def load_strategy(target: str, place: str = "") -> Strategy:
    """An instance of the strategy class at "module:Class"; the working folder is importable. Raises `ConfigError`, which names `place`."""
    module_name, _, class_name = target.partition(":")
    behind = f" ({place})" if place else ""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module_name:
            here = sorted(file.stem for file in Path.cwd().glob("*.py"))
            near = f"; {hint(module_name, here)}" if here else ""
            said = f"there is no {module_name}.py in {Path.cwd().name or 'this folder'}{near}"
        else:
            said = str(error)
        raise ConfigError(f"strategy: expected module:Class, such as my_desk:Cross, found {target!r} ({said}){behind}") from None
    found = getattr(module, class_name, None)
    if found is None:
        raise ConfigError(
            f"strategy: expected module:Class, found {target!r} ({module_name} has no {class_name or 'class named'}; "
            f"{hint(class_name, strategies_in(module))}){behind}"
        )
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ConfigError(f"strategy: expected a class derived from tercel.Strategy, found {target!r}{behind}")
    return found()


def strategies_in(module: Any) -> list[str]:
    """Names of the strategies that a module defines or imports."""
    return [name for name, one in vars(module).items() if isinstance(one, type) and issubclass(one, Strategy) and one is not Strategy]


def resolved(plan: Plan) -> dict[str, Any]:
    """Every setting of a plan by its key, in reading order; what decides is "strategy", or "model" and "rule.…", or "rule.…"."""
    clock, decide = plan.features.clock, plan.decide
    found: dict[str, Any] = {
        "features": [one.name for one in plan.features.features],
        "bars.every": clock.text, "bars.price": clock.price, "bars.anchor": plan.features.anchor,
        "bars.grace": plan.grace, "bars.feed_latency": plan.feed_latency, "bars.late_after": plan.late_after,
    }  # fmt: skip
    if isinstance(decide, Strategy):
        found["strategy"] = f"{type(decide).__module__}:{type(decide).__qualname__}"
    elif isinstance(decide, ModelRule):
        found["model"] = decide.model.name
    for name, record in (
        ("rule", decide if isinstance(decide, EmaCross | ModelRule) else None),
        ("risk", plan.limits),
        ("venue", plan.venue),
    ):
        for one in dataclasses.fields(record) if record is not None else ():
            if one.name != "model":
                found[f"{name}.{one.name}"] = getattr(record, one.name)
    return found


def redacted(key: str, value: Any) -> Any:
    """A value fit to be shown or kept: "…" for what its name says is secret, and for the password inside an address."""
    if isinstance(value, Mapping):
        return {name: redacted(f"{key}.{name}", one) for name, one in value.items()}
    if value not in (None, "") and _SECRET.search(key.rpartition(".")[2].lower()):
        return REDACTED
    return _PASSWORD.sub(rf"\1{REDACTED}@", value) if isinstance(value, str) else value


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
    return msgspec.json.encode(redacted("", table), order="sorted").decode()


def _source_hash(strategy: type[Strategy]) -> str:
    """16 hex digits over the file a strategy stands in, "" where there is none: a changed strategy is another one."""
    file = getattr(sys.modules.get(strategy.__module__), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""


def hash_of(plan: Plan) -> str:
    """16 hex digits over the resolved plan."""
    return hashlib.sha256(text_of(plan).encode()).hexdigest()[:16]


def _known(table: Mapping[str, Any], names: tuple[str, ...], origins: Origins, prefix: str) -> None:
    for key in table:
        if key not in names:
            raise ConfigError(f"{prefix}{key}: unknown setting; {hint(key, names, prefix)} ({origins.of(prefix + key)})")


def _section(table: Mapping[str, Any], name: str, origins: Origins) -> Mapping[str, Any]:
    section = table.get(name, {})
    if not isinstance(section, Mapping):
        raise ConfigError(f"{name}: expected a table [{name}], found {section!r} ({origins.of(name)})")
    return section


def _strings(table: Mapping[str, Any], name: str, origins: Origins) -> list[str]:
    values = table.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"{name}: expected a list of texts, found {values!r} ({origins.of(name)})")
    return values


def _make(kind: type[Any], section: Mapping[str, Any], origins: Origins, name: str, **given: Any) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in given}
    _known(section, tuple(fields), origins, f"{name}.")
    for key, value in section.items():
        _check_type(str(fields[key].type), value, f"{name}.{key}", origins)
    _durations(section, f"{name}.", origins)
    with _naming(origins):
        return kind(**given, **section)


def _durations(section: Mapping[str, Any], prefix: str, origins: Origins) -> None:
    for key in _DURATIONS:
        if key in section:
            with _naming(origins, prefix + key):
                parse_duration(section[key])


@contextlib.contextmanager
def _naming(origins: Origins, key: str = "") -> Iterator[None]:
    """Say of a `ConfigError` raised inside which setting it is about (its first word, when `key` is not given) and where that was set."""
    try:
        yield
    except ConfigError as error:
        text = str(error)
        told = text if not key or text.startswith(f"{key} ") else f"{key}: {text}"
        raise ConfigError(f"{told} ({origins.of(key or text.partition(':')[0])})") from None


def _check_type(wanted: str, value: Any, key: str, origins: Origins) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    table = isinstance(value, Mapping) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value.values())
    fits = {"str": isinstance(value, str), "int": number and isinstance(value, int), "Per": number or table}.get(wanted, number)
    if not fits:
        kind = {"str": "a text", "int": "a whole number", "Per": "a number or a table of numbers"}.get(wanted, "a number")
        raise ConfigError(f"{key}: expected {kind}, found {value!r} ({origins.of(key)})")
