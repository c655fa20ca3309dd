"""LEAN's data folder: ticks, second to daily bars of trades and quotes, as zips of CSV or the CSV alone.

Rows have neither symbol nor date: `lean_names.py` takes them from the names. Times are milliseconds since local midnight, with decimals
for what is finer; hour and day files write the local time. A file of quote bars becomes two series, bid and ask; the sizes in it are
those of the last quote and no volume, so volume is not known. A zero price of a quote tick means that the side is not quoted; ticks of
neither side, which announce the end of a halt, are counted and left out. Exchange letter and condition bits of share ticks are in `ref`,
a suspicious tick bears SUSPECT, as in the Parquet layouts. Factor files (splits, dividends), map files, options and open interest are
known and left out: the catalog keeps prices as they were traded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.records import LAST, SUSPECT, TICK, TRADE, Records
from tercel.base.time import NS_PER_DAY, NS_PER_MS
from tercel.market.importers.batch import Batch, Floats, Format, Head, Mask, Options, Times, Zone, bars, quotes, refuse
from tercel.market.importers.clock import Clock, parse_zone
from tercel.market.importers.compressed import members, packing
from tercel.market.importers.lean_names import INTERVALS, LEFT_OUT_ASSETS, Place, folder_of, is_day_name, place_of, zone_of
from tercel.market.importers.textfile import Block, blocks, columns, instants, numbers

if TYPE_CHECKING:
    import pyarrow as pa

NO_SIDE: Final = "quotes without a bid and an ask: left out"
SIZES_ARE_NO_VOLUME: Final = "quote bars whose sizes are of their last quote: left out, the volume is not known"
EXACT_BELOW: Final = 2.0**53  # whole numbers from here on are not all doubles
_MS: Final = rb"(?:[1-7]?\d{1,7}|8[0-5]\d{6}|86[0-3]\d{5})(?:\.\d{1,9})?"
_NUMBER: Final = rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_WHEN: Final = rb"(?:" + _MS + rb"|\d{8} \d\d:\d\d)"
_SIDE: Final = rb"(?:(?:," + _NUMBER + rb"){5}|,,,,,(?:" + _NUMBER + rb")?)"
_SHAPES: Final = tuple(
    re.compile(shape)
    for shape in (
        _MS + rb"(?:," + _NUMBER + rb"){2}",  # quote ticks of currencies, trade ticks of crypto
        _MS + rb"(?:," + _NUMBER + rb"){4}",  # quote ticks of crypto
        _MS + rb"(?:," + _NUMBER + rb"){2},[A-Za-z]*,[0-9A-Fa-f]*(?:null)?,[01]",  # trade ticks of shares and futures
        _MS + rb"(?:," + _NUMBER + rb"){4},[A-Za-z]*(?:,[0-9A-Fa-f]*)?,[01]",  # quote ticks of shares and futures
        _WHEN + rb"(?:," + _NUMBER + rb"){5}",  # trade bars
        _WHEN + _SIDE + _SIDE,  # quote bars
    )
)
_FACTOR: Final = re.compile(rb"\d{8},(?:\d+\.?\d*|inf)(?:[eE]-?\d+)?(?:,\d+\.?\d*(?:[eE]-?\d+)?){1,2}")
_MAP: Final = re.compile(rb"\d{8},[a-z][a-z0-9._-]*(?:,[A-Z]?(?:,\d)?)?")
_OHLC: Final = ("open", "high", "low", "close")
_TICKS: Final = {  # columns of a tick file by asset class and type; share columns where the class is not named
    ("forex", "quote"): ("time", "bid", "ask"),
    ("cfd", "quote"): ("time", "bid", "ask"),
    ("crypto", "trade"): ("time", "price", "size"),
    ("crypto", "quote"): ("time", "bid", "bid_size", "ask", "ask_size"),
    ("cryptofuture", "trade"): ("time", "price", "size"),
    ("cryptofuture", "quote"): ("time", "bid", "bid_size", "ask", "ask_size"),
    ("future", "quote"): ("time", "bid", "bid_size", "ask", "ask_size", "exchange", "suspicious"),
    ("", "trade"): ("time", "price", "size", "exchange", "condition", "suspicious"),
    ("", "quote"): ("time", "bid", "bid_size", "ask", "ask_size", "exchange", "condition", "suspicious"),
}
_EXPECTED: Final = {"exchange": "a letter", "condition": "hexadecimal condition bits", "suspicious": "0 or 1"}
_BARS: Final = {
    "trade": ("time", *_OHLC, "volume"),
    "quote": ("time", *(f"bid_{name}" for name in (*_OHLC, "size")), *(f"ask_{name}" for name in (*_OHLC, "size"))),
}


def recognises(head: Head) -> bool:
    """True when the first lines all have one of LEAN's shapes, in a zip or in a file named as LEAN names its tables."""
    named = head.packing == "zip" or is_day_name(head.path.name)
    return named and bool(head.lines) and any(all(shape.fullmatch(line) for line in head.lines) for shape in _SHAPES)


