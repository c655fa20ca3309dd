"""Instruments from the venue's own description of its symbols (`exchangeInfo` of spot, and of USD-M futures for "BTCUSDT-PERP").

The price grid is `tickSize` of the filter PRICE_FILTER, the size grid `stepSize` and the smallest order `minQty` of LOT_SIZE. A lot is one
whole coin, as in the built-in definitions. Source: the venue's pages "Exchange information" and "Filters".
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Final
from urllib.parse import quote

import msgspec

from tercel.base.errors import ConfigError, FeedDataError
from tercel.market.feeds.binance.wire import BAD, PERPETUAL
from tercel.market.instruments import DECIMALS_MAX, Instrument

TRADING: Final = "TRADING"
_GRID_MAX: Final = Decimal(1000)


class _Filter(msgspec.Struct, frozen=True):
    """One of a symbol's rules; each kind has fields of its own."""

    filterType: str  # noqa: N815 - the venue's words, here and below
    tickSize: str = ""  # noqa: N815
    stepSize: str = ""  # noqa: N815
    minQty: str = ""  # noqa: N815


class _Symbol(msgspec.Struct, frozen=True):
    """What is used of a symbol's description."""

    symbol: str
    status: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    filters: list[_Filter]
    contractType: str = ""  # noqa: N815 - of futures

    @property
    def name(self) -> str:
        """As we call it."""
        return self.symbol + PERPETUAL if self.contractType == "PERPETUAL" else self.symbol


class _ExchangeInfo(msgspec.Struct, frozen=True):
    """The answer, or the error in its place."""

    symbols: list[_Symbol] = []
    code: int = 0
    msg: str = ""


_decode: Final = msgspec.json.Decoder(_ExchangeInfo).decode


def exchange_info_path(symbols: Sequence[str] = ()) -> str:
    """Path and query of the REST call; without symbols, and of perpetuals always, the answer describes them all (megabytes)."""
    if any(symbol.endswith(PERPETUAL) for symbol in symbols):
        return "/fapi/v1/exchangeInfo"
    listed = ",".join(f'"{symbol}"' for symbol in symbols)
    return "/api/v3/exchangeInfo" + (f"?symbols={quote(f'[{listed}]', safe='')}" if symbols else "")


def instruments_of(body: bytes, symbols: Sequence[str]) -> tuple[Instrument, ...]:
    """The named symbols ("BTCUSDT", "BTCUSDT-PERP") as instruments of venue "binance", id 0, in the order asked for.

    Raises `ConfigError` for a symbol the answer does not have, with the nearest name, and for one that is not traded now; `FeedDataError`
    when the answer is no description of symbols.
    """
    try:
        found = _decode(body)
    except BAD as error:
        raise FeedDataError(f"binance exchangeInfo: expected a JSON object with symbols, found {body[:60]!r}: {error}") from None
    if found.code:
        raise ConfigError(f"binance exchangeInfo: the venue refuses {', '.join(symbols)}: {found.msg} ({found.code})")
    known = {item.name: item for item in found.symbols}
    return tuple(_instrument(_named(symbol, known)) for symbol in symbols)


def _named(symbol: str, known: dict[str, _Symbol]) -> _Symbol:
    item = known.get(symbol)
    if item is None:
        near = get_close_matches(symbol.upper(), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it describes {len(known)} symbols"
        raise ConfigError(f"{symbol}@binance: expected a symbol of the venue, found none of that name; {hint}")
    if item.status != TRADING:
        raise ConfigError(f"{symbol}@binance: expected status {TRADING}, found {item.status}: the venue does not trade it now")
    return item


def _instrument(item: _Symbol) -> Instrument:
    rules = {rule.filterType: rule for rule in item.filters}
    absent = [name for name in ("PRICE_FILTER", "LOT_SIZE") if name not in rules]
    if absent:
        raise FeedDataError(f"{item.name}@binance: expected the filters PRICE_FILTER and LOT_SIZE, found no {' and no '.join(absent)}")
    tick = _grid(item.name, "tickSize", rules["PRICE_FILTER"].tickSize)
    step = _grid(item.name, "stepSize", rules["LOT_SIZE"].stepSize)
    smallest = _grid(item.name, "minQty", rules["LOT_SIZE"].minQty)
    price_decimals, size_decimals = _decimals(tick), max(_decimals(step), _decimals(smallest))
    return Instrument(
        symbol=item.name, venue="binance", asset="crypto", base=item.baseAsset, quote=item.quoteAsset,
        price_decimals=price_decimals, price_increment=int(tick.scaleb(price_decimals)),
        size_decimals=size_decimals, size_increment=int(step.scaleb(size_decimals)), size_min=int(smallest.scaleb(size_decimals)),
        lot=10**size_decimals, session="24x7", day_roll="00:00 UTC",
    )  # fmt: skip


def _grid(symbol: str, field: str, text: str) -> Decimal:
    """A step above 0 with at most `DECIMALS_MAX` decimals."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not (value.is_finite() and 0 < value <= _GRID_MAX and _decimals(value) <= DECIMALS_MAX):
        raise FeedDataError(f"{symbol}@binance: {field}: expected a step above 0 with at most {DECIMALS_MAX} decimals, found {text[:40]!r}")
    return value


def _decimals(value: Decimal) -> int:
    """Decimals after the point that are not trailing zeros."""
    return max(0, -int(value.normalize().as_tuple().exponent))
