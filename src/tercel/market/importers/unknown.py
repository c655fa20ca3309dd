"""What a file that cannot be read as it stands holds, why it is not taken, and one command line that reads it.

A table is looked into: columns of usual names keep their roles, the others are guessed from their first rows. A guess is only ever shown,
with everything else that is missing, for the user to say; nothing is imported by it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from tercel.base.errors import ConfigError, DataError
from tercel.market.definitions import known
from tercel.market.importers import generic
from tercel.market.importers.batch import Head, Options
from tercel.market.importers.headings import NEEDED, OPTIONAL, Unclear, parse_mapping, role_of
from tercel.market.importers.times import is_time
from tercel.market.importers.venues import likely_symbol, likely_venue

SHOWN_MAX: Final = 60
FORMATS_SHOWN: Final = "all formats: tercel data formats"
EXAMPLES: Final = {"symbol": "EURUSD", "venue": "mine"}
_SIGNS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_NUMBER: Final = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
_CLOCK: Final = re.compile(r"\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?")
Cells = Sequence[str]


def unknown_format(head: Head, options: Options) -> str:
    """For the refusal of a file that no format recognises: what was found, why it is no table either, and what to do."""
    text = _text(head)
    if text is None:
        return f"unknown format; found {len(head.data):,} bytes that are no text, beginning {head.data[:8].hex(' ')}; {FORMATS_SHOWN}"
    separator = generic.separator_of(text)
    if separator not in text or text.lstrip()[:1] in ("{", "[", "<"):
        found = f"found text whose first line is {text[:SHOWN_MAX]!r}"
        why = "it is no table with columns, nor any other known text"
        return f"unknown format; {found}; {why}; {FORMATS_SHOWN}"
    found = f"found a table of {text.count(separator) + 1} columns between {_SIGNS[separator]}"
    return f"unknown format; {found}; as a table (csv): {_refusal(head, options)}; {FORMATS_SHOWN}"


def check_table(head: Head, options: Options) -> None:
    """Raise one error for everything that a table and its name leave open: its columns, its symbol, its venue."""
    try:
        header = generic.header_of(head, parse_mapping(options.columns))
    except Unclear as error:
        raise DataError(f"{head.path.name}: {_ask(head, options, error)}") from None
    lacking = _unsaid(head, options, "symbol" in header.layout.places)
    if len(lacking) > 1:
        raise ConfigError(f"{head.path.name}: {_nothing_says(lacking)}; to import it: {_command(head, options, {})}")


def _refusal(head: Head, options: Options) -> str:
    """Why a table is not read, and the command line that reads it."""
    try:
        layout = generic.header_of(head, {}).layout
    except (ConfigError, DataError) as error:
        return _ask(head, options, error)
    unknown, unsaid = ", ".join(filter(None, layout.left_out))[:200], _unsaid(head, options, "symbol" in layout.places)
    what = "; ".join(filter(None, (f"not known: {unknown}", _nothing_says(unsaid))))
    return f"{what}; if each row is a {layout.kind} all the same: {_command(head, options, {'format': 'csv'})}"


def _ask(head: Head, options: Options, error: ConfigError | DataError) -> str:
    """What an error says, and behind it a command line that answers it, when one can be made."""
    mapping = parse_mapping(options.columns)
    guess = guessed(head, mapping)
    try:
        layout = generic.header_of(head, {**mapping, **guess}).layout
    except (ConfigError, DataError):
        return str(error).partition(": ")[2]
    what = error.what if isinstance(error, Unclear) else str(error).partition(": ")[2].partition("; say")[0]
    named = "symbol" in layout.places
    what = "; ".join(filter(None, (what, _nothing_says(_unsaid(head, options, named)))))
    columns = ",".join(f"{role}={column}" for role, column in {**mapping, **guess}.items())
    how = "if its columns are these" if guess else "to import it"
    return f"{what}; {how}: {_command(head, options, {'columns': columns}, named=named)}"


def _unsaid(head: Head, options: Options, named: bool) -> list[str]:
    """Which of symbol and venue neither the options nor the file say; `named` when the rows name their symbols."""
    symbol = options.symbol or likely_symbol(head.path)
    lacks = {"symbol": not (symbol or named), "venue": not (options.venue or likely_venue(head.path, symbol))}
    return [one for one, lacking in lacks.items() if lacking]


def _nothing_says(unsaid: Sequence[str]) -> str:
    return f"nothing says {' and '.join(f'its {one}' for one in unsaid)}" if unsaid else ""


def _command(head: Head, options: Options, said: Mapping[str, str], *, named: bool = False) -> str:
    """The command line that says it all, with examples in place of what only the user knows."""
    given = {name: getattr(options, name) for name in ("format", "columns", "symbol", "venue", "timezone", "dates", "basis")}
    examples = {one: EXAMPLES[one] for one in _unsaid(head, options, named)}
    words = {name: value for name, value in {**given, **said, **examples}.items() if value is not None}
    flags = [f"--{name} {_quoted(value)}" for name, value in words.items()] + ["--decimal-comma"] * options.decimal_comma
    own = f" (with your own in place of {' and '.join(examples.values())})" if examples else ""
    return f"tercel data import {shlex.quote(str(head.path))} {' '.join(flags)}{own}"


def _quoted(value: str) -> str:
    return f'"{value}"' if "=" in value and not set(value) & set('"$`\\') else shlex.quote(value)


def guessed(head: Head, mapping: Mapping[str, str]) -> dict[str, str]:
    """Role -> column, by name or number from 1, of the columns that neither a usual name nor `mapping` gives a role; guessed by content."""
    text = _text(head) or ""
    separator = generic.separator_of(text)
    rows = [[cell.strip(' "') for cell in line.decode("utf-8", "replace").split(separator)] for line in head.lines]
    names, headless = rows[0], any(map(_NUMBER.fullmatch, rows[0]))
    rows = [row for row in (rows if headless else rows[1:]) if len(row) == len(names)]
    if not rows:
        return {}
    cells = {place: [row[place] for row in rows] for place in range(len(names))}
    taken = {} if headless else {role: place for place, name in enumerate(names) if (role := role_of(name))}
    for role, column in mapping.items():
        taken[role] = names.index(column) if column in names else int(column) - 1 if column.isdigit() else -1
    free = {place: one for place, one in cells.items() if place not in taken.values() and all(one)}
    found = dict(_times(free, taken))
    numbers = {place: one for place, one in free.items() if place not in found.values() and all(map(_NUMBER.fullmatch, one))}
    found.update(_prices(numbers, taken))
    if "symbol" not in taken:
        symbols = [place for place, one in free.items() if all(known(cell.replace("/", "", 1)) for cell in one)]
        found.update(zip(["symbol"], symbols, strict=False))
    plain = {name for name in names if names.count(name) == 1 and not headless and name and not set(name) & set(',="')}
    return {role: names[place] if names[place] in plain else str(place + 1) for role, place in found.items()}


def _times(free: Mapping[int, Cells], taken: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    if "time" in taken or "date" in taken:
        return
    times = [place for place, cells in free.items() if all(map(is_time, cells))]
    clocks = [place for place, cells in free.items() if all(map(_CLOCK.fullmatch, cells))]
    if times and clocks:
        yield "date", times[0]
        yield "time", clocks[0]
    elif times:
        yield "time", times[0]


def _prices(numbers: Mapping[int, Cells], taken: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """The columns of the one kind whose numbers fit, the kind of which there are columns already before the others."""
    places = list(numbers)
    values = [[float(cell.replace(",", ".")) for cell in cells] for cells in numbers.values()]
    for kind in sorted(NEEDED, key=lambda kind: not any(role in taken for role in NEEDED[kind])):
        roles = [role for role in NEEDED[kind] if role not in taken]
        begun = len(roles) < len(NEEDED[kind])
        if begun and not roles:
            return
        if len(places) >= len(roles) and (begun or _FITS[kind](*values[: len(roles)])):
            more = [role for role in OPTIONAL[kind] if role not in taken and kind != "quote" and role != "side"]
            yield from zip([*roles, *more], places, strict=False)
            return


_FITS: Final[Mapping[str, Callable[..., bool]]] = {
    "quote": lambda bid, ask: len(bid) > 0 and all(0 < b <= a < 1.1 * b for b, a in zip(bid, ask, strict=True)),
    "bar": lambda o, h, low, c: all(least <= min(a, b) and max(a, b) <= most for a, most, least, b in zip(o, h, low, c, strict=True)),
    "trade": lambda price: all(one > 0 for one in price),
}


def _text(head: Head) -> str | None:
    """The first line of a text, None when the file is none."""
    try:
        return head.lines[0].decode("utf-8") if head.lines and b"\0" not in head.data else None
    except UnicodeDecodeError:
        return None
