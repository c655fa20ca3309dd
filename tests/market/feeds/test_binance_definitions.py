"""Instruments from the venue's description of its symbols: the grids are read, what cannot be traded is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tercel.base.errors import ConfigError, FeedDataError, TercelError
from tercel.market.feeds.binance import exchange_info_path, instruments_of
from tests.market.feeds.binance_frames import instrument


def described(symbol: str, base: str, tick: str, step: str, smallest: str, status: str = "TRADING") -> dict[str, Any]:
    """A symbol in the venue's words, further filters included."""
    return {
        "symbol": symbol, "status": status, "baseAsset": base, "baseAssetPrecision": 8, "quoteAsset": "USDT", "quotePrecision": 8,
        "permissions": [], "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": smallest, "maxQty": "9000.00000000", "stepSize": step},
            {"filterType": "ICEBERG_PARTS", "limit": 10},
        ],
    }  # fmt: skip


SYMBOLS = [
    described("BTCUSDT", "BTC", "0.01000000", "0.00001000", "0.00001000"),
    described("PEPEUSDT", "PEPE", "0.00000001", "1.00000000", "1.00000000"),
    described("ODDUSDT", "ODD", "0.00050000", "0.10000000", "0.30000000"),
    described("OLDUSDT", "OLD", "0.01000000", "1.00000000", "1.00000000", "BREAK"),
]
PERPETUALS = [
    described("BTCUSDT", "BTC", "0.10", "0.001", "0.001") | {"contractType": "PERPETUAL", "deliveryDate": 4133404800000, "pair": "BTCUSDT"},
    described("BTCUSDT_260327", "BTC", "0.10", "0.001", "0.001") | {"contractType": "CURRENT_QUARTER", "pair": "BTCUSDT"},
]
BODY_OF_FUTURES = msgspec.json.encode({"timezone": "UTC", "futuresType": "U_MARGINED", "assets": [], "symbols": PERPETUALS})
BODY = msgspec.json.encode({"timezone": "UTC", "serverTime": 1, "rateLimits": [], "symbols": SYMBOLS})


def test_the_grids_become_the_instruments() -> None:
    """Ticks, steps and the smallest order, in the order asked for; BTCUSDT comes out as the built-in definition says."""
    odd, pepe, btc = instruments_of(BODY, ["ODDUSDT", "PEPEUSDT", "BTCUSDT"])
    assert btc == instrument("BTCUSDT", 0)
    assert (pepe.name, pepe.price_decimals, pepe.price_increment, pepe.size_decimals, pepe.lot) == ("PEPEUSDT@binance", 8, 1, 0, 1)
    assert (odd.price_decimals, odd.price_increment, odd.size_decimals, odd.size_increment, odd.size_min, odd.lot) == (4, 5, 1, 1, 3, 10)


def test_perpetuals_are_those_of_futures() -> None:
    """The same words, another answer: a perpetual comes out as the built-in definition says; a contract that ends is none."""
    assert instruments_of(BODY_OF_FUTURES, ["BTCUSDT-PERP"]) == (instrument("BTCUSDT-PERP", 0),)
    with pytest.raises(ConfigError, match="did you mean 'BTCUSDT-PERP'"):
        instruments_of(BODY_OF_FUTURES, ["BTCUST-PERP"])
    with pytest.raises(ConfigError, match="describes 2 symbols"):
        instruments_of(BODY_OF_FUTURES, ["SOL"])


def changed(**more: Any) -> bytes:
    """The description of one symbol, changed."""
    return msgspec.json.encode({"symbols": [SYMBOLS[0] | more]})


NO_TICK = [{"filterType": "PRICE_FILTER", "tickSize": "0.00000000"}, {"filterType": "LOT_SIZE", "stepSize": "1", "minQty": "1"}]


@pytest.mark.parametrize(
    ("body", "symbol", "error", "said"),
    [
        (BODY, "BTCUSD", ConfigError, "BTCUSD@binance: .*did you mean 'BTCUSDT'"), (BODY, "btcusdt", ConfigError, "did you mean 'BTCUSDT'"),
        (BODY, "ZZZ", ConfigError, "describes 4 symbols"), (BODY, "OLDUSDT", ConfigError, "expected status TRADING, found BREAK"),
        (b'{"code":-1121,"msg":"Invalid symbol."}', "X", ConfigError, r"refuses X: Invalid symbol. \(-1121\)"),
        (b"<html>", "BTCUSDT", FeedDataError, "expected a JSON object with symbols, found b'<html>'"),
        (b'{"symbols":[{"symbol":1}]}', "BTCUSDT", FeedDataError, "symbols"), (b"[" * 100_000, "BTCUSDT", FeedDataError, "exchangeInfo"),
        (changed(filters=[]), "BTCUSDT", FeedDataError, "no PRICE_FILTER and no LOT_SIZE"),
        (changed(filters=NO_TICK), "BTCUSDT", FeedDataError, "tickSize: .*found '0.00000000'"),
        (changed(filters=[NO_TICK[1], NO_TICK[0] | {"tickSize": "1e-13"}]), "BTCUSDT", FeedDataError, "at most 12 decimals"),
        (changed(filters=[NO_TICK[1], NO_TICK[0] | {"tickSize": "x"}]), "BTCUSDT", FeedDataError, "found 'x'"),
        (changed(filters=[NO_TICK[1], NO_TICK[0] | {"tickSize": "NaN"}]), "BTCUSDT", FeedDataError, "found 'NaN'"),
    ],
)  # fmt: skip
def test_what_cannot_be_traded_is_refused_by_name(body: bytes, symbol: str, error: type[TercelError], said: str) -> None:
    """Unknown symbols with the nearest name, those in a break, errors of the venue, answers that are none, grids that are none."""
    with pytest.raises(error, match=said):
        instruments_of(body, [symbol])


def test_the_path_asks_for_some_or_for_all() -> None:
    """The list of symbols is JSON, escaped as a query must be."""
    assert exchange_info_path() == "/api/v3/exchangeInfo"
    assert exchange_info_path(["BTCUSDT", "ETHUSDT"]) == "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%2C%22ETHUSDT%22%5D"
    assert exchange_info_path(["BTCUSDT-PERP"]) == "/fapi/v1/exchangeInfo"
