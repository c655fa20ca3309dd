"""A writer process for the tests that kill it or make its disk fail: prints the number of every entry whose commit has returned."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from tercel.base.errors import JournalError
from tercel.journal.journal import Journal
from tests.journal.samples import write


def main(folder: str, seed: str, batches: str) -> int:
    """Commit random batches until killed, or `batches` of them; a `JournalError` is printed and ends it."""
    chance = random.Random(int(seed))
    journal = Journal(Path(folder), segment_bytes_max=4_000)
    journal.open()
    try:
        for _ in range(int(batches)):
            write(journal, (tuple((journal.last + place) % 97 for place in range(1, chance.randint(1, 12) + 1)),))
            print(journal.last, flush=True)
    except JournalError as error:
        print("refused", error, flush=True)
        for call in (journal.commit, journal.sync, lambda: journal.append(1, 1, b""), lambda: list(journal.read())):
            try:
                call()
            except JournalError as again:
                print("refused", again, flush=True)
    journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
