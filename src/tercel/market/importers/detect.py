"""Which format a file has: asked of every format in turn, by content, never by name."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

from tercel.base.errors import ConfigError, DataError
from tercel.market.importers import recordings
from tercel.market.importers.batch import Format, Head
from tercel.market.importers.compressed import damaged, members, open_plain, packing, sole

MODULES: Final = (  # asked in this order
    "parquet",
    "truefx",
    "histdata",
    "metatrader",
    "dbn",
    "dukascopy",
    "csvdir",
    "closebars",
    "lobster",  # before LEAN: a message has the shape of one of its bars
    "lean",
    "tardis",
    "recordings",  # before the collector's, whose lines they have
    "binance_collector",
    "binance_klines",
    "bybit",
    "bitfinex",
    "freqtrade",
    "kraken",
    "generic",  # the least particular last
)
HEAD_BYTES: Final = 1 << 16
HEAD_LINES: Final = 20


@cache
def formats() -> dict[str, Format]:
    """Every format by name, in the order in which they are asked."""
    modules = (import_module(f"{__package__}.{name}") for name in MODULES)
    return {one.name: one for module in modules for one in module.FORMATS}


def named(name: str) -> Format:
    """The format of `--format`; raises `ConfigError` with the list for an unknown name."""
    if name in formats():
        return formats()[name]
    near = difflib.get_close_matches(name, formats(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "they are:"
    raise ConfigError(f"--format: there is no format {name!r}; {hint} {', '.join(formats())}")


def detect(head: Head) -> Format | None:
    """The format that recognises the beginning of a file, None when none does."""
    return next((one for one in formats().values() if one.recognises(head)), None)


def read_head(path: Path) -> Head:
    """The beginning of a regular file, unpacked. Raises `DataError` when there is nothing in it or it cannot be read."""
    if not path.is_file():
        raise DataError(f"{path}: expected a file, found {'nothing' if not path.exists() else 'something else'}")
    try:
        with path.open("rb") as file:
            kind = packing(file.read(8))
        names = members(path) if kind == "zip" else []
        with open_plain(path, (sole(names) or names[0]) if names else None, cut_off=True) as plain:
            data = plain.read(HEAD_BYTES)
            if plain.cut_off and not recordings.BEGINNING.match(data):
                raise damaged(path, EOFError("it ends in the middle"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if not data:
        raise DataError(f"{path}: the file is empty")
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    whole = lines if len(data) < HEAD_BYTES else lines[:-1]
    shown = tuple(line.rstrip(b"\r") for line in whole if line.strip())[:HEAD_LINES]
    return Head(path, data, shown, kind, tuple(names))
