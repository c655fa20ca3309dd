"""Files that are not what they should be: refused with place and reason, and the catalog is as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tercel.base import paths
from tercel.base.errors import ConfigError, DataError, TercelError
from tercel.base.time import NS_PER_S
from tercel.market.catalog import Catalog
from tercel.market.importers.batch import Options
from tercel.market.importers.detect import formats
from tercel.market.importers.validate import validate
from tests.market.history import START_NS, bar_table, picture, quote_table, save, take, text

TICKS = [f"20200101 1700{index:02}065,1.12120,1.12172,0" for index in range(30)]
SAMPLES = {
    "truefx": [f"EUR/USD,20130101 22:00:{index:02}.295,1.12120,1.12172" for index in range(30)],
    "histdata-ticks": TICKS,
    "histdata-bars": [f"20170301 00{index:02}00;1.05;1.06;1.04;1.05;0" for index in range(30)],
    "histdata-mt": [f"2020.06.01,00:{index:02},1.11,1.12,1.10,1.11,0" for index in range(30)],
    "mt4": [f"2022.09.29,13:{index:02},105.5,105.6,105.4,105.5,64" for index in range(30)],
    "mt5": ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
    + [f"2024.01.02\t{hour:02}:00:00\t37763.9\t37791.7\t37762.5\t37776.3\t385\t0\t90" for hour in range(24)],
}


@pytest.fixture
def refused(home: Path, tmp_path: Path) -> Callable[..., None]:
    """Import a file that must be refused with a text, and see that the catalog did not change."""
    take(save(tmp_path / "before_oanda.parquet", quote_table(100)))
    before = picture(paths.catalog_dir())

    def expect(path: Path, match: str, **options: object) -> None:
        with pytest.raises(TercelError, match=match):
            take(path, **options)
        assert picture(paths.catalog_dir()) == before

    return expect


def test_text_in_a_price_column_is_named_with_its_row(refused: Callable[..., None], tmp_path: Path) -> None:
    """Row 17 has a word where the bid should be: the message says row 17, column bid, and the word."""
    lines = TICKS.copy()
    lines[16] = "20200101 170017065,hello,1.121720,0"
    refused(text(tmp_path / "EURUSD.csv", *lines), r"EURUSD\.csv: row 17, column bid: expected a number, found 'hello'")


@pytest.mark.parametrize(
    ("row", "line", "match"),
    [
        (5, "20200101 170017065,-1.1,1.2,0", "row 5, column bid: expected a price above 0, found -1.1"),
        (6, "20200101 170017065,1.1,0,0", "row 6, column ask: expected a price above 0, found 0.0"),
        (7, "20200101 170017065,nan,1.2,0", "row 7, column bid: expected a number, found 'nan'"),
        (8, "20200101 170017065,1.1,inf,0", "row 8, column ask: expected a number, found 'inf'"),
        (9, "20200101 170017065,1e999,1.2,0", "row 9, column bid: expected a number"),
        (10, "20200101 170017065,,1.2,0", "row 10, column bid: expected a number, found ''"),
        (11, "20200101 170017065,1.1", "row 11: expected 4 columns, found 2"),
        (12, "20200101 170017065,1.1,1.2,0,9", "row 12: expected 4 columns, found 5"),
        (13, "20201301 170017065,1.1,1.2,0", "row 13, column time: expected a time from 1970 to 2099 that exists"),
        (14, "20200230 170017065,1.1,1.2,0", "row 14, column time: expected a time from 1970 to 2099 that exists"),
        (15, "99990101 170017065,1.1,1.2,0", "row 15, column time: expected a time from 1970 to 2099 that exists"),
        (16, "20200101T170017065,1.1,1.2,0", "row 16, column time: expected a time as YYYYMMDD hhmmssfff"),
        (17, "20200101 17001706,1.1,1.2,0", "row 17, column time: expected a time as"),
        (18, "20200101 170017065,1.1\0,1.2,0", "row 18: expected text, found a NUL byte"),
        (19, "20200101 170017065,1.1\r,1.2,0", "row 19: expected text, found a carriage return"),
        (20, "", "row 20: expected 4 columns, found 1"),
        (21, "x" * 5_000, "row 21: expected lines up to 4,096 bytes"),
        (22, "20200101 170017065,1.1,1.2,\u0664", "row 22, column volume: expected a number"),
        (30, "x" * 10_000_000, "row 30: expected lines up to 4,096 bytes"),
    ],
)
def test_a_wrong_line_is_named_with_row_and_column(refused: Callable[..., None], tmp_path: Path, row: int, line: str, match: str) -> None:
    """Whatever is wrong with a line of text, its row is right and nothing is imported."""
    path = tmp_path / "EURUSD.csv"
    path.write_bytes("\n".join([*TICKS[: row - 1], line, *TICKS[row:]]).encode() + b"\n")
    refused(path, match)


def test_a_wrong_line_in_a_later_block_has_its_own_number(refused: Callable[..., None], tmp_path: Path) -> None:
    """Beyond the first block of a long file the row number still counts from the beginning."""
    lines = TICKS * 8_000
    lines[200_000] = "20200101 170017065,1.1,oops,0"
    refused(text(tmp_path / "EURUSD.csv", *lines), "row 200,001, column ask: expected a number, found 'oops'")


def test_a_truncated_parquet_file_is_refused(refused: Callable[..., None], tmp_path: Path) -> None:
    """Cut anywhere, a Parquet file is refused as truncated or damaged."""
    whole = save(tmp_path / "oanda.parquet", quote_table(5_000)).read_bytes()
    for length in (4, 8, 100, len(whole) // 2, len(whole) - 1):
        path = tmp_path / "cut_oanda.parquet"
        path.write_bytes(whole[:length])
        refused(path, "truncated or damaged")


def test_empty_files_are_refused(refused: Callable[..., None], tmp_path: Path) -> None:
    """No bytes, no rows, or a header alone: refused, each by its own words."""
    (tmp_path / "empty.csv").write_bytes(b"")
    refused(tmp_path / "empty.csv", "the file is empty")
    refused(save(tmp_path / "rows_oanda.parquet", quote_table(0)), "expected rows, found none")
    refused(text(tmp_path / "US30_H4.csv", SAMPLES["mt5"][0]), "expected rows, found none")
    refused(tmp_path / "absent.csv", "there is no such file or folder")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "found no file of a known format")


def change(name: str, values: object) -> Callable[[pa.Table], pa.Table]:
    """A table with one column replaced."""
    return lambda table: table.set_column(table.column_names.index(name), name, pa.array(values))


def with_value(name: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    """A table with one cell replaced, the row counted from 1."""

    def build(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[row - 1] = value
        return table.set_column(table.column_names.index(name), name, pa.array(values))

    return build


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda table: table.drop_columns(["ask"]), "expected column ask in a file of quotes"),
        (lambda table: table.drop_columns(["ts_event"]), "expected column ts_event"),
        (lambda table: table.drop_columns(["symbol"]), "expected column symbol"),
        (lambda table: table.select(["ts_event", "symbol"]), "expected the columns of a known layout"),
        (change("bid", ["1.1"] * 50), "column bid: expected float64, found the type string"),
        (change("ts_event", [1.5] * 50), "column ts_event: expected int64 nanoseconds, found the type double"),
        (change("symbol", [7] * 50), "column symbol: expected text"),
        (with_value("bid", 17, -1.0), "row 17, column bid: expected a price above 0, found -1.0"),
        (with_value("ask", 18, float("inf")), "row 18, column ask: expected a price above 0, found inf"),
        (with_value("bid_size", 19, -2.0), "row 19, column bid_size: expected a size of 0 or more"),
        (with_value("ts_event", 20, None), "row 20, column ts_event: expected an integer, found None"),
        (with_value("ts_event", 21, 0), "row 21, column ts_event: expected a time from 1970 to 2100"),
        (with_value("ts_event", 22, 2**62), "row 22, column ts_event: expected a time from 1970 to 2100"),
        (with_value("symbol", 23, None), "row 23, column symbol: expected text, found None"),
        (with_value("symbol", 24, "../../x"), r"row 24, column symbol: expected 1 to 32 letters.*found '../../x'"),
        (with_value("symbol", 25, "a/b"), "row 25, column symbol"),
        (with_value("symbol", 26, "EUR\0USD"), "row 26, column symbol"),
        (with_value("symbol", 27, ".."), "row 27, column symbol"),
        (with_value("symbol", 28, "x" * 33), "row 28, column symbol"),
    ],
)
def test_a_wrong_parquet_file_is_named_with_row_and_column(
    refused: Callable[..., None], tmp_path: Path, damage: Callable[[pa.Table], pa.Table], match: str
) -> None:
    """Missing columns, wrong types and impossible values are refused with their place."""
    refused(save(tmp_path / "fx_oanda.parquet", damage(quote_table(50))), match)


def test_quotes_without_either_side_are_refused(refused: Callable[..., None], tmp_path: Path) -> None:
    """One side may be missing, both may not."""
    table = with_value("ask", 9, None)(with_value("bid", 9, None)(quote_table(50)))
    refused(save(tmp_path / "fx_oanda.parquet", table), "row 9, column bid: expected a bid or an ask")


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (with_value("high", 2, 0.1), "row 2, column high: expected a high that is not below the low"),
        (with_value("high", 3, 1.45), "row 3, column high: expected a high that is not below open and close"),
        (with_value("low", 2, 1.55), "row 2, column low: expected a low that is not above open and close"),
        (with_value("volume", 1, -1.0), "row 1, column volume"),
        (with_value("interval_s", 3, 0), "row 3, column interval_s"),
        (with_value("price_type", 3, "best"), "row 3, column price_type: expected one of trade, bid, ask, mid"),
        (with_value("close", 1, None), "row 1, column close: expected a price above 0, found nan"),
        (with_value("source", 2, "../evil"), "source: expected 1 to 32 lower-case letters"),
    ],
)
def test_wrong_bars_are_named_with_row_and_column(
    refused: Callable[..., None], tmp_path: Path, damage: Callable[[pa.Table], pa.Table], match: str
) -> None:
    """Bars whose numbers contradict each other are refused."""
    opens = [START_NS + 60 * NS_PER_S * index for index in range(4)]
    refused(save(tmp_path / "a.parquet", damage(bar_table(opens, [1.5] * 4))), match)


def test_one_bad_file_refuses_all(refused: Callable[..., None], tmp_path: Path) -> None:
    """A folder with a good and a bad file of known formats changes nothing."""
    folder = tmp_path / "folder"
    folder.mkdir()
    text(folder / "EURUSD_good.csv", *TICKS)
    text(folder / "EURUSD_later.csv", *TICKS[:20], "20200101 170017065,oops,1.2,0")
    refused(folder, "EURUSD_later.csv: row 21, column bid")


def test_a_venue_that_nothing_names_is_asked_for(refused: Callable[..., None], tmp_path: Path) -> None:
    """Quotes of a pair that many venues trade need a venue in rows, name or option; a wrong option is refused."""
    path = save(tmp_path / "ticks.parquet", quote_table(10))
    refused(path, "nothing says which venue EURUSD was recorded at; say it with --venue")
    refused(path, "--venue: expected 1 to 32 lower-case letters", venue="../x")
    assert take(path, venue="lmax").files[0].series[0].instrument == "EURUSD@lmax"


def test_decimals_are_inferred_widened_or_enforced(home: Path, tmp_path: Path) -> None:
    """An unknown symbol gets the decimals of its prices and the report says so; more decimals later widen it; --decimals refuses them."""
    table = quote_table(10, symbol="ABCDEF")
    report = take(save(tmp_path / "a.parquet", table), venue="lmax")
    assert "inferred from the data: 5 price decimals" in report.files[0].notes[0]
    assert Catalog().resolve("ABCDEF").price_decimals == 5
    finer = with_value("bid", 10, 1.1234567)(table)
    with pytest.raises(DataError, match=r"row 10, column bid: expected a price with at most 5 decimals \(--decimals\), found 1.1234567"):
        take(save(tmp_path / "b.parquet", finer), venue="lmax", decimals=5)
    report = take(save(tmp_path / "b.parquet", finer), venue="lmax")
    assert "prices have 7 decimals, the definition said 5" in report.files[0].notes[0]
    assert (Catalog().resolve("ABCDEF").price_decimals, Catalog().resolve("ABCDEF").id) == (7, 2)
    assert {row["instrument"] for chunk in Catalog().records("ABCDEF", "quote") for row in chunk} == {2}


def test_prices_that_are_no_decimals_are_kept_and_said(home: Path, tmp_path: Path) -> None:
    """An average such as 1/3 is no decimal number: it is kept to the bit, the definition stays, the report counts it."""
    report = take(save(tmp_path / "oanda.parquet", with_value("bid", 3, 1 / 3)(quote_table(10))))
    assert report.files[0].notes == ["EURUSD@oanda: 1 prices are no decimal numbers of up to 12 digits: kept as they are"]
    assert Catalog().resolve("EURUSD").price_decimals == 5
    assert next(Catalog().records("EURUSD", "quote"))["price"][2] == 1 / 3


def test_the_bound_on_times_is_a_date() -> None:
    """The last time allowed is the end of 2099."""
    from tercel.base.time import format_instant
    from tercel.market.importers.validate import TIME_NS_MAX

    assert format_instant(TIME_NS_MAX, 0) == "2100-01-01 00:00:00"


def mutate(data: bytes, edits: list[tuple[int, str, bytes]]) -> bytes:
    """A file with pieces overwritten, put in or cut out."""
    for at, how, piece in edits:
        place = at % (len(data) + 1)
        data = data[:place] + (b"" if how == "cut" else piece) + data[place + (0 if how == "put" else len(piece)) :]
    return data


EDITS = st.lists(
    st.tuples(st.integers(0, 3_000), st.sampled_from(["over", "put", "cut"]), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(SAMPLES)), EDITS)
def test_no_mutation_of_a_text_file_does_worse_than_a_refusal(tmp_path: Path, name: str, edits: list[tuple[int, str, bytes]]) -> None:
    """Whatever bytes are changed, a text file is read, or refused with a DataError; a reader never fails in another way."""
    path = tmp_path / f"EURUSD_{name}.csv"
    path.write_bytes(mutate("\n".join(SAMPLES[name]).encode(), edits))
    try:
        for batch in formats()[name].read(path, Options()):
            validate(path, batch)
    except DataError:
        pass


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_no_mutation_of_a_parquet_file_does_worse_than_a_refusal(tmp_path: Path, edits: list[tuple[int, str, bytes]]) -> None:
    """Whatever bytes are changed, a Parquet file is read, or refused with a DataError (a ConfigError when its symbol lost its venue)."""
    path = tmp_path / "fx_oanda.parquet"
    pq.write_table(quote_table(30), path)
    path.write_bytes(mutate(path.read_bytes(), edits))
    try:
        for batch in formats()["parquet"].read(path, Options()):
            validate(path, batch)
    except (DataError, ConfigError):
        pass


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_samples_are_recognised_as_what_they_are(home: Path, tmp_path: Path, name: str) -> None:
    """Each text sample is recognised by content, also with Windows line ends and a byte-order mark, and read whole."""
    plain, windows = tmp_path / "EURUSD_a.csv", tmp_path / "EURUSD_b.csv"
    lines = SAMPLES[name]
    plain.write_bytes("\n".join(lines).encode())
    windows.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n\r\n")
    reports = [take(plain), take(windows)]
    rows = len(lines) - (name == "mt5")
    assert [(one.files[0].format, one.rows) for one in reports] == [(name, rows)] * 2
    assert (reports[0].changed, reports[1].changed) == (True, False)
