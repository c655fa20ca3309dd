"""Files of crypto exchanges and of those who record them: recognised by content, and every row is what the text says."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from tercel.base.errors import ConfigError, DataError, TercelError
from tercel.base.records import BAR_VIEW, LAST, SNAPSHOT, Records
from tercel.base.time import NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S, parse_instant
from tercel.market.catalog import Catalog
from tercel.market.importers import binance_collector, bybit, coins, freqtrade, jsontext, tardis
from tercel.market.importers.batch import Batch, Options
from tercel.market.importers.detect import detect, read_head
from tercel.market.importers.parquet_books import ID_GAPS
from tests.market.history import everything, take, text

COLLECTOR = "binance/collector/usdm/btcusdt_20240718.gz"
RAW = {
    "binance/collector/usdm/btcusdt_20240718.gz": (
        "binance-streams",
        {"quote": 7_113, "trade": 974, "book": 77_704},
        "BTCUSDT-PERP@binance",
    ),
    "binance/klines/NEARUSDT-1m-2023-02.zip": ("binance-klines", {"bar 1m trade": 40_320}, "NEARUSDT-PERP@binance"),
    "bitfinex/BTCUSD_1m_18-03-01_00-00-00.json": ("bitfinex-candles", {"bar 1m trade": 120}, "BTCUSD@bitfinex"),
    "bybit/2024-12-01_XRPUSDT_ob500.data.zip": ("bybit-book", {"book": 3_966}, "XRPUSDT-PERP@bybit"),
    "freqtrade/XRP_ETH-1m.feather": ("freqtrade-bars", {"bar 1m trade": 2_469}, "XRPETH@freqtrade"),
    "freqtrade/XRP_ETH-trades.json.gz": ("freqtrade-trades", {"trade": 12_477}, "XRPETH@freqtrade"),
    "kraken/BCHEUR.csv": ("kraken-trades", {"trade": 148}, "BCHEUR@kraken"),
    "tardis/binance-futures_book_snapshot_25_BTCUSDT.csv": ("tardis-snapshot-25", {"book": 500}, "BTCUSDT-PERP@binance-top25"),
    "tardis/binance-futures_book_snapshot_5_BTCUSDT.csv": ("tardis-snapshot-5", {"book": 100}, "BTCUSDT-PERP@binance-top5"),
    "tardis/binance-futures_trades_2020-02-22_BTCUSDT.csv": ("tardis-trades", {"trade": 9_999}, "BTCUSDT-PERP@binance"),
    "tardis/bitmex_trades_XBTUSD.csv": ("tardis-trades", {"trade": 10}, "XBTUSD@bitmex"),
    "tardis/deribit_incremental_book_L2_BTC-PERPETUAL.csv": ("tardis-book", {"book": 15}, "BTC-PERPETUAL@deribit"),
    "tardis/huobi-dm-swap_quotes_BTC-USD.csv": ("tardis-quotes", {"quote": 10}, "BTC-USD@huobi-dm-swap"),
}


def read(path: Path, **options: object) -> dict[str, list[Batch]]:
    """The batches of a file by kind, as its recognised format gives them."""
    found = detect(read_head(path))
    assert found is not None, path
    batches: dict[str, list[Batch]] = {}
    for batch in found.read(path, Options(**options)):  # type: ignore[arg-type]
        batches.setdefault(batch.kind, []).append(batch)
    return batches


def rows(batches: list[Batch]) -> Records:
    """The records of batches as one array."""
    return np.concatenate([batch.records for batch in batches])


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, gzipped or not."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from file


@pytest.mark.parametrize("name", RAW)
def test_every_raw_file_is_recognised_and_imported(home: Path, data_dir: Path, name: str) -> None:
    """Each real file is known by its content and gives its rows, series, venue and symbol; a second time nothing is new."""
    form, series, instrument = RAW[name]
    report = take(data_dir / "raw" / name)
    assert (report.files[0].format, report.files[0].timezone) == (form, "UTC")
    assert {one.key.what: one.rows for one in Catalog().datasets()} == series
    assert {one.instrument.name for one in Catalog().datasets()} == {instrument}
    assert not take(data_dir / "raw" / name).changed


@pytest.mark.parametrize("kind", ["quote", "trade", "book"])
def test_a_recording_equals_its_converted_rows(data_dir: Path, kind: str) -> None:
    """Quotes, trades and book of a recorded session are, bit for bit, the rows that the Parquet files hold of it."""
    file, ids = {
        "quote": ("quotes/crypto_binance_bbo", "update_id"), "trade": ("trades/crypto_binance_tick", "trade_id"),
        "book": ("book/crypto_binance_l2", "last_id"),
    }[kind]  # fmt: skip
    mine = rows(read(data_dir / "raw" / COLLECTOR)[kind])
    mine = mine[np.argsort(mine["ts_event"], kind="stable")]
    low, high = (pa.scalar(int(value)) for value in (mine["ts_recv"].min(), mine["ts_recv"].max()))
    where = (pc.field("symbol") == "BTCUSDT-PERP") & (pc.field("ts_recv") >= low) & (pc.field("ts_recv") <= high)
    table = pq.read_table(data_dir / f"{file}.parquet", filters=where)
    names = {"ts_event": "ts_event", "ts_recv": "ts_recv", "ref": ids} | (
        {"price": "bid", "size": "bid_size", "price2": "ask", "size2": "ask_size"} if kind == "quote" else
        {"side": "side", "price": "price", "size": "size"}
    )  # fmt: skip
    assert len(mine) == table.num_rows
    for field, column in names.items():
        assert np.array_equal(mine[field], table[column].to_numpy()), field
    if kind == "book":
        message = table["msg"].to_numpy()
        assert np.array_equal(mine["flags"] & LAST, np.append(message[1:] != message[:-1], True) * LAST)
        assert np.array_equal((mine["flags"] & SNAPSHOT) != 0, table["kind"].to_numpy() == 0)


@pytest.mark.parametrize(
    ("name", "parquet", "count"),
    [
        ("binance/klines/NEARUSDT-1m-2023-02.zip", "crypto_binance_1m_NEARUSDT-PERP", 40_320),
        ("bitfinex/BTCUSD_1m_18-03-01_00-00-00.json", "crypto_bitfinex_1m_BTCUSD", 120),
        ("bitfinex/BTCUSD_1m_18-03-01_02-00-00.json", "crypto_bitfinex_1m_BTCUSD", 120),
    ],
)
def test_bars_equal_their_converted_rows(data_dir: Path, name: str, parquet: str, count: int) -> None:
    """Binance's klines and Bitfinex's candles are, bit for bit, the bars of the Parquet files."""
    (batch,) = read(data_dir / "raw" / name)["bar"]
    mine, table = batch.records.view(BAR_VIEW), pq.read_table(data_dir / "bars" / f"{parquet}.parquet")
    assert (len(mine), batch.interval_ns, batch.basis) == (count, NS_PER_MIN, "trade")
    index = np.searchsorted(table["ts_event"].to_numpy(), mine["ts_event"])
    for field in ("ts_event", "open", "high", "low", "close", "volume"):
        assert np.array_equal(mine[field], table[field].to_numpy()[index]), field


def test_tardis_rows_are_the_text(data_dir: Path) -> None:
    """Every trade and quote of the Tardis files bears the numbers of its line."""
    for name in ("binance-futures_trades_2020-02-22_BTCUSDT.csv", "bitmex_trades_XBTUSD.csv"):
        path = data_dir / "raw" / "tardis" / name
        mine = rows(read(path)["trade"])
        cells = [line.decode().strip().split(",") for line in lines(path)][1:]
        assert mine["ts_event"].tolist() == [int(row[2]) * 1_000 for row in cells]
        assert mine["ts_recv"].tolist() == [int(row[3]) * 1_000 for row in cells]
        assert mine["ref"].tolist() == [int(row[4]) if row[4].isdigit() else 0 for row in cells]
        assert mine["side"].tolist() == [{"buy": 1, "sell": -1}[row[5]] for row in cells]
        assert mine["price"].tolist() == [float(row[6]) for row in cells]
        assert mine["size"].tolist() == [float(row[7]) for row in cells]
    path = data_dir / "raw" / "tardis" / "huobi-dm-swap_quotes_BTC-USD.csv"
    mine = rows(read(path)["quote"])
    wanted = [tuple(float(line.decode().split(",")[place]) for place in (6, 5, 7, 4)) for line in list(lines(path))[1:]]
    assert [tuple(row) for row in mine[["price", "price2", "size", "size2"]].tolist()] == wanted


def test_a_tardis_snapshot_is_a_message_of_its_levels(data_dir: Path) -> None:
    """Each line of 25 levels becomes one message that replaces the book: bids, then asks, best first."""
    path = data_dir / "raw" / "tardis" / "binance-futures_book_snapshot_25_BTCUSDT.csv"
    mine = rows(read(path)["book"]).reshape(10, 50)
    for message, line in zip(mine, list(lines(path))[1:], strict=True):
        cells = np.array([float(cell) for cell in line.decode().split(",")[4:]]).reshape(25, 4)
        assert message["price"].tolist() == [*cells[:, 2], *cells[:, 0]]
        assert message["size"].tolist() == [*cells[:, 3], *cells[:, 1]]
        assert message["side"].tolist() == [1] * 25 + [-1] * 25
        assert message["flags"].tolist() == [SNAPSHOT] * 49 + [SNAPSHOT | LAST]


def test_tardis_updates_end_with_their_message(tmp_path: Path) -> None:
    """Rows that arrived together are one message, across symbols and blocks; a snapshot is flagged and an empty quote side is unknown."""
    path = text(
        tmp_path / "book.csv",
        ",".join(tardis.UPDATES),
        "deribit,A-PERP,1585699200245000,1585699200355684,true,ask,6421.5,10",
        "deribit,B-PERP,1585699200245000,1585699200355684,true,bid,1.5,10",
        "deribit,A-PERP,1585699200245000,1585699200355684,true,bid,6421,10",
        "deribit,A-PERP,1585699200245000,1585699200355684,false,bid,6421,0",
        "deribit,A-PERP,1585699200246000,1585699200355999,false,bid,6420,7",
    )
    batches = read(path)["book"]
    mine = rows([batch for batch in batches if batch.symbol == "A-PERP"])
    assert mine["flags"].tolist() == [SNAPSHOT, SNAPSHOT | LAST, LAST, LAST]
    assert mine["size"].tolist() == [10, 10, 0, 7]
    assert rows([batch for batch in batches if batch.symbol == "B-PERP"])["flags"].tolist() == [SNAPSHOT | LAST]
    head = ",".join(tardis.QUOTES)
    quotes = text(tmp_path / "q.csv", head, "deribit,A-PERP,1585699200245000,1585699200355684,,,6421,10")
    assert np.isnan(rows(read(quotes)["quote"])["price2"]).all()


def test_bybit_rows_are_the_text(data_dir: Path) -> None:
    """Every level of the archive is a row; its time is the matching engine's; ids join up, and a lost message is counted."""
    path = data_dir / "raw" / "bybit" / "2024-12-01_XRPUSDT_ob500.data.zip"
    batches = read(path)["book"]
    mine = rows(batches)
    messages = [json.loads(line) for line in zipfile.ZipFile(path).read("2024-12-01_XRPUSDT_ob500.data").splitlines()]
    wanted = [
        (one["cts"] * NS_PER_MS, side, float(price), float(size), one["data"]["u"])
        for one in messages
        for side, name in ((1, "b"), (-1, "a"))
        for price, size in one["data"][name]
    ]
    assert mine[["ts_event", "side", "price", "size", "ref"]].tolist() == wanted
    assert int((mine["flags"] & LAST != 0).sum()) == len(messages)
    assert all(ID_GAPS not in batch.notes for batch in batches)


