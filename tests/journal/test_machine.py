from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tercel.journal.journal import Entry, Journal, JournalReader
from tests.journal.samples import abandon, segments


class JournalMachine(RuleBasedStateMachine):
    """Whatever the order of append, commit, sync, close, crash and rotation: what was committed is there, and a follower sees it once."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.generation = 0
        self.committed: list[Entry] = []
        self.pending: list[Entry] = []

    @initialize(segment_bytes_max=st.sampled_from([64, 200, 1_000, 1 << 20]), sync=st.sampled_from(["always", "interval", "never"]))
    def begin(self, segment_bytes_max: int, sync: str) -> None:
        self.settings = {"segment_bytes_max": segment_bytes_max, "sync": sync, "interval_ms": 0}
        self.journal = self._open(self.root / "0")
        self.reader = JournalReader(self.journal.folder)
        self.followed: list[Entry] = []

    def _open(self, folder: Path) -> Journal:
        journal = Journal(folder, **self.settings)  # type: ignore[arg-type]
        assert journal.open() == len(self.committed)
        assert journal.durable == len(self.committed)
        return journal

    @rule(kind=st.integers(1, 0xFFFF), input_number=st.integers(0, 2**63 - 1), payload=st.binary(max_size=120))
    def append(self, kind: int, input_number: int, payload: bytes) -> None:
        number = self.journal.append(kind, input_number, payload)
        self.pending.append(Entry(number, input_number, kind, payload))
        assert number == len(self.committed) + len(self.pending) == self.journal.last

    @rule()
    def commit(self) -> None:
        self.journal.commit()
        self.committed += self.pending
        self.pending = []
        assert self.journal.durable == len(self.committed) or self.settings["sync"] == "never"

    @rule()
    def sync(self) -> None:
        self.journal.sync()
        assert self.journal.durable == len(self.committed)

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.pending = []
        self.journal = self._open(self.journal.folder)
        assert self.journal.cut_bytes == 0

    @rule(torn=st.binary(max_size=80))
    def crash(self, torn: bytes) -> None:
        """The writer dies in the middle of a write; whatever stands behind the last batch is cut off."""
        self.generation += 1
        folder = abandon(self.journal, self.root / str(self.generation))
        self.journal.close()
        self.reader.close()
        with segments(folder)[-1].open("ab") as file:
            file.write(torn)
        self.pending = []
        self.reader = JournalReader(folder, after=len(self.followed))
        self.follow()  # before the cut, as a desk that outlives its trader
        self.journal = self._open(folder)
        assert self.journal.cut_bytes == len(torn)

    @rule()
    def follow(self) -> None:
        while got := self.reader.poll(3):
            self.followed += got
        assert self.followed == self.committed

    @precondition(lambda self: self.committed)
    @rule(data=st.data())
    def read_from(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(1, len(self.committed) + 1))
        assert list(self.journal.read(first)) == self.committed[first - 1 :]

    @invariant()
    def all_is_there(self) -> None:
        if hasattr(self, "journal"):
            assert list(self.journal.read()) == self.committed

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.reader.close()
        shutil.rmtree(self.root)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
