"""What a newcomer met in the first hour stays mended."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tercel.base import paths
from tercel.market.catalog import Catalog
from tercel.market.definitions import guessed
from tercel.market.importers.detect import detect, read_head
from tercel.market.manifest import exclusive


def test_a_plain_table_of_trades_is_not_taken_for_krakens(tmp_path: Path) -> None:
    """A header before rows of seconds, price and size makes it a table; without one the file is Kraken's."""
    rows = "".join(f"{1_577_836_800 + number},1.1{number},5\n" for number in range(10, 20))
    for text, expected in ((f"time,price,size\n{rows}", "csv"), (rows, "kraken-trades")):
        path = tmp_path / "trades.csv"
        path.write_text(text)
        found = detect(read_head(path))
        assert found is not None
        assert found.name == expected


def test_registering_an_instrument_waits_for_an_import(home: Path) -> None:
    """A trader that starts while an import holds the catalog's lock gets its instrument's id when the import is done."""
    held = threading.Event()

    def importing() -> None:
        with exclusive(paths.catalog_dir()):
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=importing)
    thread.start()
    assert held.wait(5.0)
    assert Catalog().register(guessed("EURUSD", "mine", 5, 0)).id > 0
    thread.join()
