"""Text of a known shape: every number becomes what Python makes of it, to the bit, or the text is left; the same in every mode."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tercel.market.feeds.shapes import DECIMAL, DIGITS_MAX, EXACT_MAX, INTEGER, POWERS, TRUTH, shape_words
from tests.twins import MODES, bits, twin

FIELDS = {"whole": (INTEGER, 0), "value": (DECIMAL, 1), "flag": (TRUTH, 2)}
SHAPE = '{"wholes":<whole>,"value":"<value>","flags":<flag>}'
PLAIN_INTEGER = re.compile(r"0|[1-9][0-9]*", re.ASCII)
PLAIN_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)

DIGITS = st.text("0123456789", min_size=1, max_size=DIGITS_MAX + 2)
PLAIN = st.one_of(
    st.builds(lambda whole, part: f"{whole}.{part}", st.integers(0, 10**9).map(str), DIGITS),
    st.integers(0, 2 * EXACT_MAX).map(str),
    st.floats(1e-9, 1e12).map(lambda value: format(Decimal(repr(value)), "f")),
    DIGITS,
)
ANY = st.one_of(PLAIN, st.text("0123456789.-+eE \u0660", max_size=24), st.text(max_size=6))


def read(text: str, mode: str = "compiled", shape: str = SHAPE) -> tuple[int, float, int] | None:
    """The fields of a text that has the shape."""
    there = twin(mode)
    octets = text.encode()
    memory = np.zeros(-(-len(octets) // 8), np.int64)  # not a word more than the text has
    memory.view(np.uint8)[: len(octets)] = np.frombuffer(octets, np.uint8)
    table = np.array([*POWERS, *shape_words(shape, FIELDS)], np.int64)
    record = np.zeros(3)
    enter = there.kernel.entry(there.shapes.has_shape).bind(table, memory, record.view(np.int64), record)
    if not enter(len(POWERS), len(octets), 0):
        return None
    whole, flag = record.view(np.int64)[[0, 2]].tolist()
    return whole, float(record[1]), flag


def framed(whole: str = "1", value: str = "2.5", flag: str = "true") -> str:
    """Text of the shape, if its values are plain."""
    return f'{{"wholes":{whole},"value":"{value}","flags":{flag}}}'


def exact(text: str) -> bool:
    """Whether one division gives the nearest double: what the kernels take."""
    digits = text.replace(".", "")
    return PLAIN_DECIMAL.fullmatch(text) is not None and len(digits) <= DIGITS_MAX and int(digits) <= EXACT_MAX


@given(ANY)
@example("9007199254740992")
@example("9007199254740993")
@example("0.000000000000000001")
@example("00.5")
@example("5.")
@example(".5")
@example("0")
def test_a_decimal_is_the_nearest_double_or_left(text: str) -> None:
    """Every plain decimal of at most 18 digits up to 2^53 is read as Python reads it, to the bit, and nothing else is taken."""
    found = read(framed(value=text))
    assert (found is not None) == exact(text)
    if found is not None:
        assert bits(found[1]) == bits(float(text))


@given(ANY)
@example("0" * 18)
@example("9" * 18)
@example("9" * 19)
def test_an_integer_is_itself_or_left(text: str) -> None:
    """Every plain integer of at most 18 digits is read, and nothing else is taken."""
    found = read(framed(whole=text))
    assert (found is not None) == (PLAIN_INTEGER.fullmatch(text) is not None and len(text) <= DIGITS_MAX)
    if found is not None:
        assert found[0] == int(text)


@pytest.mark.parametrize("text", ["true", "false", "True", "truE", "fals", "falsE", "1", '"true"', "", "null"])
def test_a_flag_is_true_or_false(text: str) -> None:
    """Nothing that only resembles them is taken."""
    found = read(framed(flag=text))
    assert (None if found is None else found[2]) == {"true": 1, "false": 0}.get(text)


@given(st.integers(0, 60), st.integers(0, 255))
def test_every_byte_of_a_literal_counts(place: int, byte: int) -> None:
    """Another byte anywhere in the literals, a byte more or less at the end: the shape is not there."""
    text = framed().encode()
    assert read(text[:-1].decode()) is None
    assert read(text.decode() + " ") is None
    place %= len(text)
    changed = text[:place] + bytes([byte]) + text[place + 1 :]
    literal = framed(" ", "   ", "    ").encode()
    if changed.isascii() and literal[place] != 32 and byte != text[place]:
        assert read(changed.decode()) is None


@given(st.text("0123456789.", max_size=20), st.sampled_from(["true", "false", "t"]), st.integers(0, 3))
def test_the_kernels_are_their_twins(value: str, flag: str, cut: int) -> None:
    """Compiled, plain and with checked memory: the same fields or none, and nothing is read beside the text."""
    text = framed(value.replace(".", "") or "x", value, flag)
    found = [read(text[: len(text) - cut], mode) for mode in MODES]
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("mode", MODES[1:])
def test_words_and_zeros(mode: str) -> None:
    """A word may begin at any byte, the lowest one of a word is found; what is compiled, only kernels can call."""
    kernel: Any = twin(mode).kernel
    memory = kernel.Checked(np.frombuffer(bytes(range(250, 256)) + bytes(10), np.int64))
    assert kernel.word_at(memory, 3) == 0xFFFEFD
    assert kernel.word_at(memory, 0) == int.from_bytes(bytes(range(250, 256)) + bytes(2), "little", signed=True)
    for place in (-1, 9):
        with pytest.raises(IndexError, match="byte"):
            kernel.word_at(memory, place)
    assert [kernel.zeros_below(value) for value in (1, 8, -1, -(2**63), 0x0101 << 8)] == [0, 3, 0, 63, 8]
