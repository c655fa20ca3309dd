"""The bytes of Databento's binary encoding: the header with its symbols, and the layout of each record we read.

Source: the public description of DBN (databento.com/docs/standards-and-conventions/databento-binary-encoding), versions 1 to 3. All
integers are little-endian, prices are multiples of 1e-9; the largest value of a type means "undefined". A record starts with its length in
words of 4 bytes, its type (`rtype`), publisher, instrument and time; a live capture may append 8 bytes to each.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec
import numpy as np

from tercel.base.errors import DataError

MAGIC: Final = b"DBN"
VERSIONS: Final = (1, 2, 3)
PREFIX_BYTES: Final = 8
HEADER_BYTES_MAX: Final = 64 << 20
MIXED: Final = 0xFFFF
SCHEMAS: Final = (
    "mbo", "mbp-1", "mbp-10", "tbbo", "trades", "ohlcv-1s", "ohlcv-1m", "ohlcv-1h", "ohlcv-1d", "definition", "statistics", "status",
    "imbalance", "ohlcv-eod", "cmbp-1", "cbbo-1s", "cbbo-1m", "tcbbo", "bbo-1s", "bbo-1m",
)  # fmt: skip
INSTRUMENT_ID: Final = 0  # a kind of symbol: the number in the records
UNDEFINED_PRICE: Final = 2**63 - 1
UNDEFINED_TIME: Final = 2**64 - 1
LAST_OF_EVENT, FROM_SNAPSHOT = 128, 32  # flags

_HEAD: Final[list[Any]] = [("words", "u1"), ("rtype", "u1"), ("publisher", "<u2"), ("instrument", "<u4"), ("ts_event", "<u8")]
_TRADE: Final[list[Any]] = [
    *_HEAD, ("price", "<i8"), ("size", "<u4"), ("action", "S1"), ("side", "S1"), ("flags", "u1"), ("depth", "u1"), ("ts_recv", "<u8"),
    ("ts_in_delta", "<i4"), ("sequence", "<u4"),
]  # fmt: skip
_LEVEL: Final = np.dtype([
    ("bid", "<i8"), ("ask", "<i8"), ("bid_size", "<u4"), ("ask_size", "<u4"), ("bid_orders", "<u4"), ("ask_orders", "<u4"),
])  # fmt: skip
HEAD: Final = np.dtype(_HEAD)
ORDER: Final = np.dtype([
    *_HEAD, ("order", "<u8"), ("price", "<i8"), ("size", "<u4"), ("flags", "u1"), ("channel", "u1"), ("action", "S1"), ("side", "S1"),
    ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"),
])  # fmt: skip
TRADE: Final = np.dtype(_TRADE)
TOP: Final = np.dtype([*_TRADE, ("levels", _LEVEL, (1,))])
TEN: Final = np.dtype([*_TRADE, ("levels", _LEVEL, (10,))])
BAR: Final = np.dtype([*_HEAD, *((name, "<i8") for name in ("open", "high", "low", "close")), ("volume", "<u8")])
TRADES, MBP_1, MBP_10, MBO, DEFINITION, SYMBOL_MAPPING = 0x00, 0x01, 0x0A, 0xA0, 0x13, 0x16
BBO: Final = (0xC3, 0xC4)
OHLCV_SECONDS: Final = {0x20: 1, 0x21: 60, 0x22: 3_600, 0x23: 86_400}
DTYPES: Final = {
    TRADES: TRADE, MBP_1: TOP, MBP_10: TEN, MBO: ORDER, **dict.fromkeys(BBO, TOP), **dict.fromkeys(OHLCV_SECONDS, BAR)
}  # fmt: skip
NOT_IMPORTED: Final = {
    0x11: "OHLCV of the deprecated kind", 0x12: "status", 0x14: "imbalance", 0x15: "error", 0x17: "system", 0x18: "statistics",
    0x24: "OHLCV at the end of day", 0xB1: "consolidated MBP-1", 0xC0: "consolidated BBO", 0xC1: "consolidated BBO",
    0xC2: "consolidated TBBO",
}  # fmt: skip


def _picked(itemsize: int, **fields: tuple[str, int]) -> np.dtype[np.void]:
    chosen = {"words": ("u1", 0), "rtype": ("u1", 1), "publisher": ("<u2", 2), "instrument": ("<u4", 4), "ts_event": ("<u8", 8), **fields}
    return np.dtype({
        "names": list(chosen), "formats": [kind for kind, _ in chosen.values()], "offsets": [at for _, at in chosen.values()],
        "itemsize": itemsize,
    })  # fmt: skip


def _definition(itemsize: int, amount: int, unit: int, currency: int, symbol: str, at: int, kind: int) -> np.dtype[np.void]:
    return _picked(
        itemsize, increment=("<i8", 24), increment_amount=("<i8", amount), unit_quantity=("<i8", unit), currency=("S4", currency),
        symbol=(symbol, at), kind=("S1", kind),
    )  # fmt: skip


DEFINITIONS: Final = {
    1: _definition(360, 96, 88, 186, "S22", 200, 325),
    2: _definition(400, 96, 88, 186, "S71", 200, 374),
    3: _definition(520, 88, 80, 224, "S71", 238, 487),
}
MAPPINGS: Final = {
    1: _picked(80, symbol=("S22", 38)), 2: _picked(176, symbol=("S71", 89)), 3: _picked(176, symbol=("S71", 89)),
}  # fmt: skip


class Interval(msgspec.Struct, frozen=True):
    """From `first_date` up to but not including `end_date` (both YYYYMMDD, UTC) an instrument number means `symbol`."""

    first_date: int
    end_date: int
    symbol: str


class Header(msgspec.Struct, frozen=True):
    """What the beginning of a file says. `schema` is None when records are mixed; `symbols` has the intervals of each instrument number."""

    version: int
    dataset: str
    schema: str | None
    symbols: dict[int, list[Interval]]


def schema_of(data: bytes) -> str | None:
    """The schema in the first bytes of a DBN file, "" when it has several; None when `data` does not begin a DBN file we can read."""
    if not data.startswith(MAGIC) or len(data) < PREFIX_BYTES + 18 or data[3] not in VERSIONS:
        return None
    number = int.from_bytes(data[PREFIX_BYTES + 16 : PREFIX_BYTES + 18], "little")
    return "" if number == MIXED else SCHEMAS[number] if number < len(SCHEMAS) else None


def header_bytes(prefix: bytes, where: str) -> int:
    """How many bytes of header follow the first `PREFIX_BYTES`; raises `DataError` for another version or an impossible length."""
    length = int.from_bytes(prefix[4:8], "little")
    if not prefix.startswith(MAGIC) or prefix[3:4] not in (b"\1", b"\2", b"\3") or not 100 <= length <= HEADER_BYTES_MAX:
        raise DataError(f"{where}: expected DBN of version 1, 2 or 3, found {prefix!r}; nothing was imported")
    return length


def parse_header(version: int, data: bytes, where: str) -> Header:
    """The header from the bytes after the first `PREFIX_BYTES`. Raises `DataError` when they do not make one."""
    try:
        return _parse_header(version, data)
    except (struct.error, ValueError, UnicodeDecodeError, IndexError) as error:
        raise DataError(f"{where}: expected a whole DBN header, found a damaged one ({error}); nothing was imported") from error


def _parse_header(version: int, data: bytes) -> Header:
    number = int.from_bytes(data[16:18], "little")
    dataset = _text(data[:16])
    kinds_at = 42 if version > 1 else 50  # version 1 has a count of records here
    kind_in, kind_out = data[kinds_at], data[kinds_at + 1]
    width = int.from_bytes(data[kinds_at + 3 : kinds_at + 5], "little") if version > 1 else 22
    if not 1 <= width <= 1_000:
        raise ValueError(f"symbols of {width} bytes")
    reader = _Reader(data, 100)
    reader.skip(reader.count(1))  # a definition of the schema, never used
    for _ in range(3):  # symbols asked for, found in part, not found
        reader.skip(reader.count(width) * width)
    symbols: dict[int, list[Interval]] = {}
    for _ in range(reader.count(width + 4)):
        raw = reader.text(width)
        for _ in range(reader.count(8 + width)):
            first, end, other = reader.number(), reader.number(), reader.text(width)
            number_text, name = (other, raw) if kind_out == INSTRUMENT_ID else (raw, other)
            if other and (kind_out == INSTRUMENT_ID or kind_in == INSTRUMENT_ID):
                symbols.setdefault(int(number_text), []).append(Interval(first, end, name))
    schema = None if number == MIXED else SCHEMAS[number] if number < len(SCHEMAS) else f"schema {number}"
    return Header(version, dataset, schema, symbols)


class _Reader:
    """Reads on from a place in bytes; raises `struct.error` or `ValueError` at their end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def number(self) -> int:
        (value,) = struct.unpack_from("<I", self._data, self._at)
        self._at += 4
        return int(value)

    def count(self, item_bytes: int) -> int:
        value = self.number()
        if value * item_bytes > len(self._data) - self._at:
            raise ValueError(f"{value:,} entries where {len(self._data) - self._at:,} bytes are left")
        return value

    def skip(self, count: int) -> None:
        self._at += count

    def text(self, width: int) -> str:
        value = self._data[self._at : self._at + width]
        if len(value) < width:
            raise ValueError("it ends within a symbol")
        self._at += width
        return _text(value)


def _text(value: bytes) -> str:
    return value.split(b"\0", 1)[0].decode("ascii")
