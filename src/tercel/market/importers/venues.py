"""Whose data a file holds, and of which symbol, when the rows do not say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tercel.base.errors import ConfigError
from tercel.market.definitions import home_venue, known
from tercel.market.importers.batch import Batch, Options
from tercel.market.instruments import check_venue

VENUES: Final = frozenset((
    "oanda", "fxcm", "dukascopy", "truefx", "histdata", "metatrader", "binance", "bitfinex", "bitmex", "bitstamp", "bybit", "coinbase",
    "deribit", "huobi", "kraken", "kucoin", "okx", "gemini", "cme", "ice", "nasdaq", "nyse", "lmax", "ibkr", "saxo", "ig", "pepperstone",
    "exness", "icmarkets",
))  # fmt: skip
PLATFORMS: Final = frozenset(("lean", "nautilus", "tardis", "databento"))  # they pass data on, they are no venue
ALIASES: Final = {
    "metatrader4": "metatrader",
    "metatrader5": "metatrader",
    "mt4": "metatrader",
    "mt5": "metatrader",
    "binance-usdm": "binance",
}
MT4_PERIODS: Final = frozenset(("1", "5", "15", "30", "60", "240", "1440", "10080"))
_SPLIT: Final = re.compile(r"[\s_.-]+")


def venue_of(path: Path, batch: Batch, options: Options) -> str:
    """The venue of a batch: the option, what the file says, the file's name, the symbol's home. Raises `ConfigError` if none tells."""
    if options.venue:
        return check_venue(options.venue, "--venue")
    if batch.venue and (said := normal(batch.venue)):
        return check_venue(said, f"{path.name}: source")
    found = likely_venue(path, batch.symbol)
    if not found:
        raise ConfigError(
            f"{path.name}: nothing says which venue {batch.symbol} was recorded at; say it with --venue, for example --venue oanda"
        )
    return found


def likely_venue(path: Path, symbol: str) -> str:
    """The venue that the file's name says, else the symbol's home, else ""."""
    tokens = dict.fromkeys(ALIASES.get(token, token) for token in _SPLIT.split(path.stem.lower()))
    return "-".join(token for token in tokens if token in VENUES) or home_venue(symbol) or ""


def normal(source: str) -> str:
    """A feed's name as a venue: lower case, known aliases, without the platform that passed it on; "" when nothing is left."""
    text = source.strip().lower()
    text = ALIASES.get(text, text)
    return "-".join(word for word in text.split("-") if word not in PLATFORMS)


def symbol_of(path: Path, options: Options) -> str:
    """The symbol of a text file that does not name it: the option, else a known symbol in its name. Raises `ConfigError` if none is."""
    found = options.symbol or likely_symbol(path)
    if not found:
        raise ConfigError(
            f"{path.name}: neither the rows nor the file's name say the symbol; say it with --symbol, for example --symbol EURUSD"
        )
    return found


def likely_symbol(path: Path) -> str:
    """The first symbol in the file's name that the built-in table knows, else ""."""
    tokens = _SPLIT.split(path.stem)
    return next((word for token in tokens for word in (token, _without_period(token), token.upper()) if word and known(word)), "")


def _without_period(token: str) -> str:
    """MetaTrader appends the minutes of a bar to the symbol: CADJPY1, EURUSD1440."""
    match = re.fullmatch(r"(.*[A-Za-z])(\d+)", token)
    return match[1] if match and match[2] in MT4_PERIODS else ""