def recognises_left_out(head: Head) -> bool:
    """True for LEAN's options, indices and open interest: a zip with such tables in it."""
    odd = folder_of(head.path).asset in LEFT_OUT_ASSETS or any("_openinterest" in name.lower() for name in head.members)
    return head.packing == "zip" and odd


def recognises_factors(head: Head) -> bool:
    """True for rows of date, price factor, split factor and reference price whose dates increase."""
    dates = [line[:8] for line in head.lines]
    return not head.packing and all(_FACTOR.fullmatch(line) for line in head.lines) and dates == sorted(set(dates)) and _ends_late(head)


def recognises_map(head: Head) -> bool:
    """True for rows of date, ticker and exchange."""
    return not head.packing and all(_MAP.fullmatch(line) for line in head.lines) and _ends_late(head)


def clock_of(path: Path, options: Options) -> Zone:
    """The clock of a file's market."""
    place = place_of(path, _tables(path)[0], options)
    found = zone_of(path, options, place)
    return Zone(found, f"the clock of LEAN's {place.asset} data of {place.market} is taken as {found}; --timezone says another")


def read(path: Path, options: Options) -> Iterator[Batch]:
    """Batches of quotes, trades or bars; from a zip of several contracts one after the other."""
    tables = _tables(path)
    if options.symbol and len(tables) > 1:
        raise ConfigError(f"{path.name}: --symbol names one series, the zip holds {len(tables)} contracts; leave the option out")
    for done, member in enumerate(tables):
        place = place_of(path, member, options)
        clock = Clock(parse_zone(zone_of(path, options, place)))
        for block in blocks(path, member=member if packing(_magic(path)) == "zip" else None):
            if len(tables) > 1:
                block.path, block.fraction = path / member, (done + block.fraction) / len(tables)
            for batch in _batches(block, place, clock):
                if len(tables) > 1:
                    batch.member = member
                yield batch


def _tables(path: Path) -> list[str]:
    return members(path) if packing(_magic(path)) == "zip" else [path.name]


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _ends_late(head: Head) -> bool:
    """Factor and map files end with a row of the far future, which is all that tells a map from other short tables."""
    return head.data.rstrip()[-64:].rpartition(b"\n")[2][:4] == b"2050"


def _batches(block: Block, place: Place, clock: Clock) -> Iterator[Batch]:
    rows = np.arange(block.first_row, block.first_row + block.data.count(b"\n") + (not block.data.endswith(b"\n")))
    if place.resolution == "tick":
        names = _TICKS.get((place.asset, place.tick_type)) or _TICKS["", place.tick_type]
        cells = columns(block, names, ",")
        times, notes = clock.utc(_local(block, cells["time"], place))
        if place.tick_type == "trade":
            yield Batch(place.symbol, place.venue, "trade", _trades(block, cells, times, place.scale), rows, block.fraction, notes=notes)
            return
        records = _quotes(block, cells, times, place.scale)
        quoted = ~(np.isnan(records["price"]) & np.isnan(records["price2"]))
        if not quoted.all():
            notes = {**notes, NO_SIDE: int((~quoted).sum())}
        yield Batch(place.symbol, place.venue, "quote", records[quoted], rows[quoted], block.fraction, notes=notes)
        return
    cells = columns(block, _BARS[place.tick_type], ",")
    times, notes = clock.utc(_local(block, cells["time"], place))
    interval = INTERVALS[place.resolution]
    for basis in ("bid", "ask") if place.tick_type == "quote" else ("trade",):
        mark = "" if basis == "trade" else f"{basis}_"
        there = np.array([bool(value) for value in cells[f"{mark}open"].to_pylist()]) if mark else np.ones(len(rows), bool)
        records, mine = _bar_records(block, cells, times, place.scale, mark, there), rows[there]
        if basis == "bid" and len(mine):
            notes = {**notes, SIZES_ARE_NO_VOLUME: len(mine)}
        yield Batch(place.symbol, place.venue, "bar", records, mine, block.fraction, interval, basis, notes)
        notes = {}


