"""Names, ids, datasets, records and the mapped files behind them."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from tercel.base import paths
from tercel.base.errors import ConfigError, DataError
from tercel.base.records import BAR_VIEW, BASIS_BID, GAP, QUOTE, TICK
from tercel.base.time import NS_PER_DAY, NS_PER_MIN, NS_PER_S
from tercel.market.catalog import Catalog
from tercel.market.check import check
from tercel.market.definitions import definition
from tercel.market.instruments import Instrument
from tests.market.history import START_NS, bar_table, everything, picture, quote_table, quotes, save, take


def eurusd(venue: str = "oanda") -> Instrument:
    """The built-in definition."""
    found = definition("EURUSD", venue)
    assert found is not None
    return found


def test_a_bare_symbol_needs_one_venue(home: Path) -> None:
    """A symbol one venue has resolves; two venues are refused with the list; a typo gets a suggestion; an empty catalog says so."""
    catalog = Catalog()
    with pytest.raises(ConfigError, match="is empty; import data first"):
        catalog.resolve("EURUSD")
    first = catalog.register(eurusd())
    assert catalog.resolve("EURUSD") == first == catalog.resolve("EURUSD@oanda")
    catalog.register(eurusd("fxcm"))
    with pytest.raises(ConfigError, match="2 venues have it, say which: EURUSD@fxcm, EURUSD@oanda"):
        catalog.resolve("EURUSD")
    with pytest.raises(ConfigError, match="did you mean EURUSD@oanda"):
        catalog.resolve("EURUSD@onda")


def test_ids_are_given_once(home: Path) -> None:
    """Ids count from 1; the same definition keeps its id; a changed one gets a new id and the old id still tells what it meant."""
    catalog = Catalog()
    assert [catalog.register(eurusd(venue)).id for venue in ("oanda", "fxcm", "oanda")] == [1, 2, 1]
    wider = catalog.register(msgspec.structs.replace(eurusd(), price_decimals=6))
    assert wider.id == 3
    assert catalog.resolve("EURUSD@oanda") == wider
    assert catalog.instrument(1).price_decimals == 5
    assert [one.id for one in catalog.instruments()] == [2, 3]
    with pytest.raises(ConfigError, match="no instrument with id 9"):
        catalog.instrument(9)


def test_records_are_cut_by_time_and_partition(home: Path, tmp_path: Path) -> None:
    """One read-only array per day, start included and end excluded, empty days left out."""
    take(save(tmp_path / "fx_oanda.parquet", quote_table(5_000, START_NS, 60 * NS_PER_S)))
    catalog = Catalog()
    chunks = list(catalog.records("EURUSD", "quote"))
    assert [len(chunk) for chunk in chunks] == [1440, 1440, 1440, 680]
    assert all(chunk.dtype == TICK and not chunk.flags.writeable for chunk in chunks)
    start, end = START_NS + NS_PER_DAY // 2, START_NS + NS_PER_DAY + 60 * NS_PER_S
    part = everything(catalog.records("EURUSD", "quote", start, end))
    assert (part["ts_event"][0], part["ts_event"][-1], len(part)) == (start, end - 60 * NS_PER_S, 721)
    assert list(catalog.records("EURUSD", "quote", end_ns=START_NS)) == []


def test_a_series_of_bars_is_chosen_by_interval_and_basis(home: Path, tmp_path: Path) -> None:
    """One series of bars needs no choice; two are refused with the list until the choice is clear, by name or by number."""
    take(save(tmp_path / "a.parquet", bar_table([START_NS, START_NS + NS_PER_MIN], [1.5, 1.6])))
    catalog = Catalog()
    rows = everything(catalog.records("EURUSD", "bar"))
    assert rows.dtype == BAR_VIEW
    ask = rows.copy()
    catalog.add(catalog.resolve("EURUSD"), "bar", ask, NS_PER_MIN, "ask")
    with pytest.raises(ConfigError, match="expected one series of bar, found 2; the catalog has: bar 1m ask; bar 1m bid"):
        catalog.records("EURUSD", "bar")
    assert everything(catalog.records("EURUSD", "bar", basis="bid"))["side"].tolist() == [1, 1]
    assert everything(catalog.records("EURUSD", "bar", basis=BASIS_BID))["side"].tolist() == [1, 1]
    assert everything(catalog.records("EURUSD", "bar", interval_ns=NS_PER_MIN, basis="ask"))["side"].tolist() == [-1, -1]
    with pytest.raises(ConfigError, match="kind: expected one of quote"):
        catalog.records("EURUSD", "candles")


def test_a_mapped_file_that_does_not_verify_is_made_again(home: Path) -> None:
    """A flipped bit, a cut file, another layout: the records come from Parquet again, and the file is whole afterwards."""
    catalog = Catalog()
    catalog.add(eurusd(), "quote", quotes([START_NS + index for index in range(100)], [1.1] * 100))
    whole = everything(catalog.records("EURUSD", "quote"))
    (path,) = paths.mapped_dir().rglob("*.rows")
    good = path.read_bytes()
    for bad in (good[:70] + b"\xff" + good[71:], good[:-64], b"", good[:8] + b"\0" * 8 + good[16:], good[:20] + b"\xff" + good[21:]):
        path.unlink()
        path.write_bytes(bad)
        os.utime(path, ns=(1, len(bad)))
        assert np.array_equal(everything(Catalog().records("EURUSD", "quote")).view(np.int64), whole.view(np.int64))
        assert path.read_bytes() == good


def test_a_damaged_partition_is_named_and_repaired_by_its_source(home: Path, tmp_path: Path) -> None:
    """Records of a damaged partition are refused, check names it, and importing the source again makes it whole."""
    source = save(tmp_path / "fx_oanda.parquet", quote_table(5_000, START_NS, 60 * NS_PER_S))
    take(source)
    catalog = Catalog()
    before = picture(catalog.root)
    part = sorted(catalog.root.rglob("*.parquet"))[1]
    part.write_bytes(part.read_bytes()[:-300] + bytes(300))
    with pytest.raises(DataError, match=r"date=2014-05-02.*damaged"):
        list(catalog.records("EURUSD", "quote"))
    (result,) = check(catalog, catalog.datasets())
    assert len(result.damage) == 1
    assert "date=2014-05-02" in result.damage[0]
    report = take(source)
    assert report.files[0].series[0].partitions_rebuilt == ["2014-05-02"]
    assert {name: content for name, (content, _) in picture(catalog.root).items()} == {
        name: content for name, (content, _) in before.items()
    }
    assert check(catalog, catalog.datasets())[0].damage == []


def test_check_finds_rows_that_are_not_those_imported(home: Path, tmp_path: Path) -> None:
    """A whole Parquet file with other rows in the place of a partition is damage, too."""
    take(save(tmp_path / "fx_oanda.parquet", quote_table(100)))
    catalog = Catalog()
    other = Catalog(tmp_path / "other")
    other.add(eurusd(), "quote", quotes([START_NS], [1.5]))
    (part,), (wrong,) = catalog.root.rglob("*.parquet"), other.root.rglob("*.parquet")
    part.write_bytes(wrong.read_bytes())
    assert "expected the 100 rows that were imported, found 1 others" in check(catalog, catalog.datasets())[0].damage[0]
    with pytest.raises(DataError, match="not those that were imported"):
        list(catalog.records("EURUSD", "quote"))


def test_a_manifest_that_is_none_is_refused(home: Path) -> None:
    """A manifest that cannot be read is an error that names the file, never an empty catalog."""
    catalog = Catalog()
    catalog.add(eurusd(), "quote", quotes([START_NS], [1.1]))
    (catalog.root / "manifest.json").write_text("{}]")
    with pytest.raises(DataError, match=r"manifest\.json: expected the catalog's manifest"):
        Catalog().datasets()


def test_replaced_partitions_leave_nothing_behind(home: Path) -> None:
    """When rows join a partition, its old file and what was mapped from it are gone."""
    catalog = Catalog()
    catalog.add(eurusd(), "quote", quotes([START_NS], [1.1]))
    list(catalog.records("EURUSD", "quote"))
    catalog.add(eurusd(), "quote", quotes([START_NS + 1], [1.2]))
    assert len(everything(catalog.records("EURUSD", "quote"))) == 2
    assert len(list(catalog.root.rglob("*.parquet"))) == len(list(paths.mapped_dir().rglob("*.rows"))) == 1


def test_a_catalog_of_an_earlier_version_is_read_and_taken_over(home: Path) -> None:
    """Version 1 knew no gaps: its partitions lack the column. They are read as they were; with the next change the catalog is version 2."""
    catalog = Catalog()
    rows = quotes([START_NS, START_NS + 1], [1.1, 1.2])
    catalog.add(eurusd(), "quote", rows)
    part = catalog.manifest().series[0].parts[0]
    path = catalog.root / part.path
    pq.write_table(pq.read_table(path).drop_columns(["kind"]), path)
    manifest = catalog.root / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 2', '"version": 1'))
    old = Catalog()
    assert old.manifest().version == 1
    assert not check(old, old.datasets())[0].damage
    assert everything(old.records("EURUSD@oanda", "quote"))["price"].tolist() == [1.1, 1.2]
    gap = quotes([START_NS + 2], [float("nan")])
    gap["kind"] = GAP
    old.add(eurusd(), "quote", gap)
    kept = everything(Catalog().records("EURUSD@oanda", "quote"))
    assert kept["kind"].tolist() == [QUOTE, QUOTE, GAP]
    assert Catalog().manifest().version == 2
    manifest.write_text(manifest.read_text().replace('"version": 2', '"version": 3'))
    with pytest.raises(DataError, match="expected version 1 to 2, found 3; use the Tercel that wrote it"):
        Catalog().datasets()