def test_a_lost_book_message_is_counted(home: Path, tmp_path: Path) -> None:
    """When an id is missing between two updates the report says so; the rows are kept."""
    line = '{{"topic":"orderbook.500.XRPUSDT","type":"{}","ts":1733011200691,"data":{{"s":"XRPUSDT","b":[["1.5","{}"]],"a":[],"u":{}}}}}'
    path = text(tmp_path / "x.data", line.format("snapshot", 1, 7), *[line.format("delta", u, u) for u in (8, 9, 11, 12)])
    report = take(path)
    assert report.rows == 5
    assert f"1 {ID_GAPS}" in report.files[0].notes


def test_freqtrade_rows_are_the_file(data_dir: Path) -> None:
    """The Feather bars are the columns of the file, the trades its JSON rows."""
    path = data_dir / "raw" / "freqtrade" / "XRP_ETH-1m.feather"
    mine, table = rows(read(path)["bar"]).view(BAR_VIEW), feather.read_table(path)
    for field, column in {"ts_event": "date", "open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"}.items():
        values = table[column].cast(pa.int64()) if column == "date" else table[column]
        assert np.array_equal(mine[field], values.to_numpy()), field
    path = data_dir / "raw" / "freqtrade" / "XRP_ETH-trades.json.gz"
    trades = json.loads(gzip.decompress(path.read_bytes()))
    wanted = [(one[0] * NS_PER_MS, {"buy": 1, "sell": -1}[one[3]], float(one[4]), float(one[5]), int(one[1])) for one in trades]
    assert rows(read(path)["trade"])[["ts_event", "side", "price", "size", "ref"]].tolist() == wanted


