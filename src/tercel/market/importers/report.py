"""What an import did, file by file and series by series: every row is kept, repaired or refused, with counts."""

from __future__ import annotations

import msgspec

from tercel.market.quality import Counts
from tercel.market.sealing import Sealed


class SeriesReport(msgspec.Struct):
    """One series of one file. `counts` describe the rows of the file; the rest says what the catalog did with them."""

    instrument: str
    kind: str
    interval_ns: int
    basis: str
    counts: Counts
    rows_added: int
    rows_known: int  # in the catalog already
    rows_replaced: int  # bars of the catalog that a differing bar of this file replaced
    bars_dropped: int  # repaired: exact repeats of a bar
    rows_out_of_order: int  # repaired: stably sorted into place
    partitions_written: int
    partitions_rebuilt: list[str] = []  # the catalog's file of that date was damaged: it now holds the rows of this file only


class FileReport(msgspec.Struct):
    """One file: how it was read, what it held, and `notes`: counts under their text, and decisions the user should know."""

    path: str
    format: str
    timezone: str
    series: list[SeriesReport] = []
    notes: list[str] = []

    @property
    def rows(self) -> int:
        """Rows read from the file."""
        return sum(one.counts.rows for one in self.series)


class Skipped(msgspec.Struct, frozen=True):
    """A file of a folder that no importer knows."""

    path: str
    reason: str


class ImportReport(msgspec.Struct):
    """A whole import. `changed` is False when the catalog had everything already and no file was touched."""

    files: list[FileReport] = []
    skipped: list[Skipped] = []
    changed: bool = False

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(one.rows for one in self.files)

    @property
    def rows_added(self) -> int:
        """Rows the catalog did not have."""
        return sum(series.rows_added for one in self.files for series in one.series)


def series_report(sealed: Sealed) -> SeriesReport:
    """The report of one sealed series."""
    key, counts = sealed.key, sealed.counts
    known = counts.rows - sealed.rows_added - sealed.rows_replaced - sealed.bars_dropped
    return SeriesReport(
        key.name, key.kind, key.interval_ns, key.basis, counts, sealed.rows_added, known, sealed.rows_replaced, sealed.bars_dropped,
        sealed.rows_out_of_order, sealed.partitions_written, sealed.partitions_rebuilt,
    )  # fmt: skip
