"""The pages about formats are true: the reference lists what there is, the guide's example works as it is written."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tercel.base.time import parse_instant
from tercel.cli.main import run
from tercel.market.catalog import Catalog
from tercel.market.importers import coins, detect
from tercel.market.importers.parquet_layouts import LAYOUTS
from tests.market.history import ROOT, everything, take
from tests.test_docs import Block, blocks

REFERENCE = ROOT / "docs" / "reference" / "formats.md"
GUIDE = ROOT / "docs" / "how-to" / "add-a-format.md"


def table(header: str) -> list[list[str]]:
    """The cells of the table of the reference that begins with a header."""
    lines = REFERENCE.read_text().partition(header)[2].splitlines()[2:]
    rows = lines[: next((place for place, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def test_the_reference_lists_every_format_with_its_clock() -> None:
    """Names, titles, clocks and what is left out are those of the importers, in the order in which they are asked."""
    rows = table("| name |")
    found = detect.formats()
    assert [row[0].strip("`") for row in rows] == list(found)
    for row, one in zip(rows, found.values(), strict=True):
        assert row[1] == one.title, one.name
        if one.clock in (None, coins.utc):
            assert re.match(rf"{re.escape(one.timezone)}\b", row[3]), one.name
        assert (row[4] == "nothing") == bool(one.left_out), one.name
        if one.left_out:
            assert row[5] == f"all: {one.left_out.partition(';')[0]}", one.name


def test_the_reference_lists_the_columns_of_parquet() -> None:
    """Each layout's columns, those that must and those that may be there."""
    wanted = [[one.title, [f"`{name}`" for name in one.needed], [f"`{name}`" for name in one.also]] for one in LAYOUTS]
    found = [[title, must.split(", "), may.split(", ")] for title, must, may in table("| layout |")]
    assert [(row[0], row[1], sorted(row[2])) for row in found] == [(row[0], row[1], sorted(row[2])) for row in wanted]


@pytest.fixture
def acme(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The guide's file, with the guide's module among the importers."""
    code, data = (block.text for block in example("python", "csv"))
    module = ModuleType("tercel.market.importers.acme")
    exec(compile(code, str(GUIDE), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(detect, "MODULES", (*detect.MODULES, "acme"))
    detect.formats.cache_clear()
    path = tmp_path / "acme_20240102.csv"
    path.write_text(data.strip() + "\n")
    monkeypatch.chdir(tmp_path)
    yield path
    monkeypatch.undo()
    detect.formats.cache_clear()


def example(*languages: str) -> list[Block]:
    """The first block of each language in the guide."""
    return [next(block for block in blocks(GUIDE) if block.language == language) for language in languages]


def test_the_guides_example_works_as_written(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The module of the guide reads the file of the guide; the command prints what the guide shows."""
    command, shown = (block.text for block in example("console", "text"))
    assert run(command.strip().removeprefix("$ tercel ").split()) == 0
    out = " ".join(capsys.readouterr().out.split())
    for line in shown.strip().splitlines():
        assert " ".join(line.split()) in out, line
    rows = everything(Catalog().records("EURUSD@acme", "quote"))
    first = parse_instant("2024-01-02T14:30:00.125")
    assert rows[["ts_event", "price", "price2", "size"]][0].item() == (first, 1.0954, 1.0956, 2.5)
    assert str(rows["size2"].tolist()) == "[nan, 3.0]"


def test_the_guides_example_refuses_like_any_other(acme: Path) -> None:
    """What the guide's reader cannot read is refused with row and column, nothing is imported."""
    from tercel.base.errors import DataError

    acme.write_text(acme.read_text().replace("10957", "x"))
    with pytest.raises(DataError, match=r"acme_20240102\.csv: row 3, column ask: expected a number, found 'x'; nothing was imported"):
        take(acme)
    assert Catalog().datasets() == []