def test_freqtrade_knows_exchange_and_perpetual_from_where_it_lies(home: Path, tmp_path: Path) -> None:
    """The folder names the exchange, the name the pair; mark and funding candles are refused, as is a name without a pair."""
    times = pa.array([NS_PER_H, 2 * NS_PER_H], pa.timestamp("ns", "UTC"))
    table = pa.table({"date": times} | {name: [1.5, 1.5] for name in freqtrade.BAR_COLUMNS[1:]})
    folder = tmp_path / "okx" / "futures"
    for path in (tmp_path / "okx" / "ETH_BTC-1h.feather", folder.parent / "XRP_USDT_USDT-1h-futures.feather"):
        path.parent.mkdir(exist_ok=True)
        feather.write_feather(table, path, "lz4")
    take(tmp_path / "okx")
    assert [data.instrument.name for data in Catalog().datasets()] == ["ETHBTC@okx", "XRPUSDT-PERP@okx"]
    mark = tmp_path / "okx" / "XRP_USDT_USDT-1h-mark.feather"
    feather.write_feather(table, mark, "lz4")
    with pytest.raises(DataError, match="expected bars of trades"):
        take(mark)
    feather.write_feather(table, tmp_path / "bars.feather", "lz4")
    with pytest.raises(ConfigError, match="expected a name as freqtrade writes it"):
        take(tmp_path / "bars.feather")
    assert take(tmp_path / "bars.feather", symbol="ETHBTC", venue="kraken", interval_ns=NS_PER_H).rows == 2