def _local(block: Block, cells: pa.Array, place: Place) -> Times:
    """Local ns: the row's own date and time, or milliseconds since the midnight of the file's date."""
    if not place.day_ns:
        return instants(block, "time", cells, "YYYYMMDD hh:mm")
    ms = numbers(block, "time", cells)
    with np.errstate(over="ignore"):  # what is beyond a double is no time of a day
        since = np.rint(ms * NS_PER_MS)
    good = (since >= 0) & (since < NS_PER_DAY)
    if not good.all():
        first = int(np.argmin(good))
        refuse(block.path, block.first_row + first, "time", "milliseconds of a day, 0 to 86,399,999", float(ms[first]))
    return place.day_ns + since.astype(np.int64)


def _bar_records(block: Block, cells: dict[str, pa.Array], times: Times, scale: int, mark: str, there: Mask) -> Records:
    prices = {name: _prices(block, f"{mark}{name}", cells, scale, there) for name in _OHLC}
    volume = np.nan if mark else numbers(block, "volume", cells["volume"])
    return bars(times[there], prices, volume)


def _quotes(block: Block, cells: dict[str, pa.Array], times: Times, scale: int) -> Records:
    sides = []
    for side in ("bid", "ask"):
        price, size = _prices(block, side, cells, scale), np.full(len(times), np.nan)
        if f"{side}_size" in cells:
            quoted = price != 0
            price, size = np.where(quoted, price, np.nan), np.where(quoted, numbers(block, f"{side}_size", cells[f"{side}_size"]), np.nan)
        sides.append((price, size))
    (bid, bid_size), (ask, ask_size) = sides
    return _marks(block, cells, quotes(times, bid, ask, bid_size, ask_size))


def _trades(block: Block, cells: dict[str, pa.Array], times: Times, scale: int) -> Records:
    records = np.zeros(len(times), TICK)
    records["ts_event"], records["kind"], records["flags"] = times, TRADE, LAST
    records["price"], records["size"] = _prices(block, "price", cells, scale), numbers(block, "size", cells["size"])
    records["price2"] = records["size2"] = np.nan
    return _marks(block, cells, records)


def _marks(block: Block, cells: dict[str, pa.Array], records: Records) -> Records:
    """The exchange's letter, the condition bits and the vendor's doubt."""
    if "exchange" in cells:
        letters = _coded(block, "exchange", cells, lambda text: ord(text) if len(text) == 1 and text.isascii() else 0)
        conditions = _coded(block, "condition", cells, _hexadecimal) if "condition" in cells else 0
        records["ref"] = conditions << 8 | letters
        doubt = _coded(block, "suspicious", cells, {"0": 0, "1": SUSPECT}.get)
        records["flags"] |= doubt.astype(np.uint16)
    return records


def _hexadecimal(text: str) -> int | None:
    if text in ("", "null"):
        return 0
    return int(text, 16) if re.fullmatch(r"[0-9A-Fa-f]{1,8}", text) else None


def _coded(block: Block, name: str, cells: dict[str, pa.Array], code: Callable[[str], int | None]) -> Times:
    """A column of few distinct texts as the number of each; a text without one is refused."""
    encoded = cells[name].dictionary_encode()
    codes = [code(value.decode("utf-8", "backslashreplace")) for value in encoded.dictionary.to_pylist()]
    places = encoded.indices.to_numpy()
    if None in codes:
        first = int(np.argmax(np.array([one is None for one in codes])[places]))
        refuse(block.path, block.first_row + first, name, _EXPECTED[name], cells[name][first].as_py().decode("utf-8", "backslashreplace"))
    result: Times = np.array(codes, np.int64)[places]
    return result


def _prices(block: Block, name: str, cells: dict[str, pa.Array], scale: int, there: Mask | None = None) -> Floats:
    """A column of prices; ten-thousandths become the nearest double to the decimal number of dollars."""
    column = cells[name]
    if there is not None and not there.all():
        import pyarrow as pa

        column = column.filter(pa.array(there))
    values = numbers(block, name, column)
    if scale == 1:
        return values
    scaled = values / scale
    for index in np.flatnonzero((values != np.rint(values)) | (np.abs(values) >= EXACT_BELOW)):  # dividing would round twice
        scaled[index] = float(Decimal(column[int(index)].as_py().decode()) / scale)
    return scaled


NO_PLACE: Final = "the catalog has no place for {}; prices are kept as they were traded"
FORMATS = (
    Format("lean-factors", "LEAN factor file", recognises_factors, read, left_out=NO_PLACE.format("splits and dividends")),
    Format("lean-map", "LEAN map file", recognises_map, read, left_out=NO_PLACE.format("changes of a ticker")),
    Format("lean-other", "LEAN options, indices and open interest", recognises_left_out, read, left_out=NO_PLACE.format("them")),
    Format("lean", "LEAN ticks and bars, zip or CSV", recognises, read, clock=clock_of),
)
