"""Every raw vendor file survives damage: a clean refusal or right rows, never anything else. In full: python -m tests.market.fuzz_files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tercel.market.importers.batch import Batch
from tests.market import fuzz_files
from tests.market.fuzz_files import Sample, fuzz, samples

CASES, SEED = 30, 20_240_718


def test_no_damage_brings_wrong_rows_or_a_crash(data_dir: Path) -> None:
    """Each raw file, mutated in its text, its packing and its bytes, is refused by name or read into rows that are right."""
    failures, ended, files = [], 0, 0
    for sample in samples(data_dir / "raw"):
        outcomes, found = fuzz(sample, CASES, SEED)
        failures += found
        ended, files = ended + sum(outcomes.values()), files + 1
    assert not failures, "\n".join(failures[:3])
    assert files >= 37
    assert ended == files * CASES


@pytest.mark.parametrize(
    ("name", "seed", "first"),
    [
        ("lean/equity/usa/minute/aapl/20140605_quote.zip", 1, 508),  # a price beyond 2^53 ten-thousandths was rounded twice
        ("lean/equity/usa/tick/ibm/20131007_quote.zip", 1, 442),
        ("lean/equity/usa/tick/ibm/20131009_trade.zip", 1, 290),
        ("metatrader/mt5/US30m_H4_202401012000_202509082000.csv", 1, 237),  # a damaged <TIME> put every bar at midnight
        ("metatrader/mt5/US30m_H4_202401012000_202509082000.csv", 2, 336),  # <VOL> and <TICKVOL> changed places
        ("bybit/2024-12-01_XRPUSDT_ob500.data.zip", 3, 4066),  # a time of the year 5000 did not fit its column
        ("databento/test_data.definition.v3.dbn.zst", 3, 410),  # a tick that no instrument can have was refused without the file's name
        ("databento/test_data.definition.v3.dbn.zst", 3, 3662),
        ("freqtrade/XRP_ETH-trades.json.gz", 3, 4257),  # brackets inside a text
    ],
)
def test_what_was_found_stays_mended(data_dir: Path, name: str, seed: int, first: int) -> None:
    """Cases that found a fault once end well."""
    (sample,) = (one for one in samples(data_dir / "raw") if one.name == name)
    assert fuzz(sample, 1, seed, first)[1] == []


def kraken(data_dir: Path) -> Sample:
    """The sample of the Kraken file."""
    return next(one for one in samples(data_dir / "raw") if one.format.name == "kraken-trades")


def cent_off(batch: Batch) -> None:
    """Prices a little off."""
    batch.records["price"][-1] += 0.01


def row_lost(batch: Batch) -> None:
    """The last row is missing."""
    batch.records, batch.rows = batch.records[:-1], batch.rows[:-1]


def rounded(batch: Batch) -> None:
    """Prices through 32 bits."""
    batch.records["price"] = batch.records["price"].astype(np.float32)


@pytest.mark.parametrize("mistake", [cent_off, row_lost, rounded])
def test_the_judge_finds_a_planted_mistake(data_dir: Path, monkeypatch: pytest.MonkeyPatch, mistake: Callable[[Batch], None]) -> None:
    """A reader that changes, loses or invents rows of a damaged file is found within a few cases."""
    sample, real = kraken(data_dir), fuzz_files.detect

    def spoilt(head: object) -> object:
        found = real(head)  # type: ignore[arg-type]
        if found is None or head.path.read_bytes() == sample.plain:  # type: ignore[attr-defined]
            return found

        def read(path: Path, options: object) -> object:
            for batch in found.read(path, options):  # type: ignore[arg-type]
                mistake(batch)
                yield batch

        return msgspec.structs.replace(found, read=read)

    monkeypatch.setattr(fuzz_files, "detect", spoilt)
    _, failures = fuzz(sample, 40, SEED)
    assert failures
    assert "--file kraken/BCHEUR.csv --seed 20240718 --first" in failures[0]


def test_a_hang_is_a_failure(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that does not come back is stopped and reported."""
    sample = kraken(data_dir)
    monkeypatch.setattr(fuzz_files, "SECONDS_MAX", 1)
    real = fuzz_files.validate

    def endless(path: Path, batch: Batch) -> None:
        real(path, batch)
        changed = path.read_bytes() != sample.plain
        while changed:  # nothing is open when the alarm comes
            pass

    monkeypatch.setattr(fuzz_files, "validate", endless)
    _, failures = fuzz(sample, 4, SEED)
    assert any("longer than" in failure for failure in failures)
