"""What LEAN's names say: asset class, market and resolution by folder, date, symbol and tick type by the file in the zip.

    equity/usa/minute/aapl/20140605_trade.zip : 20140605_aapl_minute_trade.csv
    future/cme/minute/es/20131007_trade.zip   : 20131007_es_minute_trade_201312.csv   (a file for each contract)
    equity/usa/daily/eem.zip                  : eem.csv

Where both say the same thing they have to agree. Without the folders the asset class is that of a symbol Tercel knows, the market that of
--venue. Prices of shares are written times 10,000. The clock follows from the market: New York for US shares, UTC-5 all year for FXCM, UTC
for OANDA, crypto and futures (their readme; in the futures the largest minutes are those at the end of New York's session).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

import msgspec

from tercel.base.errors import ConfigError, DataError
from tercel.base.time import NS_PER_H, NS_PER_MIN, NS_PER_S, parse_instant
from tercel.market.definitions import definition, home_venue
from tercel.market.importers.batch import Options

Resolution = Literal["tick", "second", "minute", "hour", "daily"]
ASSETS: Final = ("equity", "forex", "cfd", "crypto", "cryptofuture", "future")
LEFT_OUT_ASSETS: Final = ("option", "futureoption", "index", "indexoption")
INTERVALS: Final = {"second": NS_PER_S, "minute": NS_PER_MIN, "hour": NS_PER_H, "daily": 24 * NS_PER_H}
VENUES: Final = {"usa": "us", "gdax": "coinbase"}
ZONES: Final = {
    ("equity", "usa"): "America/New_York", ("equity", "us"): "America/New_York", ("forex", "fxcm"): "UTC-5", ("cfd", "fxcm"): "UTC-5",
    ("forex", "oanda"): "UTC", ("cfd", "oanda"): "UTC",
}  # fmt: skip
UTC_ASSETS: Final = ("crypto", "cryptofuture", "future")
SCALE: Final = 10_000  # prices of shares are written as ten-thousandths of a dollar
MONTH_CODES: Final = "FGHJKMNQUVXZ"
_DAY = re.compile(
    r"(?P<date>\d{8})_(?P<symbol>[a-z0-9.-]+)_(?:(?P<resolution>tick|second|minute)_(?P<type>trade|quote)|(?P<type2>trade|quote)_tick)"
    r"(?:_(?P<expiry>\d{6}(?:\d\d)?))?\.csv"
)
_WHOLE = re.compile(r"(?P<symbol>[a-z0-9.-]+)(?:_(?P<type>trade|quote))?(?:_(?P<expiry>\d{6}(?:\d\d)?))?\.csv")
_ZIP_DATE = re.compile(r"(\d{8})_(?:trade|quote)\.zip")
_ASSET_OF: Final = {"fx": "forex", "metal": "cfd", "cfd": "cfd", "index": "cfd", "crypto": "crypto", "equity": "equity", "future": "future"}


class Folder(msgspec.Struct, frozen=True):
    """What the folders say; "" for what they do not."""

    asset: str = ""
    market: str = ""
    resolution: str = ""
    symbol: str = ""


class Place(msgspec.Struct, frozen=True):
    """What a file holds: `day_ns` is local midnight of its date (0 when each row has its date), `basis` "trade" or "quote"."""

    asset: str
    market: str
    resolution: Resolution
    symbol: str
    day_ns: int
    tick_type: str

    @property
    def venue(self) -> str:
        """The market as a venue of the catalog."""
        return VENUES.get(self.market, self.market)

    @property
    def scale(self) -> int:
        """What prices in the file have to be divided by."""
        return SCALE if self.asset == "equity" else 1


def folder_of(path: Path) -> Folder:
    """What the folders above a file say, LEAN's nearest ones."""
    parts = [part.lower() for part in path.absolute().parts[:-1]]
    for at in range(len(parts) - 3, -1, -1):
        if parts[at] in (*ASSETS, *LEFT_OUT_ASSETS) and parts[at + 2] in ("tick", *INTERVALS):
            return Folder(parts[at], parts[at + 1], parts[at + 2], parts[at + 3] if len(parts) > at + 3 else "")
    return Folder()


