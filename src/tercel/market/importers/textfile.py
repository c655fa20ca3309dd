"""Text files, plain or compressed, by blocks: bounded memory, exact row numbers, columns of numbers and times without a Python loop.

A block is a few megabytes of whole lines. A line longer than `LINE_BYTES_MAX`, a NUL byte, a lone carriage return or a line with another
number of columns is refused with its row.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import DataError
from tercel.base.time import NS_PER_DAY, NS_PER_S
from tercel.market.importers.batch import Floats, Times, refuse
from tercel.market.importers.compressed import open_plain

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES: Final = 4 << 20
LINE_BYTES_MAX: Final = 4_096
_BOM: Final = b"\xef\xbb\xbf"
_FOUND_MAX: Final = 60


class Block(msgspec.Struct):
    """Whole lines of a file; `first_row` is the number of the first, from 1."""

    path: Path
    data: bytes
    first_row: int
    fraction: float


def blocks(path: Path, skip_lines: int = 0, bytes_max: int = BLOCK_BYTES, member: str | None = None) -> Iterator[Block]:
    """The lines of a file after the first `skip_lines`, in blocks of about `bytes_max`; blank lines at the end are left out.

    A compressed file is unpacked on the way; `member` names the file in a zip of several.
    """
    row, rest = 1, b""
    with open_plain(path, member) as file:
        while True:
            data = file.read(bytes_max)
            if row == 1 and not rest:
                data = data.removeprefix(_BOM)
            text = rest + data
            end = text.rfind(b"\n") + 1 if data else len(text)
            text, rest = text[:end], text[end:]
            first, row = row, row + text.count(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                _refuse_line(path, row)
            while skip_lines and text:
                text = text.partition(b"\n")[2]
                skip_lines, first = skip_lines - 1, first + 1
            if not data or not file.peek(1):
                text, rest = (text + rest).rstrip(b"\r\n"), b""
            if text:
                _check_bytes(path, text, first)
                yield Block(path, text, first, file.fraction())
            if not data:
                return


def columns(block: Block, names: Sequence[str], separator: str) -> dict[str, pa.Array]:
    """The columns of a block as binary arrays. Raises `DataError` with the row of a line that has another number of columns."""
    import pyarrow as pa
    from pyarrow import csv

    _check_columns(block, len(names), separator)
    try:
        table = csv.read_csv(
            io.BytesIO(block.data),
            read_options=csv.ReadOptions(column_names=list(names), block_size=len(block.data) + 1, use_threads=False),
            parse_options=csv.ParseOptions(delimiter=separator, quote_char=False, double_quote=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()), check_utf8=False, null_values=[], strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise DataError(
            f"{block.path.name}: from row {block.first_row:,} on: expected plain columns ({error}); nothing was imported"
        ) from error
    return {name: table.column(name).combine_chunks() for name in names}


def _check_columns(block: Block, count: int, separator: str) -> None:
    """Every line has `count` columns: counted here, because the parser's own message depends on the bytes of the line."""
    text = np.frombuffer(block.data, np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    starts = np.append(0, ends + 1)[: len(ends) + (block.data[-1:] != b"\n")]
    found = np.add.reduceat((text == ord(separator)).astype(np.int32), starts) + 1
    if (found != count).any():
        index = int(np.argmax(found != count))
        line = block.data[int(starts[index]) :].split(b"\n", 1)[0]
        shown = f"{int(found[index])}: {_shown(line)!r}"
        raise DataError(
            f"{block.path.name}: row {block.first_row + index:,}: expected {count} columns, found {shown}; nothing was imported"
        )


def numbers(block: Block, column: str, values: pa.Array) -> Floats:
    """A column of decimal numbers as the nearest doubles. Raises `DataError` with the row of one that is not a finite number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        result: Floats = pc.cast(pc.cast(values, pa.string()), pa.float64()).to_numpy(zero_copy_only=False)
        if np.isfinite(result).all():
            return result
    except pa.ArrowException:
        pass
    for index, value in enumerate(values.to_pylist()):
        try:
            good = bool(np.isfinite(float(value.decode("ascii")))) and b"_" not in value and value == value.strip()
        except (ValueError, OverflowError):
            good = False
        if not good:
            refuse(block.path, block.first_row + index, column, "a number", _shown(value))
    raise DataError(f"{block.path.name}: column {column}: expected plain numbers from row {block.first_row:,} on; nothing was imported")


def instants(block: Block, column: str, values: pa.Array, template: str) -> Times:
    """Local ns of a column of times, all of the one form: letters Y M D h m s f stand for digits, anything else for itself.

    Parts that the template leaves out are zero (the date: 1970-01-01). Raises `DataError` with the row of a value that has another form.
    """
    digits = _matrix(block, column, values, template)
    part: dict[str, Times] = {}
    for letter in "YMDhmsf":
        places = [place for place, sign in enumerate(template) if sign == letter]
        part[letter] = sum(
            (digits[:, place].astype(np.int64) * 10 ** (len(places) - 1 - rank) for rank, place in enumerate(places)),
            np.zeros(len(digits), np.int64),
        )
    year, month, day = (
        part[letter] if letter in template else np.full(len(digits), default) for letter, default in (("Y", 1970), ("M", 1), ("D", 1))
    )
    good = (year >= 1970) & (year < 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= _days_in_month(year, month))
    good &= (part["h"] < 24) & (part["m"] < 60) & (part["s"] < 60)
    if not good.all():
        index = int(np.argmin(good))
        refuse(
            block.path,
            block.first_row + index,
            column,
            f"a time from 1970 to 2099 that exists, as {template}",
            _shown(values[index].as_py()),
        )
    seconds = (part["h"] * 60 + part["m"]) * 60 + part["s"]
    result: Times = _days(year, month, day) * NS_PER_DAY + seconds * NS_PER_S + part["f"] * 10 ** (9 - template.count("f"))
    return result


def _matrix(block: Block, column: str, values: pa.Array, template: str) -> npt.NDArray[np.uint8]:
    """The column as one row of digit values per cell, checked against the template."""
    width, count = len(template), len(values)
    expected = f"a time as {template}"
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + count + 1]
    lengths = np.diff(offsets)
    if (lengths != width).any():
        index = int(np.argmax(lengths != width))
        refuse(block.path, block.first_row + index, column, expected, _shown(values[index].as_py()))
    text = np.frombuffer(values.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(count, width)
    literal = np.array([sign not in "YMDhmsf" for sign in template])
    wanted = np.frombuffer(template.encode(), np.uint8)
    digits: npt.NDArray[np.uint8] = text - np.uint8(ord("0"))
    good = np.where(literal, text == wanted, digits <= 9).all(axis=1)
    if not good.all():
        index = int(np.argmin(good))
        refuse(block.path, block.first_row + index, column, expected, _shown(values[index].as_py()))
    return digits


def _days(year: Times, month: Times, day: Times) -> Times:
    """Days since 1970-01-01."""
    months = (year - 1970) * 12 + month - 1
    days: Times = months.astype("M8[M]").astype("M8[D]").astype(np.int64) + day - 1
    return days


def _days_in_month(year: Times, month: Times) -> Times:
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("M8[M]")
    days: Times = ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)
    return days


def _refuse_line(path: Path, row: int) -> NoReturn:
    raise DataError(f"{path.name}: row {row:,}: expected lines up to {LINE_BYTES_MAX:,} bytes, found a longer one; nothing was imported")


def _check_bytes(path: Path, text: bytes, first_row: int) -> None:
    ends = np.append(np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")), len(text))
    long = np.diff(ends, prepend=-1) > LINE_BYTES_MAX
    if long.any():
        _refuse_line(path, first_row + int(np.argmax(long)))
    for sign, name in ((b"\0", "a NUL byte"), (b"\r", "a carriage return inside a line")):
        at = text.find(sign) if sign == b"\0" else text.replace(b"\r\n", b"\n\n").rstrip(b"\r").find(sign)
        if at >= 0:
            row = first_row + text[: at + 1].replace(b"\r\n", b"\n").count(b"\n")
            raise DataError(f"{path.name}: row {row:,}: expected text, found {name}; nothing was imported")


def _shown(value: bytes) -> str:
    return value[:_FOUND_MAX].decode("utf-8", "backslashreplace")