def test_kraken_rows_are_the_text(data_dir: Path) -> None:
    """Every line of the trade history is a trade at its second, the aggressor unknown."""
    path = data_dir / "raw" / "kraken" / "BCHEUR.csv"
    mine = rows(read(path)["trade"])
    cells = [line.decode().strip().split(",") for line in lines(path)]
    assert mine[["ts_event", "side", "price", "size"]].tolist() == [
        (int(time) * NS_PER_S, 0, float(price), float(size)) for time, price, size in cells
    ]


KLINE = "{},1.5,1.7,1.4,1.6,100,{},150,3,40,60,0"
START_MS = parse_instant("2025-01-01") // NS_PER_MS


def klines(count: int, unit: int = 1) -> list[str]:
    """Klines of a minute; `unit` 1,000 for times in µs."""
    return [
        KLINE.format((START_MS + 60_000 * index) * unit, (START_MS + 60_000 * (index + 1)) * unit - 1) for index in range(count)
    ]  # fmt: skip


def test_klines_in_ms_and_us_are_the_same_bars(home: Path, tmp_path: Path) -> None:
    """Spot files have no header, from 2025 on times in µs; in either unit the bars are equal, and the report says spot."""
    for name, unit in (("BTCUSDT-1m-2025-01.csv", 1_000), ("BTCUSDT-1m-2025-01-b.csv", 1)):
        report = take(text(tmp_path / name, *klines(5, unit)))
        assert report.files[0].series[0].instrument == "BTCUSDT@binance"
        assert f"5 {coins.SPOT}" in report.files[0].notes
    (data,) = Catalog().datasets()
    assert (data.key.what, data.rows, data.first_ns) == ("bar 1m trade", 5, START_MS * NS_PER_MS)


