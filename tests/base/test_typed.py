"""Arguments of the wrong kind: refused at the call, by what, expected and found; for every public function and record."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pytest

import tercel
from tercel.base.errors import ConfigError
from tercel.base.typed import described, fits, typed

WRONG = object()
GOOD: dict[str, Any] = {
    "rows": 20, "every": "1m", "interval": "5m", "feature": "close", "left": "open", "right": "close", "clock": tercel.bars("1m"),
    "features": (), "history": tercel.SimulatedHistory(1, 1), "seed": 1, "hours": 1, "names": "EURUSD@mine", "table": {},
}  # fmt: skip
OTHERS = {"Strategy", "Model", "Registry", "OnDemand"}  # written by the user, made by Tercel; the last names a kind that is loaded late


def public() -> list[tuple[str, str]]:
    """(name, parameter) of everything public that is called with something of a certain kind."""
    found = []
    for name in sorted({*tercel.__all__} - OTHERS - {"__version__"}):
        one = getattr(tercel, name)
        if isinstance(one, type) and issubclass(one, Exception):
            continue
        found += [(name, each.name) for each in inspect.signature(one).parameters.values() if each.annotation not in ("Any", Any)]
    return found


@pytest.mark.parametrize(("name", "parameter"), public())
def test_a_wrong_kind_is_refused_by_name(name: str, parameter: str) -> None:
    """Each parameter says what it expects and shows what it was given, whatever the others are."""
    needed = inspect.signature(getattr(tercel, name)).parameters
    given = {one: GOOD.get(one, WRONG) for one, each in needed.items() if each.default is each.empty} | {parameter: WRONG}
    first = next(one for one in needed if given.get(one) is WRONG)
    with pytest.raises(ConfigError) as refused:
        getattr(tercel, name)(**given)
    assert str(refused.value).startswith(f"{name}: {first}: expected ")
    assert str(refused.value).endswith(f", found {WRONG!r}"[:80])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tercel.ema("20"), "ema: rows: expected a whole number, found '20'"),  # type: ignore[arg-type]
        (lambda: tercel.rsi(None), "rsi: rows: expected a whole number, found None"),  # type: ignore[arg-type]
        (lambda: tercel.macd(12.5, 26, 9), "macd: fast_rows: expected a whole number, found 12.5"),  # type: ignore[arg-type]
        (lambda: tercel.bars(1), 'bars: every: expected a text such as "1m", "100t" or "5000v", found 1'),  # type: ignore[arg-type]
        (lambda: tercel.Limits(position_lots="10"),  # type: ignore[arg-type]
         "Limits: position_lots: expected a number or a table by name, each a number, found '10'"),
        (lambda: tercel.FeatureSet(tercel.bars("1m"), ["ema_20"]),  # type: ignore[list-item]
         "FeatureSet: features: expected a list of features such as tc.rsi(14), found ['ema_20']"),
        (lambda: tercel.backtest(tercel.SimulatedHistory(1, 1), decide=tercel.Strategy),  # type: ignore[arg-type]
         "backtest: decide: expected tc.EmaCross(), a trained model, or an instance of your tc.Strategy, found the class Strategy"),
        (lambda: tercel.backtest(tercel.SimulatedHistory(1, 1), threads=0), "backtest: threads: expected 1 or more, found 0"),
        (lambda: tercel.train(tercel.SimulatedHistory(1, 1), threads=0), "train: threads: expected 1 or more, found 0"),
        (lambda: tercel.triple_barrier(rows=1), "triple_barrier: rows: expected at least 2 bars of volatility, found 1"),
        (lambda: tercel.triple_barrier(every="0s"), "triple_barrier: every: expected a positive number, found 0"),
        (lambda: tercel.history([]),
         'history: names: expected an instrument such as "EURUSD@oanda", or a list of them, found an empty list'),
        (lambda: tercel.SimulatedHistory(1, -1.0), "SimulatedHistory: hours: expected more than 0, found -1.0"),
    ],
)  # fmt: skip
def test_what_a_newcomer_passes_is_answered(call: Callable[[], object], said: str) -> None:
    """What, expected, found; of a wrong value too."""
    with pytest.raises(ConfigError) as refused:
        call()
    assert str(refused.value) == said


def test_numbers_of_other_libraries_are_numbers() -> None:
    """A whole number is whole as NumPy's and as a float; truth is no number, and text never is."""
    assert tercel.ema(np.int64(20)) == tercel.ema(20.0) == tercel.ema(20)  # type: ignore[arg-type]
    for value, kind, good in (
        (np.float32(1.5), float, True), (np.float64(1.5), int, False), (True, int, False), (True, float, False), (float("nan"), int, False),
        ("a", Literal["a", "b"], True), ("c", Literal["a", "b"], False), (None, int | None, True), ([1, 2], Sequence[int], True),
        ([1, "2"], Sequence[int], False), ("12", Sequence[str], False), (iter([1]), Sequence[int], True),
        ({"a": 1}, Mapping[str, float], True),
        ({"a": "1"}, Mapping[str, float], False), (len, Callable[..., Any], True), (3, Callable[..., Any], False), (3, Any, True),
    ):  # fmt: skip
        assert fits(value, kind) is good, (value, kind)
    assert described(int | Sequence[str] | Literal["x"] | None) == "a whole number, a list, each a text or 'x'"
    assert described(Callable[[int], str]) == "a function"


def test_a_missing_argument_and_a_wrong_name_stay_pythons_own() -> None:
    """They name the function; the signature and the text of what is checked are kept."""

    @typed()
    def order(size: float, *, side: int = 1) -> float:
        """An order."""
        return size * side

    assert order(2, side=-1) == -2
    assert (order.__doc__, str(inspect.signature(order))) == ("An order.", "(size: 'float', *, side: 'int' = 1) -> 'float'")
    for call, said in (
        (order, "order: missing a required argument: 'size'"),
        (lambda: order(1, sise=2), "order: got an unexpected"),  # type: ignore[call-arg]
    ):
        with pytest.raises(TypeError, match=said):
            call()
