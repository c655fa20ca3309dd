from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tercel.journal.journal import Journal
from tests.journal.samples import entry, segments

KILLS = 20


def _start(folder: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.journal.writer", str(folder), str(seed), "1000000"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=environment)


def _batch_ends(seed: int, first: int, last: int) -> set[int]:
    """Where the batches of this seed end, from the entry before `first` up to the first end beyond `last`."""
    chance, end = random.Random(seed), first - 1
    ends = {end}
    while end <= last:
        end += chance.randint(1, 12)
        ends.add(end)
    return ends


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    """Killed at random moments, again and again on the same folder: every reported batch is there, and at most one more, whole."""
    chance, before = random.Random(20), 0
    for seed in range(KILLS):
        process = _start(tmp_path, seed)
        assert process.stdout is not None
        reported = int(process.stdout.readline())
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines(keepends=True)
        process.wait(10)
        process.stdout.close()
        reported = max([reported, *(int(line) for line in lines if line.endswith("\n"))])
        with Journal(tmp_path) as journal:
            found = list(journal.read())
        assert found == [entry(number, number % 97) for number in range(1, len(found) + 1)]
        ends = sorted(_batch_ends(seed, before + 1, reported))
        unreported = ends[ends.index(reported) + 1]
        assert len(found) in (reported, unreported), f"seed {seed}: reported {reported}, found {len(found)}"
        before = len(found)
    assert len(segments(tmp_path)) > 3