def test_a_kline_of_another_length_is_refused_and_a_short_one_noted(home: Path, tmp_path: Path) -> None:
    """A bar longer than the others or off the grid is refused with its row; one that ended early, as in an outage, is kept and counted."""
    longer = klines(5)
    longer[3] = KLINE.format(START_MS + 180_000, START_MS + 299_999)
    with pytest.raises(DataError, match=r"row 4, column close_time: expected the end of a bar of 1m, found 'one of 120.0 s'"):
        take(text(tmp_path / "BTCUSDT-1m-a.csv", *longer))
    off = klines(5)
    off[2] = KLINE.format(START_MS + 120_001, START_MS + 180_000)
    with pytest.raises(DataError, match="row 3, column time: expected a bar that opens on a multiple of 1m"):
        take(text(tmp_path / "BTCUSDT-1m-b.csv", *off))
    short = klines(5)
    short[4] = KLINE.format(START_MS + 240_000, START_MS + 250_000)
    assert any(note.startswith("1 bars that ended before") for note in take(text(tmp_path / "BTCUSDT-1m-c.csv", *short)).files[0].notes)


def test_other_exchanges_candles_are_not_taken_for_bitfinex(home: Path, tmp_path: Path) -> None:
    """An array with high and low where others have them is no Bitfinex file: its bars would come out wrong."""
    fits = [[START_MS + 60_000 * index, 10, 11, 12, 9, 1.5] for index in range(5)]
    others = [[time, open_, high, low, close, volume] for time, open_, close, high, low, volume in fits]
    path = tmp_path / "BTCUSD_1m_x.json"
    path.write_text(json.dumps(others))
    with pytest.raises(DataError, match="unknown format"):
        take(path)
    path.write_text(json.dumps(fits[::-1]))
    report = take(path)
    assert (report.rows, report.files[0].series[0].rows_out_of_order) == (5, 4)
    bars = everything(Catalog().records("BTCUSD@bitfinex", "bar"))
    assert bars[["open", "high", "low", "close"]][0].item() == (10.0, 12.0, 9.0, 11.0)
    (tmp_path / "BTCUSD.json").write_text(json.dumps(fits))
    with pytest.raises(DataError, match="say it with --interval"):
        take(tmp_path / "BTCUSD.json")


SPOT = {
    "trade": '{"e":"trade","E":1723161254300,"s":"ETHUSDT","t":9,"p":"2500.10","q":"0.5","T":1723161254299,"m":false,"M":true}',
    "quote": '{"u":77,"s":"ETHUSDT","b":"2500.00","B":"1.5","a":"2500.20","A":"2.5"}',
    "book": '{"e":"depthUpdate","E":1723161254300,"s":"ETHUSDT","U":51,"u":52,"b":[["2500.00","1.5"]],"a":[["2500.20","0"]]}',
    "snapshot": '{"lastUpdateId":50,"bids":[["2500.00","1.0"]],"asks":[["2500.20","2.0"],["2500.30","3.0"]]}',
}
ARRIVAL = 1723161254206652067


def test_spot_streams_are_read_plain_and_in_envelopes(home: Path, tmp_path: Path) -> None:
    """Spot messages keep the plain symbol; what bears no exchange time is dated by its arrival; envelopes change nothing."""
    plain = [f"{ARRIVAL + index} {line}" for index, line in enumerate(SPOT.values())]
    wrapped = [
        f'{ARRIVAL + index} {{"stream":"ethusdt@{kind}","data":{line}}}' for index, (kind, line) in enumerate(SPOT.items())
    ]  # fmt: skip
    found = [read(text(tmp_path / name, *lines_)) for name, lines_ in (("a.log", plain), ("b.log", wrapped))]
    for one in found:
        assert {batch.symbol for batches in one.values() for batch in batches} == {"ETHUSDT"}
        trade, quote, book = (rows(one[kind]) for kind in ("trade", "quote", "book"))
        assert trade[["ts_event", "ts_recv", "side", "price", "size", "ref"]].tolist() == [
            (1723161254299 * NS_PER_MS, ARRIVAL, 1, 2500.10, 0.5, 9)
        ]
        assert quote[["ts_event", "ts_recv", "price", "size", "price2", "size2", "ref"]].tolist() == [
            (ARRIVAL + 1, ARRIVAL + 1, 2500.0, 1.5, 2500.2, 2.5, 77)
        ]
        assert book["ts_event"].tolist() == [1723161254300 * NS_PER_MS] * 2 + [ARRIVAL + 3] * 3
        assert book["flags"].tolist() == [0, LAST, SNAPSHOT, SNAPSHOT, SNAPSHOT | LAST]
        assert book["ref"].tolist() == [52, 52, 50, 50, 50]
    take(tmp_path / "a.log")
    assert not take(tmp_path / "b.log").changed


