"""Checking the catalog: every partition read again, compared with what the manifest promises, and counted for oddities."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from tercel.base.errors import DataError
from tercel.base.records import TICK, Records
from tercel.market import partitions
from tercel.market.catalog import Catalog, Dataset
from tercel.market.manifest import Key, Part
from tercel.market.merge import in_order
from tercel.market.quality import Counts, Quality
from tercel.market.writer import Progress


class Checked(msgspec.Struct):
    """One series: its counts and what is wrong with its files; nothing is wrong when `damage` is empty."""

    dataset: Dataset
    counts: Counts
    damage: list[str]


def check(catalog: Catalog, datasets: list[Dataset], progress: Progress | None = None) -> list[Checked]:
    """Read every partition of the datasets and say what is odd and what is damaged. Changes nothing."""
    results = []
    for number, data in enumerate(datasets):
        results.append(check_dataset(catalog, data))
        if progress is not None:
            progress(f"checking {data.instrument.name} {data.key.what}", (number + 1) / len(datasets))
    return results


def check_dataset(catalog: Catalog, data: Dataset) -> Checked:
    """Check one series; memory stays at a few blocks."""
    series = catalog.manifest().find(data.key)
    quality, damage = Quality(data.key, data.instrument), list[str]()
    for part in series.parts if series else []:
        try:
            for rows in _whole_instants(_verified(catalog.root, data.key, part)):
                quality.add(rows)
        except DataError as error:
            damage.append(str(error))
    return Checked(data, quality.counts, damage)


def _verified(root: Path, key: Key, part: Part) -> Iterator[Records]:
    digest, count = hashlib.blake2b(digest_size=16), 0
    for rows in partitions.read(root / part.path, key):
        digest.update(rows.view(np.uint8).data)
        count += len(rows)
        yield rows.view(TICK)
    if count != part.rows or digest.hexdigest() != part.fingerprint:
        raise DataError(
            f"{root / part.path}: expected the {part.rows:,} rows that were imported, found {count:,} others; import their source again"
        )


def _whole_instants(blocks: Iterator[Records]) -> Iterator[Records]:
    """The same rows in blocks that never split rows of one time."""
    held: list[Records] = []
    for block in blocks:
        held.append(block)
        rows = in_order(held)
        cut = int(np.searchsorted(rows["ts_event"], rows["ts_event"][-1]))
        if cut:
            yield rows[:cut]
        held = [rows[cut:]]
    if held:
        yield in_order(held)
