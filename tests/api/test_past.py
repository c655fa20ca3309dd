"""Charts of recorded history: made once from the catalog, kept by the cache, never stale."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tercel.api.past import CANDLES_MAX, Past
from tercel.base.errors import ConfigError
from tercel.base.time import NS_PER_MIN, NS_PER_S
from tercel.market.candles import candles
from tercel.market.catalog import Catalog
from tests.api.known import DeskProcess
from tests.market.history import START_NS, quote_table, save, take

START, HOUR = "2014-05-01", 3600


def by_hand(bid: list[float], ask: list[float], interval_s: int) -> list[list[float]]:
    """Candles of quotes one second apart from `START`, in plain Python."""
    made = []
    for first in range(0, len(bid), interval_s):
        mids = [(b + a) * 0.5 for b, a in zip(bid[first : first + interval_s], ask[first : first + interval_s], strict=True)]
        made.append([START_NS / 1e6 + first * 1e3, mids[0], max(mids), min(mids), mids[-1]])
    return made


async def asked(past: Past, *arguments: str) -> np.ndarray:
    """The candles alone, within the cache's life."""
    return (await past.candles(*arguments)).rows


@pytest.fixture
def quoted(home: Path, tmp_path: Path) -> list[list[float]]:
    """An hour of quotes in the catalog; bid and ask."""
    table = quote_table(HOUR)
    take(save(tmp_path / "quotes.parquet", table), venue="oanda")
    return [table["bid"].to_pylist(), table["ask"].to_pylist()]


def test_candles_are_those_of_the_definition(quoted: list[list[float]]) -> None:
    """Open, high, low and close of the mid price of each span, to the bit; a range takes those that open in it."""

    async def main() -> None:
        past = Past(redis="")
        rows = await asked(past, "EURUSD", START, None, "1m")
        assert rows[:, :5].tolist() == by_hand(*quoted, 60)
        assert np.isnan(rows[:, 5]).all()
        some = await asked(past, "EURUSD@oanda", "2014-05-01T00:10", "2014-05-01T00:20", "5m")
        assert some[:, :5].tolist() == by_hand(*quoted, 300)[2:4]

    asyncio.run(main())


def test_a_day_is_made_once_and_an_import_changes_it(quoted: list[list[float]], tmp_path: Path) -> None:
    """A hundred askers at once make the candles once; after an import that adds to the day everybody sees the new ones."""

    async def main() -> None:
        past = Past(redis="")
        found = await asyncio.gather(*(asked(past, "EURUSD", START) for _ in range(100)))
        assert past.cache.counts["computed"] == 1
        assert all(len(rows) == 60 for rows in found)
        take(save(tmp_path / "more.parquet", quote_table(60, START_NS + HOUR * NS_PER_S)), venue="oanda")
        assert len(await asked(past, "EURUSD", START)) == 61
        assert past.cache.counts["computed"] == 2

    asyncio.run(main())


def test_symbols_that_are_asked_for_are_kept_warm(quoted: list[list[float]]) -> None:
    """The schedule makes the newest candles of an active symbol before they are asked for, and of no other."""

    async def main() -> None:
        past = Past(redis="")
        assert await past.warmer.warm_now() == 0
        past.active.saw("EURUSD")
        assert await past.warmer.warm_now() == 1
        await asked(past, "EURUSD", START)
        assert past.cache.counts["computed"] == 1

    asyncio.run(main())


def test_what_cannot_be_drawn_is_refused(quoted: list[list[float]]) -> None:
    """An unknown symbol, an interval that cuts no day, and more candles than a page can take: each says what to do."""

    async def main() -> None:
        past = Past(redis="")
        for arguments, message in (
            (("EURUSX", START), "did you mean EURUSD"), (("EURUSD", START, None, "7s"), "divides a day"), (("EURUSD", "soon"), "soon"),
        ):  # fmt: skip
            with pytest.raises(ConfigError, match=message):
                await past.candles(*arguments)
        take(save(tmp_far(past), quote_table(CANDLES_MAX + 1, START_NS + HOUR * NS_PER_S)), venue="oanda")
        with pytest.raises(ConfigError, match="ask for larger ones"):
            await past.candles("EURUSD", START, None, "1s")

    def tmp_far(past: Past) -> Path:
        return past.catalog.root.parent / "far.parquet"

    asyncio.run(main())


def test_trades_and_bars_have_volume(data_dir: Path, home: Path) -> None:
    """On real trades the candles of a minute are those that a loop over the trades gives, volume included."""
    take(data_dir / "trades" / "crypto_binance_tick.parquet")
    catalog = Catalog()
    for dataset in catalog.datasets():
        rows = np.concatenate(list(catalog.records(dataset.instrument, "trade")))
        made = candles(rows, "trade", NS_PER_MIN)
        spans = {int(span) for span in rows["ts_event"] // NS_PER_MIN}
        assert len(made) == len(spans)
        for candle in made:
            inside = rows[rows["ts_event"] // NS_PER_MIN == round(candle[0] / 60_000)]
            prices = inside["price"].tolist()
            assert candle[1:5].tolist() == [prices[0], max(prices), min(prices), prices[-1]]
            assert candle[5] == pytest.approx(inside["size"].sum(), rel=1e-12)


def test_the_desk_draws_history(desk: DeskProcess, data_dir: Path) -> None:
    """The address answers with recorded candles when it is given a start, with 400 and the reason when it cannot."""
    take(data_dir / "quotes" / "fx_truefx_histdata_tick.parquet")
    chart = desk.get("/api/historical/chart-data/AUDUSD?start=2020-01-30&every=1h")
    assert (chart["symbol"].partition("@")[0], chart["interval_ms"], chart["count"]) == ("AUDUSD", 3_600_000, len(chart["candles"]))
    assert chart["candles"][0][0] % 3_600_000 == 0
    assert {len(candle) for candle in chart["candles"]} == {6}
    assert chart["lost"] == []
    status, _, body = desk.ask("GET", "/api/historical/chart-data/AUDUSX?start=2020-01-30")
    assert status == 400
    assert "did you mean AUDUSD" in msgspec.json.decode(body)["error"]