def test_a_recording_of_several_symbols_needs_streams_on_its_snapshots(home: Path, tmp_path: Path) -> None:
    """Two symbols in a recording are two instruments; a snapshot that does not say whose it is is refused with its row."""
    other = SPOT["quote"].replace("ETHUSDT", "BTCUSDT")
    both = [f"{ARRIVAL} {SPOT['book']}", f"{ARRIVAL} {other}"]
    bare = text(tmp_path / "bare.log", *both, f"{ARRIVAL} {SPOT['snapshot']}")
    with pytest.raises(DataError, match=r"bare\.log: row 3, column stream: .*BTCUSDT, ETHUSDT"):
        take(bare)
    named = text(tmp_path / "named.log", *both, f'{ARRIVAL} {{"stream":"btcusdt@depth","data":{SPOT["snapshot"]}}}')
    take(named)
    assert [(one.instrument.symbol, one.key.what, one.rows) for one in Catalog().datasets()] == [
        ("BTCUSDT", "book", 3), ("BTCUSDT", "quote", 1), ("ETHUSDT", "book", 2),
    ]  # fmt: skip


def test_what_a_recording_holds_beside_is_counted(home: Path, tmp_path: Path) -> None:
    """Answers, other streams and settlements without a price are left out with their number."""
    settled = '{"e":"trade","E":1723161254300,"T":1723161254300,"s":"ETHUSDT","t":9,"p":"0","q":"0","X":"NA","m":false}'
    extra = ['{"tercel":"disconnected"}', '{"result":null,"id":1}', '{"e":"aggTrade","s":"ETHUSDT","p":"1"}', settled]
    notes = take(text(tmp_path / "a.log", *[f"{ARRIVAL} {line}" for line in [*extra, SPOT["trade"]]])).files[0].notes
    assert f"2 {binance_collector.OTHERS}" in notes
    assert f"1 {binance_collector.LOST}" in notes
    assert f"1 {binance_collector.NO_TRADE}" in notes


def envelope(kind: str, before: str, after: str) -> str:
    """One spot message with a piece of its text replaced."""
    assert before in SPOT[kind]
    return f"{ARRIVAL} {SPOT[kind].replace(before, after)}"


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (f"12345 {SPOT['trade']}", r"row 2, column recv_ns: expected a time of arrival in ns \(19 digits\), found '12345'"),
        (f"{ARRIVAL} {{", "row 2: expected a message of Binance"),
        (envelope("trade", '"2500.10"', "2500.10"), r"row 2: expected a message of Binance \(expected `str \| null`, got `float`"),
        (envelope("trade", "2500.10", "NaN"), "row 2, column p: expected a number, found 'NaN'"),
        (envelope("trade", "2500.10", "-1"), "row 2, column price: expected a price above 0, found -1.0"),
        (envelope("trade", '"t":9', '"t":99999999999999999999'), "row 2, column t: expected a whole number below 2"),
        (envelope("trade", '"T":1723161254299', '"T":-5'), "row 2, column T: expected a time in ms or µs since 1970, found -5"),
        (envelope("book", "1.5", "1e999"), "row 2, column size: expected a number, found '1e999'"),
        (envelope("book", '["2500.00","1.5"]', '["2500.00"]'), "row 2: expected a message of Binance .*length 2"),
        (envelope("quote", '"b":"2500.00",', ""), "row 2, column b: expected a quote with b, B, a and A"),
    ],
)
def test_a_wrong_message_is_named_with_its_row(home: Path, tmp_path: Path, line: str, match: str) -> None:
    """Whatever is wrong with a message, its row is named and nothing is imported."""
    path = text(tmp_path / "a.log", f"{ARRIVAL} {SPOT['quote']}", line)
    with pytest.raises(TercelError, match=match):
        take(path)
    assert Catalog().datasets() == []


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (("0.07628364]", "0.07628364,7,7]"), "row 2: expected `array` of length 7; nothing"),
        (('"sell"', '"sold"'), "unknown format"),
        (("0.00141266,54.0", '"x",54.0'), "row 2, column price: expected `float`, got `str`"),
        (("0.00141266,54.0", "0,54.0"), "row 2, column price: expected a price above 0, found 0.0"),
        (("1570752017964", "157075201796400"), "row 3, column time: expected a time in ms since 1970, found 157075201796400"),
        (("54.0,0.07628364]", "54.0,0.07628364"), "row 2: expected `array` of length 7; nothing was imported"),
    ],
)
def test_a_wrong_row_of_an_array_is_named(home: Path, tmp_path: Path, damage: tuple[str, str], match: str) -> None:
    """Rows of a long JSON array are counted, so that a message can name row and column."""
    path = tmp_path / "XRP_ETH-trades.json"
    good = (
        '[[1570752011620,"13519807",null,"sell",0.00141342,23.0,0.03250866],[1570752011620,"13519808",null,"sell",0.00141266,54.0,0.07628364],'
        '[1570752017964,"13519809",null,"sell",0.00141266,8.0,0.01130128]]'
    )
    path.write_text(good.replace(*damage, 1))
    with pytest.raises(DataError, match=match):
        take(path)


