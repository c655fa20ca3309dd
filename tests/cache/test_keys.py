"""Keys are normal: equal exactly when what they stand for is equal after rounding."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.base.errors import ConfigError
from tercel.cache.keys import KEY_CHARS_MAX, key, signature

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
PARTS = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=6
)


def meaning(part: Any) -> Any:
    """What a part means: numbers rounded to six decimals, lists and tuples alike, bools apart from numbers."""
    if part is None or isinstance(part, bool | str):
        return type(part).__name__, part
    if isinstance(part, int):
        return "number", str(part)
    if isinstance(part, float):
        if math.isnan(part) or math.isinf(part):
            return "special", str(part)
        rounded = f"{part:.6f}"
        text = rounded.rstrip("0").rstrip(".")
        return "number", "0" if text == "-0" else text
    if isinstance(part, dict):
        return "mapping", frozenset((name, meaning(value)) for name, value in part.items())
    return "list", tuple(meaning(item) for item in part)


@given(left=st.lists(PARTS, max_size=3), right=st.lists(PARTS, max_size=3))
def test_keys_are_equal_exactly_when_their_meaning_is(left: list[Any], right: list[Any]) -> None:
    """Neither a separator in a text nor a number written as text nor nesting makes two meanings one, and none is two."""
    assert (key(*left) == key(*right)) == (meaning(left) == meaning(right))
    assert key(*left) == key(*(tuple(part) if isinstance(part, list) else part for part in left))


@given(parts=st.lists(PARTS, max_size=4))
def test_a_key_is_short_and_plain(parts: list[Any]) -> None:
    """No key is longer than the bound or contains what a shell pattern or a cluster's hash tag is made of."""
    found = key(*parts)
    assert len(found) <= KEY_CHARS_MAX
    assert re.fullmatch(r"[A-Za-z0-9._+@/\-:%()=,~]*", found)


def test_numbers_are_rounded() -> None:
    """A seventh decimal does not make another key, a sixth does; minus zero is zero; numpy's numbers are numbers."""
    assert key("p", 1.1000000001) == key("p", 1.1) == key("p", np.float64(1.1))
    assert key("p", 1.100001) != key("p", 1.1)
    assert key("p", -0.0) == key("p", 0.0) == key("p", 0)
    assert key("p", 1.14, decimals=1) == key("p", 1.1, decimals=1)
    assert key("p", np.float32(0.5)) == "p:0.5"


def test_arrays_count_by_dtype_shape_and_rounded_content() -> None:
    """The same rounded numbers give the same key; another shape or dtype gives another."""
    row = np.array([1.0, -0.0, np.nan])
    assert key(row) == key(row + 1e-9) == key(np.array([1.0, 0.0, np.nan]))
    assert len({key(row), key(row.reshape(1, 3)), key(row.astype(np.float32)), key(row + 1e-5)}) == 4
    with pytest.raises(ConfigError, match="dtype object"):
        key(np.array([None]))


def test_a_signature_follows_content_not_order() -> None:
    """Mappings in another order and a struct of the same content sign alike; another value signs otherwise."""

    class Settings(msgspec.Struct):
        a: int
        b: float

    assert signature({"a": 1, "b": 0.25}) == signature({"b": 0.25, "a": 1}) == signature(Settings(1, 0.25))
    assert signature({"a": 1, "b": 0.2500000001}) != signature({"a": 1, "b": 0.25})
    assert key("f", signature=signature({"a": 1})) != key("f", signature=signature({"a": 2}))
    with pytest.raises(ConfigError, match="found object"):
        key(object())
