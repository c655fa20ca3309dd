"""What a user writes: a sampling clause and a list of features. A `FeatureSet` is data; it compiles to a `Program`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import numpy as np

from tercel.base import html
from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_S, format_duration, parse_duration, parse_instant
from tercel.base.typed import typed
from tercel.features.opcodes import OPCODES
from tercel.features.opcodes.table import labels
from tercel.features.opcodes.times import END, FIRST, GREATEST, LAST, SMALLEST, SUM
from tercel.features.program import BASE_COLUMNS, CLOCK_NAMES, HOLD, PRICES, RESAMPLE, Clock, Node, Program

if TYPE_CHECKING:
    from tercel.base.frames import Kind

EVERY: Final = 'a text such as "1m", "100t" or "5000v"'
LARGER: Final = 'a text such as "5m"'
COLUMN: Final = 'a feature such as tc.ema(20), or a column such as "close"'
MEMORY_ROWS_MAX: Final = 1_000_000
# What a column of a larger bar is of those of its bars.
FOLDS: Final = {"open": FIRST, "high": GREATEST, "low": SMALLEST, "time": END} | dict.fromkeys(
    ("volume", "ticks", "flow", "signed_volume"), SUM
)


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


@typed(every=EVERY)
def bars(every: str, price: str = "mid") -> Bars:
    """Sample by bars: time ("1s", "1m", "4h"), ticks ("100t") or volume ("5000v", in the instrument's size units).

    `price` is "mid", "bid", "ask" or "trade". Raises `ConfigError` for anything else.

    >>> import tercel as tc
    >>> tc.bars("4h", price="bid").text
    '4h'
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
    """One opcode applied to columns or to other features.

    A feature of several outputs puts out all of them, the first under its own name; read by another feature it is its first output.
    `part` is a feature that is one of its outputs: `macd().part("signal")`.
    """

    op: str
    parameters: tuple[float, ...]
    of: tuple[str | Feature, ...]
    name: str
    output: str = ""  # of a part: which output it is
    whole: str = ""  # of a part: the name of the feature it is a part of

    @property
    def outputs(self) -> tuple[str, ...]:
        """What its outputs, or those of the feature it is a part of, are called."""
        held = self.of[0] if self.op == HOLD else None
        return held.outputs if isinstance(held, Feature) else OPCODES[self.op].outputs

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns it puts out."""
        return (self.name,) if self.output else labels(self.name, self.outputs)

    @property
    def complete(self) -> Feature:
        """The feature this is a part of, or itself."""
        return Feature(self.op, self.parameters, self.of, self.whole) if self.output else self

    def part(self, output: str) -> Feature:
        """One output as a feature of its own, called as the column is. Raises `ConfigError` when there is no such output."""
        outputs, whole = self.outputs, self.whole or self.name
        if output not in outputs:
            raise ConfigError(f"{whole}: expected an output among {', '.join(outputs)}, found {output!r}")
        name = labels(whole, outputs)[outputs.index(output)]
        return Feature(self.op, self.parameters, self.of, name, output, whole)


def _feature(
    op: str,
    rows: Sequence[float],
    of: Sequence[str | Feature],
    name: str | None,
    *,
    usual: tuple[str, ...] = ("close",),
    factors: Sequence[float] = (),
) -> Feature:
    for value in rows:
        if not 1 <= value <= MEMORY_ROWS_MAX:
            raise ConfigError(f"{op}: expected a whole number of rows from 1 to {MEMORY_ROWS_MAX:,}, found {value!r}")
    for source in of:
        if isinstance(source, str) and source not in BASE_COLUMNS:
            raise ConfigError(f"{op}: expected a feature or one of the columns {', '.join(BASE_COLUMNS)}, found {source!r}")
    for value in factors:
        if not (math.isfinite(value) and value > 0.0):
            raise ConfigError(f"{op}: expected a positive number, found {value!r}")
    if name in BASE_COLUMNS:
        raise ConfigError(f"{op}: {name!r} is a column of every bar; give the feature another name")
    parts = [op, *(f"{int(value)}" for value in rows), *(np.format_float_positional(value, trim="-") for value in factors)]
    if tuple(of) != usual:
        parts += [source if isinstance(source, str) else source.name for source in of]
    return Feature(op, tuple(float(value) for value in (*rows, *factors)), tuple(of), name or "_".join(parts))


def _at_least(op: str, rows: float, least: int) -> None:
    if rows < least:
        raise ConfigError(f"{op}: expected at least {least} rows, found {rows}")


@typed(of=COLUMN)
def sma(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Simple moving average of the last `rows` bars."""
    return _feature("sma", [rows], [of], name)


@typed(of=COLUMN)
def ema(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Exponential moving average, alpha = 2 / (rows + 1)."""
    return _feature("ema", [rows], [of], name)


@typed(of=COLUMN)
def wma(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Linearly weighted moving average of the last `rows` bars, the newest weighing most."""
    return _feature("wma", [rows], [of], name)


@typed(of=COLUMN)
def macd(fast_rows: int = 12, slow_rows: int = 26, signal_rows: int = 9, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Moving average convergence divergence, three columns: the line (fast EMA - slow EMA), `_signal` (its EMA), `_hist` (their gap).

    Raises `ConfigError` unless fast_rows < slow_rows.
    """
    if not fast_rows < slow_rows:
        raise ConfigError(f"macd: expected fast_rows < slow_rows, found {fast_rows} and {slow_rows}")
    return _feature("macd", [fast_rows, slow_rows, signal_rows], [of], name)


@typed(of=COLUMN)
def rsi(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Wilder's relative strength index, 0 to 100."""
    return _feature("rsi", [rows], [of], name)


@typed(of=COLUMN)
def rsi_simple(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Cutler's relative strength index, 0 to 100: from plain sums of the last `rows` gains and losses, so that nothing older matters."""
    return _feature("rsi_simple", [rows], [of], name)


@typed(of=COLUMN)
def stoch_rsi(rows: int = 14, k_rows: int = 5, d_rows: int = 3, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Where Wilder's RSI lies in its range of `k_rows` bars, 0 to 100, two columns: k, and `_d`, the mean of the last `d_rows` k."""
    return _feature("stoch_rsi", [rows, k_rows, d_rows], [of], name)


@typed(of=COLUMN)
def returns(rows: int = 1, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Simple return over `rows` bars."""
    return _feature("returns", [rows], [of], name)


@typed(of=COLUMN)
def volatility(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Realised volatility: standard deviation of one-bar returns over `rows` bars (at least 2), per bar."""
    _at_least("volatility", rows, 2)
    return _feature("volatility", [rows], [of], name)


@typed(of=COLUMN)
def roc(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Rate of change over `rows` bars, in percent."""
    return _feature("roc", [rows], [of], name)


@typed(of=COLUMN)
def bollinger(rows: int = 20, deviations: float = 2.0, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Bollinger bands of `rows` bars (at least 2), three columns: the mean, and `deviations` deviations away `_upper`, `_lower`."""
    _at_least("bollinger", rows, 2)
    return _feature("bollinger", [rows], [of], name, factors=[deviations])


@typed(of=COLUMN)
def zscore(rows: int, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Standard deviations above the mean of the last `rows` bars (at least 3: of two, the later is always 1 above or below)."""
    _at_least("zscore", rows, 3)
    return _feature("zscore", [rows], [of], name)


@typed(of=COLUMN)
def log_return(rows: int = 1, of: str | Feature = "close", name: str | None = None) -> Feature:
    """Logarithmic return over `rows` bars."""
    return _feature("log_return", [rows], [of], name)


@typed(of=COLUMN)
def lag(rows: int = 1, of: str | Feature = "close", name: str | None = None) -> Feature:
    """The value `rows` bars ago."""
    return _feature("lag", [rows], [of], name)


@typed(of=COLUMN)
def rolling_min(rows: int, of: str | Feature = "low", name: str | None = None) -> Feature:
    """The smallest of the last `rows` values: of the lows, unless said otherwise."""
    return _feature("rolling_min", [rows], [of], name, usual=("low",))


@typed(of=COLUMN)
def rolling_max(rows: int, of: str | Feature = "high", name: str | None = None) -> Feature:
    """The greatest of the last `rows` values: of the highs, unless said otherwise."""
    return _feature("rolling_max", [rows], [of], name, usual=("high",))


@typed()
def donchian(rows: int, name: str | None = None) -> Feature:
    """Donchian channel of the last `rows` bars, three columns: the middle, `_upper` (greatest high) and `_lower` (smallest low)."""
    return _feature("donchian", [rows], ["high", "low"], name, usual=("high", "low"))


@typed()
def atr(rows: int = 14, name: str | None = None) -> Feature:
    """Wilder's average true range, in price units."""
    return _feature("atr", [rows], ["high", "low", "close"], name, usual=("high", "low", "close"))


@typed(of=COLUMN)
def volume_ratio(rows: int, of: str | Feature = "volume", name: str | None = None) -> Feature:
    """Volume over its mean of the last `rows` bars, this one included."""
    return _feature("volume_ratio", [rows], [of], name, usual=("volume",))


@typed()
def spread(name: str | None = None) -> Feature:
    """Ask minus bid at the close of the bar."""
    return _feature("spread", [], ["bid", "ask"], name, usual=("bid", "ask"))


@typed()
def mid(name: str | None = None) -> Feature:
    """Middle of bid and ask at the close of the bar."""
    return _feature("mid", [], ["bid", "ask"], name, usual=("bid", "ask"))


@typed()
def difference(left: str | Feature, right: str | Feature, name: str | None = None) -> Feature:
    """left - right, row by row."""
    return _feature("difference", [], [left, right], name, usual=("bid", "ask"))


@typed()
def ratio(left: str | Feature, right: str | Feature, name: str | None = None) -> Feature:
    """left / right, row by row."""
    return _feature("ratio", [], [left, right], name, usual=())


@typed()
def micro_price(name: str | None = None) -> Feature:
    """The middle of bid and ask weighed by the size opposite, at the close of the bar."""
    columns = ("bid", "ask", "bid_size", "ask_size")
    return _feature("micro_price", [], columns, name, usual=columns)


@typed()
def imbalance(name: str | None = None) -> Feature:
    """Quoted size of the bid less that of the ask over both, at the close of the bar, -1 to 1."""
    return _feature("imbalance", [], ("bid_size", "ask_size"), name, usual=("bid_size", "ask_size"))


@typed()
def order_flow(rows: int, name: str | None = None) -> Feature:
    """Order-flow imbalance of the last `rows` bars over the mean size quoted on a side."""
    columns = ("flow", "bid_size", "ask_size")
    return _feature("order_flow", [rows], columns, name, usual=columns)


@typed()
def time_of_day(name: str | None = None) -> Feature:
    """Time of the bar's close in UTC, four columns: the hour, `_sin` and `_cos` of the day's angle, `_weekday` (Monday 0)."""
    return _feature("time_of_day", [], ["time"], name, usual=("time",))


@typed(interval=LARGER)
def every(interval: str, feature: str | Feature, name: str | None = None) -> Feature:
    """A feature, or a column, of larger bars, such as of five minutes among bars of one: `every("5m", ema(20))` is called `ema_20_5m`.

    On every row it says what was known of the last larger bar that is complete, never more. The bars must be bars of time, and `interval` a
    multiple of theirs and of one second. Raises `ConfigError` otherwise, and for a feature that is one of larger bars already.

    >>> import tercel as tc
    >>> tc.every("5m", tc.rsi(14)).name
    'rsi_14_5m'
    """
    interval_ns = parse_duration(interval)
    if interval_ns <= 0 or interval_ns % NS_PER_S:
        raise ConfigError(f"every: expected a whole number of seconds such as '5m', found {interval!r}")
    text = format_duration(interval_ns)
    if isinstance(feature, str):
        return Feature(HOLD, (), (_larger_column(feature, interval_ns, text),), name or f"{feature}_{text}")
    whole = feature.complete
    held = Feature(HOLD, (), (_larger(whole, interval_ns, text),), name or f"{whole.name}_{text}")
    return held.part(feature.output) if feature.output else held


def _larger_column(column: str, interval_ns: int, text: str) -> Feature:
    if column not in BASE_COLUMNS:
        raise ConfigError(f"every: expected a feature or one of the columns {', '.join(BASE_COLUMNS)}, found {column!r}")
    return Feature(RESAMPLE, (float(interval_ns // NS_PER_S), FOLDS.get(column, LAST)), (column, "time"), f"{column}_at_{text}")


def _larger(feature: Feature, interval_ns: int, text: str) -> Feature:
    """The feature over the columns of larger bars: known at the rows that complete one."""
    if feature.op in (HOLD, RESAMPLE):
        raise ConfigError(f"every: expected a feature of the bars themselves, found {feature.name!r}, which is one of larger bars already")
    of = tuple(
        _larger_column(source, interval_ns, text) if isinstance(source, str) else _larger(source, interval_ns, text)
        for source in feature.of
    )
    made = Feature(feature.op, feature.parameters, of, f"{feature.complete.name}_at_{text}")
    return made.part(feature.output) if feature.output else made


class Playable(Protocol):
    """What of a history a feature set asks."""

    def values(self, features: FeatureSet, *, as_: Kind = "pandas") -> Any:
        """The features over the history."""

    def plot(self, features: FeatureSet | None = None, instrument: str | None = None) -> Any:
        """A figure of them."""


def _source(one: str | Feature) -> str:
    return one if isinstance(one, str) else one.name


@typed(clock='tc.bars("1m")', features="a list of features such as tc.rsi(14)")
@dataclass(frozen=True, repr=False)
class FeatureSet:
    """A sampling clause and the features taken at its rows: `FeatureSet(bars("1m"), [ema(20), rsi(14)])`.

    `anchor` is the instant, ISO and UTC, at which their state begins, wherever a run then starts: training, back-test and live give equal
    numbers for equal anchors. Without one, state begins at the first input of a run.

    >>> import tercel as tc
    >>> tc.FeatureSet(tc.bars("1m"), [tc.ema(20), tc.macd(12, 26, 9)]).names
    ('ema_20', 'macd_12_26_9', 'macd_12_26_9_signal', 'macd_12_26_9_hist')
    """

    clock: Bars
    features: Sequence[Feature]
    anchor: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        if self.anchor:
            parse_instant(self.anchor)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, feature by feature."""
        return tuple(name for feature in self.features for name in feature.names)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:8]) + (f", and {len(self.names) - 8} more" if len(self.names) > 8 else "")
        anchor = f", anchor={self.anchor!r}" if self.anchor else ""
        return f"FeatureSet(bars({self.clock.text!r}, {self.clock.price!r}), [{shown}]{anchor})"

    def _repr_html_(self) -> str:
        rows = [
            (", ".join(one.names), one.op, ", ".join(f"{value:g}" for value in one.parameters), ", ".join(map(_source, one.of)))
            for one in self.features
        ]
        about = f"rows at bars of {self.clock.text} of the {self.clock.price}; anchor: {self.anchor or 'first input'}"
        return html.card("FeatureSet", about, html.table(("columns", "opcode", "parameters", "of"), rows, left=(0, 1, 2, 3)))

    def values(self, history: Playable, *, as_: Kind = "pandas") -> Any:
        """What the core computes of this set over a history, to the bit; see `History.values`."""
        return history.values(self, as_=as_)

    def plot(self, history: Playable, instrument: str | None = None) -> Any:
        """Price and features of one instrument of a history, as a Matplotlib figure; see `History.plot`."""
        return history.plot(self, instrument)

    def with_features(self, extra: Sequence[Feature]) -> FeatureSet:
        """The same set with those of `extra` that it does not have yet."""
        known = set(self.names)
        added = tuple(feature for feature in extra if not known.issuperset(feature.names))
        return replace(self, features=(*self.features, *added))

    def compile(self) -> Program:
        """The program that computes the set. Raises `ConfigError` when two different features share a name."""
        nodes: list[Node] = []
        writer: dict[str, Node] = {}
        place = {name: register for register, name in enumerate(BASE_COLUMNS)}

        def enter(node: Node) -> None:
            for label in node.labels:
                if label in place and writer.get(label) != node:
                    raise ConfigError(f"features: two different features are called {label!r}; give one of them a name of its own")
            if node.name not in place:
                nodes.append(node)
                for label in node.labels:
                    writer[label], place[label] = node, len(place)

        def visit(feature: Feature) -> int:
            held = feature.of[0] if feature.op == HOLD else None
            if isinstance(held, Feature):  # an opcode holds one column: one of them for each output
                for output in (feature.output,) if feature.output else feature.outputs:
                    enter(Node(HOLD, (), (visit(held.part(output)),), feature.part(output).name))
            else:
                sources = tuple(place[source] if isinstance(source, str) else visit(source) for source in feature.of)
                enter(Node(feature.op, feature.parameters, sources, feature.complete.name))
            return place[feature.name]

        for feature in self.features:
            visit(feature)
        clock = Clock(CLOCK_NAMES[self.clock.unit], self.clock.amount, PRICES[self.clock.price])
        for node in nodes:
            if node.op == RESAMPLE and (self.clock.unit != "time" or node.parameters[0] * NS_PER_S % self.clock.amount):
                larger = format_duration(int(node.parameters[0]) * NS_PER_S)
                raise ConfigError(f"every: expected bars of time whose interval divides {larger}, found bars of {self.clock.text}")
        outputs = tuple(place[name] for name in self.names)
        return Program(clock, tuple(nodes), outputs, self.anchor or "first input")
