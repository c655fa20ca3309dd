"""Kernels that read text of a known shape straight into records: what a venue writes millions of times, always the same but for the values.

A shape is literal text with fields between (`shape_words` writes it down for the kernels). A message has it when every literal is there
byte by byte and every field is plain: integers and decimals of at most `DIGITS_MAX` digits without sign, exponent or needless zeros in
front, `true` or `false`. Whatever is written in another way, if only by a blank, has not the shape: whoever knows the whole grammar judges.

A decimal becomes the nearest double: its digits as an integer up to 2^53 and the power of ten are both exact doubles, so one division
rounds once (W. D. Clinger, How to Read Floating Point Numbers Accurately, 1990). Digits are read eight at a time; nothing outside the
message is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tercel.base.kernel import F, I, i64, kernel, word_at, zeros_below

DIGITS_MAX = 18  # of a number: 10^18 is below 2^63, and an exact double
EXACT_MAX = 2**53
# A part of a shape, in words: bytes of its literal, kind of the field behind it, word of the record it goes to, then the literal.
P_BYTES, P_FIELD, P_WORD, P_TEXT = 0, 1, 2, 3
END, INTEGER, DECIMAL, TRUTH = 0, 1, 2, 3
POINT, ZERO = 46, 48
TRUE, FALS = 0x65757274, 0x736C6166  # "true", and "fals" before its "e", the first byte the lowest
FOUR_BYTES = 0xFFFFFFFF
BYTE = 0xFF

# Eight bytes side by side in one word.
ZEROS = 0x3030303030303030
SEVEN_BITS = 0x7F7F7F7F7F7F7F7F
TO_THE_TOP_BIT = 0x7676767676767676  # 0x80 - 10: carries a value above 9 into the top bit of its byte
ONES = 0x0101010101010101
DIGITS_OF_PAIRS = 0x000F000F000F000F
PAIRS_OF_QUADS = 0x0000007F0000007F
QUAD = 0x3FFF
TEN_8 = 100_000_000

POWERS: Final = tuple(10**k for k in range(DIGITS_MAX + 1))  # the kernels' table of them begins at word 0
_FIELD: Final = re.compile(r"<(\w+)>")


@kernel
def word_within(A: I, k: i64, end: i64) -> i64:
    """The 8 bytes from k on; those behind the end, which is at least 8, are 0."""
    beyond = k + 8 - end
    if beyond >= 8:
        return 0
    word: int = word_at(A, k if beyond <= 0 else end - 8)
    if beyond > 0:
        word = (word >> (8 * beyond)) & ((1 << (64 - 8 * beyond)) - 1)
    return word


@kernel
def digits_at(A: I, k: i64, end: i64) -> i64:
    """How many digits stand at k, counted up to 24."""
    count = 0
    while count < 24:
        text = word_within(A, k + count, end) ^ ZEROS
        others = ((((text & SEVEN_BITS) + TO_THE_TOP_BIT) | text) >> 7) & ONES
        if others != 0:
            below: int = zeros_below(others) >> 3
            return count + below
        count += 8
    return count


@kernel
def eight_digits(word: i64) -> i64:
    """The number that 8 bytes write, the first the lowest; bytes of 0 are digits 0."""
    pairs = (word & DIGITS_OF_PAIRS) * 10 + ((word >> 8) & DIGITS_OF_PAIRS)
    quads = (pairs & PAIRS_OF_QUADS) * 100 + ((pairs >> 16) & PAIRS_OF_QUADS)
    return (quads & QUAD) * 10_000 + (quads >> 32)


@kernel
def digits_before(A: I, k: i64, count: i64) -> i64:
    """The number that the `count` digits (1 to 8) before k write; k is at least 8."""
    return eight_digits(word_at(A, k - 8) & -(1 << (64 - 8 * count)))


@kernel
def number_at(A: I, k: i64, count: i64) -> i64:
    """The number that `count` digits (1 to `DIGITS_MAX`) at k write; k is at least 8."""
    end = k + count
    if count <= 8:
        return digits_before(A, end, count)
    low = eight_digits(word_at(A, end - 8))
    if count <= 16:
        return digits_before(A, end - 8, count - 8) * TEN_8 + low
    return (digits_before(A, end - 16, count - 16) * TEN_8 + eight_digits(word_at(A, end - 16))) * TEN_8 + low


@kernel
def whole_digits_at(A: I, k: i64, end: i64) -> i64:
    """How many digits a plain integer at k has; 0 when there is none."""
    count = digits_at(A, k, end)
    if count > DIGITS_MAX or (count > 1 and word_within(A, k, end) & BYTE == ZERO):
        return 0
    return count


@kernel
def integer(A: I, O: I, k: i64, end: i64, o: i64) -> i64:
    """Read an integer at k into O[o]; where it ends, or 0."""
    count = whole_digits_at(A, k, end)
    if count == 0:
        return 0
    O[o] = number_at(A, k, count)
    return k + count


@kernel
def decimal(T: I, A: I, OF: F, k: i64, end: i64, o: i64) -> i64:
    """Read a decimal at k into OF[o], the nearest double; where it ends, or 0. T begins with the powers of ten."""
    count = whole_digits_at(A, k, end)
    if count == 0:
        return 0
    digits = number_at(A, k, count)
    k += count
    decimals = 0
    if word_within(A, k, end) & BYTE == POINT:
        decimals = digits_at(A, k + 1, end)
        if decimals == 0 or count + decimals > DIGITS_MAX:
            return 0
        digits = digits * T[decimals] + number_at(A, k + 1, decimals)
        k += 1 + decimals
    if digits > EXACT_MAX:
        return 0
    OF[o] = float(digits) / float(T[decimals])
    return k


@kernel
def truth(A: I, O: I, k: i64, end: i64, o: i64) -> i64:
    """Read `true` or `false` at k into O[o] as 1 or 0; where it ends, or 0."""
    word = word_within(A, k, end)
    if word & FOUR_BYTES == TRUE:
        O[o] = 1
        return k + 4
    if word & FOUR_BYTES == FALS and (word >> 32) & BYTE == 101:
        O[o] = 0
        return k + 5
    return 0


@kernel
def literal(T: I, A: I, p: i64, k: i64, end: i64) -> i64:
    """Where the literal of the part at T[p] ends, which stands at k; 0 when something else does."""
    count = T[p + P_BYTES]
    if k + count > end:
        return 0
    whole = count >> 3
    for w in range(whole):
        if word_at(A, k + 8 * w) != T[p + P_TEXT + w]:
            return 0
    k += count
    rest = count & 7
    if rest > 0 and word_at(A, k - 8) >> (64 - 8 * rest) != T[p + P_TEXT + whole]:
        return 0
    return k


@kernel
def has_shape(T: I, A: I, O: I, OF: F, p: i64, end: i64, o: i64) -> i64:
    """Whether the text A[0 … end) has the shape at T[p]; its fields are then in the words O[o …), which may be written to anyway."""
    k = 0
    while True:
        k = literal(T, A, p, k, end)
        if k == 0:
            return 0
        field = T[p + P_FIELD]
        at = o + T[p + P_WORD]
        p += P_TEXT + ((T[p + P_BYTES] + 7) >> 3)
        if field == END:
            return 1 if k == end else 0
        if field == DECIMAL:
            k = decimal(T, A, OF, k, end, at)
        elif field == INTEGER:
            k = integer(A, O, k, end, at)
        else:
            k = truth(A, O, k, end, at)
        if k == 0:
            return 0


def shape_words(text: str, fields: Mapping[str, tuple[int, int]]) -> list[int]:
    """A shape for the kernels, from text with `<name>` where a field is; `fields`: kind and word of the record by name.

    The literal before the first field has at least 8 bytes, every other at least one: fields are read up to the literal behind them.
    """
    parts = [*_FIELD.split(text), ""]
    words: list[int] = []
    for text, name in zip(parts[::2], parts[1::2], strict=True):
        octets = text.encode()
        assert len(octets) >= (1 if words else 8), text
        kind, word = fields[name] if name else (END, 0)
        rest = len(octets) & 7
        cut = len(octets) - rest
        words += [len(octets), kind, word]
        words += [int.from_bytes(octets[k : k + 8], "little", signed=True) for k in range(0, cut, 8)]
        if rest:
            words.append(int.from_bytes(octets[cut:], "little", signed=True))
    return words
