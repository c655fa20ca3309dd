"""LOBSTER's pair of files: the messages explain every change of the order book beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tercel.base.errors import ConfigError, DataError
from tercel.base.records import BOOK, LAST, ORDER_ADD, ORDER_CANCEL, ORDER_FILL, SNAPSHOT, TRADE
from tercel.base.time import parse_instant
from tercel.market.catalog import Catalog
from tercel.market.importers.batch import Options
from tercel.market.importers.detect import detect, formats, read_head
from tests.market.history import everything, take, text

NAME = "AAPL_2012-06-21_34200000_57600000_{}_10.csv"
MESSAGES = [f"34200.{index:09d},1,{1_000 + index},18,5853300,1" for index in range(30)]


def rows_of(form: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The records of a file and the row each comes from."""
    batches = list(formats()[form].read(path, Options()))
    return np.concatenate([one.records for one in batches]), np.concatenate([one.rows for one in batches])


def test_the_pair_is_imported(home: Path, data_dir: Path) -> None:
    """999 messages give an event each, the book ten levels a side; New York's 09:30 is 13:30 UTC; a second import is nothing new."""
    report = take(data_dir / "raw" / "lobster")
    assert {one.format: one.timezone for one in report.files} == {
        "lobster-messages": "America/New_York", "lobster-books": "America/New_York",
    }  # fmt: skip
    orders = everything(Catalog().records("AAPL@nasdaq", "order"))
    kinds, counts = np.unique(orders["kind"], return_counts=True)
    assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {
        ORDER_ADD: 471, ORDER_CANCEL: 369 + 98, ORDER_FILL: 98, TRADE: 98 + 61,
    }  # fmt: skip
    assert int(((orders["flags"] & LAST) > 0).sum()) == 471 + 369 + 98 + 61
    first = orders[0]
    assert (first["ts_event"], first["price"], first["size"], first["side"], first["ref"]) == (
        parse_instant("2012-06-21T13:30:00.004241176"), 585.33, 18, 1, 16_113_575,
    )  # fmt: skip
    assert not take(data_dir / "raw" / "lobster").changed


def test_the_messages_explain_every_change_of_the_book(data_dir: Path) -> None:
    """What a message adds, cancels or executes is what its level gains or loses in that row, and no other level in view changes."""
    orders, source = rows_of("lobster-messages", data_dir / "raw" / "lobster" / NAME.format("message"))
    book, origin = rows_of("lobster-books", data_dir / "raw" / "lobster" / NAME.format("orderbook"))
    assert (book["kind"] == BOOK).all()
    assert np.array_equal((book["flags"] & SNAPSHOT) > 0, origin == 1)
    held: dict[tuple[int, float], float] = {}
    explained = 0
    for row in range(1, 1_000):
        effect: dict[tuple[int, float], float] = {}
        for event in orders[source == row]:
            sign = {ORDER_ADD: 1, ORDER_CANCEL: -1}.get(int(event["kind"]), 0)
            if sign:
                effect[int(event["side"]), float(event["price"])] = sign * float(event["size"])
        before = dict(held)
        for change in book[origin == row]:
            level = int(change["side"]), float(change["price"])
            if change["size"] == 0:
                del held[level]
            else:
                held[level] = float(change["size"])
        if row == 1:
            continue
        for level, gain in effect.items():
            assert held.get(level, 0) - before.get(level, 0) == gain, row
            explained += 1
        worst = {side: min(side * price for (at, price) in before if at == side) for side in (1, -1)}
        for level in before.keys() & held.keys():
            assert level in effect or held[level] == before[level], row
        for side, price in held.keys() - before.keys() - effect.keys():
            assert side * price < worst[side], row  # it comes into view from below
    assert explained == 999 - 1 - 61  # the first row is the book to begin with, hidden executions change none


