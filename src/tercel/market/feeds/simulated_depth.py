"""The book behind the simulated quotes: levels as `BOOK` records that agree with the quotes at the end of every message.

A message is what bears one `ref` of a symbol; its last record bears `LAST`. Each minute of a symbol begins with `BOOK_CLEAR` and all
levels, flagged `SNAPSHOT`; afterwards come the levels that changed, size 0 for one that is gone. A quote's message ends with the quote. A
trade's message is the trade, the level it took from and the quote as it is then. What it takes beyond the displayed size was hidden: a
level never empties by a trade, the next quote moves it.

The best level is the quote. The deeper ones lie on a fixed grid of prices; their sizes depend on price and time alone, drawn for the minute
from `spawn_key=(block, 1)`, and change every few seconds, at the next quote. So the book is a function of the minute's quotes and trades.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tercel.base.records import BOOK, BOOK_CLEAR, LAST, QUOTE, SNAPSHOT, TRADE, Records
from tercel.base.time import NS_PER_S
from tercel.market.feeds.simulated_flow import Ints
from tercel.market.feeds.simulated_symbols import BLOCK_NS, Floats, Market

DEPTH_MAX: Final = 50  # levels a side
DEEP_SIZE: Final = 1.5  # mean size of a deeper level, in mean quoted sizes
EPOCH_S: Final = 8  # a deeper level keeps its size for so long
EPOCHS: Final = 8
PLACES: Final = 128  # prices of the grid whose sizes are drawn; those further apart share one
BID, ASK = 1, -1


def with_depth(rows: Records, market: Market, seed: int, depth: int) -> Records:
    """The records of one block, or of its end, with `depth` levels a side. A trade before a symbol's first quote stays alone."""
    block = int(rows["ts_event"][0]) // BLOCK_NS
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(block, 1))))
    sizes = rng.standard_exponential((len(market.ids), 2, PLACES, EPOCHS)) * DEEP_SIZE
    parts: list[tuple[Ints, Records]] = []
    for symbol, instrument in enumerate(market.ids):
        places = np.flatnonzero(rows["instrument"] == instrument)
        quotes = np.flatnonzero(rows["kind"][places] == QUOTE)
        first = int(quotes[0]) if len(quotes) else len(places)
        parts.append((places[:first], rows[places[:first]]))
        if first < len(places):
            parts += _messages(places[first:], rows[places[first:]], market, symbol, sizes[symbol], depth)
    place = np.concatenate([place for place, _ in parts])
    return np.concatenate([part for _, part in parts])[np.argsort(place, kind="stable")]


def _messages(places: Ints, rows: Records, market: Market, symbol: int, sizes: Floats, depth: int) -> list[tuple[Ints, Records]]:
    """The messages of one symbol, the first row a quote: (place of the event in the block, records), in the order inside a message."""
    trade = rows["kind"] == TRADE
    quoted = np.maximum.accumulate(np.where(trade, 0, np.arange(len(rows))))
    quotes = rows[quoted]
    quotes["ts_event"], quotes["ts_recv"], quotes["ref"] = rows["ts_event"], rows["ts_recv"], rows["ref"]
    quotes["flags"][0] |= SNAPSHOT
    size_step = market.size_units[symbol] / market.size_scale[symbol]
    for side, field in ((-BID, "size"), (-ASK, "size2")):  # a seller takes from the bid
        taken = np.cumsum(np.where(trade & (rows["side"] == side), np.rint(rows["size"] / size_step), 0.0))
        left = np.maximum(1.0, np.rint(quotes[field] / size_step) - (taken - taken[quoted]))
        quotes[field] = left * market.size_units[symbol] / market.size_scale[symbol]
    trades = rows[trade]
    trades["flags"] = 0
    clear = rows[:1].copy()
    for field in ("price", "size", "price2", "size2"):
        clear[field] = np.nan
    clear["kind"], clear["flags"] = BOOK_CLEAR, SNAPSHOT
    parts = [(places[trade], trades), (places[:1], clear)]
    seconds = rows["ts_event"][quoted] % BLOCK_NS // NS_PER_S
    for side in (BID, ASK):
        parts += _updates(places, quotes, seconds, market, symbol, sizes, side, depth)
    quotes["flags"] = LAST
    return [*parts, (places, quotes)]


def _updates(
    places: Ints, quotes: Records, seconds: Ints, market: Market, symbol: int, sizes: Floats, side: int, depth: int
) -> list[tuple[Ints, Records]]:
    """The changes of one side's levels at every event: levels that are gone, then levels that are new or have another size."""
    level, size = _ladder(quotes, seconds, market, symbol, sizes, side, depth)
    same = level[1:, :, None] == level[:-1, None, :]
    gone = ~same.any(axis=1) & (level[:-1] > 0.0)
    kept = (same & (size[1:, :, None] == size[:-1, None, :])).any(axis=2)
    changed = np.vstack((level[:1] > 0.0, ~kept & (level[1:] > 0.0)))
    left, column = np.nonzero(gone)
    new, place = np.nonzero(changed)
    return [
        (places[left + 1], _levels(quotes[left + 1], market, symbol, side, level[left, column], np.zeros(len(left)))),
        (places[new], _levels(quotes[new], market, symbol, side, level[new, place], size[new, place])),
    ]


def _levels(events: Records, market: Market, symbol: int, side: int, price: Floats, size: Floats) -> Records:
    """One `BOOK` record for each event (a copy, changed), at a price in increments with a size in units."""
    events["kind"], events["side"] = BOOK, side
    events["flags"] = np.where(events["flags"] & SNAPSHOT, SNAPSHOT, 0)
    events["price"] = price * market.price_units[symbol] / market.price_scale[symbol]
    events["size"] = size * market.size_units[symbol] / market.size_scale[symbol]
    events["price2"] = events["size2"] = np.nan
    return events


def _ladder(quotes: Records, seconds: Ints, market: Market, symbol: int, sizes: Floats, side: int, depth: int) -> tuple[Floats, Floats]:
    """Prices in increments and sizes in units of the levels at every event, [event, level], best first; price 0: there is none."""
    price, size = ("price", "size") if side == BID else ("price2", "size2")
    best = np.rint(quotes[price] * market.price_scale[symbol] / market.price_units[symbol])
    gap = float(max(1, round(market.spread[symbol] / 2)))
    nearest = np.floor((best - 1.0) / gap) if side == BID else np.ceil((best + 1.0) / gap)
    grid = nearest[:, None] - side * np.arange(depth - 1)
    level = np.column_stack((best, np.maximum(grid * gap, 0.0)))
    place = grid.astype(np.int64)
    epoch = (seconds[:, None] + 5 * place) // EPOCH_S % EPOCHS
    deep = np.floor(sizes[0 if side == BID else 1, place % PLACES, epoch] * market.size_mean[symbol]) + 1.0
    return level, np.column_stack((np.rint(quotes[size] * market.size_scale[symbol] / market.size_units[symbol]), deep))
