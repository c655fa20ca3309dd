"""Databento files: every record as the vendor's own decoder reads it, the real order-by-order day as the Parquet file has it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import databento_dbn as vendor
import numpy as np
import pyarrow.parquet as pq
import pytest

from tercel.base.errors import ConfigError, DataError, TercelError
from tercel.base.records import BOOK, LAST, SNAPSHOT
from tercel.base.time import NS_PER_S
from tercel.market.catalog import Catalog
from tercel.market.importers import dbn
from tercel.market.importers.batch import Batch, Options
from tercel.market.importers.compressed import open_plain
from tercel.market.importers.detect import formats
from tests.market.history import everything, take
from tests.market.test_real_history import ACTIONS

SIDES = {"B": 1, "A": -1, "N": 0}
FILES = {  # name -> instrument, rows of each kind
    "futures_mbp-1_2024-07-01T23-58_2024-07-02T00-02.dbn.zst": ("ESU4", {"quote": 2_168, "trade": 120}),
    "test_data.bbo-1m.v3.dbn.zst": ("ESH1", {"quote": 4}),
    "test_data.bbo-1s.v3.dbn.zst": ("ESH1", {"quote": 4}),
    "test_data.mbo.v1.dbn.zst": ("ESH1", {"order": 2}),
    "test_data.mbo.v3.dbn.zst": ("ESH1", {"order": 2}),
    "test_data.mbp-1.v1.dbn.zst": ("ESH1", {"quote": 2}),
    "test_data.mbp-1.v3.dbn.zst": ("ESH1", {"quote": 2}),
    "test_data.mbp-10.v3.dbn.zst": ("ESH1", {"book": 21}),
    "test_data.ohlcv-1h.v3.dbn.zst": ("ESH1", {"bar": 2}),
    "test_data.ohlcv-1m.v1.dbn.zst": ("ESH1", {"bar": 2}),
    "test_data.ohlcv-1m.v3.dbn.zst": ("ESH1", {"bar": 2}),
    "test_data.ohlcv-1s.v3.dbn.zst": ("ESH1", {"bar": 2}),
    "test_data.tbbo.v3.dbn.zst": ("ESH1", {"quote": 2, "trade": 2}),
    "test_data.trades.v1.dbn.zst": ("ESH1", {"trade": 2}),
    "test_data.trades.v3.dbn.zst": ("ESH1", {"trade": 2}),
}
INTERVALS = {"test_data.ohlcv-1h.v3.dbn.zst": 3_600, "test_data.ohlcv-1s.v3.dbn.zst": 1}


def price(value: int) -> float:
    """The nearest double to a multiple of 1e-9, by Python's exact division."""
    return np.nan if value == vendor.UNDEF_PRICE else value / 10**9


def decoded(path: Path) -> tuple[Any, list[Any]]:
    """Header and records of a file by the vendor's own decoder."""
    decoder = vendor.DBNDecoder()
    with open_plain(path) as plain:
        decoder.write(plain.read())
    header, *records = decoder.decode()
    return header, records


def expected(schema: str, record: Any) -> Iterator[tuple[str, tuple[float, ...]]]:
    """What one record has to become: its kind, and the numbers of its row."""
    if schema.startswith("ohlcv"):
        yield "bar", (record.ts_event, *(price(getattr(record, name)) for name in ("open", "high", "low", "close")), record.volume)
        return
    traded = schema in ("trades", "tbbo") or (schema.startswith("mbp") and record.action == "T")
    if schema == "mbo":
        time = record.ts_recv if record.flags & 32 else record.ts_event
        action, side = ACTIONS[str(record.action)], SIDES[str(record.side)]
        yield "order", (time, record.ts_recv, action, side, price(record.price), record.size, record.order_id)
    if traded:
        yield "trade", (record.ts_event, record.ts_recv, 2, SIDES[str(record.side)], price(record.price), record.size, record.sequence)
    if schema in ("tbbo", "bbo-1s", "bbo-1m") or (schema == "mbp-1" and not traded):
        top, sampled = record.levels[0], schema.startswith("bbo")
        time = record.ts_recv if sampled else record.ts_event
        yield "quote", (time, record.ts_recv, price(top.bid_px), top.bid_sz, price(top.ask_px), top.ask_sz, record.sequence)


