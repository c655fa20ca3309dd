"""What several journal tests write and compare with: batches whose every byte follows from their numbers."""

from __future__ import annotations

from pathlib import Path

from tercel.journal.journal import Entry, Journal

BATCHES = ((1, 3), (2, 0), (40,), (5, 6, 7), (0,))
"""Payload lengths, one tuple per batch."""


def entry(number: int, length: int) -> Entry:
    """The one entry that may stand at `number`."""
    return Entry(number, number * 10, 1 + number % 5, bytes((number * 31 + place) % 256 for place in range(length)))


def entries(batches: tuple[tuple[int, ...], ...]) -> list[Entry]:
    """The entries of these batches, numbered from 1."""
    lengths = [length for batch in batches for length in batch]
    return [entry(number, length) for number, length in enumerate(lengths, 1)]


def append(journal: Journal, batch: tuple[int, ...]) -> None:
    """Append without a commit."""
    for length in batch:
        item = entry(journal.last + 1, length)
        journal.append(item.kind, item.input_number, item.payload)


def write(journal: Journal, batches: tuple[tuple[int, ...], ...]) -> list[int]:
    """Append and commit; the size of the newest segment behind every batch."""
    sizes = []
    for batch in batches:
        append(journal, batch)
        journal.commit()
        sizes.append(segments(journal.folder)[-1].stat().st_size)
    return sizes


def segments(folder: Path) -> list[Path]:
    """The journal's segment files, oldest first."""
    return sorted(folder.glob("journal-*.log"))


def held(folder: Path) -> list[Entry]:
    """What a new writer finds in `folder`."""
    with Journal(folder) as journal:
        return list(journal.read())


def abandon(journal: Journal, copy: Path) -> Path:
    """A copy of the folder as it stands now, as if the writer had died here."""
    copy.mkdir()
    for path in segments(journal.folder):
        (copy / path.name).write_bytes(path.read_bytes())
    return copy
