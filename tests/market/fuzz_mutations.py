"""Damage for files: seeded changes of bytes, lines, cells, headers, encodings and compressed streams.

Each mutation is a function `(chance, data) -> data`. `chance` is a `random.Random`; the same seed gives the same damage.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Final

Mutation = Callable[[random.Random, bytes], bytes]

CELLS: Final = (
    b"", b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"null", b"0", b"-0", b"-1", b"1e999", b"1e308", b"1e-320", b"5e-324", b"9" * 400,
    b"0." + b"3" * 400, b"0x10", b"1_000", b" 1.5", b"1.5 ", b"+1.5", b"1,5", b"1.5.5", b"99999999999999999999", b"-9223372036854775808",
    b"9223372036854775807", b"4102444800000000000", b"0.1", b"123.456", b"1e5", b".5", b"5.", b"\xd9\xa3", b"\xef\xbc\x91", b"\xff\xfe",
    b"'", b'"', b"[", b"]", b"{", b"}", b"true", b"..", b"../../x", b"EUR\x00USD", b"x" * 40, b"x" * 5_000, b"20230230 000000",
    b"1970-01-01",
)  # fmt: skip
_CELL: Final = re.compile(rb"[^,;\t\n\r \[\]{}:\"]+")
_PLAIN_CELLS: Final = tuple(cell for cell in CELLS if re.fullmatch(rb"[0-9.eE+-]+", cell))


def flip_bytes(chance: random.Random, data: bytes) -> bytes:
    """One to eight bytes become others."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8) if data else 0):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def flip_digit(chance: random.Random, data: bytes) -> bytes:
    """A digit becomes another digit: the text stays readable, the value is a new one."""
    places = [match.start() for match in re.finditer(rb"\d", data)]
    if not places:
        return data
    place = chance.choice(places)
    return data[:place] + b"%d" % chance.randrange(10) + data[place + 1 :]


def flip_bit(chance: random.Random, data: bytes) -> bytes:
    """One bit changes."""
    if not data:
        return data
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def truncate(chance: random.Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: chance.randrange(len(data) + 1)]


def cut_out(chance: random.Random, data: bytes) -> bytes:
    """A piece in the middle is missing."""
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + chance.randint(1, 200) :]


def insert_bytes(chance: random.Random, data: bytes) -> bytes:
    """Random bytes in the middle."""
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.randbytes(chance.randint(1, 40)) + data[place:]


def _lines(change: Callable[[random.Random, list[bytes]], None]) -> Mutation:
    def mutation(chance: random.Random, data: bytes) -> bytes:
        lines = data.split(b"\n")
        change(chance, lines)
        return b"\n".join(lines)

    return mutation


def _duplicate(chance: random.Random, lines: list[bytes]) -> None:
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))


def _delete(chance: random.Random, lines: list[bytes]) -> None:
    del lines[chance.randrange(len(lines))]


def _swap(chance: random.Random, lines: list[bytes]) -> None:
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _shuffle(chance: random.Random, lines: list[bytes]) -> None:
    start = chance.randrange(len(lines))
    piece = lines[start : start + 20]
    chance.shuffle(piece)
    lines[start : start + 20] = piece


def _join(chance: random.Random, lines: list[bytes]) -> None:
    place = chance.randrange(len(lines))
    lines[place : place + 2] = [b"".join(lines[place : place + 2])]


def _header(chance: random.Random, lines: list[bytes]) -> None:
    lines[0] = chance.choice((flip_bytes, truncate, flip_bit, flip_digit, replace_cell, swap_cells))(chance, lines[0])


def replace_cell(chance: random.Random, data: bytes) -> bytes:
    """One cell or JSON value becomes a text from the list of evil ones."""
    return _replace(chance, data, CELLS)


def replace_number(chance: random.Random, data: bytes) -> bytes:
    """One cell becomes another number, often a possible one."""
    return _replace(chance, data, (*_PLAIN_CELLS, b"%d.%d" % (chance.randrange(100_000), chance.randrange(1_000_000))))


def _replace(chance: random.Random, data: bytes, cells: tuple[bytes, ...]) -> bytes:
    matches = list(_CELL.finditer(data))
    if not matches:
        return data
    match = chance.choice(matches)
    return data[: match.start()] + chance.choice(cells) + data[match.end() :]


def swap_cells(chance: random.Random, data: bytes) -> bytes:
    """Two neighbouring cells change places."""
    matches = list(_CELL.finditer(data))
    if len(matches) < 2:
        return data
    place = chance.randrange(len(matches) - 1)
    one, other = matches[place], matches[place + 1]
    return data[: one.start()] + other[0] + data[one.end() : other.start()] + one[0] + data[other.end() :]


def recode(chance: random.Random, data: bytes) -> bytes:
    """The text in another encoding, with a byte order mark or with other line ends."""
    text = data.decode("latin-1")
    return chance.choice((
        lambda: text.encode("utf-16"), lambda: text.encode("utf-16-be"), lambda: text.encode("utf-8-sig"), lambda: text.encode("utf-32"),
        lambda: data.replace(b"\n", b"\r\n"), lambda: data.replace(b"\n", b"\r"), lambda: data.replace(b",", b";"), lambda: data[::-1],
        lambda: data.replace(b"\n", b"\n\n"), data.upper, lambda: b"", lambda: b"\n" * chance.randint(1, 9) + data,
    ))()  # fmt: skip


OF_BYTES: Final[tuple[Mutation, ...]] = (flip_bytes, flip_bit, truncate, cut_out, insert_bytes)
OF_TEXT: Final[tuple[Mutation, ...]] = (
    flip_digit, flip_digit, replace_cell, replace_number, replace_number, swap_cells, recode, *OF_BYTES,
    *(_lines(change) for change in (_duplicate, _delete, _swap, _shuffle, _join, _header)),
)  # fmt: skip


def mutate(chance: random.Random, data: bytes, mutations: tuple[Mutation, ...]) -> bytes:
    """One to three mutations, one after the other."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(mutations)(chance, data)
    return data
