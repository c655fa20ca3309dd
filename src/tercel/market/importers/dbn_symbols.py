"""Which symbol an instrument number of a DBN file means on which day, and whose market its dataset is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_DAY
from tercel.market.importers.batch import Options, Times, refuse
from tercel.market.importers.dbn_layout import Header, Interval

VENUES: Final = {
    "GLBX": "cme", "XNAS": "nasdaq", "XNYS": "nyse", "XASE": "nyse-american", "ARCX": "nyse-arca", "IFEU": "ice", "IFUS": "ice",
    "NDEX": "ice", "XEUR": "eurex", "XEEE": "eex", "DBEQ": "us", "EQUS": "us",
}  # fmt: skip
Rows = np.ndarray[tuple[int], np.dtype[Any]]


def venue_of(dataset: str) -> str:
    """The catalog's venue of a dataset: "GLBX.MDP3" is "cme", one not in the table its own name in lower case."""
    market = dataset.partition(".")[0]
    return VENUES.get(market) or market.lower()


class Symbols:
    """The symbols of one file."""

    def __init__(self, path: Path, header: Header, options: Options) -> None:
        self._path, self._given, self._only = path, options.symbol, None if options.symbol is None else -1
        self._intervals = {number: list(intervals) for number, intervals in header.symbols.items()}
        if options.symbol and len(self._intervals) > 1 and len({one.symbol for many in self._intervals.values() for one in many}) > 1:
            raise ConfigError(f"{path.name}: --symbol names one series, the file has several instruments; leave the option out")

    def learn(self, rows: Rows, numbers: Times) -> None:
        """Take the mapping records of a live capture: from now on a number means their symbol."""
        for row, number in zip(rows, numbers.tolist(), strict=True):
            symbol, instrument = row["symbol"].split(b"\0", 1)[0].decode("ascii", "backslashreplace"), int(row["instrument"])
            known = self._intervals.setdefault(instrument, [])
            if any(one.symbol != symbol for one in known):
                refuse(self._path, number, "stype_out_symbol", f"{known[0].symbol!r}, as instrument {instrument} was before", symbol)
            if not known:
                known.append(Interval(0, 99_999_999, symbol))

    def split(self, rows: Rows, times: Rows, numbers: Times) -> Iterator[tuple[str, Times]]:
        """The symbols in a block and the places of their rows, in file order. `times` in ns decide which day's symbol counts."""
        days = (times // np.uint64(NS_PER_DAY)).astype(np.int64)
        pairs, first, place = np.unique(
            np.stack([rows["instrument"].astype(np.int64), days]), axis=1, return_index=True, return_inverse=True
        )
        names = [self._name(int(pairs[0, index]), int(pairs[1, index]), int(numbers[first[index]])) for index in range(pairs.shape[1])]
        codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
        mine = np.array([codes[name] for name in names])[place.reshape(-1)]
        for name, code in codes.items():
            yield name, np.flatnonzero(mine == code)

    def _name(self, instrument: int, day: int, number: int) -> str:
        if self._given is not None:
            self._only = instrument if self._only == -1 else self._only
            if instrument != self._only and not self._intervals:
                refuse(self._path, number, "instrument_id", f"{self._only}, since --symbol names one series", instrument)
            return self._given
        date = int(str(np.datetime64(min(day, 47_482), "D")).replace("-", ""))
        found = [one.symbol for one in self._intervals.get(instrument, ()) if one.first_date <= date < one.end_date]
        if not found:
            expected = f"an instrument whose symbol on {date} is in the file's header (--symbol says it for a file of one)"
            refuse(self._path, number, "instrument_id", expected, instrument)
        return found[0]
