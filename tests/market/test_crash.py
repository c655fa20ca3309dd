"""A writer killed at any moment leaves the catalog as it was, or as it became; nothing in between, and nothing behind."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from tercel.base import paths
from tercel.base.time import NS_PER_MIN
from tercel.market.catalog import Catalog
from tercel.market.check import check
from tests.market.history import START_NS, picture, quote_table, save, start_python, take

KILLS = 10
IMPORT = """
import sys
from pathlib import Path
from tercel.base import paths
from tercel.market.importers.batch import Options
from tercel.market.importers.run import import_files
print("ready", flush=True)
import_files([Path(sys.argv[1])], Options(), paths.catalog_dir(), buffer_bytes_max=200_000)
print("done", flush=True)
"""


def test_a_killed_import_leaves_the_old_catalog_or_the_new_one(home: Path, tmp_path: Path) -> None:
    """Killed at random moments, an import never shows a part of itself; the next import ends as if nothing had happened."""
    first = save(tmp_path / "oanda_1.parquet", quote_table(2_000, START_NS, 10 * NS_PER_MIN))
    second = save(tmp_path / "oanda_2.parquet", quote_table(20_000, START_NS + 10_000 * NS_PER_MIN, 10 * NS_PER_MIN, seed=2))
    take(first)
    root = paths.catalog_dir()
    old, old_manifest = Catalog().datasets()[0], (root / "manifest.json").read_bytes()
    reference = Catalog(tmp_path / "reference" / "catalog")
    import_seconds(first, tmp_path / "reference")
    seconds = import_seconds(second, tmp_path / "reference")
    (new,) = reference.datasets()
    chance, outcomes = random.Random(7), set[int]()
    for _ in range(KILLS):
        process = start_python(IMPORT, str(second))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.random() * 1.2 * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        (now,) = Catalog().datasets()
        outcomes.add(now.rows)
        (result,) = check(Catalog(), [now])
        assert result.damage == []
        assert now in (old, new)
        assert now == new or (root / "manifest.json").read_bytes() == old_manifest
    assert 2_000 in outcomes, "no kill came before the end: the test shows nothing"
    take(second)
    assert Catalog().datasets() == [new]
    assert sorted(path.suffix for path in root.iterdir() if path.is_file()) == [".json", ".lock"]
    named = {part.path for series in Catalog().manifest().series for part in series.parts}
    assert {str(path.relative_to(root)) for path in root.rglob("*.parquet")} == named
    assert not (root / "staging").exists()


def import_seconds(path: Path, elsewhere: Path) -> float:
    """How long the import takes from "ready" to its end, in a catalog of its own."""
    before = os.environ["TERCEL_HOME"]
    os.environ["TERCEL_HOME"] = str(elsewhere)
    try:
        process = start_python(IMPORT, str(path))
        assert process.stdout is not None
        process.stdout.readline()
        start = time.perf_counter()
        assert process.communicate()[0] == "done\n"
        return time.perf_counter() - start
    finally:
        os.environ["TERCEL_HOME"] = before


def test_leftovers_of_a_crash_are_removed_by_the_next_import(home: Path, tmp_path: Path) -> None:
    """A partition nobody names and a staging folder disappear when the next import begins, even one that changes nothing."""
    source = save(tmp_path / "oanda.parquet", quote_table(100))
    take(source)
    root = paths.catalog_dir()
    before = picture(root)
    (part,) = root.rglob("*.parquet")
    (part.parent / "part-0123456789abcdef.parquet").write_bytes(b"half")
    (root / "staging" / "rows").mkdir(parents=True)
    (root / "staging" / "rows" / "000000.rows").write_bytes(b"half")
    assert not take(source).changed
    assert picture(root) == before