def is_day_name(name: str) -> bool:
    """Whether a name is that of a LEAN table of one day."""
    return _DAY.fullmatch(name.lower()) is not None


def place_of(path: Path, member: str, options: Options) -> Place:
    """What a table holds by its name, its folders and the options.

    Raises `DataError` for what is at odds or missing, `ConfigError` where an option can say it.
    """
    folder, name = folder_of(path), Path(member).name.lower()
    match = _DAY.fullmatch(name)
    whole = None if match else _WHOLE.fullmatch(name)
    if match is None and (whole is None or folder.resolution not in ("hour", "daily")):
        raise DataError(
            f"{path.name}: LEAN's rows have no date and no symbol; expected a file named like 20140605_aapl_minute_trade.csv, or one in a "
            f"folder like equity/usa/daily, found {member!r}; nothing was imported"
        )
    said = match or whole
    assert said is not None
    parts = said.groupdict()
    ticker = parts["symbol"]
    _agree(path, "symbol", folder.symbol, ticker)
    asset = _asset(path, folder, ticker)
    resolution = (parts["resolution"] or "tick") if match else folder.resolution
    _agree(path, "resolution", folder.resolution, resolution)
    if match and (dated := _ZIP_DATE.fullmatch(path.name.lower())):
        _agree(path, "date", dated[1], parts["date"])
    tick_type = parts["type"] or parts.get("type2") or ("quote" if asset in ("forex", "cfd") else "trade")
    day_ns = _day_ns(path, parts["date"]) if match else 0
    symbol = options.symbol or _symbol(path, asset, ticker, parts["expiry"])
    return Place(asset, _market(path, folder, options, symbol), resolution, symbol, day_ns, tick_type)  # type: ignore[arg-type]


def zone_of(path: Path, options: Options, place: Place) -> str:
    """The clock of a file's times. Raises `ConfigError` when the market's is not known."""
    found = options.timezone or ZONES.get((place.asset, place.market)) or ("UTC" if place.asset in UTC_ASSETS else None)
    if found is None:
        raise ConfigError(f"{path.name}: the clock of LEAN's {place.asset} data of {place.market} is not known; say it with --timezone")
    return found


def _agree(path: Path, what: str, folder: str, inner: str) -> None:
    if folder and folder != inner:
        raise DataError(f"{path.name}: the {what} is {folder!r} by the file's place and {inner!r} by its name; nothing was imported")


def _asset(path: Path, folder: Folder, ticker: str) -> str:
    if folder.asset:
        return folder.asset
    known = definition(ticker.upper(), home_venue(ticker.upper()) or "any")
    if known is None:
        raise DataError(
            f"{path.name}: nothing says whether {ticker.upper()} is a share, whose prices LEAN writes times {SCALE:,}; "
            "import it in LEAN's folders, such as equity/usa/minute; nothing was imported"
        )
    return _ASSET_OF[known.asset]


def _market(path: Path, folder: Folder, options: Options, symbol: str) -> str:
    market = options.venue or folder.market or home_venue(symbol)
    if market is None:
        raise ConfigError(f"{path.name}: nothing says which venue {symbol} was recorded at; say it with --venue, for example --venue oanda")
    return market


def _day_ns(path: Path, date: str) -> int:
    try:
        return parse_instant(f"{date[:4]}-{date[4:6]}-{date[6:]}")
    except ConfigError:
        raise DataError(f"{path.name}: expected a date in the name, found {date!r}; nothing was imported") from None


def _symbol(path: Path, asset: str, ticker: str, expiry: str | None) -> str:
    """The catalog's name: contracts get their month and two digits of the year, because LEAN keeps decades side by side."""
    symbol = ticker.upper()
    if asset == "cryptofuture":
        return f"{symbol}-PERP"
    if asset != "future":
        return symbol
    if expiry is None or not 1 <= int(expiry[4:6]) <= 12:
        raise DataError(f"{path.name}: expected the contract's month at the end of the name, such as _201312.csv; nothing was imported")
    return f"{symbol}{MONTH_CODES[int(expiry[4:6]) - 1]}{expiry[2:4]}"