def test_an_execution_is_a_trade_a_fill_and_a_cancel(home: Path, tmp_path: Path) -> None:
    """The aggressor is on the other side of the resting order; a hidden execution is a trade alone; a halt is counted."""
    lines = [
        "34200.5,1,7,100,5853300,-1", "34200.6,4,7,40,5853300,-1", "34200.7,5,0,30,5853200,1", "34200.8,7,0,0,-1,-1",
        "34200.9,6,1,500,5853000,-1", "34201,2,7,10,5853300,-1", "34202,3,9,60,5853300,1",
    ]  # fmt: skip
    report = take(text(tmp_path / NAME.format("message"), *lines))
    rows = everything(Catalog().records("AAPL", "order"))
    assert [(row["kind"], row["side"], row["size"], row["ref"], bool(row["flags"] & LAST)) for row in rows] == [
        (ORDER_ADD, -1, 100, 7, True),
        (TRADE, 1, 40, 0, False), (ORDER_FILL, -1, 40, 7, False), (ORDER_CANCEL, -1, 40, 7, True),
        (TRADE, -1, 30, 0, True), (TRADE, 0, 500, 0, True), (ORDER_CANCEL, -1, 10, 7, True), (ORDER_CANCEL, 1, 60, 9, True),
    ]  # fmt: skip
    assert "1 trading halts and their ends: left out" in report.files[0].notes
    assert "1 cancels and fills of orders that rested before the file begins: kept" in report.files[0].notes


@pytest.mark.parametrize(
    ("row", "line", "match"),
    [
        (4, "34200.5,8,7,100,5853300,-1", "row 4, column event: expected an event from 1 to 7, found 8"),
        (5, "34200.5,1,7,100,5853300,2", "row 5, column side: expected 1 .bid. or -1 .ask., found 2"),
        (6, "86400.5,1,7,100,5853300,1", "row 6, column time: expected seconds of a day"),
        (7, "34200.5,1,7,1.5,5853300,1", "row 7, column size: expected a whole number, found 1.5"),
        (8, "34200.5,1,7,100,0,1", "row 8, column price: expected a price above 0"),
        (9, "34200.5,1,7,0,5853300,1", "row 9, column size: expected a size above 0, found 0"),
    ],
)
def test_a_wrong_message_is_named(home: Path, tmp_path: Path, row: int, line: str, match: str) -> None:
    """Row and column are named and nothing is imported."""
    path = text(tmp_path / NAME.format("message"), *MESSAGES[: row - 1], line, *MESSAGES[row:])
    with pytest.raises(DataError, match=match):
        take(path, format="lobster-messages")
    assert not Catalog().datasets()


def test_a_book_needs_its_messages(home: Path, tmp_path: Path) -> None:
    """The order book file alone, or with more or fewer rows than messages, is refused."""
    levels = ["5859400,200,5853300,18,5859800,200,9999999999,0", "5859400,200,5853300,36,5859800,200,-9999999999,0"]
    book = text(tmp_path / NAME.format("orderbook"), *levels)
    with pytest.raises(ConfigError, match=r"has no times; expected its message file beside it, AAPL_.*_message_10"):
        take(book, format="lobster-books")
    text(tmp_path / NAME.format("message"), MESSAGES[0])
    with pytest.raises(DataError, match="row 2, column time: expected a message for each row in AAPL_"):
        take(book, format="lobster-books")
    text(tmp_path / NAME.format("message"), *MESSAGES[:5])
    with pytest.raises(DataError, match=r"expected a row for each message in .*, found 3 fewer"):
        take(book, format="lobster-books")
    text(tmp_path / NAME.format("message"), *MESSAGES[:2])
    take(book, format="lobster-books")
    rows = everything(Catalog().records("AAPL", "book"))
    assert rows["price"].tolist() == [585.33, 585.94, 585.98, 585.33]


def test_a_name_without_a_date_is_refused(home: Path, data_dir: Path, tmp_path: Path) -> None:
    """The content is known whatever the name; the date is asked for."""
    path = tmp_path / "messages.csv"
    shutil.copy(data_dir / "raw" / "lobster" / NAME.format("message"), path)
    form = detect(read_head(path))
    assert form is not None
    assert form.name == "lobster-messages"
    with pytest.raises(DataError, match=r"LOBSTER's rows have no date; expected a name such as AAPL_2012-06-21"):
        take(path)
