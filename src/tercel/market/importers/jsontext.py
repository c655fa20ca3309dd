"""JSON as vendors ship it: a message per line, or one long array of rows; plain or compressed, in bounded memory, with exact row numbers.

Numbers in JSON text are decoded to the nearest double; numbers in quotes go through `decimals`, which does the same and refuses the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import numpy as np

from tercel.base.errors import DataError
from tercel.base.time import NS_PER_MS, NS_PER_US
from tercel.market.importers.batch import Floats, Times, refuse
from tercel.market.importers.compressed import open_plain

BLOCK_BYTES: Final = 2 << 20
LINE_BYTES_MAX: Final = 1 << 20  # a snapshot of 5,000 levels on both sides has 250,000
ROW_BYTES_MAX: Final = 4_096
UNREADABLE: Final = (ValueError, RecursionError)  # what msgspec raises for text that is no JSON, or not of the type
_BOM: Final = b"\xef\xbb\xbf"
_PLACE: Final = re.compile(r"`\$\[(\d+)\](?:\[(\d+)\])?")
_BYTE: Final = re.compile(r"\(byte (\d+)\)")
_FOUND_MAX: Final = 60
_MS_BELOW: Final = 10**14  # a time since 1970 with fewer digits is in ms
_NS_BELOW: Final = 1 << 63  # year 2262


class Lines(msgspec.Struct):
    """Consecutive lines of a file without their ends; `first_row` is the number of the first, from 1.

    `cut_off`: the file ends in the middle, after these lines.
    """

    texts: list[bytes]
    first_row: int
    fraction: float
    cut_off: bool = False


def json_lines(path: Path, cut_off: bool = False) -> Iterator[Lines]:
    """The lines of a file in blocks of about `BLOCK_BYTES`; blank lines at the end are left out. Raises `DataError` for a longer line.

    With `cut_off`, a compressed file that ends in the middle gives its whole lines, else it is refused.
    """
    row, rest = 1, b""
    with open_plain(path, cut_off=cut_off) as file:
        while True:
            data = file.read(BLOCK_BYTES)
            text = rest + (data.removeprefix(_BOM) if row == 1 and not rest else data)
            last = not data or not file.peek(1)
            if last and file.cut_off:
                text = text[: text.rfind(b"\n") + 1]
            end = len(text) if last else text.rfind(b"\n") + 1
            text, rest = (text.rstrip(b"\r\n") if last else text[:end]), text[end:]
            lines = text.removesuffix(b"\n").split(b"\n") if text else []
            for index, line in enumerate([*lines, rest]):
                if len(line) > LINE_BYTES_MAX:
                    _refuse_long(path, row + index, LINE_BYTES_MAX)
            if lines or file.cut_off:
                yield Lines(lines, row, file.fraction(), file.cut_off)
            row += len(lines)
            if last:
                return


class Rows(msgspec.Struct):
    """Consecutive rows of an array, decoded; `first_row` is the number of the first, from 1."""

    values: list[Any]
    first_row: int
    fraction: float


def json_rows(path: Path, row_type: Any, columns: Sequence[str]) -> Iterator[Rows]:
    """The rows of a file that is one array of arrays, `[[…],[…]]`, each decoded as `row_type`, in blocks of about `BLOCK_BYTES`.

    Raises `DataError` with row and column (named by `columns`) for a row of another shape, and for an array that does not end.
    """
    decoder = msgspec.json.Decoder(list[row_type])
    row, rest, first = 1, b"", True
    with open_plain(path) as file:
        while True:
            data = file.read(BLOCK_BYTES)
            text = rest + data
            if first:
                text, first = _after_bracket(path, text), False
            last = not data or not file.peek(1)
            if last:
                text, rest = _before_bracket(path, row, text), b""
            else:
                end = text.rfind(b"],") + 1
                text, rest = (text[:end], text[end + 1 :]) if end else (b"", text)
                if len(rest) > ROW_BYTES_MAX:
                    _refuse_long(path, row + text.count(b"]"), ROW_BYTES_MAX)
            values = _decoded(path, row, text, decoder, columns)
            if values:
                yield Rows(values, row, file.fraction())
            row += len(values)
            if last:
                return


def _after_bracket(path: Path, text: bytes) -> bytes:
    text = text.removeprefix(_BOM).lstrip()
    if not text.startswith(b"["):
        raise DataError(f"{path.name}: row 1: expected an array of rows, found {_shown(text)!r}; nothing was imported")
    return text[1:]


def _before_bracket(path: Path, row: int, text: bytes) -> bytes:
    text = text.rstrip()
    if not text.endswith(b"]"):
        row += max(0, text.count(b"[") - 1)
        raise DataError(
            f"{path.name}: row {row:,}: expected the end of the array, found {_shown(text[-_FOUND_MAX:])!r}; nothing was imported"
        )
    return text[:-1]


def _decoded(path: Path, row: int, text: bytes, decoder: msgspec.json.Decoder[list[Any]], columns: Sequence[str]) -> list[Any]:
    try:
        return decoder.decode(b"[" + text + b"]")
    except UNREADABLE as error:
        reason, column = str(error), ""
        if place := _PLACE.search(reason):
            row += int(place[1])
            column = f", column {columns[int(place[2])]}" if place[2] and int(place[2]) < len(columns) else ""
        elif byte := _BYTE.search(reason):
            row += text[: int(byte[1])].count(b"]")
        raise DataError(f"{path.name}: row {row:,}{column}: {_lowered(reason)}; nothing was imported") from error


def decode(path: Path, row: int, decoder: msgspec.json.Decoder[Any], text: bytes, what: str) -> Any:
    """One message of a line. Raises `DataError` with its row and what is wrong with it."""
    try:
        return decoder.decode(text)
    except UNREADABLE as error:
        raise DataError(
            f"{path.name}: row {row:,}: expected {what} ({_lowered(str(error))}), found {_shown(text)!r}; nothing was imported"
        ) from error


def decimals(path: Path, column: str, texts: list[str], row_of: Callable[[int], int]) -> Floats:
    """Numbers in quotes as the nearest doubles. Raises `DataError` for one that is no finite number; `row_of` gives the row of an index."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        result: Floats = pc.cast(pa.array(texts, pa.string()), pa.float64()).to_numpy(zero_copy_only=False)
        if np.isfinite(result).all():
            return result
    except (pa.ArrowException, UnicodeError):
        pass
    for index, value in enumerate(texts):
        try:
            good = bool(np.isfinite(float(value))) and value.isascii() and "_" not in value and value == value.strip()
        except (ValueError, OverflowError):
            good = False
        if not good:
            refuse(path, row_of(index), column, "a number", value[:_FOUND_MAX])
    raise DataError(f"{path.name}: column {column}: expected plain numbers from row {row_of(0):,} on; nothing was imported")


