"""Any delimited text with a header: quotes, trades or bars by the usual names of their columns, or by `--columns`.

Separators are the comma, the semicolon, the tab and the bar; beside the last three a decimal comma is understood where the file shows that
it is one. The form of times is decided by content (`times`). Whatever could be read in two ways is refused with what to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import LAST, TICK, TRADE, Records
from tercel.base.time import NS_PER_DAY, NS_PER_S, format_duration
from tercel.market.importers import times as instants
from tercel.market.importers.batch import Batch, Floats, Format, Head, Options, Times, bars, quotes, refuse
from tercel.market.importers.clock import Clock
from tercel.market.importers.detect import read_head
from tercel.market.importers.headings import NEEDED, OPTIONAL, Layout, parse_mapping, resolve
from tercel.market.importers.metatrader import INTERVALS
from tercel.market.importers.textfile import Block, blocks, columns, numbers
from tercel.market.importers.times import TimeForm
from tercel.market.importers.venues import symbol_of

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS: Final = (",", ";", "\t", "|")
COLUMNS_MAX: Final = 200
SIDES: Final[Mapping[bytes, int]] = {
    b"buy": 1, b"b": 1, b"1": 1, b"+1": 1, b"sell": -1, b"s": -1, b"-1": -1, b"": 0, b"0": 0, b"none": 0, b"unknown": 0,
}  # fmt: skip
UNSAID: Final = (b"", b"nan", b"NaN", b"NA", b"null", b"NULL", b"None")
POINT, COMMA = ".", ","
SECONDS: Final = tuple(seconds * NS_PER_S for seconds in (1, 5, 10, 15, 30))  # bars shorter than MetaTrader has
BASIS: Final = "trade"
_NUMBER: Final = re.compile(r"[+-]?[0-9.,]+")


class Header(msgspec.Struct, frozen=True):
    """How a file is written: its separator, the names of its columns, what they mean, and how many lines come before the rows."""

    separator: str
    names: tuple[str, ...]
    layout: Layout
    lines: int


def recognises(head: Head) -> bool:
    """True for a header whose names leave nothing open; anything less is read only when the user says `--format csv` or `--columns`.

    A column that is not known may change what the others mean: price, size and side are those of a book, too. The user has to say it then.
    """
    try:
        return not any(header_of(head, {}).layout.left_out)
    except (DataError, ConfigError):
        return False


def separator_of(line: str) -> str:
    """The sign between the columns of a line: the commonest."""
    return max(SEPARATORS, key=line.count)


def header_of(head: Head, mapping: Mapping[str, str]) -> Header:
    """The header of a file. Raises `DataError` when it says too little, and what to pass.

    A file whose columns are all mapped by number may have no header.
    """
    path = head.path
    if not head.lines:
        raise DataError(f"{path.name}: expected a header of columns, found no line of text")
    first = head.lines[0].decode("utf-8", "replace")
    separator = separator_of(first)
    names = tuple(name.strip().strip('"') for name in first.split(separator))
    if not 2 <= len(names) <= COLUMNS_MAX:
        raise DataError(f"{path.name}: expected a header of 2 to {COLUMNS_MAX} columns, found {len(names)}")
    headless = all(column.isdigit() for column in mapping.values()) and bool(mapping) and any(map(_NUMBER.fullmatch, names))
    if not headless and any(map(_NUMBER.fullmatch, names)):
        raise DataError(f'{path.name}: expected a header, found {first[:60]!r}; say what is where: --columns "time=1,bid=2,ask=3"')
    layout = resolve([""] * len(names) if headless else names, mapping, path.name)
    return Header(separator, names, layout, 0 if headless else 1)


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Batches of quotes, trades or bars, one per symbol and block. Raises `DataError` and `ConfigError` as the package says."""
    header = header_of(read_head(path), parse_mapping(options.columns))
    reader = _Reader(path, header, options)
    for block in blocks(path, header.lines):
        yield from reader.batches(block)


