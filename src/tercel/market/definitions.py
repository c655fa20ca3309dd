"""What Tercel knows about instruments before it sees any data: currency pairs, metals, crypto pairs, US shares, futures.

`definition` answers for a symbol at a venue, `home_venue` says where a symbol is traded when a file does not. Decimals are the most that
the venue is known to deliver; an import that finds more decimals in the prices widens them and says so.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tercel.market.instruments import Instrument

CURRENCIES: Final = frozenset((
    "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "NZD", "CAD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "TRY", "ZAR", "MXN", "SGD", "HKD",
    "CNH", "CNY", "RUB", "ILS", "THB", "INR", "KRW", "BRL", "RON",
))  # fmt: skip
NEW_YORK_CLOSE: Final = "17:00 America/New_York"
CHICAGO_CLOSE: Final = "17:00 America/Chicago"
FX_LOT: Final = 100_000
SIZE_UNITS: Final = {"dukascopy": 1_000_000}  # this venue delivers sizes in millions of the base currency


class Metal(NamedTuple):
    """Decimals of the price in US dollars and ounces per lot."""

    price_decimals: int
    lot: int


METALS: Final = {"XAU": Metal(3, 100), "XAG": Metal(5, 5_000), "XPT": Metal(3, 100), "XPD": Metal(3, 100)}


class Coin(NamedTuple):
    """Decimals of price and size of a crypto pair at one venue."""

    price_decimals: int
    size_decimals: int


COINS: Final = {
    "BTCUSDT-PERP@binance": Coin(1, 3), "ETHUSDT-PERP@binance": Coin(2, 3), "BTCUSDT@binance": Coin(2, 5), "ETHUSDT@binance": Coin(2, 4),
    "ALGOUSDT-PERP@binance": Coin(4, 1), "AVAXUSDT-PERP@binance": Coin(3, 0), "FILUSDT-PERP@binance": Coin(3, 1),
    "LINKUSDT-PERP@binance": Coin(3, 2), "NEARUSDT-PERP@binance": Coin(3, 0), "BTCUSD@bitfinex": Coin(8, 8), "ETHUSD@bitfinex": Coin(8, 8),
    "XRPUSD@bitfinex": Coin(5, 8), "LTCUSD@bitfinex": Coin(2, 8),
}  # fmt: skip


class Future(NamedTuple):
    """Price decimals, tick in 10^-decimals, quote currency per point and contract, underlying, quote currency."""

    price_decimals: int
    price_increment: int
    multiplier: int
    base: str
    quote: str = "USD"


FUTURES: Final = {
    "ES": Future(2, 25, 50, "SPX"), "NQ": Future(2, 25, 20, "NDX"), "RTY": Future(1, 1, 50, "RUT"), "YM": Future(0, 1, 5, "DJI"),
    "MES": Future(2, 25, 5, "SPX"), "MNQ": Future(2, 25, 2, "NDX"), "6E": Future(5, 5, 125_000, "EUR"), "6B": Future(4, 1, 62_500, "GBP"),
    "6A": Future(5, 5, 100_000, "AUD"), "6C": Future(5, 5, 100_000, "CAD"), "6J": Future(7, 5, 12_500_000, "JPY"),
    "6S": Future(5, 5, 125_000, "CHF"),
    "GC": Future(1, 1, 100, "XAU"), "CL": Future(2, 1, 1_000, "WTI"), "ZN": Future(6, 15_625, 1_000, "ZN"),
}  # fmt: skip

EQUITIES: Final = frozenset((
    "AAPL", "AMZN", "BAC", "EEM", "GOOG", "GOOGL", "IBM", "IWM", "META", "MSFT", "NVDA", "QQQ", "SPY", "TSLA", "TWX",
))  # fmt: skip
INDEX_CFDS: Final = {
    "US30": ("DJI", 1), "US500": ("SPX", 1), "USTEC": ("NDX", 1), "NAS100": ("NDX", 1), "GER40": ("DAX", 1), "UK100": ("FTSE", 1),
}  # fmt: skip
INDEX_QUOTES: Final = {"GER40": "EUR", "UK100": "GBP"}
CRYPTO_QUOTES: Final = ("USDT", "USDC", "BUSD", "FDUSD", "USD", "EUR", "GBP", "JPY", "BTC", "ETH")
COIN_CODES: Final = frozenset((
    "BTC", "XBT", "ETH", "XRP", "LTC", "BCH", "ADA", "SOL", "DOT", "DOGE", "AVAX", "LINK", "FIL", "NEAR", "ALGO", "MATIC", "ATOM", "UNI",
    "TRX", "ETC", "XLM", "BNB", "EOS", "XMR", "DASH", "ZEC",
))  # fmt: skip
_CONTRACT: Final = re.compile(r"([A-Z0-9]{1,3})[FGHJKMNQUVXZ]\d{1,2}")


def home_venue(symbol: str) -> str | None:
    """Where a symbol is traded when nothing else says so: "us" for the shares, "cme" for the futures of the table, None otherwise."""
    if symbol in EQUITIES:
        return "us"
    return "cme" if _future_root(symbol) else None


def known(symbol: str) -> bool:
    """Whether the built-in table has the symbol, at any venue; the bare root of a future is no symbol."""
    return symbol not in FUTURES and definition(symbol, home_venue(symbol) or "any") is not None


def definition(symbol: str, venue: str) -> Instrument | None:
    """The built-in definition of a symbol at a venue, with id 0; None when the table does not know it."""
    for build in (_currency_pair, _metal, _coin, _future, _equity, _index_cfd):
        if (found := build(symbol, venue)) is not None:
            return found
    return None


def guessed(symbol: str, venue: str, price_decimals: int, size_decimals: int) -> Instrument:
    """A definition for a symbol no table has: one lot is one whole unit, US dollars unless the name says otherwise, around the clock."""
    base, quote = _split(symbol) or (symbol, "USD")
    return Instrument(
        symbol=symbol, venue=venue, asset="cfd", base=base, quote=quote, price_decimals=price_decimals, size_decimals=size_decimals,
        lot=10**size_decimals, session="24x7", day_roll="00:00 UTC",
    )  # fmt: skip


def _currency_pair(symbol: str, venue: str) -> Instrument | None:
    base, quote = symbol[:3], symbol[3:]
    if len(symbol) != 6 or base not in CURRENCIES or quote not in CURRENCIES or base == quote:
        return None
    decimals = 3 if quote in ("JPY", "HUF", "KRW") else 5
    return Instrument(
        symbol=symbol, venue=venue, asset="fx", base=base, quote=quote, price_decimals=decimals, size_decimals=0, lot=FX_LOT,
        size_unit=SIZE_UNITS.get(venue, 1), session="fx", day_roll=NEW_YORK_CLOSE,
    )  # fmt: skip


def _metal(symbol: str, venue: str) -> Instrument | None:
    metal = METALS.get(symbol[:3])
    if len(symbol) != 6 or metal is None or symbol[3:] not in CURRENCIES:
        return None
    return Instrument(
        symbol=symbol, venue=venue, asset="metal", base=symbol[:3], quote=symbol[3:], price_decimals=metal.price_decimals, size_decimals=0,
        lot=metal.lot, session="cme", day_roll=NEW_YORK_CLOSE,  # metals pause for an hour a day, as the futures do
    )  # fmt: skip


def _split(symbol: str) -> tuple[str, str] | None:
    """Base and quote currency of a crypto pair such as BTCUSDT-PERP."""
    pair = symbol.removesuffix("-PERP").replace("-", "")
    for quote in CRYPTO_QUOTES:
        if pair.endswith(quote) and pair != quote:
            return pair.removesuffix(quote), quote
    return None


def _coin(symbol: str, venue: str) -> Instrument | None:
    pair = _split(symbol)
    coin = COINS.get(f"{symbol}@{venue}")
    if pair is None or (coin is None and pair[0] not in COIN_CODES):
        return None
    price_decimals, size_decimals = coin or Coin(2, 8)
    return Instrument(
        symbol=symbol, venue=venue, asset="crypto", base=pair[0], quote=pair[1], price_decimals=price_decimals, size_decimals=size_decimals,
        lot=10**size_decimals, session="24x7", day_roll="00:00 UTC",
    )  # fmt: skip


def _future_root(symbol: str) -> Future | None:
    match = _CONTRACT.fullmatch(symbol)
    return FUTURES.get(match[1]) if match else FUTURES.get(symbol)


def _future(symbol: str, venue: str) -> Instrument | None:
    future = _future_root(symbol)
    if future is None:
        return None
    return Instrument(
        symbol=symbol, venue=venue, asset="future", base=future.base, quote=future.quote, price_decimals=future.price_decimals,
        price_increment=future.price_increment, size_decimals=0, multiplier=future.multiplier, session="cme", day_roll=CHICAGO_CLOSE,
    )  # fmt: skip


def _equity(symbol: str, venue: str) -> Instrument | None:
    if symbol not in EQUITIES:
        return None
    return Instrument(
        symbol=symbol, venue=venue, asset="equity", base=symbol, quote="USD", price_decimals=4, price_increment=100, size_decimals=0,
        lot=100, session="us_equity", day_roll="00:00 America/New_York",
    )  # fmt: skip


def _index_cfd(symbol: str, venue: str) -> Instrument | None:
    """Brokers append a letter or two to the name (US30m, US500.cash): the letters change the account, not the index."""
    for root, (base, decimals) in INDEX_CFDS.items():
        if symbol == root or (symbol.startswith(root) and re.fullmatch(r"[a-z.]{1,6}", symbol[len(root) :])):
            return Instrument(
                symbol=symbol, venue=venue, asset="cfd", base=base, quote=INDEX_QUOTES.get(root, "USD"), price_decimals=decimals,
                size_decimals=2, lot=100, session="cme", day_roll=CHICAGO_CLOSE,
            )  # fmt: skip
    return None