def numbers(batch: Batch) -> list[tuple[float, ...]]:
    """The rows of a batch as `expected` writes them."""
    fields = {
        "bar": ("ts_event", "open", "high", "low", "close", "volume"),
        "quote": ("ts_event", "ts_recv", "price", "size", "price2", "size2", "ref"),
    }.get(batch.kind, ("ts_event", "ts_recv", "kind", "side", "price", "size", "ref"))
    return [tuple(row[field].item() for field in fields) for row in batch.records]


@pytest.mark.parametrize("name", [*sorted(FILES), "esh4-glbx-mdp3-20231225.mbo.dbn.zst"])
def test_every_record_is_what_the_vendors_decoder_reads(data_dir: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record by record and field by field, in small blocks too, the rows are those of the vendor's own decoder."""
    monkeypatch.setattr(dbn, "BLOCK_BYTES", 10_001)
    path = data_dir / "raw" / "databento" / name
    header, records = decoded(path)
    schema = str(header.schema)
    wanted: dict[str, list[tuple[float, ...]]] = {}
    for record in records:
        for kind, row in expected(schema, record):
            wanted.setdefault(kind, []).append(row)
    found: dict[str, list[tuple[float, ...]]] = {}
    for batch in formats()["dbn"].read(path, Options()):
        assert batch.symbol == header.symbols[0]
        if batch.kind != "book":
            found.setdefault(batch.kind, []).extend(numbers(batch))
    assert {kind: len(rows) for kind, rows in found.items()} == {kind: len(rows) for kind, rows in wanted.items()}
    for kind, rows in found.items():
        assert np.array_equal(np.array(rows), np.array(wanted[kind]), equal_nan=True), kind


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_is_imported(home: Path, data_dir: Path, name: str) -> None:
    """Instrument, venue, kind, rows and the interval of bars are as the file says."""
    symbol, kinds = FILES[name]
    report = take(data_dir / "raw" / "databento" / name)
    assert report.files[0].format == "dbn"
    assert {one.kind: one.counts.rows for one in report.files[0].series} == kinds
    for data in Catalog().datasets():
        assert data.instrument.name == f"{symbol}@cme"
        assert data.interval_ns == (INTERVALS.get(name, 60) * NS_PER_S if data.kind == "bar" else 0)


def test_the_real_day_of_orders_equals_the_parquet_file(home: Path, data_dir: Path) -> None:
    """68,792 order events of ESH4: all fields equal, and after the Parquet file the vendor's file brings nothing new."""
    parquet, raw = data_dir / "book" / "es_mbo.parquet", data_dir / "raw/databento/esh4-glbx-mdp3-20231225.mbo.dbn.zst"
    take(raw)
    rows, table = everything(Catalog().records("ESH4@cme", "order")), pq.read_table(parquet)
    assert len(rows) == 68_792
    for column, field in (("ts_event",) * 2, ("ts_recv",) * 2, ("size",) * 2, ("side",) * 2, ("order_id", "ref")):
        assert np.array_equal(rows[field], table[column].to_numpy()), column
    assert np.array_equal(rows["price"], table["price"].to_numpy(), equal_nan=True)
    assert rows["kind"].tolist() == [ACTIONS[action] for action in table["action"].to_pylist()]
    assert np.array_equal((rows["flags"] & LAST) > 0, (table["flags"].to_numpy() & 128) > 0)
    assert np.array_equal((rows["flags"] & SNAPSHOT) > 0, (table["flags"].to_numpy() & 32) > 0)
    again = take(parquet)
    assert not again.changed
    assert again.files[0].series[0].rows_known == 68_792


def test_ten_levels_become_the_changes_of_a_book(home: Path, data_dir: Path) -> None:
    """Applied in order, the rows of the book give the levels of each record."""
    path = data_dir / "raw/databento/test_data.mbp-10.v3.dbn.zst"
    take(path)
    rows = everything(Catalog().records("ESH1@cme", "book"))
    assert (rows["kind"] == BOOK).all()
    _, records = decoded(path)
    held: dict[int, dict[float, float]] = {1: {}, -1: {}}
    for record in records:
        for row in rows[rows["ref"] == record.sequence]:
            side = held[int(row["side"])]
            if row["size"] == 0:
                del side[float(row["price"])]
            else:
                side[float(row["price"])] = float(row["size"])
        assert held[1] == {price(level.bid_px): level.bid_sz for level in record.levels}
        assert held[-1] == {price(level.ask_px): level.ask_sz for level in record.levels}
    assert len({record.sequence for record in records}) == 2


def test_the_folder_is_imported_and_the_rest_named(home: Path, data_dir: Path) -> None:
    """One command reads every file; statistics, status, imbalance and a file without records are left out, each with its reason."""
    report = take(data_dir / "raw" / "databento")
    assert len(report.files) == 17
    reasons = {Path(one.path).name: one.reason for one in report.skipped}
    assert reasons.pop("test_data.ohlcv-1d.v3.dbn.zst").startswith("expected rows, found none")
    for kind in ("statistics", "status", "imbalance"):
        assert reasons.pop(f"test_data.{kind}.v3.dbn.zst") == f"Databento DBN of {kind} is not imported: the catalog has no place for it"
    assert not reasons
    assert not take(data_dir / "raw" / "databento").changed
    with pytest.raises(DataError, match="expected rows, found none"):
        take(data_dir / "raw/databento/test_data.ohlcv-1d.v3.dbn.zst")


def test_definitions_become_instruments(home: Path, data_dir: Path) -> None:
    """MSFT of Nasdaq is registered without a row, and importing it again changes nothing."""
    path = data_dir / "raw/databento/test_data.definition.v3.dbn.zst"
    report = take(path)
    assert report.changed
    assert report.files[0].notes == ["MSFT@nasdaq: defined as equity, 4 price decimals, tick 0.01, 1 USD a point"]
    one = Catalog().manifest().instrument("MSFT@nasdaq")
    assert one is not None
    assert (one.asset, one.quote, one.id) == ("equity", "USD", 1)
    assert not take(path).changed


DAY, NEXT = date(2024, 1, 2), date(2024, 1, 3)
TIME = 1_704_204_000 * NS_PER_S  # 2024-01-02 14:00 UTC


def header(schema: Any, mappings: dict[str, list[tuple[date, date, int]]] | None = None, version: int = 3, ts_out: bool = False) -> bytes:
    """A DBN header by the vendor's encoder; `mappings` has instrument numbers by symbol and days."""
    made = {"ESH4": [(DAY, NEXT, 7)]} if mappings is None else mappings
    return bytes(
        vendor.Metadata(
            "GLBX.MDP3", TIME, vendor.SType.RAW_SYMBOL, vendor.SType.INSTRUMENT_ID, schema, list(made),
            mappings=[
                SimpleNamespace(raw_symbol=symbol, intervals=[SimpleNamespace(start_date=a, end_date=b, symbol=str(n)) for a, b, n in days])
                for symbol, days in made.items()
            ],
            version=version, ts_out=ts_out,
        )
    )  # fmt: skip


def trade(instrument: int = 7, time: int = TIME, at: int = 4_750_250_000_000, **more: Any) -> bytes:
    """A trade record by the vendor's encoder."""
    return bytes(vendor.TradeMsg(1, instrument, time, at, 3, vendor.Action.TRADE, vendor.Side.BID, 0, time + 1, **more))


def order(action: Any, flags: int, number: int) -> bytes:
    """An order record by the vendor's encoder."""
    return bytes(vendor.MBOMsg(1, 7, TIME, number, 4_750_250_000_000, 1, action, vendor.Side.BID, TIME + 1, flags=flags))


def saved(path: Path, *pieces: bytes) -> Path:
    """A file of the pieces."""
    path.write_bytes(b"".join(pieces))
    return path


def test_an_instrument_number_means_another_symbol_on_another_day(home: Path, tmp_path: Path) -> None:
    """Numbers are looked up by day; a day without a symbol is refused with its record."""
    mappings = {"ESH4": [(DAY, NEXT, 7)], "ESM4": [(NEXT, date(2024, 1, 4), 7)]}
    later = TIME + 86_400 * NS_PER_S
    take(saved(tmp_path / "a.dbn", header(vendor.Schema.TRADES, mappings), trade(), trade(time=later), trade()))
    assert {data.instrument.symbol: data.rows for data in Catalog().datasets()} == {"ESH4": 2, "ESM4": 1}
    path = saved(tmp_path / "b.dbn", header(vendor.Schema.TRADES, mappings), trade(), trade(time=later + 86_400 * NS_PER_S))
    with pytest.raises(DataError, match=r"row 2, column instrument_id: expected an instrument whose symbol on 20240104 .* found 7"):
        take(path)


def test_a_file_without_symbols_takes_the_option_for_one_instrument(home: Path, tmp_path: Path) -> None:
    """--symbol names the one instrument of a file; a second number, or several symbols in the header, are refused."""
    take(saved(tmp_path / "a.dbn", header(vendor.Schema.TRADES, {}), trade(), trade()), symbol="ESH4")
    assert Catalog().datasets()[0].instrument.name == "ESH4@cme"
    with pytest.raises(DataError, match="row 2, column instrument_id: expected 7, since --symbol names one series, found 8"):
        take(saved(tmp_path / "b.dbn", header(vendor.Schema.TRADES, {}), trade(), trade(8)), symbol="ESH4")
    two = header(vendor.Schema.TRADES, {"ESH4": [(DAY, NEXT, 7)], "ESM4": [(DAY, NEXT, 8)]})
    with pytest.raises(ConfigError, match="the file has several instruments; leave the option out"):
        take(saved(tmp_path / "c.dbn", two, trade()), symbol="ESH4")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_live_capture_mixes_kinds_and_maps_as_it_goes(home: Path, tmp_path: Path, version: int) -> None:
    """Mapping records, send times at the end of each record and kinds that are not imported: rows come out, the rest is counted by name."""
    far, sent = vendor.UNDEF_TIMESTAMP, TIME + 2
    mapping = (
        vendor.SymbolMappingMsgV1(1, 7, TIME, "ES.FUT", "ESH4", TIME, far, ts_out=sent)
        if version == 1
        else vendor.SymbolMappingMsg(1, 7, TIME, vendor.SType.PARENT, "ES.FUT", vendor.SType.RAW_SYMBOL, "ESH4", TIME, far, ts_out=sent)
    )
    status = vendor.StatusMsg(1, 7, TIME, TIME, ts_out=sent)
    path = saved(
        tmp_path / "a.dbn", header(None, {}, version, ts_out=True), bytes(mapping), trade(ts_out=sent), bytes(status), trade(ts_out=sent)
    )
    report = take(path)
    assert {one.kind: one.counts.rows for one in report.files[0].series} == {"trade": 2}
    assert report.files[0].notes == ["1 records of the kind status: left out, the catalog has no place for them"]
    assert Catalog().datasets()[0].instrument.name == "ESH4@cme"


def defined(version: int, symbol: str, kind: str) -> bytes:
    """A definition record by the vendor's own layout of a version."""
    layout = {1: vendor.InstrumentDefMsgV1, 2: vendor.InstrumentDefMsgV2, 3: vendor.InstrumentDefMsg}[version]
    row = np.zeros(1, np.dtype(layout._dtypes))
    row["length"], row["rtype"], row["publisher_id"], row["instrument_id"], row["ts_event"] = row.itemsize // 4, 0x13, 1, 7, TIME
    row["min_price_increment"], row["min_price_increment_amount"] = 15_625_000, 15_625_000_000
    row["unit_of_measure_qty"], row["raw_symbol"], row["instrument_class"], row["currency"] = 10**14, symbol, kind, "USD"
    return row.tobytes()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_future_is_defined_with_tick_and_contract(home: Path, tmp_path: Path, version: int) -> None:
    """Increment, worth of a tick and currency give decimals, tick and multiplier; an option is counted and left out."""
    path = saved(
        tmp_path / "a.dbn", header(vendor.Schema.DEFINITION, {}, version), defined(version, "ZNH4", "F"), defined(version, "OZNH4", "C")
    )
    assert take(path).files[0].notes == [
        "1 definitions of options, spreads and other kinds: left out",
        "ZNH4@cme: defined as future, 6 price decimals, tick 0.015625, 1,000 USD a point",
    ]
    assert take(saved(tmp_path / "b.dbn", header(vendor.Schema.DEFINITION, {}, version), defined(version, "QQQH4", "F"))).changed
    one = Catalog().manifest().instrument("QQQH4@cme")
    assert one is not None
    assert (one.price_decimals, one.price_increment, one.multiplier) == (6, 15_625, 1_000)


def test_an_order_record_that_does_nothing_may_end_an_event(home: Path, tmp_path: Path) -> None:
    """It is left out and counted, and the record before it ends the event."""
    take(saved(tmp_path / "a.dbn", header(vendor.Schema.MBO), order(vendor.Action.ADD, 0, 1), order(vendor.Action.NONE, 128, 0)))
    rows = everything(Catalog().records("ESH4", "order"))
    assert [(row["ref"], row["flags"] & LAST) for row in rows] == [(1, LAST)]


def test_the_clock_is_utc_whatever_is_said(home: Path, tmp_path: Path) -> None:
    """DBN's times are ns UTC: --timezone changes nothing and the report does not claim it did."""
    report = take(saved(tmp_path / "a.dbn", header(vendor.Schema.TRADES), trade()), timezone="UTC+3")
    assert report.files[0].timezone == "UTC"
    assert Catalog().datasets()[0].first_ns == TIME


def test_quotes_without_a_side_are_counted(home: Path, tmp_path: Path) -> None:
    """One undefined side is NaN; a record with neither is no quote."""
    levels = vendor.BidAskPair(bid_px=4_750_250_000_000, bid_sz=5), vendor.BidAskPair()
    pieces = [bytes(vendor.MBP1Msg(1, 7, TIME, 0, 0, vendor.Action.MODIFY, vendor.Side.BID, 0, TIME, levels=level)) for level in levels]
    report = take(saved(tmp_path / "a.dbn", header(vendor.Schema.MBP_1), *pieces))
    assert f"1 {dbn.NO_SIDE}" in report.files[0].notes
    (row,) = everything(Catalog().records("ESH4", "quote"))
    assert (row["price"], row["size"]) == (4_750.25, 5)
    assert np.isnan([row["price2"], row["size2"]]).all()


def test_a_price_of_more_than_53_bits_is_the_nearest_double() -> None:
    """Nine million and more in 1e-9 is no double itself; dividing exactly gives the nearest one."""
    values = np.array([9_007_199_254_740_993_000, 2**63 - 1, -5, 1], np.int64)
    found = dbn.prices_of(values)
    assert found[0] == 9_007_199_254_740_993_000 / 10**9
    assert np.isnan(found[1])
    assert found[2:].tolist() == [-5e-9, 1e-9]


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda data: data[:-1], r"row 3, column length: expected a whole record, found '47 bytes'"),
        (lambda data: data[:-48] + b"\0" + data[-47:], r"row 3, column length: expected a record of at least 16 bytes, found 0"),
        (lambda data: data[:-48] + b"\5" + data[-47:-28], r"row 3, column length: expected 48 bytes for a record of kind 0, found 20"),
        (lambda data: data[:-19] + b"Q" + data[-18:], r"row 3, column side: expected one of A, B, N, found 'Q'"),
        (lambda data: data[:3] + b"\7" + data[4:], "unknown format"),
        (lambda data: data[:40], "bytes of header, found"),
    ],
)
def test_a_damaged_file_is_refused(home: Path, tmp_path: Path, damage: Any, match: str) -> None:
    """A record cut short, of length 0, of the wrong length or with an unknown side, another version, half a header: refused."""
    with pytest.raises(DataError, match=match):
        take(saved(tmp_path / "a.dbn", damage(header(vendor.Schema.TRADES) + trade() + trade() + trade())))
    assert not Catalog().datasets()


def test_no_changed_byte_does_worse_than_a_refusal(home: Path, tmp_path: Path) -> None:
    """Any byte of header and records changed: the file is read or refused, nothing else."""
    whole = header(vendor.Schema.TRADES) + trade() + trade()
    for place in range(8, len(whole)):
        path = saved(tmp_path / "a.dbn", whole[:place], bytes([whole[place] ^ 0x81]), whole[place + 1 :])
        try:
            for _ in formats()["dbn"].read(path, Options()):
                pass
        except TercelError:
            pass
