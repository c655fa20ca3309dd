"""What a user writes: a sampling clause and a list of features. A `FeatureSet` is data; it compiles to a `Program`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.time import format_duration, parse_duration
from tercel.features.program import BASE_COLUMNS, CLOCK_NAMES, PRICES, Clock, Node, Program

MEMORY_ROWS_MAX: Final = 1_000_000


class Bars(msgspec.Struct, frozen=True):
    """When a row is taken: every `amount` of `unit`, from prices of `price`."""

    unit: str
    amount: float
    price: str = "mid"

    @property
    def text(self) -> str:
        """The clause as a user writes it, such as "1m" or "100t"."""
        if self.unit == "time":
            return format_duration(int(self.amount))
        return np.format_float_positional(self.amount, trim="-") + ("t" if self.unit == "ticks" else "v")


def bars(every: str, price: str = "mid") -> Bars:
    """Sample by bars: time ("1s", "1m", "4h"), ticks ("100t") or volume ("5000v", in the instrument's size units).

    `price` is "mid", "bid", "ask" or "trade". Raises `ConfigError` for anything else.
    """
    if price not in PRICES:
        raise ConfigError(f"bars: expected price to be one of {', '.join(PRICES)}, found {price!r}")
    text = every.strip()
    if text[-1:] in ("t", "v") and text[:-1].replace(".", "", 1).isdecimal():
        amount = float(text[:-1])
        if amount <= 0 or (text.endswith("t") and amount != int(amount)):
            raise ConfigError(f"bars: expected a positive whole number of ticks or a positive volume, found {every!r}")
        return Bars("ticks" if text.endswith("t") else "volume", amount, price)
    interval_ns = parse_duration(text)
    if interval_ns <= 0:
        raise ConfigError(f"bars: expected a positive interval, found {every!r}")
    return Bars("time", float(interval_ns), price)


class Feature(msgspec.Struct, frozen=True):
    """One opcode applied to columns or to other features."""

    op: str
    parameters: tuple[float, ...]
    of: tuple[str | Feature, ...]
    name: str


def _feature(op: str, parameters: Sequence[float], of: Sequence[str | Feature], name: str | None) -> Feature:
    for value in parameters:
        if not 1 <= value <= MEMORY_ROWS_MAX or value != int(value):
            raise ConfigError(f"{op}: expected a whole number of rows from 1 to {MEMORY_ROWS_MAX:,}, found {value!r}")
    for source in of:
        if isinstance(source, str) and source not in BASE_COLUMNS:
            raise ConfigError(f"{op}: expected a feature or one of the columns {', '.join(BASE_COLUMNS)}, found {source!r}")
    if name in BASE_COLUMNS:
        raise ConfigError(f"{op}: {name!r} is a column of every bar; give the feature another name")
    parts = [op, *(f"{int(value)}" for value in parameters)]
    if tuple(of) != (("close",) if len(of) == 1 else ("bid", "ask")):
        parts += [source if isinstance(source, str) else source.name for source in of]
    return Feature(op, tuple(float(value) for value in parameters), tuple(of), name or "_".join(parts))


def sma(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Simple moving average of the last `rows` bars."""
    return _feature("sma", [rows], [of], name)


def ema(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Exponential moving average, alpha = 2 / (rows + 1)."""
    return _feature("ema", [rows], [of], name)


def rsi(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Wilder's relative strength index, 0 to 100."""
    return _feature("rsi", [rows], [of], name)


def returns(rows: int = 1, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Simple return over `rows` bars."""
    return _feature("returns", [rows], [of], name)


def volatility(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Realised volatility: standard deviation of one-bar returns over `rows` bars (at least 2), per bar."""
    if rows < 2:
        raise ConfigError(f"volatility: expected at least 2 rows, found {rows}")
    return _feature("volatility", [rows], [of], name)


def spread(name: str | None = None) -> Feature:
    """Ask minus bid at the close of the bar."""
    return _feature("spread", [], ["bid", "ask"], name)


def mid(name: str | None = None) -> Feature:
    """Middle of bid and ask at the close of the bar."""
    return _feature("mid", [], ["bid", "ask"], name)


def difference(left: str | Feature, right: str | Feature, name: str | None = None) -> Feature:
    """left - right, row by row."""
    return _feature("difference", [], [left, right], name)


@dataclass(frozen=True)
class FeatureSet:
    """A sampling clause and the features taken at its rows: `FeatureSet(bars("1m"), [ema(20), rsi(14)])`."""

    clock: Bars
    features: Sequence[Feature]

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in the order of the columns."""
        return tuple(feature.name for feature in self.features)

    def with_features(self, extra: Sequence[Feature]) -> FeatureSet:
        """The same set with those of `extra` that it does not have yet."""
        known = set(self.names)
        return FeatureSet(self.clock, (*self.features, *(feature for feature in extra if feature.name not in known)))

    def compile(self) -> Program:
        """The program that computes the set. Raises `ConfigError` when two different features share a name."""
        nodes: list[Node] = []
        place: dict[str, int] = {}

        def visit(feature: Feature) -> int:
            sources = tuple(BASE_COLUMNS.index(source) if isinstance(source, str) else visit(source) for source in feature.of)
            node = Node(feature.op, feature.parameters, sources, feature.name)
            if feature.name in place:
                if nodes[place[feature.name] - len(BASE_COLUMNS)] != node:
                    raise ConfigError(f"features: two different features are called {feature.name!r}; give one of them a name of its own")
                return place[feature.name]
            nodes.append(node)
            place[feature.name] = len(BASE_COLUMNS) + len(nodes) - 1
            return place[feature.name]

        for feature in self.features:
            visit(feature)
        clock = Clock(CLOCK_NAMES[self.clock.unit], self.clock.amount, PRICES[self.clock.price])
        return Program(clock, tuple(nodes), tuple(place[name] for name in self.names))