class _Reader:
    """What is decided on the first block of a file and holds for all of it."""

    def __init__(self, path: Path, header: Header, options: Options) -> None:
        self._path, self._header, self._options, self._layout = path, header, options, header.layout
        self._form: TimeForm | None = None
        self._clock: Clock
        self._mark = POINT
        self._interval_ns = options.interval_ns or 0
        self._basis = options.basis or BASIS
        self._symbol = "" if "symbol" in self._layout.places else symbol_of(path, options)
        if options.symbol and not self._symbol:
            raise ConfigError(f"{path.name}: --symbol is for files that do not name their symbol; this one has a column of it")
        self._notes = dict[str, int]()

    def batches(self, block: Block) -> Iterator[Batch]:
        """One batch per symbol of the block."""
        names = [f"{place}" for place in range(len(self._header.names))]
        table = columns(block, names, self._header.separator)
        cells = {role: _bare(table[f"{place}"]) for role, place in self._layout.places.items()}
        stamps = self._texts(block, cells)
        if self._form is None:
            self._decide(block, cells, stamps)
        assert self._form is not None
        times, counts = instants.utc(stamps, self._form, self._clock, _refuser(block, "time"))
        records = self._records(block, cells, times)
        rows = np.arange(block.first_row, block.first_row + len(records))
        if self._layout.kind == "bar":
            self._interval_ns = self._interval_ns or interval_of(self._path, times)
            check_grid(self._path, times, rows, self._interval_ns)
        notes = {**counts, self._form.text: len(records), **self._notes}
        self._notes = {}
        for symbol, mine in self._symbols(cells, len(records)):
            basis = self._basis if self._layout.kind == "bar" else ""
            yield Batch(symbol, None, self._layout.kind, records[mine], rows[mine], block.fraction, self._interval_ns, basis, notes)
            notes = {}

    def _decide(self, block: Block, cells: Mapping[str, pa.Array], stamps: pa.Array) -> None:
        """Take the first block's word for the whole file."""
        self._form = instants.form_of(stamps, self._options.dates, _refuser(block, "time"))
        self._clock = instants.clock_for(self._form, self._options.timezone, self._path.name)
        self._mark = decimal_mark(block, [cells[role] for role in self._numbered()], self._header.separator, self._options.decimal_comma)
        if self._form.unit is None and not self._form.zoned and self._options.timezone is None:
            self._notes["clock that was assumed: UTC; --timezone says another"] = 1
        if self._mark == COMMA:
            self._notes["sign of decimals: the comma"] = 1
        if self._layout.kind == "bar" and self._options.basis is None:
            self._notes["kind of price that was assumed for the bars: trade; --basis says another"] = 1
        if self._layout.left_out:
            self._notes[f"columns left out: {', '.join(self._layout.left_out)}"[:300]] = len(self._layout.left_out)

    def _texts(self, block: Block, cells: Mapping[str, pa.Array]) -> pa.Array:
        """The times as text; date and time of day in one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            texts = [cells[role].cast(pa.string()) for role in ("date", "time") if role in cells]
        except pa.ArrowException:
            raise DataError(f"{self._path.name}: from row {block.first_row:,} on: column time: expected text in UTF-8") from None
        return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, " ")

    def _numbered(self) -> list[str]:
        kind = self._layout.kind
        return [role for role in (*NEEDED[kind], *OPTIONAL[kind]) if role in self._layout.places and role != "side"]

    def _records(self, block: Block, cells: Mapping[str, pa.Array], times: Times) -> Records:
        found = {role: self._values(block, role, cells[role]) for role in self._numbered()}
        if self._layout.kind == "quote":
            return quotes(times, found["bid"], found["ask"], found.get("bid_size", np.nan), found.get("ask_size", np.nan))
        if self._layout.kind == "bar":
            return bars(times, found, found.get("volume", np.nan))
        return trades(times, found["price"], found.get("size", np.nan), self._sides(block, cells) if "side" in cells else 0)

    def _values(self, block: Block, role: str, cells: pa.Array) -> Floats:
        """A column of numbers; NaN where the cell is empty and may be."""
        import pyarrow as pa
        import pyarrow.compute as pc

        name = self._header.names[self._layout.places[role]] or role
        may_be_unsaid = role in OPTIONAL[self._layout.kind] or role in ("bid", "ask")
        unsaid = pc.is_in(cells, value_set=pa.array(UNSAID, pa.binary())) if may_be_unsaid else None
        if unsaid is not None and pc.any(unsaid).as_py():
            cells = pc.if_else(unsaid, pa.scalar(b"0", pa.binary()), cells)
        else:
            unsaid = None
        if self._mark == COMMA:
            points = pc.match_substring(cells, ".").to_numpy(zero_copy_only=False)
            if points.any():
                row = int(np.argmax(points))
                refuse(block.path, block.first_row + row, name, "a number with a decimal comma", _text(cells[row].as_py()))
            cells = pc.replace_substring(cells, ",", ".")
        values = numbers(block, name, cells)
        if unsaid is not None:
            values = np.where(unsaid.to_numpy(zero_copy_only=False), np.nan, values)
        return values

    def _sides(self, block: Block, cells: Mapping[str, pa.Array]) -> npt.NDArray[np.int8]:
        encoded = cells["side"].dictionary_encode()
        words = [word.strip().lower() for word in encoded.dictionary.to_pylist()]
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        for code, word in enumerate(words):
            if word not in SIDES:
                row = int(np.argmax(codes == code))
                refuse(block.path, block.first_row + row, "side", "buy, sell, 1, -1 or nothing", _text(word))
        sides: npt.NDArray[np.int8] = np.array([SIDES[word] for word in words], np.int8)[codes]
        return sides

    def _symbols(self, cells: Mapping[str, pa.Array], count: int) -> Iterator[tuple[str, slice | npt.NDArray[np.bool_]]]:
        if self._symbol:
            yield self._symbol, slice(None)
            return
        encoded = cells["symbol"].dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        for code, word in enumerate(encoded.dictionary.to_pylist()):
            yield _text(word).replace("/", "", 1), slice(None) if len(encoded.dictionary) == 1 else codes == code


def trades(times: Times, price: Floats, size: Floats | float = np.nan, side: npt.NDArray[np.int8] | int = 0) -> Records:
    """Trade records; times in ns UTC, `side` of the aggressor, NaN for a size that the source does not say."""
    records = np.zeros(len(times), TICK)
    records["ts_event"], records["kind"], records["flags"], records["side"] = times, TRADE, LAST, side
    records["price"], records["size"] = price, size
    records["price2"] = records["size2"] = np.nan
    return records


def decimal_mark(block: Block, cells: list[pa.Array], separator: str, said: bool) -> str:
    """Point or comma. Raises `DataError` when commas could as well group thousands."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if separator == "," or not cells:
        return POINT
    together = pa.concat_arrays([one.cast(pa.large_binary()) for one in cells])
    commas = together.filter(pc.match_substring(together, ","))
    if not len(commas):
        return POINT
    row_example = _text(commas[0].as_py())
    if pc.any(pc.match_substring(together, ".")).as_py():
        raise DataError(
            f"{block.path.name}: expected numbers with a decimal point or a decimal comma, found both in the first rows, such as "
            f"{row_example!r}; write them without signs between thousands"
        )
    thousands = pc.match_substring_regex(commas.cast(pa.large_string()), r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+$")
    if pc.all(thousands).as_py() and not said:
        raise DataError(
            f"{block.path.name}: {row_example!r} could be a number with three decimals or a thousand; if the comma is the decimal sign: "
            "--decimal-comma"
        )
    return COMMA


def interval_of(path: Path, opened: Times) -> int:
    """The commonest distance between the bars of a table, ns. Raises `DataError` when no bars are that long, or for a single bar."""
    steps = np.diff(np.unique(opened))
    lengths, counts = np.unique(steps, return_counts=True)
    found = int(lengths[np.argmax(counts)]) if len(lengths) else 0
    if found not in (*SECONDS, *INTERVALS):
        text = f"them {format_duration(found)} apart" if found else "a single time"
        raise DataError(f"{path.name}: expected bars of a usual interval, found {text}; say it with --interval, for example --interval 1h")
    return found


def check_grid(path: Path, opened: Times, rows: Times, interval_ns: int) -> None:
    """Bars open on multiples of their interval (those of a day and more excepted). Raises `DataError` with the row of one that does not."""
    off = opened % interval_ns != 0 if interval_ns < NS_PER_DAY else np.zeros(len(opened), bool)
    if off.any():
        first = int(np.argmax(off))
        at = format_duration(int(opened[first] % NS_PER_DAY))
        refuse(path, int(rows[first]), "time", f"a bar that opens on a multiple of {format_duration(interval_ns)}", f"{at} after midnight")


def _refuser(block: Block, column: str) -> instants.Refuse:
    def say(row: int, expected: str, found: object) -> None:
        refuse(block.path, block.first_row + row, column, expected, found)

    return say


def _bare(cells: pa.Array) -> pa.Array:
    """Cells without the quotation marks and blanks around them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.ascii_trim(cells.cast(pa.string()), ' "').cast(pa.binary())
    except pa.ArrowException:
        return cells  # not UTF-8: refused by whoever reads it


def _text(value: bytes) -> str:
    return value[:60].decode("utf-8", "backslashreplace")


FORMATS = (Format("csv", "table with a header: quotes, trades or bars", recognises, read),)