def test_a_long_array_is_read_in_blocks(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However an array is cut into blocks, the rows and their numbers are the same; a cut array is refused."""
    trades = [[START_MS + index, str(index + 1), None, "buy", 1.5 + index, 2.5, 3.0] for index in range(200)]
    path = tmp_path / "XRP_ETH-trades.json"
    path.write_text(json.dumps(trades))
    for size in (64, 100, 997, 1 << 20):
        monkeypatch.setattr(jsontext, "BLOCK_BYTES", size)
        found = list(jsontext.json_rows(path, freqtrade.Trade, freqtrade.TRADE_COLUMNS))
        assert [list(row) for block in found for row in block.values] == trades, size
        assert [block.first_row for block in found] == np.cumsum([1, *[len(block.values) for block in found]])[:-1].tolist()
        seen = [line for block in jsontext.json_lines(path) for line in block.texts]
        assert b"".join(seen).decode() == json.dumps(trades)
    path.write_text(json.dumps(trades)[:-40])
    with pytest.raises(DataError, match=r"row 200: expected the end of the array"):
        take(path)


@pytest.mark.parametrize(
    "build",
    [
        lambda: "[" * 100_000 + "]" * 100_000,
        lambda: f"{ARRIVAL} " + '{"a":' * 50_000 + "1" + "}" * 50_000,
        lambda: '{"topic":"orderbook.500.X","type":' + "[" * 60_000,
    ],
)
def test_deeply_nested_text_is_refused(home: Path, tmp_path: Path, build: Callable[[], str]) -> None:
    """Nesting without end is a refusal like any other, not the end of the process."""
    (tmp_path / "a.json").write_text(build())
    with pytest.raises(DataError):
        take(tmp_path / "a.json")


def test_one_symbol_option_stands_for_one_symbol(home: Path, tmp_path: Path) -> None:
    """`--symbol` renames the one symbol of a file that names it; a file of several is refused."""
    head, line = ",".join(tardis.TRADES), "bitmex,{},1583020803145000,1583020803307160,7,sell,8531.5,2152"
    assert take(text(tmp_path / "a.csv", head, line.format("XBTUSD")), symbol="BTCUSD").files[0].series[0].instrument == "BTCUSD@bitmex"
    with pytest.raises(DataError, match="row 3, column symbol: expected one symbol for --symbol to stand for"):
        take(text(tmp_path / "b.csv", head, line.format("XBTUSD"), line.format("ETHUSD")), symbol="BTCUSD")
    message = '{{"topic":"orderbook.200.{0}","type":"snapshot","ts":1733011200691,"data":{{"s":"{0}","b":[["1","2"]],"a":[],"u":7}}}}'
    assert next(iter(bybit.read(text(tmp_path / "c.data", message.format("XRPUSDT")), Options()))).symbol == "XRPUSDT"
    with pytest.raises(DataError, match="row 2, column topic: expected one symbol"):
        take(text(tmp_path / "d.data", message.format("XRPUSDT"), message.format("BTCUSDT")), symbol="BTCUSD")
