"""What the columns of a table mean: usual names, or those the user maps, become one layout of quotes, trades or bars.

Used for text files (`csv`) and for tables in memory (`tables`). What is ambiguous is refused with what to say; nothing is guessed silently.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from tercel.base.errors import ConfigError, DataError
from tercel.market.manifest import Kind

# The usual names of each role, lower case, words joined by one underscore.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "time": (
        "time", "timestamp", "datetime", "date_time", "ts", "ts_event", "epoch", "unix", "unix_time", "gmt_time", "utc_time", "local_time",
        "open_time",
    ),
    "date": ("date", "day"),
    "bid": ("bid", "bid_price", "bidprice", "best_bid", "bid_px"),
    "ask": ("ask", "ask_price", "askprice", "best_ask", "ask_px", "offer"),
    "bid_size": ("bid_size", "bidsize", "bid_volume", "bidvolume", "bid_qty", "bid_quantity", "bid_sz"),
    "ask_size": ("ask_size", "asksize", "ask_volume", "askvolume", "ask_qty", "ask_quantity", "ask_sz"),
    "price": ("price", "trade_price", "last", "last_price", "px"),
    "size": ("size", "trade_size", "qty", "quantity", "amount", "sz"),
    "side": ("side", "taker_side", "aggressor", "aggressor_side"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v", "tick_volume", "tickvol"),
    "symbol": ("symbol", "ticker", "instrument", "pair"),
}  # fmt: skip
ROLES: Final = tuple(NAMES)
NEEDED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "quote": ("bid", "ask"), "bar": ("open", "high", "low", "close"), "trade": ("price",),
}  # fmt: skip
OPTIONAL: Final[Mapping[Kind, tuple[str, ...]]] = {"quote": ("bid_size", "ask_size"), "bar": ("volume",), "trade": ("size", "side")}
PRICES: Final = "prices (bid and ask, or price, or open, high, low and close)"
_ROLE_OF: Final = {name: role for role, names in NAMES.items() for name in names}
_PAIR: Final = re.compile(r"\s*([a-z_]+)\s*=\s*(.+?)\s*")


class Unclear(DataError):
    """Names of columns that leave something open: `what` it is, and the column to name for each role that is `asked` for."""

    def __init__(self, where: str, what: str, asked: Mapping[str, str]) -> None:
        pairs = ",".join(f"{role}={column}" for role, column in asked.items())
        super().__init__(f'{where}: {what}; say which: --columns "{pairs}"')
        self.what, self.asked = what, asked


class Layout(msgspec.Struct, frozen=True):
    """What a table holds: its kind, the place (from 0) of each role's column, and the names of columns that are left out."""

    kind: Kind
    places: dict[str, int]
    left_out: tuple[str, ...] = ()

    @property
    def dated(self) -> bool:
        """Whether date and time of day stand in two columns."""
        return "date" in self.places and "time" in self.places


def parse_mapping(text: str | None) -> dict[str, str]:
    """{"time": "Zeit", "bid": "Geld"} of "time=Zeit,bid=Geld". Raises `ConfigError` for an unknown role or anything else."""
    found: dict[str, str] = {}
    for part in filter(None, (text or "").split(",")):
        match = _PAIR.fullmatch(part)
        if match is None or match[1] not in ROLES:
            near = difflib.get_close_matches(match[1], ROLES, n=1) if match else []
            hint = f"did you mean {near[0]!r}?" if near else f"the roles are {', '.join(ROLES)}"
            raise ConfigError(f'--columns: expected pairs such as "time=Zeit,bid=Geld,ask=Brief", found {part!r}; {hint}')
        if match[1] in found:
            raise ConfigError(f"--columns: {match[1]!r} is there twice")
        found[match[1]] = match[2]
    return found


def resolve(names: Sequence[str], mapping: Mapping[str, str], where: str) -> Layout:
    """The layout of a table with these column names; `mapping` says the name, or the number from 1, of the columns of some roles.

    Raises `DataError`, beginning with `where`, for names that leave open what the table holds, and says what to pass.
    """
    places = {role: _mapped(names, role, column, where) for role, column in mapping.items()}
    taken = set(places.values())
    for place, name in enumerate(names):
        role = role_of(name)
        if not role or place in taken or role in mapping:
            continue
        if role in places:
            both = f"{names[places[role]]!r} and {name!r}"
            raise Unclear(where, f"two columns could be the {role}, {both}", {role: name})
        places[role] = place
    _name_the_time(places)
    kind = _kind(names, places, where)
    used = ("date", "time", "symbol", *NEEDED[kind], *OPTIONAL[kind])
    chosen = {role: place for role, place in places.items() if role in used}
    idle = sorted(set(mapping) - set(chosen))
    if idle:
        raise DataError(f"{where}: columns are said for {', '.join(idle)}, which a table of {kind}s has not")
    return Layout(kind, chosen, tuple(names[place] for place in range(len(names)) if place not in chosen.values()))


def role_of(name: str) -> str:
    """The role that a column of this name has, "" when the name is none of the usual ones."""
    return _ROLE_OF.get(normal(name), "")


def normal(name: str) -> str:
    """A column's name in the one form the table of names has: "Bid Price" is "bid_price"."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _mapped(names: Sequence[str], role: str, column: str, where: str) -> int:
    exact = [place for place, name in enumerate(names) if name.strip() == column]
    if len(exact) == 1:
        return exact[0]
    if column.isascii() and column.isdigit() and 1 <= int(column) <= len(names):
        return int(column) - 1
    raise DataError(f"{where}: column {column!r} for the {role}: expected the name or the number of one column, found {_listed(names)}")


def _name_the_time(places: dict[str, int]) -> None:
    """A date without a time of day is the time."""
    if "date" in places and "time" not in places:
        places["time"] = places.pop("date")


def _kind(names: Sequence[str], places: dict[str, int], where: str) -> Kind:
    """Quotes, bars or trades: the one whose columns are all there. The volume of a trade is its size."""
    if "price" in places and "size" not in places and "volume" in places and "open" not in places:
        places["size"] = places.pop("volume")
    whole: list[Kind] = [kind for kind, needed in NEEDED.items() if all(role in places for role in needed)]
    if "bar" in whole and "trade" in whole:
        whole.remove("trade")  # bars with a last price are bars
    if len(whole) > 1:
        raise DataError(
            f"{where}: the columns are those of {' and of '.join(f'{kind}s' for kind in whole)} ({_listed(names)}); "
            f"leave the others out of the file"
        )
    missing = ["time"] if "time" not in places else []
    if not whole:
        missing += sorted(_missing(places), key=len)[0]
    if missing:
        bare = not whole and not any(role in places for needed in NEEDED.values() for role in needed)
        lacking = [PRICES if bare and role == "price" else role for role in missing]
        what = f"found no column of the {' and of '.join(lacking)} among {_listed(names)}"
        raise Unclear(where, what, dict.fromkeys(missing, "…"))
    return whole[0]


def _missing(places: Mapping[str, int]) -> Iterator[list[str]]:
    """For each kind the roles it still needs; kinds with something there first."""
    for needed in sorted(NEEDED.values(), key=lambda roles: not any(role in places for role in roles)):
        yield [role for role in needed if role not in places]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")
