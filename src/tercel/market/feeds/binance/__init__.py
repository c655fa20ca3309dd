"""binance owns what Binance's public market data means: its streams decoded and checked for gaps, its books kept, its definitions read.

It never opens a socket, never reads a clock, never waits, and never raises for what the venue sends: it counts. Whoever has the sockets
(a live feed, a recording, a test) hands in bytes and the time they came, and gets records.

Start in `decoder` (`Binance`, the promises), then `wire` (messages as the venue writes them), `scanner` (the fast way of the most frequent)
and `definitions` (`instruments_of`: symbols of `exchangeInfo` as instruments). The book itself is `tercel.market.book`, the same for every
venue and for recorded rows.
"""

from tercel.market.feeds.binance.decoder import Binance
from tercel.market.feeds.binance.definitions import exchange_info_path, instruments_of
from tercel.market.feeds.binance.wire import PERPETUAL

__all__ = ["PERPETUAL", "Binance", "exchange_info_path", "instruments_of"]
