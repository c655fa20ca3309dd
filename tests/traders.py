"""What the tests of the trader share: traders in this process and in their own, and what an account's journal says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tercel.base import paths
from tercel.base.records import OUTPUT, Records
from tercel.drivers.launch import FeedSpec, HistoryFeed, RunSpec, make_feed, quoted_of
from tercel.drivers.session import Plan
from tercel.drivers.trader import Trader, TraderOptions
from tercel.journal import entries
from tercel.journal.reader import JournalReader

ROOT = Path(__file__).parents[1]


def trader_of(plan: Plan, feed: FeedSpec, account: str = "paper", **options: Any) -> Trader:
    """A trader in this process that plays as fast as it can and ends with its feed."""
    made = make_feed(feed, plan)
    past = made.history if isinstance(made, HistoryFeed) else None
    return Trader(plan, made, TraderOptions(account, sync="never", stop_when_done=True, **options), quoted_of(feed, plan), past)


def start(folder: Path, spec: RunSpec, module: str = "tercel.drivers.launch") -> subprocess.Popen[str]:
    """A trader in a process of its own; its lines are on `stdout`."""
    path = folder / f"{spec.account}.json"
    path.write_bytes(msgspec.json.encode(spec))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    return subprocess.Popen(
        [sys.executable, "-m", module, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )


def finish(process: subprocess.Popen[str], timeout_s: float = 60.0) -> str:
    """Wait for a trader's end; its last line. Fails with its errors when it did not end well."""
    out, errors = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, f"{out}\n{errors}"
    return out.splitlines()[-1]


def hash_in(last_line: str) -> str:
    """The state hash that a trader says when it stops."""
    word, _, text = last_line.partition(" ")
    assert word == "stopped", last_line
    return text.rpartition("state ")[2]


def journal_of(account: str) -> list[Any]:
    """Every entry of an account's journal, decoded: outputs as records, the rest as structs."""
    found: list[Any] = []
    with JournalReader(paths.session_dir(account) / "journal") as reader:
        while part := reader.poll(10_000):
            found += [
                entries.decode_outputs(one.payload) if one.kind == entries.OUTPUTS else entries.decode(one.kind, one.payload)
                for one in part
            ]
    return found


def outputs_of(account: str) -> Records:
    """Every output in an account's journal, in order."""
    parts = [one for one in journal_of(account) if isinstance(one, np.ndarray)]
    return np.concatenate(parts) if parts else np.zeros(0, OUTPUT)


def comparable(outputs: Records) -> bytes:
    """The outputs without what a restart may change: the account epoch and the number of the input."""
    kept = outputs.copy()
    kept["epoch"] = kept["input"] = 0
    return kept.tobytes()