def instant(path: Path, row: int, column: str, value: object) -> int:
    """ns UTC of a time in ms, or in µs when it has that many digits. Raises `DataError` for anything else."""
    ns = value * (NS_PER_MS if value < _MS_BELOW else NS_PER_US) if isinstance(value, int) else 0
    if not 0 < ns < _NS_BELOW:
        refuse(path, row, column, "a time in ms or µs since 1970", value)
    return ns


def whole(path: Path, row: int, column: str, value: object) -> int:
    """An id that fits 63 bits. Raises `DataError` for anything else."""
    if not isinstance(value, int) or not 0 <= value < 1 << 63:
        refuse(path, row, column, "a whole number below 2^63", value)
    return value


def instants_ms(path: Path, column: str, values: list[int], first_row: int) -> Times:
    """ns UTC of times in ms. Raises `DataError` with the row of one outside the possible."""
    bad = next((index for index, value in enumerate(values) if not 0 < value * NS_PER_MS < _NS_BELOW), None)
    if bad is not None:
        refuse(path, first_row + bad, column, "a time in ms since 1970", values[bad])
    return np.array(values, np.int64) * NS_PER_MS


def _refuse_long(path: Path, row: int, bytes_max: int) -> NoReturn:
    raise DataError(f"{path.name}: row {row:,}: expected up to {bytes_max:,} bytes, found more; nothing was imported")


def _lowered(reason: str) -> str:
    """What msgspec says, without the place that the row and column name already."""
    text = " ".join(reason.partition(" - at ")[0].split())[:120]
    return "e" + text[1:] if text.startswith("Expected") else text


def _shown(value: bytes) -> str:
    return value[:_FOUND_MAX].decode("utf-8", "backslashreplace")
